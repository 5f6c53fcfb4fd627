//! `micro-mq store inspect` and `check`.

use std::fs;

use tempfile::TempDir;

use super::killed::{Client, DURABLE, start};
use crate::cli::output;

fn store(command: &str, folder: &std::path::Path) -> (Option<i32>, String, String) {
    let output = output(&["store", command, folder.to_str().unwrap()], "");
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

/// What a stopped node keeps, behind an orderly end and behind a kill, shard by shard; nothing is changed by that.
#[test]
fn what_is_kept_is_shown() {
    let folder = TempDir::new().unwrap();
    let folder = folder.path().join("data");
    let mut node = start(&folder, &[]);
    for number in 0..3_u8 {
        let (mut client, _) = Client::connect(&node, &format!("client-{number}"), DURABLE);
        (0..=number).for_each(|filter| client.subscribe(&format!("a/{filter}")));
    }
    node.signal("-TERM");
    assert_eq!(node.exit_code(), Some(0));
    let lines = |shown: &str| -> Vec<String> {
        let words = shown.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "));
        words.collect()
    };
    let (code, shown, _) = store("inspect", &folder);
    assert_eq!(code, Some(0));
    let shown = lines(&shown);
    assert!(shown[0].starts_with("log format 1, "), "{shown:?}");
    assert!(shown[1].starts_with("checkpoint format 1, entries up to "), "{shown:?}");
    assert_eq!(shown[2..5], ["sessions 3, of which 0 had a client at last", "subscriptions 6", "wills 0"]);
    let shards = shown.iter().skip_while(|line| !line.starts_with("shard ")).skip(1);
    let sessions = shards.map(|line| line.split(' ').nth(1).unwrap().parse::<u32>().unwrap());
    assert_eq!(sessions.sum::<u32>(), 3);

    // The log has what the checkpoint has not, and who was there.
    let node = start(&folder, &[]);
    let (mut client, _) = Client::connect(&node, "client-0", DURABLE);
    client.subscribe("another");
    node.signal("-KILL");
    drop(node);
    for _ in 0..2 {
        let (code, shown, _) = store("inspect", &folder);
        assert_eq!(code, Some(0));
        let shown = lines(&shown);
        assert_eq!(shown[2..4], ["sessions 3, of which 1 had a client at last", "subscriptions 7"]);
        let (code, said, _) = store("check", &folder);
        assert_eq!(code, Some(0));
        assert!(said.starts_with("nothing is wrong: log of format 1, "), "{said}");
        assert!(said.ends_with("; 3 sessions with 7 subscriptions\n"), "{said}");
    }
    let node = start(&folder, &[]);
    assert!(Client::connect(&node, "client-0", DURABLE).1);
}

/// A folder that is none, one that is in use, and one that is damaged.
#[test]
fn what_cannot_be_read_is_named() {
    let folder = TempDir::new().unwrap();
    let (folder, none) = (folder.path().join("data"), folder.path().join("none"));
    let refused = |folder: &std::path::Path, words: &str| {
        for command in ["inspect", "check"] {
            let (code, said, why) = store(command, folder);
            assert_eq!((code, said.as_str()), (Some(1), ""), "{why}");
            let begin = format!("micro-mq: {}: cannot be used: ", folder.display());
            assert!(why.starts_with(&begin) && why.contains(words), "{why}");
        }
    };
    refused(&none, "holds no session store");
    assert!(!none.exists());
    let node = start(&folder, &[]);
    refused(&folder, &format!("is in use by the process {}", node.pid()));
    let (mut client, _) = Client::connect(&node, "client", DURABLE);
    (0..5).for_each(|number| client.subscribe(&format!("a/{number}")));
    node.signal("-KILL");
    drop(node);
    let log = folder.join("log-0000000000000001");
    let whole = fs::read(&log).unwrap();
    let mut damaged = whole.clone();
    damaged[4096 + 60] ^= 1;
    fs::write(&log, damaged).unwrap();
    refused(&folder, &format!("{} is damaged at byte 4096", log.display()));
    fs::write(&log, whole).unwrap();
    assert_eq!(store("check", &folder).0, Some(0));
}
