//! What an engine found, for the report of the run.

use super::{Engine, Role};
use crate::{latency::Histogram, order::Faults, seen::Seen};

impl Engine {
    /// Publishing clients.
    pub(super) fn publishers(&self) -> usize {
        self.publishers.len()
    }

    /// Adds what each publisher published, by its number.
    pub(super) fn count_published(&mut self, published: &mut Vec<u32>) {
        for &index in &self.publishers {
            let Some(publisher) = self.connections[index].publisher() else { continue };
            let number = publisher.number() as usize;
            published.resize(published.len().max(number + 1), 0);
            published[number] = publisher.published();
        }
    }

    /// Duplicates, disorder, and what never came, over the whole run, except what groups did not see.
    pub(super) fn faults(&self, published: &[u32]) -> Faults {
        let lost = self.connections.iter().map(|connection| match connection.role() {
            Role::Subscriber(subscriber) => subscriber.lost(published),
            Role::Churner(churner) => churner.lost(),
            Role::Member(_) | Role::Publisher(_) | Role::Idle | Role::Deaf(_) | Role::Flooder(_) => 0,
        });
        Faults { lost: lost.sum(), ..self.traffic.faults }
    }

    /// What groups saw here.
    pub(super) fn seen(&self) -> &Seen {
        &self.traffic.seen
    }

    /// Publishes whose acknowledgement never came.
    pub(super) fn unacknowledged(&self) -> u64 {
        self.traffic.in_flight
    }

    /// Latencies of the deliveries of the last phase.
    pub(super) fn latency(&self) -> &Histogram {
        &self.traffic.latency
    }

    /// The broker's Receive Maximum, if it narrowed the window that was asked for.
    pub(super) fn narrowed_window(&self) -> Option<u16> {
        self.traffic.narrowed_window
    }

    /// Clients that never read and whose connection the broker closed.
    pub(super) fn gone(&self) -> usize {
        self.gone
    }
}
