//! What becomes of answers that wait when something fails, when their network connection ends, and when there is no room.

use micro_mq_actors::simulation::SimulatedClient;
use mqtt_codec::{Packet, ProtocolVersion, QoS};

use super::Kind::{Change, Publish as Published, Release};
use super::{again, named, play, publish, received, release, send, settings, subscribe};

/// Nothing is acknowledged that was not kept: its client is closed, and sends again.
#[test]
fn what_cannot_be_kept_is_not_acknowledged() {
    play(settings(2), &[Published, Release, Change], async |node| {
        let mut watcher = node.connect(0, named("watcher")).await;
        send(&mut watcher, ProtocolVersion::V5, &subscribe("t"));
        node.node.settle().await;
        assert_eq!(node.keep(0, &mut watcher).await, ["CONNACK 0", "SUBACK 1"]);
        let lasting = || {
            let mut lasting = named("lasting");
            (lasting.properties.session_expiry_interval, lasting.clean_start) = (Some(100), false);
            lasting
        };
        let mut client = node.connect(1, lasting()).await;
        let both = [publish(QoS::AtLeastOnce, 1), publish(QoS::ExactlyOnce, 2), publish(QoS::ExactlyOnce, 3)];
        assert_eq!(node.exchange(&mut client, &both).await, ["CONNACK 0"]);
        node.keeper.fail(1);
        node.node.settle().await;
        assert!(received(&mut client).is_empty(), "the first one's turn comes before");
        assert_eq!(node.keep(0, &mut client).await, ["PUBACK 1", "DISCONNECT ImplementationSpecificError"]);
        assert_eq!(node.counter("promises_failed"), 1);
        assert_eq!(received(&mut watcher).len(), 3);
        // What could not be kept is published anew; what may be, waits for the same as before.
        let mut client = node.connect(0, lasting()).await;
        assert_eq!(node.exchange(&mut client, &[again(2), again(3)]).await, ["CONNACK 1"]);
        assert_eq!(received(&mut watcher), ["PUBLISH t"]);
        assert_eq!(node.keeper.open(), [Published, Published]);
        assert!(node.keep(0, &mut client).await.is_empty());
        assert_eq!(node.keep(0, &mut client).await, ["PUBREC 2", "PUBREC 3"]);
        for (packet, failed) in [(release(2), 2), (subscribe("u"), 3)] {
            assert!(node.exchange(&mut client, &[packet]).await.is_empty());
            node.keeper.fail(0);
            node.node.settle().await;
            assert_eq!(received(&mut client), ["DISCONNECT ImplementationSpecificError"]);
            assert_eq!(node.counter("promises_failed"), failed);
            client = node.connect(1, lasting()).await;
            assert_eq!(received(&mut client), ["CONNACK 1"]);
        }
        // It was not released: it is now.
        assert!(node.exchange(&mut client, &[release(2)]).await.is_empty());
        assert_eq!(node.keep(0, &mut client).await, ["PUBCOMP 2"]);
        client.hang_up();
        watcher.hang_up();
        node.node.settle().await;
        node.finish().await;
    });
}

/// [MQTT-4.3.3-10] A QoS 2 message that is sent again on another network connection is delivered once, and its PUBREC
/// waits for what the first one waits for.
#[test]
fn a_takeover_while_something_is_open() {
    play(settings(3), &[Published], async |node| {
        let mut watcher = node.connect(0, named("watcher")).await;
        send(&mut watcher, ProtocolVersion::V5, &subscribe("t"));
        node.node.settle().await;
        received(&mut watcher);
        let lasting = || {
            let mut lasting = named("lasting");
            (lasting.properties.session_expiry_interval, lasting.clean_start) = (Some(100), false);
            lasting
        };
        let mut first = node.connect(0, lasting()).await;
        let both = [publish(QoS::AtLeastOnce, 1), publish(QoS::ExactlyOnce, 2)];
        assert_eq!(node.exchange(&mut first, &both).await, ["CONNACK 0"]);
        let mut second = node.connect(1, lasting()).await;
        assert_eq!(received(&mut first), ["DISCONNECT SessionTakenOver"]);
        assert_eq!(node.counter("answers_left"), 2);
        assert_eq!(node.exchange(&mut second, &[again(2)]).await, ["CONNACK 1"]);
        let mut third = node.connect(2, lasting()).await;
        assert_eq!(received(&mut second), ["DISCONNECT SessionTakenOver"]);
        assert_eq!(node.exchange(&mut third, &[again(2), publish(QoS::AtLeastOnce, 5)]).await, ["CONNACK 1"]);
        assert_eq!(received(&mut watcher), ["PUBLISH t"; 3]);
        assert!(node.keep(2, &mut third).await.is_empty());
        assert!(node.keep(0, &mut third).await.is_empty(), "that was of the first network connection");
        node.node.check().await.unwrap();
        assert_eq!(node.keep(0, &mut third).await, ["PUBREC 2", "PUBACK 5"]);
        assert_eq!(node.exchange(&mut third, &[release(2)]).await, ["PUBCOMP 2"]);
        [third, watcher].into_iter().for_each(SimulatedClient::hang_up);
        node.node.settle().await;
        node.finish().await;
    });
}

/// Who never gets an answer and leaves, or ends its session, leaves nothing behind; what it published is delivered.
#[test]
fn what_is_never_kept_holds_nothing_of_a_client_that_left() {
    play(settings(2), &[Published, Release, Change], async |node| {
        for round in 1..=20 {
            let mut client = node.client(round % 2).await;
            let all =
                [publish(QoS::AtLeastOnce, 1), publish(QoS::ExactlyOnce, 2), release(2), subscribe("u")];
            assert!(node.exchange(&mut client, &all).await.is_empty());
            client.hang_up();
            node.node.settle().await;
            node.node.check().await.unwrap();
            assert_eq!(node.counter("answers_left"), 4 * round as u64);
        }
        assert_eq!(node.keeper.open().len(), 80);
        assert_eq!(node.keeper.batches_alive(), 0);
        node.finish().await;
    });
}

/// Publishes are not read as long as there is no room for them; of who is taken over meanwhile they are given up, however
/// often it comes back.
#[test]
fn a_keeper_without_room_is_waited_for() {
    play(settings(2), &[Published], async |node| {
        node.keeper.set_full(true);
        let mut clients = Vec::new();
        for round in 0..5 {
            let mut client = node.client(round % 2).await;
            assert_eq!(node.counter("publishes_given_up"), 2 * round as u64);
            let all = [publish(QoS::ExactlyOnce, 1), publish(QoS::AtLeastOnce, 2), Packet::PingReq];
            assert_eq!(node.exchange(&mut client, &all).await, ["PINGRESP"]);
            assert!(node.exchange(&mut client, &[Packet::PingReq]).await.is_empty(), "it is not read");
            assert!(node.keeper.open().is_empty());
            clients.push(client);
        }
        assert!(node.counter("keepers_full") > 0);
        let mut client = clients.pop().unwrap();
        node.keeper.set_full(false);
        node.node.settle().await;
        assert_eq!(received(&mut client), ["PINGRESP"]);
        assert_eq!(node.keep(0, &mut client).await, ["PUBREC 1"]);
        assert_eq!(node.keep(0, &mut client).await, ["PUBACK 2"]);
        drop(clients);
        client.hang_up();
        node.node.settle().await;
        node.finish().await;
    });
}
