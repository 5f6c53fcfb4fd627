//! Many network connections that want the same session.

use std::net::TcpStream;

use mqtt_codec::{Connect, Disconnect, Packet, ProtocolVersion, QoS, ReasonCode};

use crate::harness::{
    Program, Scale, Sent, Turn, Wire, bytes_of, connect, ordeal, publish, subscribe, until,
};

fn durable(name: &str) -> Connect {
    let mut connect = Connect { clean_start: false, ..connect(ProtocolVersion::V5, name) };
    connect.properties.session_expiry_interval = Some(60);
    connect
}

/// One after the other, each with a session that has much in flight; then all at once.
#[test]
fn of_one_session() {
    let _turn = Turn::take();
    let program = Program::start(&[]);
    ordeal(&program, |scale: Scale| {
        let before = program.figures();
        let mut holder = Wire::client(program.tcp, durable("wanted"));
        holder.send(&subscribe(&["wanted/#"], QoS::AtLeastOnce));
        holder.until(|packet| matches!(packet, Packet::SubAck(_)));
        let mut publisher = Wire::client(program.tcp, connect(ProtocolVersion::V311, "gives"));
        for _ in 0..scale.of(2000) {
            publisher.send(&publish("wanted/x", QoS::AtLeastOnce, 1, &[b'x'; 100]));
            publisher.until(|packet| matches!(packet, Packet::PubAck(_)));
        }
        let count = scale.of(500);
        for _ in 0..count {
            let next = Wire::client(program.tcp, durable("wanted"));
            holder.expect_end();
            holder = next;
        }
        program.until_grown(&before, "takeovers_total", count as u64);
        // All at once: one of them stays.
        let bytes = bytes_of(&Packet::Connect(Box::new(durable("wanted"))), ProtocolVersion::V5);
        let racers: Vec<TcpStream> = (0..count)
            .map(|_| {
                let mut racer = TcpStream::connect(program.tcp).expect("a listener");
                std::io::Write::write_all(&mut racer, &bytes).expect("sent");
                racer
            })
            .collect();
        until("all have had it", || {
            let taken = program.figures().grew(&before, "takeovers_total");
            if taken == 2 * count as u64 { Ok(()) } else { Err(format!("{taken} takeovers")) }
        });
        program.until_figure("sessions_online", 6);
        drop((racers, holder));
        // The end of it.
        let mut last = Wire::client(program.tcp, connect(ProtocolVersion::V5, "wanted"));
        last.send(&Packet::Disconnect(Disconnect::new(ReasonCode::Success)));
        last.expect_end();
        Sent::default()
    });
    program.stop();
}
