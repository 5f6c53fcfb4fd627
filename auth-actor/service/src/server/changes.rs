//! What operators do, and viewers look at.

use std::sync::Arc;

use tonic::{Request, Response, Status};

use super::access::{Door, changed, status};
use super::decisions::action;
use crate::model::{AuditEntry, CallerRole, Client, Role, Rule};
use crate::wire::audit_server::Audit;
use crate::wire::callers_server::Callers;
use crate::wire::clients_server::Clients;
use crate::wire::roles_server::Roles;
use crate::wire::{self, ClientName, Credentials, ListRequest, Nothing, RoleName};

const OPERATORS: &[CallerRole] = &[CallerRole::Operator];
const VIEWERS: &[CallerRole] = &[CallerRole::Viewer, CallerRole::Operator];

/// Entries of a page, unless fewer are asked for, and at most.
const PAGE: usize = 100;
const PAGE_MAX: usize = 1000;

fn page(limit: u32) -> usize {
    if limit == 0 { PAGE } else { (limit as usize).min(PAGE_MAX) }
}

impl From<Client> for wire::Client {
    fn from(client: Client) -> Self {
        let Client { name, roles, disabled, created_at, rotated_at, .. } = client;
        Self { name, roles, disabled, created_at, rotated_at }
    }
}

impl From<Role> for wire::Role {
    fn from(role: Role) -> Self {
        let rule = |rule: Rule| wire::Rule {
            deny: rule.deny,
            action: match (rule.publish, rule.subscribe) {
                (true, false) => wire::Action::Publish.into(),
                (false, true) => wire::Action::Subscribe.into(),
                _ => wire::Action::Unspecified.into(),
            },
            topic: rule.topic,
        };
        Self { name: role.name, inherits: role.inherits, rules: role.rules.into_iter().map(rule).collect() }
    }
}

/// # Errors
/// An action that this version does not know.
fn role(role: wire::Role) -> Result<Role, Status> {
    let rule = |rule: wire::Rule| {
        let asked = wire::Action::try_from(rule.action)
            .map_err(|_| Status::invalid_argument(format!("action {} is none", rule.action)))?;
        Ok(Rule {
            deny: rule.deny,
            publish: asked != wire::Action::Subscribe,
            subscribe: asked != wire::Action::Publish,
            topic: rule.topic,
        })
    };
    let rules = role.rules.into_iter().map(rule).collect::<Result<_, Status>>()?;
    Ok(Role { name: role.name, inherits: role.inherits, rules })
}

#[tonic::async_trait]
impl Clients for Door {
    async fn create(
        &self,
        request: Request<wire::CreateClientRequest>,
    ) -> Result<Response<Credentials>, Status> {
        let (registry, by) = self.admit(&request, OPERATORS)?;
        let wire::CreateClientRequest { name, roles, password } = request.into_inner();
        let created = changed(registry, move |registry| registry.create_client(&by, &name, roles, &password));
        let (client, password) = created.await?;
        Ok(Response::new(Credentials { client: Some(client.into()), password }))
    }

    async fn rotate(&self, request: Request<ClientName>) -> Result<Response<Credentials>, Status> {
        let (registry, by) = self.admit(&request, OPERATORS)?;
        let ClientName { name } = request.into_inner();
        let rotated = changed(registry, move |registry| registry.rotate_client(&by, &name));
        let (client, password) = rotated.await?;
        Ok(Response::new(Credentials { client: Some(client.into()), password }))
    }

    async fn set_disabled(
        &self,
        request: Request<wire::SetDisabledRequest>,
    ) -> Result<Response<wire::Client>, Status> {
        let (registry, by) = self.admit(&request, OPERATORS)?;
        let wire::SetDisabledRequest { name, disabled } = request.into_inner();
        let what = if disabled { "client.disable" } else { "client.enable" };
        let change = move |registry: &crate::Registry| {
            registry.change_client(&by, what, &name, disabled, |client| client.disabled = disabled)
        };
        Ok(Response::new(changed(registry, change).await?.into()))
    }

    async fn set_roles(
        &self,
        request: Request<wire::SetRolesRequest>,
    ) -> Result<Response<wire::Client>, Status> {
        let (registry, by) = self.admit(&request, OPERATORS)?;
        let wire::SetRolesRequest { name, roles } = request.into_inner();
        let change = move |registry: &crate::Registry| {
            registry.change_client(&by, "client.roles", &name, false, |client| client.roles = roles)
        };
        Ok(Response::new(changed(registry, change).await?.into()))
    }

    async fn delete(&self, request: Request<ClientName>) -> Result<Response<Nothing>, Status> {
        let (registry, by) = self.admit(&request, OPERATORS)?;
        let ClientName { name } = request.into_inner();
        changed(registry, move |registry| registry.delete_client(&by, &name)).await?;
        Ok(Response::new(Nothing {}))
    }

    async fn list(&self, request: Request<ListRequest>) -> Result<Response<wire::ClientList>, Status> {
        let (registry, _) = self.admit(&request, VIEWERS)?;
        let ListRequest { after, limit } = request.into_inner();
        let limit = page(limit);
        let clients: Vec<wire::Client> =
            registry.clients(&after, limit).into_iter().map(Into::into).collect();
        let last = clients.last().filter(|_| clients.len() == limit);
        let next = last.map(|client| client.name.clone()).unwrap_or_default();
        Ok(Response::new(wire::ClientList { clients, next }))
    }
}

#[tonic::async_trait]
impl Roles for Door {
    async fn put(&self, request: Request<wire::Role>) -> Result<Response<Nothing>, Status> {
        let (registry, by) = self.admit(&request, OPERATORS)?;
        let role = role(request.into_inner())?;
        changed(registry, move |registry| registry.put_role(&by, role)).await?;
        Ok(Response::new(Nothing {}))
    }

    async fn delete(&self, request: Request<RoleName>) -> Result<Response<Nothing>, Status> {
        let (registry, by) = self.admit(&request, OPERATORS)?;
        let RoleName { name } = request.into_inner();
        changed(registry, move |registry| registry.delete_role(&by, &name)).await?;
        Ok(Response::new(Nothing {}))
    }

    async fn list(&self, request: Request<ListRequest>) -> Result<Response<wire::RoleList>, Status> {
        let (registry, _) = self.admit(&request, VIEWERS)?;
        let ListRequest { after, limit } = request.into_inner();
        let limit = page(limit);
        let roles: Vec<wire::Role> = registry.roles(&after, limit).into_iter().map(Into::into).collect();
        let last = roles.last().filter(|_| roles.len() == limit);
        let next = last.map(|role| role.name.clone()).unwrap_or_default();
        Ok(Response::new(wire::RoleList { roles, next }))
    }

    async fn check(
        &self,
        request: Request<wire::CheckRequest>,
    ) -> Result<Response<wire::CheckResponse>, Status> {
        let (registry, _) = self.admit(&request, VIEWERS)?;
        let wire::CheckRequest { client, client_identifier, wish } = request.into_inner();
        let wish = wish.unwrap_or_default();
        let Some(action) = action(wish.action) else {
            return Err(Status::invalid_argument("an action is missing"));
        };
        let identifier = if client_identifier.is_empty() { &client } else { &client_identifier };
        let (allowed, reason) = registry.explain(identifier, &client, action, &wish.topic);
        Ok(Response::new(wire::CheckResponse { allowed, reason }))
    }
}

#[tonic::async_trait]
impl Callers for Door {
    async fn add(
        &self,
        request: Request<wire::AddCallerRequest>,
    ) -> Result<Response<wire::CallerToken>, Status> {
        let (registry, by) = self.admit(&request, OPERATORS)?;
        let wire::AddCallerRequest { name, role } = request.into_inner();
        let role = CallerRole::ALL.into_iter().find(|known| known.label() == role).ok_or_else(|| {
            Status::invalid_argument(format!("role {role:?} is none of node, viewer and operator"))
        })?;
        let added = changed(registry, move |registry| registry.add_caller(&by, &name, role)).await?;
        Ok(Response::new(wire::CallerToken { token: added.shown().to_owned() }))
    }

    async fn remove(&self, request: Request<wire::CallerName>) -> Result<Response<Nothing>, Status> {
        let (registry, by) = self.admit(&request, OPERATORS)?;
        let wire::CallerName { name } = request.into_inner();
        changed(registry, move |registry| registry.remove_caller(&by, &name)).await?;
        Ok(Response::new(Nothing {}))
    }

    async fn list(&self, request: Request<ListRequest>) -> Result<Response<wire::CallerList>, Status> {
        let (registry, _) = self.admit(&request, OPERATORS)?;
        let caller =
            |(name, role): (String, CallerRole)| wire::Caller { name, role: role.label().to_owned() };
        let callers = registry.callers().into_iter().map(caller).collect();
        Ok(Response::new(wire::CallerList { callers }))
    }
}

#[tonic::async_trait]
impl Audit for Door {
    async fn list(&self, request: Request<wire::AuditRequest>) -> Result<Response<wire::AuditList>, Status> {
        let (registry, _) = self.admit(&request, VIEWERS)?;
        let wire::AuditRequest { after, limit } = request.into_inner();
        let registry = Arc::clone(registry);
        let read = tokio::task::spawn_blocking(move || registry.audit(after, page(limit))).await;
        let read = read.map_err(|_| Status::internal("the look was cut short"))?;
        let entry = |(number, entry): (u64, AuditEntry)| {
            let AuditEntry { at, caller, what, name } = entry;
            wire::AuditEntry { number, at, caller, what, name }
        };
        let entries = read.map_err(|error| status(error.into()))?.into_iter().map(entry).collect();
        Ok(Response::new(wire::AuditList { entries }))
    }
}
