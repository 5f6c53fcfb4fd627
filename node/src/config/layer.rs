//! One source of the configuration, checked key by key: the file, one variable of the environment, or one `--set`.

use std::collections::HashMap;

use config::{Value, ValueKind};

use super::error::Problem;
use super::key_type::KeyType;
use super::schema::{self, Section};

/// What one source says, all of it known keys with values of the right type and range.
///
/// Every value carries its origin, so that a later problem with it can name the source.
#[derive(Debug, Clone)]
pub(super) struct Layer {
    values: HashMap<String, Value>,
}

impl config::Source for Layer {
    fn clone_into_box(&self) -> Box<dyn config::Source + Send + Sync> {
        Box::new(self.clone())
    }

    fn collect(&self) -> Result<HashMap<String, Value>, config::ConfigError> {
        Ok(self.values.clone())
    }
}

/// Keeps what is right of a source and reports the rest.
pub(super) struct Reader<'a> {
    origin: String,
    problems: &'a mut Vec<Problem>,
}

impl<'a> Reader<'a> {
    pub(super) fn new(origin: impl Into<String>, problems: &'a mut Vec<Problem>) -> Self {
        Self { origin: origin.into(), problems }
    }

    /// A document with its `[tables]`.
    pub(super) fn read(mut self, document: toml::Table) -> Layer {
        let mut values = HashMap::new();
        for (name, value) in document {
            let Some(section) = schema::section(&name) else {
                self.unknown(&name, schema::similar_section(&name).map(str::to_owned));
                continue;
            };
            if let Some(table) = self.table(&name, value) {
                let value = if section.is_named() {
                    self.named(section, table)
                } else {
                    self.keys(&name, section, table)
                };
                values.insert(name, value);
            }
        }
        Layer { values }
    }

    /// A single value whose key is dotted: `listener.tcp.bind`.
    pub(super) fn read_one(self, key: &str, raw: &str) -> Layer {
        let path: Vec<&str> = key.split('.').collect();
        let value = KeyType::interpret(schema::kind_of(&path), raw);
        let mut document = toml::Table::new();
        if let Some((first, rest)) = path.split_first() {
            let nested = rest.iter().rev().fold(value, |inner, name| {
                toml::Value::Table(toml::Table::from_iter([((*name).to_owned(), inner)]))
            });
            document.insert((*first).to_owned(), nested);
        }
        self.read(document)
    }

    fn named(&mut self, section: &Section, tables: toml::Table) -> Value {
        let mut values = HashMap::new();
        for (name, value) in tables {
            let dotted = format!("{}.{name}", section.name);
            if !is_name(&name) {
                self.problem(&dotted, "name must be lower-case letters, digits and single underscores");
                continue;
            }
            if let Some(table) = self.table(&dotted, value) {
                values.insert(name, self.keys(&dotted, section, table));
            }
        }
        self.value(values)
    }

    fn keys(&mut self, table_name: &str, section: &Section, table: toml::Table) -> Value {
        let mut values = HashMap::new();
        for (name, value) in table {
            let dotted = format!("{table_name}.{name}");
            let Some(kind) = section.find(&name) else {
                self.unknown(&dotted, schema::similar_key(table_name, section, &name));
                continue;
            };
            match kind.check(&value) {
                Ok(()) => {
                    values.insert(name, self.scalar(value));
                }
                Err(problem) => self.problem(&dotted, &problem),
            }
        }
        self.value(values)
    }

    fn table(&mut self, key: &str, value: toml::Value) -> Option<toml::Table> {
        match value {
            toml::Value::Table(table) => Some(table),
            _ => {
                self.problem(key, "must be a table");
                None
            }
        }
    }

    fn scalar(&self, value: toml::Value) -> Value {
        match value {
            toml::Value::Boolean(flag) => self.value(flag),
            toml::Value::Integer(number) => self.value(number),
            toml::Value::String(text) => self.value(text),
            toml::Value::Array(items) => {
                let items: Vec<Value> = items.into_iter().map(|item| self.scalar(item)).collect();
                self.value(items)
            }
            // No kind admits another type.
            other => self.value(other.to_string()),
        }
    }

    fn value(&self, value: impl Into<ValueKind>) -> Value {
        Value::new(Some(&self.origin), value)
    }

    fn unknown(&mut self, key: &str, meant: Option<String>) {
        match meant {
            Some(meant) => self.problem(key, &format!("unknown key, did you mean {meant}")),
            None => self.problem(key, "unknown key"),
        }
    }

    fn problem(&mut self, key: &str, problem: &str) {
        self.problems.push(Problem::Key {
            origin: self.origin.clone(),
            key: key.to_owned(),
            problem: problem.to_owned(),
        });
    }
}

/// Names that a variable of the environment can hold, where two underscores part the tables.
fn is_name(name: &str) -> bool {
    !name.is_empty()
        && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_')
        && !name.contains("__")
        && !name.starts_with('_')
        && !name.ends_with('_')
}
