//! A subscription as its client sees it: asked for again after a reconnect until the broker has answered.

use super::{
    event::{self, Event},
    world::World,
};
use crate::{exchange::packets, wire::Version};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Absent,
    /// SUBSCRIBE is to be sent, or was with this packet identifier.
    Asking(Option<u16>),
    Present,
    /// UNSUBSCRIBE is to be sent, or was with this packet identifier.
    Leaving(Option<u16>),
}

/// See the module.
#[derive(Debug)]
pub(super) struct Subscription {
    filter: String,
    qos: u8,
    /// What is known of it to the judge; nothing of those that look at retained messages.
    audience: Option<event::Audience>,
    state: State,
}

impl Subscription {
    /// One that is to be made.
    pub(super) const fn new(filter: String, qos: u8, audience: Option<event::Audience>) -> Self {
        Self { filter, qos, audience, state: State::Asking(None) }
    }

    /// Nothing is left to be asked or answered.
    pub(super) const fn is_settled(&self) -> bool {
        matches!(self.state, State::Present | State::Absent)
    }

    /// Made, as the broker says.
    pub(super) fn is_present(&self) -> bool {
        self.state == State::Present
    }

    /// It is to be made where it is not, and to be ended where it is; not while an answer is due.
    pub(super) const fn toggle(&mut self) {
        match self.state {
            State::Absent => self.state = State::Asking(None),
            State::Present => self.state = State::Leaving(None),
            State::Asking(_) | State::Leaving(_) => {}
        }
    }

    /// An answer that is due does not come any more.
    pub(super) const fn disconnected(&mut self) {
        match &mut self.state {
            State::Asking(sent) | State::Leaving(sent) => *sent = None,
            State::Absent | State::Present => {}
        }
    }

    /// The broker has no session, and so no subscription.
    pub(super) fn forgotten(&mut self, client: event::Client, world: &mut World) {
        match self.state {
            State::Present => self.state = State::Asking(None),
            State::Leaving(_) => {
                self.state = State::Absent;
                if let Some(audience) = self.audience {
                    world.tell(Event::Unsubscribed { client, audience });
                }
            }
            State::Absent | State::Asking(_) => {}
        }
    }

    /// Appends the SUBSCRIBE or UNSUBSCRIBE that is due.
    pub(super) fn ask(
        &mut self,
        client: event::Client,
        version: Version,
        identifier: impl FnOnce() -> u16,
        out: &mut Vec<u8>,
        world: &mut World,
    ) {
        match &mut self.state {
            State::Asking(sent @ None) => {
                let packet_identifier = *sent.insert(identifier());
                packets::subscribe(out, version, packet_identifier, &[(self.filter.clone(), self.qos)]);
                if let Some(audience) = self.audience {
                    world.tell(Event::Subscribing { client, audience });
                }
            }
            State::Leaving(sent @ None) => {
                let packet_identifier = *sent.insert(identifier());
                packets::unsubscribe(out, version, packet_identifier, &self.filter);
                if let Some(audience) = self.audience {
                    world.tell(Event::Unsubscribing { client, audience });
                }
            }
            _ => {}
        }
    }

    /// A SUBACK or UNSUBACK came, for this one or another.
    pub(super) fn answered(
        &mut self,
        client: event::Client,
        packet_identifier: u16,
        codes: &[u8],
        world: &mut World,
    ) {
        let event: fn(event::Client, event::Audience) -> Event = match self.state {
            State::Asking(Some(sent)) if sent == packet_identifier => {
                if codes != [self.qos] {
                    let who = world.judge.client_name(client).to_owned();
                    let sentence = format!("{who} got SUBACK {codes:02x?} for {}", self.filter);
                    world.judge.misconduct(Some(client), sentence);
                }
                self.state = State::Present;
                |client, audience| Event::Subscribed { client, audience }
            }
            State::Leaving(Some(sent)) if sent == packet_identifier => {
                self.state = State::Absent;
                |client, audience| Event::Unsubscribed { client, audience }
            }
            _ => return,
        };
        if let Some(audience) = self.audience {
            world.tell(event(client, audience));
        }
    }
}

/// Whether a topic filter, shared or not, matches a topic name; `$` is no first letter of the names here.
pub(super) fn matches(filter: &str, name: &str) -> bool {
    let filter = filter
        .strip_prefix("$share/")
        .and_then(|shared| shared.split_once('/'))
        .map_or(filter, |(_, filter)| filter);
    let mut levels = name.split('/');
    for wanted in filter.split('/') {
        match (wanted, levels.next()) {
            ("#", _) => return true,
            ("+", Some(_)) => {}
            (wanted, Some(level)) if wanted == level => {}
            _ => return false,
        }
    }
    levels.next().is_none()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_match_as_in_mqtt() {
        assert!(matches("a/+/c", "a/b/c") && matches("a/#", "a/b/c") && matches("$share/x/a/+/c", "a/b/c"));
        assert!(matches("a/b/c/#", "a/b/c"));
        assert!(!matches("a/+", "a/b/c") && !matches("a/b/d", "a/b/c") && !matches("a/b/c/d", "a/b/c"));
    }
}
