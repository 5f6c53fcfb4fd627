//! Whose turn it is in a shared group, among its members that can take a message: found in a number of steps that hardly
//! grows with the members, for each way of choosing. Pure.
//!
//! The members of each worker stand in a line of their own, so that a worker which has no room is passed over with all of
//! its members at once.

use std::collections::BTreeSet;
use std::hash::{Hash, Hasher};
use std::sync::atomic::Ordering;

use slab::Slab;

use super::members::Seat;
use crate::settings::SharedStrategy;

/// No seat.
const NONE: u32 = u32::MAX;
/// Members whose load is read anew for each message: in a group of so many the lightest is exactly that, in a larger one
/// the lightest as far as is known, which is news of every member within as many messages as it has sixteens of members.
const POLLED: usize = 16;
/// Places of a member on the circle of hashes, and points of it that are looked at for a message, which goes to the place
/// that is the least way behind one of them: shares differ by some percent.
const PLACES: u64 = 16;
const POINTS: u64 = 16;
/// 2^64 by the golden ratio: multiples of it lie far from each other.
const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;

/// A member's place in the line.
#[derive(Debug, Clone, Copy)]
pub(super) struct Turn {
    /// Who has the smaller one was served, or joined, before.
    number: u64,
    before: u32,
    behind: u32,
    /// Its load as it is known here.
    load: u32,
    /// Its place among those polled.
    polled: u32,
}

impl Default for Turn {
    fn default() -> Self {
        Self { number: 0, before: NONE, behind: NONE, load: 0, polled: NONE }
    }
}

/// What is asked for.
#[derive(Debug, Clone, Copy)]
pub(super) enum Wish {
    /// Whoever is next.
    Next,
    /// Whoever is next for this hash.
    Hash(u64),
}

#[derive(Debug)]
enum Order {
    /// A ring of those served longest ago first.
    Turns { first: u32 },
    /// By load and number.
    Loads(BTreeSet<(u32, u64, u32)>),
    /// By place on the circle.
    Circle(BTreeSet<(u64, u32)>),
}

#[derive(Debug)]
struct Line {
    worker: u16,
    members: usize,
    order: Order,
}

/// See the module.
#[derive(Debug)]
pub(super) struct Rota {
    strategy: SharedStrategy,
    lines: Vec<Line>,
    numbers: u64,
    /// Who had the last message.
    latest: u32,
    /// Those whose loads are read, in turn.
    polled: Vec<u32>,
    poll_at: usize,
}

/// Who is to get a message, unless it has no room.
#[derive(Debug, Clone, Copy)]
pub(super) struct Candidate {
    /// Its seat.
    pub(super) at: u32,
    line: usize,
}

impl Candidate {
    /// The member of this seat, in this line.
    pub(super) fn new(at: u32, line: usize) -> Self {
        Self { at, line }
    }
}

/// How far a member is from being chosen; the least is.
type Rank = (u64, u64);

impl Rota {
    pub(super) fn new(strategy: SharedStrategy) -> Self {
        Self { strategy, lines: Vec::new(), numbers: 0, latest: NONE, polled: Vec::new(), poll_at: 0 }
    }

    pub(super) fn strategy(&self) -> SharedStrategy {
        self.strategy
    }

    /// A member gets a place: behind all others, or, where it only stood aside, before all others of its worker.
    pub(super) fn enter(&mut self, seats: &mut Slab<Seat>, at: u32, stood_aside: bool) {
        let worker = seats[at as usize].member.session.worker;
        if !stood_aside {
            seats[at as usize].turn.number = self.next_number();
        }
        let strategy = self.strategy;
        let place = self.lines.iter().position(|line| line.worker == worker).unwrap_or_else(|| {
            let order = match strategy {
                SharedStrategy::RoundRobin | SharedStrategy::Sticky => Order::Turns { first: NONE },
                SharedStrategy::LeastInflight => Order::Loads(BTreeSet::new()),
                SharedStrategy::HashClient | SharedStrategy::HashTopic => Order::Circle(BTreeSet::new()),
            };
            self.lines.push(Line { worker, members: 0, order });
            self.lines.len() - 1
        });
        let line = &mut self.lines[place];
        line.members += 1;
        match &mut line.order {
            Order::Turns { first } => {
                put_last(seats, first, at);
                if stood_aside {
                    *first = at;
                }
            }
            Order::Loads(loads) => {
                let seat = &mut seats[at as usize];
                seat.turn.load = seat.member.burden.waiting.load(Ordering::Relaxed);
                seat.turn.polled = self.polled.len() as u32;
                self.polled.push(at);
                loads.insert((seat.turn.load, seat.turn.number, at));
            }
            Order::Circle(circle) => circle.extend(places(&seats[at as usize]).map(|place| (place, at))),
        }
    }

    /// A member has no place any more.
    pub(super) fn leave(&mut self, seats: &mut Slab<Seat>, at: u32) {
        let worker = seats[at as usize].member.session.worker;
        let Some(place) = self.lines.iter().position(|line| line.worker == worker) else { return };
        let line = &mut self.lines[place];
        line.members -= 1;
        match &mut line.order {
            Order::Turns { first } => take_out(seats, first, at),
            Order::Loads(loads) => {
                let turn = seats[at as usize].turn;
                loads.remove(&(turn.load, turn.number, at));
                self.polled.swap_remove(turn.polled as usize);
                if let Some(moved) = self.polled.get(turn.polled as usize) {
                    seats[*moved as usize].turn.polled = turn.polled;
                }
            }
            Order::Circle(circle) => {
                for place in places(&seats[at as usize]) {
                    circle.remove(&(place, at));
                }
            }
        }
        if line.members == 0 {
            self.lines.swap_remove(place);
        }
    }

    /// Whose turn it is, among the members of workers that are not `far`, and the line it stands in. Adds to `passed_over`
    /// the workers, a bit each, that are far and have members.
    pub(super) fn next(
        &self,
        seats: &Slab<Seat>,
        wish: Wish,
        is_far: &impl Fn(u16) -> bool,
        passed_over: &mut u64,
    ) -> Option<Candidate> {
        let mut best: Option<(Rank, Candidate)> = None;
        for (index, line) in self.lines.iter().enumerate() {
            if is_far(line.worker) {
                *passed_over |= 1 << line.worker;
                continue;
            }
            let (rank, at) = match &line.order {
                // Nobody to compare with.
                Order::Turns { first } if self.lines.len() == 1 => {
                    return Some(Candidate { at: *first, line: index });
                }
                Order::Turns { first } => ((0, seats[*first as usize].turn.number), *first),
                Order::Loads(loads) => {
                    let Some((load, number, at)) = loads.first() else { continue };
                    ((u64::from(*load), *number), *at)
                }
                Order::Circle(circle) => {
                    let Wish::Hash(hash) = wish else { continue };
                    let Some(nearest) = nearest(circle, hash) else { continue };
                    nearest
                }
            };
            if best.is_none_or(|(least, _)| rank < least) {
                best = Some((rank, Candidate { at, line: index }));
            }
        }
        best.map(|(_, candidate)| candidate)
    }

    /// With `sticky` who had the last message, wherever it is now.
    pub(super) fn latest(&self) -> Option<u32> {
        (self.strategy == SharedStrategy::Sticky && self.latest != NONE).then_some(self.latest)
    }

    /// The line of a member that has a place.
    pub(super) fn line_of(&self, worker: u16) -> usize {
        self.lines.iter().position(|line| line.worker == worker).unwrap_or_default()
    }

    /// A candidate gets the message: the others come before it next time.
    pub(super) fn serve(&mut self, seats: &mut Slab<Seat>, candidate: Candidate) {
        let Candidate { at, line } = candidate;
        self.latest = at;
        let number = self.next_number();
        match &mut self.lines[line].order {
            Order::Turns { first } => {
                if *first != at {
                    take_out(seats, first, at);
                    put_last(seats, first, at);
                }
                let turn = &mut seats[at as usize].turn;
                turn.number = number;
                if *first == at {
                    *first = turn.behind;
                }
            }
            Order::Loads(loads) => {
                let turn = &mut seats[at as usize].turn;
                loads.remove(&(turn.load, turn.number, at));
                turn.number = number;
                loads.insert((turn.load, turn.number, at));
            }
            Order::Circle(_) => {}
        }
    }

    /// A member has left the group.
    pub(super) fn forget(&mut self, at: u32) {
        if self.latest == at {
            self.latest = NONE;
        }
    }

    fn next_number(&mut self) -> u64 {
        self.numbers += 1;
        self.numbers
    }

    /// Where loads count: reads those of some members anew, and of the lightest, which were written by their workers
    /// meanwhile. Returns how many that were.
    pub(super) fn poll(&mut self, seats: &mut Slab<Seat>) -> usize {
        if self.strategy != SharedStrategy::LeastInflight {
            return 0;
        }
        let count = self.polled.len().min(POLLED);
        for _ in 0..count {
            self.poll_at = (self.poll_at + 1) % self.polled.len();
            let at = self.polled[self.poll_at];
            self.read_load(seats, at);
        }
        let mut looked_at = count;
        for line in 0..self.lines.len() {
            // One that has become heavier than is known gives way to the next.
            for _ in 0..POLLED {
                let Order::Loads(loads) = &self.lines[line].order else { break };
                let Some((_, _, at)) = loads.first().copied() else { break };
                looked_at += 1;
                if !self.read_load(seats, at) {
                    break;
                }
            }
        }
        looked_at
    }

    /// Returns whether it has become heavier.
    fn read_load(&mut self, seats: &mut Slab<Seat>, at: u32) -> bool {
        let seat = &mut seats[at as usize];
        let (load, known) = (seat.member.burden.waiting.load(Ordering::Relaxed), seat.turn.load);
        let worker = seat.member.session.worker;
        if load != known
            && let Some(Line { order: Order::Loads(loads), .. }) =
                self.lines.iter_mut().find(|line| line.worker == worker)
        {
            loads.remove(&(known, seat.turn.number, at));
            seat.turn.load = load;
            loads.insert((load, seat.turn.number, at));
        }
        load > known
    }
}

/// Puts a seat into a ring, before the first and so behind the last.
fn put_last(seats: &mut Slab<Seat>, first: &mut u32, at: u32) {
    if *first == NONE {
        *first = at;
        (seats[at as usize].turn.before, seats[at as usize].turn.behind) = (at, at);
        return;
    }
    let last = std::mem::replace(&mut seats[*first as usize].turn.before, at);
    seats[last as usize].turn.behind = at;
    (seats[at as usize].turn.before, seats[at as usize].turn.behind) = (last, *first);
}

/// Takes a seat out of a ring.
fn take_out(seats: &mut Slab<Seat>, first: &mut u32, at: u32) {
    let Turn { before, behind, .. } = seats[at as usize].turn;
    if behind == at {
        *first = NONE;
        return;
    }
    seats[before as usize].turn.behind = behind;
    seats[behind as usize].turn.before = before;
    if *first == at {
        *first = behind;
    }
}

fn places(seat: &Seat) -> impl Iterator<Item = u64> + use<> {
    let mut hasher = rustc_hash::FxHasher::default();
    seat.member.session.hash(&mut hasher);
    // Of two members neither hash may follow from the other.
    let hash = mixed(hasher.finish());
    (1..=PLACES).map(move |place| mixed(hash ^ place.wrapping_mul(GOLDEN)))
}

/// The member with the place that is the least way behind one of the points of a hash. When a member goes, only those
/// hashes go to others that it had; when it comes back it has them again.
fn nearest(circle: &BTreeSet<(u64, u32)>, hash: u64) -> Option<(Rank, u32)> {
    let points = (1..=POINTS).map(|point| mixed(hash.wrapping_add(point.wrapping_mul(GOLDEN))));
    points
        .filter_map(|point| {
            let (place, at) = circle.range((point, 0)..).next().or_else(|| circle.first())?;
            Some(((place.wrapping_sub(point), *place), *at))
        })
        .min_by_key(|(rank, _)| *rank)
}

/// Spreads every bit over all (the finalizer of MurmurHash3).
fn mixed(mut hash: u64) -> u64 {
    hash = (hash ^ (hash >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
    hash = (hash ^ (hash >> 33)).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    hash ^ (hash >> 33)
}
