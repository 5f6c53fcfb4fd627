//! Disks that run full, and that fail, under the whole program.

use std::fs;
use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use super::killed::{CLEAN, Client, DURABLE, start};
use crate::cli::{FREE_PORTS, Running, program};

/// Far above what anything here takes.
const DEADLINE: Duration = Duration::from_secs(60);

fn until(what: &str, is_so: impl Fn() -> bool) {
    let began = Instant::now();
    while !is_so() {
        assert!(began.elapsed() < DEADLINE, "not in time: {what}");
        std::thread::yield_now();
    }
}

/// A write into the log that fails, for whatever reason but want of room, ends the process with words: it is not tried again,
/// and what was answered is there at the next start.
#[test]
fn a_log_that_cannot_be_written_ends_the_process() {
    let folder = TempDir::new().unwrap();
    let folder = folder.path().join("data");
    let folder_key = format!("store.folder={}", folder.display());
    let arguments = [FREE_PORTS, &["--set", "store.backend=disk", "--set", &folder_key]].concat();
    let mut command = program(&arguments, r#"exec "$0" "$@""#);
    // A pipe: what is limited below is files.
    let (mut said, stderr) = io::pipe().unwrap();
    command.stderr(stderr);
    let mut node = Running::of(command);
    let saying = std::thread::spawn(move || io::read_to_string(&mut said).unwrap());
    let (mut client, _) = Client::connect(&node, "client", DURABLE);
    client.subscribe("kept");
    until("the file for what comes next is there", || folder.join("log-0000000000000002").exists());
    // From now on nothing can be written behind the first byte of any file.
    let limited = Command::new("prlimit").args(["--fsize=1:1", "--pid", &node.pid().to_string()]).status();
    assert!(limited.expect("prlimit, of util-linux").success());
    client.send(0x82, &[&[0, 1, 0, 4], b"lost".as_slice(), &[1]].concat());
    assert_eq!(node.exit_code(), Some(1));
    drop((client, node));
    let said = saying.join().unwrap();
    assert!(said.contains("the log could not be written"), "{said}");
    assert!(
        said.contains("nobody knows what is on the disk, so the process ends; the next one looks"),
        "{said}"
    );
    let node = start(&folder, &[]);
    let (mut client, is_there) = Client::connect(&node, "client", DURABLE);
    assert!(is_there);
    Client::connect(&node, "publisher", CLEAN).0.publish("kept");
    assert_eq!(client.receive(), "kept");
}

/// Whether a file system of one's own can be had here: not in every container.
fn can_mount(at: &Path) -> bool {
    let line = format!("mount -t tmpfs -o size=1m none {}", at.display());
    let tried = Command::new("unshare").args(["-rm", "sh", "-c", &line]).stderr(Stdio::null()).status();
    tried.is_ok_and(|status| status.success())
}

/// How long a 3.1.1 client is not read.
const PATIENCE: &[&str] = &["--set", "mqtt.refused_publish_timeout_ms=300"];

/// The reason code of the PUBACK that a client of 5.0 gets; none if it waits for that.
fn publish_as_5(node: &Running, topic: &str) -> Option<u8> {
    let mut stream = TcpStream::connect(node.address("tcp")).unwrap();
    stream.set_read_timeout(Some(DEADLINE)).unwrap();
    stream.write_all(b"\x10\x0e\0\x04MQTT\x05\x02\0\x3c\0\0\x01p").unwrap();
    let mut head = [0; 2];
    stream.read_exact(&mut head).unwrap();
    assert_eq!(head[0], 0x20);
    stream.read_exact(&mut vec![0; head[1].into()]).unwrap();
    let body = [&[0, topic.len() as u8], topic.as_bytes(), &[0, 1, 0]].concat();
    stream.write_all(&[&[0x32, body.len() as u8], body.as_slice()].concat()).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(1))).unwrap();
    stream.read_exact(&mut head).ok()?;
    assert_eq!(head[0], 0x40);
    let mut acknowledged = vec![0; head[1].into()];
    stream.read_exact(&mut acknowledged).unwrap();
    Some(acknowledged.get(2).copied().unwrap_or_default())
}

/// A full disk is named by `/health/ready`; what is kept stays, clean sessions go on, what has to be kept waits, and all goes
/// on by itself when there is room.
#[test]
fn a_full_disk_is_named_and_left_again() {
    let folder = TempDir::new().unwrap();
    let (before, disk) = (folder.path().join("before"), folder.path().join("disk"));
    fs::create_dir(&disk).unwrap();
    if !can_mount(&disk) {
        println!("no file system can be mounted here: nothing is shown");
        return;
    }
    let mut node = start(&before, &[]);
    Client::connect(&node, "kept", DURABLE).0.subscribe("a/b");
    Client::connect(&node, "other", DURABLE).0.subscribe("other");
    node.signal("-TERM");
    assert_eq!(node.exit_code(), Some(0));
    // The file for what comes next is to find no room.
    let _ = fs::remove_file(before.join("log-0000000000000002"));
    let folder_key = format!("store.folder={}", disk.join("data").display());
    let line = format!(
        r#"exec unshare -rm sh -c 'mount -t tmpfs -o size=48m none {disk} && cp -a {before} {disk}/data &&
           head -c 26m /dev/zero > {disk}/ballast && exec "$0" "$@"' "$0" "$@""#,
        disk = disk.display(),
        before = before.display()
    );
    let mut command = program(
        &[FREE_PORTS, &["--set", "store.backend=disk", "--set", &folder_key], PATIENCE].concat(),
        &line,
    );
    command.stderr(Stdio::inherit());
    let node = Running::of(command);
    let is_full = || {
        let answer = node.get("/health/ready");
        answer.starts_with("HTTP/1.1 503 ")
            && answer.ends_with(r#"{"reason":"the disk of the session store is full","status":"not ready"}"#)
    };
    until("the disk is full", is_full);
    let mut waiting = Client::ask(&node, "kept", DURABLE);
    let (mut publisher, _) = Client::connect(&node, "publisher", CLEAN);
    publisher.subscribe("clean");
    publisher.publish_and_receive("clean");
    assert!(waiting.hears_nothing() && is_full());
    // What would have to be kept is refused: 5.0 is told, 3.1.1 is not read, and closed in a while.
    until("it is known what has to be kept", || publish_as_5(&node, "other") == Some(0x97));
    assert_eq!(publish_as_5(&node, "a/b"), Some(0x97));
    assert_eq!(publish_as_5(&node, "clean"), Some(0), "nobody waits for what need not be kept");
    assert_eq!(publisher.receive(), "clean");
    let (mut old, _) = Client::connect(&node, "old", CLEAN);
    old.send(0x32, &[&[0, 3], b"a/b".as_slice(), &[0, 1]].concat());
    assert!(old.is_closed_without_a_word());
    let seen_by_node = format!("/proc/{}/root{}/ballast", node.pid(), disk.display());
    fs::remove_file(seen_by_node).unwrap();
    assert!(waiting.answered(), "its session was there");
    until("there is room", || publish_as_5(&node, "other") == Some(0));
    publisher.publish("a/b");
    assert_eq!(waiting.receive(), "a/b");
    waiting.subscribe("c");
    until("the node is ready", || node.get("/health/ready").starts_with("HTTP/1.1 200 "));
}
