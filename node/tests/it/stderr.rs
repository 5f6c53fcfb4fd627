//! A log that nobody takes: whatever becomes of stderr and stdout, the node answers as ever, publishes its wills as it
//! stops, and ends with status 0.

use std::fs::File;
use std::io::{Read, Write, pipe};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::Stdio;
use std::time::Instant;

use mqtt_codec::ProtocolVersion::{V5, V311};
use mqtt_codec::QoS::AtMostOnce;
use mqtt_codec::{Connect, Packet, ReasonCode};

use crate::blocking::BlockingClient;
use crate::cli::{Running, program};
use crate::harness::{DEADLINE, connect, will};

/// What a pipe holds.
const PIPE_BYTES: usize = 64 * 1024;
/// Its log says something about every client.
const MUCH: &[&str] = &["--set", "log.level=trace", "--set", "log.queue_bytes_max=4096"];

/// The network connections of a node that is about to stop.
struct Audience {
    watcher: BlockingClient,
    mourned: BlockingClient,
}

impl Audience {
    fn at(address: SocketAddr) -> Self {
        let mut watcher = BlockingClient::connect(address, connect(V311, "watcher"));
        watcher.subscribe("w");
        let mourned = Connect { will: Some(will("w", AtMostOnce, "gone")), ..connect(V5, "mourned") };
        Self { watcher, mourned: BlockingClient::connect(address, mourned) }
    }

    /// The node stops as it should.
    fn sees_the_end(mut self) {
        self.watcher.expect_payload("gone");
        assert_eq!(self.watcher.next_or_end(), None);
        match self.mourned.next_or_end() {
            Some(Packet::Disconnect(end)) => assert_eq!(end.reason_code, ReasonCode::ServerShuttingDown),
            other => panic!("{other:?}"),
        }
    }
}

fn ends_well(mut node: Running, signal: &str) {
    let audience = Audience::at(node.address("tcp"));
    node.signal(signal);
    audience.sees_the_end();
    assert_eq!(node.exit_code(), Some(0));
}

/// `micro-mq 2>&1 | tee log`, and Ctrl-C, which ends `tee` first.
#[test]
fn a_reader_who_is_gone() {
    let (reader, log) = pipe().unwrap();
    let node = Running::start_logging(MUCH, log.into());
    drop(reader);
    ends_well(node, "-INT");
}

#[test]
fn a_disk_that_is_full() {
    let node = Running::start_logging(MUCH, Stdio::from(File::create("/dev/full").unwrap()));
    let audience = Audience::at(node.address("tcp"));
    let began = Instant::now();
    while lost_lines(&node) == 0 {
        assert!(began.elapsed() < DEADLINE, "what was not written is not counted");
    }
    drop(audience);
    ends_well(node, "-TERM");
}

#[test]
fn a_stderr_that_is_closed() {
    let mut node = program(MUCH, "exec \"$0\" \"$@\" 2>&-");
    node.args(["--set", "listener.websocket.enabled=false", "--set", "admin.enabled=false"]);
    ends_well(Running::of(node), "-TERM");
}

fn lost_lines(node: &Running) -> u64 {
    node.metric("micro_mq_log_lines_lost_total")
}

/// Is worth a line of the log.
fn malformed_connect(address: SocketAddr) {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(DEADLINE)).unwrap();
    stream.write_all(b"\x10\x03\x00\x01X").unwrap();
    assert_eq!(stream.read_to_end(&mut Vec::new()).unwrap(), 0);
}

/// A reader who stands still: the pipe is full, then the queue, and then lines are lost. Nobody waits for it, and when it
/// reads again it is told.
#[test]
fn a_reader_who_stands_still() {
    let (mut reader, mut log) = pipe().unwrap();
    log.write_all(&vec![b'x'; PIPE_BYTES]).unwrap();
    let mut node = Running::start_logging(MUCH, log.into());
    let audience = Audience::at(node.address("tcp"));
    let began = Instant::now();
    let mut number = 0;
    while lost_lines(&node) == 0 {
        number += 1;
        malformed_connect(node.address("tcp"));
        assert!(began.elapsed() < DEADLINE * 3, "{number} clients left no trace in the log");
    }
    BlockingClient::connect(node.address("tcp"), connect(V5, "late")).ping();
    let mut beginning = vec![0; PIPE_BYTES];
    reader.read_exact(&mut beginning).unwrap();
    assert_eq!(beginning, [b'x'; PIPE_BYTES]);
    node.signal("-TERM");
    audience.sees_the_end();
    let mut rest = String::new();
    reader.read_to_string(&mut rest).unwrap();
    assert!(rest.contains("log lines were lost"), "{rest}");
    assert!(rest.contains("shutting down"), "{rest}");
    assert_eq!(node.exit_code(), Some(0));
}

/// Both stdout and stderr are one pipe that is full before the node starts, and stays so.
#[test]
fn nobody_reads_from_the_very_beginning() {
    let (_reader, mut full) = pipe().unwrap();
    full.write_all(&vec![b'x'; PIPE_BYTES]).unwrap();
    // Nobody can read where it listens.
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let tcp = format!("listener.tcp.bind={address}");
    let mut node = program(MUCH, "exec \"$0\" \"$@\"");
    node.args(["--set", &tcp, "--set", "listener.websocket.enabled=false", "--set", "admin.enabled=false"]);
    let mut node = Running::silent(node.stdout(full.try_clone().unwrap()).stderr(full));
    let began = Instant::now();
    while TcpStream::connect(address).is_err() {
        assert!(began.elapsed() < DEADLINE, "the node does not listen");
        std::thread::yield_now();
    }
    let audience = Audience::at(address);
    node.signal("-TERM");
    audience.sees_the_end();
    assert_eq!(node.exit_code(), Some(0));
}

/// A command whose answer cannot be written has failed, and says so.
#[test]
fn an_answer_that_cannot_be_written() {
    for arguments in [&["check-config"][..], &["version"]] {
        let mut command = program(arguments, "exec \"$0\" \"$@\"");
        let output = command.stdout(File::create("/dev/full").unwrap()).output().unwrap();
        assert_eq!(output.status.code(), Some(1));
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert!(stderr.starts_with("micro-mq: ") && stderr.contains("No space left"), "{stderr}");
    }
}
