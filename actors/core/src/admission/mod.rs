//! Whether a CONNECT is taken in, and on what terms.
//!
//! Invariant: all that refuses is judged here, before the session that has its client identifier is touched, so that a
//! refusal leaves everything as it was.

mod answer;
mod connect;
mod places;
#[cfg(test)]
mod tests;

pub use connect::{answer_unreadable, judge_connect};
pub use places::{SessionPlace, SessionPlaces};

use std::num::{NonZeroU16, NonZeroU32};
use std::sync::Arc;
use std::time::Instant;

use mqtt_codec::{ConnAck, Connect, Packet, ProtocolVersion, ReasonCode};

use crate::compact::{ByteCount, Recent, Since};
use crate::counters::Counters;
use crate::kept::{NodeKept, Share};
use crate::outbox::Outbox;
use crate::session::{Grant, Online, OutgoingAliases, RareOnline, Reading, Requests, Session, Touch, Will};
use crate::settings::Settings;

/// What asks to be taken in.
#[derive(Debug)]
pub struct Request<'a> {
    /// Its CONNECT, with the client identifier that is in force.
    pub connect: &'a Connect,
    /// Whether the node assigned that client identifier.
    pub assigned: bool,
    /// Who the client showed itself to be.
    pub user_name: Option<&'a str>,
    /// The last authentication data of an enhanced authentication, for the CONNACK.
    pub authentication_data: Option<&'a [u8]>,
    /// What it is let in by, if that is more than a user name.
    pub grant: Option<&'a Arc<Grant>>,
    /// The rules by which the client and its will were judged.
    pub revision: u64,
    /// Until when its will is allowed; none: as long as those rules are in force.
    pub will_until: Option<Instant>,
}

/// What may have changed since a client was judged.
#[derive(Debug, Clone, Copy)]
pub struct Standing {
    /// The rules that are in force.
    pub revision: u64,
    /// Whether whoever let it in has withdrawn that since; none if nobody can say any more.
    pub is_withdrawn: Option<bool>,
    /// The present moment.
    pub now: Instant,
}

impl Standing {
    /// Judges whether a client that was let in by rules and a grant still is.
    ///
    /// # Errors
    /// Why it is not.
    pub fn judge(&self, revision: u64, grant: Option<&Grant>) -> Result<(), Refused> {
        match self.is_withdrawn {
            _ if revision != self.revision => Err(Refused::Outdated),
            None => Err(Refused::Outdated),
            Some(true) => Err(Refused::Withdrawn),
            Some(false) if grant.is_some_and(|grant| grant.is_over(self.now)) => Err(Refused::Withdrawn),
            Some(false) => Ok(()),
        }
    }
}

/// What it is judged by.
#[derive(Debug)]
pub struct Circumstances<'a> {
    /// Limits and policies.
    pub settings: &'a Settings,
    /// The worker's counters.
    pub counters: &'a Counters,
    /// What waits on the node, its will among it.
    pub kept: &'a Arc<NodeKept>,
    /// Places for sessions.
    pub places: &'a Arc<SessionPlaces>,
    /// Bytes of the names of the session that the client has here; none if it has none.
    pub known_names: Option<usize>,
    /// Whether the node shuts down.
    pub is_stopping: bool,
    /// Whether all sessions are here that the session store keeps.
    pub is_restored: bool,
    /// Whether there is room to note that what the session store keeps of the client is over: until all is here.
    pub has_room_for_outdated: bool,
    /// Whether the session that the client has here is kept.
    pub is_kept: bool,
    /// Whether too much waits to be kept already.
    pub changes_are_full: bool,
    /// What may have changed since it was judged.
    pub standing: Standing,
}

/// How it is taken in.
#[derive(Debug)]
pub struct Terms {
    /// The CONNACK, but for whether there was a session.
    pub answer: Box<ConnAck>,
    /// Session expiry interval, in seconds.
    pub expiry_interval: u32,
    /// In seconds; 0: none.
    pub keep_alive: u16,
    /// Its will, which has its share of what may wait.
    pub will: Option<Box<Will>>,
    /// Its session's place, if it needs one.
    pub place: SessionPlace,
}

/// Why it is not taken in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refused {
    /// The node shuts down.
    Stopping,
    /// Its session may be kept and not be here: it may come again, and is not told that there is none.
    NotRestored,
    /// Too much waits for the session store that is to be kept: it may come again.
    ChangesFull,
    /// The rules were read anew on the way here: it may come again, and is judged by those.
    Outdated,
    /// What it was let in by was withdrawn on the way here, or is over.
    Withdrawn,
    /// Not even the CONNACK fits what the client takes: there is nothing to say to it.
    AnswerTooLarge,
    /// `queued_bytes_max` has no room for its will.
    WillFull,
    /// `sessions_max`.
    SessionsFull,
    /// `names_bytes_max`.
    NamesFull,
}

impl Refused {
    /// What the client is told.
    pub fn reason(self) -> ReasonCode {
        match self {
            Self::Stopping | Self::NotRestored | Self::ChangesFull | Self::Outdated => {
                ReasonCode::ServerUnavailable
            }
            Self::Withdrawn => ReasonCode::NotAuthorized,
            Self::AnswerTooLarge => ReasonCode::PacketTooLarge,
            Self::WillFull | Self::SessionsFull | Self::NamesFull => ReasonCode::QuotaExceeded,
        }
    }

    /// Whether the client can be told.
    pub fn is_told(self) -> bool {
        self != Self::AnswerTooLarge
    }

    fn count(self, counters: &Counters) {
        match self {
            Self::NotRestored => counters.sessions_not_loaded.add(1),
            Self::ChangesFull => counters.changes_full.add(1),
            Self::WillFull => counters.wills_full.add(1),
            Self::SessionsFull => counters.sessions_full.add(1),
            Self::NamesFull => counters.session_names_full.add(1),
            Self::Stopping | Self::Outdated | Self::Withdrawn | Self::AnswerTooLarge => {}
        }
    }
}

/// Judges a CONNECT.
///
/// # Errors
/// Why it is refused, counted where there is a counter for it; nothing is taken then.
pub fn judge(request: &Request<'_>, circumstances: &Circumstances<'_>) -> Result<Terms, Refused> {
    let judged = judge_uncounted(request, circumstances);
    judged.inspect_err(|refused| refused.count(circumstances.counters))
}

fn judge_uncounted(request: &Request<'_>, circumstances: &Circumstances<'_>) -> Result<Terms, Refused> {
    let Request { connect, .. } = request;
    let mqtt = &circumstances.settings.mqtt;
    let expiry_interval = expiry_interval(connect, mqtt.session_expiry_interval_max_seconds);
    let keep_alive = effective_keep_alive(connect, mqtt.server_keep_alive_seconds);
    if circumstances.is_stopping {
        return Err(Refused::Stopping);
    }
    let may_have_session = !connect.clean_start || expiry_interval > 0;
    let cannot_be_told = may_have_session || !circumstances.has_room_for_outdated;
    if !circumstances.is_restored && cannot_be_told {
        return Err(Refused::NotRestored);
    }
    if circumstances.changes_are_full && (expiry_interval > 0 || circumstances.is_kept) {
        return Err(Refused::ChangesFull);
    }
    circumstances.standing.judge(request.revision, request.grant.map(Arc::as_ref))?;
    let answer = Packet::ConnAck(answer::accepted(request, mqtt, expiry_interval, keep_alive));
    let fits = mqtt_codec::encoded_bytes(&answer, connect.version) <= maximum_packet_size(connect) as usize;
    let Packet::ConnAck(answer) = answer else { unreachable!("it was just made") };
    if !fits {
        return Err(Refused::AnswerTooLarge);
    }
    let will = match &connect.will {
        Some(will) => Some(stored_will(will, request, circumstances.kept).ok_or(Refused::WillFull)?),
        None => None,
    };
    let names = connect.client_identifier.len() + request.user_name.map_or(0, str::len);
    let place = circumstances.places.take(circumstances.known_names, names)?;
    Ok(Terms { answer, expiry_interval, keep_alive, will, place })
}

/// 3.1 and 3.1.1 sessions with clean session 0 live as long as the configuration lets any live.
fn expiry_interval(connect: &Connect, max: u32) -> u32 {
    match connect.version {
        ProtocolVersion::V5 => connect.properties.session_expiry_interval.unwrap_or(0).min(max),
        _ if connect.clean_start => 0,
        _ => max,
    }
}

fn effective_keep_alive(connect: &Connect, max: u16) -> u16 {
    let asked = connect.keep_alive;
    if connect.version == ProtocolVersion::V5 && max > 0 && (asked == 0 || asked > max) { max } else { asked }
}

/// In bytes; `u32::MAX` if the client named none.
pub fn maximum_packet_size(connect: &Connect) -> u32 {
    connect.properties.maximum_packet_size.map_or(u32::MAX, NonZeroU32::get)
}

/// None if there is no room for it.
fn stored_will(will: &mqtt_codec::Will, request: &Request<'_>, kept: &Arc<NodeKept>) -> Option<Box<Will>> {
    let mut properties = Vec::new();
    will.properties.write_forwarded(&mut properties);
    let mut stored = Box::new(Will {
        topic: will.topic.as_str().into(),
        payload: will.payload.clone(),
        properties: properties.into_boxed_slice(),
        qos: will.qos,
        retain: will.retain,
        delay_seconds: will.delay_interval,
        expiry_seconds: will.properties.message_expiry_interval,
        share: None,
        client_identifier: request.connect.client_identifier.as_str().into(),
        user_name: request.user_name.map(Into::into),
        grant: request.grant.map(Arc::clone),
        revision: request.revision,
        allowed_until: request.will_until,
    });
    stored.share = Some(Share::take(kept, stored.queued_bytes())?);
    Some(stored)
}

/// A network connection whose CONNECT was accepted, on the clock of a node that `started` then.
pub fn begin(
    connect: &Connect,
    keep_alive: u16,
    settings: &Settings,
    started: Instant,
    now: Instant,
) -> Online {
    let asked = &connect.properties;
    let aliases = asked.topic_alias_maximum.unwrap_or(0).min(settings.mqtt.topic_alias_maximum_outgoing);
    let receive_maximum = asked.receive_maximum.map_or(u16::MAX, NonZeroU16::get);
    Online {
        outbox: Outbox::default(),
        waker: None,
        last_received: Recent::new(started, now),
        connected_at: Since::new(started, now),
        bytes_sent: ByteCount::default(),
        maximum_packet_size: maximum_packet_size(connect),
        inflight_max: receive_maximum.min(settings.session.inflight_max),
        unanswered: 0,
        keep_alive_seconds: keep_alive,
        version: connect.version,
        touch: Touch::No,
        reading: Reading::GoesOn,
        requests: Requests::default(),
        rare: (aliases > 0).then(|| {
            Box::new(RareOnline { aliases: Some(OutgoingAliases::new(aliases)), ..RareOnline::default() })
        }),
    }
}

/// A session is held by a new network connection: what is in flight has to be sent again on it.
pub fn hold(
    session: &mut Session,
    online: Online,
    expiry_interval: u32,
    user_name: Option<&str>,
    will: Option<Box<Will>>,
) {
    session.epoch = session.epoch.wrapping_add(1);
    session.version = online.version;
    session.expiry_interval = expiry_interval;
    session.set_user_name(user_name);
    session.replace_will(will);
    session.absence = None;
    session.online = Some(online);
    session.resume_sending();
}
