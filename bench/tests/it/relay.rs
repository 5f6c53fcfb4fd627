//! The relay as its user runs it: all scenarios against it, clean.

use std::{
    io::{BufRead, BufReader},
    process::{Child, Command, Stdio},
};

const BENCH: &str = env!("CARGO_BIN_EXE_mqtt-bench");

struct Relay {
    process: Child,
    address: String,
}

impl Relay {
    fn start(threads: usize, shape: &str) -> Self {
        let mut process = Command::new(BENCH)
            .args(["relay", "--listen", "127.0.0.1:0", "--threads", &threads.to_string(), "--shape"])
            .args(shape.split_whitespace())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the binary was built for this test");
        let mut line = String::new();
        let output = process.stdout.take().expect("it is piped");
        BufReader::new(output).read_line(&mut line).expect("the relay says where it listens");
        let address =
            line.split_whitespace().nth(4).expect("the fifth word").trim_end_matches(',').to_owned();
        Self { process, address }
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[track_caller]
fn clean(threads: usize, line: &str, expected: &str) {
    let relay = Relay::start(threads, line);
    let output = Command::new(BENCH)
        .args(line.split_whitespace())
        .args(["--broker", &relay.address, "--timeout", "2", "--quiet"])
        .output()
        .expect("the binary was built for this test");
    let text = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{line}, {threads} threads: {text}");
    assert!(text.contains(expected), "{line}, {threads} threads: {text}");
}

#[test]
fn every_scenario_runs_against_it() {
    for threads in [1, 3] {
        for (qos, mqtt) in [(0, "5.0"), (1, "3.1.1"), (2, "5.0")] {
            let run = |scenario: &str, expected: &str| {
                let line = format!("{scenario} --qos {qos} --mqtt {mqtt} --messages 100 --warmup 0");
                clean(threads, &line, expected);
            };
            run("pub --publishers 5", "500 published, 0 delivered");
            run("fanin --publishers 20", "2000 published, 2000 delivered");
            run("fanout --subscribers 20", "100 published, 2000 delivered");
            run("pairs --publishers 10", "1000 published, 1000 delivered");
            run("wild --publishers 5 --subscribers 20 --filters 1000", "500 published, 1000 delivered");
            run("shared --publishers 5 --members 4", "500 published, 500 delivered");
            run("paced --publishers 10 --rate 5000", "1000 published, 1000 delivered");
        }
    }
}

#[test]
fn large_payloads_go_through() {
    for qos in 0..=1 {
        let line = format!("fanout --subscribers 10 --payload 65536 --qos {qos} --messages 200 --warmup 0");
        clean(2, &line, "200 published, 2000 delivered");
    }
}

#[test]
fn nothing_of_a_flood_is_delivered() {
    for threads in [1, 2] {
        let line = "slow --publishers 3 --rate 500 --messages 100 --warmup 0 --flood 2";
        clean(threads, line, " 0 received, ");
    }
}

#[test]
fn clients_come_and_go() {
    clean(2, "idle --connections 50 --subscribe --hold 0.05 --burst-bytes 8192 --settle 0.05", "50 in ");
    clean(2, "subscribe --connections 7 --filters 1000 --hold 0.05", "1000 in ");
    clean(2, "churn --clients 5 --qos 1 --messages 20 --warmup 0", "0 lost, 0 duplicated, 0 out of order");
}
