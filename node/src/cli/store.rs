//! `micro-mq store`: a look into the folder of a node that does not run.

use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::Context;
use micro_mq_actors::store::{Inspection, KeptThere, inspect};

use super::arguments::StoreCommand;

/// How often it is said how far it is.
const PROGRESS_INTERVAL: Duration = Duration::from_secs(1);

/// What there is to say.
///
/// # Errors
/// When the folder cannot be read, is in use, or is refused.
pub(super) fn store(command: &StoreCommand) -> anyhow::Result<String> {
    match command {
        StoreCommand::Inspect(arguments) => Ok(shown(&read(&arguments.folder)?)),
        StoreCommand::Check(arguments) => Ok(found_right(&read(&arguments.folder)?)),
    }
}

fn read(folder: &Path) -> anyhow::Result<Inspection> {
    let mut told = Instant::now();
    let mut progress = |shards: u16, of: u16, so_far: &KeptThere| {
        if told.elapsed() >= PROGRESS_INTERVAL {
            told = Instant::now();
            // Who does not listen to that does not miss it.
            let _ = writeln!(io::stderr(), "{shards} of {of} shards, {} sessions", so_far.sessions);
        }
    };
    inspect(folder, &mut progress).with_context(|| format!("{}: cannot be used", folder.display()))
}

fn log_line(inspection: &Inspection) -> String {
    let log = &inspection.log;
    let end =
        if log.is_torn { ", and what was being written behind it, which the next start cuts" } else { "" };
    format!(
        "format {}, {} files, {} bytes, entries up to {}{end}",
        log.format, log.files, log.bytes, log.last
    )
}

fn shown(inspection: &Inspection) -> String {
    let Inspection { checkpoint_format, applied, shards, all, .. } = inspection;
    let mut text = String::new();
    let mut line = |name: &str, value: String| _ = writeln!(text, "{name:<14} {value}");
    line("log", log_line(inspection));
    line("checkpoint", format!("format {checkpoint_format}, entries up to {applied}"));
    line("sessions", format!("{}, of which {} had a client at last", all.sessions, all.online));
    line("subscriptions", all.subscriptions.to_string());
    line("wills", all.wills.to_string());
    line("waiting", all.waiting.to_string());
    line("retained", all.retained.to_string());
    if !shards.is_empty() {
        let _ = writeln!(
            text,
            "\n{:>5} {:>10} {:>10} {:>13} {:>10} {:>10} {:>10}",
            "shard", "sessions", "online", "subscriptions", "wills", "waiting", "retained"
        );
    }
    for (shard, kept) in shards {
        let KeptThere { sessions, online, subscriptions, wills, waiting, retained } = kept;
        let _ = writeln!(
            text,
            "{shard:>5} {sessions:>10} {online:>10} {subscriptions:>13} {wills:>10} {waiting:>10} {retained:>10}"
        );
    }
    text
}

fn found_right(inspection: &Inspection) -> String {
    let all = &inspection.all;
    format!(
        "nothing is wrong: log of {}; checkpoint of format {}, entries up to {}; {} sessions with {} subscriptions\n",
        log_line(inspection),
        inspection.checkpoint_format,
        inspection.applied,
        all.sessions,
        all.subscriptions
    )
}
