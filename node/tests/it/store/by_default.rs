//! What outlives a node that was told nothing of it.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use tempfile::TempDir;

use super::killed::{CLEAN, Client, DURABLE};
use crate::cli::{FREE_PORTS, MEMORY, Running, program};

/// A node in this folder, told where to listen and nothing else.
fn start_in(folder: &Path) -> Running {
    let mut command = program(FREE_PORTS, r#"exec "$0" "$@""#);
    command.env_remove(MEMORY.0).current_dir(folder);
    Running::of(command)
}

/// Started in a folder, killed, and started again in the same folder: what was acknowledged is there.
#[test]
fn a_node_with_its_defaults_outlives_a_kill() {
    let folder = TempDir::new().unwrap();
    let node = start_in(folder.path());
    let (mut subscriber, _) = Client::connect(&node, "subscriber", DURABLE);
    subscriber.subscribe("a/b");
    drop(subscriber);
    Client::connect(&node, "publisher", CLEAN).0.publish("a/b");
    node.signal("-KILL");
    drop(node);
    let node = start_in(folder.path());
    let (mut subscriber, is_there) = Client::connect(&node, "subscriber", DURABLE);
    assert!(is_there);
    assert_eq!(subscriber.receive(), "a/b");
    let data = std::fs::metadata(folder.path().join("data")).unwrap();
    assert_eq!(data.permissions().mode() & 0o777, 0o700, "messages are nobody else's");
}

/// Whoever starts a second one beside it is told what to do.
#[test]
fn a_second_node_in_the_same_folder_is_told_of_the_keys() {
    let folder = TempDir::new().unwrap();
    let node = start_in(folder.path());
    let mut second = program(FREE_PORTS, r#"exec "$0" "$@""#);
    let output = second.env_remove(MEMORY.0).current_dir(folder.path()).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let stderr = String::from_utf8(output.stderr).unwrap();
    for words in [
        "--set store.folder=FOLDER",
        "--set store.backend=memory",
        &format!("./data is in use by the process {}", node.pid()),
    ] {
        assert!(stderr.contains(words), "{words} is missing in {stderr}");
    }
    let beside = TempDir::new().unwrap();
    drop(start_in(beside.path()));
}

/// One where no folder can be made ends with words, and does not go on with nothing to keep sessions in.
#[test]
fn a_folder_that_cannot_be_made_ends_the_start() {
    let folder = TempDir::new().unwrap();
    std::fs::write(folder.path().join("data"), "not a folder").unwrap();
    let mut command = program(FREE_PORTS, r#"exec "$0" "$@""#);
    let output = command.env_remove(MEMORY.0).current_dir(folder.path()).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(stderr.contains("store.folder: cannot be used") && stderr.contains("./data"), "{stderr}");
}
