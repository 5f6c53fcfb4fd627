//! `micro-mq run`: the node, its admin listener and the signals, from start to shutdown.

use std::io;
use std::net::SocketAddr;
use std::process;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use anyhow::{Context, anyhow, bail};
use auth_actor::{AuthSettings, Provider, ProviderKind};
use auth_service::RpcProvider;
use micro_mq_actors::store::{DiskBackend, Durability, Fatal, NoBackend, SessionBackend};
use micro_mq_actors::{BindError, Listener, Node, NodeOptions, StartError, WebSocketOptions, bind_errors};
use micro_mq_core::homes::drawn_key;
use micro_mq_core::records::WallClock;
use tracing::{error, info};

use crate::admin::{AdminListener, AdminServer};
use crate::cluster;
use crate::config::{
    Effective, ListenerConfig, ListenerKind, NodeConfig, StoreConfig, StoreDurability, StoreKind,
};
use crate::console::Console;
use crate::figures::Figures;
use crate::logging::{self, LogQueue};
use crate::open_files::{self, OpenFilesRoom};
use crate::registry::Registration;
use crate::signals::{self, Request};
use crate::tls::LiveTls;

/// What a shutdown may take beyond its grace period, for threads to end, before it counts as stuck.
const SHUTDOWN_MARGIN: Duration = Duration::from_secs(2);

/// Runs a node until it is asked to stop.
///
/// # Errors
/// If it cannot start, or does not stop within its grace period.
pub(crate) fn run(effective: &Effective) -> anyhow::Result<()> {
    let config = effective.config();
    let settings = &config.settings.node;
    let room = open_files::divide(settings, config.enabled_listeners().count())?;
    let log = logging::init(&config.log)?;
    room.tell(settings.connections_max);
    let run = || {
        let requests = signals::follow().context("cannot follow signals")?;
        actix_rt::System::new().block_on(serve(config, room, &log, requests))
    };
    let outcome = run();
    log.flush(logging::PATIENCE);
    outcome
}

async fn serve(
    config: &NodeConfig,
    room: OpenFilesRoom,
    log: &LogQueue,
    mut requests: signals::Requests,
) -> anyhow::Result<()> {
    let tls = LiveTls::load(config)?;
    let mut registration = Registration::new(config)?;
    let mut options = options(config, room, &tls);
    let disk = match config.store.backend {
        StoreKind::Memory => None,
        StoreKind::Disk => Some(open_store(&config.store, log)?),
    };
    if let Some(disk) = &disk {
        options.homes_key = disk.hash_key();
    }
    options.cluster = cluster::options(config, log);
    let backend = || match disk {
        Some(disk) => Box::new(disk) as Box<dyn SessionBackend>,
        None => Box::new(NoBackend),
    };
    let provider = provider(&config.auth)?;
    let (admin, node) = match config.admin.enabled.then(|| AdminListener::bind(config.admin.bind)) {
        // The others that are taken as well: nobody likes to be told of them one by one.
        Some(Err(error)) => return Err(taken(&bind_errors(&options), Some((config.admin.bind, &error)))),
        Some(Ok(listener)) => (Some(listener), Node::start_on(options, provider, backend).await),
        None => (None, Node::start_on(options, provider, backend).await),
    };
    let node = match node {
        Err(StartError::Bind(errors)) => return Err(taken(&errors, None)),
        node => node?,
    };
    let admin = match admin {
        Some(listener) => {
            let listener = listener
                .with_hosts(config.admin.hosts.clone())
                .with_console(Console::new(config.admin.console_dir.clone()))
                .with_connections_max(room.admin_connections_max);
            let figures = Arc::new(Figures::new(node.admin_source(), log.clone(), registration.seen()));
            Some(listener.serve(figures).context("admin.bind: cannot be served")?)
        }
        None => None,
    };
    let ready = async {
        node.until_open().await;
        info!(version = env!("CARGO_PKG_VERSION"), workers = node.shared().peers.len(), "the node is ready");
        let admin = admin.as_ref().map(AdminServer::address);
        announce(config, node.listeners(), admin);
        registration.begin(config, node.listeners(), admin);
        std::future::pending().await
    };
    tls.follow(node.notices());
    let asked_to_stop = async {
        while requests.next().await == Request::Reload {
            tls.reread(node.notices());
            match config.auth.provider {
                ProviderKind::File | ProviderKind::Rpc => node.reload_auth(),
                _ => info!("SIGHUP: nothing to read again, auth.provider is not \"file\""),
            }
        }
    };
    tokio::select! {
        () = ready => {}
        () = asked_to_stop => {}
    }

    info!("shutting down");
    let taken_out = registration.end();
    let grace = Duration::from_millis(config.settings.node.shutdown_grace_ms);
    let stopped = tokio::time::timeout(grace + SHUTDOWN_MARGIN, node.shutdown(grace)).await;
    taken_out.await;
    if let Some(admin) = admin {
        admin.stop();
    }
    match stopped {
        // The node has logged how it went.
        Ok(_) => Ok(()),
        Err(_) => bail!("the shutdown did not end within its grace period of {} ms", grace.as_millis()),
    }
}

/// Opens the folder in which sessions are kept.
fn open_store(store: &StoreConfig, log: &LogQueue) -> anyhow::Result<DiskBackend> {
    let durability = match store.durability {
        StoreDurability::Fsync => Durability::Fsync,
        StoreDurability::Written => Durability::Written,
        StoreDurability::Deferred => Durability::Deferred,
    };
    let log = log.clone();
    let end = move |fatal: Fatal| {
        let cause = std::error::Error::source(&fatal).map(tracing::field::display);
        error!(%fatal, cause, "nobody knows what is on the disk, so the process ends; the next one looks");
        log.flush(logging::PATIENCE);
        process::exit(1);
    };
    DiskBackend::open(&store.folder, durability, end).context(
        "store.folder: cannot be used; choose another (--set store.folder=FOLDER), or have nothing outlive the process \
         (--set store.backend=memory)",
    )
}

/// All addresses that cannot be had, each with the key that names another.
fn taken(listeners: &[BindError], admin: Option<(SocketAddr, &io::Error)>) -> anyhow::Error {
    let mut lines = vec![
        "not all addresses can be listened on; end who listens there, or choose others by the keys named here \
         (--set KEY=ADDRESS:PORT)"
            .to_owned(),
    ];
    lines.extend(listeners.iter().map(ToString::to_string));
    lines.extend(admin.map(|(address, error)| format!("admin.bind: cannot listen on {address}: {error}")));
    anyhow!(lines.join("\n"))
}

/// Who answers who may do what.
fn provider(auth: &AuthSettings) -> anyhow::Result<Provider> {
    Ok(match auth.provider {
        ProviderKind::Rpc => Provider::new(Arc::new(RpcProvider::open(auth)?)),
        _ => Provider::from_settings(auth)?,
    })
}

fn time_of_day() -> WallClock {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    WallClock(since.map_or(0, |since| since.as_millis() as u64))
}

fn options(config: &NodeConfig, room: OpenFilesRoom, tls: &LiveTls) -> NodeOptions {
    let listener = |(name, listener): (&str, &ListenerConfig)| Listener {
        name: name.to_owned(),
        tls: tls.of(name),
        kind: match listener.kind {
            ListenerKind::Tcp => micro_mq_actors::ListenerKind::Tcp,
            ListenerKind::Websocket => micro_mq_actors::ListenerKind::WebSocket(Arc::new(WebSocketOptions {
                path: listener.path.clone(),
                packets_per_frame: listener.packets_per_frame,
                origins: listener.origins.clone(),
            })),
        },
        address: listener.bind,
    };
    let mut settings = config.settings.clone();
    settings.node.connections_max = settings.node.connections_max.min(room.connections_max);
    NodeOptions {
        settings,
        auth: config.auth.clone(),
        listeners: config.enabled_listeners().map(listener).collect(),
        homes_key: drawn_key(),
        time_of_day: time_of_day(),
        keepers: Vec::new(),
        cluster: None,
    }
}

/// One line for each listener, "NAME: URL", then "ready", all on stdout: for eyes, and for scripts that wait for it.
fn announce(config: &NodeConfig, listeners: &[(String, SocketAddr)], admin: Option<SocketAddr>) {
    let mut lines = String::new();
    for (name, address) in listeners {
        let listener = config.listeners.get(name);
        let secure = if listener.is_some_and(ListenerConfig::speaks_tls) { "s" } else { "" };
        let url = match listener {
            Some(ListenerConfig { kind: ListenerKind::Websocket, path, .. }) => {
                format!("ws{secure}://{address}{path}")
            }
            _ => format!("mqtt{secure}://{address}"),
        };
        lines.push_str(&format!("{name}: {url}\n"));
    }
    if let Some(address) = admin {
        lines.push_str(&format!("admin: http://{address}\n"));
    }
    lines.push_str("ready\n");
    logging::say(lines);
}
