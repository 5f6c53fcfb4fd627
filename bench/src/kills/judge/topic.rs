//! What was published to one topic name, as its publisher sees it.

use std::collections::BTreeSet;

use crate::kills::sequences::Sequences;

/// See the module.
#[derive(Debug)]
pub(crate) struct Topic {
    /// The topic name.
    pub name: String,
    /// 1 or 2.
    pub qos: u8,
    /// It holds wills.
    pub is_will: bool,
    next: u32,
    /// Acknowledged to the publisher.
    acknowledged: Sequences,
    /// Acknowledged or given up.
    answered: Sequences,
    again: BTreeSet<u32>,
    withdrawn: BTreeSet<u32>,
}

impl Topic {
    /// Nothing was published yet.
    pub(super) fn new(name: String, qos: u8, is_will: bool) -> Self {
        Self {
            name,
            qos,
            is_will,
            next: 0,
            acknowledged: Sequences::default(),
            answered: Sequences::default(),
            again: BTreeSet::new(),
            withdrawn: BTreeSet::new(),
        }
    }

    /// The sequence number of the next message.
    pub(crate) const fn next(&self) -> u32 {
        self.next
    }

    /// Everything before this one was acknowledged, or given up.
    pub(super) fn answered(&self) -> u32 {
        self.answered.first_absent().min(self.next)
    }

    /// What the publisher has an acknowledgement for.
    pub(super) const fn acknowledged(&self) -> &Sequences {
        &self.acknowledged
    }

    /// Whether the publisher has its acknowledgement.
    pub(super) fn is_acknowledged(&self, sequence: u32) -> bool {
        self.acknowledged.contains(sequence)
    }

    /// The broker may take it for two messages of QoS 1.
    pub(super) fn was_sent_again(&self, sequence: u32) -> bool {
        self.again.contains(&sequence)
    }

    /// It is a will that was taken back.
    pub(super) fn is_withdrawn(&self, sequence: u32) -> bool {
        self.withdrawn.contains(&sequence)
    }

    /// Sent, for the first time or again.
    pub(super) fn sent(&mut self, sequence: u32, again: bool) {
        self.next = self.next.max(sequence + 1);
        if again {
            self.again.insert(sequence);
        }
    }

    /// Acknowledged.
    pub(super) fn acknowledge(&mut self, sequence: u32) {
        self.acknowledged.insert(sequence);
        self.answered.insert(sequence);
    }

    /// Given up: it may have arrived, or not.
    pub(super) fn abandon(&mut self, sequence: u32) {
        self.answered.insert(sequence);
    }

    /// A will that must not be published.
    pub(super) fn withdraw(&mut self, sequence: u32) {
        self.withdrawn.insert(sequence);
        self.answered.insert(sequence);
    }
}
