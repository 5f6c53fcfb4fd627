//! The auth actor as its callers see it.

// clippy.toml allows it in tests; helpers beside them are not known to be such.
#![allow(clippy::unwrap_used)]

mod authorization;
mod enhanced;
mod files;
mod harness;
mod passwords;
mod providers;
mod scram_client;
