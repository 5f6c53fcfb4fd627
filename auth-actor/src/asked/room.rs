//! How many questions may wait, and what they may hold.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

/// Who asks. Each of the two has half of the room, so that no storm of clients that connect keeps those that are
/// connected from publishing.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Asker {
    /// A client whose CONNECT is not answered yet.
    Connecting,
    /// A client whose CONNECT was accepted.
    Connected,
}

#[derive(Debug, Default)]
struct Half {
    questions: AtomicUsize,
    bytes: AtomicUsize,
}

/// The room for questions that wait for an answer.
#[derive(Debug)]
pub(crate) struct QuestionRoom {
    halves: [Half; 2],
    /// Of each half.
    questions_max: usize,
    /// Of each half.
    bytes_max: usize,
}

impl QuestionRoom {
    pub(crate) fn new(questions_max: usize, bytes_max: usize) -> Arc<Self> {
        Arc::new(Self {
            halves: Default::default(),
            questions_max: questions_max.div_ceil(2),
            bytes_max: bytes_max.div_ceil(2),
        })
    }

    /// Takes a place for a question of so many bytes; none if there is no room.
    pub(crate) fn enter(self: &Arc<Self>, asker: Asker, bytes: usize) -> Option<QuestionPlace> {
        // Given back as it is dropped, also if it overshoots.
        let half = &self.halves[asker as usize];
        let questions = half.questions.fetch_add(1, Relaxed);
        let held = half.bytes.fetch_add(bytes, Relaxed);
        let place = QuestionPlace { room: Arc::clone(self), asker, bytes };
        (questions < self.questions_max && held.saturating_add(bytes) <= self.bytes_max).then_some(place)
    }

    /// Questions that wait.
    pub(crate) fn questions(&self) -> usize {
        self.halves.iter().map(|half| half.questions.load(Relaxed)).sum()
    }

    /// The bytes that they hold.
    pub(crate) fn bytes(&self) -> usize {
        self.halves.iter().map(|half| half.bytes.load(Relaxed)).sum()
    }
}

/// The place of one question. It goes where the question goes, so that it is free when nobody holds that any more, be
/// it answered or not.
#[derive(Debug)]
pub(crate) struct QuestionPlace {
    room: Arc<QuestionRoom>,
    asker: Asker,
    bytes: usize,
}

impl Drop for QuestionPlace {
    fn drop(&mut self) {
        let half = &self.room.halves[self.asker as usize];
        half.questions.fetch_sub(1, Relaxed);
        half.bytes.fetch_sub(self.bytes, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_half_has_room_of_its_own() {
        let room = QuestionRoom::new(4, 1000);
        let first = room.enter(Asker::Connecting, 100).unwrap();
        let _second = room.enter(Asker::Connecting, 400).unwrap();
        assert!(room.enter(Asker::Connecting, 0).is_none(), "two are half of four");
        assert_eq!((room.questions(), room.bytes()), (2, 500));
        let _connected = room.enter(Asker::Connected, 400).unwrap();
        assert!(room.enter(Asker::Connected, 101).is_none(), "more than half of the bytes");
        drop(first);
        assert!(room.enter(Asker::Connecting, 100).is_some());
        assert_eq!((room.questions(), room.bytes()), (2, 800));
    }
}
