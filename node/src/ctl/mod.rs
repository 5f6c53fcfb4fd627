//! `micro-mq ctl`: the admin API from the shell. Its commands are made from the OpenAPI document, so every operation has
//! one, with the parameters that it takes.

mod commands;
mod contexts;
mod exchange;
mod operations;
mod output;
mod request;

use std::time::Duration;

use anyhow::{Context, bail};
use clap::ArgMatches;

use self::contexts::Contexts;
use self::exchange::{Reply, Server};
use self::operations::{Operation, operations};
use self::output::{Style, print};

pub(crate) use self::commands::CtlArguments;

/// The exit codes of `ctl health`, as Nagios and its kin understand them.
const HEALTH_CRITICAL: u8 = 2;
const HEALTH_UNKNOWN: u8 = 3;

/// Does what the command line asks for. Returns the exit code.
///
/// # Errors
/// If the server cannot be asked, or refuses.
pub(crate) fn run(arguments: &CtlArguments, whole: clap::Command) -> anyhow::Result<u8> {
    let matches = &arguments.0;
    let (name, chosen) = matches.subcommand().context("no command; micro-mq ctl --help names them")?;
    match name {
        "context" => return contexts::command(chosen).map(|()| 0),
        "completions" => return commands::completions(chosen, whole).map(|()| 0),
        _ => {}
    }
    let server = server(matches)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().enable_time().build()?;
    match name {
        "health" => Ok(runtime.block_on(health(&server))),
        "watch" => {
            let operation = operations().into_iter().find(|operation| operation.id == "nodes_list");
            let operation = operation.context("the document has no nodes")?;
            runtime.block_on(ask_again(&server, &operation, None, Style::Table, Duration::from_secs(1)))
        }
        tag => {
            let (operation, chosen) = commands::chosen(tag, chosen)?;
            runtime.block_on(ask(&server, &operation, chosen, matches))
        }
    }
}

/// Which server is meant: one named on the command line, or by a context, or the one of this machine.
fn server(matches: &ArgMatches) -> anyhow::Result<Server> {
    let given = |name: &str| matches.get_one::<String>(name).cloned();
    let context = match (given("server"), given("context")) {
        (Some(url), _) => contexts::Named { url, token: None },
        (None, Some(name)) => Contexts::read()?.named(&name)?,
        (None, None) => Contexts::read()?.current()?,
    };
    Server::new(&context.url, given("token").or(context.token))
}

async fn ask(
    server: &Server,
    operation: &Operation,
    chosen: &ArgMatches,
    matches: &ArgMatches,
) -> anyhow::Result<u8> {
    let style = match matches.get_flag("json") {
        true => Style::Json,
        false => Style::Table,
    };
    if let Some(seconds) = matches.get_one::<f64>("every") {
        return ask_again(server, operation, Some(chosen), style, Duration::from_secs_f64(*seconds)).await;
    }
    let reply = ask_once(server, operation, Some(chosen)).await?;
    print(operation, &reply, style)?;
    Ok(0)
}

/// Asks until the command is ended.
async fn ask_again(
    server: &Server,
    operation: &Operation,
    chosen: Option<&ArgMatches>,
    style: Style,
    pause: Duration,
) -> anyhow::Result<u8> {
    loop {
        let reply = ask_once(server, operation, chosen).await?;
        print(operation, &reply, style)?;
        tokio::time::sleep(pause).await;
    }
}

/// One answer; of a list, with `--all`, all pages as one.
async fn ask_once(
    server: &Server,
    operation: &Operation,
    chosen: Option<&ArgMatches>,
) -> anyhow::Result<serde_json::Value> {
    let request = request::of(operation, chosen)?;
    let mut reply =
        accepted(server.ask(operation.method.clone(), &request.target(None), request.body()).await?)?;
    if chosen.is_some_and(|chosen| operation.is_paged && chosen.get_flag("all")) {
        while let Some(next) = reply["next"].as_str().map(str::to_owned) {
            let target = request.target(Some(&next));
            let mut page = accepted(server.ask(operation.method.clone(), &target, None).await?)?;
            let (Some(items), Some(more)) = (reply["items"].as_array_mut(), page["items"].as_array_mut())
            else {
                bail!("the server answered with a page that is none");
            };
            items.append(more);
            reply["next"] = page["next"].take();
        }
    }
    Ok(reply)
}

/// What a reply says, unless that is a problem.
fn accepted(reply: Reply) -> anyhow::Result<serde_json::Value> {
    if reply.status.is_success() {
        return match reply.body.is_empty() {
            true => Ok(serde_json::Value::Null),
            false => serde_json::from_slice(&reply.body).context("the server's answer is no JSON"),
        };
    }
    match serde_json::from_slice::<micro_mq_api::Problem>(&reply.body) {
        Ok(problem) => bail!("{} {}: {}", problem.status, problem.title, problem.detail),
        Err(_) => bail!("the server answered {}", reply.status),
    }
}

/// Says in a line whether the node serves everybody.
async fn health(server: &Server) -> u8 {
    let reply = server.ask(hyper::Method::GET, "/health/ready", None).await;
    let (line, code) = match reply {
        Ok(reply) if reply.status.is_success() => ("OK: the node serves everybody".to_owned(), 0),
        Ok(reply) => {
            let body: serde_json::Value = serde_json::from_slice(&reply.body).unwrap_or_default();
            let reason = body["reason"].as_str().unwrap_or("it does not say why").to_owned();
            (format!("CRITICAL: the node is not ready: {reason}"), HEALTH_CRITICAL)
        }
        Err(error) => (format!("UNKNOWN: {error:#}"), HEALTH_UNKNOWN),
    };
    output::say(&format!("{line}\n")).map_or(HEALTH_UNKNOWN, |()| code)
}
