//! The command line of `micro-mq ctl`, made from the operations.

use std::io::{self, Write as _};

use anyhow::Context;
use clap::error::ErrorKind;
use clap::{Arg, ArgAction, ArgMatches, Args, Command, FromArgMatches, value_parser};
use clap_complete::Shell;

use super::operations::{Kind, Operation, Parameter, Place, operations, tags};

/// Words that are commands of `ctl` itself; no tag of the document is called so.
#[cfg(test)]
const OWN: [&str; 4] = ["context", "completions", "health", "watch"];
/// What is meant where only a tag is named.
const DEFAULT_NAMES: [&str; 2] = ["list", "show"];

const EXAMPLES: &str = "\
Examples:
  micro-mq ctl nodes
  micro-mq ctl clients --sort queued --order desc --limit 20
  micro-mq ctl clients show sensor-1
  micro-mq ctl subscriptions --matches sensors/7/temperature --json
  micro-mq ctl sessions --online false --all --json
  micro-mq ctl context add plant --url http://127.0.0.1:18083 && micro-mq ctl context use plant
  micro-mq ctl health
  micro-mq ctl completions bash > /etc/bash_completion.d/micro-mq";

/// What stood behind `micro-mq ctl`.
#[derive(Debug)]
pub(crate) struct CtlArguments(pub(super) ArgMatches);

impl FromArgMatches for CtlArguments {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        Ok(Self(matches.clone()))
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        self.0 = matches.clone();
        Ok(())
    }
}

impl Args for CtlArguments {
    fn augment_args(command: Command) -> Command {
        // Who runs a node does not wait for the document.
        command.defer(augmented)
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

fn augmented(command: Command) -> Command {
    let text = |name: &'static str, value: &'static str, help: &'static str| {
        Arg::new(name).long(name).value_name(value).help(help).global(true)
    };
    command
        .arg_required_else_help(true)
        .subcommand_required(true)
        .after_help(EXAMPLES)
        .arg(
            text("server", "URL", "The admin listener to ask, in place of the context's")
                .conflicts_with("context"),
        )
        .arg(text("context", "NAME", "The context to use, in place of the current one"))
        .arg(text("token", "TOKEN", "The token to show"))
        .arg(
            Arg::new("json")
                .long("json")
                .help("Print the answer as JSON in place of a table")
                .global(true)
                .action(ArgAction::SetTrue),
        )
        .arg(
            text("every", "SECONDS", "Ask again, every so many seconds, until interrupted")
                .value_parser(value_parser!(f64)),
        )
        .subcommands(of_tags())
        .subcommand(super::contexts::described())
        .subcommand(
            Command::new("health").about("Say whether the node is ready; exit code 0, 2 if not, 3 unknown"),
        )
        .subcommand(Command::new("watch").about("Show the nodes every second"))
        .subcommand(
            Command::new("completions")
                .about("Print completions of micro-mq for a shell")
                .arg(Arg::new("shell").required(true).value_parser(value_parser!(Shell))),
        )
}

fn of_tags() -> Vec<Command> {
    let operations = operations();
    let command = |(tag, about): (String, String)| {
        let of_tag = || operations.iter().filter(|operation| operation.tag == tag);
        let mut command = Command::new(tag.clone()).about(about).args_conflicts_with_subcommands(true);
        match of_tag()
            .filter(|operation| is_default(operation))
            .min_by_key(|operation| operation.name.clone())
        {
            Some(default) => command = with_parameters(command, default),
            None => command = command.subcommand_required(true).arg_required_else_help(true),
        }
        command.subcommands(of_tag().map(|operation| {
            with_parameters(Command::new(operation.name.clone()).about(operation.summary.clone()), operation)
        }))
    };
    tags().into_iter().map(command).collect()
}

fn is_default(operation: &Operation) -> bool {
    let needs_a_name = operation.parameters.iter().any(|parameter| parameter.place == Place::Path);
    DEFAULT_NAMES.contains(&operation.name.as_str()) && !needs_a_name
}

fn with_parameters(mut command: Command, operation: &Operation) -> Command {
    for parameter in &operation.parameters {
        command = command.arg(argument(parameter));
    }
    if operation.is_paged {
        let all = Arg::new("all").long("all").help("Ask for all pages").action(ArgAction::SetTrue);
        command = command.arg(all);
    }
    command
}

fn argument(parameter: &Parameter) -> Arg {
    let argument = Arg::new(parameter.name.clone())
        .help(parameter.description.clone())
        .required(parameter.is_required)
        .action(if parameter.is_list { ArgAction::Append } else { ArgAction::Set });
    let argument = match parameter.place {
        Place::Path => return argument.value_name(parameter.name.to_uppercase()),
        Place::Query | Place::Body => argument.long(parameter.name.replace('_', "-")),
    };
    match &parameter.kind {
        Kind::Text => argument.value_name("TEXT"),
        // The server says which numbers it takes.
        Kind::Number => argument.value_name("NUMBER").allow_negative_numbers(true),
        Kind::Flag => argument.value_parser(["true", "false"]),
        Kind::OneOf(words) => argument.value_parser(words.clone()),
    }
}

/// Which operation a command means, and where its parameters stand.
pub(super) fn chosen<'a>(tag: &str, matches: &'a ArgMatches) -> anyhow::Result<(Operation, &'a ArgMatches)> {
    let (name, matches) = match matches.subcommand() {
        Some((name, matches)) => (Some(name), matches),
        None => (None, matches),
    };
    let is_meant = |operation: &Operation| {
        operation.tag == tag && name.map_or_else(|| is_default(operation), |name| operation.name == name)
    };
    // Of two that may be meant `list` comes before `show`.
    let operation = operations().into_iter().filter(is_meant).min_by_key(|operation| operation.name.clone());
    Ok((operation.with_context(|| format!("there is no command {tag}"))?, matches))
}

pub(super) fn completions(matches: &ArgMatches, mut whole: Command) -> anyhow::Result<()> {
    let shell = matches.get_one::<Shell>("shell").copied().context("no shell")?;
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut whole, "micro-mq", &mut script);
    io::stdout().write_all(&script)?;
    Ok(())
}

/// What a flag that is not there means: no such argument was defined for this operation.
pub(super) fn values<'a>(matches: &'a ArgMatches, parameter: &Parameter) -> Vec<&'a String> {
    match matches.try_get_many::<String>(&parameter.name) {
        Ok(values) => values.into_iter().flatten().collect(),
        Err(_) => Vec::new(),
    }
}

/// A sentence for who wrote something that cannot be sent.
pub(super) fn refused(text: String) -> anyhow::Error {
    clap::Error::raw(ErrorKind::ValueValidation, text).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn whole() -> Command {
        CtlArguments::augment_args(Command::new("ctl"))
    }

    /// Whatever the document describes has a command, with all of its parameters.
    #[test]
    fn every_operation_has_a_command() {
        let operations = operations();
        assert!(operations.len() >= 12);
        whole().debug_assert();
        for operation in operations {
            assert!(!OWN.contains(&operation.tag.as_str()), "{}", operation.tag);
            let mut line = vec!["ctl".to_owned(), operation.tag.clone(), operation.name.clone()];
            for parameter in &operation.parameters {
                let value = match &parameter.kind {
                    Kind::Text => "text".to_owned(),
                    Kind::Number => "1".to_owned(),
                    Kind::Flag => "true".to_owned(),
                    Kind::OneOf(words) => words[0].clone(),
                };
                match parameter.place {
                    Place::Path => line.push(value),
                    _ => line.extend([format!("--{}", parameter.name.replace('_', "-")), value]),
                }
            }
            let matches =
                whole().try_get_matches_from(&line).unwrap_or_else(|error| panic!("{line:?}: {error}"));
            let (tag, matches) = matches.subcommand().expect("a tag");
            let (meant, matches) = chosen(tag, matches).expect("an operation");
            assert_eq!(meant.id, operation.id);
            for parameter in &operation.parameters {
                assert_eq!(values(matches, parameter).len(), 1, "{line:?}: {}", parameter.name);
            }
        }
    }

    #[test]
    fn a_tag_alone_lists() {
        let matches =
            whole().try_get_matches_from(["ctl", "clients", "--limit", "3", "--json"]).expect("a line");
        let (tag, matches) = matches.subcommand().expect("a tag");
        assert_eq!(chosen(tag, matches).expect("an operation").0.id, "clients_list");
    }
}
