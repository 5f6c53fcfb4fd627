//! `micro-mq run`: the node, its admin listener and the signals, from start to shutdown.

use std::io::{self, Write};
use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context, bail};
use auth_actor::ProviderKind;
use micro_mq_actors::{Listener, Node, NodeOptions};
use tracing::info;

use crate::admin::{AdminListener, AdminServer};
use crate::config::{Effective, ListenerConfig, ListenerKind, NodeConfig};
use crate::signals::{self, Request};
use crate::{limits, logging};

/// What a shutdown may take beyond its grace period, for threads to end, before it counts as stuck.
const SHUTDOWN_MARGIN: Duration = Duration::from_secs(2);

/// Runs a node until it is asked to stop.
///
/// # Errors
/// If it cannot start, or does not stop within its grace period.
pub(crate) fn run(effective: &Effective) -> anyhow::Result<()> {
    let config = effective.config();
    logging::init(&config.log)?;
    let requests = signals::follow().context("cannot follow signals")?;
    limits::raise_open_files(config.settings.node.connections_max);
    actix_rt::System::new().block_on(serve(config, requests))
}

async fn serve(config: &NodeConfig, mut requests: signals::Requests) -> anyhow::Result<()> {
    let admin = match config.admin.enabled {
        true => Some(
            AdminListener::bind(config.admin.bind)
                .with_context(|| format!("admin.bind: cannot listen on {}", config.admin.bind))?,
        ),
        false => None,
    };
    let node = Node::start(options(config)).await?;
    let admin = match admin {
        Some(listener) => Some(listener.serve(node.admin_source()).context("admin.bind: cannot be served")?),
        None => None,
    };
    info!(version = env!("CARGO_PKG_VERSION"), workers = node.shared().peers.len(), "the node is ready");
    announce(config, node.listeners(), admin.as_ref().map(AdminServer::address));

    while requests.next().await == Request::Reload {
        match config.auth.provider {
            ProviderKind::File => node.reload_auth(),
            _ => info!("SIGHUP: nothing to read again, auth.provider is not \"file\""),
        }
    }

    info!("shutting down");
    let grace = Duration::from_millis(config.settings.node.shutdown_grace_ms);
    let stopped = tokio::time::timeout(grace + SHUTDOWN_MARGIN, node.shutdown(grace)).await;
    if let Some(admin) = admin {
        admin.stop();
    }
    match stopped {
        // The node has logged how it went.
        Ok(_) => Ok(()),
        Err(_) => bail!("the shutdown did not end within its grace period of {} ms", grace.as_millis()),
    }
}

fn options(config: &NodeConfig) -> NodeOptions {
    let listeners = config.enabled_listeners().map(|(name, listener)| Listener {
        name: name.to_owned(),
        kind: match listener.kind {
            ListenerKind::Tcp => micro_mq_actors::ListenerKind::Tcp,
            ListenerKind::Websocket => {
                micro_mq_actors::ListenerKind::WebSocket { path: listener.path.clone() }
            }
        },
        address: listener.bind,
    });
    NodeOptions {
        settings: config.settings.clone(),
        auth: config.auth.clone(),
        listeners: listeners.collect(),
    }
}

/// One line for each listener, "NAME: URL", then "ready", all on stdout: for eyes, and for scripts that wait for it.
fn announce(config: &NodeConfig, listeners: &[(String, SocketAddr)], admin: Option<SocketAddr>) {
    let mut lines = String::new();
    for (name, address) in listeners {
        let url = match config.listeners.get(name) {
            Some(ListenerConfig { kind: ListenerKind::Websocket, path, .. }) => {
                format!("ws://{address}{path}")
            }
            _ => format!("mqtt://{address}"),
        };
        lines.push_str(&format!("{name}: {url}\n"));
    }
    if let Some(address) = admin {
        lines.push_str(&format!("admin: http://{address}\n"));
    }
    lines.push_str("ready\n");
    // A node serves its clients whether or not anybody reads this.
    let _ = io::stdout().write_all(lines.as_bytes());
}
