//! What a key may hold: its type and its range, and the sentence for a value that does not fit.

use std::net::SocketAddr;

use micro_mq_actors::AllowedOrigins;
use micro_mq_registry::ServiceAddress;
use toml::Value;

/// Type and range of a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyType {
    /// true or false.
    Flag,
    /// A whole number in this range.
    Integer {
        /// Smallest value admitted.
        min: i64,
        /// Largest value admitted.
        max: i64,
    },
    /// Any text.
    Text,
    /// One of these words.
    OneOf(&'static [&'static str]),
    /// Empty, or exactly these words.
    Words(&'static str),
    /// A socket address, the address a number.
    Address,
    /// The path of a WebSocket handshake.
    Path,
    /// Text that can begin a topic name.
    TopicPrefix,
    /// Log levels.
    LogFilter,
    /// Any number of these. Where text needs no quotes, commas part them.
    ListOf(Item),
}

/// What a list is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Item {
    /// The name of a host, without a port.
    HostName,
    /// What web pages may open a WebSocket.
    Origin,
    /// Where a registry is.
    ServiceAddress,
    /// A node by name, and where it is.
    NodeAddress,
    /// Where an auth service is: scheme, host and port.
    AuthServiceAddress,
}

impl Item {
    fn fits(self, text: &str) -> bool {
        match self {
            Self::HostName => is_host_name(text),
            Self::Origin => AllowedOrigins::of([text]).is_ok(),
            Self::ServiceAddress => text.parse::<ServiceAddress>().is_ok(),
            Self::NodeAddress => text.split_once('=').is_some_and(|(name, address)| {
                let port = address.rsplit_once(':').map(|(_, port)| port.parse::<u16>());
                !name.is_empty() && matches!(port, Some(Ok(1..)))
            }),
            Self::AuthServiceAddress => is_service_address(text),
        }
    }

    /// The words after "must be a list of".
    fn described(self) -> &'static str {
        match self {
            Self::HostName => "host names without port, such as [\"broker.example\"]",
            Self::ServiceAddress => "addresses such as [\"http://127.0.0.1:8500\"]",
            Self::NodeAddress => "nodes such as [\"node-1=10.0.0.1:1883\"]",
            Self::AuthServiceAddress => "addresses such as [\"http://127.0.0.1:18090\"]",
            Self::Origin => "origins such as [\"https://example.org\"], or same_host, null or any",
        }
    }
}

/// A day: an interval in milliseconds that is longer was meant in another unit.
const MILLISECONDS_MAX: i64 = 24 * 60 * 60 * 1000;

pub(super) const fn count(min: i64, max: i64) -> KeyType {
    KeyType::Integer { min, max }
}

pub(super) const fn u16_from(min: i64) -> KeyType {
    count(min, 65_535)
}

pub(super) const fn seconds() -> KeyType {
    count(0, 4_294_967_295)
}

pub(super) const fn milliseconds(min: i64) -> KeyType {
    count(min, MILLISECONDS_MAX)
}

/// A number of bytes or things in memory, bounded by memory alone.
pub(super) const fn at_least(min: i64) -> KeyType {
    count(min, i64::MAX)
}

impl KeyType {
    /// Reads a value of the environment or the command line, where text needs no quotes.
    pub(super) fn interpret(key_type: Option<&Self>, raw: &str) -> Value {
        let value = raw.trim().parse::<Value>().ok();
        match key_type {
            None | Some(Self::Flag | Self::Integer { .. }) => value,
            Some(Self::ListOf(_)) => return value.filter(Value::is_array).unwrap_or_else(|| parted(raw)),
            Some(_) => value.filter(Value::is_str),
        }
        .unwrap_or_else(|| Value::String(raw.to_owned()))
    }

    /// # Errors
    /// Says what must hold, and what was found.
    pub(super) fn check(&self, value: &Value) -> Result<(), String> {
        let must = match (self, value) {
            (Self::Flag, Value::Boolean(_)) => return Ok(()),
            (Self::Flag, _) => "true or false".to_owned(),
            (Self::Integer { min, max }, Value::Integer(number)) => {
                if number < min {
                    match min {
                        0 => "0 or more".to_owned(),
                        1 => "above 0".to_owned(),
                        _ => format!("at least {min}"),
                    }
                } else if number > max {
                    format!("at most {max}")
                } else {
                    return Ok(());
                }
            }
            (Self::Integer { .. }, _) => "a whole number".to_owned(),
            (Self::ListOf(item), Value::Array(values)) => {
                let wrong = values.iter().find(|value| !value.as_str().is_some_and(|text| item.fits(text)));
                let Some(wrong) = wrong else { return Ok(()) };
                return Err(format!("must be a list of {}, not of {}", item.described(), shown(wrong)));
            }
            (Self::ListOf(item), _) => format!("a list of {}", item.described()),
            (_, Value::String(text)) => match self.check_text(text) {
                Ok(()) => return Ok(()),
                Err(must) => must,
            },
            (Self::OneOf(words), _) => alternatives(words),
            _ => "text in quotes".to_owned(),
        };
        Err(format!("must be {must}, not {}", shown(value)))
    }

    /// # Errors
    /// The words after "must be".
    fn check_text(&self, text: &str) -> Result<(), String> {
        let (fits, must) = match self {
            Self::OneOf(words) => (words.contains(&text), alternatives(words)),
            Self::Words(words) => {
                (text.is_empty() || text == *words, format!("empty or the words \"{words}\""))
            }
            Self::Address => {
                (text.parse::<SocketAddr>().is_ok(), "an address and port such as 127.0.0.1:1883".to_owned())
            }
            Self::Path => (is_path(text), "a path such as \"/mqtt\"".to_owned()),
            Self::TopicPrefix => (
                !text.contains(['+', '#', '\0']),
                "the beginning of a topic name, without wildcards".to_owned(),
            ),
            Self::LogFilter => (is_filter(text), "a level (error, warn, info, debug, trace, off)".to_owned()),
            Self::Flag | Self::Integer { .. } | Self::Text | Self::ListOf(_) => (true, String::new()),
        };
        if fits { Ok(()) } else { Err(must) }
    }
}

fn alternatives(words: &[&str]) -> String {
    let quoted: Vec<String> = words.iter().map(|word| format!("\"{word}\"")).collect();
    match quoted.split_last() {
        Some((last, rest)) if !rest.is_empty() => format!("{} or {last}", rest.join(", ")),
        _ => quoted.concat(),
    }
}

/// The items of a list that is written as text: commas part them.
fn parted(raw: &str) -> Value {
    let items = raw.split(',').map(str::trim).filter(|item| !item.is_empty());
    Value::Array(items.map(|item| Value::String(item.to_owned())).collect())
}

/// What was found, short enough for a sentence.
fn shown(value: &Value) -> String {
    match value {
        Value::Table(_) => "a table".to_owned(),
        Value::Array(_) => "an array".to_owned(),
        Value::String(text) => format!("{text:?}"),
        other => other.to_string(),
    }
}

/// What a request line can hold, from "/" on, without a query.
fn is_path(text: &str) -> bool {
    text.starts_with('/') && text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'?' && byte != b'#')
}

/// What DNS, a hosts file or a container's name can be; addresses need no name.
fn is_host_name(text: &str) -> bool {
    let is_label = |label: &str| {
        !label.is_empty()
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
    };
    text.len() <= 253 && text.split('.').all(is_label)
}

/// A scheme, a host or an address, and a port.
fn is_service_address(text: &str) -> bool {
    let host_and_port = text.strip_prefix("http://").or_else(|| text.strip_prefix("https://"));
    host_and_port.is_some_and(|text| {
        text.parse::<SocketAddr>().is_ok()
            || text.rsplit_once(':').is_some_and(|(host, port)| {
                is_host_name(host) && port.parse::<u16>().is_ok_and(|port| port > 0)
            })
    })
}

/// A directive that is one bare word is a level: the filter itself would take a misspelt one for a module.
fn is_filter(text: &str) -> bool {
    let is_level = |word: &str| {
        ["error", "warn", "info", "debug", "trace", "off"]
            .iter()
            .any(|level| level.eq_ignore_ascii_case(word))
    };
    let mut directives = text.split(',').map(str::trim);
    directives.all(|directive| directive.contains(['=', '[']) || is_level(directive))
        && tracing_subscriber::EnvFilter::try_new(text).is_ok()
}
