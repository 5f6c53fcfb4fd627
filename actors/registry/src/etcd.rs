//! etcd, by the JSON gateway of its third API: a lease that is kept alive, a key that lasts as long as it, and a watch.

use std::cell::{Cell, RefCell};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::BytesMut;
use hyper::Method;
use serde_json::{Value, json};
use tokio::time::{Instant, timeout_at};

use crate::http::{HttpClient, HttpError};
use crate::member::Member;
use crate::options::RegistryOptions;
use crate::provider::{Clients, Directory, Listed, PATIENCE, WAIT};

/// Bytes of one line of a watch: an event for each of a thousand nodes.
const LINE_BYTES_MAX: usize = 4 * 1024 * 1024;

pub(crate) struct Etcd {
    options: RegistryOptions,
    clients: Clients,
    /// What this node's key lasts as long as.
    lease: RefCell<Option<String>>,
    /// How far all is known.
    revision: Cell<Option<i64>>,
}

impl Etcd {
    pub(crate) fn new(options: RegistryOptions) -> Self {
        let clients = Clients::new(&options, "authorization");
        Self { options, clients, lease: RefCell::new(None), revision: Cell::new(None) }
    }

    fn prefix(&self) -> String {
        format!("{}/members/", self.options.service)
    }

    fn key(&self) -> String {
        STANDARD.encode(format!("{}{}", self.prefix(), self.options.member.name))
    }

    /// All keys that begin with the prefix: up to, and without, the one behind the last of them.
    fn range(&self) -> Value {
        let first = self.prefix();
        let mut behind = first.clone().into_bytes();
        if let Some(last) = behind.last_mut() {
            *last += 1; // a slash
        }
        json!({ "key": STANDARD.encode(first), "range_end": STANDARD.encode(behind) })
    }

    async fn post(&self, client: &HttpClient, path: &str, body: &Value) -> Result<Value, HttpError> {
        client.ask(Method::POST, path, Some(body), PATIENCE).await?.json()
    }

    /// False when the lease is over.
    async fn keep_alive(&self, client: &HttpClient, lease: &str) -> Result<bool, HttpError> {
        let answer = self.post(client, "/v3/lease/keepalive", &json!({ "ID": lease })).await?;
        let left = answer.pointer("/result/TTL").and_then(number);
        Ok(left.is_some_and(|seconds| seconds > 0))
    }

    async fn register(&self, client: &HttpClient) -> Result<String, HttpError> {
        let seconds = self.options.time_to_live.as_secs().max(1);
        let granted = self.post(client, "/v3/lease/grant", &json!({ "TTL": seconds })).await?;
        let lease =
            granted.get("ID").and_then(Value::as_str).ok_or(HttpError::Strange("no lease"))?.to_owned();
        let member = Value::Object(self.options.member.to_table()).to_string();
        let put = json!({ "key": self.key(), "value": STANDARD.encode(member), "lease": lease });
        self.post(client, "/v3/kv/put", &put).await?;
        Ok(lease)
    }

    async fn list(&self, client: &HttpClient) -> Result<Vec<Listed>, HttpError> {
        let answer = self.post(client, "/v3/kv/range", &self.range()).await?;
        let revision = answer.pointer("/header/revision").and_then(number);
        self.revision.set(Some(revision.ok_or(HttpError::Strange("no revision"))?));
        Ok(listed(&answer))
    }

    /// Returns when something changed behind `revision`, or after [`WAIT`].
    async fn watch(&self, client: &HttpClient, revision: i64) -> Result<(), HttpError> {
        let deadline = Instant::now() + WAIT;
        let mut create = self.range();
        create["start_revision"] = json!(revision.saturating_add(1));
        let request = json!({ "create_request": create });
        let begun = client.begin(Method::POST, "/v3/watch", Some(&request));
        let Ok(streamed) = timeout_at(deadline.min(Instant::now() + PATIENCE), begun).await else {
            return Err(HttpError::Late(PATIENCE));
        };
        let mut streamed = streamed?;
        if !streamed.status.is_success() {
            return Err(HttpError::Refused { status: streamed.status, said: "the watch".to_owned() });
        }
        let mut lines = Lines::default();
        loop {
            match timeout_at(deadline, streamed.next()).await {
                Err(_) => return Ok(()),
                Ok(Err(error)) => return Err(error),
                Ok(Ok(None)) => return Err(HttpError::Strange("nothing, in the middle of a watch")),
                Ok(Ok(Some(data))) => {
                    if lines.push(&data)? {
                        return Ok(());
                    }
                }
            }
        }
    }
}

impl Directory for Etcd {
    async fn announce(&self) -> Result<(), HttpError> {
        let (number, client) = self.clients.current();
        let outcome = async {
            let lease = self.lease.borrow().clone();
            if let Some(lease) = lease
                && self.keep_alive(client, &lease).await?
            {
                return Ok(());
            }
            *self.lease.borrow_mut() = None;
            let lease = self.register(client).await?;
            *self.lease.borrow_mut() = Some(lease);
            Ok(())
        };
        self.clients.note(number, outcome.await)
    }

    async fn follow(&self) -> Result<Vec<Listed>, HttpError> {
        let (number, client) = self.clients.current();
        // Behind a failure it is forgotten, so that all is asked for anew.
        let revision = self.revision.take();
        let outcome = async {
            if let Some(revision) = revision {
                self.watch(client, revision).await?;
            }
            self.list(client).await
        };
        self.clients.note(number, outcome.await)
    }

    async fn withdraw(&self) -> Result<(), HttpError> {
        let (_, client) = self.clients.current();
        // The key goes with it, if it is this process's.
        let Some(lease) = self.lease.borrow().clone() else { return Ok(()) };
        self.post(client, "/v3/lease/revoke", &json!({ "ID": lease })).await?;
        Ok(())
    }
}

/// The lines of a watch, each a JSON text.
#[derive(Default)]
pub(crate) struct Lines {
    partial: BytesMut,
}

impl Lines {
    /// Whether one of the lines that are whole now says that something changed, or that the watch is over.
    pub(crate) fn push(&mut self, data: &[u8]) -> Result<bool, HttpError> {
        self.partial.extend_from_slice(data);
        while let Some(end) = self.partial.iter().position(|byte| *byte == b'\n') {
            let line = self.partial.split_to(end + 1);
            if line.trim_ascii().is_empty() {
                continue;
            }
            let said: Value = serde_json::from_slice(&line).map_err(|_| HttpError::Strange("no JSON"))?;
            let events = said.pointer("/result/events").and_then(Value::as_array);
            let is_over = said.pointer("/result/canceled").and_then(Value::as_bool).unwrap_or(false);
            if events.is_some_and(|events| !events.is_empty()) || is_over || said.get("error").is_some() {
                return Ok(true);
            }
        }
        if self.partial.len() > LINE_BYTES_MAX { Err(HttpError::TooLong) } else { Ok(false) }
    }
}

/// Those of the nodes' own; other keys are passed over.
pub(crate) fn listed(answer: &Value) -> Vec<Listed> {
    let entry = |entry: &Value| {
        let value = STANDARD.decode(entry.get("value")?.as_str()?).ok()?;
        let table: Value = serde_json::from_slice(&value).ok()?;
        // A key without a lease behind it is gone.
        let member = Member::from_table(&table, true)?;
        let order = entry.get("mod_revision").and_then(number).unwrap_or(0);
        Some(Listed { member, order: u64::try_from(order).unwrap_or(0) })
    };
    let entries = answer.get("kvs").and_then(Value::as_array);
    entries.into_iter().flatten().filter_map(entry).collect()
}

/// The gateway writes numbers of 64 bits as texts.
fn number(value: &Value) -> Option<i64> {
    value.as_i64().or_else(|| value.as_str()?.parse().ok())
}
