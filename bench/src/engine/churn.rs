//! Clients that come and go: what a connection costs from its first byte to its end.
//!
//! A client that leaves sends DISCONNECT and waits for the broker to close. So the cost of the end belongs to the
//! connection as well, and the port is free at once: the side that closes first has to keep it for a minute.

use std::time::Instant;

use super::{Amount, Client, Engine, LONGEST_WAIT, Publisher, Subscriber, traffic::Traffic};
use crate::{
    failure::Failure,
    latency::Histogram,
    wire::{PublishHead, Stamp},
};

/// A client that publishes one message to itself on each connection. It goes on with the sequence numbers of its
/// former connection, so that a message of that one shows.
#[derive(Debug)]
pub(crate) struct Churner {
    pub(super) publisher: Publisher,
    subscriber: Subscriber,
    qos: u8,
    /// Messages delivered; with QoS 2, those whose identifier the broker released.
    received: u32,
}

impl Churner {
    /// The publisher and the subscriber in one.
    pub(crate) fn new(mut publisher: Publisher, subscriber: Subscriber) -> Self {
        publisher.begin(1);
        Self { qos: publisher.qos(), publisher, subscriber, received: 0 }
    }

    pub(super) fn delivered(&mut self, head: PublishHead, stamp: Stamp, traffic: &mut Traffic) -> bool {
        if self.qos < 2 {
            self.received += 1;
        }
        self.subscriber.delivered(head, stamp, traffic)
    }

    /// Messages that never came.
    pub(super) fn lost(&self) -> u64 {
        self.subscriber.lost_in_turn(&[self.publisher.published()])
    }

    pub(super) fn released(&mut self) {
        self.received += 1;
    }

    /// All that was published came back and was acknowledged, both ways.
    pub(super) fn is_done(&self) -> bool {
        self.received >= self.publisher.published() && self.publisher.is_settled()
    }
}

/// What came of a time of churn.
#[derive(Debug, Default)]
pub(crate) struct Cycles {
    /// Connections made, used and closed.
    pub completed: u64,
    /// From the first to the last.
    pub seconds: f64,
    /// From the first byte of a connection to its end.
    pub duration: Histogram,
    /// Nothing happened any more.
    pub stalled: bool,
}

impl Cycles {
    /// Those of two engines at the same time.
    pub(super) fn and(mut self, other: Self) -> Self {
        self.duration.add(&other.duration);
        Self {
            completed: self.completed + other.completed,
            seconds: self.seconds.max(other.seconds),
            duration: self.duration,
            stalled: self.stalled || other.stalled,
        }
    }
}

impl Engine {
    /// All clients leave, as many at once as come at once. Ends when the broker closed all connections.
    pub(super) fn depart(&mut self) -> Result<(), Failure> {
        let of = self.connections.len();
        let (mut next, mut done, mut since) = (0, 0, Instant::now());
        while done < of {
            while next < of && next - done < self.settings.handshakes {
                let interest = self.connections[next].interest();
                self.connections[next].leave()?;
                self.register(next, interest)?;
                next += 1;
            }
            self.serve(LONGEST_WAIT)?;
            if !self.departed.is_empty() {
                done += self.departed.len();
                self.departed.clear();
                since = Instant::now();
            } else if since.elapsed() > self.settings.timeout {
                let waited = self.settings.timeout;
                return Err(Failure::Timeout { doing: "disconnecting", done, of, waited });
            }
        }
        self.connections.clear();
        self.publishers.clear();
        self.up = 0;
        Ok(())
    }

    /// Further clients, and those of the last time, connect, do what they are there for and leave, again and again.
    /// Ends when all left; an amount of messages is one of connections of each client here.
    pub(super) fn churn(
        &mut self,
        further: impl Iterator<Item = Client>,
        amount: Amount,
    ) -> Result<Cycles, Failure> {
        let started = Instant::now();
        self.traffic.latency.clear();
        for index in 0..self.connections.len() {
            self.reopen(index)?;
        }
        for client in further {
            self.open(client)?;
        }
        let clients = self.connections.len();
        let mut begun = vec![self.traffic.tick(); clients];
        let mut opened = clients as u64;
        let mut goal = match amount {
            Amount::Messages(each) => u64::from(each) * opened,
            Amount::Time(_) => u64::MAX,
        };
        let mut duration = Histogram::default();
        let (mut completed, mut stalled) = (0, false);
        let (mut last, mut ticker) = (started, self.ticker());
        while completed < opened {
            self.pump()?;
            self.serve(LONGEST_WAIT)?;
            let (instant, now) = (Instant::now(), self.traffic.tick());
            if let Amount::Time(time) = amount
                && instant - started >= time
            {
                goal = opened;
            }
            if !self.departed.is_empty() {
                last = instant;
            } else if instant - last > self.settings.timeout {
                stalled = true;
                break;
            }
            while let Some(index) = self.departed.pop() {
                completed += 1;
                duration.record(now - begun[index]);
                if opened < goal {
                    opened += 1;
                    begun[index] = now;
                    self.reopen(index)?;
                }
            }
            self.tell(&mut ticker, now, [completed, 0, 0], |[completed, ..]| {
                format!("{completed} connections came and went")
            });
        }
        let seconds = (last - started).as_secs_f64();
        Ok(Cycles { completed, seconds, duration, stalled })
    }

    fn reopen(&mut self, index: usize) -> Result<(), Failure> {
        let transport = self.dial(index, None)?;
        let connection = &mut self.connections[index];
        connection.restart(transport);
        if let Some(publisher) = connection.publisher() {
            publisher.begin(1);
        }
        Ok(())
    }
}
