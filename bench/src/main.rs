//! mqtt-bench: a load generator for any MQTT broker that costs less per message than the broker.

mod arguments;
mod engine;
mod failure;
mod latency;
mod order;
mod process;
mod report;
mod scenario;
mod socket;
mod wire;

use std::{
    env, fs,
    io::{self, Write},
    process::ExitCode,
};

use anyhow::Context;

use crate::arguments::{Arguments, Order};

fn main() -> ExitCode {
    let arguments = match arguments::parse(env::args_os().skip(1)) {
        Ok(Order::Run(arguments)) => arguments,
        Ok(Order::Help) => return show(arguments::HELP),
        Ok(Order::Version) => return show(concat!("mqtt-bench ", env!("CARGO_PKG_VERSION"), "\n")),
        Err(error) => {
            eprintln!("mqtt-bench: {error}\ntry mqtt-bench --help");
            return ExitCode::from(2);
        }
    };
    match run(&arguments) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("mqtt-bench: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// True if the run was clean.
fn run(arguments: &Arguments) -> anyhow::Result<bool> {
    socket::raise_open_files().context("cannot raise the limit on open files")?;
    let report = arguments.scenario.run(arguments)?;
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
