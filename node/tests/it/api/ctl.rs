//! `micro-mq ctl` against a node.

use mqtt_codec::ProtocolVersion::V5;
use serde_json::Value;

use crate::blocking::BlockingClient;
use crate::cli::{Running, output};
use crate::harness::{DEADLINE, connect};

/// What `ctl` says, and its exit code.
fn ctl(server: &str, arguments: &[&str]) -> (i32, String, String) {
    let output = output(&[&["ctl", "--server", server], arguments].concat(), "");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("UTF-8");
    (output.status.code().expect("it ends by itself"), text(output.stdout), text(output.stderr))
}

#[track_caller]
fn json(server: &str, arguments: &[&str]) -> Value {
    let (code, stdout, stderr) = ctl(server, &[arguments, &["--json"]].concat());
    assert_eq!((code, stderr.as_str()), (0, ""), "{arguments:?}");
    serde_json::from_str(&stdout).unwrap_or_else(|error| panic!("{arguments:?}: {error}: {stdout}"))
}

#[test]
fn ctl_asks_and_changes() {
    let node = Running::start(&[]);
    let server = format!("http://{}", node.address("admin"));
    let server = server.as_str();
    let mut client = BlockingClient::connect(node.address("tcp"), connect(V5, "sensor 1"));
    client.subscribe("t/+");
    BlockingClient::connect(node.address("tcp"), connect(V5, "other")).ping();

    let (code, stdout, _) = ctl(server, &["clients", "--prefix", "sensor"]);
    assert!(code == 0 && stdout.contains("sensor 1") && stdout.contains("client identifier"), "{stdout}");
    let page = json(server, &["subscriptions", "--matches", "t/1"]);
    assert_eq!(page["items"][0]["client_identifier"], "sensor 1", "{page}");
    assert_eq!(json(server, &["clients", "show", "sensor 1"])["subscriptions"], 1);
    let all = json(server, &["sessions", "--limit", "1", "--all"]);
    assert!(all["items"].as_array().is_some_and(|items| !items.is_empty()) && all["next"].is_null(), "{all}");
    let published = json(server, &["messages", "publish", "--topic", "t/1", "--payload", "hi"]);
    assert_eq!(published["matched"], 1);
    client.expect_payload("hi");
    let (code, stdout, _) = ctl(server, &["clients", "kick", "sensor 1"]);
    assert_eq!((code, stdout.as_str()), (0, "done\n"));
    let began = std::time::Instant::now();
    loop {
        let (code, _, stderr) = ctl(server, &["clients", "show", "sensor 1"]);
        if code == 1 {
            assert_eq!(stderr, "micro-mq: 404 Not Found: no session has this client identifier\n");
            break;
        }
        assert!(began.elapsed() < DEADLINE, "the client is still there");
    }
    let (code, _, stderr) = ctl(server, &["clients", "--limit", "0"]);
    assert_eq!((code, stderr.as_str()), (1, "micro-mq: 400 Bad Request: limit: 0 is not within 1 to 1000\n"));
    assert_eq!(ctl(server, &["health"]).0, 0);
    assert_eq!(ctl(server, &["clients", "--colour", "blue"]).0, 2);
    assert_eq!(ctl("http://127.0.0.1:1", &["health"]).0, 3);
    let (code, script, _) = ctl(server, &["completions", "bash"]);
    assert!(code == 0 && script.contains("subscriptions"), "no completions");
}
