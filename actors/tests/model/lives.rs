//! Nodes that follow one another on one disk: what the next one has, wherever the one before was killed.

use std::time::Duration;

use micro_mq_actors::simulation::{Conditions, SimulatedClient, SimulatedDisk, SimulatedNode, Simulation};
use mqtt_codec::{Connect, Packet, ProtocolVersion, ReasonCode, encode};

use crate::simulated::{named, settings, subscribe};

/// Orders of turns, and of what a failure leaves.
pub(crate) const SEEDS: u64 = 40;

pub(crate) fn send(client: &mut SimulatedClient, packet: &Packet) {
    let mut bytes = Vec::new();
    encode(packet, ProtocolVersion::V5, u32::MAX, &mut bytes).expect("a packet of 5.0");
    client.send(&bytes);
}

pub(crate) fn lasting(name: &str) -> Connect {
    let mut connect = Connect { clean_start: false, ..named(name) };
    connect.properties.session_expiry_interval = Some(3600);
    connect
}

pub(crate) fn connect(node: &SimulatedNode, worker: usize, connect: Connect) -> SimulatedClient {
    let mut client = node.connect(worker % node.workers());
    send(&mut client, &Packet::Connect(Box::new(connect)));
    client
}

/// Session present, and the reason code; none: it was not answered.
pub(crate) fn answer(client: &mut SimulatedClient) -> Option<(bool, ReasonCode)> {
    client.receive().expect("nothing wrong").into_iter().find_map(|packet| match packet {
        Packet::ConnAck(answer) => Some((answer.session_present, answer.reason_code)),
        _ => None,
    })
}

fn is_subscribed(client: &mut SimulatedClient) -> bool {
    client.receive().expect("nothing wrong").iter().any(|packet| matches!(packet, Packet::SubAck(_)))
}

pub(crate) fn simulation(seed: u64, disk: &SimulatedDisk) -> Simulation {
    let conditions = Conditions { asks: false, interleaved_by: Some(seed) };
    Simulation::start_durable(settings(1 + seed as usize % 3), conditions, Vec::new(), disk.clone())
}

/// The power fails at each step in turn: what was answered before is there, and what was not is there or is not.
#[test]
fn what_was_answered_before_a_kill_is_there_behind_it() {
    for seed in 0..SEEDS {
        let disk = SimulatedDisk::new(seed);
        simulation(seed, &disk).run_lives(async |node| {
            for steps in 0.. {
                disk.fail_after(Some(steps));
                let name = format!("client {steps}");
                let mut client = connect(node, steps as usize, lasting(&name));
                node.settle().await;
                let is_answered = answer(&mut client) == Some((false, ReasonCode::Success));
                send(&mut client, &subscribe("t"));
                node.settle().await;
                let is_subscribed = is_subscribed(&mut client);
                client.hang_up();
                let was_off = node.is_off();
                node.kill_and_restart(Duration::from_secs(steps), 1 + steps as usize % 3).await;
                assert!(node.is_restored() && !node.is_off());
                let mut client = connect(node, 0, lasting(&name));
                node.settle().await;
                let (is_present, _) = answer(&mut client).expect("an answer");
                assert!(is_present || !is_answered, "seed {seed}, step {steps}");
                let ours = node.ledger().published;
                let mut writer = connect(node, 0, named("writer"));
                node.settle().await;
                send(&mut writer, &crate::simulated::publish("t", 1, Some(1)));
                node.settle().await;
                assert_eq!(node.ledger().published, ours + 1);
                let came = client.receive().expect("nothing wrong");
                let came = came.iter().any(|packet| matches!(packet, Packet::Publish(_)));
                assert!(came || !is_subscribed, "seed {seed}, step {steps}");
                assert!(!came || is_answered, "a subscription that nobody could ask for");
                client.hang_up();
                writer.hang_up();
                node.check().await.expect("the node agrees with itself");
                if !was_off {
                    return;
                }
            }
        });
    }
}

/// As long as sessions cannot be read nobody is told that there are none; who begins a clean one waits until an earlier one
/// has ended for sure.
#[test]
fn sessions_that_cannot_be_read_are_not_gone() {
    let disk = SimulatedDisk::new(0);
    simulation(1, &disk).run_lives(async |node| {
        let mut client = connect(node, 0, lasting("the one"));
        node.settle().await;
        assert_eq!(answer(&mut client), Some((false, ReasonCode::Success)));
        disk.be_unreadable(8);
        node.kill_and_restart(Duration::ZERO, 2).await;
        assert!(!node.is_restored());
        let mut refused = connect(node, 0, lasting("the one"));
        let mut clean = connect(node, 1, named("another"));
        node.settle().await;
        assert_eq!(answer(&mut refused), Some((false, ReasonCode::ServerUnavailable)));
        assert_eq!(answer(&mut clean), None);
        node.pass(Duration::from_secs(5)).await;
        assert!(node.is_restored());
        assert_eq!(answer(&mut clean), Some((false, ReasonCode::Success)));
        let mut client = connect(node, 0, lasting("the one"));
        node.settle().await;
        assert_eq!(answer(&mut client), Some((true, ReasonCode::Success)));
    });
}

/// As long as the disk stands still nobody is told what is not kept, and who has nothing there goes on.
#[test]
fn a_disk_that_stands_still_holds_up_what_it_has_to_keep() {
    let disk = SimulatedDisk::new(0);
    simulation(1, &disk).run_lives(async |node| {
        let mut lasts = connect(node, 0, lasting("lasts"));
        node.settle().await;
        assert!(answer(&mut lasts).is_some());
        disk.stall();
        send(&mut lasts, &subscribe("t"));
        let mut later = connect(node, 1, lasting("later"));
        let mut clean = connect(node, 0, named("clean"));
        send(&mut clean, &subscribe("t"));
        node.pass(Duration::from_secs(30)).await;
        assert!(!is_subscribed(&mut lasts) && answer(&mut later).is_none());
        let packets = clean.receive().expect("nothing wrong");
        assert!(matches!(&packets[..], [Packet::ConnAck(_), Packet::SubAck(_)]), "{packets:?}");
        disk.go_on();
        node.settle().await;
        assert!(is_subscribed(&mut lasts) && answer(&mut later).is_some());
        [lasts, later, clean].into_iter().for_each(SimulatedClient::hang_up);
        node.check().await.expect("the node agrees with itself");
    });
}
