//! A node and an auth service, each a process of its own, as an operator starts them.

use std::path::PathBuf;
use std::process::Stdio;
use std::time::Instant;

use mqtt_codec::{Packet, ProtocolVersion, ReasonCode};
use tempfile::TempDir;

use crate::cli::{Running, output, program_itself};
use crate::harness::{DEADLINE, connect};
use crate::wire::Wire;

/// A service, and the files that it writes at its first start.
struct Service {
    folder: TempDir,
    running: Running,
    address: String,
}

impl Service {
    fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let running = Self::run(&folder, "127.0.0.1:0");
        let address = running.address("auth-service").to_string();
        Self { folder, running, address }
    }

    fn run(folder: &TempDir, listen: &str) -> Running {
        let folder = folder.path().join("auth");
        let arguments = ["auth-service", "--folder", folder.to_str().unwrap(), "--listen", listen];
        let mut command = program_itself(&arguments);
        command.stderr(Stdio::inherit());
        Running::of(command)
    }

    /// Another takes its place, at the same address.
    fn restart(&mut self) {
        let (folder, address) = (&self.folder, self.address.clone());
        self.running = Self::run(folder, &address);
    }

    fn token(&self, name: &str) -> PathBuf {
        self.folder.path().join(format!("auth/{name}.token"))
    }

    /// Runs `micro-mq auth`; what it says, if it succeeds.
    fn ask(&self, arguments: &[&str]) -> Result<String, String> {
        let (url, token) = (format!("http://{}", self.address), self.token("operator"));
        let before = ["auth", "--service", &url, "--token-file", token.to_str().unwrap()];
        let output = output(&[&before, arguments].concat(), "");
        let text = |bytes| String::from_utf8(bytes).unwrap();
        if output.status.success() { Ok(text(output.stdout)) } else { Err(text(output.stderr)) }
    }

    #[track_caller]
    fn done(&self, arguments: &[&str]) -> String {
        self.ask(arguments).unwrap_or_else(|said| panic!("{arguments:?}: {said}"))
    }

    fn node(&self, more: &[&str]) -> Running {
        let settings = [
            "auth.provider=rpc".to_owned(),
            format!("auth.rpc_addresses=http://{}", self.address),
            format!("auth.rpc_token_file={}", self.token("node").display()),
        ];
        let arguments: Vec<&str> = settings.iter().flat_map(|setting| ["--set", setting]).collect();
        Running::start(&[&arguments, more].concat())
    }
}

fn login(node: &Running, name: &str, password: &str) -> (Wire, ReasonCode) {
    let mut client = Wire::open(node.address("tcp"));
    let mut packet = connect(ProtocolVersion::V5, name);
    packet.user_name = Some(name.into());
    packet.password = Some(password.as_bytes().to_vec().into());
    client.send(&Packet::Connect(Box::new(packet)));
    match client.next() {
        Packet::ConnAck(answer) => (client, answer.reason_code),
        other => panic!("{other:?}"),
    }
}

const DENIED: ReasonCode = ReasonCode::NotAuthorized;
/// Nobody is subscribed, and it was taken.
const TAKEN: ReasonCode = ReasonCode::NoMatchingSubscribers;

/// A change is told to nodes by a stream: asked for until it is there.
fn until_published(client: &mut Wire, topic: &str, wanted: ReasonCode) {
    let began = Instant::now();
    while client.published(topic) != wanted {
        assert!(began.elapsed() < DEADLINE, "not in time: {topic}: {wanted:?}");
    }
}

#[test]
fn a_registered_client_does_what_its_roles_allow_and_is_gone_when_it_is_unregistered() {
    let service = Service::start();
    service.done(&["role", "put", "reader", "--allow", "subscribe:commands/%u", "--deny", "all:+/+/key"]);
    service.done(&["role", "put", "device", "--inherits", "reader", "--allow", "publish:devices/%u/#"]);
    let password = service.done(&["client", "add", "meter-1", "--role", "device"]);
    let password = password.trim();
    let node = service.node(&[]);

    let (_, refused) = login(&node, "meter-1", "wrong");
    assert_eq!(refused, ReasonCode::BadUserNameOrPassword);
    let (_, refused) = login(&node, "meter-2", password);
    assert_eq!(refused, ReasonCode::BadUserNameOrPassword);
    let (mut client, accepted) = login(&node, "meter-1", password);
    assert_eq!(accepted, ReasonCode::Success);
    for (topic, expected) in [
        ("devices/meter-1/power", TAKEN),
        ("devices/meter-2/power", DENIED),
        ("devices/meter-1/key", DENIED),
        ("commands/meter-1", DENIED),
    ] {
        assert_eq!(client.published(topic), expected, "{topic}");
    }
    for (filter, expected) in
        [("commands/meter-1", ReasonCode::Success), ("commands/+", DENIED), ("#", DENIED)]
    {
        assert_eq!(client.subscribed(filter), expected, "{filter}");
    }

    // Verdicts that were remembered count no more.
    service.done(&["role", "put", "device", "--inherits", "reader", "--allow", "publish:other/%u/#"]);
    until_published(&mut client, "devices/meter-1/power", DENIED);
    assert_eq!(client.published("other/meter-1/power"), TAKEN);

    service.done(&["client", "delete", "meter-1"]);
    client.expect_disconnect(DENIED);
    assert_eq!(login(&node, "meter-1", password).1, ReasonCode::BadUserNameOrPassword);
}

#[test]
fn another_password_ends_who_came_by_the_old_one_and_a_disabled_client_stays_out() {
    let service = Service::start();
    let old = service.done(&["client", "add", "ann"]);
    let node = service.node(&[]);
    let (mut client, accepted) = login(&node, "ann", old.trim());
    assert_eq!(accepted, ReasonCode::Success);
    let new = service.done(&["client", "rotate", "ann"]);
    client.expect_disconnect(DENIED);
    assert_eq!(login(&node, "ann", old.trim()).1, ReasonCode::BadUserNameOrPassword);
    let (mut client, accepted) = login(&node, "ann", new.trim());
    assert_eq!(accepted, ReasonCode::Success);
    service.done(&["client", "disable", "ann"]);
    client.expect_disconnect(DENIED);
    assert_eq!(login(&node, "ann", new.trim()).1, ReasonCode::BadUserNameOrPassword);
    service.done(&["client", "enable", "ann"]);
    assert_eq!(login(&node, "ann", new.trim()).1, ReasonCode::Success);
}

/// What was disabled while nobody could be told is told when the service is back.
#[test]
fn a_service_that_is_gone_denies_and_is_asked_again_when_it_is_back() {
    let mut service = Service::start();
    service.done(&["role", "put", "all", "--allow", "all:#"]);
    let password = service.done(&["client", "add", "ann", "--role", "all"]);
    let node = service.node(&[]);
    let (mut client, accepted) = login(&node, "ann", password.trim());
    assert_eq!(accepted, ReasonCode::Success);
    assert_eq!(client.published("a"), TAKEN);
    service.running.signal("-KILL");
    // It was remembered, and is forgotten as soon as nobody tells of changes.
    until_published(&mut client, "a", DENIED);
    assert_eq!(login(&node, "ann", password.trim()).1, ReasonCode::ServerUnavailable);
    service.restart();
    until_published(&mut client, "a", TAKEN);
    let (_, accepted) = login(&node, "ann", password.trim());
    assert_eq!(accepted, ReasonCode::Success);
}

#[test]
fn the_command_says_what_a_client_may_do_and_why_and_who_changed_what() {
    let service = Service::start();
    service.done(&["role", "put", "r", "--allow", "publish:a/%c/#", "--deny", "all:a/+/key"]);
    service.done(&["client", "add", "ann", "--role", "r"]);
    let check = |arguments: &[&str]| service.done(&[&["check", "ann"], arguments].concat());
    assert_eq!(check(&["publish", "a/ann/x"]), "allowed: role \"r\": allow publish a/%c/#\n");
    assert_eq!(check(&["publish", "a/ann/key"]), "denied: role \"r\": deny all a/+/key\n");
    assert_eq!(check(&["subscribe", "a/ann/x"]), "denied: no rule of its roles allows it (r)\n");
    let other = check(&["publish", "a/c1/x", "--client-identifier", "c1"]);
    assert!(other.starts_with("allowed: "), "{other}");
    let unknown = service.done(&["check", "bob", "publish", "a"]);
    assert_eq!(unknown, "denied: client \"bob\" is not registered\n");
    assert_eq!(service.done(&["client", "list"]), "ann\tenabled\tr\n");
    let audit = service.done(&["audit"]);
    let whats: Vec<&str> = audit.lines().map(|line| line.split('\t').nth(3).unwrap()).collect();
    assert_eq!(whats, ["caller.add", "caller.add", "role.put", "client.create"]);
}

#[test]
fn what_cannot_be_is_refused_in_words() {
    let service = Service::start();
    service.done(&["role", "put", "r"]);
    service.done(&["role", "put", "s", "--inherits", "r"]);
    service.done(&["client", "add", "ann", "--role", "s"]);
    for (arguments, words) in [
        (&["client", "add", "ann"][..], "client \"ann\" is there already"),
        (&["client", "add", "bob", "--role", "t"], "role \"t\" is not there"),
        (&["client", "delete", "bob"], "client \"bob\" is not there"),
        (&["role", "put", "r", "--inherits", "s"], "inherits from itself"),
        (&["role", "put", "r", "--allow", "publish:a/#/b"], "\"a/#/b\" is no topic filter"),
        (&["role", "delete", "r"], "role \"r\" is in use by role \"s\""),
        (&["role", "delete", "s"], "role \"s\" is in use by client \"ann\""),
        (&["caller", "add", "x", "king"], "none of node, viewer and operator"),
    ] {
        let said = service.ask(arguments).unwrap_err();
        assert!(said.contains(words), "{arguments:?}: {said}");
    }
}

/// The role of a caller says which methods it may call; who has no token has none.
#[test]
fn a_caller_does_what_its_role_allows() {
    let service = Service::start();
    let url = format!("http://{}", service.address);
    let asked = |token: &str, arguments: &[&str]| {
        let file = service.folder.path().join("token");
        let _ = std::fs::remove_file(&file);
        std::fs::write(&file, token).unwrap();
        let private = std::os::unix::fs::PermissionsExt::from_mode(0o600);
        std::fs::set_permissions(&file, private).unwrap();
        let before = ["auth", "--service", &url, "--token-file", file.to_str().unwrap()];
        output(&[&before, arguments].concat(), "")
    };
    let viewer = service.done(&["caller", "add", "console", "viewer"]);
    let node = std::fs::read_to_string(service.token("node")).unwrap();
    assert!(asked(&viewer, &["client", "list"]).status.success());
    for (token, arguments) in [
        (viewer.as_str(), &["client", "add", "eve"][..]),
        (&node, &["client", "list"]),
        (&node, &["client", "add", "eve"]),
        ("invented", &["client", "list"]),
    ] {
        assert!(!asked(token, arguments).status.success(), "{arguments:?}");
    }
    service.done(&["caller", "remove", "console"]);
    assert!(!asked(&viewer, &["client", "list"]).status.success());
    assert_eq!(service.done(&["client", "list"]), "");
}
