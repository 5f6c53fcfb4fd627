//! Looking up the next messages of a batch side by side, before it is their turn: among very many filters a look-up
//! mostly waits for memory, and so they wait together.
//!
//! What is found holds until the trie changes, so it is kept within one piece of work only.

use super::path_trie::LockStep;
use super::trie::{Matches, Trie};
use crate::message::Batch;

/// Topic names that are looked up side by side.
const NAMES: usize = 16;
/// Bytes of topic names that are, but for the first.
const BYTES: usize = 8 * 1024;
/// Items among which they are looked for.
const ITEMS: usize = 64;
/// Places of the tree that a name may look at; with more it is looked up in its turn.
const PLACES: usize = 64;

/// See the module.
#[derive(Debug, Default)]
pub struct LookAhead {
    /// The items that were looked up, in their order, and how many they are.
    items: [usize; NAMES],
    len: usize,
    /// Those before are done.
    next: usize,
    /// What matches each, and what is left of its places.
    matches: [Matches; NAMES],
    left: [usize; NAMES],
    steps: LockStep,
}

impl LookAhead {
    /// The trie may change from now on.
    pub fn forget(&mut self) {
        (self.len, self.next) = (0, 0);
    }

    /// Sets what matches an item, and looks up to `room` others up with it if it has to be looked up. Returns how many
    /// places of the tree it looked at; none: it is to be looked up by itself.
    pub fn take(
        &mut self,
        (batch, item, worker): (&Batch, usize, u64),
        trie: &Trie,
        room: usize,
        matches: &mut Matches,
    ) -> Option<usize> {
        let done = self.items[self.next..self.len].iter().take_while(|other| **other < item).count();
        self.next += done;
        let is_alone = item + 1 == batch.items().len();
        if self.next == self.len && !is_alone {
            self.look_up(batch, item, worker, trie, room);
        }
        let at = self.next;
        if at == self.len || self.items[at] != item || self.left[at] == 0 {
            return None;
        }
        self.next += 1;
        matches.clear();
        // Not swapped: what a large fan-out had in its time would stay here.
        matches.subscribers.append(&mut self.matches[at].subscribers);
        matches.groups.append(&mut self.matches[at].groups);
        Some(PLACES - self.left[at])
    }

    fn look_up(&mut self, batch: &Batch, from: usize, worker: u64, trie: &Trie, room: usize) {
        self.forget();
        let mut topics = [""; NAMES];
        let (mut len, mut bytes, most) = (0, 0, NAMES.min(room + 1));
        for (item, about) in batch.items().iter().enumerate().skip(from).take(ITEMS) {
            let topic = batch.topic(item);
            // Those in a row with one topic name are looked up once.
            if !about.is_routed() || about.workers & worker == 0 || (len > 0 && topics[len - 1] == topic) {
                continue;
            }
            bytes += topic.len();
            if len == most || len > 0 && bytes > BYTES {
                break;
            }
            (topics[len], self.items[len]) = (topic, item);
            len += 1;
        }
        if len > 1 {
            self.len = len;
            self.left = [PLACES; NAMES];
            self.matches[..len].iter_mut().for_each(Matches::clear);
            trie.collect_together(&topics[..len], &mut self.matches, &mut self.left, &mut self.steps);
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::matching::Subscriber;
    use crate::message::Ack;
    use crate::moment::Moment;
    use crate::testing::{group, id, key, options, publication};
    use mqtt_codec::QoS;

    use super::*;

    const OWN: u64 = 0b10;

    fn subscriber(index: u32) -> Subscriber {
        Subscriber {
            session: key(index),
            identifier: 0,
            options: options(QoS::AtMostOnce),
            since: Moment::default(),
        }
    }

    fn trie() -> Trie {
        let mut trie = Trie::default();
        for index in 0..200 {
            trie.insert(&format!("one/{index}/+").into(), subscriber(index));
            trie.insert(&format!("one/+/{index}").into(), subscriber(index));
            trie.insert(&"crowd".into(), subscriber(index));
        }
        trie.insert(&"exact".into(), subscriber(7));
        trie.insert_group(&"exact".into(), group(1));
        // More places than a name may look at: `{a,+}^8`.
        for bits in 0..1_u32 << 8 {
            let levels: Vec<_> = (0..8).map(|at| if bits & 1 << at == 0 { "a" } else { "+" }).collect();
            trie.insert(&levels.join("/").into(), subscriber(bits));
        }
        trie
    }

    fn batch(topics: &[&str]) -> Batch {
        let mut batch = Batch::default();
        for topic in topics {
            batch.push(&publication(topic, "", QoS::AtMostOnce), None);
        }
        batch.items_mut().iter_mut().for_each(|item| item.workers = OWN);
        batch
    }

    /// What is said of each item; of each that something is said of, it is what the trie says.
    fn taken(look_ahead: &mut LookAhead, trie: &Trie, batch: &Batch, room: usize) -> Vec<bool> {
        let (mut found, mut expected) = (Matches::default(), Matches::default());
        let mut take = |item| {
            let Some(places) = look_ahead.take((batch, item, OWN), trie, room, &mut found) else {
                return false;
            };
            assert_eq!(places, trie.collect(batch.topic(item), &mut expected));
            found.subscribers.sort_unstable_by_key(|subscriber| subscriber.session);
            expected.subscribers.sort_unstable_by_key(|subscriber| subscriber.session);
            assert_eq!(found.subscribers, expected.subscribers, "{}", batch.topic(item));
            assert_eq!(found.groups, expected.groups);
            true
        };
        (0..batch.items().len()).map(&mut take).collect()
    }

    #[test]
    fn what_is_ahead_is_what_the_trie_says() {
        let (mut look_ahead, trie) = (LookAhead::default(), trie());
        let names: Vec<_> = (0..60).map(|index| format!("one/{index}/{}", 199 - index)).collect();
        let names: Vec<_> = names.iter().map(String::as_str).collect();
        assert_eq!(taken(&mut look_ahead, &trie, &batch(&names), 1000), [true; 60]);
        look_ahead.forget();
        let deep = ["a"; 8].join("/");
        let batch = batch(&["exact", "crowd", "one/1/2", &deep, "nobody", "one/1/1"]);
        assert_eq!(taken(&mut look_ahead, &trie, &batch, 1000), [true, false, true, false, true, true]);
    }

    #[test]
    fn what_came_meanwhile_is_found_and_what_went_is_not() {
        let (mut look_ahead, mut trie) = (LookAhead::default(), trie());
        let batch = batch(&["one/1/2", "one/3/4", "one/5/6"]);
        let mut found = Matches::default();
        assert!(look_ahead.take((&batch, 0, OWN), &trie, 100, &mut found).is_some());
        trie.insert(&"one/#".into(), subscriber(1));
        trie.remove("one/3/+", key(3));
        look_ahead.forget();
        assert!(look_ahead.take((&batch, 1, OWN), &trie, 100, &mut found).is_some());
        let mut found: Vec<_> = found.subscribers.iter().map(|found| found.session.index).collect();
        found.sort_unstable();
        assert_eq!(found, [1, 4]);
    }

    #[test]
    fn names_in_a_row_and_items_for_others_are_left_out() {
        let (mut look_ahead, trie) = (LookAhead::default(), trie());
        let mut batch = batch(&["exact", "exact", "one/1/1", "one/2/2", "one/2/2", "one/3/3"]);
        batch.items_mut()[2].workers = 0b1;
        let ack = Ack { packet_identifier: id(1), exactly_once: false, settled: None };
        batch.items_mut()[5].ack = Some(Ack { settled: Some(mqtt_codec::ReasonCode::Success), ..ack });
        assert_eq!(taken(&mut look_ahead, &trie, &batch, 100), [true, false, false, true, false, false]);
    }

    #[test]
    fn one_alone_is_not_looked_up_ahead() {
        let (mut look_ahead, trie) = (LookAhead::default(), trie());
        assert_eq!(taken(&mut look_ahead, &trie, &batch(&["exact"]), 100), [false]);
        assert_eq!(taken(&mut look_ahead, &trie, &batch(&["exact", "one/1/1"]), 0), [false, false]);
    }
}
