//! Who takes part: roles, and how many play each.

mod churner;
mod publisher;
mod retained;
mod slow;
mod subscriber;
mod trouble;
mod visitor;
mod will;

use std::{io, time::Duration};

use self::{
    churner::Churner,
    publisher::{Feed, Publisher},
    retained::{Checker, Writer},
    slow::SlowReader,
    subscriber::Subscriber,
    trouble::Trouble,
    visitor::Visitor,
    will::Testator,
};
use super::{
    board::Promise,
    client::{Client, Event, Leave},
    world::{Phase, World},
};
use crate::exchange::{link::End, packets::Profile};
use crate::wire::Version;

const PUBLISHERS: u32 = 30;
const SUBSCRIBERS: u32 = 24;
/// Durable members of each shared group.
const MEMBERS: u32 = 4;
/// Temporary members of the group for QoS 1.
const VISITORS: u32 = 8;
const WATCHERS: u32 = 4;
const TESTATORS: u32 = 16;
const WRITERS: u32 = 6;
/// Topics with a retained message, of each writer.
const RETAINED_EACH: u32 = 25;
const CHECKERS: u32 = 2;
const CHURNERS: u32 = 40;
const SLOW_READERS: u32 = 4;
const HOLDERS: u32 = 60;

/// Times without trouble of a durable client, in milliseconds.
const WELL: Option<(u32, u32)> = Some((5_000, 60_000));

/// Session expiry interval of durable clients, in seconds: longer than any time they are away.
const DURABLE_SECONDS: u32 = 86_400;

/// What a client does and when.
pub(super) trait Role {
    /// Called some hundred times a second.
    fn tick(&mut self, client: &mut Client, world: &mut World) -> io::Result<()>;

    /// Something happened to its client.
    fn event(&mut self, event: Event, client: &mut Client, world: &mut World) -> io::Result<()>;

    /// Whether it has nothing more to do while the others rest.
    fn at_rest(&self, client: &Client, phase: Phase) -> bool;
}

/// A client and its role.
pub(super) struct Player {
    /// The one.
    pub client: Client,
    /// The other.
    pub role: Box<dyn Role>,
}

/// Everybody, with the topics and audiences on the board.
pub(super) fn assemble(world: &mut World) -> Vec<Player> {
    let mut cast = Cast { players: Vec::new() };
    cast.publishers(world);
    let wills = cast.testators(world);
    cast.writers(world);
    // Audiences know the topics that there are, so those who hear come last.
    cast.subscribers(world);
    cast.members(world);
    cast.watchers(world);
    for _ in 0..CHURNERS {
        cast.churner(world);
    }
    for _ in 0..SLOW_READERS {
        let filters = vec![("soak/s/+/0".to_owned(), 0), ("soak/s/+/1".to_owned(), 1), (wills.clone(), 2)];
        let role = SlowReader::new(filters, world);
        cast.add(temporary(), role);
    }
    for _ in 0..HOLDERS {
        let profile = cast.durable("holder", world);
        cast.add(profile, Subscriber::new(Vec::new(), 0, Trouble::new(world.now, None)));
    }
    cast.players
}

struct Cast {
    players: Vec<Player>,
}

impl Cast {
    fn add(&mut self, profile: Profile, role: impl Role + 'static) {
        let number = self.players.len() as u32;
        self.players.push(Player { client: Client::new(number, profile), role: Box::new(role) });
    }

    /// One of three speaks WebSocket, one of two 5.0, in every combination.
    fn durable(&self, kind: &str, world: &mut World) -> Profile {
        let number = self.players.len() as u32;
        Profile {
            client_identifier: format!("soak-{kind}-{number}"),
            version: if number.is_multiple_of(2) { Version::V5_0 } else { Version::V3_1_1 },
            websocket: number.is_multiple_of(3),
            clean: false,
            expiry_seconds: DURABLE_SECONDS,
            keep_alive_seconds: 20 + world.random.below(20) as u16,
            receive_maximum: world.random.pick(&[20, 100, 65_535]),
            topic_alias_maximum: world.random.pick(&[0, 5, 100]),
            receive_buffer: None,
            will: None,
        }
    }

    fn publishers(&mut self, world: &mut World) {
        for number in 0..PUBLISHERS {
            let profile = self.durable("publisher", world);
            let expiring = (profile.version == Version::V5_0).then_some(2);
            let topics = [
                (format!("soak/s/{number}/0"), 0, None, 250, true),
                (format!("soak/s/{number}/1"), 1, None, 250, true),
                (format!("soak/s/{number}/2"), 2, None, 500, true),
                (format!("soak/s/{number}/expiring"), 1, expiring, 2_000, false),
                (format!("soak/crew/{number}"), 1, None, 500, true),
                (format!("soak/duo/{number}"), 2, None, 1_000, false),
            ];
            let feed =
                |(name, qos, expiry_seconds, every, wild): (String, u8, Option<u32>, u64, bool)| Feed {
                    topic: world
                        .board
                        .add_topic(name, Promise { qos, may_lose: qos == 0 || expiry_seconds.is_some() }),
                    qos,
                    expiry_seconds,
                    every: Duration::from_millis(every),
                    wild,
                    due: world.now,
                };
            let feeds = topics.map(feed).into();
            let role = Publisher::new(feeds, Trouble::new(world.now, WELL), world);
            self.add(profile, role);
        }
    }

    /// Returns the filter for all wills.
    fn testators(&mut self, world: &mut World) -> String {
        for number in 0..TESTATORS {
            let qos = 1 + (number % 2) as u8;
            let topic =
                world.board.add_topic(format!("soak/will/{number}"), Promise { qos, may_lose: false });
            let mut profile = self.durable("testator", world);
            (profile.clean, profile.expiry_seconds) = (true, 0);
            let role = Testator::new(topic, qos, world);
            self.add(profile, role);
        }
        "soak/will/+".into()
    }

    fn writers(&mut self, world: &mut World) {
        for number in 0..WRITERS {
            let qos = 1 + (number % 2) as u8;
            let name = |topic| format!("soak/retained/{number}/{topic}");
            let promise = Promise { qos, may_lose: false };
            let topics =
                (0..RETAINED_EACH).map(|topic| world.board.add_topic(name(topic), promise)).collect();
            let profile = self.durable("writer", world);
            self.add(profile, Writer::new(topics, qos, Trouble::new(world.now, WELL), world.now));
        }
        for number in 0..CHECKERS {
            let profile = Profile {
                client_identifier: format!("soak-checker-{number}"),
                version: [Version::V3_1_1, Version::V5_0][number as usize % 2],
                ..temporary()
            };
            self.add(profile, Checker::new("soak/retained/#".into()));
        }
    }

    fn subscribers(&mut self, world: &mut World) {
        for number in 0..SUBSCRIBERS {
            let filters: Vec<(String, u8)> = match number % 4 {
                0 => vec![("soak/s/+/1".into(), 1)],
                1 => (0..6).map(|at| (format!("soak/s/{}/#", (number + 5 * at) % PUBLISHERS), 2)).collect(),
                2 => vec![("soak/s/+/2".into(), 2)],
                _ => vec![("soak/s/+/0".into(), 0), ("soak/s/+/expiring".into(), 1)],
            };
            self.subscriber("subscriber", filters, world);
        }
    }

    fn members(&mut self, world: &mut World) {
        for (group, qos) in [("crew", 1), ("duo", 2)] {
            let topics = format!("soak/{group}/#");
            let matches = |name: &str| matches(&topics, name);
            let audience = world.board.add_audience(format!("group {group}"), qos, true, matches);
            let filter = format!("$share/{group}/{topics}");
            for _ in 0..MEMBERS {
                let profile = self.durable("member", world);
                let filters = vec![(filter.clone(), qos)];
                self.add(profile, Subscriber::new(filters, audience, Trouble::new(world.now, WELL)));
            }
            // What QoS 2 was sent to a clean session goes with it, so only QoS 1 has temporary members.
            for _ in 0..if qos == 1 { VISITORS } else { 0 } {
                let role = Visitor::new(filter.clone(), audience, world);
                self.add(temporary(), role);
            }
        }
    }

    fn watchers(&mut self, world: &mut World) {
        for number in 0..WATCHERS {
            self.subscriber("watcher", vec![("soak/will/+".into(), 1 + (number % 2) as u8)], world);
        }
    }

    fn subscriber(&mut self, kind: &str, filters: Vec<(String, u8)>, world: &mut World) {
        let profile = self.durable(kind, world);
        let qos = filters.iter().map(|(_, qos)| *qos).max().unwrap_or(0);
        let matches = |name: &str| filters.iter().any(|(filter, _)| matches(filter, name));
        let audience = world.board.add_audience(profile.client_identifier.clone(), qos, false, matches);
        self.add(profile, Subscriber::new(filters, audience, Trouble::new(world.now, WELL)));
    }

    fn churner(&mut self, world: &mut World) {
        let topic = format!("soak/own/{}", self.players.len());
        let mut filters: Vec<_> = (0..PUBLISHERS).map(|number| format!("soak/s/{number}/+")).collect();
        filters.extend(
            ["soak/s/+/0", "soak/s/+/1", "soak/retained/#", "soak/will/+", "$SYS/#"].map(String::from),
        );
        filters.extend((0..WRITERS).map(|number| format!("soak/retained/{number}/+")));
        let role = Churner::new(topic, filters, world);
        self.add(temporary(), role);
    }
}

/// A clean session; [`fresh`] chooses the rest.
fn temporary() -> Profile {
    Profile {
        client_identifier: String::new(),
        version: Version::V3_1_1,
        websocket: false,
        clean: true,
        expiry_seconds: 0,
        keep_alive_seconds: 60,
        receive_maximum: 100,
        topic_alias_maximum: 0,
        receive_buffer: None,
        will: None,
    }
}

/// Another temporary client, with an identifier that nobody had.
fn fresh(client: &mut Client, world: &mut World) {
    let random = &mut world.random;
    client.profile = Profile {
        client_identifier: format!("soak-t{}-{:08x}", world.board.counts.connects, random.below(u32::MAX)),
        version: random.pick(&[Version::V3_1_1, Version::V5_0]),
        websocket: random.percent(30),
        receive_maximum: random.pick(&[1, 20, 65_535]),
        topic_alias_maximum: random.pick(&[0, 3, 1_000]),
        ..temporary()
    };
}

/// In one of the ways in which a temporary client may leave.
fn leave_somehow(client: &mut Client, world: &mut World) {
    let how =
        world.random.pick(&[Leave::Disconnect(None), Leave::Disconnect(None), Leave::Drop, Leave::Reset]);
    client.leave(how, world);
}

/// No client of a soak is to be disconnected, apart from those that provoke it.
fn ended_by_broker(client: &Client, told: Option<u8>, end: &End, world: &mut World) {
    let name = &client.profile.client_identifier;
    world.board.misconduct(format!("the connection of {name} ended, told {told:02x?}: {end}"));
}

/// Whether a topic name matches a filter [MQTT-4.7].
fn matches(filter: &str, name: &str) -> bool {
    let mut levels = name.split('/');
    for level in filter.split('/') {
        match (level, levels.next()) {
            ("#", _) => return true,
            ("+", Some(_)) => {}
            (level, Some(of_name)) if level == of_name => {}
            _ => return false,
        }
    }
    levels.next().is_none()
}

#[cfg(test)]
mod tests {
    use super::matches;

    #[test]
    fn filters_match_as_mqtt_says() {
        assert!(
            matches("a/+/1", "a/7/1") && matches("a/#", "a/b/c") && matches("a/#", "a") && matches("a", "a")
        );
        assert!(!matches("a/+/1", "a/7/2") && !matches("a/+", "a/b/c") && !matches("a/b", "a"));
    }
}
