//! mqtt-bench: a load generator for any MQTT broker that costs less per message than the broker.

mod arguments;
mod compare;
mod engine;
mod exchange;
mod failure;
mod kills;
mod latency;
mod order;
mod process;
mod random;
mod relay;
mod report;
mod runs;
mod scenario;
mod seen;
mod soak;
mod socket;
mod transport;
mod websocket;
mod wire;

use std::{
    env, fs,
    io::{self, Write},
    process::ExitCode,
};

use anyhow::Context;

use crate::arguments::{ArgumentError, Arguments, Order};

fn main() -> ExitCode {
    let mut words = env::args_os().skip(1).peekable();
    let outcome = if words.next_if(|word| word == "relay").is_some() {
        match relay::parse(words) {
            Ok(Some(arguments)) => relay(&arguments),
            Ok(None) => return show(relay::HELP),
            Err(error) => return mistaken(&error),
        }
    } else if words.next_if(|word| word == "soak").is_some() {
        match soak::parse(words) {
            Ok(Some(arguments)) => soak(&arguments),
            Ok(None) => return show(soak::HELP),
            Err(error) => return mistaken(&error),
        }
    } else if words.next_if(|word| word == "kills").is_some() {
        match kills::parse(words) {
            Ok(Some(arguments)) => kill(&arguments),
            Ok(None) => return show(kills::HELP),
            Err(error) => return mistaken(&error),
        }
    } else if words.next_if(|word| word == "compare").is_some() {
        match compare::parse(words) {
            Ok(Some(arguments)) => return compare(&arguments),
            Ok(None) => return show(compare::HELP),
            Err(error) => return mistaken(&error),
        }
    } else {
        match arguments::parse(words) {
            Ok(Order::Run(arguments)) => run(&arguments),
            Ok(Order::Help) => return show(arguments::HELP),
            Ok(Order::Version) => return show(concat!("mqtt-bench ", env!("CARGO_PKG_VERSION"), "\n")),
            Err(error) => return mistaken(&error),
        }
    };
    match outcome {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("mqtt-bench: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn mistaken(error: &ArgumentError) -> ExitCode {
    eprintln!("mqtt-bench: {error}\ntry mqtt-bench --help");
    ExitCode::from(2)
}

/// True if the broker made no mistake.
fn soak(arguments: &soak::Arguments) -> anyhow::Result<bool> {
    socket::raise_open_files().context("cannot raise the limit on open files")?;
    soak::run(arguments).context("the soak cannot go on")
}

/// True if the broker kept its promises.
fn kill(arguments: &kills::Arguments) -> anyhow::Result<bool> {
    socket::raise_open_files().context("cannot raise the limit on open files")?;
    let (report, folder) = kills::run(arguments).context("the kills cannot go on")?;
    show(&report.to_string());
    if let Some(folder) = folder {
        eprintln!("mqtt-bench: what the broker kept and said is in {}", folder.display());
    }
    Ok(report.clean)
}

/// Ends with an error only.
fn relay(arguments: &relay::Arguments) -> anyhow::Result<bool> {
    socket::raise_open_files().context("cannot raise the limit on open files")?;
    relay::run(arguments).context("the relay cannot go on")?;
    Ok(true)
}

/// A file that cannot be compared is a mistake of the command line's.
fn compare(arguments: &compare::Arguments) -> ExitCode {
    match compare::run(arguments) {
        Ok(shown) => {
            shown.warnings.iter().for_each(|warning| eprintln!("mqtt-bench: warning: {warning}"));
            show(&shown.text)
        }
        Err(error) => {
            eprintln!("mqtt-bench: {:#}", anyhow::Error::new(error));
            ExitCode::from(2)
        }
    }
}

/// True if the run was clean.
fn run(arguments: &Arguments) -> anyhow::Result<bool> {
    socket::raise_open_files().context("cannot raise the limit on open files")?;
    let report = runs::run(arguments)?;
    if let Some(file) = &arguments.json {
        let json = serde_json::to_string_pretty(&report).context("cannot encode the result")?;
        fs::write(file, json + "\n").with_context(|| format!("cannot write {}", file.display()))?;
    }
    show(&report.to_string());
    Ok(report.clean)
}

/// A reader of standard output that went away is no failure of the run.
fn show(text: &str) -> ExitCode {
    let _ = io::stdout().write_all(text.as_bytes());
    ExitCode::SUCCESS
}
