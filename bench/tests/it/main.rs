//! The generator as its user runs it, against a tiny broker that makes mistakes on demand.

mod broker;
mod compare;
mod front;
mod relay;

use std::{
    net::SocketAddr,
    process::{Command, Output},
};

use broker::{Fault, TinyBroker};

fn bench(broker: &TinyBroker, line: &str) -> Output {
    bench_at(broker.address(), line, "1")
}

/// With the seconds that it waits for what does not come.
fn bench_at(address: SocketAddr, line: &str, timeout: &str) -> Output {
    Command::new(env!("CARGO_BIN_EXE_mqtt-bench"))
        .args(line.split_whitespace())
        .args(["--broker", &address.to_string(), "--timeout", timeout, "--quiet"])
        .output()
        .expect("the binary was built for this test")
}

fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[track_caller]
fn clean_at(address: SocketAddr, line: &str, expected: &str) {
    // All of it comes, if late on a busy machine.
    let output = bench_at(address, line, "30");
    let text = stdout(&output);
    assert!(output.status.success(), "{line}: {text}{}", String::from_utf8_lossy(&output.stderr));
    assert!(text.contains(expected), "{line}: {text}");
}

#[track_caller]
fn clean(line: &str, expected: &str) {
    let broker = TinyBroker::start(None);
    clean_at(broker.address(), line, expected);
}

#[track_caller]
fn caught(fault: Fault, line: &str, expected: &str) {
    let broker = TinyBroker::start(Some(fault));
    let output = bench(&broker, line);
    let text = stdout(&output) + &String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{line}: {text}");
    assert!(text.contains(expected), "{line}: {text}");
}

#[test]
fn every_message_is_counted() {
    for mqtt in ["3.1.1", "5.0"] {
        for qos in 0..=2 {
            let shape = format!("--mqtt {mqtt} --qos {qos} --messages 50 --warmup 0.2");
            clean(&format!("fanin --publishers 5 {shape}"), "200 published, 200 delivered");
            clean(&format!("fanout --subscribers 5 {shape}"), "40 published, 200 delivered");
            clean(&format!("pairs --publishers 5 {shape}"), "200 published, 200 delivered");
            clean(&format!("pub --publishers 2 {shape}"), "80 published, 0 delivered");
            let wild = "wild --publishers 2 --subscribers 5 --filters 40 --per-packet 3";
            clean(&format!("{wild} {shape}"), "80 published, 160 delivered");
            clean(&format!("shared --publishers 2 --members 3 {shape}"), "80 published, 80 delivered");
        }
    }
}

#[test]
fn large_payloads_arrive_in_pieces() {
    let clean_check = "0 lost, 0 duplicated, 0 out of order";
    clean("pairs --publishers 2 --payload 300000 --messages 20 --qos 1", clean_check);
}

#[test]
fn a_window_holds_and_a_pace_is_kept() {
    clean("pairs --publishers 2 --qos 2 --window 1 --messages 20", "0 lost, 0 duplicated, 0 out of order");
    for scenario in ["pairs", "paced"] {
        let line = format!("{scenario} --publishers 2 --rate 1000 --messages 50 --warmup 0");
        clean(&line, "100 published, 100 delivered in 0.1");
    }
}

#[test]
fn faults_of_the_broker_are_seen() {
    let line = "fanin --publishers 1 --messages 20 --warmup 0";
    caught(Fault::Lose(7), line, "1 lost, 0 duplicated, 0 out of order");
    caught(Fault::Lose(19), line, "gave up after 1 s without a delivery or an acknowledgement");
    caught(Fault::Repeat(7), line, "0 lost, 1 duplicated, 0 out of order");
    caught(Fault::Swap(7), line, "0 lost, 0 duplicated, 1 out of order");
}

#[test]
fn faults_are_seen_where_subscribers_divide_the_messages() {
    let line = "shared --publishers 1 --members 3 --messages 20 --warmup 0";
    caught(Fault::Lose(7), line, "1 lost, 0 duplicated, 0 out of order");
    caught(Fault::Repeat(7), line, "0 lost, 1 duplicated, 0 out of order");
    let alone = "shared --publishers 1 --members 1 --messages 20 --warmup 0";
    caught(Fault::Swap(7), alone, "0 lost, 0 duplicated, 1 out of order");
    let line = "wild --publishers 1 --subscribers 2 --filters 4 --messages 20 --warmup 0";
    caught(Fault::Lose(7), line, "2 lost, 0 duplicated, 0 out of order");
    caught(Fault::Repeat(7), line, "0 lost, 2 duplicated, 0 out of order");
    caught(Fault::Swap(7), line, "0 lost, 0 duplicated, 2 out of order");
}

#[test]
fn refusals_are_sentences() {
    let line = "pub --messages 5";
    caught(Fault::Refuse(5), line, "the broker refused the connection of bench");
    caught(Fault::Refuse(5), line, "0x05 (not authorized)");
    caught(Fault::Close(3), "pub --messages 5 --qos 1", "while in use");
    caught(Fault::Mute, line, "nothing happened for 1 s while connecting: 0 of 1 done");
}

#[test]
fn idle_connections_are_held() {
    clean("idle --connections 50 --subscribe --hold 0.05", "50 in ");
}

#[test]
fn connections_come_and_go() {
    clean("connect --connections 40 --rounds 2 --handshakes 7", "40 in each of 2 rounds, 7 at once");
    clean("connect --connections 10 --rounds 1 --subscribe --mqtt 5.0", "10 in each of 1 rounds");
    for qos in 0..=2 {
        let line = format!("churn --clients 4 --messages 10 --qos {qos}");
        clean(&line, "32 of 4 clients in ");
        clean(&line, "0 lost, 0 duplicated, 0 out of order");
    }
    let line = "churn --clients 1 --messages 10 --warmup 0";
    caught(Fault::Lose(7), line, "1 lost, 0 duplicated, 0 out of order");
    caught(Fault::Mute, "connect --connections 1", "while connecting: 0 of 1 done");
}

#[test]
fn connections_come_from_the_named_sources() {
    let broker = TinyBroker::start(None);
    let output =
        bench(&broker, "pairs --publishers 3 --messages 10 --source 127.0.0.7 --source 127.0.0.8 --warmup 0");
    assert!(output.status.success(), "{output:?}");
    let expected = [7, 8].map(|last| std::net::IpAddr::from([127, 0, 0, last]));
    assert_eq!(broker.sources(), expected);
}

/// Small and large messages, and connections that come and go.
#[track_caller]
fn carries(address: SocketAddr, options: &str, name: &str) {
    let pairs = format!("pairs --publishers 3 --qos 2 --messages 50 {options}");
    clean_at(address, &pairs, &format!(", MQTT 3.1.1 over {name}, QoS 2"));
    clean_at(address, &pairs, "120 published, 120 delivered");
    clean_at(address, &format!("fanin --publishers 2 --payload 70000 --messages 10 {options}"), "0 lost");
    clean_at(address, &format!("churn --clients 3 --messages 5 {options}"), "12 of 3 clients");
    clean_at(address, &format!("connect --connections 9 --rounds 2 {options}"), "9 in each of 2 rounds");
}

#[test]
fn mqtt_goes_over_tls() {
    let broker = TinyBroker::start(None);
    let address = front::tls(broker.address());
    let certificate = front::certificate();
    carries(address, &format!("--tls --ca {}", certificate.display()), "tls");
    clean_at(address, "pub --messages 10 --tls --insecure", "8 published");
}

#[test]
fn a_certificate_of_nobody_is_refused() {
    let address = front::tls(TinyBroker::start(None).address());
    let other = std::env::temp_dir().join(format!("mqtt-bench-ca-{}.pem", std::process::id()));
    std::fs::write(&other, "").unwrap();
    let output = bench_at(address, &format!("pub --messages 10 --tls --ca {}", other.display()), "1");
    std::fs::remove_file(&other).unwrap();
    let text = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(text.contains("failed while shaking hands: invalid peer certificate"), "{text}");
}

#[test]
fn mqtt_goes_over_websocket() {
    let broker = TinyBroker::start(None);
    let address = front::websocket(broker.address(), "/mqtt");
    carries(address, "--websocket", "ws");
    let refused = bench_at(address, "pub --messages 10 --websocket --path /other", "1");
    let text = String::from_utf8_lossy(&refused.stderr);
    assert!(text.contains("websocket refused: HTTP/1.1 404 Not Found"), "{text}");
    carries(front::tls(address), "--websocket --path /mqtt --tls --insecure", "wss");
}

#[test]
fn idle_connections_are_stirred_up_once() {
    let line = "idle --connections 50 --hold 0.05 --burst-bytes 8192 --settle 0.05";
    clean(&format!("{line} --subscribe"), "8192 B from each connection, handled in");
    clean(line, "8192 B from each connection, handled in");
    caught(Fault::Lose(3), &format!("{line} --subscribe"), "1 lost, 0 duplicated");
}

#[test]
fn subscriptions_are_counted() {
    let line = "subscribe --connections 7 --filters 1000 --per-packet 30 --hold 0.05 --qos 1";
    clean(&format!("{line} --mqtt 5.0"), "1000 in ");
    clean(line, "1000 in ");
}

#[test]
fn retained_messages_are_looked_for_and_taken_back() {
    for shape in ["--qos 1 --mqtt 5.0", "--qos 0"] {
        let broker = TinyBroker::start(None);
        let line = format!("retain --publishers 3 --topics 300 --hold 0.05 {shape}");
        let text = stdout(&bench(&broker, &line));
        assert!(text.contains("300 in ") && text.contains("0 lost"), "{text}");
        assert_eq!(broker.retained(), 0);
        let text = stdout(&bench(&broker, &format!("{line} --keep")));
        assert!(text.contains("300 in ") && text.contains("0 lost"), "{text}");
        assert_eq!(broker.retained(), 300);
    }
    let line = "retain --publishers 1 --topics 30 --hold 0.05";
    caught(Fault::Lose(7), line, "1 of the retained messages that were looked for were not there");
}

#[test]
fn threads_are_one_run() {
    for qos in 0..=2 {
        let shape = format!("--qos {qos} --messages 50 --warmup 0.2 --threads 3 --outstanding 40");
        clean(&format!("fanin --publishers 5 {shape}"), "200 published, 200 delivered");
        clean(&format!("fanout --subscribers 5 {shape}"), "40 published, 200 delivered");
        clean(&format!("pairs --publishers 5 {shape}"), "200 published, 200 delivered");
        clean(&format!("pub --publishers 2 {shape}"), "80 published, 0 delivered");
    }
    clean("paced --publishers 3 --rate 1000 --messages 50 --warmup 0 --threads 2", "150 published, 150");
    clean("churn --clients 5 --messages 10 --threads 2", "40 of 5 clients in ");
    clean("connect --connections 40 --rounds 2 --threads 3", "40 in each of 2 rounds");
    clean("subscribe --connections 7 --filters 500 --hold 0.05 --threads 2", "500 in ");
    clean("retain --publishers 3 --topics 300 --hold 0.05 --threads 2", "300 in ");
}

#[test]
fn faults_are_seen_across_threads() {
    let line = "fanout --subscribers 3 --messages 20 --warmup 0 --threads 3";
    caught(Fault::Lose(7), line, "3 lost, 0 duplicated, 0 out of order");
    caught(Fault::Repeat(7), line, "0 lost, 3 duplicated, 0 out of order");
    caught(Fault::Lose(19), line, "gave up after 1 s without a delivery or an acknowledgement");
    caught(Fault::Close(3), "pub --publishers 2 --messages 9 --qos 1 --threads 2", "while in use");
}

#[test]
fn a_flood_goes_to_subscribers_that_read_as_much_as_they_may() {
    let file = std::env::temp_dir().join(format!("mqtt-bench-flood-{}.json", std::process::id()));
    for threads in [1, 2] {
        let line = format!(
            "slow --publishers 2 --rate 500 --messages 100 --flood 2 --read-rate 1000000000 --threads {threads} \
             --json {}",
            file.display()
        );
        clean(&line, "reading slowly  1, 0 closed by the broker");
        let text = std::fs::read_to_string(&file).unwrap();
        let json: serde_json::Value = serde_json::from_str(&text).unwrap();
        let flood = &json["slow"]["flood"];
        let number = |name: &str| flood[name].as_u64().unwrap();
        assert!(number("published") > 0 && number("received") > 0, "{text}");
        assert_eq!(number("published"), number("received") + number("not_delivered"), "{text}");
        assert!(flood["rate_ratio"].as_f64().unwrap() > 0.0, "{text}");
    }
    std::fs::remove_file(&file).unwrap();
}

#[test]
fn progress_is_of_all_threads() {
    let broker = TinyBroker::start(None);
    let run = |line: &str| {
        let output = Command::new(env!("CARGO_BIN_EXE_mqtt-bench"))
            .args(line.split_whitespace())
            .args(["--broker", &broker.address().to_string()])
            .output()
            .expect("the binary was built for this test");
        assert!(output.status.success(), "{output:?}");
        String::from_utf8_lossy(&output.stderr).into_owned()
    };
    for threads in [1, 4] {
        let line = format!("paced --publishers 4 --rate 1000 --messages 250 --warmup 0 --threads {threads}");
        let text = run(&format!("{line} --progress 0.1"));
        let published: Vec<u32> = text
            .lines()
            .filter_map(|line| line.split_once("measured, ")?.1.split_once(" published")?.0.parse().ok())
            .collect();
        assert!(published.is_sorted(), "{text}");
        // One of four threads publishes 250 of the 1,000 messages.
        assert!(published.last().is_some_and(|&last| last > 250), "{text}");
        assert_eq!(run(&format!("{line} --progress 0.1 --quiet")), "");
        assert_eq!(run(&line), "", "standard error is no terminal");
    }
    assert!(
        run("churn --clients 2 --seconds 1 --threads 2 --progress 0.1")
            .contains(" connections came and went")
    );
}

#[test]
fn the_result_file_is_json() {
    let file = std::env::temp_dir().join(format!("mqtt-bench-{}.json", std::process::id()));
    let pid = std::process::id();
    clean(
        &format!("slow --publishers 2 --rate 1000 --messages 100 --pid {pid} --json {}", file.display()),
        "1, 0 closed by the broker",
    );
    let text = std::fs::read_to_string(&file).unwrap();
    std::fs::remove_file(&file).unwrap();
    let json: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(json["scenario"], "slow");
    assert_eq!(json["clean"], true);
    assert!(json["slow"]["resident_growth"].is_u64(), "{text}");
    assert!(json["slow"]["beside_us"]["p99"].as_f64().unwrap() > 0.0, "{text}");
}
