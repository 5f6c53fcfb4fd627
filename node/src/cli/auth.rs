//! `micro-mq auth`: clients and roles of an auth service, and who may call it.

use std::fs;

use anyhow::{Context as _, bail};
use auth_service::wire::{
    Action, AddCallerRequest, AuditRequest, CallerName, CheckRequest, Client, ClientName,
    CreateClientRequest, Credentials, ListRequest, Role, RoleName, Rule, SetDisabledRequest, SetRolesRequest,
    Wish,
};
use auth_service::{Operator, Token};
use tonic::{Code, Status};

use super::arguments::{AuthArguments, AuthCommand, CallerCommand, ClientCommand, RoleCommand};
use crate::tls::is_open_to_others;

/// Asks the service; returns what is to be printed.
pub(super) fn auth(arguments: &AuthArguments) -> anyhow::Result<String> {
    let file = &arguments.token_file;
    if is_open_to_others(file) {
        bail!("--token-file: {}: others may read it; take that right from them (chmod o-r)", file.display());
    }
    let text = fs::read_to_string(file).with_context(|| format!("{}: cannot be read", file.display()))?;
    let ca = arguments.ca.as_deref().map(fs::read).transpose().context("--ca: cannot be read")?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let operator = Operator::connect(&arguments.service, &Token::read(&text), ca).await?;
        match &arguments.command {
            AuthCommand::Client(command) => client(&operator, command).await,
            AuthCommand::Role(command) => role(&operator, command).await,
            AuthCommand::Caller(command) => caller(&operator, command).await,
            AuthCommand::Check { client, action, topic, client_identifier } => {
                let request = CheckRequest {
                    client: client.clone(),
                    client_identifier: client_identifier.clone().unwrap_or_default(),
                    wish: Some(Wish { action: known_action(action)?.into(), topic: topic.clone() }),
                };
                let answer = operator.roles().check(request).await.map_err(said)?.into_inner();
                let verdict = if answer.allowed { "allowed" } else { "denied" };
                Ok(format!("{verdict}: {}\n", answer.reason))
            }
            AuthCommand::Audit { after } => {
                let request = AuditRequest { after: *after, limit: 1000 };
                let entries = operator.audit().list(request).await.map_err(said)?.into_inner().entries;
                let line = |entry: auth_service::wire::AuditEntry| {
                    let auth_service::wire::AuditEntry { number, at, caller, what, name } = entry;
                    format!("{number}\t{at}\t{caller}\t{what}\t{name}\n")
                };
                Ok(entries.into_iter().map(line).collect())
            }
        }
    })
}

/// What the service says, in its own words.
fn said(status: Status) -> anyhow::Error {
    match status.code() {
        Code::Unavailable => anyhow::anyhow!("the auth service does not answer: {}", status.message()),
        _ => anyhow::anyhow!("{}", status.message().to_owned()),
    }
}

fn known_action(action: &str) -> anyhow::Result<Action> {
    match action {
        "publish" => Ok(Action::Publish),
        "subscribe" => Ok(Action::Subscribe),
        other => bail!("action {other:?} is none of publish and subscribe"),
    }
}

fn line(client: &Client) -> String {
    let state = if client.disabled { "disabled" } else { "enabled" };
    format!("{}\t{state}\t{}\n", client.name, client.roles.join(","))
}

fn shown(credentials: Credentials, was_given: bool) -> String {
    match was_given {
        true => String::new(),
        // On stdout alone, so that a script can take it.
        false => format!("{}\n", credentials.password),
    }
}

async fn client(operator: &Operator, command: &ClientCommand) -> anyhow::Result<String> {
    let mut clients = operator.clients();
    Ok(match command.clone() {
        ClientCommand::Add { name, role, stdin } => {
            let password = if stdin { super::passwd::from_stdin()?.into_bytes() } else { Vec::new() };
            if stdin && password.is_empty() {
                bail!("the password is empty");
            }
            let request = CreateClientRequest { name, roles: role, password };
            shown(clients.create(request).await.map_err(said)?.into_inner(), stdin)
        }
        ClientCommand::Rotate { name } => {
            shown(clients.rotate(ClientName { name }).await.map_err(said)?.into_inner(), false)
        }
        ClientCommand::Disable { name } => {
            let request = SetDisabledRequest { name, disabled: true };
            line(&clients.set_disabled(request).await.map_err(said)?.into_inner())
        }
        ClientCommand::Enable { name } => {
            let request = SetDisabledRequest { name, disabled: false };
            line(&clients.set_disabled(request).await.map_err(said)?.into_inner())
        }
        ClientCommand::Roles { name, role } => {
            let request = SetRolesRequest { name, roles: role };
            line(&clients.set_roles(request).await.map_err(said)?.into_inner())
        }
        ClientCommand::Delete { name } => {
            clients.delete(ClientName { name }).await.map_err(said)?;
            String::new()
        }
        ClientCommand::List => {
            let (mut lines, mut after) = (String::new(), String::new());
            loop {
                let page = clients.list(ListRequest { after, limit: 1000 }).await.map_err(said)?.into_inner();
                lines.extend(page.clients.iter().map(line));
                if page.next.is_empty() {
                    break lines;
                }
                after = page.next;
            }
        }
    })
}

/// `publish:TOPIC`, `subscribe:TOPIC` or `all:TOPIC`.
fn rule(text: &str, deny: bool) -> anyhow::Result<Rule> {
    let Some((action, topic)) = text.split_once(':') else {
        bail!("rule {text:?}: must read publish:TOPIC, subscribe:TOPIC or all:TOPIC");
    };
    let action = if action == "all" { Action::Unspecified } else { known_action(action)? };
    Ok(Rule { deny, action: action.into(), topic: topic.to_owned() })
}

fn role_lines(role: &Role) -> String {
    let mut lines = match role.inherits.as_slice() {
        [] => format!("{}\n", role.name),
        parents => format!("{}\tinherits {}\n", role.name, parents.join(",")),
    };
    for rule in &role.rules {
        let permission = if rule.deny { "deny" } else { "allow" };
        let action = match rule.action() {
            Action::Publish => "publish",
            Action::Subscribe => "subscribe",
            Action::Unspecified => "all",
        };
        lines.push_str(&format!("\t{permission} {action}:{}\n", rule.topic));
    }
    lines
}

async fn role(operator: &Operator, command: &RoleCommand) -> anyhow::Result<String> {
    let mut roles = operator.roles();
    Ok(match command.clone() {
        RoleCommand::Put { name, inherits, allow, deny } => {
            let denies = deny.iter().map(|text| rule(text, true));
            let allows = allow.iter().map(|text| rule(text, false));
            let rules = denies.chain(allows).collect::<anyhow::Result<_>>()?;
            roles.put(Role { name, inherits, rules }).await.map_err(said)?;
            String::new()
        }
        RoleCommand::Delete { name } => {
            roles.delete(RoleName { name }).await.map_err(said)?;
            String::new()
        }
        RoleCommand::List => {
            let (mut lines, mut after) = (String::new(), String::new());
            loop {
                let page = roles.list(ListRequest { after, limit: 1000 }).await.map_err(said)?.into_inner();
                lines.extend(page.roles.iter().map(role_lines));
                if page.next.is_empty() {
                    break lines;
                }
                after = page.next;
            }
        }
    })
}

async fn caller(operator: &Operator, command: &CallerCommand) -> anyhow::Result<String> {
    let mut callers = operator.callers();
    Ok(match command.clone() {
        CallerCommand::Add { name, role } => {
            let added = callers.add(AddCallerRequest { name, role }).await.map_err(said)?;
            format!("{}\n", added.into_inner().token)
        }
        CallerCommand::Remove { name } => {
            callers.remove(CallerName { name }).await.map_err(said)?;
            String::new()
        }
        CallerCommand::List => {
            let all = callers.list(ListRequest::default()).await.map_err(said)?.into_inner().callers;
            all.into_iter().map(|caller| format!("{}\t{}\n", caller.name, caller.role)).collect()
        }
    })
}
