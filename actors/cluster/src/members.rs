//! Who is a member of the cluster, as far as `routes` was read; how fresh that is; and what all members have read.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use hashbrown::HashMap;

use crate::routes_log::{Incarnation, Record, SLOTS};

/// For how long a node knows enough of the routes of others once it wrote the latest of its own ticks that it has read. A
/// member that is silent for longer matches nothing any more, and so need not be waited for.
pub const FRESH: Duration = Duration::from_secs(5);

/// Own ticks that may be on their way; beyond, the oldest are forgotten, and read as if they said nothing.
const TICKS_MAX: usize = 4096;

/// A node of the cluster.
#[derive(Debug, Clone)]
pub struct Member {
    /// Its name.
    pub node: String,
    /// Which of its lives.
    pub incarnation: Incarnation,
    /// The newest version of records that it reads.
    pub version: u8,
    /// Where other nodes reach it; empty: nowhere.
    pub address: String,
    /// What its last tick said; none before the first.
    pub ticked: Option<Ticked>,
    /// When its hello was read.
    pub since: Instant,
    nonce: u64,
}

/// What a tick said.
#[derive(Debug, Clone, Copy)]
pub struct Ticked {
    /// Up to which offset its node had applied `routes`.
    pub applied: u64,
    /// The time of day there, in milliseconds since 1970.
    pub at: u64,
    /// When it was read.
    pub read_at: Instant,
}

impl Member {
    /// When it last showed that it lives.
    fn last_seen(&self) -> Instant {
        self.ticked.map_or(self.since, |ticked| ticked.read_at)
    }

    /// Whether it may still match by what it knows.
    pub fn may_match(&self, now: Instant) -> bool {
        self.ticked.is_some_and(|ticked| now.saturating_duration_since(ticked.read_at) <= FRESH)
    }
}

/// What a record of `routes` changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// A node has a slot.
    Came(u8),
    /// A life of a node is over, and with it all of its routes.
    Went(u8, Incarnation),
    /// This node is a member.
    Admitted(Incarnation),
    /// Another node had the slot that this one asked for.
    SlotTaken(u8),
    /// Another node says hello by this one's name.
    NameTaken,
    /// The others hold this node for dead.
    Voided,
}

/// See the module.
#[derive(Debug)]
pub struct Members {
    node: String,
    nonce: u64,
    own: Option<(u8, Incarnation)>,
    by_slot: Vec<Option<Member>>,
    /// Hellos for a slot that somebody has, by the node's name. One that ticks was admitted once, and what shows that is no
    /// more in the log.
    refused: HashMap<String, Member>,
    applied: Option<u64>,
    /// Own ticks on their way, by number.
    written: VecDeque<(u64, Instant)>,
    ticks: u64,
    fresh_until: Option<Instant>,
}

impl Members {
    /// Of the node with this name, which knows its hello by `nonce`.
    pub fn new(node: &str, nonce: u64) -> Self {
        Self {
            node: node.to_owned(),
            nonce,
            own: None,
            by_slot: (0..SLOTS).map(|_| None).collect(),
            refused: HashMap::new(),
            applied: None,
            written: VecDeque::new(),
            ticks: 0,
            fresh_until: None,
        }
    }

    /// This node's slot and life, once it is a member.
    pub fn own(&self) -> Option<(u8, Incarnation)> {
        self.own
    }

    /// By which this node knows its own hello.
    pub fn nonce(&self) -> u64 {
        self.nonce
    }

    /// The members with their slots, this one included.
    pub fn iter(&self) -> impl Iterator<Item = (u8, &Member)> {
        (0..).zip(&self.by_slot).filter_map(|(slot, member)| Some((slot, member.as_ref()?)))
    }

    /// Who has a slot.
    pub fn at(&self, slot: u8) -> Option<&Member> {
        self.by_slot[usize::from(slot)].as_ref()
    }

    /// The offset of the last record that was applied.
    pub fn applied(&self) -> Option<u64> {
        self.applied
    }

    /// A slot to ask for: the one that this node had before, or the first that nobody has; none if all are taken.
    pub fn free_slot(&self) -> Option<u8> {
        let before = self.iter().find(|(_, member)| member.node == self.node).map(|(slot, _)| slot);
        before.or_else(|| (0..SLOTS).find(|slot| self.at(*slot).is_none()))
    }

    /// Until when this node's view holds; none if it does not hold at all.
    pub fn fresh_until(&self) -> Option<Instant> {
        self.fresh_until
    }

    /// A tick to be written now; none while this node is no member.
    pub fn tick(&mut self, now: Instant, at: u64) -> Option<Record<'_>> {
        let (slot, incarnation) = self.own?;
        let applied = self.applied?;
        self.ticks += 1;
        if self.written.len() >= TICKS_MAX {
            self.written.pop_front();
        }
        self.written.push_back((self.ticks, now));
        Some(Record::Tick { node: &self.node, incarnation, slot, number: self.ticks, applied, at })
    }

    /// Applies a record of `routes`, the next one. Routes are the view's.
    pub fn read(&mut self, offset: u64, record: &Record<'_>, now: Instant, changes: &mut Vec<Change>) {
        match *record {
            Record::Hello { node, slot, nonce, version, address } => {
                let member = Member {
                    node: node.to_owned(),
                    incarnation: Incarnation(offset),
                    version,
                    address: address.to_owned(),
                    ticked: None,
                    since: now,
                    nonce,
                };
                self.hello(slot, member, changes);
            }
            Record::Tick { node, incarnation, slot, number, applied, at } => {
                self.ticked(node, incarnation, slot, number, Ticked { applied, at, read_at: now }, changes);
            }
            Record::Void { incarnation, slot, .. } => {
                if self.at(slot).is_some_and(|member| member.incarnation == incarnation) {
                    self.leave(slot, changes);
                    if self.own == Some((slot, incarnation)) {
                        (self.own, self.fresh_until) = (None, None);
                        changes.push(Change::Voided);
                    }
                }
            }
            Record::Route { .. } => {}
        }
        self.applied = Some(offset);
    }

    /// A record that says nothing was read.
    pub fn skip(&mut self, offset: u64) {
        self.applied = Some(offset);
    }

    fn leave(&mut self, slot: u8, changes: &mut Vec<Change>) {
        if let Some(gone) = self.by_slot[usize::from(slot)].take() {
            changes.push(Change::Went(slot, gone.incarnation));
        }
    }

    fn hello(&mut self, slot: u8, member: Member, changes: &mut Vec<Change>) {
        let is_own = member.nonce == self.nonce;
        if member.node == self.node && !is_own && self.own.is_some() {
            // Of a name the last one counts.
            (self.own, self.fresh_until) = (None, None);
            changes.push(Change::NameTaken);
        }
        let before = self.iter().find(|(_, other)| other.node == member.node).map(|(slot, _)| slot);
        if let Some(before) = before {
            self.leave(before, changes);
        }
        self.refused.remove(&member.node);
        if self.at(slot).is_some() {
            // Of a slot the first one counts.
            if is_own {
                changes.push(Change::SlotTaken(slot));
            }
            self.refused.insert(member.node.clone(), member);
            return;
        }
        if is_own {
            self.own = Some((slot, member.incarnation));
            changes.push(Change::Admitted(member.incarnation));
        }
        self.by_slot[usize::from(slot)] = Some(member);
        changes.push(Change::Came(slot));
    }

    fn ticked(
        &mut self,
        node: &str,
        incarnation: Incarnation,
        slot: u8,
        number: u64,
        ticked: Ticked,
        changes: &mut Vec<Change>,
    ) {
        let holds = self.at(slot).is_some_and(|member| member.incarnation == incarnation);
        if !holds {
            // It was admitted, since it ticks: who had the slot then has begun anew since, and its first hello is gone.
            let was_admitted = self.refused.get(node).is_some_and(|member| member.incarnation == incarnation);
            let has_ticked = self.at(slot).is_some_and(|member| member.ticked.is_some());
            if !was_admitted || has_ticked || self.own.is_some_and(|(own, _)| own == slot) {
                return;
            }
            self.leave(slot, changes);
            self.by_slot[usize::from(slot)] = self.refused.remove(node);
            changes.push(Change::Came(slot));
        }
        if let Some(member) = &mut self.by_slot[usize::from(slot)] {
            member.ticked = Some(ticked);
        }
        if self.own == Some((slot, incarnation)) {
            while let Some((first, written_at)) = self.written.front().copied()
                && first <= number
            {
                self.written.pop_front();
                if first == number {
                    self.fresh_until = Some(written_at + FRESH);
                }
            }
        }
    }

    /// Up to which offset all have read `routes` who may still match by what they know; none if nothing was read here.
    pub fn read_by_all(&self, now: Instant) -> Option<u64> {
        let others = self
            .iter()
            .filter(|(slot, member)| self.own.is_none_or(|(own, _)| own != *slot) && member.may_match(now));
        let applied = others.filter_map(|(_, member)| Some(member.ticked?.applied));
        Some(applied.fold(self.applied?, u64::min))
    }

    /// When the next member that was heard of becomes one that is silent; none if there is none.
    pub fn next_silence(&self, now: Instant) -> Option<Instant> {
        let others = self
            .iter()
            .filter(|(slot, member)| self.own.is_none_or(|(own, _)| own != *slot) && member.may_match(now));
        others.filter_map(|(_, member)| Some(member.ticked?.read_at + FRESH)).min()
    }

    /// Members that have said nothing for so long.
    pub fn silent_for(&self, patience: Duration, now: Instant) -> impl Iterator<Item = (u8, &Member)> {
        self.iter().filter(move |(slot, member)| {
            self.own.is_none_or(|(own, _)| own != *slot)
                && now.saturating_duration_since(member.last_seen()) > patience
        })
    }

    /// Whether of all members that live this node is the first that came.
    pub fn is_eldest(&self, now: Instant) -> bool {
        let Some((_, own)) = self.own else { return false };
        self.iter().all(|(_, member)| member.incarnation >= own || !member.may_match(now))
    }
}
