//! A worker that has no room holds up those who have something for it, and nobody else.

use micro_mq_actors::simulation::{SimulatedClient, SimulatedNode, Simulation};
use micro_mq_core::pressure::{Room, Weight};
use micro_mq_core::settings::Settings;
use mqtt_codec::{Connect, Packet, PacketIdentifier, ProtocolVersion, QoS, encode};

const WORKERS: usize = 3;

fn settings() -> Settings {
    let mut settings = Settings::default();
    settings.node.workers = WORKERS;
    settings.node.metrics_interval_seconds = 0;
    settings.mqtt.sys_interval_seconds = 0;
    settings
}

fn send(client: &mut SimulatedClient, packet: &Packet) {
    let mut bytes = Vec::new();
    encode(packet, ProtocolVersion::V5, u32::MAX, &mut bytes).expect("a packet of 5.0");
    client.send(&bytes);
}

/// The first of these names whose home is a worker.
fn named(node: &SimulatedNode, what: &str, home: usize) -> String {
    let mut names = (0..).map(|number| format!("{what}-{number}"));
    names.find(|name| usize::from(node.shared().homes.of_client(name)) == home).expect("one of very many")
}

async fn connect(node: &SimulatedNode, what: &str, home: usize) -> SimulatedClient {
    let mut client = node.connect(home);
    send(
        &mut client,
        &Packet::Connect(Box::new(Connect::new(ProtocolVersion::V5, &named(node, what, home)))),
    );
    node.settle().await;
    assert_eq!(client.receive().expect("nothing wrong").len(), 1);
    client
}

async fn subscribe(node: &SimulatedNode, client: &mut SimulatedClient, filter: &str) {
    let filter = mqtt_codec::SubscriptionFilter::parse(filter).expect("a filter");
    send(
        client,
        &Packet::Subscribe(mqtt_codec::Subscribe {
            packet_identifier: PacketIdentifier::MIN,
            subscription_identifier: None,
            user_properties: Vec::new(),
            filters: vec![(filter, QoS::AtLeastOnce.into())],
        }),
    );
    node.settle().await;
    assert_eq!(client.receive().expect("nothing wrong").len(), 1);
}

fn publish(client: &mut SimulatedClient, name: &str, identifier: u16) {
    send(
        client,
        &Packet::Publish(mqtt_codec::Publish {
            dup: false,
            qos: QoS::AtLeastOnce,
            retain: false,
            topic: name.to_owned(),
            packet_identifier: PacketIdentifier::new(identifier),
            properties: mqtt_codec::PublishProperties::default(),
            payload: b"x".as_slice().into(),
        }),
    );
}

/// A worker has no room until what this returns is dropped.
fn fill(node: &SimulatedNode, worker: usize) -> Room {
    let messages = Settings::default().node.messages_between_workers_max;
    node.shared().ways[worker].inbound.enter(Weight { messages, bytes: 0 })
}

/// What came, acknowledgements and publishes.
fn received(client: &mut SimulatedClient) -> (usize, usize) {
    let packets = client.receive().expect("nothing wrong");
    let count = |wanted: fn(&Packet) -> bool| packets.iter().filter(|packet| wanted(packet)).count();
    (
        count(|packet| matches!(packet, Packet::PubAck(_))),
        count(|packet| matches!(packet, Packet::Publish(_))),
    )
}

/// Publishers of a worker that has no room itself reach subscribers of others, and are answered, whether there are such
/// or not; only who publishes to its subscribers waits, wherever that client is.
#[test]
fn what_is_for_others_goes_on() {
    Simulation::start(settings()).run(async |node| {
        let mut near = connect(node, "near", 0).await;
        let mut far = connect(node, "far", 1).await;
        subscribe(node, &mut near, "near").await;
        subscribe(node, &mut far, "far").await;
        let zero = fill(node, 0);
        let mut to_far = connect(node, "to-far", 0).await;
        let mut to_nobody = connect(node, "to-nobody", 0).await;
        let mut to_near = connect(node, "to-near", 0).await;
        let mut from_elsewhere = connect(node, "elsewhere", 2).await;
        for identifier in 1..=3 {
            publish(&mut to_far, "far", identifier);
            publish(&mut to_nobody, "nobody", identifier);
            publish(&mut to_near, "near", identifier);
            publish(&mut from_elsewhere, "far", identifier);
            node.settle().await;
        }
        assert_eq!(received(&mut to_far), (3, 0));
        assert_eq!(received(&mut to_nobody), (3, 0));
        assert_eq!(received(&mut from_elsewhere), (3, 0));
        assert_eq!(received(&mut far), (0, 6));
        assert_eq!((received(&mut to_near), received(&mut near)), ((0, 0), (0, 0)));
        drop(zero);
        node.settle().await;
        assert_eq!((received(&mut to_near), received(&mut near)), ((3, 0), (0, 3)));
        node.check().await.unwrap();
        let ledger = node.ledger();
        assert_eq!((ledger.published, ledger.unmatched, ledger.matched), (12, 3, 9));
    });
}

/// What waits in a group for room at any of the workers of its members is given out when one of them has room, in order.
#[test]
fn a_group_waits_for_the_first_worker_with_room() {
    Simulation::start(settings()).run(async |node| {
        let group = (0..).map(|number| format!("$share/g{number}/t"));
        let group =
            group.clone().find(|group| node.shared().homes.of_group(group) == 0).expect("one of very many");
        let mut one = connect(node, "one", 1).await;
        let mut two = connect(node, "two", 2).await;
        subscribe(node, &mut one, &group).await;
        subscribe(node, &mut two, &group).await;
        let mut publisher = connect(node, "publisher", 0).await;
        let (one_full, two_full) = (fill(node, 1), fill(node, 2));
        for identifier in 1..=6 {
            publish(&mut publisher, "t", identifier);
        }
        node.settle().await;
        assert_eq!(received(&mut publisher), (6, 0), "accepted by their home");
        assert_eq!((received(&mut one), received(&mut two)), ((0, 0), (0, 0)));
        drop(two_full);
        node.settle().await;
        assert_eq!((received(&mut one), received(&mut two)), ((0, 0), (0, 6)));
        drop(one_full);
        publish(&mut publisher, "t", 7);
        node.settle().await;
        assert_eq!((received(&mut one), received(&mut two)), ((0, 1), (0, 0)), "who was passed over is next");
    });
}
