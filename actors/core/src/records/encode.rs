//! Records as bytes: version, kind, fields in the order in which the types have them.
//!
//! Positions are written as how far they are behind the record's own, since most that a record names are recent.

use mqtt_codec::PacketIdentifier;

use super::RECORD_VERSION;
use super::record::{
    Body, Connected, Copied, CopyId, Fate, Of, Origin, Parted, Position, Publish, Record, Retained, Settled,
    Subscribed, Through, Will,
};
use super::wire::Writer;

/// The kinds, by their numbers; none is ever given another.
pub(super) mod kind {
    pub(crate) const CONNECTED: u8 = 1;
    pub(crate) const PARTED: u8 = 2;
    pub(crate) const ENDED: u8 = 3;
    pub(crate) const SUBSCRIBED: u8 = 4;
    pub(crate) const UNSUBSCRIBED: u8 = 5;
    pub(crate) const PUBLISH: u8 = 6;
    pub(crate) const RECEIVED: u8 = 7;
    pub(crate) const FORGOTTEN: u8 = 8;
    pub(crate) const SENT: u8 = 9;
    pub(crate) const RELEASED: u8 = 10;
    pub(crate) const SETTLED: u8 = 11;
    pub(crate) const WILL_OVER: u8 = 12;
    pub(crate) const TAKEN: u8 = 13;
    pub(crate) const RETAINED: u8 = 14;
    pub(crate) const PASSED: u8 = 15;
    pub(crate) const PUBLISHER_GONE: u8 = 16;
}

/// What a publish has of what few have, a bit each.
pub(super) mod has {
    pub(crate) const RETAIN: u8 = 1;
    pub(crate) const EXPIRY: u8 = 2;
    pub(crate) const ORIGIN: u8 = 4;
    pub(crate) const WAITS: u8 = 8;
}

/// A copy, behind two bits for its QoS.
pub(super) mod copy_has {
    pub(crate) const QOS: u8 = 3;
    pub(crate) const RETAIN: u8 = 4;
    pub(crate) const IDENTIFIERS: u8 = 8;
    pub(crate) const GROUP: u8 = 16;
    pub(crate) const WAS_RETAINED: u8 = 32;
    pub(crate) const SHARED_PREFIX: u8 = 64;
}

/// A wills' and a connection's, likewise.
pub(super) mod will_has {
    pub(crate) const RETAIN: u8 = 1;
    pub(crate) const EXPIRY: u8 = 2;
}

impl Record<'_> {
    /// Appends it, as it stands at a position.
    pub fn encode(&self, at: Position, out: &mut Vec<u8>) {
        let mut to = To { writer: Writer(out), at };
        to.writer.byte(RECORD_VERSION);
        match self {
            Self::Connected(connected) => to.connected(connected),
            Self::Parted(parted) => to.parted(parted),
            Self::Ended(client) => {
                to.writer.byte(kind::ENDED);
                to.writer.string(client);
            }
            Self::Subscribed(of, subscriptions) => {
                to.of(kind::SUBSCRIBED, of);
                to.writer.list(subscriptions, subscribed);
            }
            Self::Unsubscribed(of, filters) => {
                to.of(kind::UNSUBSCRIBED, of);
                to.writer.list(filters, |writer, filter| writer.string(filter));
            }
            Self::Publish(publish) => to.publish(publish),
            Self::Received(of, identifier) => to.identified(kind::RECEIVED, of, *identifier),
            Self::Forgotten(of, identifier) => to.identified(kind::FORGOTTEN, of, *identifier),
            Self::Sent(of, identifier, copy) => {
                to.identified(kind::SENT, of, *identifier);
                to.copy(copy);
            }
            Self::Released(of, identifier, copy) => {
                to.identified(kind::RELEASED, of, *identifier);
                to.copy(copy);
            }
            Self::Settled(settled) => to.settled(settled),
            Self::WillOver(of) => to.of(kind::WILL_OVER, of),
            Self::Taken(group, fate, messages) => {
                to.writer.byte(kind::TAKEN);
                to.writer.string(group);
                to.writer.byte(fate_number(*fate));
                // They may come from the lane of another worker, whose positions are others.
                to.writer.list(messages, |writer, message| writer.number(message.0));
            }
            Self::Retained(retained) => to.retained(retained),
            Self::Passed(client, filter, after) => {
                to.writer.byte(kind::PASSED);
                to.writer.string(client);
                to.writer.string(filter);
                to.writer.byte(u8::from(after.is_some()));
                to.writer.string(after.unwrap_or_default());
            }
            Self::PublisherGone(publisher) => {
                to.writer.byte(kind::PUBLISHER_GONE);
                to.writer.hash(publisher.0);
            }
        }
    }
}

/// Where a record goes, and its position.
struct To<'a> {
    writer: Writer<'a>,
    at: Position,
}

impl To<'_> {
    /// Only what is not later can be named.
    fn position(&mut self, position: Position) {
        debug_assert!(position <= self.at, "{position:?} is named at {:?}", self.at);
        self.writer.number(self.at.0 - position.0);
    }

    fn of(&mut self, kind: u8, of: &Of<'_>) {
        self.writer.byte(kind);
        self.writer.string(of.client);
        self.writer.number(self.at.epoch().wrapping_sub(of.epoch).into());
    }

    fn identified(&mut self, kind: u8, of: &Of<'_>, identifier: PacketIdentifier) {
        self.of(kind, of);
        self.writer.number(identifier.get().into());
    }

    fn copy(&mut self, copy: &CopyId) {
        self.position(copy.message);
        self.writer.number(copy.copy.into());
    }

    fn connected(&mut self, connected: &Connected<'_>) {
        let Connected { client, user_name, version, expiry_interval, begins, will } = connected;
        self.writer.byte(kind::CONNECTED);
        self.writer.string(client);
        self.writer
            .byte(u8::from(*begins) | u8::from(user_name.is_some()) << 1 | u8::from(will.is_some()) << 2);
        self.writer.byte(*version as u8);
        self.writer.number((*expiry_interval).into());
        if let Some(user_name) = user_name {
            self.writer.string(user_name);
        }
        if let Some(will) = will {
            write_will(&mut self.writer, will);
        }
    }

    fn parted(&mut self, parted: &Parted<'_>) {
        let Parted { of, at, expiry_interval, leaves_will } = parted;
        self.of(kind::PARTED, of);
        self.writer.number(at.0);
        self.writer.number((*expiry_interval).into());
        self.writer.byte(u8::from(*leaves_will));
    }

    fn publish(&mut self, publish: &Publish<'_>) {
        let flag = |is_set: bool, bit: u8| if is_set { bit } else { 0 };
        self.writer.byte(kind::PUBLISH);
        self.writer.byte(
            flag(publish.retain, has::RETAIN)
                | flag(publish.expires_at.is_some(), has::EXPIRY)
                | flag(publish.origin.is_some(), has::ORIGIN)
                | flag(!publish.waits.is_empty(), has::WAITS),
        );
        write_body(&mut self.writer, &publish.body);
        self.writer.hash(publish.publisher_hash);
        if let Some(expires_at) = publish.expires_at {
            self.writer.number(expires_at.0);
        }
        if let Some(Origin { publisher, count }) = publish.origin {
            self.writer.hash(publisher.0);
            // It may be from before the last change of the number of workers, or from the lane of another one.
            self.writer.number(count.0);
        }
        self.writer.number(publish.copies.len() as u64);
        let mut before = "";
        for copied in &publish.copies {
            self.copied(copied, before);
            before = &copied.client;
        }
        if !publish.waits.is_empty() {
            self.writer.list(&publish.waits, |writer, group| writer.string(group));
        }
    }

    /// What most copies have not takes no place, and of its client identifier only what the one before has not.
    fn copied(&mut self, copied: &Copied<'_>, before: &str) {
        let Copied { client, qos, retain, identifiers, through } = copied;
        let shared = shared_prefix(before, client);
        let flag = |is_set: bool, bit: u8| if is_set { bit } else { 0 };
        self.writer.byte(
            *qos as u8
                | flag(*retain, copy_has::RETAIN)
                | flag(!identifiers.is_empty(), copy_has::IDENTIFIERS)
                | flag(matches!(through, Through::Group(_)), copy_has::GROUP)
                | flag(matches!(through, Through::Retained(_)), copy_has::WAS_RETAINED)
                | flag(shared > 0, copy_has::SHARED_PREFIX),
        );
        if shared > 0 {
            self.writer.byte(shared as u8);
        }
        self.writer.string(&client[shared..]);
        if !identifiers.is_empty() {
            self.writer.list(identifiers, |writer, identifier| writer.number((*identifier).into()));
        }
        match through {
            Through::Subscription => {}
            Through::Group(group) => self.writer.string(group),
            Through::Retained(began) => self.position(*began),
        }
    }

    fn settled(&mut self, settled: &Settled<'_>) {
        let Settled { client, fate, copies } = settled;
        self.writer.byte(kind::SETTLED);
        self.writer.string(client);
        self.writer.byte(fate_number(*fate));
        self.writer.number(copies.len() as u64);
        // Behind the first one each is named by how far it is behind the one before.
        let mut before: Option<Position> = None;
        for CopyId { message, copy } in copies {
            match before {
                Some(before) => self.writer.number(message.0 - before.0),
                None => self.position(*message),
            }
            self.writer.number((*copy).into());
            before = Some(*message);
        }
    }

    fn retained(&mut self, retained: &Retained<'_>) {
        let Retained { topic, stamp, message } = retained;
        self.writer.byte(kind::RETAINED);
        self.writer.string(topic);
        self.writer.number(*stamp);
        write_retained(&mut self.writer, message);
    }
}

pub(crate) fn write_retained(
    writer: &mut Writer<'_>,
    message: &Option<(Body<'_>, Option<super::WallClock>, u64)>,
) {
    let Some((body, expires_at, publisher_hash)) = message else { return writer.byte(0) };
    writer.byte(1 + u8::from(expires_at.is_some()));
    write_body(writer, body);
    if let Some(expires_at) = expires_at {
        writer.number(expires_at.0);
    }
    writer.hash(*publisher_hash);
}

fn subscribed(writer: &mut Writer<'_>, subscribed: &Subscribed<'_>) {
    writer.string(subscribed.filter);
    writer.byte(subscribed.options.to_bits());
    writer.number(u64::from(subscribed.identifier) << 1 | u64::from(subscribed.replays));
}

pub(crate) fn write_body(writer: &mut Writer<'_>, body: &Body<'_>) {
    writer.byte(body.qos as u8);
    writer.string(body.topic);
    writer.bytes(body.properties);
    writer.bytes(body.payload);
}

pub(crate) fn write_will(writer: &mut Writer<'_>, will: &Will<'_>) {
    let Will { body, retain, delay_seconds, expiry_seconds } = will;
    let expiry_bit = if expiry_seconds.is_some() { will_has::EXPIRY } else { 0 };
    writer.byte(if *retain { will_has::RETAIN } else { 0 } | expiry_bit);
    write_body(writer, body);
    writer.number((*delay_seconds).into());
    if let Some(seconds) = expiry_seconds {
        writer.number((*seconds).into());
    }
}

/// 0: delivered, 1: returned, from 2 on the reasons of drops.
pub(super) fn fate_number(fate: Fate) -> u8 {
    match fate {
        Fate::Delivered => 0,
        Fate::Returned => 1,
        Fate::Dropped(reason) => reason as u8 + 2,
    }
}

/// How many bytes a name has in common with the one before it: of whole characters, and no more than one byte can say, so
/// that what is read is in proportion to what is written.
pub(super) fn shared_prefix(before: &str, name: &str) -> usize {
    let same = before.bytes().zip(name.bytes()).take(u8::MAX.into()).take_while(|(one, other)| one == other);
    let count = same.count();
    (0..=count).rev().find(|count| name.is_char_boundary(*count)).unwrap_or_default()
}
