//! What retained messages take of the limits: of the node's, and of those of the client that set them last. Pure.
//!
//! A message is charged to the client identifier that set it. Who sets a topic name takes its charge over; what is removed
//! or has expired is charged to nobody. A client that is gone keeps its charge: its messages are still there. What the
//! node publishes itself is charged to nobody, and never refused.

use std::collections::HashMap;

use crate::message::{Publication, StoredMessage};
use crate::settings::SessionSettings;

/// Which of the limits has no room for a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Full {
    /// `retained_messages_max` or `retained_bytes_max`.
    Node,
    /// `retained_messages_per_client_max` or `retained_bytes_per_client_max`.
    Client,
}

/// What all clients may have kept together, and what one of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RetainedLimits {
    /// Of all clients.
    pub node: Amount,
    /// Of each client identifier.
    pub client: Amount,
}

impl RetainedLimits {
    /// As the settings have them.
    pub fn of(settings: &SessionSettings) -> Self {
        Self {
            node: Amount { messages: settings.retained_messages_max, bytes: settings.retained_bytes_max },
            client: Amount {
                messages: settings.retained_messages_per_client_max,
                bytes: settings.retained_bytes_per_client_max,
            },
        }
    }
}

/// Messages and their bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Amount {
    /// Messages.
    pub messages: usize,
    /// Bytes of topic names, properties and payloads.
    pub bytes: usize,
}

impl Amount {
    /// Whether one message more or less, in place of another or not, stays within the limit; one that takes nothing more
    /// always does.
    fn admits(self, max: Self, bytes: usize, in_place_of: Option<usize>) -> bool {
        let freed = in_place_of.unwrap_or(0);
        (in_place_of.is_some() || self.messages < max.messages)
            && (bytes <= freed || self.bytes - freed + bytes <= max.bytes)
    }
}

/// What one message takes, and of whom; of nobody if the node published it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Charge {
    owner: Option<u64>,
    bytes: usize,
}

impl Charge {
    pub(super) fn of(message: &StoredMessage) -> Self {
        Self::of_publication(&message.publication())
    }

    pub(super) fn of_publication(publication: &Publication<'_>) -> Self {
        let owner = publication.publisher.map(|_| publication.publisher_hash);
        Self { owner, bytes: publication.stored_bytes() }
    }
}

/// See the module.
#[derive(Debug)]
pub(super) struct Charges {
    limits: RetainedLimits,
    all: Amount,
    /// By the hash of their client identifier: those who have something kept. The hash is what clients choose, the place in
    /// this table is not.
    owners: HashMap<u64, Amount>,
    /// How often room was made.
    freed: u64,
}

impl Charges {
    pub(super) fn new(limits: RetainedLimits) -> Self {
        Self { limits, all: Amount::default(), owners: HashMap::new(), freed: 0 }
    }

    /// Whether a message finds room in place of what is kept under its topic name, if anything is.
    ///
    /// # Errors
    /// The limit that has no room for it.
    pub(super) fn admit(&self, new: Charge, old: Option<Charge>) -> Result<(), Full> {
        let Some(owner) = new.owner else { return Ok(()) };
        let charged = old.filter(|old| old.owner.is_some());
        if !self.all.admits(self.limits.node, new.bytes, charged.map(|old| old.bytes)) {
            return Err(Full::Node);
        }
        let own = charged.filter(|old| old.owner == new.owner).map(|old| old.bytes);
        match self.of_client(owner).admits(self.limits.client, new.bytes, own) {
            true => Ok(()),
            false => Err(Full::Client),
        }
    }

    /// A topic name has another charge, or none any more.
    pub(super) fn replace(&mut self, old: Option<Charge>, new: Option<Charge>) {
        if old == new {
            return;
        }
        if let Some(charge) = new {
            self.charge(charge);
        }
        let Some(gone) = old else { return };
        self.free(gone);
        let takes_as_much = new.is_some_and(|new| new.owner == gone.owner && new.bytes >= gone.bytes);
        self.freed += u64::from(!takes_as_much && gone.owner.is_some());
    }

    fn charge(&mut self, charge: Charge) {
        let Some(owner) = charge.owner else { return };
        for amount in [&mut self.all, self.owners.entry(owner).or_default()] {
            amount.messages += 1;
            amount.bytes += charge.bytes;
        }
    }

    fn free(&mut self, charge: Charge) {
        let Some(owner) = charge.owner else { return };
        self.all.messages -= 1;
        self.all.bytes -= charge.bytes;
        if let Some(amount) = self.owners.get_mut(&owner) {
            amount.messages -= 1;
            amount.bytes -= charge.bytes;
            if amount.messages == 0 {
                self.owners.remove(&owner);
            }
        }
        // A million owners that are gone leave no table behind.
        if self.owners.len() < self.owners.capacity() / 8 {
            self.owners.shrink_to(self.owners.len() * 2);
        }
    }

    /// What a client has kept, by the hash of its client identifier.
    pub(super) fn of_client(&self, owner: u64) -> Amount {
        self.owners.get(&owner).copied().unwrap_or_default()
    }

    /// How often room was made: who found none may find some when this has grown.
    pub(super) fn freed(&self) -> u64 {
        self.freed
    }

    /// What all clients have kept together.
    #[cfg(any(test, feature = "simulation"))]
    pub(super) fn all(&self) -> Amount {
        self.all
    }

    /// The same, added up from what each has.
    #[cfg(any(test, feature = "simulation"))]
    pub(super) fn sum_of_clients(&self) -> Amount {
        self.owners.values().fold(Amount::default(), |sum, amount| Amount {
            messages: sum.messages + amount.messages,
            bytes: sum.bytes + amount.bytes,
        })
    }
}
