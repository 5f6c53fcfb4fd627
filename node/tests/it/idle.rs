//! A node that has nothing to do sleeps.

use std::collections::HashMap;
use std::ffi::OsString;
use std::fs;
use std::thread::sleep;
use std::time::{Duration, Instant};

use mqtt_codec::ProtocolVersion::V5;

use crate::blocking::BlockingClient;
use crate::cli::Running;
use crate::harness::{DEADLINE, connect};

/// Over so long wake-ups are counted.
const PERIOD: Duration = Duration::from_secs(3);
/// In that time: what is published once in ten seconds, a line of the log, and a few of the allocator's.
const WAKE_UPS_MAX: u64 = 45;

/// How often each thread of a process has slept until now; one may end meanwhile.
fn wake_ups(pid: u32) -> HashMap<OsString, u64> {
    let threads = fs::read_dir(format!("/proc/{pid}/task")).unwrap().flatten();
    let counts = threads.filter_map(|thread| {
        let status = fs::read_to_string(thread.path().join("status")).ok()?;
        let line = status.lines().find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"))?;
        Some((thread.file_name(), line.trim().parse::<u64>().unwrap()))
    });
    counts.collect()
}

/// The fewest wake-ups of a period: one in which something else happened proves nothing.
fn fewest(pid: u32) -> u64 {
    let began = Instant::now();
    let mut fewest = u64::MAX;
    while fewest > WAKE_UPS_MAX && began.elapsed() < DEADLINE {
        let before = wake_ups(pid);
        sleep(PERIOD);
        let since = |(thread, count): (OsString, u64)| count - before.get(&thread).unwrap_or(&0);
        fewest = fewest.min(wake_ups(pid).into_iter().map(since).sum());
    }
    fewest
}

/// Without clients, and with clients that have nothing to say, nothing but what is due wakes a thread.
#[test]
fn hardly_anything_wakes_an_idle_node() {
    let node = Running::start(&["--set", "node.workers=2"]);
    let alone = fewest(node.pid());
    assert!(alone <= WAKE_UPS_MAX, "{alone} wake-ups in {PERIOD:?}");
    let address = node.address("tcp");
    let clients: Vec<_> = (0..20)
        .map(|number| BlockingClient::connect(address, connect(V5, &format!("idle-{number}"))))
        .collect();
    let with_clients = fewest(node.pid());
    assert!(
        with_clients <= WAKE_UPS_MAX,
        "{with_clients} wake-ups in {PERIOD:?} with {} clients",
        clients.len()
    );
}
