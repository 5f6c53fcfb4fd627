//! Where a configuration comes from, and how the sources become one.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

use super::combinations;
use super::effective::{DEFAULTS_ORIGIN, Effective, Origins};
use super::environment::{self, ENVIRONMENT_PREFIX};
use super::error::{ConfigError, Problem};
use super::layer::{Layer, Reader};
use super::tables::{NodeConfig, Tables};

/// The shipped file is the lowest layer, so what it documents is what holds.
pub const DEFAULTS: &str = include_str!("../../../conf/micro-mq.toml");

/// The sources above the defaults; a later one wins: file, environment, overrides.
#[derive(Debug, Clone, Default)]
pub struct Sources {
    /// `--config FILE`
    pub file: Option<PathBuf>,
    /// All variables; those that do not begin with [`ENVIRONMENT_PREFIX`] are ignored, unless they are a key but for
    /// their underscores.
    pub environment: Vec<(OsString, OsString)>,
    /// `--set KEY=VALUE`, in order.
    pub overrides: Vec<String>,
}

impl Sources {
    /// Reads, checks and merges all sources. Nothing else is touched: no port, no other file.
    ///
    /// # Errors
    /// All problems that were found, in two steps: first those of single keys; if there is none, those of keys that do
    /// not go together.
    pub fn load(&self) -> Result<Effective, ConfigError> {
        let mut problems = Vec::new();
        let mut layers = vec![defaults(&mut problems)];
        if let Some(file) = &self.file {
            layers.extend(read_file(file, &mut problems));
        }
        layers.extend(self.environment_layers(&mut problems));
        for argument in &self.overrides {
            match argument.split_once('=') {
                Some((key, value)) => {
                    layers.push(Reader::new("--set", &mut problems).read_one(key.trim(), value));
                }
                None => problems.push(Problem::NotAnAssignment { argument: argument.clone() }),
            }
        }
        if !problems.is_empty() {
            return Err(problems.into());
        }
        let effective = merge(layers)?;
        let problems = combinations::check(&effective);
        if problems.is_empty() { Ok(effective) } else { Err(problems.into()) }
    }

    fn environment_layers(&self, problems: &mut Vec<Problem>) -> Vec<Layer> {
        let mut variables: Vec<(String, &OsString)> = self
            .environment
            .iter()
            .filter_map(|(name, value)| Some((name.to_str()?.to_owned(), value)))
            .collect();
        variables.sort();
        let mut layers = Vec::new();
        for (name, value) in variables {
            if let Some(meant) = environment::meant(&name) {
                problems.push(Problem::Underscores { name, meant });
                continue;
            }
            if !name.starts_with(ENVIRONMENT_PREFIX) {
                continue;
            }
            let key = name[ENVIRONMENT_PREFIX.len()..].to_ascii_lowercase().replace("__", ".");
            let origin = format!("environment variable {name}");
            match value.to_str() {
                Some(value) => layers.push(Reader::new(origin, problems).read_one(&key, value)),
                None => problems.push(Problem::Key { origin, key, problem: "must be UTF-8".to_owned() }),
            }
        }
        layers
    }
}

fn defaults(problems: &mut Vec<Problem>) -> Layer {
    let document = DEFAULTS.parse().expect("the shipped file is TOML, as a test asserts");
    Reader::new(DEFAULTS_ORIGIN, problems).read(document)
}

fn read_file(file: &Path, problems: &mut Vec<Problem>) -> Option<Layer> {
    let text = match fs::read_to_string(file) {
        Ok(text) => text,
        Err(error) => {
            problems.push(Problem::Unreadable { file: file.to_owned(), cause: error.to_string() });
            return None;
        }
    };
    match text.parse::<toml::Table>() {
        Ok(document) => Some(Reader::new(file.display().to_string(), problems).read(document)),
        Err(error) => {
            let before = error.span().and_then(|span| text.get(..span.start)).unwrap_or_default();
            problems.push(Problem::Syntax {
                file: file.to_owned(),
                line: before.matches('\n').count() + 1,
                column: before.rsplit('\n').next().unwrap_or_default().chars().count() + 1,
                cause: error.message().replace('\n', ", "),
            });
            None
        }
    }
}

/// # Errors
/// All listeners that have no address.
fn merge(layers: Vec<Layer>) -> Result<Effective, Vec<Problem>> {
    let mut builder = config::Config::builder();
    for layer in layers {
        builder = builder.add_source(layer);
    }
    let merged = builder.build().map_err(|error| vec![unforeseen(&error)])?;
    let origins = Origins::new(merged.cache.clone());
    let problems = combinations::listeners_without_address(&origins);
    if !problems.is_empty() {
        return Err(problems);
    }
    let tables: Tables = merged.try_deserialize().map_err(|error| vec![unforeseen(&error)])?;
    Ok(Effective::new(NodeConfig::from(tables), origins))
}

/// What the layers let pass and serde does not: only possible where the list of keys is not that of the tables.
fn unforeseen(error: &config::ConfigError) -> Problem {
    Problem::Key {
        origin: "all sources".to_owned(),
        key: "configuration".to_owned(),
        problem: error.to_string(),
    }
}
