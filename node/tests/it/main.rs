//! A node as it is seen from outside: its configuration, its command line, its admin listener.
#![allow(clippy::unwrap_used, reason = "what helpers of a test unwrap is the test's to fail on")]

mod admin;
mod cli;
mod config;
mod connect;
mod defaults;
mod fields;
mod harness;
mod keep_alive;
mod ledger;
mod messages;
mod properties;
mod retained;
mod session;
mod shared;
mod store;
mod subscriptions;
mod trie_panic;
mod wills;
