//! What fuzzing found, in the shortest form that shows it.

use micro_mq_actors::Settings;
use micro_mq_actors::settings::SharedStrategy;
use micro_mq_actors::simulation::{SimulatedClient, SimulatedNode, Simulation};
use mqtt_codec::{
    Ack, Connect, Packet, PacketIdentifier, ProtocolVersion, Publish, PublishProperties, QoS, ReasonCode,
    Subscribe, SubscriptionFilter, encode,
};

fn settings() -> Settings {
    let mut settings = Settings::default();
    settings.node.workers = 1;
    settings
}

/// Sends a packet, and returns what comes back.
async fn send(node: &SimulatedNode, client: &mut SimulatedClient, packet: Packet) -> Vec<Packet> {
    let mut bytes = Vec::new();
    encode(&packet, ProtocolVersion::V5, u32::MAX, &mut bytes).expect("a packet of 5.0");
    client.send(&bytes);
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
