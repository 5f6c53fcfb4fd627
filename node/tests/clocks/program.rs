//! The program as a process of its own, with its folder, its ports and its log.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use super::DEADLINE;

/// Its time to a complete CONNECT.
pub(crate) const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);

/// See the module. It is ended when this is dropped, whatever happened.
pub(crate) struct Program {
    child: Child,
    folder: TempDir,
    pub(crate) tcp: SocketAddr,
    pub(crate) websocket: SocketAddr,
}

impl Program {
    /// Starts it with two workers.
    pub(crate) fn start() -> Self {
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
        for setting in [
            "listener.tcp.bind=127.0.0.1:0",
            "listener.websocket.bind=127.0.0.1:0",
            "admin.bind=127.0.0.1:0",
            "node.workers=2",
            &format!("node.connect_timeout_ms={}", CONNECT_TIMEOUT.as_millis()),
        ] {
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
        let [tcp, websocket, _] = addresses[..] else { panic!("it is not ready: {addresses:?}") };
        Self { child, folder, tcp, websocket }
    }

    /// How long each of its threads was ready to run so far without getting a processor, as far as the kernel tells.
    pub(crate) fn run_delays(&self) -> BTreeMap<OsString, Duration> {
        let tasks = fs::read_dir(format!("/proc/{}/task", self.child.id())).expect("it runs");
        tasks
            .filter_map(|task| {
                let task = task.ok()?;
                let figures = fs::read_to_string(task.path().join("schedstat")).ok()?;
                let nanoseconds = figures.split_whitespace().nth(1)?.parse().ok()?;
                Some((task.file_name(), Duration::from_nanos(nanoseconds)))
            })
            .collect()
    }

    fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).expect("a log")
    }

    /// Stops it by SIGTERM: it ends within its grace period, with status 0, and nothing panicked.
    pub(crate) fn stop(mut self) {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &pid]).status().expect("kill").success());
        let began = Instant::now();
        let status = loop {
            if let Some(status) = self.child.try_wait().expect("a child") {
                break status;
            }
            assert!(began.elapsed() < DEADLINE, "it does not end");
            std::thread::sleep(Duration::from_millis(20));
        };
        assert!(status.success(), "{status}\n{}", self.log());
        assert!(!self.log().contains("panicked"), "{}", self.log());
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // Fails if it has ended, which is as well.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Sets this thread before other processes of the machine, where that is allowed.
pub(crate) fn renice() {
    let own = fs::read_link("/proc/thread-self").expect("a thread");
    let own = own.file_name().expect("PID/task/TID").to_string_lossy().into_owned();
    let _ = Command::new("renice").args(["-n", "-10", "-p", &own]).output();
}
