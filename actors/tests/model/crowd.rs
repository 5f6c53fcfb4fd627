//! Thousands of members, groups and sessions: what one of them brings about costs the others nothing, counted by what the
//! actors of the node do.

use micro_mq_actors::simulation::{SimulatedClient, SimulatedNode, Simulation};
use micro_mq_actors::stats::ActorKind;
use micro_mq_core::settings::Settings;
use mqtt_codec::{Connect, Packet, PacketIdentifier, ProtocolVersion, QoS, encode};

const MANY: usize = 10_000;
const PIPE_BYTES: usize = 512;

fn settings(workers: usize) -> Settings {
    let mut settings = Settings::default();
    settings.node.workers = workers;
    settings.node.metrics_interval_seconds = 0;
    settings.mqtt.sys_interval_seconds = 0;
    settings
}

fn send(client: &mut SimulatedClient, packet: &Packet) {
    let mut bytes = Vec::new();
    encode(packet, ProtocolVersion::V5, u32::MAX, &mut bytes).expect("a packet of 5.0");
    client.send(&bytes);
}

/// A client of a session that lasts.
fn connect(node: &SimulatedNode, number: usize, name: &str) -> SimulatedClient {
    let mut client = node.connect_with(number % node.workers(), PIPE_BYTES);
    let mut connect = Connect::new(ProtocolVersion::V5, name);
    connect.clean_start = false;
    connect.properties.session_expiry_interval = Some(3600);
    send(&mut client, &Packet::Connect(Box::new(connect)));
    client
}

fn subscribe(filter: &str) -> Packet {
    let filter = mqtt_codec::SubscriptionFilter::parse(filter).expect("a filter");
    Packet::Subscribe(mqtt_codec::Subscribe {
        packet_identifier: PacketIdentifier::MIN,
        subscription_identifier: None,
        user_properties: Vec::new(),
        filters: vec![(filter, QoS::AtLeastOnce.into())],
    })
}

fn publish(name: &str, identifier: u16) -> Packet {
    Packet::Publish(mqtt_codec::Publish {
        dup: false,
        qos: QoS::AtLeastOnce,
        retain: false,
        topic: name.to_owned(),
        packet_identifier: PacketIdentifier::new(identifier),
        properties: mqtt_codec::PublishProperties::default(),
        payload: b"x".as_slice().into(),
    })
}

/// What all topic tries were asked so far.
fn asked(node: &SimulatedNode) -> u64 {
    let tries = node.shared().peers.iter().map(|peer| peer.stats.of(ActorKind::TopicTrie).figures());
    tries.map(|figures| figures.handled).sum()
}

/// Members of a group, all of them gone after they have subscribed.
async fn members_that_are_offline(node: &SimulatedNode) {
    let numbers: Vec<usize> = (0..MANY).collect();
    for some in numbers.chunks(100) {
        let mut members: Vec<_> =
            some.iter().map(|number| connect(node, *number, &format!("member-{number}"))).collect();
        members.iter_mut().for_each(|member| send(member, &subscribe("$share/g/t")));
        node.settle().await;
        members.into_iter().for_each(SimulatedClient::hang_up);
        node.settle().await;
    }
    assert_eq!(node.shared().session_places.held(), MANY);
}

fn publishes(packets: &[Packet]) -> usize {
    packets.iter().filter(|packet| matches!(packet, Packet::Publish(_))).count()
}

/// A member that comes online asks nobody who holds nothing; those that hold something give it back, and once.
#[test]
fn a_member_among_very_many_comes_online() {
    Simulation::start(settings(2)).run(async |node| {
        members_that_are_offline(node).await;
        let before = asked(node);
        let mut first = connect(node, 0, "member-0");
        node.settle().await;
        let cost = asked(node) - before;
        assert!(cost <= 4, "{cost} questions");
        // Two members hold a message each when they leave.
        let mut second = connect(node, 1, "member-1");
        let mut third = connect(node, 2, "member-2");
        let mut publisher = connect(node, 0, "publisher");
        node.settle().await;
        for identifier in 1..=3 {
            send(&mut publisher, &publish("t", identifier));
        }
        node.settle().await;
        let received = [&mut first, &mut second, &mut third].map(|member| {
            let packets = member.receive().expect("nothing wrong");
            publishes(&packets)
        });
        assert_eq!(received, [1, 1, 1]);
        let before = asked(node);
        second.hang_up();
        third.hang_up();
        node.settle().await;
        assert_eq!(publishes(&first.receive().expect("nothing wrong")), 2, "theirs came to who is left");
        let cost = asked(node) - before;
        assert!(cost <= 16, "{cost} questions");
        node.check().await.unwrap();
    });
}
