//! What the log says of clients: that they connect, disconnect and are refused.
//!
//! Each is a line at info, of which there are so many a second and no more; what is left out is counted, and said in one
//! line when the second is over. Whoever writes a line asks first ([`Worker::may_tell`]): nothing is made for one that is
//! left out.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed, Ordering::SeqCst};
use std::time::{Duration, Instant};

use micro_mq_core::compact::ByteCount;
use micro_mq_core::ids::SessionKey;
use micro_mq_core::protocol::Ending;
use micro_mq_core::session::Online;
use micro_mq_core::timers::Timer;
use mqtt_codec::{Connect, ProtocolVersion, ReasonCode};
use tracing::{Level, enabled, info};

use super::transport::TransportKind;
use crate::clock;
use crate::worker::Worker;

/// What of a client identifier or user name a line shows, in bytes.
const NAME_BYTES_MAX: usize = 256;

/// What happens to a client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Entry {
    /// It connected.
    Connected,
    /// It disconnected, or was disconnected.
    Disconnected,
    /// Its CONNECT was refused.
    Refused,
}

/// The lines of a node, counted by seconds since it started.
#[derive(Debug)]
pub struct Journal {
    started: Instant,
    lines_per_second_max: u32,
    /// The second of the latest line, and how many there were in it.
    window: AtomicU64,
    left_out: [AtomicU64; 3],
    /// Somebody will say what was left out.
    is_awaited: AtomicBool,
}

impl Journal {
    /// With so many lines a second.
    pub(crate) fn new(lines_per_second_max: u32) -> Self {
        Self {
            started: clock::now(),
            lines_per_second_max,
            window: AtomicU64::new(0),
            left_out: Default::default(),
            is_awaited: AtomicBool::new(false),
        }
    }

    /// The present second, from 1 on.
    fn second(&self, now: Instant) -> u64 {
        now.saturating_duration_since(self.started).as_secs() + 1
    }

    /// Takes a line of this second. False if there is none left.
    fn take(&self, entry: Entry, now: Instant) -> bool {
        let second = self.second(now);
        let taken = self.window.fetch_update(Relaxed, Relaxed, |window| {
            let lines = if window >> 32 == second { window & u64::from(u32::MAX) } else { 0 };
            (lines < u64::from(self.lines_per_second_max)).then_some(second << 32 | (lines + 1))
        });
        match taken {
            Ok(before) => {
                if before >> 32 != second {
                    self.tell_left_out();
                }
                true
            }
            Err(_) => {
                self.left_out[entry as usize].fetch_add(1, SeqCst);
                false
            }
        }
    }

    /// When this second is over, if somebody has to be there then to say what was left out of it, and nobody will.
    fn next_look(&self, now: Instant) -> Option<Instant> {
        let is_awaited = self.is_awaited.swap(true, SeqCst);
        (!is_awaited).then(|| self.started + Duration::from_secs(self.second(now)))
    }

    /// Says what was left out of a second that is over.
    pub(crate) fn look(&self, now: Instant) {
        if self.window.load(Relaxed) >> 32 != self.second(now) {
            self.tell_left_out();
        }
    }

    /// Says what was left out.
    pub(crate) fn tell_left_out(&self) {
        // What is left out behind this needs somebody anew.
        self.is_awaited.store(false, SeqCst);
        if self.left_out.iter().all(|count| count.load(Relaxed) == 0) {
            return;
        }
        let [connected, disconnected, refused] = self.left_out.each_ref().map(|count| count.swap(0, SeqCst));
        info!(
            connected,
            disconnected,
            refused,
            "clients of which no line was written: there are more than node.client_lines_per_second_max"
        );
    }
}

impl Worker {
    /// Whether a line may be written of this client; it is to be written then.
    fn may_tell(&self, entry: Entry, now: Instant) -> bool {
        let journal = &self.node.journal;
        if journal.lines_per_second_max == 0 || !enabled!(Level::INFO) {
            return false;
        }
        let may = journal.take(entry, now);
        if !may {
            self.counters.client_lines_left_out.add(1);
            if let Some(at) = journal.next_look(now) {
                self.state().set_timer(now, at, Timer::LinesLeftOut);
            }
        }
        may
    }

    /// A CONNECT was accepted. `peer` is asked for only if a line is written.
    pub(crate) fn tell_connected(
        &self,
        connect: &Connect,
        session_present: bool,
        (kind, peer): (TransportKind, impl FnOnce() -> Option<SocketAddr>),
        user_name: Option<&str>,
        now: Instant,
    ) {
        if !self.may_tell(Entry::Connected, now) {
            return;
        }
        info!(
            client_identifier = shown(&connect.client_identifier),
            user_name = user_name.map(shown),
            peer = peer().map(tracing::field::display),
            transport = transport(kind),
            protocol = protocol(connect.version),
            keep_alive_seconds = connect.keep_alive,
            clean_start = connect.clean_start,
            session_present,
            "connected"
        );
    }

    /// A CONNECT was refused.
    pub(crate) fn tell_refused(
        &self,
        connect: Option<&Connect>,
        peer: Option<SocketAddr>,
        reason: ReasonCode,
    ) {
        if !self.may_tell(Entry::Refused, clock::now()) {
            return;
        }
        info!(
            client_identifier = connect.map(|connect| shown(&connect.client_identifier)),
            user_name = connect.and_then(|connect| connect.user_name.as_deref()).map(shown),
            peer = peer.map(tracing::field::display),
            reason = words(reason),
            reason_code = code(reason),
            "refused"
        );
    }

    /// A session parts from its network connection: what is to be said of that when the connection is over, if anything.
    pub(crate) fn farewell(
        &self,
        session: SessionKey,
        online: &Online,
        ending: &Ending,
        now: Instant,
    ) -> Option<Box<Farewell>> {
        self.may_tell(Entry::Disconnected, now).then(|| {
            let sessions = &self.state().sessions;
            let client_identifier = sessions.get(session).map_or("", |session| session.client_identifier());
            let reason = match ending.reason {
                ReasonCode::Success if ending.by_client => "client disconnected".to_owned(),
                ReasonCode::Success => "client closed the network connection".to_owned(),
                ReasonCode::UnspecifiedError if !ending.by_client => "network connection was lost".to_owned(),
                reason => words(reason),
            };
            Box::new(Farewell {
                client_identifier: shown(client_identifier).into(),
                reason,
                reason_code: code(ending.reason),
                lasted: online.connected_at.elapsed(self.node.started, now),
            })
        })
    }
}

/// What is said of a network connection that is over.
#[derive(Debug)]
pub struct Farewell {
    client_identifier: Box<str>,
    reason: String,
    reason_code: String,
    lasted: Duration,
}

impl Farewell {
    /// Says it, with the bytes that were received and sent.
    pub(super) fn say(self, bytes_received: ByteCount, bytes_sent: ByteCount) {
        let Self { client_identifier, reason, reason_code, lasted } = self;
        info!(
            client_identifier = &*client_identifier,
            reason,
            reason_code,
            // In tenths, as it is kept.
            duration_seconds = (lasted.as_millis() / 100) as f64 / 10.0,
            bytes_received = bytes_received.get(),
            bytes_sent = bytes_sent.get(),
            "disconnected"
        );
    }
}

/// As much of a name as a line shows.
fn shown(name: &str) -> &str {
    let mut bytes = name.len().min(NAME_BYTES_MAX);
    while !name.is_char_boundary(bytes) {
        bytes -= 1;
    }
    &name[..bytes]
}

fn transport(kind: TransportKind) -> &'static str {
    match kind {
        TransportKind::Tcp => "tcp",
        TransportKind::WebSocket => "websocket",
        #[cfg(feature = "simulation")]
        TransportKind::Memory => "memory",
    }
}

fn protocol(version: ProtocolVersion) -> &'static str {
    match version {
        ProtocolVersion::V31 => "3.1",
        ProtocolVersion::V311 => "3.1.1",
        ProtocolVersion::V5 => "5.0",
    }
}

fn code(reason: ReasonCode) -> String {
    format!("0x{:02x}", reason as u8)
}

/// The name of a reason code as words: "session taken over".
fn words(reason: ReasonCode) -> String {
    let name = format!("{reason:?}").replace("QoS", "Qos");
    let mut words = String::with_capacity(name.len() + 4);
    for letter in name.chars() {
        if letter.is_ascii_uppercase() && !words.is_empty() {
            words.push(' ');
        }
        words.push(letter.to_ascii_lowercase());
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reason_codes_are_words() {
        assert_eq!(words(ReasonCode::SessionTakenOver), "session taken over");
        assert_eq!(words(ReasonCode::QoSNotSupported), "qos not supported");
        assert_eq!(
            (code(ReasonCode::Success), code(ReasonCode::Banned)),
            ("0x00".to_owned(), "0x8a".to_owned())
        );
    }

    #[test]
    fn names_are_shown_in_part() {
        assert_eq!(shown("short"), "short");
        let long = "é".repeat(NAME_BYTES_MAX);
        assert_eq!(shown(&long), "é".repeat(NAME_BYTES_MAX / 2));
    }

    #[test]
    fn a_second_has_so_many_lines_and_what_is_left_out_is_counted() {
        let journal = Journal::new(3);
        let begin = journal.started;
        let taken = |at, entry| (0..5).filter(|_| journal.take(entry, begin + at)).count();
        assert_eq!(taken(Duration::ZERO, Entry::Connected), 3);
        assert_eq!(taken(Duration::from_millis(999), Entry::Refused), 0);
        let left_out = || journal.left_out.each_ref().map(|count| count.load(Relaxed));
        assert_eq!(left_out(), [2, 0, 5]);
        let next_look = || journal.next_look(begin + Duration::from_millis(999));
        assert_eq!([next_look(), next_look()], [Some(begin + Duration::from_secs(1)), None]);
        journal.look(begin + Duration::from_millis(999));
        assert_eq!(left_out(), [2, 0, 5], "that second is not over");
        assert_eq!(taken(Duration::from_secs(1), Entry::Disconnected), 3);
        assert_eq!(left_out(), [0, 2, 0], "what was left out before was said");
        journal.look(begin + Duration::from_secs(2));
        assert_eq!(left_out(), [0; 3]);
    }
}
