//! Consul, by its agent's HTTP API: a service with a TTL check, and blocking queries for its health.

use std::cell::Cell;
use std::time::Duration;

use hyper::{Method, StatusCode};
use serde_json::{Value, json};

use crate::http::{Answer, HttpClient, HttpError};
use crate::member::Member;
use crate::options::RegistryOptions;
use crate::provider::{Clients, Directory, Listed, PATIENCE, WAIT};

/// A critical node is shown for so long; a sign of life brings it back.
const DEREGISTERED_AFTER: &str = "10m";

/// What an answer may take beyond [`WAIT`]: Consul adds up to a sixteenth of that.
const WAIT_MARGIN: Duration = Duration::from_secs(5);

pub(crate) struct Consul {
    options: RegistryOptions,
    clients: Clients,
    /// The agent, by its number, that this node is registered with.
    registered: Cell<Option<usize>>,
    /// The agent whose index this is.
    index: Cell<Option<(usize, u64)>>,
}

impl Consul {
    pub(crate) fn new(options: RegistryOptions) -> Self {
        let clients = Clients::new(&options, "x-consul-token");
        Self { options, clients, registered: Cell::new(None), index: Cell::new(None) }
    }

    /// One for each name, so that a node that starts again takes the place of its former self.
    fn service_id(&self) -> String {
        format!("{}-{}", self.options.service, self.options.member.name)
    }

    fn check_id(&self) -> String {
        format!("{}:alive", self.service_id())
    }

    fn registration(&self) -> Value {
        let RegistryOptions { service, member, time_to_live, .. } = &self.options;
        let mut registration = json!({
            "ID": self.service_id(),
            "Name": service,
            "Meta": member.to_table(),
            "Check": {
                "CheckID": self.check_id(),
                "Name": "the node gives signs of life",
                "TTL": format!("{}ms", time_to_live.as_millis()),
                "Status": "passing",
                "DeregisterCriticalServiceAfter": DEREGISTERED_AFTER,
            },
        });
        // What Consul's own DNS answers, for clients.
        let mqtt = member.addresses.get("mqtt").and_then(|address| address.rsplit_once(':'));
        if let Some((host, port)) = mqtt
            && let Ok(port) = port.parse::<u16>()
        {
            registration["Address"] = json!(host.trim_start_matches('[').trim_end_matches(']'));
            registration["Port"] = json!(port);
        }
        registration
    }

    async fn register(&self, client: &HttpClient) -> Result<(), HttpError> {
        let path = "/v1/agent/service/register?replace-existing-checks=true";
        client.ask(Method::PUT, path, Some(&self.registration()), PATIENCE).await?;
        Ok(())
    }

    /// False when the agent does not know this node, as behind its own restart.
    async fn pass(&self, client: &HttpClient) -> Result<bool, HttpError> {
        let path = format!("/v1/agent/check/pass/{}", self.check_id());
        match client.ask(Method::PUT, &path, None, PATIENCE).await {
            Ok(_) => Ok(true),
            // Which status an unknown check has differs between its versions.
            Err(HttpError::Refused { status, .. }) if status != StatusCode::FORBIDDEN => Ok(false),
            Err(error) => Err(error),
        }
    }
}

impl Directory for Consul {
    async fn announce(&self) -> Result<(), HttpError> {
        let (number, client) = self.clients.current();
        let outcome = async {
            if self.registered.get() == Some(number) && self.pass(client).await? {
                return Ok(());
            }
            self.registered.set(None);
            self.register(client).await?;
            self.registered.set(Some(number));
            Ok(())
        };
        self.clients.note(number, outcome.await)
    }

    async fn follow(&self) -> Result<Vec<Listed>, HttpError> {
        let (number, client) = self.clients.current();
        // An index is the agent's own.
        let index = self.index.take().filter(|(from, _)| *from == number).map_or(0, |(_, index)| index);
        let wait = WAIT.as_secs();
        let path = format!("/v1/health/service/{}?index={index}&wait={wait}s", self.options.service);
        let outcome = async {
            let answer = client.ask(Method::GET, &path, None, WAIT + WAIT_MARGIN).await?;
            let next = index_of(&answer)?;
            let listed = listed(&answer.json()?)?;
            // One that fell back is that of another server, or of one that lost its state: begin anew.
            self.index.set((next >= index).then_some((number, next)));
            Ok(listed)
        };
        self.clients.note(number, outcome.await)
    }

    async fn withdraw(&self) -> Result<(), HttpError> {
        let (_, client) = self.clients.current();
        let path = format!("/v1/agent/service/deregister/{}", self.service_id());
        client.ask(Method::PUT, &path, None, PATIENCE).await?;
        Ok(())
    }
}

fn index_of(answer: &Answer) -> Result<u64, HttpError> {
    let header = answer.headers.get("x-consul-index").and_then(|value| value.to_str().ok());
    // Never 0: a query for that would not wait.
    header
        .and_then(|text| text.parse().ok())
        .map(|index: u64| index.max(1))
        .ok_or(HttpError::Strange("no index"))
}

/// Those of the nodes' own; other services under this name are passed over.
pub(crate) fn listed(answer: &Value) -> Result<Vec<Listed>, HttpError> {
    let entries = answer.as_array().ok_or(HttpError::Strange("no list of services"))?;
    let entry = |entry: &Value| {
        let service = entry.get("Service")?;
        let checks = entry.get("Checks")?.as_array()?;
        let is_passing =
            checks.iter().all(|check| check.get("Status").and_then(Value::as_str) == Some("passing"));
        Some(Listed {
            member: Member::from_table(service.get("Meta")?, is_passing)?,
            order: service.get("ModifyIndex").and_then(Value::as_u64).unwrap_or(0),
        })
    };
    Ok(entries.iter().filter_map(entry).collect())
}
