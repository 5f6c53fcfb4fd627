//! What MQTT 5.0 adds.

use bytes::Bytes;
use client_tests::{QoS, Settings, unique_name, v5, v5::Client};
use rumqttc::v5::mqttbytes::QoS as QoS5;
use rumqttc::v5::mqttbytes::v5::{
    Filter, LastWill, LastWillProperties, PublishProperties, RetainForwardRule, SubscribeProperties,
};

fn user_properties() -> Vec<(String, String)> {
    [("b", "1"), ("a", "2"), ("b", "3"), ("b", "1")].map(|(key, value)| (key.into(), value.into())).to_vec()
}

#[tokio::test]
async fn properties_of_a_message_arrive_unaltered() {
    let name = unique_name();
    let mut client = Client::connect(&Settings::clean(&name)).await;
    let identifier = SubscribeProperties { id: Some(268_435_455), user_properties: Vec::new() };
    client.requests.subscribe_with_properties(&name, QoS5::ExactlyOnce, identifier).await.unwrap();
    client.wait_subscribed(QoS::ExactlyOnce).await;
    let sent = PublishProperties {
        payload_format_indicator: Some(1),
        response_topic: Some("a/b".to_owned()),
        correlation_data: Some(Bytes::from_static(&[0, 1, 254, 255])),
        user_properties: user_properties(),
        content_type: Some("application/json".to_owned()),
        ..PublishProperties::default()
    };
    for qos in [QoS5::AtMostOnce, QoS5::AtLeastOnce, QoS5::ExactlyOnce] {
        let properties = PublishProperties { message_expiry_interval: Some(100), ..sent.clone() };
        client.requests.publish_with_properties(&name, qos, false, "payload", properties).await.unwrap();
        let mut received = client.receive().await.properties.expect("properties were sent");
        let expiry = received.message_expiry_interval.take().expect("a message expiry interval was sent");
        assert!((1..=100).contains(&expiry), "message expiry interval is {expiry}");
        assert_eq!(
            received,
            PublishProperties { subscription_identifiers: vec![268_435_455], ..sent.clone() }
        );
    }
}

#[tokio::test]
async fn topic_aliases_both_ways() {
    let name = unique_name();
    // rumqttc checks the aliases that the server sets, and gives the packets out as they came.
    let mut options = v5::options(&Settings::clean(format!("{name}s")));
    options.set_topic_alias_max(Some(2));
    let mut subscriber = Client::connect_with(|events| v5::start(options, events)).await;
    subscriber.subscribe(&format!("{name}/#"), QoS::AtLeastOnce).await;
    let publisher = Client::connect(&Settings::clean(format!("{name}p"))).await;
    let announced = publisher.properties.as_ref().and_then(|properties| properties.topic_alias_max);
    assert!(announced.is_some_and(|maximum| maximum > 0));
    let alias = PublishProperties { topic_alias: Some(1), ..PublishProperties::default() };
    let topics: Vec<String> = (0..4).map(|number| format!("{name}/{number}")).collect();
    for topic in &topics {
        for (sent_topic, payload) in [(topic.as_str(), "named"), ("", "by alias"), ("", "again")] {
            let properties = alias.clone();
            let publish = publisher.requests.publish_with_properties(
                sent_topic,
                QoS5::AtLeastOnce,
                false,
                payload,
                properties,
            );
            publish.await.unwrap();
        }
    }
    let mut named: std::collections::HashMap<u16, String> = std::collections::HashMap::new();
    for topic in &topics {
        for payload in ["named", "by alias", "again"] {
            let message = subscriber.receive().await;
            let alias = message.properties.and_then(|properties| properties.topic_alias);
            let received = match (message.topic.as_str(), alias) {
                ("", alias) => named[&alias.expect("a topic name or an alias")].clone(),
                (topic, Some(alias)) => {
                    named.insert(alias, topic.to_owned());
                    topic.to_owned()
                }
                (topic, None) => topic.to_owned(),
            };
            assert_eq!((&received, &message.payload[..]), (topic, payload.as_bytes()));
        }
    }
    assert_eq!(named.len(), 2, "the node sets as many aliases as the client takes");
}

#[tokio::test]
async fn publisher_is_told_that_nobody_subscribed() {
    let name = unique_name();
    let mut client = Client::connect(&Settings::clean(&name)).await;
    for qos in [QoS::AtLeastOnce, QoS::ExactlyOnce] {
        assert!(client.publish(&name, "x", qos, false).await);
    }
    client.subscribe(&name, QoS::AtMostOnce).await;
    for qos in [QoS::AtLeastOnce, QoS::ExactlyOnce] {
        assert!(!client.publish(&name, "x", qos, false).await);
    }
}

#[tokio::test]
async fn client_identifier_is_assigned() {
    let mut identifiers = Vec::new();
    for _ in 0..2 {
        let client = Client::connect(&Settings::clean("")).await;
        let properties = client.properties.as_ref().expect("CONNACK has properties");
        identifiers.push(properties.assigned_client_identifier.clone().expect("an identifier is assigned"));
    }
    assert_ne!(identifiers[0], identifiers[1]);
}

#[tokio::test]
async fn takeover_has_its_reason_code() {
    let name = unique_name();
    let first = Client::connect(&Settings::clean(&name)).await;
    let _second = Client::connect(&Settings::clean(&name)).await;
    let why = first.wait_ended().await;
    assert!(why.contains("SessionTakenOver"), "the first connection ended with: {why}");
}

#[tokio::test]
async fn subscription_options() {
    let name = unique_name();
    let mut client = Client::connect(&Settings::clean(format!("{name}a"))).await;
    let mut other = Client::connect(&Settings::clean(format!("{name}b"))).await;
    other.publish(&name, "retained", QoS::AtLeastOnce, true).await;
    let filter = Filter {
        nolocal: true,
        preserve_retain: true,
        retain_forward_rule: RetainForwardRule::Never,
        ..Filter::new(&name, QoS5::AtLeastOnce)
    };
    client.requests.subscribe_many([filter]).await.unwrap();
    client.wait_subscribed(QoS::AtLeastOnce).await;
    client.publish(&name, "own", QoS::AtLeastOnce, false).await;
    other.publish(&name, "as published", QoS::AtLeastOnce, true).await;
    let message = client.receive().await;
    assert_eq!((&message.payload[..], message.retain), (&b"as published"[..], true));
    other.publish(&name, "", QoS::AtLeastOnce, true).await;
}

#[tokio::test]
async fn properties_and_delay_of_a_will() {
    let name = unique_name();
    let mut watcher = Client::connect(&Settings::clean(format!("{name}w"))).await;
    watcher.subscribe(&name, QoS::AtLeastOnce).await;
    let properties = LastWillProperties {
        delay_interval: Some(1),
        payload_format_indicator: None,
        message_expiry_interval: None,
        content_type: Some("text/plain".to_owned()),
        response_topic: None,
        correlation_data: None,
        user_properties: user_properties(),
    };
    let mut options = v5::options(&Settings::durable(format!("{name}d")));
    options.set_last_will(LastWill::new(&name, "gone", QoS5::AtLeastOnce, false, Some(properties)));
    Client::connect_with(|events| v5::start(options, events)).await.lose().await;
    let received = watcher.receive().await.properties.expect("the will has properties");
    assert_eq!(received.content_type.as_deref(), Some("text/plain"));
    assert_eq!(received.user_properties, user_properties());
    Client::connect(&Settings::clean(format!("{name}d"))).await.disconnect().await;
}

#[tokio::test]
async fn session_expiry_interval_of_zero_ends_the_session() {
    let name = unique_name();
    let connect = async |expiry: Option<u32>| {
        let mut options = v5::options(&Settings::durable(&name));
        options.set_session_expiry_interval(expiry);
        Client::connect_with(|events| v5::start(options, events)).await
    };
    connect(None).await.disconnect().await;
    let client = connect(Some(3600)).await;
    assert!(!client.session_present);
    client.disconnect().await;
    let client = connect(Some(0)).await;
    assert!(client.session_present);
    client.disconnect().await;
    assert!(!connect(None).await.session_present);
}

#[tokio::test]
async fn maximum_packet_size_of_the_client() {
    let name = unique_name();
    let mut options = v5::options(&Settings::clean(format!("{name}s")));
    options.set_max_packet_size(Some(1000));
    let mut subscriber = Client::connect_with(|events| v5::start(options, events)).await;
    subscriber.subscribe(&name, QoS::AtLeastOnce).await;
    let mut publisher = Client::connect(&Settings::clean(format!("{name}p"))).await;
    publisher.publish(&name, vec![b'x'; 2000], QoS::AtLeastOnce, false).await;
    publisher.publish(&name, "fits", QoS::AtLeastOnce, false).await;
    assert_eq!(subscriber.receive_text().await, "fits");
}
