//! The auth actor as its callers see it.

// clippy.toml allows it in tests; helpers beside them are not known to be such.
#![allow(clippy::unwrap_used)]

mod asking;
mod authorization;
mod enhanced;
mod files;
mod harness;
mod passwords;
mod providers;
mod reload;
mod scram_client;
mod scripted;
