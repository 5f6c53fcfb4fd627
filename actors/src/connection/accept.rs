//! Listeners: every worker has a socket of its own on each port, and the kernel spreads connections over them.

use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::rc::Rc;
use std::time::Duration;

use actix_rt::time::{sleep, timeout};
use socket2::{Domain, Protocol, Socket, Type};
use tokio::io::unix::AsyncFd;
use tokio::sync::watch;
use tokio::time::Instant;
use tracing::{debug, warn};

use super::handshake;
use super::permit::ConnectionPermit;
use super::transport::{self, WebSocketRefusal, WebSocketSettings};
use crate::worker::Worker;

/// Connections that wait to be accepted, per worker and port.
const BACKLOG: i32 = 4096;
/// Connections accepted before others have their turn.
const ACCEPTS_PER_TURN: usize = 64;
/// How long a listener rests when the process has no descriptor left.
const REST: Duration = Duration::from_millis(100);

/// What a port speaks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ListenerKind {
    /// MQTT over TCP.
    Tcp,
    /// MQTT over WebSocket.
    WebSocket {
        /// The path of the upgrade request, such as `/mqtt`.
        path: String,
    },
}

/// A port to listen on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listener {
    /// Its name in the configuration.
    pub name: String,
    /// What it speaks.
    pub kind: ListenerKind,
    /// Where; port 0 picks a free one.
    pub address: SocketAddr,
}

/// Free ports that are tried where any will do: somebody else may take one between two looks at it.
const FREE_PORTS_TRIED: usize = 8;

/// Binds one socket per worker.
///
/// # Errors
/// When the address cannot be had; another process that listens there counts, even one that would share it.
pub(crate) fn bind(address: SocketAddr, workers: usize) -> io::Result<(SocketAddr, Vec<TcpListener>)> {
    let mut others = if address.port() == 0 { FREE_PORTS_TRIED - 1 } else { 0 };
    loop {
        match bind_once(address, workers) {
            Err(error) if error.kind() == io::ErrorKind::AddrInUse && others > 0 => others -= 1,
            bound => return bound,
        }
    }
}

fn bind_once(address: SocketAddr, workers: usize) -> io::Result<(SocketAddr, Vec<TcpListener>)> {
    // Sockets that share a port do not notice a stranger of the same user who shares it too: look first.
    let probe = TcpListener::bind(address)?;
    let address = probe.local_addr()?;
    drop(probe);
    let sockets = (0..workers).map(|_| bind_one(address)).collect::<io::Result<Vec<_>>>()?;
    Ok((address, sockets))
}

fn bind_one(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

/// Accepts on one socket until the node stops.
pub(crate) async fn accept(
    worker: Rc<Worker>,
    socket: TcpListener,
    kind: ListenerKind,
    mut stop: watch::Receiver<bool>,
) -> io::Result<()> {
    #[expect(
        deprecated,
        reason = "what took its place is unsafe to call; a TcpListener keeps its descriptor"
    )]
    let socket = AsyncFd::new(socket)?;
    loop {
        let mut ready = tokio::select! {
            ready = socket.readable() => ready?,
            _ = stop.wait_for(|stop| *stop) => return Ok(()),
        };
        for _ in 0..ACCEPTS_PER_TURN {
            match ready.try_io(|socket| socket.get_ref().accept()) {
                Ok(Ok((stream, peer))) => begin(&worker, stop.clone(), |worker, permit| {
                    handshake(worker, stream, peer, kind.clone(), permit)
                }),
                Ok(Err(error)) if is_of_the_connection(&error) => {}
                Ok(Err(error)) => {
                    warn!(%error, "a network connection could not be accepted");
                    sleep(REST).await;
                    break;
                }
                Err(_would_block) => break,
            }
        }
        actix_rt::task::yield_now().await;
    }
}

fn is_of_the_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset, Interrupted};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset | Interrupted)
}

/// Begins with a network connection that was accepted, if there is a place for it.
pub(crate) fn begin<H: Future<Output = ()> + 'static>(
    worker: &Rc<Worker>,
    mut stop: watch::Receiver<bool>,
    handshake: impl FnOnce(Rc<Worker>, ConnectionPermit) -> H,
) {
    let Some(permit) = ConnectionPermit::take(&worker.node) else {
        worker.counters.connections_full.add(1);
        return;
    };
    let handshake = handshake(Rc::clone(worker), permit);
    actix_rt::spawn(async move {
        tokio::select! {
            biased;
            () = handshake => {}
            // A client that is not taken in yet does not hold up a shutdown.
            _ = stop.wait_for(|stop| *stop) => {}
        }
    });
}

/// How long a client may take from here to a complete CONNECT.
pub(crate) fn connect_patience(worker: &Worker) -> Duration {
    Duration::from_millis(worker.node.settings.node.connect_timeout_ms)
}

async fn handshake(
    worker: Rc<Worker>,
    stream: TcpStream,
    peer: SocketAddr,
    kind: ListenerKind,
    permit: ConnectionPermit,
) {
    let patience = connect_patience(&worker);
    let deadline = Instant::now() + patience;
    match kind {
        ListenerKind::Tcp => match transport::tcp(stream) {
            Ok(transport) => handshake::run(worker, transport, Some(peer), permit, deadline).await,
            Err(error) => debug!(%error, "a network connection was lost as it was accepted"),
        },
        ListenerKind::WebSocket { path } => {
            let message_bytes_max = worker.node.settings.mqtt.maximum_packet_size_bytes as usize;
            let settings = WebSocketSettings { path, message_bytes_max };
            match timeout(patience, transport::websocket(stream, &settings)).await {
                Ok(Ok(transport)) => handshake::run(worker, transport, Some(peer), permit, deadline).await,
                Ok(Err(error)) => {
                    worker.counters.count_websocket(WebSocketRefusal::of_handshake(&error));
                    debug!(%peer, %error, "a WebSocket handshake failed");
                }
                Err(_) => worker.counters.connect_timeouts.add(1),
            }
        }
    }
}
