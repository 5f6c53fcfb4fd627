//! The committed corpora, run once by a plain `cargo test`.

use std::{fs, path::Path};

use mqtt_codec::ProtocolVersion;

/// Runs every input of a corpus.
fn replay(target: &str, run: impl Fn(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(target);
    let mut inputs = 0;
    for entry in fs::read_dir(&folder).expect("the corpus is committed") {
        let file = entry.expect("the corpus can be listed").path();
        println!("{}", file.display());
        run(&fs::read(&file).expect("the input can be read"));
        inputs += 1;
    }
    assert!(inputs > 10, "the corpus of {target} has {inputs} inputs");
}

#[test]
fn decode_v31() {
    replay("decode_v31", |input| crate::decode::run(ProtocolVersion::V31, input));
}

#[test]
fn decode_v311() {
    replay("decode_v311", |input| crate::decode::run(ProtocolVersion::V311, input));
}

#[test]
fn decode_v5() {
    replay("decode_v5", |input| crate::decode::run(ProtocolVersion::V5, input));
}

#[test]
fn trie() {
    replay("trie", crate::trie::run);
}

#[test]
fn records() {
    replay("records", crate::records::run);
}

#[test]
fn connection() {
    replay("connection", crate::connection::run);
}
