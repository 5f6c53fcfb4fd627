//! All links of a node, and the thread that serves them.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::AbortHandle;
use tracing::{error, warn};

use crate::accept::accept;
use crate::dial::dial;
use crate::greeting::ProofKey;
use crate::options::{LinksOptions, LinksOptionsError, Security};
use crate::queue::{LinkStatus, NotSent, Peer};

type Peers = HashMap<String, Arc<Peer>>;

/// The links of a node. Dropped, they end as by [`Links::stop`], and nobody waits for that.
pub struct Links {
    address: SocketAddr,
    told_bytes_max: usize,
    queued_bytes_max: usize,
    own: String,
    peers: Arc<Mutex<Peers>>,
    changed: watch::Sender<()>,
    thread: JoinHandle<()>,
}

impl Links {
    /// Listens on the cluster port; nobody is dialed before [`Links::set_peers`].
    ///
    /// # Errors
    /// When the port cannot be had, or the options cannot be.
    pub fn start(options: LinksOptions) -> Result<Self, LinksOptionsError> {
        options.check()?;
        let bind = |error| LinksOptionsError::Bind(options.bind, error);
        let socket = std::net::TcpListener::bind(options.bind).map_err(bind)?;
        socket.set_nonblocking(true).map_err(bind)?;
        let address = socket.local_addr().map_err(bind)?;
        let peers: Arc<Mutex<Peers>> = Arc::default();
        let (changed, change) = watch::channel(());
        let (own, told_bytes_max, queued_bytes_max) =
            (options.node.clone(), options.told_bytes_max, options.queued_bytes_max);
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_io()
            .enable_time()
            .build()
            .map_err(LinksOptionsError::Thread)?;
        let (of_thread, options) = (Arc::clone(&peers), Arc::new(options));
        let serve = move || runtime.block_on(serve(socket, options, of_thread, change));
        let thread = thread::Builder::new()
            .name("links".to_owned())
            .spawn(serve)
            .map_err(LinksOptionsError::Thread)?;
        Ok(Self { address, told_bytes_max, queued_bytes_max, own, peers, changed, thread })
    }

    /// Where it listens; the port is the one picked if it was bound to port 0.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Dials these nodes, by name and `host:port`, and no others; this node itself is passed over. Whoever was there with
    /// this address stays linked.
    pub fn set_peers(&self, nodes: impl IntoIterator<Item = (String, String)>) {
        let mut peers = self.peers.lock();
        let mut next = Peers::new();
        for (node, address) in nodes.into_iter().filter(|(node, _)| *node != self.own) {
            let known = peers.get(&node).filter(|peer| peer.address == address).cloned();
            let peer = known.unwrap_or_else(|| Arc::new(Peer::new(node.clone(), address)));
            next.insert(node, peer);
        }
        *peers = next;
        drop(peers);
        self.changed.send_replace(());
    }

    /// Tells a node something. That this returns does not say that it came there.
    ///
    /// # Errors
    /// When it is certain that it will not.
    pub fn tell(&self, node: &str, told: Bytes) -> Result<(), NotSent> {
        if told.len() > self.told_bytes_max {
            return Err(NotSent::TooLong);
        }
        let peer = self.peers.lock().get(node).cloned().ok_or(NotSent::Unknown)?;
        peer.push(told, self.queued_bytes_max)
    }

    /// How it stands with each other node, by name.
    pub fn status(&self) -> Vec<LinkStatus> {
        let mut all: Vec<_> = self.peers.lock().values().map(|peer| peer.status()).collect();
        all.sort_by(|a, b| a.node.cmp(&b.node));
        all
    }

    /// Ends all links, and waits for the thread. What waits is not told.
    pub fn stop(self) {
        drop(self.changed);
        if self.thread.join().is_err() {
            warn!("the thread of the links panicked");
        }
    }
}

async fn serve(
    socket: std::net::TcpListener,
    options: Arc<LinksOptions>,
    peers: Arc<Mutex<Peers>>,
    mut changed: watch::Receiver<()>,
) {
    let key = match &options.security {
        Security::Key(key) => ProofKey::new(key),
        // Certificates say it all.
        Security::Tls { .. } => ProofKey::new(&[]),
    };
    match TcpListener::from_std(socket) {
        Ok(listener) => drop(tokio::spawn(accept(listener, Arc::clone(&options), key.clone()))),
        Err(error) => return error!(%error, "the cluster port cannot be served"),
    }
    let mut dialed: HashMap<String, (Arc<Peer>, AbortHandle)> = HashMap::new();
    while changed.changed().await.is_ok() {
        let wanted = peers.lock().clone();
        dialed.retain(|node, (peer, task)| {
            let stays = wanted.get(node).is_some_and(|other| Arc::ptr_eq(other, peer));
            if !stays {
                task.abort();
            }
            stays
        });
        for (node, peer) in wanted {
            dialed.entry(node).or_insert_with(|| {
                let task = tokio::spawn(dial(Arc::clone(&peer), Arc::clone(&options), key.clone()));
                (peer, task.abort_handle())
            });
        }
    }
}
