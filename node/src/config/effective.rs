//! The configuration that holds, and which source each of its values comes from.

use std::fmt;

use config::{Value, ValueKind};

use super::schema::{SECTIONS, Section};
use super::tables::{ListenerKind, NodeConfig};

/// Origin of the values that no source of the user names.
pub const DEFAULTS_ORIGIN: &str = "defaults";

/// A configuration that can be started.
#[derive(Debug, Clone)]
pub struct Effective {
    config: NodeConfig,
    origins: Origins,
}

impl Effective {
    pub(super) fn new(config: NodeConfig, origins: Origins) -> Self {
        Self { config, origins }
    }

    /// What the process works with.
    pub fn config(&self) -> &NodeConfig {
        &self.config
    }

    pub(super) fn origins(&self) -> &Origins {
        &self.origins
    }
}

/// The whole as a TOML file; a value that is not a default names its source in a comment.
impl fmt::Display for Effective {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut first = true;
        for section in SECTIONS {
            let names = if section.is_named() {
                self.origins.names(section.name).map(|name| format!("{}.{name}", section.name)).collect()
            } else {
                vec![section.name.to_owned()]
            };
            for name in names {
                if !first {
                    writeln!(f)?;
                }
                first = false;
                self.write_table(f, &name, section)?;
            }
        }
        Ok(())
    }
}

impl Effective {
    fn write_table(&self, f: &mut fmt::Formatter<'_>, table: &str, section: &Section) -> fmt::Result {
        writeln!(f, "[{table}]")?;
        for (key, _) in section.keys {
            let Some(value) = self.origins.get(&format!("{table}.{key}")) else {
                // What holds for a listener of one's own that does not say it.
                if let Some(value) = self.unsaid(table, key) {
                    writeln!(f, "{key} = {value}")?;
                }
                continue;
            };
            write!(f, "{key} = {}", scalar(value))?;
            match value.origin() {
                None | Some(DEFAULTS_ORIGIN) => writeln!(f)?,
                Some(origin) => writeln!(f, " # {}", origin.escape_debug())?,
            }
        }
        Ok(())
    }
}

impl Effective {
    /// What holds for a key of a listener that no source names; none if it means nothing there.
    fn unsaid(&self, table: &str, key: &str) -> Option<toml::Value> {
        let listener = self.config.listeners.get(table.strip_prefix("listener.")?)?;
        Some(match key {
            "type" => toml::Value::String(listener.kind.label().to_owned()),
            "path" if listener.kind == ListenerKind::Websocket => toml::Value::String(listener.path.clone()),
            "enabled" => toml::Value::Boolean(listener.enabled),
            _ => return None,
        })
    }
}

fn scalar(value: &Value) -> toml::Value {
    match &value.kind {
        ValueKind::Boolean(flag) => toml::Value::Boolean(*flag),
        ValueKind::I64(number) => toml::Value::Integer(*number),
        ValueKind::Array(items) => toml::Value::Array(items.iter().map(scalar).collect()),
        other => toml::Value::String(other.to_string()),
    }
}

/// The merged values; each knows the source that set it.
#[derive(Debug, Clone)]
pub(super) struct Origins {
    root: Value,
}

impl Origins {
    pub(super) fn new(root: Value) -> Self {
        Self { root }
    }

    /// The value at a dotted key.
    pub(super) fn get(&self, key: &str) -> Option<&Value> {
        key.split('.').try_fold(&self.root, |value, name| match &value.kind {
            ValueKind::Table(table) => table.get(name),
            _ => None,
        })
    }

    /// The source of the value at a dotted key.
    pub(super) fn of(&self, key: &str) -> &str {
        self.get(key).and_then(Value::origin).unwrap_or(DEFAULTS_ORIGIN)
    }

    /// Whether a source above the defaults set the value.
    pub(super) fn is_set(&self, key: &str) -> bool {
        self.of(key) != DEFAULTS_ORIGIN
    }

    /// The names in a table, sorted.
    pub(super) fn names(&self, table: &str) -> impl Iterator<Item = &str> {
        let mut names: Vec<&str> = match self.get(table).map(|value| &value.kind) {
            Some(ValueKind::Table(table)) => table.keys().map(String::as_str).collect(),
            _ => Vec::new(),
        };
        names.sort_unstable();
        names.into_iter()
    }
}
