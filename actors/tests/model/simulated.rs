//! The simulated node itself: time, workers, back-pressure, and that nothing remains.

use std::time::Duration;

use micro_mq_actors::simulation::{SimulatedClient, SimulatedNode, Simulation};
use micro_mq_core::settings::Settings;
use mqtt_codec::{
    Connect, Disconnect, Packet, PacketIdentifier, ProtocolVersion, QoS, ReasonCode, TopicName, encode,
};

pub(crate) fn settings(workers: usize) -> Settings {
    let mut settings = Settings::default();
    settings.node.workers = workers;
    settings
}

fn send(client: &mut SimulatedClient, packet: &Packet) {
    let mut bytes = Vec::new();
    encode(packet, ProtocolVersion::V5, u32::MAX, &mut bytes).expect("a packet of 5.0");
    client.send(&bytes);
}

async fn connect(node: &SimulatedNode, worker: usize, connect: Connect) -> SimulatedClient {
    let mut client = node.connect(worker);
    send(&mut client, &Packet::Connect(Box::new(connect)));
    node.settle().await;
    let answer = client.receive().expect("nothing wrong");
    assert!(matches!(&answer[..], [Packet::ConnAck(answer)] if answer.reason_code == ReasonCode::Success));
    client
}

pub(crate) fn named(name: &str) -> Connect {
    Connect::new(ProtocolVersion::V5, name)
}

pub(crate) fn publish(name: &str, payload: usize, identifier: Option<u16>) -> Packet {
    Packet::Publish(mqtt_codec::Publish {
        dup: false,
        qos: if identifier.is_some() { QoS::AtLeastOnce } else { QoS::AtMostOnce },
        retain: false,
        topic: name.to_owned(),
        packet_identifier: identifier.and_then(PacketIdentifier::new),
        properties: mqtt_codec::PublishProperties::default(),
        payload: vec![b'x'; payload].into(),
    })
}

fn will(topic: &str) -> mqtt_codec::Will {
    mqtt_codec::Will {
        qos: QoS::AtMostOnce,
        retain: false,
        topic: TopicName::new(topic).expect("a topic name"),
        payload: "lost".into(),
        delay_interval: 0,
        properties: mqtt_codec::PublishProperties::default(),
    }
}

pub(crate) fn subscribe(filter: &str) -> Packet {
    subscribe_with(filter, QoS::AtLeastOnce)
}

pub(crate) fn subscribe_with(filter: &str, qos: QoS) -> Packet {
    subscribe_to_all([filter.to_owned()], qos)
}

fn subscribe_to_all(filters: impl IntoIterator<Item = String>, qos: QoS) -> Packet {
    let filter = |filter: String| mqtt_codec::SubscriptionFilter::parse(&filter).expect("a filter");
    Packet::Subscribe(mqtt_codec::Subscribe {
        packet_identifier: PacketIdentifier::MIN,
        subscription_identifier: None,
        user_properties: Vec::new(),
        filters: filters.into_iter().map(|name| (filter(name), qos.into())).collect(),
    })
}

#[test]
fn a_takeover_from_any_worker_to_any_other() {
    Simulation::start(settings(3)).run(async |node| {
        for (first, second) in [(0, 1), (1, 2), (2, 0), (1, 1)] {
            let mut old = connect(node, first, named("the one")).await;
            let new = connect(node, second, named("the one")).await;
            let last = old.receive().unwrap();
            assert!(
                matches!(&last[..], [Packet::Disconnect(last)] if last.reason_code == ReasonCode::SessionTakenOver)
            );
            node.check().await.unwrap();
            new.hang_up();
            node.settle().await;
        }
        node.clear().await.unwrap();
    });
}

#[test]
fn time_passes_when_it_is_told_to() {
    Simulation::start(settings(1)).run(async |node| {
        let mut silent = connect(node, 0, Connect { keep_alive: 3600, ..named("silent") }).await;
        node.jump(Duration::from_secs(5399)).await;
        assert!(silent.receive().unwrap().is_empty());
        node.pass(Duration::from_millis(1200)).await;
        let last = silent.receive().unwrap();
        assert!(
            matches!(&last[..], [Packet::Disconnect(last)] if last.reason_code == ReasonCode::KeepAliveTimeout)
        );
        node.clear().await.unwrap();
    });
}

#[test]
fn a_client_that_never_finishes_its_connect_is_sent_away() {
    Simulation::start(settings(1)).run(async |node| {
        let mut slow = node.connect(0);
        slow.send(b"\x10\x40\x00\x04MQTT");
        node.pass(Duration::from_millis(4990)).await;
        assert!(slow.receive().unwrap().is_empty() && !slow.is_over());
        node.pass(Duration::from_millis(20)).await;
        slow.receive().unwrap();
        assert!(slow.is_over());
        node.clear().await.unwrap();
    });
}

#[test]
fn a_pipe_that_is_not_read_holds_the_node_up_and_loses_nothing() {
    Simulation::start(settings(2)).run(async |node| {
        let mut reader = node.connect_with(0, 1000);
        send(&mut reader, &Packet::Connect(Box::new(named("reader"))));
        send(&mut reader, &subscribe("t"));
        node.settle().await;
        assert_eq!(reader.receive().unwrap().len(), 2);
        let mut writer = connect(node, 1, named("writer")).await;
        for _ in 0..100 {
            send(&mut writer, &publish("t", 100, None));
        }
        node.settle().await;
        assert_eq!(node.ledger().matched, 100);
        assert!(node.ledger().queued > 0);
        let mut received = 0;
        while node.ledger().queued > 0 {
            received += reader.receive().unwrap().len();
            node.settle().await;
            node.check().await.unwrap();
        }
        assert_eq!(received + reader.receive().unwrap().len(), 100);
        reader.hang_up();
        writer.hang_up();
        node.clear().await.unwrap();
    });
}

/// A client that says goodbye and is gone has said it, though it takes none of the answers any more.
#[test]
fn what_a_client_sent_last_counts_though_it_does_not_wait_for_answers() {
    Simulation::start(settings(1)).run(async |node| {
        let mut watcher = connect(node, 0, named("watcher")).await;
        send(&mut watcher, &subscribe("#"));
        let mut leaver = connect(node, 0, Connect { will: Some(will("will")), ..named("leaver") }).await;
        watcher.receive().unwrap();
        // The PUBLISH waits until the subscription is in force; before that the PINGRESP finds nobody.
        send(&mut leaver, &Packet::PingReq);
        send(&mut leaver, &subscribe("x"));
        send(&mut leaver, &publish("last", 1, None));
        send(&mut leaver, &Packet::Disconnect(Disconnect::new(ReasonCode::Success)));
        leaver.hang_up();
        node.settle().await;
        let seen = watcher.receive().unwrap();
        assert!(matches!(&seen[..], [Packet::Publish(last)] if last.topic == "last"), "{seen:?}");
        watcher.hang_up();
        node.clear().await.unwrap();
    });
}

/// A client that takes nothing in is not read, and what it sends waits. Its keep alive being over, that is looked at before
/// it is judged: however long a SUBSCRIBE is that stands before, the PUBLISH behind it is published, and its DISCONNECT
/// drops its will.
#[test]
fn what_a_client_sent_behind_a_long_subscribe_counts_though_it_is_not_read() {
    for filters in [1, 100, 300, 1000] {
        let mut settings = settings(1);
        settings.node.outbox_bytes_max = 4096;
        Simulation::start(settings).run(async |node| {
            let mut watcher = connect(node, 0, named("watcher")).await;
            send(&mut watcher, &subscribe("seen/#"));
            let mut leaver = node.connect_with(0, 60_000);
            let leaving = Connect { keep_alive: 10, will: Some(will("seen/will")), ..named("leaver") };
            send(&mut leaver, &Packet::Connect(Box::new(leaving)));
            send(&mut leaver, &subscribe("flood"));
            let mut writer = connect(node, 0, named("writer")).await;
            for identifier in 1..=100 {
                send(&mut writer, &publish("flood", 1000, Some(identifier)));
            }
            node.settle().await;
            watcher.receive().unwrap();
            let names = (0..filters).map(|number| format!("long/{number}"));
            send(&mut leaver, &subscribe_to_all(names, QoS::AtMostOnce));
            send(&mut leaver, &publish("seen/last", 1, None));
            send(&mut leaver, &Packet::Disconnect(Disconnect::new(ReasonCode::Success)));
            assert_eq!(leaver.unsent(), 0);
            node.pass(Duration::from_secs(100)).await;
            let seen = watcher.receive().unwrap();
            assert!(
                matches!(&seen[..], [Packet::Publish(last)] if last.topic == "seen/last"),
                "behind {filters} filters: {seen:?}"
            );
            assert!(!node.has_session("leaver"));
            watcher.hang_up();
            writer.hang_up();
            leaver.hang_up();
            node.clear().await.unwrap();
        });
    }
}

/// The same over a WebSocket, whose pings ask for answers that nobody takes.
#[test]
fn what_a_websocket_sent_last_counts_though_its_pings_cannot_be_answered() {
    Simulation::start(settings(1)).run(async |node| {
        let mut watcher = connect(node, 0, named("watcher")).await;
        send(&mut watcher, &subscribe("#"));
        let mut leaver = node.connect_websocket(0, 65_536);
        send(
            &mut leaver,
            &Packet::Connect(Box::new(Connect { will: Some(will("will")), ..named("leaver") })),
        );
        node.settle().await;
        assert_eq!((leaver.receive().unwrap().len(), watcher.receive().unwrap().len()), (1, 1));
        // Every eighth message or so has a ping before it.
        (0..100).for_each(|_| send(&mut leaver, &publish("last", 1, None)));
        send(&mut leaver, &Packet::Disconnect(Disconnect::new(ReasonCode::Success)));
        leaver.hang_up();
        node.settle().await;
        let seen = watcher.receive().unwrap();
        assert_eq!(seen.len(), 100, "and no will");
        assert!(seen.iter().all(|seen| matches!(seen, Packet::Publish(last) if last.topic == "last")));
        watcher.hang_up();
        node.clear().await.unwrap();
    });
}

/// What `least_inflight` chooses by, checked among everything else that is kept twice.
#[test]
fn the_load_of_a_member_counts_what_is_queued_for_it_outside_of_the_group() {
    Simulation::start(settings(1)).run(async |node| {
        let mut limited = named("member");
        limited.properties.receive_maximum = std::num::NonZeroU16::new(1);
        let mut member = connect(node, 0, limited).await;
        send(&mut member, &subscribe("$share/g/t"));
        send(&mut member, &subscribe("u"));
        let mut writer = connect(node, 0, named("writer")).await;
        // The first is sent and takes the only place, the others wait.
        for identifier in 1..=5 {
            send(&mut writer, &publish("u", 1, Some(identifier)));
            node.settle().await;
            node.check().await.unwrap();
        }
        assert_eq!(node.ledger().queued, 5);
        writer.hang_up();
        member.hang_up();
        node.clear().await.unwrap();
    });
}

/// What the node says of itself is in nobody's figures, and accounted for by itself: sent at once, queued for who is
/// offline, by a shared group, retained, and lost with a network connection.
#[test]
fn the_nodes_own_messages_are_counted_apart() {
    let mut settings = settings(2);
    settings.mqtt.sys_interval_seconds = 1;
    settings.node.outbox_bytes_max = 4096;
    settings.session.queue_qos0_offline = true;
    Simulation::start(settings).run(async |node| {
        let mut lasting = named("lasting");
        lasting.properties.session_expiry_interval = Some(3600);
        lasting.properties.receive_maximum = std::num::NonZeroU16::new(2);
        let mut lasting = connect(node, 0, lasting).await;
        send(&mut lasting, &subscribe("$SYS/#"));
        let mut slow = node.connect_with(1, 600);
        send(&mut slow, &Packet::Connect(Box::new(named("slow"))));
        send(&mut slow, &subscribe_with("$SYS/#", QoS::AtMostOnce));
        let mut aliased = named("aliased");
        aliased.properties.topic_alias_maximum = Some(10);
        let mut aliased = connect(node, 1, aliased).await;
        send(&mut aliased, &subscribe_with("$SYS/broker/#", QoS::AtMostOnce));
        let mut member = connect(node, 1, named("member")).await;
        send(&mut member, &subscribe("$share/g/$SYS/broker/uptime"));
        let mut writer = connect(node, 0, named("writer")).await;
        send(&mut writer, &subscribe("t"));
        for identifier in 1..=20 {
            send(&mut writer, &publish("t", 1, Some(identifier)));
            node.pass(Duration::from_secs(1)).await;
            if identifier % 5 == 0 {
                let received = aliased.receive().unwrap();
                assert!(!received.is_empty());
                node.check().await.unwrap();
            }
        }
        lasting.hang_up();
        slow.hang_up();
        node.pass(Duration::from_secs(10)).await;
        node.check().await.unwrap();
        let ledger = node.ledger();
        assert_eq!((ledger.published, ledger.unmatched, ledger.matched), (20, 0, 20));
        assert_eq!(ledger.delivered + ledger.queued, 20);
        let own = node.own_ledger();
        assert!(own.published > 20 && own.delivered > 0 && own.queued > 0, "{own:?}");
        assert!(own.dropped_total() > 0, "{own:?}");
        for client in [aliased, member, writer] {
            client.hang_up();
        }
        node.settle().await;
        node.check().await.unwrap();
    });
}
