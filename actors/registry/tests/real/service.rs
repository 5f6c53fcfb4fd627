//! One service as a child process.

use std::fs::File;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

use micro_mq_registry::ServiceAddress;
use tempfile::TempDir;
use tokio::time::Instant;

use crate::PATIENCE;

/// A service of `services.sh`; it ends with its owner.
pub(crate) struct Service {
    name: &'static str,
    ports: Vec<u16>,
    arguments: Vec<String>,
    child: Child,
    pub(crate) folder: TempDir,
}

fn script() -> Command {
    Command::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../scripts/lib/services.sh"))
}

/// Ports that nobody else had a moment ago.
fn free_ports(number: usize) -> Vec<u16> {
    let sockets: Vec<_> = (0..number).map(|_| TcpListener::bind("127.0.0.1:0").expect("a port")).collect();
    sockets.iter().map(|socket| socket.local_addr().expect("bound").port()).collect()
}

impl Service {
    /// An agent of Consul, with further options.
    pub(crate) fn consul(arguments: &[String]) -> Self {
        Self::start("consul", free_ports(3), arguments)
    }

    pub(crate) fn etcd() -> Self {
        Self::start("etcd", free_ports(2), &[])
    }

    fn start(name: &'static str, ports: Vec<u16>, arguments: &[String]) -> Self {
        // What has to be fetched takes its time, once.
        let fetched =
            script().args(["fetch", name]).stdout(Stdio::null()).status().expect("services.sh runs");
        assert!(fetched.success(), "{name} could not be fetched");
        let folder = tempfile::tempdir().expect("a folder");
        let child = spawn(name, &ports, arguments, &folder);
        let service = Self { name, ports, arguments: arguments.to_vec(), child, folder };
        service.until_it_listens();
        service
    }

    fn until_it_listens(&self) {
        let deadline = Instant::now() + PATIENCE;
        while TcpStream::connect(self.socket_address()).is_err() {
            assert!(Instant::now() < deadline, "{} does not listen; {}", self.name, self.said());
            thread::sleep(Duration::from_millis(20));
        }
    }

    fn said(&self) -> String {
        std::fs::read_to_string(log(&self.folder)).unwrap_or_default()
    }

    pub(crate) fn socket_address(&self) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], self.ports[0]))
    }

    pub(crate) fn address(&self) -> ServiceAddress {
        ServiceAddress { is_tls: false, host: "127.0.0.1".to_owned(), port: self.ports[0] }
    }

    /// SIGKILL.
    pub(crate) fn kill(&mut self) {
        self.child.kill().expect("it can be killed");
        self.child.wait().expect("it ended");
    }

    /// Behind [`Service::kill`]: on the same ports, with what the last one left in its folder.
    pub(crate) fn start_again(&mut self) {
        self.child = spawn(self.name, &self.ports, &self.arguments, &self.folder);
        self.until_it_listens();
    }
}

fn log(folder: &TempDir) -> PathBuf {
    folder.path().join("log")
}

fn spawn(name: &str, ports: &[u16], arguments: &[String], folder: &TempDir) -> Child {
    let output = || File::options().create(true).append(true).open(log(folder)).expect("a log");
    script()
        .args(["run", name])
        .arg(folder.path())
        .args(ports.iter().map(u16::to_string))
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(output())
        .stderr(output())
        .spawn()
        .expect("services.sh runs")
}

impl Drop for Service {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
