//! Conditions of packets that are answered together, held by one who works on these packets in their order.

use std::collections::VecDeque;

use super::Condition;

/// See the module. What is left of them when it is dropped has failed.
#[derive(Debug)]
pub struct Opened(VecDeque<Condition>);

impl Opened {
    /// Conditions, in the order of their packets, one for each; none if there are none.
    pub fn new(conditions: impl Iterator<Item = Condition>) -> Option<Box<Self>> {
        let conditions: VecDeque<_> = conditions.collect();
        (!conditions.is_empty()).then(|| Box::new(Self(conditions)))
    }

    /// Another condition for a packet, if this one has one.
    pub fn open(&self, packet: usize) -> Option<Condition> {
        let at = self.0.binary_search_by_key(&packet, Condition::packet).ok()?;
        self.0.get(at).cloned()
    }

    /// The packets before this one are worked on: what is still to be done for them others hold.
    pub fn close_before(&mut self, packet: usize) {
        while self.0.front().is_some_and(|first| first.packet() < packet)
            && let Some(first) = self.0.pop_front()
        {
            first.done();
        }
    }

    /// What was done for the packets before this one is lost.
    pub fn fail_before(&mut self, packet: usize) {
        while self.0.front().is_some_and(|first| first.packet() < packet) {
            self.0.pop_front();
        }
    }
}
