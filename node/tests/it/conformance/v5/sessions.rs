//! Session state (chapter 4.1).

use std::time::{Duration, Instant};

use actix_rt::time::sleep;
use mqtt_codec::{QoS, Will};

use super::bytes::{V5, packet};
use crate::harness::{durable, on_nodes, settings, will};

/// [MQTT-4.1.0-1] A session lasts as long as its network connection, however short its session expiry interval: with
/// its subscriptions, what is in flight, and what came with QoS 2.
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

/// [MQTT-3.1.2-5] [MQTT-3.1.2-23] What a session is made of outlives the network connection: subscriptions with their
/// options, messages that wait and that are in flight, PUBRELs that are owed, and packet identifiers that came with QoS
/// 2.
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

/// [MQTT-3.1.2-4] [MQTT-3.2.2-2] A clean start forgets all of it: subscriptions, messages that wait and that are in
/// flight, PUBRELs that are owed, and packet identifiers that came with QoS 2.
#[test]
fn is_forgotten_with_a_clean_start() {
    on_nodes(settings(), async |node| {
        let (mut client, _) = node.connect_with(durable(V5, "away")).await;
        client.subscribe("t", QoS::ExactlyOnce).await;
        let mut publisher = node.connect(V5, "publisher").await;
        for payload in ["1", "2"] {
            publisher.publish("t", QoS::ExactlyOnce, payload).await;
        }
        let first = client.expect_payload("1").await.packet_identifier.expect("QoS 2").get().to_be_bytes();
        client.expect_payload("2").await;
        client.send_bytes(&[0x50, 2, first[0], first[1]]).await;
        client.expect_bytes(&[0x62, 2, first[0], first[1]]).await;
        client.send_bytes(&packet(0x34, b"\x00\x01u\x00\x05\x00x")).await;
        client.expect_bytes(b"\x50\x03\x00\x05\x10").await;
        client.vanish().await;
        publisher.publish("t", QoS::AtLeastOnce, "3").await;

        let mut anew = durable(V5, "away");
        anew.clean_start = true;
        let (mut client, answer) = node.connect_with(anew).await;
        assert!(!answer.session_present);
        client.expect_nothing().await;
        publisher.publish("t", QoS::AtLeastOnce, "4").await;
        client.expect_nothing().await;
        client.send_bytes(b"\x62\x02\x00\x05").await;
        client.expect_bytes(b"\x70\x03\x00\x05\x92").await;
        client.subscribe("u", QoS::AtMostOnce).await;
        client.send_bytes(&packet(0x34, b"\x00\x01u\x00\x05\x00x")).await;
        client.take_payload("x").await;
        client.expect_bytes(b"\x50\x02\x00\x05").await;
        node.until("nothing is queued for its one subscription", |seen| {
            seen.ledger.queued == 0 && seen.sessions.subscriptions == 1
        })
        .await;
    });
}

/// [MQTT-4.1.0-2] [MQTT-3.1.2-23] Who comes back right before the end of the session expiry interval finds the session,
/// who comes right behind it does not.
#[test]
fn ends_with_its_interval() {
    on_nodes(settings(), async |node| {
        for (milliseconds, present) in
            [(850, true), (1005, false), (1025, false), (1050, false), (1075, false)]
        {
            let mut connect = durable(V5, "brief");
            connect.properties.session_expiry_interval = Some(1);
            let (client, _) = node.connect_with(connect.clone()).await;
            let began = Instant::now();
            client.vanish().await;
            // What is tested is that time passes.
            sleep(Duration::from_millis(milliseconds)).await;
            let (client, answer) = node.connect_with(connect).await;
            if answer.session_present != present {
                // A machine that is busy with other things may have been late itself.
                assert!(present && began.elapsed() > Duration::from_millis(950), "after {milliseconds} ms");
            }
            client.disconnect().await;
            node.connect(V5, "brief").await.disconnect().await;
        }
    });
}

/// [MQTT-3.1.2-8] [MQTT-3.1.3-9] Who comes back right behind the will delay interval does not take the will back.
#[test]
fn a_will_that_is_due_is_published() {
    on_nodes(settings(), async |node| {
        let mut heir = node.connect(V5, "heir").await;
        heir.subscribe("will", QoS::AtMostOnce).await;
        for milliseconds in [1005, 1025, 1050, 1075] {
            let mut mortal = durable(V5, "mortal");
            mortal.will = Some(Will { delay_interval: 1, ..will("will", QoS::AtMostOnce, "gone") });
            let (client, _) = node.connect_with(mortal).await;
            client.vanish().await;
            // What is tested is that time passes.
            sleep(Duration::from_millis(milliseconds)).await;
            node.resume(durable(V5, "mortal")).await.disconnect().await;
            heir.expect_payload("gone").await;
            heir.expect_nothing().await;
        }
    });
}
