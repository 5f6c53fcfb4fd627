//! The members of one shared group: found by their session, counted by what they are, and chosen for messages at a cost
//! that hardly grows with their number, however many are offline, full, or live at a worker that has no room. Pure.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use hashbrown::HashMap;
use mqtt_codec::SubscriptionOptions;
use rustc_hash::FxBuildHasher;
use slab::Slab;

use super::burden::Burden;
use super::rota::{Candidate, Rota, Turn, Wish};
use crate::ids::SessionKey;
use crate::settings::SharedStrategy;

/// Members that are looked at for one message and are full before it goes to one of them all the same; also those that
/// were full and are looked at again.
const FULL_TRIED_MAX: usize = 8;
/// Members that are asked to pay for a message that is to wait before it is dropped; for the next message the next are.
const PAYERS_TRIED_MAX: usize = 8;

/// A session that shares the subscription.
#[derive(Debug, Clone)]
pub struct Member {
    /// Whose it is.
    pub session: SessionKey,
    /// Its options.
    pub options: SubscriptionOptions,
    /// Subscription identifier; 0: none.
    pub identifier: u32,
    /// Whether a network connection holds the session.
    pub online: bool,
    /// Whether the session outlives its network connection.
    pub durable: bool,
    /// Its load.
    pub burden: Arc<Burden>,
}

/// What a member has for a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MemberRoom {
    /// A place.
    Free,
    /// None now.
    Full,
    /// No network connection: that it left is on its way to the group.
    Gone,
}

/// Who gets a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Choice {
    /// The member of this number.
    Member(u32),
    /// Nobody, until one of these workers, a bit each, has room.
    HeldUp(u64),
    /// Nobody: none is online.
    Nobody,
}

/// Who gets a message, and what it cost to find out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Chosen {
    /// Who.
    pub choice: Choice,
    /// Members looked at.
    pub looked_at: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Standing {
    Offline,
    /// In the rota.
    Ready,
    /// Online, and it had no room when it was looked at last.
    Full,
}

/// A member and how it stands.
#[derive(Debug)]
pub(super) struct Seat {
    pub(super) member: Member,
    standing: Standing,
    /// Whether it may hold anything of the group: it was given something, or had something when it joined.
    was_given: bool,
    /// Where it stands among those that are full.
    full_at: u64,
    /// Where it stands among those that are charged for what waits.
    pays_at: u64,
    pub(super) turn: Turn,
}

/// See the module.
#[derive(Debug)]
pub(super) struct Members {
    seats: Slab<Seat>,
    by_session: HashMap<SessionKey, u32, FxBuildHasher>,
    rota: Rota,
    /// Those online without room, who was looked at longest ago first.
    full: BTreeMap<u64, u32>,
    full_latest: u64,
    /// Those offline who may hold messages of the group.
    holders: BTreeSet<u32>,
    /// All of them; the first is charged for what waits in the group, until that is more than its queue takes.
    payers: BTreeMap<u64, u32>,
    payers_latest: u64,
    online: usize,
    durable: usize,
}

impl Members {
    pub(super) fn new(strategy: SharedStrategy) -> Self {
        Self {
            seats: Slab::new(),
            by_session: HashMap::default(),
            rota: Rota::new(strategy),
            full: BTreeMap::new(),
            full_latest: 0,
            holders: BTreeSet::new(),
            payers: BTreeMap::new(),
            payers_latest: 0,
            online: 0,
            durable: 0,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.seats.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.seats.is_empty()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Member> {
        self.seats.iter().map(|(_, seat)| &seat.member)
    }

    pub(super) fn get(&self, at: u32) -> &Member {
        &self.seats[at as usize].member
    }

    pub(super) fn online(&self) -> usize {
        self.online
    }

    pub(super) fn durable(&self) -> usize {
        self.durable
    }

    /// Adds a member, or changes it.
    pub(super) fn join(&mut self, member: Member) {
        let (online, durable) = (member.online, member.durable);
        let at = match self.by_session.get(&member.session) {
            Some(at) => {
                let seat = &mut self.seats[*at as usize];
                // As it is known here, until that is changed below.
                let known = (seat.member.online, seat.member.durable);
                seat.member = member;
                (seat.member.online, seat.member.durable) = known;
                *at
            }
            None => {
                let session = member.session;
                // It may hold something from when it was a member before.
                let was_given = member.burden.waiting.load(Ordering::Relaxed) > 0;
                let member = Member { online: false, durable: false, ..member };
                let (standing, turn) = (Standing::Offline, Turn::default());
                self.payers_latest += 1;
                let pays_at = self.payers_latest;
                let seat = Seat { member, standing, was_given, full_at: 0, pays_at, turn };
                let at = self.seats.insert(seat) as u32;
                self.by_session.insert(session, at);
                self.payers.insert(pays_at, at);
                at
            }
        };
        self.set_state(at, online, durable);
    }

    /// Notes whether a member is online and durable. Returns whether it is a member.
    pub(super) fn note_state(&mut self, session: SessionKey, online: bool, durable: bool) -> bool {
        let Some(at) = self.by_session.get(&session).copied() else { return false };
        self.set_state(at, online, durable);
        true
    }

    /// Removes a member; none if it is not one.
    pub(super) fn leave(&mut self, session: SessionKey) -> Option<Member> {
        let at = self.by_session.remove(&session)?;
        self.set_state(at, false, false);
        self.holders.remove(&at);
        self.rota.forget(at);
        let seat = self.seats.remove(at as usize);
        self.payers.remove(&seat.pays_at);
        Some(seat.member)
    }

    /// Who is charged for a message that is to wait: one of the next, of whom `charge` says so. Those who had no room come
    /// behind the others.
    pub(super) fn payer(&mut self, mut charge: impl FnMut(&Member) -> bool) -> Option<&Arc<Burden>> {
        for _ in 0..self.payers.len().min(PAYERS_TRIED_MAX) {
            let (_, at) = self.payers.first_key_value()?;
            let at = *at;
            if charge(&self.seats[at as usize].member) {
                return Some(&self.seats[at as usize].member.burden);
            }
            self.payers.pop_first();
            self.payers_latest += 1;
            self.seats[at as usize].pays_at = self.payers_latest;
            self.payers.insert(self.payers_latest, at);
        }
        None
    }

    fn set_state(&mut self, at: u32, online: bool, durable: bool) {
        let seat = &mut self.seats[at as usize];
        self.durable = self.durable + usize::from(durable) - usize::from(seat.member.durable);
        seat.member.durable = durable;
        match (seat.standing, online) {
            (Standing::Offline, true) => {
                self.online += 1;
                self.holders.remove(&at);
                self.stand(at, Standing::Ready);
            }
            (Standing::Ready | Standing::Full, false) => self.go_offline(at),
            _ => {}
        }
        let seat = &mut self.seats[at as usize];
        seat.member.online = online;
        let may_hold = seat.was_given && seat.member.burden.waiting.load(Ordering::Relaxed) > 0;
        if !online && durable && may_hold {
            self.holders.insert(at);
        }
    }

    fn go_offline(&mut self, at: u32) {
        self.online -= 1;
        self.seats[at as usize].member.online = false;
        self.stand(at, Standing::Offline);
    }

    fn stand(&mut self, at: u32, standing: Standing) {
        let seat = &mut self.seats[at as usize];
        let before = std::mem::replace(&mut seat.standing, standing);
        match before {
            Standing::Ready => self.rota.leave(&mut self.seats, at),
            Standing::Full => _ = self.full.remove(&self.seats[at as usize].full_at),
            Standing::Offline => {}
        }
        match standing {
            Standing::Ready => self.rota.enter(&mut self.seats, at, before == Standing::Full),
            Standing::Full => {
                self.full_latest += 1;
                self.seats[at as usize].full_at = self.full_latest;
                self.full.insert(self.full_latest, at);
            }
            Standing::Offline => {}
        }
    }

    /// Who gets a message. `room` looks whether a member has room for it, `is_far` whether a worker has none for what is
    /// on its way there. Near constant: what was found offline or full is not looked at again for each message.
    pub(super) fn choose(
        &mut self,
        wish: Wish,
        mut room: impl FnMut(&Member) -> MemberRoom,
        is_far: impl Fn(u16) -> bool,
    ) -> Chosen {
        let mut looked_at = self.rota.poll(&mut self.seats);
        if !self.full.is_empty() {
            self.look_at_full_again(&mut room, &mut looked_at);
        }
        let (mut full, mut far) = (0, 0);
        let choice = loop {
            let Some(candidate) = self.candidate(wish, &is_far, &mut far) else {
                break match self.full.first_key_value().map(|(_, at)| *at) {
                    _ if far != 0 => Choice::HeldUp(far),
                    // All are online and full: what happens to a full client's message happens, to one after the other.
                    Some(at) => {
                        self.stand(at, Standing::Full);
                        Choice::Member(at)
                    }
                    None => Choice::Nobody,
                };
            };
            looked_at += 1;
            let at = candidate.at;
            match room(&self.seats[at as usize].member) {
                MemberRoom::Free => {
                    self.rota.serve(&mut self.seats, candidate);
                    break Choice::Member(at);
                }
                MemberRoom::Gone => self.go_offline(at),
                MemberRoom::Full => {
                    self.stand(at, Standing::Full);
                    full += 1;
                    if full == FULL_TRIED_MAX {
                        break if far == 0 { Choice::Member(at) } else { Choice::HeldUp(far) };
                    }
                }
            }
        };
        Chosen { choice, looked_at }
    }

    #[inline]
    fn candidate(&self, wish: Wish, is_far: &impl Fn(u16) -> bool, far: &mut u64) -> Option<Candidate> {
        if let Some(latest) = self.rota.latest()
            && let Some(seat) = self.seats.get(latest as usize)
            && seat.standing == Standing::Ready
            && !is_far(seat.member.session.worker)
        {
            return Some(Candidate::new(latest, self.rota.line_of(seat.member.session.worker)));
        }
        self.rota.next(&self.seats, wish, is_far, far)
    }

    fn look_at_full_again(&mut self, room: &mut impl FnMut(&Member) -> MemberRoom, looked_at: &mut usize) {
        for _ in 0..self.full.len().min(FULL_TRIED_MAX) {
            let Some(at) = self.full.first_key_value().map(|(_, at)| *at) else { return };
            *looked_at += 1;
            match room(&self.seats[at as usize].member) {
                MemberRoom::Free => self.stand(at, Standing::Ready),
                MemberRoom::Full => self.stand(at, Standing::Full),
                MemberRoom::Gone => self.go_offline(at),
            }
        }
    }

    /// A member gets a message: it is asked for it when it goes offline. Returns the member.
    pub(super) fn give(&mut self, at: u32, home: u16) -> &Member {
        let seat = &mut self.seats[at as usize];
        seat.was_given = true;
        // Its worker tells of it when it is there. Others do not look at it, and it lies with what that worker writes.
        if self.rota.strategy() == SharedStrategy::LeastInflight && seat.member.session.worker != home {
            seat.member.burden.waiting.fetch_add(1, Ordering::Relaxed);
        }
        &seat.member
    }

    /// Whether members offline may hold messages of the group.
    pub(super) fn has_holders(&self) -> bool {
        !self.holders.is_empty()
    }

    /// One of those members: it is asked to give back all it holds.
    pub(super) fn take_holder(&mut self) -> Option<SessionKey> {
        Some(self.seats[self.holders.pop_first()? as usize].member.session)
    }
}
