//! The pure parts of a topic trie: what matches a topic name, which workers have such a thing, and shared groups.

mod charges;
mod directory;
mod groups;
mod route;
mod trie;
