//! Histories of a shard: what its worker would write, drawn step by step from what is there.

use std::sync::LazyLock;

use mqtt_codec::{PacketIdentifier, ProtocolVersion, QoS, SubscriptionOptions};

use super::model::{self, Model};
use crate::homes::{Homes, Shard};
use crate::ledger::DropReason;
use crate::records::{
    Body, Connected, Copied, CopyId, Fate, Of, Origin, Parted, Position, Publish, Publisher, Record,
    Retained, Settled, Subscribed, Through, WallClock, Will,
};

pub(super) const SHARD: Shard = Shard(77);
pub(super) static HOMES: LazyLock<Homes> = LazyLock::new(|| Homes::new(&[1; 16], 4));

/// Names of this shard.
fn names(what: &'static str, count: usize) -> Vec<&'static str> {
    let all = (0..).map(|number| what.replace('#', &format!("{number}")));
    let own = all.filter(|name| HOMES.shard_of(name) == SHARD);
    own.take(count).map(|name| &*name.leak()).collect()
}

static CLIENTS: LazyLock<Vec<&str>> = LazyLock::new(|| names("client-#", 3));
static GROUPS: LazyLock<Vec<&str>> = LazyLock::new(|| names("$share/g#/a/+", 2));
static RETAINED: LazyLock<Vec<&str>> = LazyLock::new(|| names("retained/#", 2));
const TOPICS: [&str; 4] = ["a/b", "a/c", "d", "$x/a"];
const FILTERS: [&str; 6] = ["a/b", "a/+", "#", "d", "+/b", "$x/#"];
const PAYLOADS: [&[u8]; 2] = [b"", &[9; 40]];

/// Draws numbers from what a test was given; behind its end all are 0.
pub(super) struct Drawn<'a>(pub(super) std::slice::Iter<'a, u32>);

impl Drawn<'_> {
    fn below(&mut self, limit: usize) -> usize {
        self.0.next().map_or(0, |number| *number as usize % limit)
    }

    fn of<T: Copy>(&mut self, all: &[T]) -> T {
        all[self.below(all.len())]
    }

    fn one_in(&mut self, count: usize) -> bool {
        self.below(count) == 1
    }
}

/// The next record, if what was drawn has a meaning now.
pub(super) fn draw(drawn: &mut Drawn<'_>, at: Position, model: &Model) -> Option<Record<'static>> {
    let client = drawn.of(&CLIENTS);
    let step = drawn.below(16);
    let Some(session) = model.sessions.get(client) else {
        return Some(if step < 10 { connect(drawn, client, true) } else { published(drawn, at, model) });
    };
    let of = Of { client, epoch: session.epoch.epoch() };
    let ids: Vec<_> = session.copies.keys().copied().collect();
    match step {
        0 => {
            let begins = drawn.one_in(5);
            Some(connect(drawn, client, begins))
        }
        1 if session.online => Some(Record::Parted(Parted {
            of,
            at: WallClock(at.0 * 10),
            expiry_interval: 60,
            leaves_will: drawn.one_in(2),
        })),
        1 if drawn.one_in(4) => Some(Record::Ended(client)),
        2 if session.online => Some(Record::Subscribed(of, subscriptions(drawn))),
        3 if session.online => Some(Record::Unsubscribed(of, vec![drawn.of(&FILTERS), drawn.of(&FILTERS)])),
        4 => Some(Record::Received(of, identifier(drawn.below(5)))),
        5 => Some(Record::Forgotten(of, identifier(drawn.below(5)))),
        6 | 7 => {
            let unsent = |id: &CopyId| {
                let copy = &session.copies[id];
                copy.qos == QoS::ExactlyOnce && copy.sent.is_none()
            };
            let id = ids.iter().copied().find(unsent)?;
            let is_free = |number: &u16| {
                !session.copies.values().any(|copy| copy.sent.is_some_and(|sent| sent.0 == *number))
            };
            let number = (1..).find(is_free)?;
            Some(Record::Sent(of, PacketIdentifier::new(number)?, id))
        }
        8 => {
            let unreleased =
                |(id, copy): (&CopyId, &model::Copy)| Some((*id, copy.sent.filter(|sent| !sent.1)?));
            let (id, sent) = session.copies.iter().find_map(unreleased)?;
            Some(Record::Released(of, PacketIdentifier::new(sent.0)?, id))
        }
        9 if !ids.is_empty() => Some(settle(drawn, client, &ids)),
        10 => Some(Record::WillOver(of)),
        11 => taken(drawn, model),
        12 => Some(retained(drawn, at)),
        _ => Some(published(drawn, at, model)),
    }
}

fn identifier(number: usize) -> PacketIdentifier {
    PacketIdentifier::new(number as u16 + 1).unwrap()
}

fn body(drawn: &mut Drawn<'_>, topic: &'static str, lowest: u8) -> Body<'static> {
    let qos = QoS::try_from(lowest + drawn.below(3 - usize::from(lowest)) as u8).unwrap();
    Body { topic, properties: drawn.of(&PAYLOADS), payload: drawn.of(&PAYLOADS), qos }
}

fn connect(drawn: &mut Drawn<'_>, client: &'static str, begins: bool) -> Record<'static> {
    let will = drawn.one_in(2).then(|| Will {
        body: body(drawn, "will", 0),
        retain: drawn.one_in(2),
        delay_seconds: 5,
        expiry_seconds: drawn.one_in(2).then_some(7),
    });
    let (user_name, version) = (drawn.one_in(2).then_some("user"), ProtocolVersion::V5);
    Record::Connected(Connected { client, user_name, version, expiry_interval: 100, begins, will })
}

fn subscriptions(drawn: &mut Drawn<'_>) -> Vec<Subscribed<'static>> {
    let count = 1 + drawn.below(3);
    let one = |drawn: &mut Drawn<'_>| Subscribed {
        filter: if drawn.one_in(4) { drawn.of(&GROUPS) } else { drawn.of(&FILTERS) },
        options: SubscriptionOptions {
            qos: QoS::try_from(drawn.below(3) as u8).unwrap(),
            no_local: drawn.one_in(3),
            retain_as_published: drawn.one_in(2),
            ..QoS::AtMostOnce.into()
        },
        identifier: drawn.below(3) as u32,
        replays: drawn.one_in(2),
    };
    (0..count).map(|_| one(drawn)).collect()
}

fn published(drawn: &mut Drawn<'_>, at: Position, model: &Model) -> Record<'static> {
    let topic = drawn.of(&TOPICS);
    let publisher_hash = HOMES.hash_of(drawn.of(&CLIENTS));
    if drawn.one_in(12) {
        return Record::PublisherGone(Publisher(publisher_hash));
    }
    let mut publish = Publish {
        body: body(drawn, topic, 1),
        retain: drawn.one_in(2),
        expires_at: drawn.one_in(3).then_some(WallClock(at.0 * 100)),
        publisher_hash,
        origin: None,
        copies: Vec::new(),
        waits: Vec::new(),
    };
    if drawn.one_in(4) {
        let publisher = Publisher(publisher_hash);
        let gone = model.gone.get(&publisher).copied().unwrap_or_default();
        // Now and then one that was routed before, as long as its session is there.
        let count = if drawn.one_in(3) { Position(at.0.saturating_sub(4)).max(gone.next()) } else { at };
        publish.origin = Some(Origin { publisher, count });
    }
    for _ in 0..drawn.below(5) {
        let (group, began) = (drawn.of(&GROUPS), Position(at.0 - drawn.below(2) as u64));
        publish.copies.push(Copied {
            // Others are of other shards, or ended just before.
            client: if drawn.one_in(6) { "elsewhere".into() } else { drawn.of(&CLIENTS).into() },
            qos: if drawn.one_in(2) { QoS::AtLeastOnce } else { publish.body.qos },
            retain: drawn.one_in(2),
            identifiers: (0..drawn.below(3) as u32).collect::<Vec<_>>().into(),
            through: drawn.of(&[Through::Subscription, Through::Group(group), Through::Retained(began)]),
        });
    }
    if drawn.one_in(4) {
        publish.waits.push(drawn.of(&GROUPS));
    }
    Record::Publish(publish)
}

/// Some copies, or all.
fn settle(drawn: &mut Drawn<'_>, client: &'static str, ids: &[CopyId]) -> Record<'static> {
    let fate = drawn.of(&[Fate::Delivered, Fate::Dropped(DropReason::Expired), Fate::Returned]);
    let first = drawn.below(ids.len());
    let count = 1 + drawn.below(ids.len() - first);
    Record::Settled(Settled { client, fate, copies: ids[first..first + count].to_vec() })
}

fn taken(drawn: &mut Drawn<'_>, model: &Model) -> Option<Record<'static>> {
    let group = drawn.of(&GROUPS);
    let waiting = model.groups.get(group)?;
    let count = 1 + drawn.below(waiting.len());
    Some(Record::Taken(group, Fate::Returned, waiting[..count].to_vec()))
}

fn retained(drawn: &mut Drawn<'_>, at: Position) -> Record<'static> {
    let topic = drawn.of(&RETAINED);
    // Now and then one that was overtaken on its way.
    let stamp = if drawn.one_in(4) { at.0.saturating_sub(3) } else { at.0 };
    let message = (!drawn.one_in(3)).then(|| (body(drawn, topic, 0), None, 5));
    Record::Retained(Retained { topic, stamp, message })
}
