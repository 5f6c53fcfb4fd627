//! What the log says of clients, as far as there is room for it ([`ClientLines`](crate::client_lines::ClientLines)).

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use micro_mq_core::compact::ByteCount;
use micro_mq_core::ids::SessionKey;
use micro_mq_core::protocol::Ending;
use micro_mq_core::session::Online;
use micro_mq_core::timers::Timer;
use mqtt_codec::{Connect, ProtocolVersion, ReasonCode};
use tracing::{Level, enabled, info};

use crate::client_lines::ClientEvent;
use crate::clock;
use crate::transport::TransportKind;
use crate::worker::Worker;

/// What of a client identifier or user name a line shows, in bytes.
const NAME_BYTES_MAX: usize = 256;

impl Worker {
    /// Whether a line may be written of this client; it is to be written then.
    fn may_tell(&self, entry: ClientEvent, now: Instant) -> bool {
        let client_lines = &self.node.client_lines;
        if client_lines.lines_per_second_max == 0 || !enabled!(Level::INFO) {
            return false;
        }
        let may = client_lines.take(entry, now);
        if !may {
            self.counters.client_lines_left_out.add(1);
            if let Some(at) = client_lines.next_look(now) {
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
        if !self.may_tell(ClientEvent::Connected, now) {
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
        if !self.may_tell(ClientEvent::Refused, clock::now()) {
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
        self.may_tell(ClientEvent::Disconnected, now).then(|| {
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
        TransportKind::Tls => "tls",
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
}
