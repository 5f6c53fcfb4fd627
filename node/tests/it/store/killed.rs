//! What a client was told outlives the process, whoever kills it and when: sessions and subscriptions on the disk.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use tempfile::TempDir;

use crate::cli::Running;

/// Far above what anything here takes.
const DEADLINE: Duration = Duration::from_secs(20);
pub(super) const CLEAN: u8 = 2;
pub(super) const DURABLE: u8 = 0;

pub(super) fn start(folder: &Path, further: &[&str]) -> Running {
    let folder = format!("store.folder={}", folder.display());
    Running::start(
        &[&["--set", "store.backend=disk", "--set", &folder, "--set", "node.workers=2"], further].concat(),
    )
}

/// One who speaks MQTT 3.1.1 to a node that may be killed at any moment.
pub(super) struct Client(TcpStream);

impl Client {
    /// Whether it has a session is in its CONNACK.
    pub(super) fn connect(node: &Running, client_identifier: &str, flags: u8) -> (Self, bool) {
        let mut client = Self::ask(node, client_identifier, flags);
        let is_there = client.answered();
        (client, is_there)
    }

    /// One whose CONNECT is not answered yet.
    pub(super) fn ask(node: &Running, client_identifier: &str, flags: u8) -> Self {
        let stream = TcpStream::connect(node.address("tcp")).unwrap();
        stream.set_read_timeout(Some(DEADLINE)).unwrap();
        let mut client = Self(stream);
        let mut body = vec![0, 4, b'M', b'Q', b'T', b'T', 4, flags, 0, 60, 0, client_identifier.len() as u8];
        body.extend_from_slice(client_identifier.as_bytes());
        client.send(0x10, &body);
        client
    }

    /// Its CONNACK, and whether that says that it has a session.
    pub(super) fn answered(&mut self) -> bool {
        let [_, _, session_present, code] = self.read();
        assert_eq!(code, 0);
        session_present == 1
    }

    /// Whether nothing has come that was not read.
    pub(super) fn hears_nothing(&self) -> bool {
        self.0.set_nonblocking(true).unwrap();
        let heard = self.0.peek(&mut [0; 1]);
        self.0.set_nonblocking(false).unwrap();
        heard.is_err_and(|error| error.kind() == ErrorKind::WouldBlock)
    }

    /// Whether the network connection ends, and nothing has come that was not read.
    pub(super) fn is_closed_without_a_word(&mut self) -> bool {
        match self.0.read(&mut [0; 1]) {
            Ok(bytes) => bytes == 0,
            Err(error) => error.kind() == ErrorKind::ConnectionReset,
        }
    }

    pub(super) fn send(&mut self, kind: u8, body: &[u8]) {
        assert!(body.len() < 128);
        self.0.write_all(&[&[kind, body.len() as u8], body].concat()).unwrap();
    }

    fn read<const BYTES: usize>(&mut self) -> [u8; BYTES] {
        let mut bytes = [0; BYTES];
        self.0.read_exact(&mut bytes).unwrap();
        bytes
    }

    pub(super) fn subscribe(&mut self, filter: &str) {
        self.send(0x82, &[&[0, 1, 0, filter.len() as u8], filter.as_bytes(), &[1]].concat());
        assert_eq!(self.read(), [0x90, 3, 0, 1, 1]);
    }

    fn unsubscribe(&mut self, filter: &str) {
        self.send(0xa2, &[&[0, 1, 0, filter.len() as u8], filter.as_bytes()].concat());
        assert_eq!(self.read(), [0xb0, 2, 0, 1]);
    }

    /// With QoS 1, which is acknowledged once all have it in their queues.
    pub(super) fn publish(&mut self, topic: &str) {
        self.send(0x32, &[&[0, topic.len() as u8], topic.as_bytes(), &[0, 1]].concat());
        assert_eq!(self.read(), [0x40, 2, 0, 1]);
    }

    /// The same, of one who is subscribed to it: the message and its acknowledgement come in any order.
    pub(super) fn publish_and_receive(&mut self, topic: &str) {
        self.send(0x32, &[&[0, topic.len() as u8], topic.as_bytes(), &[0, 1]].concat());
        let mut left = 2;
        while left > 0 {
            let [kind, length] = self.read();
            let mut rest = vec![0; length.into()];
            self.0.read_exact(&mut rest).unwrap();
            if kind & 0xf0 == 0x30 {
                self.send(0x40, &rest[2 + topic.len()..]);
            }
            left -= 1;
        }
    }

    /// Acknowledges what comes again behind a kill, since that it was acknowledged is noted a moment later.
    fn acknowledge_again(&mut self) {
        self.send(0xc0, &[]);
        loop {
            let [kind, length] = self.read();
            let mut rest = vec![0; length.into()];
            self.0.read_exact(&mut rest).unwrap();
            if kind == 0xd0 {
                return;
            }
            assert_eq!(kind & 0xf6, 0x32);
            self.send(0x40, &rest[rest.len() - 2..]);
        }
    }

    /// The topic name of the next message.
    pub(super) fn receive(&mut self) -> String {
        let [kind, _, _, length] = self.read();
        assert_eq!(kind & 0xf6, 0x32);
        let mut topic = vec![0; length.into()];
        self.0.read_exact(&mut topic).unwrap();
        let [high, low] = self.read();
        self.send(0x40, &[high, low]);
        String::from_utf8(topic).unwrap()
    }
}

/// Killed at once behind the last answer, over and over: what was answered holds, and goes on.
#[test]
fn sessions_and_subscriptions_outlive_a_kill() {
    let folder = TempDir::new().unwrap();
    let folder = folder.path().join("data");
    for round in 0..6_u32 {
        let durability = ["fsync", "written"][round as usize % 2];
        let node = start(&folder, &["--set", &format!("store.durability={durability}")]);
        let (mut publisher, _) = Client::connect(&node, "publisher", CLEAN);
        for client in 0..4 {
            let name = format!("client-{client}");
            let (mut subscriber, is_there) = Client::connect(&node, &name, DURABLE);
            assert_eq!(is_there, round > 0, "{name} in round {round}");
            if round > 0 {
                subscriber.acknowledge_again();
                // That of the round before is there, and the one that it replaced is not.
                if round > 1 {
                    publisher.publish(&format!("{name}/{}", round - 2));
                }
                publisher.publish(&format!("{name}/{}", round - 1));
                assert_eq!(subscriber.receive(), format!("{name}/{}", round - 1));
                subscriber.unsubscribe(&format!("{name}/{}", round - 1));
            }
            subscriber.subscribe(&format!("{name}/{round}"));
        }
        // One that comes and goes: it is there in the rounds behind those in which it was left.
        let flags = if round % 2 == 0 { DURABLE } else { CLEAN };
        let (_, is_there) = Client::connect(&node, "now and then", flags);
        assert!(!is_there, "round {round}");
        node.signal("-KILL");
    }
}

/// All is there behind an orderly end too, whatever counts as kept.
#[test]
fn sessions_outlive_an_orderly_end() {
    for durability in ["fsync", "written", "deferred"] {
        let folder = TempDir::new().unwrap();
        let durability = format!("store.durability={durability}");
        for round in 0..2 {
            let mut node = start(folder.path(), &["--set", &durability]);
            let (mut subscriber, is_there) = Client::connect(&node, "subscriber", DURABLE);
            assert_eq!(is_there, round > 0);
            if round == 0 {
                subscriber.subscribe("a/b");
            } else {
                Client::connect(&node, "publisher", CLEAN).0.publish("a/b");
                assert_eq!(subscriber.receive(), "a/b");
            }
            node.signal("-TERM");
            assert_eq!(node.exit_code(), Some(0));
        }
    }
}

/// Two nodes would not know of each other.
#[test]
fn a_folder_in_use_ends_the_start_and_says_by_whom() {
    let folder = TempDir::new().unwrap();
    let node = start(folder.path(), &[]);
    let folder_key = format!("store.folder={}", folder.path().display());
    let output =
        crate::cli::program(&["--set", "store.backend=disk", "--set", &folder_key], r#"exec "$0" "$@""#)
            .stdout(Stdio::null())
            .output()
            .unwrap();
    assert_eq!(output.status.code(), Some(1));
    let stderr = String::from_utf8(output.stderr).unwrap();
    let expected = format!("{} is in use by the process {}", folder.path().display(), node.pid());
    assert!(stderr.contains(&expected), "{stderr}");
}

/// What cannot be read never becomes an empty store.
#[test]
fn a_damaged_log_ends_the_start_and_is_named() {
    let folder = TempDir::new().unwrap();
    let node = start(folder.path(), &[]);
    let (mut subscriber, _) = Client::connect(&node, "subscriber", DURABLE);
    (0..5).for_each(|number| subscriber.subscribe(&format!("a/{number}")));
    node.signal("-KILL");
    drop(node);
    let log = folder.path().join("log-0000000000000001");
    let mut bytes = std::fs::read(&log).unwrap();
    bytes[4096 + 60] ^= 1;
    std::fs::write(&log, bytes).unwrap();
    let folder_key = format!("store.folder={}", folder.path().display());
    let output =
        crate::cli::program(&["--set", "store.backend=disk", "--set", &folder_key], r#"exec "$0" "$@""#)
            .stdout(Stdio::null())
            .output()
            .unwrap();
    assert_eq!(output.status.code(), Some(1));
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(stderr.contains(&format!("{} is damaged at byte 4096", log.display())), "{stderr}");
}
