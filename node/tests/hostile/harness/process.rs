//! The program under attack: a process of its own, with its folder, its ports and its log.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use tempfile::TempDir;

use super::{DEADLINE, Figures, until};

/// See the module. It is ended when this is dropped, whatever happened.
pub(crate) struct Program {
    child: Child,
    folder: TempDir,
    pub(crate) tcp: SocketAddr,
    pub(crate) websocket: SocketAddr,
    pub(crate) admin: SocketAddr,
}

impl Program {
    /// Starts it with two workers and these settings, `KEY=VALUE` each.
    pub(crate) fn start(settings: &[&str]) -> Self {
        // This process has an end of each network connection too.
        rlimit::increase_nofile_limit(u64::MAX).expect("a limit of open files");
        let folder = tempfile::tempdir().expect("a folder");
        let log = File::create(folder.path().join("log")).expect("a log file");
        // Before other processes of the machine where that is allowed; where it is not, this only says so in the log.
        let mut command = Command::new("nice");
        command.args(["-n", "-10", env!("CARGO_BIN_EXE_micro-mq")]);
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("MICRO_MQ__") {
                command.env_remove(name);
            }
        }
        let own = [
            "listener.tcp.bind=127.0.0.1:0",
            "listener.websocket.bind=127.0.0.1:0",
            "admin.bind=127.0.0.1:0",
            "node.workers=2",
            "mqtt.sys_interval_seconds=0",
            // What is measured is the node's memory, without the last records of a log beside.
            "store.backend=memory",
        ];
        for setting in own.iter().chain(settings) {
            command.args(["--set", setting]);
        }
        command.current_dir(folder.path()).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(log);
        let mut child = command.spawn().expect("the program starts");
        let stdout = child.stdout.take().expect("it is piped");
        let addresses: Vec<SocketAddr> = BufReader::new(stdout)
            .lines()
            .map(|line| line.expect("text"))
            .take_while(|line| line != "ready")
            .map(|line| {
                let authority = line.split("//").nth(1).expect("NAME: URL").split('/').next();
                authority.expect("an address").parse().expect("an address")
            })
            .collect();
        let [tcp, websocket, admin] = addresses[..] else { panic!("it is not ready: {addresses:?}") };
        Self { child, folder, tcp, websocket, admin }
    }

    /// Its process.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Resident memory, in bytes.
    pub(crate) fn resident_bytes(&self) -> usize {
        let status = fs::read_to_string(format!("/proc/{}/status", self.id())).expect("it runs");
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("VmRSS");
        let kilobytes: usize = line.trim().trim_end_matches(" kB").parse().expect("a number");
        kilobytes * 1024
    }

    /// What it answers to `GET path`. A node that the machine keeps from running says 504, and is asked again.
    pub(crate) fn get(&self, path: &str) -> String {
        until(path, || {
            let mut stream = TcpStream::connect(self.admin).expect("the admin listener");
            stream.set_read_timeout(Some(DEADLINE)).expect("a timeout");
            write!(stream, "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
                .expect("sent");
            let mut answer = String::new();
            stream.read_to_string(&mut answer).expect("an answer");
            let (head, body) = answer.split_once("\r\n\r\n").expect("a head");
            if head.starts_with("HTTP/1.1 504") {
                eprintln!("{path}: {answer}");
                return Err(answer);
            }
            assert!(head.starts_with("HTTP/1.1 200"), "{path}: {answer}");
            Ok(body.to_owned())
        })
    }

    pub(crate) fn figures(&self) -> Figures {
        Figures::read(&self.get("/metrics"))
    }

    /// How long its actors' messages wait and take, in seconds.
    pub(crate) fn turns(&self) -> String {
        let page = self.get("/metrics");
        let lines = page.lines().filter(|line| line.starts_with("micro_mq_actor_message_"));
        lines.collect::<Vec<_>>().join("\n")
    }

    /// The ledger, once it adds up.
    pub(crate) fn balanced_ledger(&self) -> serde_json::Value {
        until("the ledger balances", || {
            let ledger: serde_json::Value = serde_json::from_str(&self.get("/api/v1/ledger")).expect("JSON");
            let is_balanced = ledger["balanced"] == true;
            if is_balanced { Ok(ledger) } else { Err(ledger.to_string()) }
        })
    }

    /// Waits until a figure is that: what a client has seen may be counted a moment later.
    #[track_caller]
    pub(crate) fn until_figure(&self, name: &str, wanted: u64) {
        until(name, || {
            let seen = self.figures().get(name);
            if seen == wanted { Ok(()) } else { Err(format!("{seen}, not {wanted}")) }
        });
    }

    /// Waits until a figure has grown by that.
    #[track_caller]
    pub(crate) fn until_grown(&self, before: &Figures, name: &str, wanted: u64) {
        until(name, || {
            let seen = self.figures().grew(before, name);
            if seen == wanted { Ok(()) } else { Err(format!("it grew by {seen}, not {wanted}")) }
        });
    }

    /// Waits until it has no more than these network connections.
    pub(crate) fn until_connections(&self, wanted: u64) {
        until("the others are gone", || {
            let seen = self.figures().get("connections");
            if seen <= wanted { Ok(()) } else { Err(format!("{seen} connections")) }
        });
    }

    fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).expect("a log")
    }

    /// No actor panicked.
    pub(crate) fn assert_unhurt(&self) {
        assert_eq!(self.figures().sum("actor_restarts_total"), 0, "actors were started anew");
        let log = self.log();
        let bad: Vec<&str> =
            log.lines().filter(|line| line.contains("panicked") || line.contains("ERROR")).collect();
        assert!(bad.is_empty(), "the log: {bad:#?}");
    }

    /// Stops it by SIGTERM: it ends within its grace period, with status 0.
    pub(crate) fn stop(mut self) {
        let pid = self.id().to_string();
        let sent = Command::new("kill").args(["-TERM", &pid]).status().expect("kill");
        assert!(sent.success());
        let began = Instant::now();
        let status = until("the program ends", || {
            self.child.try_wait().expect("a child").ok_or_else(|| format!("{:?}", began.elapsed()))
        });
        assert!(status.success(), "{status}\n{}", self.log());
        assert!(!self.log().contains("panicked"), "{}", self.log());
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // Fails if it has ended, which is as well.
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            let log = self.log();
            let last: Vec<&str> = log.lines().rev().take(20).collect();
            eprintln!("the last lines of its log, the newest first: {last:#?}");
        }
    }
}
