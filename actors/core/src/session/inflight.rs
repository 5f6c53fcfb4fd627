//! QoS 1 and 2 messages sent to a client and not yet acknowledged, by packet identifier and in the order sent.

use mqtt_codec::PacketIdentifier;
use std::collections::{BTreeMap, HashMap, VecDeque};

use crate::queue::Queued;

/// What the client owes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Owed {
    /// PUBACK
    PubAck,
    /// PUBREC
    PubRec,
    /// PUBCOMP
    PubComp,
}

/// One message in flight.
#[derive(Debug)]
pub struct InflightEntry {
    /// What the client owes for it.
    pub owed: Owed,
    /// Whether it was sent on the present network connection.
    pub on_wire: bool,
    /// Whether it is the node's own message, and no client's.
    pub own: bool,
    /// What is needed to send it again, or to give it back to a shared subscription; none for a session that ends with
    /// its network connection anyway.
    pub kept: Option<Box<Queued>>,
}

/// How far all in flight are looked through, in the order sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Behind {
    /// Of those set aside up to this one; none of the others.
    SetAside(u64),
    /// Up to this one.
    Sent(PacketIdentifier),
}

impl Default for Behind {
    fn default() -> Self {
        Self::SetAside(0)
    }
}

const IDENTIFIERS: usize = 65_535;

/// Identifiers are given in order, so acknowledgements are found by subtraction. One that stays away while 65,535 later
/// ones come and go is set aside.
#[derive(Debug)]
pub struct Inflight {
    /// Identifier of the first entry.
    first: u16,
    entries: VecDeque<Option<InflightEntry>>,
    /// Older than all of `entries`: by identifier, with the order sent.
    set_aside: HashMap<u16, (u64, InflightEntry), rustc_hash::FxBuildHasher>,
    /// Their identifiers, in the order sent.
    aside_order: BTreeMap<u64, u16>,
    /// How many were ever set aside.
    aside_count: u64,
    live: usize,
    on_wire: usize,
}

impl Default for Inflight {
    fn default() -> Self {
        Self {
            first: 1,
            entries: VecDeque::new(),
            set_aside: HashMap::default(),
            aside_order: BTreeMap::new(),
            aside_count: 0,
            live: 0,
            on_wire: 0,
        }
    }
}

/// `identifier + n` among 1 to 65,535.
fn plus(identifier: u16, n: usize) -> u16 {
    ((usize::from(identifier) - 1 + n) % IDENTIFIERS) as u16 + 1
}

impl Inflight {
    /// Messages in flight.
    #[inline]
    pub fn len(&self) -> usize {
        self.live
    }

    /// Whether none is in flight.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.live == 0
    }

    /// Whether another one may be sent, with so many places in the client's receive maximum.
    #[inline]
    pub fn has_place(&self, inflight_max: u16) -> bool {
        self.on_wire < usize::from(inflight_max) && self.len() < usize::from(u16::MAX) - 1
    }

    /// Those of them that take a place in the client's receive maximum [MQTT-4.9.0-2].
    #[inline]
    pub fn on_wire(&self) -> usize {
        self.on_wire
    }

    /// Takes a message in and gives it a packet identifier that is not in use [MQTT-2.2.1-4]. The caller keeps the
    /// number in flight below 65,535.
    pub fn push(&mut self, entry: InflightEntry) -> PacketIdentifier {
        debug_assert!(self.live < IDENTIFIERS);
        loop {
            if self.entries.len() == IDENTIFIERS - 1 {
                self.set_first_aside();
            }
            let identifier = plus(self.first, self.entries.len());
            if self.set_aside.contains_key(&identifier) {
                self.entries.push_back(None);
                self.drop_answered();
                continue;
            }
            self.live += 1;
            self.on_wire += usize::from(entry.on_wire);
            self.entries.push_back(Some(entry));
            return PacketIdentifier::new(identifier).expect("plus() gives 1 to 65,535");
        }
    }

    /// Takes a message in that an earlier process sent with this packet identifier, behind those that it sent before. To be
    /// done before any other.
    pub fn restore(&mut self, identifier: PacketIdentifier, entry: InflightEntry) {
        debug_assert!(self.entries.is_empty() && !entry.on_wire);
        self.set_aside_as(identifier.get(), entry);
        self.live += 1;
    }

    fn set_aside_as(&mut self, identifier: u16, entry: InflightEntry) {
        self.aside_count += 1;
        self.set_aside.insert(identifier, (self.aside_count, entry));
        self.aside_order.insert(self.aside_count, identifier);
    }

    fn set_first_aside(&mut self) {
        if let Some(Some(entry)) = self.entries.pop_front() {
            self.set_aside_as(self.first, entry);
        }
        self.first = plus(self.first, 1);
        self.drop_answered();
    }

    fn drop_answered(&mut self) {
        while let Some(None) = self.entries.front() {
            self.entries.pop_front();
            self.first = plus(self.first, 1);
        }
        if self.entries.is_empty() && self.entries.capacity() > 64 {
            self.entries = VecDeque::new();
        }
    }

    fn position(&self, identifier: PacketIdentifier) -> usize {
        (usize::from(identifier.get()) + IDENTIFIERS - usize::from(self.first)) % IDENTIFIERS
    }

    /// The message with this packet identifier.
    pub fn get(&self, identifier: PacketIdentifier) -> Option<&InflightEntry> {
        match self.entries.get(self.position(identifier)) {
            Some(Some(entry)) => Some(entry),
            _ => self.set_aside.get(&identifier.get()).map(|(_, entry)| entry),
        }
    }

    /// What is kept of the message with this packet identifier.
    pub fn kept_mut(&mut self, identifier: PacketIdentifier) -> Option<&mut Queued> {
        let position = self.position(identifier);
        let entry = match self.entries.get_mut(position) {
            Some(Some(entry)) => entry,
            _ => self.set_aside.get_mut(&identifier.get()).map(|(_, entry)| entry)?,
        };
        entry.kept.as_deref_mut()
    }

    /// Lets a message change; its place in the receive maximum is counted anew.
    pub fn update<R>(
        &mut self,
        identifier: PacketIdentifier,
        change: impl FnOnce(&mut InflightEntry) -> R,
    ) -> Option<R> {
        let position = self.position(identifier);
        let entry = match self.entries.get_mut(position) {
            Some(Some(entry)) => entry,
            _ => self.set_aside.get_mut(&identifier.get()).map(|(_, entry)| entry)?,
        };
        let before = entry.on_wire;
        let result = change(entry);
        self.on_wire = self.on_wire + usize::from(entry.on_wire) - usize::from(before);
        Some(result)
    }

    /// Takes a message out: it is settled, or goes back to its group.
    pub fn remove(&mut self, identifier: PacketIdentifier) -> Option<InflightEntry> {
        let position = self.position(identifier);
        let entry = match self.entries.get_mut(position).and_then(Option::take) {
            Some(entry) => {
                self.drop_answered();
                entry
            }
            None => {
                let (order, entry) = self.set_aside.remove(&identifier.get())?;
                self.aside_order.remove(&order);
                entry
            }
        };
        self.live -= 1;
        self.on_wire -= usize::from(entry.on_wire);
        Some(entry)
    }

    /// Takes the one out that was sent first.
    pub fn take_first(&mut self) -> Option<InflightEntry> {
        let first = self.aside_order.first_key_value().map_or(self.first, |(_, identifier)| *identifier);
        // The first of the others is there: those that are answered are dropped at once.
        self.remove(PacketIdentifier::new(first)?)
    }

    /// The packet identifiers in use, in the order sent.
    pub fn identifiers(&self) -> Vec<PacketIdentifier> {
        let aside = self.aside_order.values().copied();
        let ring = self.entries.iter().enumerate();
        let ring = ring.filter(|(_, entry)| entry.is_some()).map(|(at, _)| plus(self.first, at));
        aside.chain(ring).filter_map(PacketIdentifier::new).collect()
    }

    /// The next of those behind one, in the order sent: of `most` that are or were in flight. With them comes the last that
    /// was looked at; none if that is the last of all.
    pub fn next_behind(&self, behind: Behind, most: usize) -> (Vec<PacketIdentifier>, Option<Behind>) {
        let (mut found, mut left) = (Vec::new(), most.max(1));
        let mut from = 0;
        match behind {
            Behind::SetAside(order) => {
                for (order, identifier) in self.aside_order.range(order + 1..) {
                    found.extend(PacketIdentifier::new(*identifier));
                    left -= 1;
                    if left == 0 {
                        return (found, Some(Behind::SetAside(*order)));
                    }
                }
            }
            // If it is gone, those before it are, too.
            Behind::Sent(identifier) => {
                from = Some(self.position(identifier))
                    .filter(|at| *at < self.entries.len())
                    .map_or(0, |at| at + 1);
            }
        }
        let end = self.entries.len().min(from + left);
        let some = self.entries.range(from..end).enumerate().filter(|(_, entry)| entry.is_some());
        found.extend(some.filter_map(|(at, _)| PacketIdentifier::new(plus(self.first, from + at))));
        let last =
            PacketIdentifier::new(plus(self.first, end.max(1) - 1)).filter(|_| end < self.entries.len());
        (found, last.map(Behind::Sent))
    }

    /// Those of the node's own.
    pub fn own(&self) -> usize {
        self.all().filter(|entry| entry.own).count()
    }

    fn all(&self) -> impl Iterator<Item = &InflightEntry> {
        self.entries.iter().flatten().chain(self.set_aside.values().map(|(_, entry)| entry))
    }

    /// The messages kept.
    pub fn kept(&self) -> impl Iterator<Item = &Queued> {
        self.all().filter_map(|entry| entry.kept.as_deref())
    }

    /// Whether what is counted is there.
    #[cfg(feature = "simulation")]
    pub fn check(&self) -> Result<(), String> {
        let found = (self.all().count(), self.all().filter(|entry| entry.on_wire).count());
        let counted = (self.live, self.on_wire);
        match found == counted {
            true => Ok(()),
            false => Err(format!("{found:?} are in flight and on the wire, {counted:?} are counted")),
        }
    }

    /// The network connection is gone: nothing is on the wire any more.
    pub fn forget_wire(&mut self) {
        for entry in
            self.entries.iter_mut().flatten().chain(self.set_aside.values_mut().map(|(_, entry)| entry))
        {
            entry.on_wire = false;
        }
        self.on_wire = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn entry() -> InflightEntry {
        InflightEntry { owed: Owed::PubAck, on_wire: true, own: false, kept: None }
    }

    fn id(n: u16) -> PacketIdentifier {
        PacketIdentifier::new(n).unwrap()
    }

    #[test]
    fn identifiers_count_up_and_wrap_past_65535() {
        let mut inflight = Inflight::default();
        for expected in (1..=65_535).chain(1..=10) {
            let identifier = inflight.push(entry());
            assert_eq!(identifier.get(), expected);
            assert!(inflight.remove(identifier).is_some());
        }
    }

    #[test]
    fn one_that_is_never_acknowledged_does_not_stop_the_others() {
        let mut inflight = Inflight::default();
        let stuck = inflight.push(entry());
        for _ in 0..200_000 {
            let identifier = inflight.push(entry());
            assert_ne!(identifier, stuck);
            inflight.remove(identifier).unwrap();
        }
        assert_eq!(inflight.len(), 1);
        assert_eq!(inflight.identifiers(), [stuck]);
        assert!(inflight.remove(stuck).is_some());
        assert!(inflight.remove(stuck).is_none());
        assert!(inflight.entries.is_empty() && inflight.set_aside.is_empty());
    }

    /// Oldest first, those that were set aside before all others.
    #[test]
    fn all_are_taken_in_the_order_sent() {
        let mut inflight = Inflight::default();
        let stuck = [inflight.push(entry()), inflight.push(entry())];
        for _ in 0..70_000 {
            let identifier = inflight.push(entry());
            inflight.remove(identifier).unwrap();
        }
        let mut expected = stuck.to_vec();
        expected.extend((0..3).map(|_| inflight.push(entry())));
        for identifier in &expected {
            assert_eq!(inflight.identifiers().first(), Some(identifier));
            assert!(inflight.take_first().is_some());
        }
        assert!(inflight.take_first().is_none() && inflight.is_empty() && inflight.aside_order.is_empty());
    }

    /// What is acknowledged takes no memory any more, in whatever order that comes.
    #[test]
    fn nothing_is_held_for_what_is_acknowledged() {
        let mut inflight = Inflight::default();
        for _ in 0..3 {
            let identifiers: Vec<_> = (0..1000).map(|_| inflight.push(entry())).collect();
            for identifier in identifiers.iter().skip(1) {
                assert!(inflight.remove(*identifier).is_some());
            }
            assert_eq!(inflight.entries.len(), 1000, "behind the first");
            assert!(inflight.remove(identifiers[0]).is_some());
            assert_eq!((inflight.entries.len(), inflight.entries.capacity()), (0, 0));
        }
    }

    #[test]
    fn the_window_counts_what_is_on_the_wire() {
        let mut inflight = Inflight::default();
        inflight.push(entry());
        inflight.push(entry());
        inflight.forget_wire();
        assert_eq!((inflight.len(), inflight.on_wire()), (2, 0));
        inflight.update(id(1), |entry| entry.on_wire = true);
        assert_eq!(inflight.on_wire(), 1);
    }

    proptest! {
        #[test]
        fn behaves_like_an_ordered_list(steps in proptest::collection::vec((any::<bool>(), any::<usize>()), 1..300)) {
            let mut inflight = Inflight::default();
            let mut model: Vec<PacketIdentifier> = Vec::new();
            for (add, choice) in steps {
                if add || model.is_empty() {
                    let identifier = inflight.push(entry());
                    prop_assert!(!model.contains(&identifier));
                    model.push(identifier);
                } else {
                    let identifier = model.remove(choice % model.len());
                    prop_assert!(inflight.remove(identifier).is_some());
                    prop_assert!(inflight.get(identifier).is_none());
                }
                prop_assert_eq!(inflight.len(), model.len());
                prop_assert_eq!(inflight.on_wire(), model.len());
            }
            prop_assert_eq!(in_pieces(&inflight, |_| {}), model.clone());
            prop_assert_eq!(inflight.identifiers(), model);
        }
    }

    /// All of them, looked through in pieces; `meanwhile` is done with each.
    fn in_pieces(
        inflight: &Inflight,
        mut meanwhile: impl FnMut(&[PacketIdentifier]),
    ) -> Vec<PacketIdentifier> {
        let (mut behind, mut all) = (Some(Behind::default()), Vec::new());
        while let Some(from) = behind {
            let (found, last) = inflight.next_behind(from, 3);
            assert!(found.len() <= 3);
            meanwhile(&found);
            all.extend(found);
            behind = last;
        }
        all
    }

    /// In the order sent, those that were set aside first; also where what was looked at is taken out meanwhile.
    #[test]
    fn all_are_looked_through_in_pieces() {
        let mut inflight = Inflight::default();
        for number in 0..70_000 {
            let identifier = inflight.push(entry());
            if number % 10_000 > 3 {
                inflight.remove(identifier);
            }
        }
        assert!(!inflight.set_aside.is_empty());
        let expected = inflight.identifiers();
        assert_eq!(in_pieces(&inflight, |_| {}), expected);
        let (mut behind, mut taken) = (Some(Behind::default()), Vec::new());
        while let Some(from) = behind {
            let (found, last) = inflight.next_behind(from, 3);
            found.iter().for_each(|identifier| assert!(inflight.remove(*identifier).is_some()));
            taken.extend(found);
            behind = last;
        }
        assert!(taken == expected && inflight.is_empty());
    }
}
