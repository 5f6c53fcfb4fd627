//! The end of a node: clients are told, wills are published, outboxes flushed, within the grace period.

use std::fs::File;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::Stdio;
use std::time::{Duration, Instant};

use auth_actor::AuthSettings;
use micro_mq_actors::ShutdownReport;
use micro_mq_core::settings::Settings;
use mqtt_codec::ProtocolVersion::{V5, V31, V311};
use mqtt_codec::QoS::{AtLeastOnce, AtMostOnce};
use mqtt_codec::{Connect, Packet, ReasonCode};

use crate::cli::Running;
use crate::harness::{TestNode, connect, publish, settings, will};

/// Far below what the tests allow a node, far above what it needs.
const GRACE: Duration = Duration::from_secs(10);

/// Runs a test on a node that it shuts down, with one worker and with three.
fn on_ending_nodes(settings: Settings, test: impl AsyncFn(TestNode)) {
    for workers in [1, 3] {
        actix_rt::System::new().block_on(async {
            test(TestNode::start_with(workers, settings.clone(), AuthSettings::default()).await).await;
        });
    }
}

/// Shuts down, in less than the grace period, with nobody cut off.
async fn shut_down(node: TestNode) {
    let began = Instant::now();
    let report = node.into_running().shutdown(GRACE).await;
    assert_eq!(report, ShutdownReport { connections_cut: 0 });
    assert!(began.elapsed() < GRACE / 2, "{:?}", began.elapsed());
}

/// 0x8B in 5.0, a closed socket before; a client that has not sent its CONNECT holds nothing up.
#[test]
fn clients_are_told() {
    on_ending_nodes(settings(), async |node| {
        let mut clients = Vec::new();
        for (index, version) in [V5, V311, V31, V5, V5].into_iter().enumerate() {
            clients.push(node.connect(version, &format!("client {index}")).await);
        }
        let mut silent = node.open(V5).await;
        node.until("all are accepted", |seen| seen.connections == 6).await;
        let told = actix_rt::spawn(async move {
            for mut client in clients {
                client.expect_disconnect(ReasonCode::ServerShuttingDown).await;
            }
            silent.expect_closed().await;
        });
        shut_down(node).await;
        told.await.unwrap();
    });
}

/// Wills are published as for a lost connection, delayed ones too, and reach those who are still there before they are
/// told.
#[test]
fn wills_are_published() {
    on_ending_nodes(settings(), async |node| {
        let mut watcher = node.connect(V5, "watcher").await;
        watcher.subscribe("w/#", AtMostOnce).await;
        let mut clients = Vec::new();
        for index in 0..4 {
            let mut will = will(&format!("w/{index}"), AtLeastOnce, "gone");
            will.delay_interval = if index == 0 { 3600 } else { 0 };
            let mut connect = Connect { will: Some(will), ..connect(V5, &format!("client {index}")) };
            connect.properties.session_expiry_interval = Some(3600);
            clients.push(node.connect_with(connect).await.0);
        }
        let told = actix_rt::spawn(async move {
            let mut topics = Vec::new();
            for _ in 0..4 {
                topics.push(watcher.expect_payload("gone").await.topic);
            }
            topics.sort();
            assert_eq!(topics, ["w/0", "w/1", "w/2", "w/3"]);
            watcher.expect_disconnect(ReasonCode::ServerShuttingDown).await;
            for mut client in clients {
                client.expect_disconnect(ReasonCode::ServerShuttingDown).await;
            }
        });
        shut_down(node).await;
        told.await.unwrap();
    });
}

/// By config, a shutdown publishes none.
#[test]
fn wills_can_be_left_out() {
    let mut quiet = settings();
    quiet.session.publish_wills_on_shutdown = false;
    on_ending_nodes(quiet, async |node| {
        let mut watcher = node.connect(V5, "watcher").await;
        watcher.subscribe("#", AtMostOnce).await;
        let connect = Connect { will: Some(will("w", AtMostOnce, "gone")), ..connect(V5, "client") };
        let (mut client, _) = node.connect_with(connect).await;
        let told = actix_rt::spawn(async move {
            watcher.expect_disconnect(ReasonCode::ServerShuttingDown).await;
            client.expect_disconnect(ReasonCode::ServerShuttingDown).await;
        });
        shut_down(node).await;
        told.await.unwrap();
    });
}

/// What stands in an outbox is written, to a client that reads.
#[test]
fn outboxes_are_flushed() {
    const COUNT: usize = 60;
    let mut wide = settings();
    wide.node.outbox_bytes_max = 64 * 1024 * 1024;
    on_ending_nodes(wide, async |node| {
        let mut reading = node.connect(V5, "reading").await;
        reading.subscribe("t", AtMostOnce).await;
        let mut publisher = node.connect(V311, "publisher").await;
        let payload = "x".repeat(256 * 1024);
        for _ in 0..COUNT {
            publisher.publish("t", AtLeastOnce, &payload).await;
        }
        let told = actix_rt::spawn(async move {
            for _ in 0..COUNT {
                reading.expect_publish().await;
            }
            reading.expect_disconnect(ReasonCode::ServerShuttingDown).await;
            publisher.expect_closed().await;
        });
        shut_down(node).await;
        told.await.unwrap();
    });
}

/// A client that does not read is cut off when the grace period ends, not later.
#[test]
fn a_client_that_does_not_read_is_cut_off() {
    on_ending_nodes(settings(), async |node| {
        let mut stuck = node.connect(V5, "stuck").await;
        stuck.subscribe("t", AtMostOnce).await;
        let mut publisher = node.connect(V5, "publisher").await;
        let payload = "x".repeat(256 * 1024);
        for _ in 0..60 {
            publisher.publish("t", AtLeastOnce, &payload).await;
        }
        drop(publisher);
        let began = Instant::now();
        node.into_running().shutdown(Duration::from_millis(300)).await;
        assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
        drop(stuck);
    });
}

// === the program ===

/// A network connection to the program, in bytes.
fn open(node: &Running, connect: &[u8], connack: &[u8]) -> TcpStream {
    let mut stream = TcpStream::connect(node.address("tcp")).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    stream.write_all(connect).unwrap();
    let mut answer = vec![0; connack.len()];
    stream.read_exact(&mut answer).unwrap();
    assert_eq!(answer, connack);
    stream
}

fn rest(mut stream: TcpStream) -> Vec<u8> {
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).unwrap();
    bytes
}

/// SIGTERM: a will is published, a 5.0 client is told 0x8B behind it, and the program ends with status 0.
#[test]
fn sigterm_ends_the_program_in_good_order() {
    let mut node = Running::start(&["--set", "mqtt.sys_interval_seconds=0"]);
    // 3.1.1, clean session.
    let mut old = open(&node, b"\x10\x0f\x00\x04MQTT\x04\x02\x00\x00\x00\x03old", b"\x20\x02\x00\x00");
    old.write_all(b"\x82\x06\x00\x01\x00\x01w\x00").unwrap();
    let mut suback = [0; 5];
    old.read_exact(&mut suback).unwrap();
    assert_eq!(&suback, b"\x90\x03\x00\x01\x00");
    // 5.0 with the will "bye" to "w"; the beginning of its CONNACK will do.
    let connect = b"\x10\x19\x00\x04MQTT\x05\x06\x00\x00\x00\x00\x03new\x00\x00\x01w\x00\x03bye";
    let new = open(&node, connect, b"\x20");
    node.signal("-TERM");
    assert_eq!(rest(old), b"\x30\x06\x00\x01wbye");
    let last = rest(new);
    assert!(last.ends_with(b"\xe0\x02\x8b\x00"), "{last:02x?}");
    assert_eq!(node.exit_code(), Some(0));
}

/// Neither passwords nor payloads reach a log, however much is logged.
#[test]
fn secrets_never_reach_a_log() {
    let folder = tempfile::tempdir().unwrap();
    let (users, log) = (folder.path().join("users.toml"), folder.path().join("log"));
    auth_actor::set_password(&users, "ann", b"pa55word").unwrap();
    let file = format!("auth.file={}", users.display());
    let arguments = ["--set", "log.level=trace", "--set", "auth.provider=file", "--set", &file];
    let mut node = Running::start_logging(&arguments, Stdio::from(File::create(&log).unwrap()));
    let connect = |password: &str, topic: &str| {
        let connect = Connect {
            user_name: Some("ann".to_owned()),
            password: Some(password.as_bytes().to_vec().into()),
            will: Some(will(topic, AtMostOnce, "s3cret-will")),
            ..connect(V311, "client")
        };
        let mut bytes = Vec::new();
        for packet in
            [Packet::Connect(Box::new(connect)), Packet::Publish(publish("t", AtLeastOnce, "s3cret-message"))]
        {
            mqtt_codec::encode(&packet, V311, u32::MAX, &mut bytes).unwrap();
        }
        bytes
    };
    drop(open(&node, &connect("pa55word", "w"), b"\x20\x02\x00\x00\x40\x02\x00\x01"));
    let refused = open(&node, &connect("wr0ng-pa55", "w"), b"\x20\x02\x00\x04");
    assert!(rest(refused).is_empty());
    // What is malformed is named, and not shown: a publish with QoS 3.
    let mut broken = open(&node, &connect("pa55word", "w"), b"\x20\x02\x00\x00\x40\x02\x00\x01");
    broken.write_all(b"\x36\x0f\x00\x01t\x00\x01s3cret-data").unwrap();
    rest(broken);
    node.signal("-TERM");
    assert_eq!(node.exit_code(), Some(0));
    let log = std::fs::read_to_string(log).unwrap();
    assert!(log.contains("shutting down"), "{log}");
    for secret in ["pa55", "s3cret"] {
        assert!(!log.contains(secret), "{secret} in the log: {log}");
    }
}
