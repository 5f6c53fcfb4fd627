//! Retained publishes on their way to one worker's subscribers, so that a new subscription can wait until those that were
//! published before it are delivered.

use std::collections::VecDeque;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::oneshot;

/// See the module.
#[derive(Debug, Default)]
pub struct RetainedUnderway(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    /// By rising stamps: the first stamp of each batch, and whether it is still on its way.
    batches: VecDeque<(u64, bool)>,
    /// How many are gone from the front.
    gone: u64,
    /// Who waits until nothing up to this stamp is on its way.
    waiting: Vec<(u64, oneshot::Sender<()>)>,
}

impl State {
    fn is_through(&self, stamp: u64) -> bool {
        self.batches.front().is_none_or(|(first, _)| *first > stamp)
    }
}

/// One batch on its way to the worker, until its trie is done with it.
#[derive(Debug)]
pub struct RetainedPassage {
    underway: Arc<RetainedUnderway>,
    number: u64,
}

impl RetainedUnderway {
    /// A batch sets out whose first retained publish has this stamp, higher than those before.
    pub fn enter(self: &Arc<Self>, stamp: u64) -> RetainedPassage {
        let mut state = self.0.lock();
        debug_assert!(state.batches.back().is_none_or(|(last, _)| *last < stamp));
        state.batches.push_back((stamp, true));
        RetainedPassage { underway: Arc::clone(self), number: state.gone + state.batches.len() as u64 - 1 }
    }

    /// Returns when nothing up to this stamp is on its way any more. What is, is bounded: by what may be on its way to
    /// the worker.
    pub async fn through(&self, stamp: u64) {
        let told = {
            let mut state = self.0.lock();
            if state.is_through(stamp) {
                return;
            }
            let (tell, told) = oneshot::channel();
            // Those whose asker went away.
            state.waiting.retain(|(_, waiting)| !waiting.is_closed());
            state.waiting.push((stamp, tell));
            told
        };
        // It is told in any case, since every passage ends.
        let _ = told.await;
    }
}

impl Drop for RetainedPassage {
    fn drop(&mut self) {
        let mut state = self.underway.0.lock();
        let at = (self.number - state.gone) as usize;
        state.batches[at].1 = false;
        while let Some((_, false)) = state.batches.front() {
            state.batches.pop_front();
            state.gone += 1;
        }
        if state.batches.is_empty() && state.batches.capacity() > 64 {
            state.batches = VecDeque::new();
        }
        let mut waiting = std::mem::take(&mut state.waiting);
        for (stamp, tell) in waiting.extract_if(.., |(stamp, _)| state.is_through(*stamp)) {
            let _ = (stamp, tell.send(()));
        }
        state.waiting = waiting;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::Future;
    use std::pin::pin;
    use std::task::{Context, Poll, Waker};

    #[test]
    fn through_when_all_before_are() {
        let underway = Arc::<RetainedUnderway>::default();
        let mut task = Context::from_waker(Waker::noop());
        assert_eq!(pin!(underway.through(99)).poll(&mut task), Poll::Ready(()));
        let (first, second, third) = (underway.enter(2), underway.enter(6), underway.enter(10));
        let (mut up_to_7, mut up_to_1) = (pin!(underway.through(7)), pin!(underway.through(1)));
        assert_eq!(up_to_1.as_mut().poll(&mut task), Poll::Ready(()));
        assert_eq!(up_to_7.as_mut().poll(&mut task), Poll::Pending);
        drop(second);
        assert_eq!(up_to_7.as_mut().poll(&mut task), Poll::Pending);
        drop(first);
        assert_eq!(up_to_7.as_mut().poll(&mut task), Poll::Ready(()));
        drop(third);
        assert_eq!(underway.0.lock().batches.len(), 0);
    }
}
