//! Answers for eyes, and for programs.

use std::io::{self, Write};

use comfy_table::{CellAlignment, ContentArrangement, Table, presets};
use serde_json::Value;

use super::operations::Operation;

/// How an answer is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Style {
    Table,
    Json,
}

/// The columns that are worth their room on a screen; of what is not here all are shown. `--json` has them all.
const COLUMNS: [(&str, &[&str]); 6] = [
    (
        "nodes_list",
        &[
            "name",
            "ready",
            "uptime_seconds",
            "connections",
            "sessions",
            "subscriptions",
            "queued",
            "published_per_second",
            "delivered_per_second",
            "dropped",
        ],
    ),
    ("clients_list", SESSION),
    ("sessions_list", SESSION),
    ("subscriptions_list", &["client_identifier", "filter", "qos", "no_local", "identifier", "online"]),
    ("groups_list", &["share", "filter", "members", "members_online", "queued", "queued_bytes"]),
    (
        "actors_list",
        &[
            "worker",
            "kind",
            "live",
            "waiting",
            "handled",
            "restarts",
            "waiting_p99_seconds",
            "handling_p99_seconds",
        ],
    ),
];
const SESSION: &[&str] = &[
    "client_identifier",
    "user_name",
    "protocol_version",
    "online",
    "connected_seconds",
    "subscriptions",
    "queued",
    "delivered",
    "dropped_total",
];

/// Prints an answer.
///
/// # Errors
/// When stdout takes nothing.
pub(super) fn print(operation: &Operation, reply: &Value, style: Style) -> anyhow::Result<()> {
    match style {
        Style::Json => say(&format!("{reply:#}\n")),
        Style::Table => say(&shown(operation, reply)),
    }
}

/// Writes to stdout at once.
pub(super) fn say(text: &str) -> anyhow::Result<()> {
    let mut stdout = io::stdout().lock();
    stdout.write_all(text.as_bytes())?;
    stdout.flush()?;
    Ok(())
}

fn shown(operation: &Operation, reply: &Value) -> String {
    let Some(items) = reply["items"].as_array() else {
        return match reply {
            Value::Null => "done\n".to_owned(),
            Value::Object(_) => format!("{}\n", of_pairs(reply)),
            other => format!("{}\n", cell(other)),
        };
    };
    let columns = columns(operation, items);
    let mut table = empty();
    table.set_header(columns.iter().map(|column| column.replace('_', " ")));
    for item in items {
        table.add_row(columns.iter().map(|column| cell(&item[column])));
    }
    for (at, column) in columns.iter().enumerate() {
        let is_number = items.iter().any(|item| item[column].is_number());
        if let Some(column) = table.column_mut(at).filter(|_| is_number) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    let mut text = match items.is_empty() {
        true => "none\n".to_owned(),
        false => format!("{table}\n"),
    };
    if let Some(next) = reply["next"].as_str() {
        text.push_str(&format!("more: --cursor {next}, or --all\n"));
    }
    let silent: Vec<_> = reply["silent"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    if !silent.is_empty() {
        text.push_str(&format!("did not answer: {}\n", silent.join(", ")));
    }
    text
}

fn empty() -> Table {
    let mut table = Table::new();
    table.load_preset(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled);
    table
}

/// An object, a field a line.
fn of_pairs(object: &Value) -> Table {
    let mut table = empty();
    for (name, value) in object.as_object().into_iter().flatten() {
        table.add_row([name.replace('_', " "), cell(value)]);
    }
    table
}

fn columns(operation: &Operation, items: &[Value]) -> Vec<String> {
    if let Some((_, columns)) = COLUMNS.iter().find(|(id, _)| *id == operation.id) {
        return columns.iter().map(|column| (*column).to_owned()).collect();
    }
    let first = items.first().and_then(Value::as_object);
    first.into_iter().flat_map(|item| item.keys().cloned()).collect()
}

/// One value, without anything by which a name could write elsewhere on the screen.
fn cell(value: &Value) -> String {
    match value {
        Value::Null => "-".to_owned(),
        Value::String(text) => {
            text.chars().map(|letter| if letter.is_control() { '\u{fffd}' } else { letter }).collect()
        }
        Value::Number(number) if number.is_f64() => {
            let number = number.as_f64().unwrap_or_default();
            // Times of actors are far below a second.
            if number != 0.0 && number.abs() < 0.1 { format!("{number:.6}") } else { format!("{number:.1}") }
        }
        Value::Object(fields) => {
            let pairs = fields.iter().filter(|(_, value)| **value != 0);
            let pairs: Vec<_> = pairs.map(|(name, value)| format!("{name}={}", cell(value))).collect();
            if pairs.is_empty() { "-".to_owned() } else { pairs.join(" ") }
        }
        Value::Array(items) => items.iter().map(cell).collect::<Vec<_>>().join(" "),
        other => other.to_string(),
    }
}
