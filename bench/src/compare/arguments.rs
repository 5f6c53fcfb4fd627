//! The command line of `mqtt-bench compare`.

use std::{ffi::OsString, path::PathBuf};

use lexopt::{Arg, ValueExt};

use crate::arguments::ArgumentError;

/// `mqtt-bench compare --help`.
pub(crate) const HELP: &str = "\
Shows results of mqtt-bench side by side, with the quotients to the first of them.

Usage: mqtt-bench compare [OPTION]... FILE...

A file holds what mqtt-bench SCENARIO --json FILE wrote. It may hold several results, one behind the other or in an
array: those of one scenario and shape are rounds, and their median, least and most are shown. A results.json of
scripts/bench.sh counts as a file for each broker in it.

  --broker NAME          of a results.json only this broker; named several times, in this order [all]
  --json                 as JSON instead of a table
  --help

Quotients are those of the medians. Different settings, and loss, duplicates or disorder, are warned of on standard
error. The exit status is 0 if all files could be compared; 2 means a mistaken command line or file.
";

/// What to compare.
#[derive(Debug, Default)]
pub(crate) struct Arguments {
    /// Result files; the others are compared with the first.
    pub(super) files: Vec<PathBuf>,
    /// Which brokers of files that hold several; all without any.
    pub(super) brokers: Vec<String>,
    /// As JSON.
    pub(super) json: bool,
}

/// Reads the command line behind the word `compare`; `None` asks for help.
pub(crate) fn parse(words: impl IntoIterator<Item = OsString>) -> Result<Option<Arguments>, ArgumentError> {
    let mut arguments = Arguments::default();
    let mut parser = lexopt::Parser::from_args(words);
    while let Some(argument) = parser.next()? {
        match argument {
            Arg::Long("help") | Arg::Short('h') => return Ok(None),
            Arg::Long("broker") => arguments.brokers.push(parser.value()?.string()?),
            Arg::Long("json") => arguments.json = true,
            Arg::Value(file) => arguments.files.push(file.into()),
            _ => return Err(argument.unexpected().into()),
        }
    }
    if arguments.files.is_empty() {
        return Err(ArgumentError::Value { option: "FILE", problem: "no result file is named".into() });
    }
    Ok(Some(arguments))
}
