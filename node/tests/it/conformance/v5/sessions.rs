//! Session state (chapter 4.1).

use std::time::Duration;

use actix_rt::time::sleep;
use mqtt_codec::QoS;

use super::bytes::{V5, packet};
use crate::harness::{durable, on_nodes, settings};

/// [MQTT-4.1.0-1] A session lasts as long as its network connection, however short its session expiry interval: with its
/// subscriptions, what is in flight, and what came with QoS 2.
#[test]
fn lasts_as_long_as_its_network_connection() {
    on_nodes(settings(), async |node| {
        let mut clients = Vec::new();
        for interval in [None, Some(0), Some(1)] {
            let mut connect = durable(V5, &format!("{interval:?}"));
            connect.properties.session_expiry_interval = interval;
            let (mut client, _) = node.connect_with(connect).await;
            client.subscribe("t", QoS::ExactlyOnce).await;
            client.send_bytes(&packet(0x34, b"\x00\x01u\x00\x05\x00x")).await;
            client.expect_bytes(b"\x50\x03\x00\x05\x10").await;
            clients.push(client);
        }
        let mut publisher = node.connect(V5, "publisher").await;
        publisher.publish("t", QoS::ExactlyOnce, "in flight").await;
        let mut held = Vec::new();
        for client in &mut clients {
            held.push(client.expect_payload("in flight").await);
        }
        // What is tested is that time passes.
        sleep(Duration::from_millis(1600)).await;
        publisher.publish("t", QoS::AtLeastOnce, "later").await;
        for (client, message) in clients.iter_mut().zip(&held) {
            client.take_payload("later").await;
            client.acknowledge(message).await;
            client.send_bytes(&packet(0x3c, b"\x00\x01u\x00\x05\x00x")).await;
            client.expect_bytes(b"\x50\x02\x00\x05").await;
            client.send_bytes(b"\x62\x02\x00\x05").await;
            client.expect_bytes(b"\x70\x02\x00\x05").await;
        }
    });
}

/// [MQTT-3.1.2-5] [MQTT-3.1.2-23] What a session is made of outlives the network connection: subscriptions with their options,
/// messages that wait and that are in flight, PUBRELs that are owed, and packet identifiers that came with QoS 2.
#[test]
fn outlives_its_network_connection() {
    on_nodes(settings(), async |node| {
        let (mut client, _) = node.connect_with(durable(V5, "away")).await;
        // Retain as published, no local, and an identifier.
        client.send_bytes(&packet(0x82, b"\x00\x01\x02\x0b\x07\x00\x01t\x0e")).await;
        client.expect_bytes(b"\x90\x04\x00\x01\x00\x02").await;
        let mut publisher = node.connect(V5, "publisher").await;
        for payload in ["1", "2"] {
            publisher.publish("t", QoS::ExactlyOnce, payload).await;
        }
        let first = client.expect_payload("1").await.packet_identifier.expect("QoS 2").get().to_be_bytes();
        let second = client.expect_payload("2").await;
        client.send_bytes(&[0x50, 2, first[0], first[1]]).await;
        client.expect_bytes(&[0x62, 2, first[0], first[1]]).await;
        client.send_bytes(&packet(0x34, b"\x00\x01u\x00\x05\x00x")).await;
        client.expect_bytes(b"\x50\x03\x00\x05\x10").await;
        client.vanish().await;
        publisher.publish("t", QoS::AtLeastOnce, "3").await;

        let mut client = node.resume(durable(V5, "away")).await;
        client.expect_bytes(&[0x62, 2, first[0], first[1]]).await;
        let again = client.expect_payload("2").await;
        assert_eq!((again.packet_identifier, again.dup), (second.packet_identifier, true));
        assert_eq!(again.properties.subscription_identifiers, [7]);
        let third = client.take_payload("3").await;
        assert_eq!((third.dup, third.properties.subscription_identifiers), (false, vec![7]));
        client.send_bytes(&packet(0x3c, b"\x00\x01u\x00\x05\x00x")).await;
        client.expect_bytes(b"\x50\x02\x00\x05").await;
        client.send_bytes(b"\x62\x02\x00\x05").await;
        client.expect_bytes(b"\x70\x02\x00\x05").await;
        client.publish("t", QoS::AtLeastOnce, "own").await;
        client.expect_nothing().await;
        let mut retained = crate::harness::publish("t", QoS::AtLeastOnce, "4");
        retained.retain = true;
        publisher.publish_packet(retained).await;
        assert!(client.take_payload("4").await.retain);
    });
}
