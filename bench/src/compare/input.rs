//! Result files, read and checked: whose results they hold, and of which scenarios.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use serde_json::{Deserializer, Map, Value};

use super::figures::{COUNTS, SETTINGS, figures};
use crate::scenario::Scenario;

/// A file cannot be compared.
#[derive(Debug, thiserror::Error)]
pub(crate) enum InputError {
    /// It cannot be read.
    #[error("cannot read {}", file.display())]
    Read {
        /// The file.
        file: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// It is no JSON.
    #[error("{} is no JSON", file.display())]
    Syntax {
        /// The file.
        file: PathBuf,
        /// Why.
        #[source]
        source: serde_json::Error,
    },
    /// A result is not what mqtt-bench writes.
    #[error("{}, result {number}: {field} {problem}", file.display())]
    Field {
        /// The file.
        file: PathBuf,
        /// Which of its results, from 1.
        number: usize,
        /// The field.
        field: String,
        /// What is wrong with it.
        problem: String,
    },
    /// It holds nothing to compare.
    #[error("{} holds no result{of}", file.display())]
    Empty {
        /// The file.
        file: PathBuf,
        /// Of which brokers, if that was asked for.
        of: String,
    },
}

/// What is wrong with a field.
pub(super) struct Mistake {
    pub(super) field: String,
    pub(super) problem: String,
}

impl Mistake {
    fn new(field: &str, problem: impl Into<String>) -> Self {
        Self { field: field.into(), problem: problem.into() }
    }

    fn missing(field: &str) -> Self {
        Self::new(field, "is missing")
    }
}

/// A result file, or a broker's part of one.
#[derive(Debug)]
pub(super) struct Source {
    /// The file, and the broker where there are several.
    pub name: String,
    /// In the order of the file.
    pub runs: Vec<Run>,
}

/// One run.
#[derive(Debug)]
pub(super) struct Run {
    /// The name of the scenario, or what scripts/bench.sh calls it.
    pub label: String,
    pub outcome: Outcome,
}

/// What came of a run.
#[derive(Debug)]
pub(super) enum Outcome {
    /// A result.
    Done {
        scenario: Scenario,
        /// What has to be equal for figures to be comparable.
        settings: Map<String, Value>,
        /// Those of the scenario in their order, as far as there are any.
        figures: Vec<Option<f64>>,
        /// Lost, duplicated, out of order, unacknowledged.
        counts: [u64; 4],
        /// As mqtt-bench judged it.
        clean: bool,
    },
    /// None, and why.
    Failed(String),
}

/// Reads all that a file holds, of these brokers if any are named.
pub(super) fn read(file: &Path, brokers: &[String]) -> Result<Vec<Source>, InputError> {
    let text =
        fs::read_to_string(file).map_err(|source| InputError::Read { file: file.to_owned(), source })?;
    let mut values = Vec::new();
    for value in Deserializer::from_str(&text).into_iter::<Value>() {
        match value.map_err(|source| InputError::Syntax { file: file.to_owned(), source })? {
            Value::Array(several) => values.extend(several),
            value => values.push(value),
        }
    }
    let whole = file.display().to_string();
    let mut sources: Vec<Source> = Vec::new();
    let mut number = 0;
    for value in values {
        let mut value = value;
        let of_brokers = match value.get_mut("runs").map(Value::take) {
            Some(Value::Array(runs)) => runs.into_iter().map(|run| (true, run)).collect(),
            _ => vec![(false, value)],
        };
        for (wrapped, value) in of_brokers {
            number += 1;
            let read = if wrapped { unwrap(value) } else { Ok((None, run(value, None))) };
            let field = |Mistake { field, problem }| InputError::Field {
                file: file.to_owned(),
                number,
                field,
                problem,
            };
            let (broker, run) = read.map_err(field)?;
            let run = run.map_err(field)?;
            if broker.as_ref().is_some_and(|name| !brokers.is_empty() && !brokers.contains(name)) {
                continue;
            }
            let name = broker.map_or_else(|| whole.clone(), |broker| format!("{whole} {broker}"));
            match sources.iter_mut().find(|source| source.name == name) {
                Some(source) => source.runs.push(run),
                None => sources.push(Source { name, runs: vec![run] }),
            }
        }
    }
    if sources.is_empty() {
        let of = if brokers.is_empty() { String::new() } else { format!(" of {}", brokers.join(", ")) };
        return Err(InputError::Empty { file: file.to_owned(), of });
    }
    sources.sort_by_key(|source| {
        brokers.iter().position(|broker| source.name.strip_prefix(&whole).unwrap_or("").trim() == broker)
    });
    Ok(sources)
}

type Wrapped = (Option<String>, Result<Run, Mistake>);

/// A run as scripts/bench.sh keeps it: with its own name of the scenario, and the broker.
fn unwrap(mut value: Value) -> Result<Wrapped, Mistake> {
    let label = text(&value, "scenario")?.to_owned();
    let broker = text(&value, "broker")?.to_owned();
    let run = match value.get_mut("result").map(Value::take) {
        None | Some(Value::Null) => {
            let problem = value.get("problem").and_then(Value::as_str).unwrap_or("no result");
            Ok(Run { label, outcome: Outcome::Failed(problem.to_owned()) })
        }
        Some(result) => run(result, Some(label)),
    };
    Ok((Some(broker), run))
}

/// A result as mqtt-bench writes it.
fn run(result: Value, label: Option<String>) -> Result<Run, Mistake> {
    let name = text(&result, "scenario")?;
    let scenario =
        Scenario::by_name(name).ok_or_else(|| Mistake::new("scenario", format!("is unknown: {name}")))?;
    let label = label.unwrap_or_else(|| name.to_owned());
    if !result.get("shape").ok_or_else(|| Mistake::missing("shape"))?.is_object() {
        return Err(Mistake::new("shape", "is no object"));
    }
    let mut counts = [0; 4];
    for (count, path) in counts.iter_mut().zip(COUNTS) {
        *count = number(&result, path)?.ok_or_else(|| Mistake::missing(path))? as u64;
    }
    let clean = result.get("clean").and_then(Value::as_bool);
    let clean = clean.ok_or_else(|| Mistake::new("clean", "is neither true nor false"))?;
    let section = scenario.section();
    if clean && !result.get(section).is_some_and(Value::is_object) {
        return Err(Mistake::missing(section));
    }
    let setting = |&(name, path): &(&str, &str)| {
        let found = dig(&result, path).ok()?.filter(|value| !value.is_null())?;
        Some((name.to_owned(), found.clone()))
    };
    let settings = SETTINGS.iter().filter_map(setting).collect();
    let figures = figures(scenario).map(|figure| figure.of(&result)).collect::<Result<_, _>>()?;
    Ok(Run { label, outcome: Outcome::Done { scenario, settings, figures, counts, clean } })
}

/// The number at a path such as `load.broker.cpu.us_each`; `None` where a part of the path is missing or null.
pub(super) fn number(result: &Value, path: &str) -> Result<Option<f64>, Mistake> {
    match dig(result, path)? {
        None | Some(Value::Null) => Ok(None),
        Some(value) => {
            value.as_f64().map(Some).ok_or_else(|| Mistake::new(path, format!("is no number but {value}")))
        }
    }
}

fn dig<'a>(result: &'a Value, path: &str) -> Result<Option<&'a Value>, Mistake> {
    let mut found = result;
    for name in path.split('.') {
        match found {
            Value::Null => return Ok(None),
            Value::Object(fields) => match fields.get(name) {
                None => return Ok(None),
                Some(value) => found = value,
            },
            other => return Err(Mistake::new(path, format!("is within {other}, which is no object"))),
        }
    }
    Ok(Some(found))
}

fn text<'a>(value: &'a Value, field: &str) -> Result<&'a str, Mistake> {
    let found = value.get(field).ok_or_else(|| Mistake::missing(field))?;
    found.as_str().ok_or_else(|| Mistake::new(field, format!("is no text but {found}")))
}
