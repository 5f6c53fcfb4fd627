//! What is sent for an operation.

use std::fmt::Write as _;

use clap::ArgMatches;
use serde_json::{Map, Value};

use super::commands::{refused, values};
use super::operations::{Kind, Operation, Parameter, Place};

/// A request, as far as it does not depend on the server.
#[derive(Debug)]
pub(super) struct Request {
    path: String,
    query: Vec<(String, String)>,
    body: Option<Map<String, Value>>,
}

/// The request that a command line means.
pub(super) fn of(operation: &Operation, chosen: Option<&ArgMatches>) -> anyhow::Result<Request> {
    let has_body = operation.parameters.iter().any(|parameter| parameter.place == Place::Body);
    let mut request =
        Request { path: operation.path.clone(), query: Vec::new(), body: has_body.then(Map::new) };
    let Some(chosen) = chosen else { return Ok(request) };
    for parameter in &operation.parameters {
        let values = values(chosen, parameter);
        let name = &parameter.name;
        match parameter.place {
            Place::Path => {
                let value = values.first().map(|value| encoded(value)).unwrap_or_default();
                request.path = request.path.replace(&format!("{{{name}}}"), &value);
            }
            Place::Query => {
                request.query.extend(values.into_iter().map(|value| (name.clone(), value.clone())))
            }
            Place::Body => {
                if values.is_empty() {
                    continue;
                }
                let typed = values.into_iter().map(|value| typed(parameter, value));
                let mut typed = typed.collect::<anyhow::Result<Vec<_>>>()?;
                let value = if parameter.is_list { Value::Array(typed) } else { typed.remove(0) };
                request.body.get_or_insert_default().insert(name.clone(), value);
            }
        }
    }
    Ok(request)
}

fn typed(parameter: &Parameter, value: &str) -> anyhow::Result<Value> {
    match parameter.kind {
        Kind::Text | Kind::OneOf(_) => Ok(value.into()),
        Kind::Flag => Ok((value == "true").into()),
        Kind::Number => serde_json::from_str::<serde_json::Number>(value)
            .map(Value::Number)
            .map_err(|_| refused(format!("--{}: {value} is no number", parameter.name.replace('_', "-")))),
    }
}

impl Request {
    /// Path and query; `cursor` in place of the one that was asked for.
    pub(super) fn target(&self, cursor: Option<&str>) -> String {
        let kept = self.query.iter().filter(|(name, _)| cursor.is_none() || name != "cursor");
        let pairs = kept.map(|(name, value)| (name.as_str(), value.as_str()));
        let mut target = self.path.clone();
        for (at, (name, value)) in pairs.chain(cursor.map(|cursor| ("cursor", cursor))).enumerate() {
            let sign = if at == 0 { '?' } else { '&' };
            let _ = write!(target, "{sign}{name}={}", encoded(value));
        }
        target
    }

    pub(super) fn body(&self) -> Option<String> {
        let body = self.body.clone()?;
        Some(Value::Object(body).to_string())
    }
}

/// Percent-encoded throughout, but for what needs no encoding anywhere.
fn encoded(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => encoded.push(byte.into()),
            _ => _ = write!(encoded, "%{byte:02X}"),
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_encoded_and_cursors_replaced() {
        assert_eq!(encoded("a 1/é"), "a%201%2F%C3%A9");
        let query = vec![("limit".to_owned(), "2".to_owned()), ("cursor".to_owned(), "old".to_owned())];
        let request = Request { path: "/x".to_owned(), query, body: None };
        assert_eq!(request.target(None), "/x?limit=2&cursor=old");
        assert_eq!(request.target(Some("new")), "/x?limit=2&cursor=new");
    }
}
