//! What the tests of the parts that decide share: a worker's desk without a worker, clients without a socket, messages
//! without a publisher.

#![allow(missing_docs, reason = "they are helpers of tests")]

use std::num::{NonZeroU16, NonZeroU32};
use std::sync::Arc;
use std::time::{Duration, Instant};

use mqtt_codec::{
    Connect, Limits, Packet, PacketIdentifier, ProtocolVersion, QoS, Sender, SubscriptionOptions, decode,
};

use crate::compact::{ByteCount, Recent, Since};
use crate::counters::Counters;
use crate::homes::{Homes, drawn_key};
use crate::ids::{GroupKey, SessionKey};
use crate::kept::NodeKept;
use crate::ledger::{DropReason, Ledger};
use crate::message::{Payload, Publication};
use crate::outbox::{Outbox, Qos0, SLICES_PER_WRITE};
use crate::pool::BufferPool;
use crate::queue::Identifiers;
use crate::records::WallClock;
use crate::session::Storing;
use crate::session::{
    Desk, FrameCache, Offered, Online, OutgoingAliases, RareOnline, Requests, Session, Touch, Wanted,
};
use crate::settings::Settings;
use crate::worker::{NodeState, WorkerState};

/// A beginning: what decides is told the present moment, and a test begins at any.
#[expect(clippy::disallowed_methods, reason = "nothing that is tested reads a clock")]
pub fn now() -> Instant {
    Instant::now()
}

pub fn key(index: u32) -> SessionKey {
    SessionKey { index, generation: 1, worker: 0 }
}

pub fn id(identifier: u16) -> PacketIdentifier {
    PacketIdentifier::new(identifier).expect("a test names one above 0")
}

pub fn group(index: u32) -> GroupKey {
    GroupKey { index, generation: 1, home: 0 }
}

/// A message as a client publishes it: topic name, payload, QoS; nothing else about it is special.
pub fn publication<'a>(topic: &'a str, payload: &'a str, qos: QoS) -> Publication<'a> {
    Publication {
        topic,
        properties: &[],
        payload: Payload::Short(payload.as_bytes()),
        qos,
        retain: false,
        expires_at: None,
        publisher: Some(key(u32::MAX)),
        publisher_hash: 0,
        stamp: 0,
    }
}

/// How a subscription with this QoS and nothing else wants its messages.
pub fn wanted(qos: QoS) -> Wanted {
    Wanted { qos, retain: false, identifiers: Identifiers::None, group: None }
}

pub fn options(qos: QoS) -> SubscriptionOptions {
    SubscriptionOptions { qos, ..SubscriptionOptions::default() }
}

/// A network connection of a client that names no limits.
pub fn online(version: ProtocolVersion) -> Online {
    Online {
        outbox: Outbox::default(),
        waker: None,
        last_received: Recent::new(now(), now()),
        connected_at: Since::new(now(), now()),
        bytes_sent: ByteCount::default(),
        maximum_packet_size: u32::MAX,
        inflight_max: u16::MAX,
        unanswered: 0,
        keep_alive_seconds: 0,
        version,
        touch: Touch::No,
        reading: crate::session::Reading::GoesOn,
        requests: Requests::default(),
        rare: None,
    }
}

/// The same for a client that takes so many topic aliases.
pub fn online_with_aliases(maximum: u16) -> Online {
    let aliases = Some(OutgoingAliases::new(maximum));
    Online {
        rare: Some(Box::new(RareOnline { aliases, ..RareOnline::default() })),
        ..online(ProtocolVersion::V5)
    }
}

/// A session of 5.0 that a network connection holds; with an expiry interval it outlives that.
pub fn session(expiry_interval: u32) -> Session {
    let mut session = Session::new(key(0), "client", ProtocolVersion::V5);
    session.epoch = 1;
    session.expiry_interval = expiry_interval;
    session.online = Some(online(ProtocolVersion::V5));
    session
}

/// A CONNECT of 5.0 with these limits of the client.
pub fn connect(receive_maximum: u16, maximum_packet_size: u32) -> Connect {
    let mut connect = Connect::new(ProtocolVersion::V5, "client");
    connect.properties.receive_maximum = NonZeroU16::new(receive_maximum);
    connect.properties.maximum_packet_size = NonZeroU32::new(maximum_packet_size);
    connect
}

/// The only worker of a node, without sessions.
pub fn worker() -> WorkerState {
    let homes = Homes::new(&drawn_key(), 1);
    let node = Arc::new(NodeState::new(Settings::default(), homes, Vec::new(), now(), WallClock(1)));
    let ledger = Arc::new(Ledger::of(&node.kept));
    WorkerState::new(0, node, ledger, Arc::new(Counters::default()), now())
}

/// What a worker has beside its sessions, for those who decide.
pub struct Office {
    pub settings: Settings,
    pub ledger: Ledger,
    pub counters: Counters,
    pub pool: BufferPool,
    pub frames: FrameCache,
    pub now: Instant,
}

impl Office {
    #[expect(clippy::new_without_default, reason = "it is made by name")]
    pub fn new() -> Self {
        Self::with(|_| {})
    }

    /// With other settings than the default.
    pub fn with(change: impl FnOnce(&mut Settings)) -> Self {
        let mut settings = Settings::default();
        change(&mut settings);
        Self {
            ledger: Ledger::of(&Arc::new(NodeKept::new(settings.node.queued_bytes_max))),
            counters: Counters::default(),
            pool: BufferPool::default(),
            frames: FrameCache::default(),
            now: now(),
            settings,
        }
    }

    pub fn desk(&mut self) -> Desk<'_> {
        Desk {
            settings: &self.settings,
            ledger: &self.ledger,
            pool: &mut self.pool,
            frames: &mut self.frames,
            now: self.now,
        }
    }

    /// Time passes.
    pub fn pass(&mut self, time: Duration) {
        self.now += time;
    }

    /// Offers a message of its own, as the topic trie does for each match.
    pub fn offer(
        &mut self,
        session: &mut Session,
        publication: &Publication<'_>,
        wanted: &Wanted,
    ) -> Offered {
        self.frames.forget();
        let offered = session.offer(publication, wanted, &mut Storing::default(), &mut self.desk());
        self.frames.forget();
        offered
    }

    /// The client reads everything that waits in its outbox, and says what that was.
    #[track_caller]
    pub fn read(&mut self, session: &mut Session) -> Vec<Packet> {
        let online = session.online.as_mut().expect("only a session online is read");
        let (bytes, delivered) = drain(&mut online.outbox, &mut self.pool);
        session.tally.delivered += u64::from(delivered.all);
        self.ledger.deliver_n(delivered.all.into(), delivered.own.into());
        self.ledger.kept.end_n(delivered.all.into(), delivered.own.into());
        packets(&bytes, online.version)
    }

    /// How many of one session's messages were dropped for this reason; the session's and the worker's books agree.
    #[track_caller]
    pub fn dropped(&self, session: &Session, reason: DropReason) -> u64 {
        assert_eq!(session.tally.dropped(reason), self.ledger.dropped(reason), "{}", reason.label());
        session.tally.dropped(reason)
    }

    /// Every message that matched is somewhere, in the session's own books and in the worker's.
    #[track_caller]
    pub fn assert_balanced(&self, session: &Session) {
        let tally = &session.tally;
        let dropped: u64 = DropReason::ALL.iter().map(|reason| tally.dropped(*reason)).sum();
        let accounted = tally.delivered + tally.returned() + dropped + session.waiting();
        assert_eq!(tally.matched, accounted, "{tally:?}, {} waiting", session.waiting());
        assert_eq!(self.ledger.delivered.get(), tally.delivered);
        assert_eq!(self.ledger.dropped_total(), dropped);
    }
}

/// Writes out all that waits. Returns it, and how many QoS 0 messages that completed.
pub fn drain(outbox: &mut Outbox, pool: &mut BufferPool) -> (Vec<u8>, Qos0) {
    let (mut bytes, mut delivered) = (Vec::new(), Qos0::default());
    while !outbox.is_empty() {
        let mut slices = [std::io::IoSlice::new(&[]); SLICES_PER_WRITE];
        let count = outbox.slices(&mut slices);
        let before = bytes.len();
        slices[..count].iter().for_each(|slice| bytes.extend_from_slice(slice));
        let written = bytes.len() - before;
        assert!(written > 0, "{} bytes wait, and none is offered to write", outbox.waiting_bytes());
        let some = outbox.advance(pool, written);
        delivered = Qos0 { all: delivered.all + some.all, own: delivered.own + some.own };
    }
    (bytes, delivered)
}

/// The packets of a server in these bytes, whole ones only.
#[track_caller]
pub fn packets(mut bytes: &[u8], version: ProtocolVersion) -> Vec<Packet> {
    let mut packets = Vec::new();
    while !bytes.is_empty() {
        let (packet, used) = decode(bytes, version, Sender::Server, &Limits::default())
            .expect("a server's packet is well formed")
            .expect("a packet is whole");
        packets.push(packet.into_owned());
        bytes = &bytes[used..];
    }
    packets
}

/// Packets in few words: `t=x` is a PUBLISH of QoS 0 to `t` with the payload `x`, `t=x@2` one of QoS 1 or 2 with
/// packet identifier 2, `dup t=x@2` the same sent again, and `retain` says that it is retained.
pub fn summary(packets: &[Packet]) -> Vec<String> {
    packets
        .iter()
        .map(|packet| match packet {
            Packet::Publish(publish) => {
                let dup = if publish.dup { "dup " } else { "" };
                let retain = if publish.retain { "retain " } else { "" };
                let identifier =
                    publish.packet_identifier.map_or(String::new(), |id| format!("@{}", id.get()));
                let payload = String::from_utf8_lossy(&publish.payload);
                format!("{dup}{retain}{}={payload}{identifier}", publish.topic)
            }
            Packet::PubAck(ack) | Packet::PubRec(ack) | Packet::PubRel(ack) | Packet::PubComp(ack) => {
                format!(
                    "{} {} 0x{:02x}",
                    packet.packet_type(),
                    ack.packet_identifier.get(),
                    ack.reason_code as u8
                )
            }
            other => other.packet_type().to_string(),
        })
        .collect()
}
