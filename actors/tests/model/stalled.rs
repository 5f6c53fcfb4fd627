//! A session store that stalls: who waits for it is answered when it goes on, or told to come again when that takes too
//! long, and nobody else notices.

use std::time::Duration;

use micro_mq_actors::simulation::{Conditions, SimulatedClient, SimulatedDisk, SimulatedNode, Simulation};
use micro_mq_core::settings::Settings;
use mqtt_codec::{Packet, ReasonCode};

fn start() -> (Simulation, SimulatedDisk) {
    let disk = SimulatedDisk::new(1);
    let conditions = Conditions { interleaved_by: Some(1), ..Conditions::default() };
    (Simulation::start_durable(Settings::default(), conditions, Vec::new(), disk.clone()), disk)
}

/// MQTT 3.1.1 with clean session 0 and 5.0 with a session expiry interval, both without keep alive.
const DURABLE: [&[u8]; 2] = [
    b"\x10\x0f\x00\x04MQTT\x04\x00\x00\x00\x00\x03old",
    b"\x10\x15\x00\x04MQTT\x05\x00\x00\x00\x05\x11\x00\x00\x0e\x10\x00\x03new",
];
const CLEAN: &[u8] = b"\x10\x11\x00\x04MQTT\x04\x02\x00\x00\x00\x05clean";
const PINGREQ: &[u8] = b"\xc0\x00";

fn connect(node: &SimulatedNode, packet: &[u8]) -> SimulatedClient {
    let mut client = node.connect(0);
    client.send(packet);
    client
}

fn answer(client: &mut SimulatedClient) -> (ReasonCode, bool) {
    let packets = client.receive().expect("packets");
    let [Packet::ConnAck(answer)] = &packets[..] else { panic!("{packets:?}") };
    (answer.reason_code, answer.session_present)
}

/// For 30 seconds.
#[test]
fn who_waits_is_answered_when_it_goes_on() {
    let (simulation, disk) = start();
    simulation.run(async |node| {
        disk.stall();
        let mut waiting = DURABLE.map(|packet| connect(node, packet));
        node.settle().await;
        let mut clean = connect(node, CLEAN);
        node.settle().await;
        assert_eq!(answer(&mut clean).0, ReasonCode::Success);
        node.pass(Duration::from_secs(30)).await;
        clean.send(PINGREQ);
        node.settle().await;
        assert_eq!(clean.receive().unwrap(), [Packet::PingResp]);
        for client in &mut waiting {
            assert!(client.receive().unwrap().is_empty() && !client.is_over());
        }
        disk.go_on();
        node.settle().await;
        for client in &mut waiting {
            assert_eq!(answer(client), (ReasonCode::Success, false));
            client.send(PINGREQ);
        }
        node.settle().await;
        for client in &mut waiting {
            assert_eq!(client.receive().unwrap(), [Packet::PingResp]);
        }
        node.check().await.unwrap();
    });
}

/// For more than a minute. The session is there nevertheless, for who comes again.
#[test]
fn who_waits_too_long_is_told_to_come_again() {
    let (simulation, disk) = start();
    simulation.run(async |node| {
        disk.stall();
        let mut waiting = DURABLE.map(|packet| connect(node, packet));
        node.pass(Duration::from_secs(59)).await;
        node.settle().await;
        for client in &mut waiting {
            assert!(client.receive().unwrap().is_empty() && !client.is_over());
        }
        node.pass(Duration::from_secs(2)).await;
        node.settle().await;
        for client in &mut waiting {
            assert_eq!(answer(client), (ReasonCode::ServerUnavailable, false));
            assert!(client.is_over());
        }
        waiting.into_iter().for_each(SimulatedClient::hang_up);
        disk.go_on();
        node.settle().await;
        let mut again = connect(node, DURABLE[1]);
        node.settle().await;
        assert_eq!(answer(&mut again), (ReasonCode::Success, true));
        node.check().await.unwrap();
    });
}
