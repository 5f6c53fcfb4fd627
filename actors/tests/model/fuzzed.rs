//! What fuzzing found, in the shortest form that shows it.

use std::num::NonZeroU32;
use std::time::Duration;

use micro_mq_actors::simulation::{SimulatedClient, SimulatedNode, Simulation};
use micro_mq_core::settings::{Settings, SharedStrategy};
use mqtt_codec::{
    Ack, Connect, Packet, PacketIdentifier, ProtocolVersion, Publish, PublishProperties, QoS, ReasonCode,
    Subscribe, SubscriptionFilter, encode,
};

fn settings() -> Settings {
    let mut settings = Settings::default();
    settings.node.workers = 1;
    settings
}

fn encoded(packet: &Packet) -> Vec<u8> {
    let mut bytes = Vec::new();
    encode(packet, ProtocolVersion::V5, u32::MAX, &mut bytes).expect("a packet of 5.0");
    bytes
}

/// Sends a packet, and returns what comes back.
async fn send(node: &SimulatedNode, client: &mut SimulatedClient, packet: Packet) -> Vec<Packet> {
    client.send(&encoded(&packet));
    node.settle().await;
    node.check().await.expect("the node agrees with itself");
    client.receive().expect("the node does what MQTT says")
}

async fn connect(node: &SimulatedNode, name: &str) -> SimulatedClient {
    let mut client = node.connect(0);
    let connect = Connect::new(ProtocolVersion::V5, name);
    let answer = send(node, &mut client, Packet::Connect(Box::new(connect))).await;
    assert!(matches!(&answer[..], [Packet::ConnAck(_)]));
    client
}

fn subscribe(filter: &str) -> Packet {
    Packet::Subscribe(Subscribe {
        packet_identifier: PacketIdentifier::MIN,
        subscription_identifier: None,
        user_properties: Vec::new(),
        filters: vec![(SubscriptionFilter::parse(filter).expect("a filter"), QoS::AtLeastOnce.into())],
    })
}

fn publish(topic: &str) -> Packet {
    Packet::Publish(Publish {
        dup: false,
        qos: QoS::AtLeastOnce,
        retain: false,
        topic: topic.to_owned(),
        packet_identifier: Some(PacketIdentifier::MIN),
        properties: PublishProperties::default(),
        payload: "p".into(),
    })
}

/// What has come, acknowledged. Returns how many messages that were.
async fn acknowledge(node: &SimulatedNode, client: &mut SimulatedClient) -> usize {
    let packets = client.receive().expect("the node does what MQTT says");
    let identifiers = packets.iter().filter_map(|packet| match packet {
        Packet::Publish(publish) => publish.packet_identifier,
        _ => None,
    });
    let mut count = 0;
    for identifier in identifiers {
        send(node, client, Packet::PubAck(Ack::new(identifier, ReasonCode::Success))).await;
        count += 1;
    }
    count
}

/// `least_inflight` goes by what a member has to do now: acknowledgements count although nothing is written to it.
#[test]
fn a_member_that_has_acknowledged_is_idle() {
    let mut settings = settings();
    settings.session.shared_strategy = SharedStrategy::LeastInflight;
    Simulation::start(settings).run(async |node| {
        let mut publisher = connect(node, "publisher").await;
        let mut first = connect(node, "first").await;
        send(node, &mut first, subscribe("$share/g/t")).await;
        send(node, &mut publisher, publish("t")).await;
        send(node, &mut publisher, publish("t")).await;
        assert_eq!(acknowledge(node, &mut first).await, 2);

        let mut second = connect(node, "second").await;
        send(node, &mut second, subscribe("$share/g/t")).await;
        // One each: whoever has one is busier than who has none.
        send(node, &mut publisher, publish("t")).await;
        send(node, &mut publisher, publish("t")).await;
        assert_eq!(acknowledge(node, &mut first).await, 1);
        assert_eq!(acknowledge(node, &mut second).await, 1);
        drop((publisher, first, second));
        node.clear().await.expect("nothing remains");
    });
}

/// A QoS 2 publish under an identifier that is held, and refused, frees the one place that both had in the receive
/// maximum [MQTT-4.9.0-2].
#[test]
fn a_refusal_under_an_identifier_that_is_held() {
    let mut settings = settings();
    settings.mqtt.receive_maximum = 2;
    Simulation::start(settings).run(async |node| {
        let mut client = connect(node, "client").await;
        for _ in 0..5 {
            for (topic, reason) in
                [("t", ReasonCode::NoMatchingSubscribers), ("$SYS/t", ReasonCode::NotAuthorized)]
            {
                let Packet::Publish(publish) = publish(topic) else { panic!("a PUBLISH") };
                let publish = Packet::Publish(Publish { qos: QoS::ExactlyOnce, ..publish });
                let answer = send(node, &mut client, publish).await;
                assert_eq!(answer, [Packet::PubRec(Ack::new(PacketIdentifier::MIN, reason))]);
            }
        }
        client.hang_up();
        node.clear().await.expect("nothing remains");
    });
}

/// A CONNECT that is refused for this node's limits still says what its client takes [MQTT-3.1.2-24].
#[test]
fn a_connect_beyond_the_limits_of_a_client_that_takes_no_connack() {
    let mut settings = settings();
    settings.mqtt.user_properties_max = 1;
    Simulation::start(settings).run(async |node| {
        for (maximum_packet_size, answers) in [(4, 0), (5, 1)] {
            let mut client = node.connect(0);
            let mut connect = Connect::new(ProtocolVersion::V5, "tiny");
            connect.properties.maximum_packet_size = NonZeroU32::new(maximum_packet_size);
            connect.properties.user_properties = vec![(String::new(), String::new()); 2];
            let received = send(node, &mut client, Packet::Connect(Box::new(connect))).await;
            assert_eq!(received.len(), answers, "{received:?}");
            client.hang_up();
        }
        node.clear().await.expect("nothing remains");
    });
}

/// Subscriptions whose retained messages have to wait for a client that does not read: each further SUBSCRIBE costs what
/// the first did, however many wait.
#[test]
#[expect(
    clippy::disallowed_methods,
    reason = "it is work that is measured, on a clock that does not stand still"
)]
fn very_many_subscriptions_wait_for_their_retained_messages() {
    const FILTERS: usize = 8000;
    Simulation::start(settings()).run(async |node| {
        let mut publisher = connect(node, "publisher").await;
        let Packet::Publish(mut large) = publish("a/b") else { panic!("a PUBLISH") };
        (large.retain, large.payload) = (true, vec![b'x'; 900_000].into());
        publisher.send(&encoded(&Packet::Publish(large)));
        while publisher.unsent() > 0 {
            node.settle().await;
            publisher.send(b"");
        }
        node.settle().await;

        let mut reader = connect(node, "reader").await;
        reader.send(&encoded(&subscribe("#")));
        node.settle().await;
        let mut took = Vec::new();
        for round in 0..8 {
            let filters = (0..FILTERS).map(|number| {
                let filter = SubscriptionFilter::parse(&format!("+/{round}/{number:05}/#"));
                (filter.expect("a filter"), QoS::AtMostOnce.into())
            });
            let many = Packet::Subscribe(Subscribe {
                packet_identifier: PacketIdentifier::MIN,
                subscription_identifier: None,
                user_properties: Vec::new(),
                filters: filters.collect(),
            });
            let started = std::time::Instant::now();
            reader.send(&encoded(&many));
            while reader.unsent() > 0 {
                node.settle().await;
                reader.send(b"");
            }
            node.settle().await;
            took.push(started.elapsed());
        }
        let (first, last) = (took[0], took[took.len() - 1]);
        assert!(last < 4 * first + Duration::from_secs(1), "{took:?}");
        drop((publisher, reader));
        node.clear().await.expect("nothing remains");
    });
}
