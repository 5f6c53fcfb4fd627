//! What attackers do again and again.

use mqtt_codec::{Connect, Packet, ProtocolVersion, QoS, ReasonCode};

use crate::harness::{Program, Wire, bytes_of, connect, publish, subscribe};

/// Connections that stay open until memory was looked at.
#[derive(Default)]
pub(super) struct Held(Vec<Box<dyn std::any::Any>>);

impl Held {
    pub(super) fn keep(&mut self, what: impl std::any::Any) {
        self.0.push(Box::new(what));
    }
}

/// Dropped for this reason, so far.
pub(super) fn dropped(program: &Program, reason: &str) -> u64 {
    program.figures().get(&format!("messages_dropped_total{{reason=\"{reason}\"}}"))
}

/// A CONNECT for a session that outlives its connection.
pub(super) fn durable(client_identifier: &str) -> Connect {
    let mut connect = connect(ProtocolVersion::V5, client_identifier);
    connect.properties.session_expiry_interval = Some(3600);
    connect
}

pub(super) fn clean(program: &Program, client_identifier: &str) -> Wire {
    Wire::client(program.tcp, connect(ProtocolVersion::V5, client_identifier))
}

/// Subscribes to all of these. Returns whether all of them were granted.
pub(super) fn subscribe_to<F: AsRef<str>>(client: &mut Wire, filters: &[F]) -> bool {
    client.send(&subscribe(filters, QoS::AtLeastOnce));
    let answer = client.until(|packet| matches!(packet, Packet::SubAck(_)));
    let Packet::SubAck(answer) = answer else { unreachable!("it was waited for") };
    answer.reason_codes.iter().all(|reason| !reason.is_error())
}

/// A session that is subscribed to these, and has left.
pub(super) fn offline<F: AsRef<str>>(program: &Program, client_identifier: &str, filters: &[F]) {
    let mut client = Wire::client(program.tcp, durable(client_identifier));
    for some in filters.chunks(500) {
        assert!(subscribe_to(&mut client, some));
    }
    client.send(&Packet::Disconnect(mqtt_codec::Disconnect::new(ReasonCode::Success)));
    client.expect_end();
}

/// Publishes this again and again with QoS 1, until something is as wanted; that is looked at now and then.
pub(super) fn publish_until(
    client: &mut Wire,
    topic: &str,
    payload: &[u8],
    mut is_enough: impl FnMut() -> bool,
) {
    const WINDOW: u16 = 500;
    // By so many bytes at a time: the socket holds no more.
    let at_once = (512 * 1024 / (payload.len() + topic.len() + 10)).clamp(1, WINDOW.into());
    let some: Vec<u8> = (1..=at_once as u16)
        .flat_map(|identifier| {
            let packet = publish(topic, QoS::AtLeastOnce, identifier, payload);
            bytes_of(&packet, ProtocolVersion::V5)
        })
        .collect();
    for round in 1.. {
        assert!(client.send_bytes(&some), "a publisher is not closed");
        for _ in 0..at_once {
            client.until(|packet| matches!(packet, Packet::PubAck(_)));
        }
        if round % 4 == 0 && is_enough() {
            return;
        }
    }
}
