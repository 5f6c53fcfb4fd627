//! Whose work a topic trie does next: clients take turns, and each client's work is done in its order. Pure.
//!
//! So a client that asks for very much, by few messages or by many, is waited for by itself alone. A client is its client
//! identifier, not its session: what one network connection published, its will included, stands before whatever the next
//! one publishes, though a clean session ended in between. What belongs to no client belongs to a shared group, to another
//! worker or to the node, and each of those has its turn like a client: a flood in one group holds up no other.

use std::collections::VecDeque;

use hashbrown::HashMap;
use rustc_hash::FxBuildHasher;

use super::owner::Owner;

/// Work that came between two moments that somebody asked about, numbered in their order, to tell when all of it is done.
pub type Cohort = u64;

/// Emptied lanes whose memory is kept for the next client, as long as it is little: about as many as publish in one turn
/// of many.
const SPARE_LANES: usize = 1024;
/// Work that a lane has room for whose memory is kept.
const SPARE_LANE_WORK: usize = 8;

type Lane<W> = VecDeque<(Cohort, W)>;

/// See the module.
#[derive(Debug)]
pub struct Lanes<W> {
    lanes: HashMap<Owner, Lane<W>, FxBuildHasher>,
    /// Who has work, in the order of their turns; not whose work is taken out.
    turns: VecDeque<Owner>,
    spare: Vec<Lane<W>>,
    /// How much is left of each cohort, the oldest first.
    left: VecDeque<usize>,
    oldest: Cohort,
}

/// Work that was taken out: to be put back, or done.
#[derive(Debug, Clone, Copy)]
#[must_use]
pub struct Ticket {
    /// Whose work it is.
    pub owner: Owner,
    cohort: Cohort,
}

impl<W> Default for Lanes<W> {
    fn default() -> Self {
        Self {
            lanes: HashMap::default(),
            turns: VecDeque::new(),
            spare: Vec::new(),
            left: VecDeque::from([0]),
            oldest: 0,
        }
    }
}

impl<W> Lanes<W> {
    /// Whether nothing is left to take out.
    pub fn is_empty(&self) -> bool {
        self.turns.is_empty()
    }

    /// All that waits.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = &mut W> {
        self.lanes.values_mut().flatten().map(|(_, work)| work)
    }

    /// What each client is to go on with.
    pub(crate) fn fronts_mut(&mut self) -> impl Iterator<Item = &mut W> {
        self.lanes.values_mut().filter_map(|lane| lane.front_mut()).map(|(_, work)| work)
    }

    /// Adds work behind what its owner has.
    pub fn push(&mut self, owner: Owner, work: W) {
        let newest = self.left.len() - 1;
        self.left[newest] += 1;
        let cohort = self.oldest + newest as Cohort;
        let (turns, spare) = (&mut self.turns, &mut self.spare);
        let lane = self.lanes.entry(owner).or_insert_with(|| {
            turns.push_back(owner);
            spare.pop().unwrap_or_default()
        });
        lane.push_back((cohort, work));
    }

    /// Takes out the work whose turn it is.
    pub(crate) fn take_next(&mut self) -> Option<(Ticket, W)> {
        let owner = self.turns.pop_front()?;
        let (cohort, work) = self.lanes.get_mut(&owner)?.pop_front()?;
        Some((Ticket { owner, cohort }, work))
    }

    /// It is done, and the next client has its turn. Returns whether this one has no more.
    pub fn done(&mut self, ticket: Ticket) -> bool {
        self.left[(ticket.cohort - self.oldest) as usize] -= 1;
        if self.lanes.get(&ticket.owner).is_some_and(|lane| !lane.is_empty()) {
            self.turns.push_back(ticket.owner);
            return false;
        }
        if let Some(lane) = self.lanes.remove(&ticket.owner)
            && self.spare.len() < SPARE_LANES
            && lane.capacity() <= SPARE_LANE_WORK
        {
            self.spare.push(lane);
        }
        true
    }

    /// Something is left of it: the client goes on with that, in its next turn, or at once.
    pub fn put_back(&mut self, ticket: Ticket, rest: W, at_once: bool) {
        if let Some(lane) = self.lanes.get_mut(&ticket.owner) {
            lane.push_front((ticket.cohort, rest));
        }
        match at_once {
            true => self.turns.push_front(ticket.owner),
            false => self.turns.push_back(ticket.owner),
        }
    }

    /// Names all that was added so far.
    pub fn so_far(&mut self) -> Cohort {
        self.left.push_back(0);
        self.oldest + self.left.len() as Cohort - 2
    }

    /// Whether all of it is done.
    pub fn is_done(&mut self, cohort: Cohort) -> bool {
        while self.left.len() > 1 && self.left[0] == 0 {
            self.left.pop_front();
            self.oldest += 1;
        }
        cohort < self.oldest
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::GroupKey;

    fn client(hash: u64) -> Owner {
        Owner::Client(hash)
    }

    #[test]
    fn clients_take_turns_and_keep_their_order() {
        let mut lanes = Lanes::default();
        for work in ["a1", "a2", "a3"] {
            lanes.push(client(1), work);
        }
        lanes.push(client(2), "b1");
        let mut done = Vec::new();
        while let Some((ticket, work)) = lanes.take_next() {
            match work {
                // It takes two turns.
                "a1" => lanes.put_back(ticket, "a1, the rest", false),
                _ => {
                    done.push(work);
                    lanes.done(ticket);
                }
            }
        }
        assert_eq!(done, ["b1", "a1, the rest", "a2", "a3"]);
        assert!(lanes.is_empty() && lanes.lanes.is_empty());
    }

    /// Whatever has very much to do, the others have every other turn.
    #[test]
    fn a_flood_holds_up_no_other() {
        let group = |index| Owner::Group(GroupKey { index, generation: 0, home: 0 });
        for flooded in [group(0), client(0), Owner::Worker(0), Owner::Own] {
            let mut lanes = Lanes::default();
            (0..10_000).for_each(|_| lanes.push(flooded, flooded));
            let others = [group(1), client(1), Owner::Worker(1), group(2)];
            others.iter().for_each(|other| lanes.push(*other, *other));
            let mut done = Vec::new();
            for _ in 0..=others.len() {
                let (ticket, work) = lanes.take_next().unwrap();
                done.push(work);
                lanes.done(ticket);
            }
            assert_eq!(done[1..], others);
        }
    }

    #[test]
    fn one_that_goes_on_at_once_is_next() {
        let mut lanes = Lanes::default();
        lanes.push(client(1), 1);
        lanes.push(client(2), 2);
        let (ticket, work) = lanes.take_next().unwrap();
        lanes.put_back(ticket, work, true);
        assert_eq!(lanes.take_next().unwrap().1, 1);
    }

    #[test]
    fn what_was_there_before_is_told_from_what_came_later() {
        let mut lanes = Lanes::default();
        let before_any = lanes.so_far();
        assert!(lanes.is_done(before_any));
        lanes.push(client(1), 1);
        lanes.push(client(1), 2);
        let so_far = lanes.so_far();
        lanes.push(client(2), 3);
        let mut done = Vec::new();
        while !lanes.is_done(so_far) {
            let (ticket, work) = lanes.take_next().unwrap();
            done.push(work);
            lanes.done(ticket);
        }
        assert_eq!(done, [1, 3, 2]);
    }

    #[test]
    fn work_that_work_brings_stands_behind_it() {
        let mut lanes = Lanes::default();
        lanes.push(Owner::Own, 1);
        let (ticket, _) = lanes.take_next().unwrap();
        lanes.push(Owner::Own, 2);
        assert!(lanes.take_next().is_none());
        lanes.done(ticket);
        assert_eq!(lanes.take_next().unwrap().1, 2);
    }
}
