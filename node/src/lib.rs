//! The process of a Micro MQ node: configuration, command line, signals, log and admin listener around the actors.
//!
//! It is the only crate that reads files, environment and command line, and that speaks HTTP.

pub mod admin;
mod certificates;
pub mod cli;
mod cluster;
pub mod config;
mod console;
mod ctl;
mod figures;
mod logging;
mod open_files;
mod registry;
mod run;
mod signals;
pub mod tls;
