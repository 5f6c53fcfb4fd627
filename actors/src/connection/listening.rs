//! Listeners: every worker has a socket of its own on each port, and the kernel spreads connections over them.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use socket2::{Domain, Protocol, Socket, Type};
use tracing::debug;

use super::deferral;
use crate::transport::{Tls, WebSocketOptions};

/// Connections that wait to be accepted, and again as many that are deferred, per worker and port.
const BACKLOG: i32 = 4096;

/// What a port speaks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ListenerKind {
    /// MQTT over TCP.
    Tcp,
    /// MQTT over WebSocket.
    WebSocket(Arc<WebSocketOptions>),
}

/// A port to listen on.
#[derive(Debug, Clone)]
pub struct Listener {
    /// Its name in the configuration.
    pub name: String,
    /// What it speaks.
    pub kind: ListenerKind,
    /// By what a TLS session is opened below that; none: without TLS.
    pub tls: Option<Tls>,
    /// Where; port 0 picks a free one.
    pub address: SocketAddr,
}

/// Free ports that are tried where any will do: somebody else may take one between two looks at it.
const FREE_PORTS_TRIED: usize = 8;

/// A socket that listens, of one worker.
#[derive(Debug)]
pub(crate) struct Listening {
    pub(super) socket: TcpListener,
    pub(super) kind: ListenerKind,
    pub(super) tls: Option<Tls>,
    /// Whether connections are left to the kernel until they have sent something, as far as [`deferral`] says.
    pub(super) deferred: bool,
}

impl Listener {
    /// Binds one socket per worker. `patience` is the time that a client has for its CONNECT.
    ///
    /// # Errors
    /// When the address cannot be had; another process that listens there counts, even one that would share it.
    pub(crate) fn bind(
        &self,
        workers: usize,
        patience: Duration,
    ) -> io::Result<(SocketAddr, Vec<Listening>)> {
        // Who speaks TLS speaks first, over a WebSocket too.
        let speaks_first = self.kind == ListenerKind::Tcp || self.tls.is_some();
        let defers = speaks_first && deferral::pays(patience);
        let mut others = if self.address.port() == 0 { FREE_PORTS_TRIED - 1 } else { 0 };
        let (address, sockets) = loop {
            match bind_once(self.address, workers, defers) {
                Err(error) if error.kind() == io::ErrorKind::AddrInUse && others > 0 => others -= 1,
                bound => break bound?,
            }
        };
        let listening = |(socket, deferred)| Listening {
            socket,
            kind: self.kind.clone(),
            tls: self.tls.clone(),
            deferred,
        };
        Ok((address, sockets.into_iter().map(listening).collect()))
    }
}

fn bind_once(
    address: SocketAddr,
    workers: usize,
    defers: bool,
) -> io::Result<(SocketAddr, Vec<(TcpListener, bool)>)> {
    // Sockets that share a port do not notice a stranger of the same user who shares it too: look first.
    let probe = TcpListener::bind(address)?;
    let address = probe.local_addr()?;
    drop(probe);
    let sockets = (0..workers).map(|_| bind_one(address, defers)).collect::<io::Result<Vec<_>>>()?;
    Ok((address, sockets))
}

/// And whether connections are deferred.
fn bind_one(address: SocketAddr, defers: bool) -> io::Result<(TcpListener, bool)> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    let deferred = defers
        && deferral::defer(&socket)
            .inspect_err(|error| debug!(%error, "connections are accepted before they send anything"))
            .is_ok();
    socket.listen(BACKLOG)?;
    Ok((socket.into(), deferred))
}
