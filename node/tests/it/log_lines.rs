//! What the log says of clients and of the node's figures, and how much.

use std::fs::{self, File};
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Instant;

use mqtt_codec::ProtocolVersion::{V5, V311};
use mqtt_codec::{Connect, Disconnect, DisconnectProperties, Packet, ReasonCode};
use serde_json::Value;
use tempfile::TempDir;

use crate::blocking::BlockingClient;
use crate::cli::Running;
use crate::harness::{DEADLINE, connect};

/// A node whose log is a file of JSON.
struct Logging {
    node: Running,
    file: PathBuf,
    _folder: TempDir,
}

impl Logging {
    fn start(settings: &[&str]) -> Self {
        let folder = TempDir::new().unwrap();
        let file = folder.path().join("log");
        let all = settings.iter().chain(&["log.format=json", "node.workers=2"]);
        let arguments: Vec<&str> = all.flat_map(|setting| ["--set", setting]).collect();
        let log = Stdio::from(File::create(&file).unwrap());
        Self { node: Running::start_logging(&arguments, log), file, _folder: folder }
    }

    fn connect(&self, connect: Connect) -> BlockingClient {
        BlockingClient::connect(self.node.address("tcp"), connect)
    }

    /// The lines with this message so far.
    fn lines(&self, message: &str) -> Vec<Value> {
        let text = fs::read_to_string(&self.file).unwrap();
        // The last one may be on its way.
        let whole = text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        whole.filter(|line| line["message"] == message).collect()
    }

    /// The same, once there are so many.
    fn until(&self, count: usize, message: &str) -> Vec<Value> {
        let began = Instant::now();
        loop {
            let lines = self.lines(message);
            if lines.len() >= count {
                return lines;
            }
            assert!(began.elapsed() < DEADLINE, "{} of {count} lines say {message:?}", lines.len());
            std::thread::yield_now();
        }
    }
}

fn disconnect(reason_code: ReasonCode) -> Packet {
    Packet::Disconnect(Disconnect { reason_code, properties: DisconnectProperties::default() })
}

#[test]
fn a_line_when_a_client_comes_and_one_when_it_goes() {
    let log = Logging::start(&[]);
    let with_name = Connect { user_name: Some("ann".to_owned()), ..connect(V311, "polite") };
    let mut polite = log.connect(Connect { keep_alive: 77, ..with_name });
    polite.ping();
    polite.send(disconnect(ReasonCode::Success));
    assert_eq!(polite.next_or_end(), None);
    let lines = log.until(1, "disconnected");
    assert_eq!((&lines[0]["level"], &lines[0]["client_identifier"]), (&"INFO".into(), &"polite".into()));
    assert_eq!(
        (&lines[0]["reason"], &lines[0]["reason_code"]),
        (&"client disconnected".into(), &"0x00".into())
    );
    // CONNECT with client identifier and user name, PINGREQ, DISCONNECT; CONNACK, PINGRESP.
    assert_eq!(lines[0]["bytes_received"], 12 + 8 + 5 + 2 + 2);
    assert_eq!(lines[0]["bytes_sent"], 4 + 2);
    let lasted = lines[0]["duration_seconds"].as_f64().unwrap();
    assert!((0.0..DEADLINE.as_secs_f64()).contains(&lasted), "{lasted}");
    let came = &log.until(1, "connected")[0];
    assert_eq!((&came["client_identifier"], &came["user_name"]), (&"polite".into(), &"ann".into()));
    assert_eq!((&came["protocol"], &came["transport"]), (&"3.1.1".into(), &"tcp".into()));
    assert_eq!((&came["keep_alive_seconds"], &came["session_present"]), (&77.into(), &false.into()));
    assert!(came["peer"].as_str().unwrap().starts_with("127.0.0.1:"), "{came}");

    drop(log.connect(connect(V5, "rude")));
    assert_eq!(log.until(2, "disconnected")[1]["reason"], "client closed the network connection");
    let mut old = log.connect(connect(V5, "twice"));
    let _new = log.connect(connect(V5, "twice"));
    assert_eq!(old.next_or_end(), Some(disconnect(ReasonCode::SessionTakenOver)));
    drop(old);
    let taken_over = &log.until(3, "disconnected")[2];
    assert_eq!(
        (&taken_over["reason"], &taken_over["reason_code"]),
        (&"session taken over".into(), &"0x8e".into())
    );
    assert!(taken_over.get("user_name").is_none());
}

#[test]
fn a_line_when_a_login_is_refused() {
    let log = Logging::start(&["auth.provider=mock", "auth.mock_allow=false"]);
    let login = Connect { user_name: Some("eve".to_owned()), ..connect(V5, "stranger") };
    let answer = BlockingClient::refused(log.node.address("tcp"), login);
    assert!(answer.is_error());
    let line = &log.until(1, "refused")[0];
    assert_eq!((&line["client_identifier"], &line["user_name"]), (&"stranger".into(), &"eve".into()));
    assert_eq!(line["reason_code"], format!("0x{:02x}", answer as u8));
    assert!(line["peer"].as_str().unwrap().starts_with("127.0.0.1:"), "{line}");
    assert!(log.lines("connected").is_empty());
}

/// SIGHUP: what was read, or why it could not be.
#[test]
fn a_reload_says_what_it_read() {
    let folder = TempDir::new().unwrap();
    let users = folder.path().join("users.toml");
    auth_actor::set_password(&users, "ann", b"pa55word").unwrap();
    let file = users.display().to_string();
    let log = Logging::start(&["auth.provider=file", &format!("auth.file={file}")]);
    let read = &log.until(1, "users and rules were read")[0];
    assert_eq!(
        (&read["file"], &read["users"], &read["rules"]),
        (&file.as_str().into(), &1.into(), &0.into())
    );
    let mut text = fs::read_to_string(&users).unwrap();
    text.push_str("\n[[rule]]\npermission = \"allow\"\naction = \"all\"\ntopic = \"#\"\n");
    fs::write(&users, text).unwrap();
    log.node.signal("-HUP");
    let read = &log.until(2, "users and rules were read")[1];
    assert_eq!(
        (&read["file"], &read["users"], &read["rules"]),
        (&file.as_str().into(), &1.into(), &1.into())
    );
    fs::remove_file(&users).unwrap();
    log.node.signal("-HUP");
    let kept = &log.until(1, "users and rules could not be read anew; the old ones hold")[0];
    assert_eq!(kept["error"], format!("{file}: cannot be read"));
    assert_eq!(kept["cause"], "No such file or directory (os error 2)");
}

/// However many come and go: so many lines a second, and one that says how many were left out.
#[test]
fn no_more_than_so_many_lines_a_second() {
    const CLIENTS: u64 = 100;
    let mut log = Logging::start(&["node.client_lines_per_second_max=3", "node.metrics_interval_seconds=0"]);
    let began = Instant::now();
    for number in 0..CLIENTS {
        let mut client = log.connect(connect(V5, &format!("client-{number}")));
        client.send(disconnect(ReasonCode::Success));
        assert_eq!(client.next_or_end(), None);
    }
    log.node.signal("-TERM");
    assert_eq!(log.node.exit_code(), Some(0));
    let seconds = began.elapsed().as_secs() + 2;
    let summed = |key: &str| {
        let lines = log.lines(
            "clients of which no line was written: there are more than node.client_lines_per_second_max",
        );
        lines.iter().map(|line| line[key].as_u64().unwrap()).sum::<u64>()
    };
    let (came, gone) = (log.lines("connected").len() as u64, log.lines("disconnected").len() as u64);
    assert!(came + gone <= 3 * seconds, "{came} and {gone} lines in {seconds} s");
    assert_eq!((came + summed("connected"), gone + summed("disconnected")), (CLIENTS, CLIENTS));
}

/// A node that nobody uses writes one line an interval; of one that is used there is one more for each kind of actor that
/// did something.
#[test]
fn an_idle_node_writes_a_line_an_interval() {
    let log = Logging::start(&["node.metrics_interval_seconds=1", "mqtt.sys_interval_seconds=1"]);
    log.until(3, "figures");
    assert_eq!(log.lines("actors"), Vec::<Value>::new());
    log.connect(connect(V5, "client")).ping();
    let is_of = |line: &Value, kind: &str| line["actor"] == kind;
    let mut count = 1;
    while !log.until(count, "actors").iter().any(|line| is_of(line, "connection")) {
        count += 1;
    }
    assert!(!log.lines("actors").iter().any(|line| is_of(line, "auth")));
    let text = fs::read_to_string(&log.file).unwrap();
    assert!(!text.contains("Some(") && !text.contains("None"), "{text}");
}
