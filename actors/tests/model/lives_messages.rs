//! Messages to clients that are away, over nodes that follow one another on one disk.

use std::time::Duration;

use micro_mq_actors::simulation::{SimulatedClient, SimulatedDisk, SimulatedNode};
use mqtt_codec::{Ack, Packet, PacketIdentifier, QoS, ReasonCode};

use crate::lives::{SEEDS, answer, connect, lasting, send, simulation};
use crate::simulated::{named, publish, subscribe_with};

fn identifier(number: u16) -> PacketIdentifier {
    PacketIdentifier::new(number).expect("not 0")
}

fn ack(identifier: PacketIdentifier) -> Ack {
    Ack::new(identifier, ReasonCode::Success)
}

fn publish_as(topic: &str, text: &str, qos: QoS, number: u16, dup: bool) -> Packet {
    let Packet::Publish(publish) = publish(topic, 0, Some(number)) else { unreachable!("it is one") };
    Packet::Publish(mqtt_codec::Publish { dup, qos, payload: text.to_owned().into(), ..publish })
}

/// What comes to a client: identifiers and payloads of publishes, each acknowledged.
async fn take(node: &SimulatedNode, client: &mut SimulatedClient) -> Vec<(u8, String)> {
    let mut taken = Vec::new();
    loop {
        node.settle().await;
        let packets = client.receive().expect("nothing wrong");
        if packets.is_empty() {
            return taken;
        }
        for packet in packets {
            match packet {
                Packet::Publish(publish) => {
                    taken.push((publish.qos as u8, String::from_utf8_lossy(&publish.payload).into_owned()));
                    let answer = ack(publish.packet_identifier.expect("QoS 1 or 2"));
                    let is_exactly_once = publish.qos == QoS::ExactlyOnce;
                    send(
                        client,
                        &if is_exactly_once { Packet::PubRec(answer) } else { Packet::PubAck(answer) },
                    );
                }
                Packet::PubRel(release) => send(client, &Packet::PubComp(ack(release.packet_identifier))),
                _ => {}
            }
        }
    }
}

/// The power fails at each step in turn, while a client publishes with every QoS to two who are away, one of them at each of
/// two workers, and they come back: what was acknowledged comes, QoS 2 once, and in order.
#[test]
fn what_was_acknowledged_before_a_kill_comes_behind_it() {
    for seed in 0..SEEDS {
        let disk = SimulatedDisk::new(seed);
        disk.keep_messages();
        simulation(seed, &disk).run_lives(async |node| {
            let names = [0, 1].map(|number| format!("away {number}"));
            for name in &names {
                let mut client = connect(node, 0, lasting(name));
                send(&mut client, &subscribe_with("t/#", QoS::ExactlyOnce));
                node.settle().await;
                assert!(answer(&mut client).is_some());
                client.hang_up();
            }
            let mut taken = [Vec::new(), Vec::new()];
            let (mut published, mut acknowledged) = (Vec::new(), Vec::new());
            for steps in 0.. {
                disk.fail_after(Some(steps));
                let mut writer = connect(node, steps as usize, lasting("writer"));
                node.settle().await;
                let mut open = Vec::new();
                for (number, qos) in
                    (1..).zip([QoS::AtLeastOnce, QoS::ExactlyOnce, QoS::ExactlyOnce, QoS::AtLeastOnce])
                {
                    let text = format!("{steps} {number}");
                    send(&mut writer, &publish_as(&format!("t/{}", qos as u8), &text, qos, number, false));
                    published.push((qos as u8, text.clone()));
                    open.push((number, qos, text));
                }
                node.settle().await;
                let answers = finish(node, &mut writer).await;
                let was_off = node.is_off();
                // Who gets no answer has another network connection, and sends again.
                node.kill_and_restart(Duration::from_secs(1), 1 + steps as usize % 3).await;
                let mut writer = connect(node, 0, lasting("writer"));
                node.settle().await;
                let (is_present, _) = answer(&mut writer).expect("an answer");
                for (number, qos, text) in open {
                    if answers.contains(&number) {
                        acknowledged.push((qos as u8, text));
                        if qos == QoS::ExactlyOnce {
                            send(&mut writer, &Packet::PubRel(ack(identifier(number))));
                        }
                    } else if qos == QoS::ExactlyOnce && is_present {
                        send(&mut writer, &publish_as(&format!("t/{}", qos as u8), &text, qos, number, true));
                        acknowledged.push((qos as u8, text));
                    }
                }
                node.settle().await;
                finish(node, &mut writer).await;
                writer.hang_up();
                for (name, taken) in names.iter().zip(&mut taken) {
                    let mut client = connect(node, 1, lasting(name));
                    node.settle().await;
                    taken.extend(take(node, &mut client).await);
                    client.hang_up();
                    node.settle().await;
                }
                node.check().await.expect("the node agrees with itself");
                if !was_off {
                    break;
                }
            }
            for taken in &taken {
                let what = format!("seed {seed}: {taken:?}");
                for one in &acknowledged {
                    let times = taken.iter().filter(|other| *other == one).count();
                    assert!(times >= 1 && (one.0 == 1 || times == 1), "{one:?} came {times} times, {what}");
                }
                for qos in [1, 2] {
                    // QoS 1 may come again; it comes first in order.
                    let first = |at: &usize| taken.iter().position(|other| *other == taken[*at]) == Some(*at);
                    let came = (0..taken.len()).filter(|at| taken[*at].0 == qos).filter(first);
                    let place = |at: usize| published.iter().position(|other| *other == taken[at]);
                    let places: Vec<_> = came.map(place).collect();
                    assert!(places.is_sorted(), "QoS {qos}: {what}");
                }
            }
        });
    }
}

/// All answers that a publisher gets, each QoS 2 publish to its end. Answers the identifiers of what was acknowledged: PUBACK,
/// or PUBREC.
async fn finish(node: &SimulatedNode, writer: &mut SimulatedClient) -> Vec<u16> {
    let mut acknowledged = Vec::new();
    loop {
        node.settle().await;
        let Ok(packets) = writer.receive() else { return acknowledged };
        if packets.is_empty() {
            return acknowledged;
        }
        for packet in packets {
            match packet {
                Packet::PubAck(answer) => acknowledged.push(answer.packet_identifier.get()),
                Packet::PubRec(answer) => {
                    acknowledged.push(answer.packet_identifier.get());
                    send(writer, &Packet::PubRel(ack(answer.packet_identifier)));
                }
                _ => {}
            }
        }
    }
}

/// Messages that waited while a session outlived the process are sent to their end when it does so no more.
#[test]
fn a_session_that_outlives_the_process_no_more_keeps_what_waits_for_it() {
    let disk = SimulatedDisk::new(0);
    disk.keep_messages();
    simulation(1, &disk).run_lives(async |node| {
        let mut client = connect(node, 0, lasting("the one"));
        send(&mut client, &subscribe_with("t", QoS::ExactlyOnce));
        let mut writer = connect(node, 1, lasting("writer"));
        node.settle().await;
        client.receive().expect("nothing wrong");
        send(&mut writer, &publish_as("t", "sent", QoS::ExactlyOnce, 1, false));
        node.settle().await;
        assert_eq!(client.receive().expect("nothing wrong").len(), 1);
        client.hang_up();
        node.settle().await;
        send(&mut writer, &publish_as("t", "waits", QoS::ExactlyOnce, 2, false));
        node.settle().await;
        // With a session expiry interval of 0.
        let mut client = connect(node, 0, mqtt_codec::Connect { clean_start: false, ..named("the one") });
        let taken = take(node, &mut client).await;
        assert_eq!(taken, [(2, "sent".to_owned()), (2, "waits".to_owned())]);
        assert_eq!(node.ledger().queued, 0, "both were acknowledged to the end");
    });
}
