//! Result files side by side, as a user compares them.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use serde_json::{Value, json};

use crate::{TinyBroker, bench, stdout};

/// A folder that goes with the test.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("mqtt-bench-{name}-{}", std::process::id()));
        fs::create_dir_all(&path).expect("there is room for temporary files");
        Self(path)
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.0.join(name), text).expect("the folder was made");
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn compare(folder: &Folder, line: &str) -> Output {
    Command::new(env!("CARGO_BIN_EXE_mqtt-bench"))
        .current_dir(&folder.0)
        .arg("compare")
        .args(line.split_whitespace())
        .output()
        .expect("the binary was built for this test")
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// A result with this rate and as many microseconds of CPU as that has thousands.
fn result(rate: u32, payload: u32, lost: u32) -> Value {
    let each = f64::from(rate) / 1000.0;
    json!({
        "scenario": "fanin",
        "broker": "127.0.0.1:1883",
        "shape": {"qos": 1, "payload": payload, "mqtt": "5.0"},
        "load": {
            "messages_per_second": rate,
            "broker": {"cpu": {"us_each": each, "user_us_each": each / 4.0}},
            "generator": {"us_each": 0.5},
            "latency_us": {"p50": 10.0, "p99": 20.0},
        },
        "faults": {"lost": lost, "duplicated": 0, "out_of_order": 0},
        "unacknowledged": 0,
        "notes": [],
        "clean": lost == 0,
    })
}

#[track_caller]
fn refused(folder: &Folder, text: &str, expected: &str) {
    folder.write("bad.json", text);
    let output = compare(folder, "bad.json");
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    assert!(stderr(&output).contains(expected), "{}", stderr(&output));
}

/// What mqtt-bench writes, it reads: no figure that the table names is missing from a result of today.
#[test]
fn results_of_real_runs_are_compared() {
    let folder = Folder::new("real");
    let broker = TinyBroker::start(None);
    let run = |file: &Path, line: &str| {
        let pid = std::process::id();
        let output = bench(&broker, &format!("{line} --pid {pid} --json {}", file.display()));
        assert!(output.status.success(), "{output:?}");
    };
    for (line, figures) in [
        (
            "fanin --publishers 2 --messages 50 --qos 1",
            "rate, user, system, generator CPU, p99, broker memory",
        ),
        ("slow --publishers 2 --rate 1000 --messages 50", "p99 alone, p99 beside, memory growth"),
        ("idle --connections 5 --hold 0.05", "rate, user, generator CPU, memory each"),
        ("connect --connections 5 --rounds 1", "coming, going, user, generator CPU"),
        ("churn --clients 2 --messages 5", "rate, user, generator CPU, p50, p99"),
        ("subscribe --connections 2 --filters 50 --hold 0.05", "rate, user, generator CPU, memory each"),
        ("retain --publishers 2 --topics 50 --hold 0.05", "rate, user, generator CPU, memory each"),
    ] {
        run(&folder.0.join("a.json"), line);
        run(&folder.0.join("b.json"), line);
        let output = compare(&folder, "a.json b.json");
        let text = stdout(&output);
        assert!(output.status.success() && output.stderr.is_empty(), "{line}: {output:?}");
        for figure in figures.split(", ").chain(["lost", "unacknowledged"]) {
            assert!(text.contains(figure), "{line}: {figure} is not in {text}");
        }
    }
}

#[test]
fn rounds_are_shown_as_medians_and_quotients() {
    let folder = Folder::new("rounds");
    folder.write("a.json", &result(1000, 64, 0).to_string());
    let lines = [3000, 1000, 2000].map(|rate| result(rate, 64, 0).to_string());
    folder.write("lines.json", &lines.join("\n"));
    folder.write("array.json", &format!("[{}]", lines.join(",")));
    for file in ["lines.json", "array.json"] {
        let output = compare(&folder, &format!("a.json {file}"));
        let text = stdout(&output);
        assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
        assert!(text.contains(&format!("{file}, 3 rounds")), "{text}");
        assert!(text.contains("2000 (1000 to 3000)  x 2.000"), "{text}");
        assert!(text.contains("0.500 (0.250 to 0.750)  x 2.000"), "{text}");
        assert!(text.contains("1.50 (0.750 to 2.25)  x 2.000"), "{text}");
        let json = compare(&folder, &format!("--json a.json {file}"));
        let json: Value = serde_json::from_slice(&json.stdout).unwrap();
        let rate = &json["scenarios"][0]["figures"][0];
        assert_eq!(rate["figure"], "rate");
        assert_eq!(
            rate["values"][1],
            json!({"median": 2000.0, "least": 1000.0, "most": 3000.0, "quotient": 2.0})
        );
        assert_eq!(json["warnings"], json!([]));
    }
}

#[test]
fn other_settings_and_losses_are_warned_of() {
    let folder = Folder::new("warned");
    folder.write("a.json", &result(1000, 64, 0).to_string());
    folder.write("b.json", &result(1000, 128, 3).to_string());
    let output = compare(&folder, "a.json b.json");
    assert!(output.status.success(), "{output:?}");
    let text = stderr(&output);
    assert!(text.contains("warning: fanin: payload is 128 in b.json, 64 in a.json"), "{text}");
    assert!(text.contains("warning: fanin, b.json: 3 lost, 0 duplicated"), "{text}");
}

#[test]
fn two_shapes_in_one_file_find_their_equals() {
    let folder = Folder::new("shapes");
    folder.write("a.json", &format!("[{}, {}]", result(1000, 64, 0), result(500, 128, 0)));
    folder.write("b.json", &format!("[{}, {}]", result(250, 128, 0), result(3000, 64, 0)));
    let output = compare(&folder, "a.json b.json");
    let text = stdout(&output);
    assert!(output.stderr.is_empty(), "{output:?}");
    assert!(text.contains("x 3.000") && text.contains("x 0.500"), "{text}");
}

#[test]
fn brokers_of_one_file_are_compared() {
    let folder = Folder::new("brokers");
    let run = |broker: &str, rate| json!({"scenario": "fanin-q1", "round": 1, "broker": broker, "clean": true, "result": result(rate, 64, 0)});
    let failed = json!({"scenario": "fanin-q1", "round": 1, "broker": "other", "clean": false, "result": null,
        "problem": "it ended"});
    let runs = json!({"date": "today", "runs": [run("node", 5000), run("mosquitto", 1000), failed]});
    folder.write("results.json", &runs.to_string());
    let output = compare(&folder, "results.json");
    assert!(stdout(&output).contains("x 0.200"), "{}", stdout(&output));
    assert!(stderr(&output).contains("fanin-q1, results.json other: it ended"), "{}", stderr(&output));
    let output = compare(&folder, "--broker mosquitto --broker node results.json");
    let text = stdout(&output);
    assert!(text.starts_with("fanin-q1, ") && text.contains("x 5.000"), "{text}");
    let output = compare(&folder, "--broker nobody results.json");
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("results.json holds no result of nobody"), "{}", stderr(&output));
}

#[test]
fn mistakes_name_file_and_field() {
    let folder = Folder::new("mistakes");
    refused(&folder, "", "bad.json holds no result");
    refused(&folder, "{", "bad.json is no JSON: EOF");
    refused(&folder, "7", "bad.json, result 1: scenario is missing");
    refused(&folder, r#"{"scenario": "soak"}"#, "bad.json, result 1: scenario is unknown: soak");
    refused(&folder, r#"{"scenario": "pub"}"#, "bad.json, result 1: shape is missing");
    let mut bad = result(1000, 64, 0);
    bad["load"]["messages_per_second"] = "fast".into();
    let two = format!("{}{bad}", result(1000, 64, 0));
    refused(&folder, &two, r#"bad.json, result 2: load.messages_per_second is no number but "fast""#);
    let mut bad = result(1000, 64, 0);
    bad["faults"]["lost"] = Value::Null;
    refused(&folder, &bad.to_string(), "bad.json, result 1: faults.lost is missing");
    let mut bad = result(1000, 64, 0);
    bad["load"] = Value::Null;
    refused(&folder, &bad.to_string(), "bad.json, result 1: load is missing");

    let output = compare(&folder, "nowhere.json");
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("cannot read nowhere.json: No such file"), "{}", stderr(&output));
    let output = compare(&folder, "");
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("FILE: no result file is named"), "{}", stderr(&output));
}
