//! The built program, called as a user calls it.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Output, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use tempfile::TempDir;

/// Far above what anything here takes; reached only by a program that hangs.
const DEADLINE: Duration = Duration::from_secs(20);

/// What most nodes have here in place of a folder.
pub(crate) const MEMORY: (&str, &str) = ("MICRO_MQ__STORE__BACKEND", "memory");

pub(crate) fn program_itself(arguments: &[&str]) -> Command {
    prepared(Command::new(env!("CARGO_BIN_EXE_micro-mq")), arguments)
}

/// The program, started by a line of the shell in which it is `"$0"` and its arguments `"$@"`.
pub(crate) fn program(arguments: &[&str], line: &str) -> Command {
    let mut command = Command::new("sh");
    command.args(["-c", line, env!("CARGO_BIN_EXE_micro-mq")]);
    prepared(command, arguments)
}

fn prepared(mut command: Command, arguments: &[&str]) -> Command {
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("MICRO_MQ_")) {
        command.env_remove(name);
    }
    // Whoever is concerned with what outlives the process names a folder of its own.
    command.env(MEMORY.0, MEMORY.1);
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

pub(crate) fn output(arguments: &[&str], stdin: &str) -> Output {
    let mut child = program_itself(arguments).stdin(Stdio::piped()).spawn().unwrap();
    // A program that does not read its stdin has ended already.
    let _ = child.stdin.take().unwrap().write_all(stdin.as_bytes());
    let pid = child.id();
    let (sender, ended) = mpsc::channel();
    thread::spawn(move || sender.send(child.wait_with_output()));
    match ended.recv_timeout(DEADLINE) {
        Ok(output) => output.unwrap(),
        Err(_) => {
            signal("-KILL", pid);
            panic!("{arguments:?} does not end")
        }
    }
}

fn signal(signal: &str, pid: u32) {
    let sent = Command::new("kill").args([signal, &pid.to_string()]).status().unwrap();
    assert!(sent.success());
}

#[track_caller]
fn check(arguments: &[&str], stdin: &str, status: i32, stdout: &str, stderr: &str) {
    let output = output(arguments, stdin);
    let actual = (
        output.status.code(),
        String::from_utf8(output.stdout).unwrap(),
        String::from_utf8(output.stderr).unwrap(),
    );
    assert_eq!(actual, (Some(status), stdout.to_owned(), stderr.to_owned()), "{arguments:?}");
}

#[test]
fn version_names_version_and_target() {
    let output = output(&["version"], "");
    let version = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success());
    assert!(version.starts_with(concat!("micro-mq ", env!("CARGO_PKG_VERSION"), " (")), "{version}");
    assert!(
        version.ends_with(&format!("{}-{})\n", std::env::consts::ARCH, std::env::consts::OS)),
        "{version}"
    );
}

#[test]
fn help_says_where_a_node_listens_and_how_it_exits() {
    let output = output(&["--help"], "");
    let help = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success());
    for word in
        ["run", "check-config", "passwd", "version", "--config", "--set", "127.0.0.1:1883", "Exit codes"]
    {
        assert!(help.contains(word), "{word} is missing in\n{help}");
    }
}

#[test]
fn a_command_line_that_is_not_understood_exits_2() {
    assert_eq!(output(&["walk"], "").status.code(), Some(2));
    assert_eq!(output(&["--confg", "x"], "").status.code(), Some(2));
}

#[test]
fn check_config_prints_what_holds() {
    let output = output(&["check-config", "--set", "node.workers=3"], "");
    let printed = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success());
    assert!(printed.contains("[node]\nworkers = 3 # --set\n"), "{printed}");
    assert!(output.stderr.is_empty());
}

#[test]
fn check_config_and_run_refuse_a_wrong_configuration_with_every_problem() {
    let directory = TempDir::new().unwrap();
    let file = directory.path().join("node.toml");
    fs::write(&file, "[node]\nworkers = -1\ncolour = 1\n").unwrap();
    let file = file.to_str().unwrap();
    let problems = format!(
        "{file}: node.colour: unknown key\n{file}: node.workers: must be 0 or more, not -1\n\
         --set: mqtt.maximum_qos: must be at most 2, not 3\n"
    );
    for command in [&["check-config"][..], &["run"], &[]] {
        let arguments = [command, &["--config", file, "--set", "mqtt.maximum_qos=3"]].concat();
        check(&arguments, "", 1, "", &problems);
    }
}

#[test]
fn check_config_reads_the_file_of_users_and_rules() {
    let directory = TempDir::new().unwrap();
    let file = directory.path().join("users.toml");
    let set = format!("auth.file={}", file.display());
    let arguments = ["check-config", "--set", "auth.provider=file", "--set", &set];
    let missing =
        format!("micro-mq: {}: cannot be read: No such file or directory (os error 2)\n", file.display());
    check(&arguments, "", 1, "", &missing);
    fs::write(&file, "[[user]]\nname = \"\"\n").unwrap();
    let malformed = format!("micro-mq: {}: line 2: user name \"\" is empty\n", file.display());
    check(&arguments, "", 1, "", &malformed);
    fs::write(&file, "[[rule]]\npermission = \"allow\"\naction = \"all\"\ntopic = \"#\"\n").unwrap();
    assert!(output(&arguments, "").status.success());
}

#[test]
fn the_environment_reaches_every_key() {
    let output = program_itself(&["check-config"])
        .env("MICRO_MQ__LISTENER__TCP__BIND", "127.0.0.1:x")
        .output()
        .unwrap();
    assert_eq!(
        String::from_utf8(output.stderr).unwrap(),
        "environment variable MICRO_MQ__LISTENER__TCP__BIND: listener.tcp.bind: must be an address and port such as \
         127.0.0.1:1883, not \"127.0.0.1:x\"\n"
    );
    assert_eq!(output.status.code(), Some(1));
}

#[test]
fn passwd_writes_lists_and_deletes_users() {
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("users.toml");
    let file = path.to_str().unwrap();
    check(&["passwd", file, "alice", "--stdin"], "wonder land\n", 0, "", "");
    check(&["passwd", file, "bob", "--stdin"], "builder", 0, "", "");
    check(&["passwd", file, "--list"], "", 0, "alice\nbob\n", "");
    assert!(!fs::read_to_string(&path).unwrap().contains("wonder land"));
    check(&["passwd", file, "alice", "--delete"], "", 0, "", "");
    check(&["passwd", file, "--list"], "", 0, "bob\n", "");
    let gone = output(&["passwd", file, "alice", "--delete"], "");
    assert_eq!(gone.status.code(), Some(1));
    assert!(String::from_utf8(gone.stderr).unwrap().contains("\"alice\""));
}

#[test]
fn passwd_refuses_what_it_cannot_use() {
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("users.toml");
    let file = path.to_str().unwrap();
    assert_eq!(output(&["passwd", file, "alice", "--stdin"], "\n").status.code(), Some(1));
    assert!(!path.exists());
    assert_eq!(output(&["passwd", file], "").status.code(), Some(2));
    assert_eq!(output(&["passwd", file, "alice", "--delete", "--stdin"], "").status.code(), Some(2));
    assert_eq!(output(&["passwd", file, "--list"], "").status.code(), Some(1));
}

// === a running node ===

pub(crate) const FREE_PORTS: &[&str] = &[
    "--set",
    "listener.tcp.bind=127.0.0.1:0",
    "--set",
    "listener.websocket.bind=127.0.0.1:0",
    "--set",
    "admin.bind=127.0.0.1:0",
];

/// A node on free ports, ended with the test.
pub(crate) struct Running {
    child: Child,
    listeners: Vec<(String, String)>,
    /// Closed when the program ends.
    stdout: Receiver<String>,
}

impl Running {
    pub(crate) fn start(arguments: &[&str]) -> Self {
        Self::start_logging(arguments, Stdio::inherit())
    }

    /// Its log goes elsewhere than to the test's.
    pub(crate) fn start_logging(arguments: &[&str], log: Stdio) -> Self {
        let mut command = program_itself(&[FREE_PORTS, arguments].concat());
        command.stderr(log);
        Self::of(command)
    }

    /// A node whose stdout goes elsewhere, so that it cannot say where it listens, and when.
    pub(crate) fn silent(command: &mut Command) -> Self {
        let (_, stdout) = mpsc::channel();
        Self { child: command.spawn().unwrap(), listeners: Vec::new(), stdout }
    }

    /// A node that this command starts, once it is ready.
    pub(crate) fn of(mut command: Command) -> Self {
        let mut child = command.spawn().unwrap();
        let stdout = lines(child.stdout.take().unwrap());
        let mut node = Self { child, listeners: Vec::new(), stdout };
        loop {
            let line = node.stdout.recv_timeout(DEADLINE).expect("the program says that it is ready");
            if line == "ready" {
                return node;
            }
            let (name, url) = line.split_once(": ").expect("NAME: URL");
            node.listeners.push((name.to_owned(), url.to_owned()));
        }
    }

    pub(crate) fn address(&self, name: &str) -> SocketAddr {
        let (_, url) = self.listeners.iter().find(|(listener, _)| listener == name).unwrap();
        url.split("//").nth(1).unwrap().split('/').next().unwrap().parse().unwrap()
    }

    /// The number of its process.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn signal(&self, name: &str) {
        signal(name, self.child.id());
    }

    /// What the admin listener answers. A node that the machine keeps from running says 504, and is asked again.
    pub(crate) fn get(&self, path: &str) -> String {
        let began = Instant::now();
        loop {
            let answer = get(self.address("admin"), path);
            if !answer.starts_with("HTTP/1.1 504 ") {
                return answer;
            }
            assert!(began.elapsed() < DEADLINE, "{path}: {answer}");
        }
    }

    /// A figure of `/metrics` without labels.
    pub(crate) fn metric(&self, name: &str) -> u64 {
        let page = self.get("/metrics");
        let values = || page.lines().filter_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        let value = values().next().unwrap_or_else(|| panic!("no {name} in {page}"));
        value.parse().unwrap_or_else(|error| panic!("{name} {value}: {error}"))
    }

    /// Waits for that: a node may count what it did after a client has seen it.
    #[track_caller]
    pub(crate) fn until_metric(&self, name: &str, wanted: u64) {
        let began = Instant::now();
        loop {
            let seen = self.metric(name);
            if seen == wanted {
                return;
            }
            assert!(began.elapsed() < DEADLINE, "not in time: {name} {wanted}: {seen}");
            thread::yield_now();
        }
    }

    pub(crate) fn exit_code(&mut self) -> Option<i32> {
        assert_eq!(self.stdout.recv_timeout(DEADLINE), Err(RecvTimeoutError::Disconnected));
        let began = Instant::now();
        loop {
            match self.child.try_wait().unwrap() {
                Some(status) => return status.code(),
                None => assert!(began.elapsed() < DEADLINE, "the program does not end"),
            }
            thread::yield_now();
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Fails if it has ended, which is as well.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn lines(stdout: ChildStdout) -> Receiver<String> {
    let (sender, lines) = mpsc::channel();
    thread::spawn(move || {
        for line in BufReader::new(stdout).lines().map_while(Result::ok) {
            if sender.send(line).is_err() {
                return;
            }
        }
    });
    lines
}

fn get(address: SocketAddr, path: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(DEADLINE)).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n").unwrap();
    let mut response = String::new();
    stream.read_to_string(&mut response).unwrap();
    response
}

#[test]
fn a_node_says_where_it_listens_and_answers_there() {
    let mut node = Running::start(&[]);
    let names: Vec<&str> = node.listeners.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["tcp", "websocket", "admin"]);
    assert!(node.listeners[1].1.starts_with("ws://127.0.0.1:") && node.listeners[1].1.ends_with("/mqtt"));
    TcpStream::connect(node.address("tcp")).unwrap();
    let admin = node.address("admin");
    assert!(get(admin, "/health/live").starts_with("HTTP/1.1 200 OK\r\n"));
    assert!(get(admin, "/health/ready").starts_with("HTTP/1.1 200 OK\r\n"));
    assert!(get(admin, "/metrics").contains("text/plain; version=0.0.4"));
    assert!(get(admin, "/api/v1/ledger").starts_with("HTTP/1.1 200 OK\r\n"));
    assert!(get(admin, "/api/v1/clients/nobody").starts_with("HTTP/1.1 404 Not Found\r\n"));
    node.signal("-TERM");
    assert_eq!(node.exit_code(), Some(0));
}

#[test]
fn a_hangup_does_not_end_a_node() {
    let mut node = Running::start(&["--set", "admin.enabled=false"]);
    assert_eq!(node.listeners.len(), 2);
    node.signal("-HUP");
    TcpStream::connect(node.address("tcp")).unwrap();
    node.signal("-INT");
    assert_eq!(node.exit_code(), Some(0));
}

#[test]
fn a_port_in_use_ends_the_start_and_is_named() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let admin = format!("admin.bind={}", taken.local_addr().unwrap());
    let output = output(&["--set", &admin, "--set", "listener.tcp.bind=127.0.0.1:0"], "");
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(
        String::from_utf8(output.stderr).unwrap().lines().last(),
        Some(&*format!(
            "micro-mq: admin.bind: cannot listen on {}: Address already in use (os error 98)",
            taken.local_addr().unwrap()
        ))
    );
}

#[test]
fn all_ports_in_use_are_named_at_once() {
    let taken = [(); 3].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
    let addresses = taken.each_ref().map(|listener| listener.local_addr().unwrap());
    let keys = ["listener.tcp.bind", "listener.websocket.bind", "admin.bind"];
    let settings: Vec<String> =
        keys.iter().zip(addresses).map(|(key, address)| format!("{key}={address}")).collect();
    for admin in [true, false] {
        let enabled = format!("admin.enabled={admin}");
        let settings: Vec<&str> = settings.iter().chain([&enabled]).flat_map(|it| ["--set", it]).collect();
        let output = output(&settings, "");
        assert_eq!(output.status.code(), Some(1));
        let stderr = String::from_utf8(output.stderr).unwrap();
        let lines: Vec<&str> = stderr.lines().filter(|line| line.contains("cannot listen")).collect();
        let expected: Vec<String> = keys
            .iter()
            .zip(addresses)
            .filter(|(key, _)| admin || **key != "admin.bind")
            .map(|(key, at)| {
                format!("micro-mq: {key}: cannot listen on {at}: Address already in use (os error 98)")
            })
            .collect();
        assert_eq!(lines, expected, "{stderr}");
        assert!(stderr.contains("--set KEY=ADDRESS:PORT"), "{stderr}");
    }
}

/// Whatever file it is that cannot be read: the sentence says why.
#[test]
fn a_file_that_cannot_be_read_is_named_with_the_reason() {
    let directory = TempDir::new().unwrap();
    let path = |name: &str| directory.path().join(name).display().to_string();
    let (folder, missing, garbled) = (path("folder"), path("missing"), path("garbled"));
    fs::create_dir(&folder).unwrap();
    fs::write(&garbled, b"\xff\xfe").unwrap();
    let reasons = [
        (&folder, "Is a directory (os error 21)"),
        (&missing, "No such file or directory (os error 2)"),
        (&garbled, "UTF-8"),
    ];
    for (file, reason) in reasons {
        let users = format!("auth.file={file}");
        for arguments in [
            &["check-config", "--config", file][..],
            &["--config", file],
            &["check-config", "--set", "auth.provider=file", "--set", &users],
            &["--set", "auth.provider=file", "--set", &users],
            &["passwd", "--list", file],
            &["passwd", "--delete", file, "ann"],
        ] {
            let output = output(arguments, "");
            assert_eq!(output.status.code(), Some(1), "{arguments:?}");
            let stderr = String::from_utf8(output.stderr).unwrap();
            let last = stderr.lines().last().unwrap_or_default();
            assert!(
                last.contains(file.as_str()) && last.contains("cannot be read"),
                "{arguments:?}: {stderr}"
            );
            assert!(
                last.to_ascii_lowercase().contains(&reason.to_ascii_lowercase()),
                "{arguments:?}: {stderr}"
            );
        }
    }
}

/// Signals that end a process by default and mean nothing to a node.
#[test]
fn signals_that_mean_nothing_end_nothing() {
    let directory = TempDir::new().unwrap();
    let log = directory.path().join("log");
    let mut node = Running::start_logging(&[], Stdio::from(fs::File::create(&log).unwrap()));
    let names =
        "USR1 USR2 PIPE ALRM STKFLT XCPU XFSZ VTALRM PROF IO PWR".split(' ').map(|name| format!("-{name}"));
    for name in names.chain((34..=64).map(|number| format!("-{number}"))) {
        node.signal(&name);
        assert!(get(node.address("admin"), "/health/ready").starts_with("HTTP/1.1 200 OK\r\n"), "{name}");
    }
    node.signal("-TERM");
    assert_eq!(node.exit_code(), Some(0));
    let log = fs::read_to_string(log).unwrap();
    assert!(log.contains("a signal that means nothing to a node signal=\"SIGUSR1\""), "{log}");
}

#[test]
fn an_auth_file_that_is_not_there_ends_the_start() {
    let file = Path::new("no-such-directory/users.toml");
    let file = format!("auth.file={}", file.display());
    let output =
        output(&["--set", "auth.provider=file", "--set", &file, "--set", "admin.bind=127.0.0.1:0"], "");
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8(output.stderr).unwrap().contains("no-such-directory/users.toml"));
}
