//! The limit of open files: too small it ends the start with a sentence; reached, it costs clients their network
//! connections and nobody else anything.

use std::fs::{self, File};
use std::process::{Output, Stdio};

use mqtt_codec::ProtocolVersion::V311;
use tempfile::TempDir;

use crate::blocking::BlockingClient;
use crate::cli::{FREE_PORTS, Running, program};
use crate::harness::connect;

const TWO_WORKERS: &[&str] = &["--set", "node.workers=2", "--set", "mqtt.sys_interval_seconds=0"];

fn limited(files: usize) -> String {
    format!("ulimit -n {files} && exec \"$0\" \"$@\"")
}

/// What the program says that cannot start.
fn refused(files: usize) -> String {
    let arguments = [FREE_PORTS, TWO_WORKERS].concat();
    let Output { status, stderr, .. } = program(&arguments, &limited(files)).output().unwrap();
    assert_eq!(status.code(), Some(1), "{files} files");
    String::from_utf8(stderr).unwrap()
}

/// What the sentence says that the node needs.
fn needed() -> usize {
    let sentence = refused(20);
    let words: Vec<&str> = sentence.split(' ').collect();
    let at = words.iter().position(|word| *word == "needs").unwrap();
    words[at + 1].parse().unwrap()
}

#[test]
fn too_few_are_a_sentence_that_says_what_to_do() {
    for files in [5, 8, 12, 20, 30, needed() - 1] {
        let sentence = refused(files);
        let begin = format!("micro-mq: the limit of open files is {files}, and this node needs ");
        assert!(sentence.starts_with(&begin), "{sentence}");
        assert!(sentence.contains("ulimit -n") && sentence.lines().count() == 1, "{sentence}");
    }
}

/// As many clients as there is room for, and further ones: those are closed as they are accepted, the others served, and
/// the admin listener answers.
fn full(files: usize, at_least: usize) {
    let directory = TempDir::new().unwrap();
    let log = directory.path().join("log");
    let arguments = [FREE_PORTS, TWO_WORKERS].concat();
    let mut command = program(&arguments, &limited(files));
    command.stderr(Stdio::from(File::create(&log).unwrap()));
    let mut node = Running::of(command);
    let address = node.address("tcp");
    let mut clients = Vec::new();
    let mut closed: u64 = 0;
    // A network connection that is closed gives its place back a moment later: several attempts beyond.
    for number in 0..files + 20 {
        match BlockingClient::try_connect(address, connect(V311, &format!("client-{number}"))) {
            Some(client) => clients.push(client),
            None => closed += 1,
        }
    }
    assert!(clients.len() >= at_least && closed >= 20, "{} clients, {closed} closed", clients.len());
    for path in ["/health/live", "/health/ready", "/api/v1/ledger", "/api/v1/clients/client-0"] {
        assert!(node.get(path).starts_with("HTTP/1.1 200 OK\r\n"), "{path}");
    }
    node.until_metric("micro_mq_connections_full_total", closed);
    assert_eq!(node.metric("micro_mq_accept_errors_total"), 0);
    clients.iter_mut().for_each(BlockingClient::ping);
    // A place that is free is taken.
    drop(clients.pop());
    let began = std::time::Instant::now();
    while BlockingClient::try_connect(address, connect(V311, "late")).is_none() {
        assert!(began.elapsed() < crate::harness::DEADLINE, "there is no room for another");
    }
    node.signal("-TERM");
    assert_eq!(node.exit_code(), Some(0));
    let log = fs::read_to_string(log).unwrap();
    let lines = log.lines().filter(|line| line.contains("closed as it was accepted")).count();
    assert!(lines >= 1, "{log}");
    assert!(log.contains("room for few network connections"), "{log}");
    assert!(!log.contains("ERROR") && !log.contains("panicked"), "{log}");
}

#[test]
fn at_the_limit_clients_are_closed_and_the_admin_listener_answers() {
    full(200, 60);
}

/// The smallest limit that the node starts with is one that it can work with.
#[test]
fn the_least_is_enough() {
    full(needed(), 1);
}
