//! What the fuzz targets do with an input. Each is a function that panics when something is wrong, so a test replays
//! the corpora with the same code.

pub mod choices;
pub mod connection;
pub mod decode;
pub mod packets;
pub mod records;
pub mod strings;
pub mod trie;

#[cfg(test)]
mod replay;
