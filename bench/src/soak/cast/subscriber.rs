//! Clients with a durable session that subscribe once and stay: subscribers, members of shared groups, watchers of
//! wills, and, without a filter, those that merely hold a connection.

use std::io;

use super::{Role, ended_by_broker, trouble::Trouble};
use crate::soak::{
    client::{Client, Event},
    world::{Phase, World},
};

/// See the module.
#[derive(Debug)]
pub(super) struct Subscriber {
    filters: Vec<(String, u8)>,
    /// On whose account its messages go.
    audience: usize,
    subscribed: bool,
    trouble: Trouble,
}

impl Subscriber {
    /// Of these filters, with their maximum QoS.
    pub(super) fn new(filters: Vec<(String, u8)>, audience: usize, trouble: Trouble) -> Self {
        Self { subscribed: filters.is_empty(), filters, audience, trouble }
    }
}

impl Role for Subscriber {
    fn tick(&mut self, client: &mut Client, world: &mut World) -> io::Result<()> {
        self.trouble.tick(client, world).map(drop)
    }

    fn event(&mut self, event: Event, client: &mut Client, world: &mut World) -> io::Result<()> {
        match event {
            Event::Up if !self.subscribed => client.subscribe(&self.filters),
            Event::Subscribed(codes) => {
                self.subscribed = true;
                if codes.iter().ne(self.filters.iter().map(|(_, qos)| qos)) {
                    let name = &client.profile.client_identifier;
                    world.board.misconduct(format!("{name} got SUBACK {codes:02x?} for {:?}", self.filters));
                }
            }
            Event::Message { topic, payload, .. } => {
                let since = client.up_since().unwrap_or(world.now);
                world.board.heard(self.audience, &topic, &payload, since);
            }
            Event::Ended(told, end) => {
                ended_by_broker(client, told, &end, world);
                self.trouble.ended(world);
            }
            Event::Up | Event::Unsubscribed(_) => {}
        }
        Ok(())
    }

    fn at_rest(&self, client: &Client, _phase: Phase) -> bool {
        client.is_up() && client.is_idle() && self.subscribed
    }
}
