//! Subscriptions of clients that are connected already.

use std::time::Instant;

use super::{Engine, LONGEST_WAIT, Subscription};
use crate::failure::Failure;

impl Engine {
    /// Every client subscribes, all at the same time, each with one SUBSCRIBE under way. Ends when all were granted.
    pub(super) fn subscribe(&mut self, subscription: impl Fn(u32) -> Subscription) -> Result<(), Failure> {
        let of = self.connections.len();
        self.up = 0;
        for index in 0..of {
            let number = self.number_of(index) as u32;
            let Self { connections, traffic, .. } = self;
            let connection = &mut connections[index];
            let interest = connection.interest();
            traffic.out.clear();
            self.up += usize::from(!connection.subscribe_to(subscription(number), traffic));
            connection.write(&traffic.out)?;
            self.register(index, interest)?;
        }
        let mut ticker = self.ticker();
        let (mut progress, mut since) = (self.traffic.progress, Instant::now());
        while self.up < of {
            self.serve(LONGEST_WAIT)?;
            let now = self.traffic.tick();
            self.tell(&mut ticker, now, [self.up as u64, of as u64, 0], |[up, of, _]| {
                format!("{up} of {of} clients subscribed")
            });
            if self.traffic.progress != progress {
                (progress, since) = (self.traffic.progress, Instant::now());
            } else if since.elapsed() > self.settings.timeout {
                let waited = self.settings.timeout;
                return Err(Failure::Timeout { doing: "subscribing", done: self.up, of, waited });
            }
        }
        Ok(())
    }
}
