//! A node as it is seen from outside: its configuration, its command line, its admin listener.
#![allow(clippy::unwrap_used, reason = "what helpers of a test unwrap is the test's to fail on")]

mod admin;
mod api;
mod auth;
mod between_workers;
mod blocking;
mod cli;
mod client_certificates;
mod cluster_certificates;
mod config;
mod conformance;
mod connect;
mod defaults;
mod fields;
mod harness;
mod idle;
mod keep_alive;
mod keepers;
mod ledger;
mod limits;
mod log_lines;
mod long_changes;
mod messages;
mod open_files;
mod order;
mod properties;
mod retained;
#[path = "../../../auth-actor/tests/it/scram_client.rs"]
mod scram_client;
mod session;
mod shared;
mod shutdown;
mod slow_subscriber;
mod stderr;
mod store;
mod subscriptions;
mod tls;
mod trie_panic;
mod websocket;
mod wills;
mod wire;
