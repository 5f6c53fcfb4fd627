//! Contexts: servers by name, in a file of the user.

use std::collections::BTreeMap;
use std::fs;
use std::io::{ErrorKind, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::PathBuf;

use anyhow::{Context, bail};
use clap::{Arg, ArgMatches, Command};
use serde::{Deserialize, Serialize};

use super::output::say;

/// Where a node listens by default.
const DEFAULT_URL: &str = "http://127.0.0.1:18083";

/// A server, and what to show there.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Named {
    pub(super) url: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) token: Option<String>,
}

/// All contexts.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Contexts {
    current: Option<String>,
    context: BTreeMap<String, Named>,
}

/// `$MICRO_MQ_CTL_FILE`, or `micro-mq/ctl.toml` where users keep their configuration.
fn file() -> Option<PathBuf> {
    let variable = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    variable("MICRO_MQ_CTL_FILE").or_else(|| {
        let folder = variable("XDG_CONFIG_HOME").or_else(|| Some(variable("HOME")?.join(".config")));
        Some(folder?.join("micro-mq/ctl.toml"))
    })
}

impl Contexts {
    /// Those that were written; none if there is no file.
    pub(super) fn read() -> anyhow::Result<Self> {
        let Some(file) = file() else { return Ok(Self::default()) };
        match fs::read_to_string(&file) {
            Ok(text) => toml::from_str(&text).with_context(|| format!("{}: cannot be used", file.display())),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(Self::default()),
            Err(error) => Err(error).with_context(|| format!("{}: cannot be read", file.display())),
        }
    }

    fn write(&self) -> anyhow::Result<()> {
        let file = file().context("there is no place for contexts: HOME is not set")?;
        let write = || {
            if let Some(folder) = file.parent() {
                fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
            }
            // It has tokens, and is there whole or as it was.
            let beside = file.with_extension("new");
            let _ = fs::remove_file(&beside);
            let mut options = fs::OpenOptions::new();
            let mut written = options.write(true).create_new(true).mode(0o600).open(&beside)?;
            written.write_all(toml::to_string(self)?.as_bytes())?;
            written.sync_all()?;
            anyhow::Ok(fs::rename(&beside, &file)?)
        };
        write().with_context(|| format!("{}: cannot be written", file.display()))
    }

    pub(super) fn named(&self, name: &str) -> anyhow::Result<Named> {
        self.context.get(name).cloned().with_context(|| format!("there is no context {name}"))
    }

    /// The one in use; a node on this machine if there is none.
    pub(super) fn current(&self) -> anyhow::Result<Named> {
        match &self.current {
            Some(name) => self.named(name),
            None => Ok(Named { url: DEFAULT_URL.to_owned(), token: None }),
        }
    }
}

/// The commands about contexts.
pub(super) fn described() -> Command {
    let name = || Arg::new("name").required(true).value_name("NAME").help("Its name");
    Command::new("context")
        .about("Servers by name")
        .subcommand_required(true)
        .arg_required_else_help(true)
        .subcommand(Command::new("list").about("List the contexts"))
        .subcommand(
            Command::new("add")
                .about("Add a context, or replace it; --token is kept with it")
                .arg(name())
                .arg(Arg::new("url").long("url").required(true).value_name("URL").help("Its admin listener")),
        )
        .subcommand(Command::new("use").about("Use a context where none is named").arg(name()))
        .subcommand(Command::new("remove").about("Remove a context").arg(name()))
}

/// Does what one of them asks for.
///
/// # Errors
/// When the file cannot be read or written, or there is no such context.
pub(super) fn command(matches: &ArgMatches) -> anyhow::Result<()> {
    let (what, matches) = matches.subcommand().context("no command")?;
    let mut contexts = Contexts::read()?;
    if what == "list" {
        let line = |(name, named): (&String, &Named)| {
            let sign = if contexts.current.as_ref() == Some(name) { "*" } else { " " };
            format!("{sign} {name} {}\n", named.url)
        };
        return say(&contexts.context.iter().map(line).collect::<String>());
    }
    let name = matches.get_one::<String>("name").context("no name")?.clone();
    match what {
        "add" => {
            let url = matches.get_one::<String>("url").context("no URL")?.clone();
            super::exchange::Server::new(&url, None)?;
            let token = matches.get_one::<String>("token").cloned();
            contexts.context.insert(name, Named { url, token });
        }
        "use" => {
            contexts.named(&name)?;
            contexts.current = Some(name);
        }
        "remove" => {
            if contexts.context.remove(&name).is_none() {
                bail!("there is no context {name}");
            }
            contexts.current = contexts.current.filter(|current| *current != name);
        }
        other => bail!("there is no command {other}"),
    }
    contexts.write()
}
