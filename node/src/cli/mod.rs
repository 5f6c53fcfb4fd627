//! The command line: what can be asked of the program, and its exit code.

mod arguments;
mod auth;
mod auth_server;
mod certificates;
mod cluster;
mod passwd;
mod store;

use std::io::{self, Write};
use std::process::ExitCode;

use auth_actor::ProviderKind;
use auth_service::RpcProvider;
use clap::{CommandFactory as _, Parser};

use self::arguments::{Arguments, Command, ConfigArguments};
use crate::config::{ConfigError, Effective, Sources};
use crate::tls::LiveTls;
use crate::{ctl, logging, registry, run};

/// The exit code of everything that went wrong but the command line itself, for which clap has 2.
const FAILURE: u8 = 1;

/// Does what the command line of this process asks for.
pub fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let done = match arguments.command {
        None => run(&arguments.run),
        Some(Command::Run(arguments)) => run(&arguments),
        Some(Command::CheckConfig(arguments)) => check_config(&arguments),
        Some(Command::Passwd(arguments)) => passwd::passwd(&arguments),
        Some(Command::Store(command)) => store::store(&command).and_then(|text| print(&text)),
        Some(Command::AuthService(arguments)) => auth_server::serve(&arguments),
        Some(Command::Auth(arguments)) => auth::auth(&arguments).and_then(|text| print(&text)),
        Some(Command::Certificates(arguments)) => {
            certificates::certificates(&arguments).and_then(|text| print(&text))
        }
        Some(Command::Ctl(arguments)) => match ctl::run(&arguments, Arguments::command()) {
            Ok(code) => return ExitCode::from(code),
            Err(error) => Err(error),
        },
        Some(Command::Cluster(command)) => cluster::cluster(&command).and_then(|text| print(&text)),
        Some(Command::Version) => print(&format!("{}\n", version())),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            logging::say_last(explained(&error));
            ExitCode::from(FAILURE)
        }
    }
}

fn run(arguments: &ConfigArguments) -> anyhow::Result<()> {
    run::run(&load(arguments)?)
}

/// All that a node reads before it binds a port: the configuration, and the file of users and rules that it names.
fn check_config(arguments: &ConfigArguments) -> anyhow::Result<()> {
    let effective = load(arguments)?;
    let auth = &effective.config().auth;
    if auth.provider == ProviderKind::File
        && let Some(file) = &auth.file
    {
        auth_actor::check_file(file)?;
    }
    if auth.provider == ProviderKind::Rpc {
        RpcProvider::check(auth)?;
    }
    LiveTls::load(effective.config())?;
    registry::options(effective.config())?;
    print(&effective.to_string())
}

fn load(arguments: &ConfigArguments) -> Result<Effective, ConfigError> {
    Sources {
        file: arguments.config.clone(),
        environment: std::env::vars_os().collect(),
        overrides: arguments.set.clone(),
    }
    .load()
}

/// The problems of a configuration speak for themselves; anything else says what was tried, and why it failed.
fn explained(error: &anyhow::Error) -> String {
    if error.is::<ConfigError>() {
        return format!("{error}\n");
    }
    format!("{error:#}").lines().map(|line| format!("micro-mq: {line}\n")).collect()
}

fn version() -> String {
    let version = env!("CARGO_PKG_VERSION");
    let target = format!("{}-{}", std::env::consts::ARCH, std::env::consts::OS);
    // Set by whoever builds a package; a build script that asks git would run again with every commit.
    match option_env!("MICRO_MQ_COMMIT") {
        Some(commit) => format!("micro-mq {version} ({commit}, {target})"),
        None => format!("micro-mq {version} ({target})"),
    }
}

fn print(text: &str) -> anyhow::Result<()> {
    io::stdout().write_all(text.as_bytes())?;
    Ok(())
}
