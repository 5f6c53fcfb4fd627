//! Clients that fall silent: the node ends their connection one and a half times their keep alive after their last
//! packet, whatever it sends them meanwhile.

use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Instant;

use mqtt_codec::{Connect, Packet, ProtocolVersion, ReasonCode};
use tokio::task::JoinHandle;
use tokio::time::sleep;

use super::arrivals::{fraction, seconds, spread};
use super::record::Record;
use super::wire::Wire;

const KIND: &str = "keep alive";
const CLIENTS: usize = 600;

pub(crate) fn start(address: SocketAddr, record: &Rc<Record>) -> Vec<JoinHandle<()>> {
    record.expect(KIND, CLIENTS);
    spread(CLIENTS, |number| fall_silent(address, number, Rc::clone(record)))
}

async fn fall_silent(address: SocketAddr, number: usize, record: Rc<Record>) {
    let version = [ProtocolVersion::V5, ProtocolVersion::V311, ProtocolVersion::V31][number % 3];
    let keep_alive = seconds(number, &[1, 2, 3, 4]);
    let mut connect = Connect::new(version, &format!("silent-{number}"));
    connect.keep_alive = keep_alive.as_secs() as u16;
    let mut last = Instant::now();
    let (mut wire, _) = Wire::connect(address, number, connect).await;
    // One of three is silent from its CONNECT on, one sends a PINGREQ, one hears what others publish.
    match number / 3 % 3 {
        0 => {}
        1 => {
            sleep(fraction(number) / 2).await;
            last = Instant::now();
            wire.send(&Packet::PingReq).await;
        }
        _ => {
            last = Instant::now();
            wire.subscribe(&format!("load/{}", number % super::crowd::TOPICS)).await;
        }
    }
    let reason = loop {
        match wire.next().await {
            Some(Packet::PingResp | Packet::Publish(_)) => {}
            Some(Packet::Disconnect(disconnect)) => break Some(disconnect.reason_code),
            None => break None,
            other => panic!("before the keep alive passed: {other:?}"),
        }
    };
    record.came(KIND, last, keep_alive * 3 / 2);
    let expected = (version == ProtocolVersion::V5).then_some(ReasonCode::KeepAliveTimeout);
    if reason != expected {
        record.wrong(format!("a silent client was told {reason:?}"));
    }
}
