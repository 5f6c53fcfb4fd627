//! Who takes part.

mod looker;
mod player;
mod writer;

use std::time::Duration;

pub(super) use self::player::Player;
use self::{
    looker::Looker,
    player::{Part, Presence},
    writer::Writer,
};
use super::{
    client::Client,
    event::Topic,
    judge::Durability,
    subscription::{Subscription, matches},
    testament::Testament,
    world::World,
};
use crate::{exchange::packets::Profile, wire::Version};

/// Publishers of the load; every fifth has a clean session.
const PUBLISHERS: u32 = 10;
/// Topic names of each publisher, for QoS 1 and as many for QoS 2.
const TOPICS_EACH: u32 = 4;
/// The topic names that a shared group listens to: the last of each publisher.
const SHARED: u32 = TOPICS_EACH - 1;
/// Durable members of the shared group of each QoS.
const MEMBERS: u32 = 3;
const TESTATORS: u32 = 8;
const WRITERS: u32 = 4;
const RETAINED_EACH: u32 = 12;
const LOOKERS: u32 = 2;
const VISITORS: u32 = 4;
/// Session expiry interval of durable clients, in seconds: longer than any run.
const LASTING_SECONDS: u32 = 7 * 86_400;
/// Session expiry interval of those whose session expires.
const EXPIRES: Duration = Duration::from_secs(3);

/// Half of the time there.
const HALF: Presence = Presence::ComesAndGoes { here: (400, 2_500), away: (400, 2_500) };

/// What the load publishes to, by QoS 1 and 2: a player and its topic.
pub(super) type Channels = [Vec<(usize, Topic)>; 2];

/// Name of a client, when it is there, and its topic filters with their QoS.
type Listener<'a> = (&'a str, Presence, &'a [(&'a str, u8)]);

struct Cast<'a> {
    world: &'a mut World,
    players: Vec<Player>,
    channels: Channels,
}

/// Everybody, with the topic names and audiences that the judge has to know.
pub(super) fn assemble(world: &mut World) -> (Vec<Player>, Channels) {
    let mut cast = Cast { world, players: Vec::new(), channels: Channels::default() };
    // Topic names first: audiences are told which of them they match.
    cast.publishers();
    cast.testators();
    let retained = cast.writers();
    cast.lookers(&retained);
    cast.subscribers();
    cast.group(1);
    cast.group(2);
    cast.visitors();
    (cast.players, cast.channels)
}

impl Cast<'_> {
    /// Adds a client; versions take turns.
    fn add(&mut self, name: String, durability: Durability, presence: Presence) -> &mut Player {
        let expires = matches!(durability, Durability::Expires(_));
        let number = self.world.judge.add_client(name.clone(), durability);
        let version = if expires || number.is_multiple_of(2) { Version::V5_0 } else { Version::V3_1_1 };
        let profile = Profile {
            client_identifier: name,
            version,
            websocket: false,
            clean: durability == Durability::None,
            expiry_seconds: match durability {
                Durability::None => 0,
                Durability::Lasting => LASTING_SECONDS,
                Durability::Expires(after) => after.as_secs() as u32,
            },
            keep_alive_seconds: 120,
            receive_maximum: 200,
            topic_alias_maximum: 0,
            receive_buffer: None,
            will: None,
        };
        let client = Client::new(number, profile, self.world.now);
        self.players.push(Player::new(client, presence, self.world));
        let last = self.players.len() - 1;
        &mut self.players[last]
    }

    /// Adds a subscription of the client that was added last.
    fn listen(&mut self, filter: &str, qos: u8) {
        let Some(Player { client, .. }) = self.players.last_mut() else { return };
        let name = format!("{} to {filter}", client.profile.client_identifier);
        let matching = |name: &str| matches(filter, name);
        let audience = self.world.judge.add_audience(name, qos, &[client.number], matching);
        client.subscriptions.push(Subscription::new(filter.into(), qos, Some(audience)));
    }

    fn publishers(&mut self) {
        for number in 0..PUBLISHERS {
            let durability = if number % 5 == 4 { Durability::None } else { Durability::Lasting };
            self.add(format!("publisher-{number}"), durability, Presence::Always);
            let player = self.players.len() - 1;
            for (channel, qos) in self.channels.iter_mut().zip([1, 2]) {
                for at in 0..TOPICS_EACH {
                    let name = format!("kills/{qos}/{number}/{at}");
                    channel.push((player, self.world.judge.add_topic(name, qos, false)));
                }
            }
        }
        // In turn, so that the load is spread over the publishers.
        for channel in &mut self.channels {
            channel.sort_by_key(|(_, topic)| topic % TOPICS_EACH);
        }
    }

    /// Wills with QoS 1 at once, and with QoS 2 and a delay, where 5.0 knows it.
    fn testators(&mut self) {
        for number in 0..TESTATORS {
            let player = self.add(
                format!("testator-{number}"),
                Durability::Lasting,
                Presence::ComesAndGoes { here: (300, 1_500), away: (50, 1_000) },
            );
            let delay_seconds = match player.client.profile.version {
                Version::V5_0 => number / 2 % 2,
                Version::V3_1_1 => 0,
            };
            let qos = if delay_seconds > 0 { 2 } else { 1 };
            let topic = self.world.judge.add_topic(format!("kills/will/{number}/{qos}"), qos, true);
            if let Some(player) = self.players.last_mut() {
                player.client.testament = Some(Testament::new(topic, delay_seconds));
            }
        }
    }

    fn writers(&mut self) -> Vec<Topic> {
        let mut all = Vec::new();
        for number in 0..WRITERS {
            let qos = 1 + (number % 2) as u8;
            let judge = &mut self.world.judge;
            let topics: Vec<_> = (0..RETAINED_EACH)
                .map(|at| judge.add_topic(format!("kills/retained/{number}/{at}"), qos, false))
                .collect();
            all.extend_from_slice(&topics);
            let now = self.world.now;
            self.add(format!("writer-{number}"), Durability::Lasting, Presence::Always).part =
                Part::Writes(Writer::new(topics, now));
        }
        all
    }

    fn lookers(&mut self, topics: &[Topic]) {
        for number in 0..LOOKERS {
            let now = self.world.now;
            let player = self.add(format!("looker-{number}"), Durability::None, Presence::Always);
            player.part = Part::Looks(Looker::new(topics.to_vec(), "kills/retained/#".into(), now));
            player.client.looks = true;
        }
    }

    /// Exact and wildcard subscriptions of those who are always there, half of the time, who take themselves over,
    /// whose sessions expire, and who change what they subscribe to.
    fn subscribers(&mut self) {
        let takes_over = Presence::TakesOver { every: (500, 3_000) };
        let lasting: [Listener<'_>; 8] = [
            ("everything-2", Presence::Always, &[("kills/2/#", 2)]),
            ("wills", Presence::Always, &[("kills/will/#", 2)]),
            ("wills-half", HALF, &[("kills/will/+/1", 1), ("kills/will/+/2", 2)]),
            ("half-1", HALF, &[("kills/1/+/0", 1), ("kills/1/4/2", 1)]),
            ("half-2", HALF, &[("kills/2/0/+", 2), ("kills/2/5/1", 2), ("kills/1/6/1", 2)]),
            ("taken-1", takes_over, &[("kills/1/1/+", 1), ("kills/2/1/+", 2)]),
            ("taken-2", takes_over, &[("kills/2/+/0", 2), ("kills/1/9/1", 1)]),
            ("lowered", HALF, &[("kills/2/7/+", 1), ("kills/1/7/#", 1)]),
        ];
        for (name, presence, filters) in lasting {
            self.add(name.into(), Durability::Lasting, presence);
            for &(filter, qos) in filters {
                self.listen(filter, qos);
            }
        }
        for number in 0..4 {
            let presence = if number < 2 { Presence::Always } else { HALF };
            self.add(format!("changing-{number}"), Durability::Lasting, presence).changes = true;
            self.listen(&format!("kills/1/{number}/1"), 1);
            self.listen(&format!("kills/1/{}/+", number + 4), 1);
            self.listen(&format!("kills/2/{number}/#"), 2);
        }
        for number in 0..3 {
            self.add(format!("expiring-{number}"), Durability::Expires(EXPIRES), Presence::Expires);
            self.listen(&format!("kills/1/{number}/2"), 1);
            self.listen(&format!("kills/2/{}/+", number + 3), 2);
        }
    }

    /// A shared group of durable members, some of them away half of the time.
    fn group(&mut self, qos: u8) {
        let filter = format!("$share/group/kills/{qos}/+/{SHARED}");
        let mut members = Vec::new();
        for number in 0..MEMBERS {
            let presence = if number == 0 { Presence::Always } else { HALF };
            let player = self.add(format!("member-{qos}-{number}"), Durability::Lasting, presence);
            members.push(player.client.number);
        }
        let matching = |name: &str| matches(&filter, name);
        let audience = self.world.judge.add_audience(filter.clone(), qos, &members, matching);
        for player in self.players.iter_mut().rev().take(MEMBERS as usize) {
            player.client.subscriptions.push(Subscription::new(filter.clone(), qos, Some(audience)));
        }
    }

    /// Clean sessions beside, for which nothing is claimed.
    fn visitors(&mut self) {
        for number in 0..VISITORS {
            self.add(format!("visitor-{number}"), Durability::None, HALF);
            self.listen(&format!("kills/{}/{number}/#", 1 + number % 2), 1);
        }
    }
}
