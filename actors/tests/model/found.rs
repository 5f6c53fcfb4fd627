//! What the play of order found, in the shortest form that shows it: each under many orders of turns.

use micro_mq_actors::simulation::{Conditions, SimulatedClient, SimulatedNode, Simulation};
use micro_mq_core::settings::Settings;
use mqtt_codec::{
    Connect, Disconnect, Packet, PacketIdentifier, ProtocolVersion, Publish, PublishProperties, QoS,
    ReasonCode, Subscribe, SubscriptionFilter, TopicName, encode,
};

/// Orders of turns.
const SEEDS: u64 = 100;

fn encoded(packets: &[Packet]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for packet in packets {
        encode(packet, ProtocolVersion::V5, u32::MAX, &mut bytes).expect("a packet of 5.0");
    }
    bytes
}

fn connect(name: &str, will: Option<&str>) -> Packet {
    let mut connect = Connect { clean_start: false, ..Connect::new(ProtocolVersion::V5, name) };
    connect.properties.session_expiry_interval = Some(100);
    connect.will = will.map(|topic| mqtt_codec::Will {
        qos: QoS::AtMostOnce,
        retain: false,
        topic: TopicName::new(topic).expect("a topic name"),
        payload: "lost".into(),
        delay_interval: 0,
        properties: PublishProperties::default(),
    });
    Packet::Connect(Box::new(connect))
}

fn publish(topic: &str, retain: bool) -> Packet {
    Packet::Publish(Publish {
        dup: false,
        qos: QoS::AtMostOnce,
        retain,
        topic: topic.to_owned(),
        packet_identifier: None,
        properties: PublishProperties::default(),
        payload: if retain { "retained" } else { "live" }.into(),
    })
}

fn subscribe(filter: &str) -> Packet {
    Packet::Subscribe(Subscribe {
        packet_identifier: PacketIdentifier::MIN,
        subscription_identifier: None,
        user_properties: Vec::new(),
        filters: vec![(SubscriptionFilter::parse(filter).expect("a filter"), QoS::AtMostOnce.into())],
    })
}

async fn client(node: &SimulatedNode, worker: usize, packets: &[Packet]) -> SimulatedClient {
    let mut client = node.connect(worker % node.workers());
    client.send(&encoded(packets));
    node.settle().await;
    client.receive().expect("nothing wrong");
    client
}

/// The payloads of what has come.
fn received(client: &mut SimulatedClient) -> Vec<String> {
    let packets = client.receive().expect("nothing wrong");
    let publishes = packets.into_iter().filter_map(|packet| match packet {
        Packet::Publish(publish) => Some(String::from_utf8_lossy(&publish.payload).into_owned()),
        _ => None,
    });
    publishes.collect()
}

fn under_many_orders(settings: &Settings, script: impl AsyncFn(&SimulatedNode, u64)) {
    for seed in 0..SEEDS {
        let conditions = Conditions { asks: false, interleaved_by: Some(seed) };
        Simulation::start_with(settings.clone(), conditions).run(async |node| script(node, seed).await);
    }
}

fn settings(workers: usize) -> Settings {
    let mut settings = Settings::default();
    settings.node.workers = workers;
    settings
}

/// [MQTT-3.14.4-3] A client has said goodbye and closed, and the node finds out as it writes to it.
#[test]
fn a_goodbye_counts_although_a_write_failed_first() {
    under_many_orders(&settings(2), async |node, seed| {
        let mut watcher = client(node, 0, &[connect("watcher", None), subscribe("will")]).await;
        let mut leaver = client(node, 1, &[connect("leaver", Some("will")), subscribe("t")]).await;
        let mut writer = client(node, 0, &[connect("writer", None)]).await;
        leaver.send(&encoded(&[Packet::Disconnect(Disconnect::new(ReasonCode::Success))]));
        leaver.hang_up();
        for _ in 0..4 {
            writer.send(&encoded(&[publish("t", false)]));
            node.step().await;
        }
        node.settle().await;
        assert_eq!(received(&mut watcher), [""; 0], "order {seed}");
    });
}

/// What a client publishes before its SUBSCRIBE is before its subscription, though it has to wait for room.
#[test]
fn a_subscription_begins_behind_what_its_client_published_before() {
    let mut settings = settings(2);
    settings.node.messages_between_workers_max = 1;
    under_many_orders(&settings, async |node, seed| {
        let mut others = Vec::new();
        for number in 0..3 {
            let name = format!("other {number}");
            others.push(client(node, number, &[connect(&name, None), subscribe("u")]).await);
        }
        let mut one = client(node, 0, &[connect("one", None)]).await;
        for other in &mut others {
            other.send(&encoded(&[publish("u", false), publish("u", false)]));
        }
        for _ in 0..seed % 8 {
            node.step().await;
        }
        one.send(&encoded(&[publish("u", false), publish("t", false), subscribe("t")]));
        node.settle().await;
        assert_eq!(received(&mut one), [""; 0], "order {seed}");
    });
}

/// A SUBSCRIBE that the old network connection left behind brings its retained messages to the new one, and nothing waits
/// for ever behind them.
#[test]
fn retained_messages_come_to_whoever_has_the_session_when_the_subscription_begins() {
    let mut settings = settings(1);
    settings.node.deliveries_per_turn = 1;
    under_many_orders(&settings, async |node, seed| {
        let mut writer = client(node, 0, &[connect("writer", None), publish("t", true)]).await;
        let mut busy = client(node, 0, &[connect("busy", None), subscribe("u")]).await;
        let mut old = client(node, 0, &[connect("the one", None)]).await;
        busy.send(&encoded(&vec![publish("u", false); 8]));
        old.send(&encoded(&[subscribe("t")]));
        for _ in 0..seed % 16 {
            node.step().await;
        }
        let mut new = node.connect(0);
        new.send(&encoded(&[connect("the one", None)]));
        node.settle().await;
        writer.send(&encoded(&[publish("t", false)]));
        node.settle().await;
        let (before, after) = (received(&mut old), received(&mut new));
        assert_eq!(after.last().map(String::as_str), Some("live"), "order {seed}");
        assert_eq!(before.len() + after.len(), 2, "order {seed}: {before:?}, {after:?}");
        node.check().await.expect("the node agrees with itself");
    });
}
