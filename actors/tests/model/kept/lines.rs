//! The order of answers of one kind, that none waits for another kind, and what bounds those that wait.

use std::time::Duration;

use mqtt_codec::{Connect, Packet, ProtocolVersion, QoS};

use super::Kind::{self, Change, Publish as Published, Release};
use super::{again, play, publish, received, release, send, settings, subscribe};

/// Whatever is kept first. PINGRESP, SUBACK and PUBCOMP wait for none of it.
#[test]
fn acknowledgements_leave_in_the_order_of_the_publishes() {
    for workers in 1..=3 {
        play(settings(workers), &[Published], async |node| {
            let mut client = node.client(0).await;
            let first = publish(QoS::ExactlyOnce, 9);
            assert!(node.exchange(&mut client, &[first]).await.is_empty());
            assert_eq!(node.keep(0, &mut client).await, ["PUBREC 9"]);
            let publishes =
                [publish(QoS::AtLeastOnce, 1), publish(QoS::ExactlyOnce, 2), publish(QoS::AtLeastOnce, 3)];
            assert!(node.exchange(&mut client, &publishes).await.is_empty());
            let others = [Packet::PingReq, release(9), subscribe("u"), publish(QoS::AtLeastOnce, 4)];
            let mut answers = node.exchange(&mut client, &others).await;
            answers.sort();
            assert_eq!(answers, ["PINGRESP", "PUBCOMP 9", "SUBACK 1"]);
            assert!(node.keep(3, &mut client).await.is_empty());
            assert!(node.keep(1, &mut client).await.is_empty());
            assert_eq!(node.keep(0, &mut client).await, ["PUBACK 1", "PUBREC 2"]);
            assert_eq!(node.keep(0, &mut client).await, ["PUBACK 3", "PUBACK 4"]);
            node.node.check().await.unwrap();
            client.hang_up();
            node.node.settle().await;
            node.finish().await;
        });
    }
}

#[test]
fn releases_and_changes_have_an_order_each_and_wait_for_no_other() {
    play(settings(2), &[Published, Release, Change], async |node| {
        let mut client = node.client(1).await;
        for identifier in [1, 2] {
            node.exchange(&mut client, &[publish(QoS::ExactlyOnce, identifier)]).await;
            assert_eq!(node.keep(0, &mut client).await, [format!("PUBREC {identifier}")]);
        }
        let packets = [release(1), subscribe("u"), release(2), release(7), publish(QoS::AtLeastOnce, 3)];
        assert!(node.exchange(&mut client, &packets).await.is_empty());
        assert!(node.exchange(&mut client, &[subscribe("v")]).await.is_empty());
        let mut open = node.keeper.open();
        open.sort_by_key(|kind| *kind as u8);
        assert_eq!(open, [Published, Release, Release, Change, Change]);
        let at = |kind: Kind, nth: usize| {
            let open = node.keeper.open();
            open.iter().enumerate().filter(|(_, other)| **other == kind).nth(nth).unwrap().0
        };
        assert!(node.keep(at(Change, 1), &mut client).await.is_empty());
        assert!(node.keep(at(Release, 1), &mut client).await.is_empty());
        assert_eq!(
            node.keep(at(Release, 0), &mut client).await,
            ["PUBCOMP 1", "PUBCOMP 2", "PUBCOMP 7 PacketIdentifierNotFound"]
        );
        assert_eq!(node.keep(at(Change, 0), &mut client).await, ["SUBACK 1", "SUBACK 1"]);
        assert_eq!(node.keep(0, &mut client).await, ["PUBACK 3"]);
        assert_eq!(node.exchange(&mut client, &[Packet::PingReq]).await, ["PINGRESP"]);
        node.node.check().await.unwrap();
        client.hang_up();
        node.node.settle().await;
        node.finish().await;
    });
}

/// A SUBACK that waits holds back no publish of its client: the subscription is in force.
#[test]
fn what_is_published_behind_a_subscribe_does_not_wait_for_its_suback() {
    play(settings(1), &[Change], async |node| {
        let mut client = node.client(0).await;
        let packets = [subscribe("t"), publish(QoS::AtLeastOnce, 5)];
        let answers = node.exchange(&mut client, &packets).await;
        // Retained messages would come first, and those come behind the SUBACK.
        assert_eq!(answers, ["PUBACK 5"]);
        assert_eq!(node.keep(0, &mut client).await, ["SUBACK 1", "PUBLISH t"]);
        client.hang_up();
        node.node.settle().await;
        node.finish().await;
    });
}

/// [MQTT-3.3.4-9] What waits has its place in the receive maximum until its answer has left.
#[test]
fn the_receive_maximum_bounds_what_waits() {
    let mut settings = settings(1);
    settings.mqtt.receive_maximum = 2;
    play(settings, &[Published, Release], async |node| {
        let mut client = node.client(0).await;
        let both = [publish(QoS::AtLeastOnce, 1), publish(QoS::ExactlyOnce, 2)];
        assert!(node.exchange(&mut client, &both).await.is_empty());
        assert_eq!(node.keep(0, &mut client).await, ["PUBACK 1"]);
        assert_eq!(node.keep(0, &mut client).await, ["PUBREC 2"]);
        // Released, and its PUBCOMP has not left.
        assert!(node.exchange(&mut client, &[release(2), publish(QoS::AtLeastOnce, 3)]).await.is_empty());
        node.node.check().await.unwrap();
        let beyond = node.exchange(&mut client, &[publish(QoS::AtLeastOnce, 4)]).await;
        assert_eq!(beyond, ["DISCONNECT ReceiveMaximumExceeded"]);
        assert_eq!(node.counter("answers_left"), 2);
        node.node.pass(Duration::from_secs(2)).await;
        node.finish().await;
    });
}

/// A client of 3.x knows no receive maximum: it is not read, and its silence is not held against it.
#[test]
fn a_client_of_3_1_1_is_not_read_as_long_as_too_much_waits() {
    let mut settings = settings(1);
    settings.mqtt.receive_maximum = 2;
    play(settings, &[Published], async |node| {
        let old = ProtocolVersion::V311;
        let connect = Connect { keep_alive: 10, ..Connect::new(old, "old") };
        let mut client = node.connect(0, connect).await;
        assert_eq!(received(&mut client), ["CONNACK 0"]);
        for identifier in 1..=4 {
            send(&mut client, old, &publish(QoS::AtLeastOnce, identifier));
        }
        send(&mut client, old, &Packet::PingReq);
        node.node.settle().await;
        assert!(received(&mut client).is_empty());
        assert_eq!(node.keeper.open().len(), 2);
        node.node.pass(Duration::from_secs(100)).await;
        assert!(!client.is_over() && received(&mut client).is_empty());
        assert_eq!(node.keep(0, &mut client).await, ["PUBACK 1"]);
        assert_eq!(node.keeper.open().len(), 2, "another one was read");
        assert_eq!(node.keep(1, &mut client).await, Vec::<String>::new());
        assert_eq!(node.keep(0, &mut client).await, ["PUBACK 2", "PUBACK 3", "PINGRESP"]);
        assert_eq!(node.keep(0, &mut client).await, ["PUBACK 4"]);
        node.node.pass(Duration::from_secs(40)).await;
        received(&mut client);
        assert!(client.is_over(), "it is read again, and silent");
        node.node.settle().await;
        node.finish().await;
    });
}

/// One that sends the same again and again, or releases what it never published, is not read beyond the same bound.
#[test]
fn what_takes_no_place_is_bounded_too() {
    let mut settings = settings(1);
    settings.mqtt.receive_maximum = 4;
    play(settings, &[Published, Release], async |node| {
        let mut client = node.client(0).await;
        node.exchange(&mut client, &[publish(QoS::ExactlyOnce, 1)]).await;
        let floods: Vec<_> = (0..100).map(|_| again(1)).collect();
        assert!(node.exchange(&mut client, &floods).await.is_empty());
        let pending = || {
            let worker = &node.node.shared().peers[0];
            worker.counters.all().into_iter().find(|(name, _)| *name == "publishes_received").unwrap().1
        };
        assert_eq!(pending(), 4);
        let answers = node.keep(0, &mut client).await;
        assert_eq!(answers, vec!["PUBREC 1"; 101]);
        let floods: Vec<_> = (0..100).map(|_| release(1)).collect();
        assert!(node.exchange(&mut client, &floods).await.is_empty());
        assert_eq!(node.keeper.open().len(), 4);
        let mut answers = Vec::new();
        while !node.keeper.open().is_empty() {
            answers.extend(node.keep(0, &mut client).await);
        }
        assert_eq!(answers.len(), 100);
        assert_eq!(answers[..2], ["PUBCOMP 1", "PUBCOMP 1 PacketIdentifierNotFound"]);
        client.hang_up();
        node.node.settle().await;
        node.finish().await;
    });
}
