//! The byte streams that MQTT, or a WebSocket, is spoken over: TCP, TLS, and pipes inside of the process for a simulated
//! node. Who speaks over one sees no difference between them, so another kind (a socket of Unix) is a variant here.

#[cfg(feature = "simulation")]
mod memory;
mod tcp;
mod tls;

use std::io::{self, IoSlice};
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};

use micro_mq_core::pressure::IncompleteBytes;
use rustls::ServerConfig;
use tokio::io::AsyncWrite as _;
use tokio::net::TcpStream;

use super::TransportKind;
use crate::turns::Turns;

#[cfg(feature = "simulation")]
pub use memory::MemoryStream;
#[cfg(feature = "simulation")]
pub(crate) use memory::{Poller, SocketReadiness};
pub use tls::{Tls, TlsStream};

/// Bytes, both ways, registered with the runtime of one thread. Each direction wakes the task that polled it last.
#[derive(Debug)]
pub enum Stream {
    /// A TCP connection.
    Tcp(TcpStream),
    /// TLS over TCP. Boxed, so that it costs those nothing that have none.
    Tls(Box<TlsStream>),
    /// A network connection inside of this process, for a simulated node.
    #[cfg(feature = "simulation")]
    Memory(Box<MemoryStream>),
}

/// A stream that belongs to no runtime, on its way to another thread. Dropping it closes the connection.
#[derive(Debug)]
pub enum DetachedStream {
    /// A TCP connection.
    Tcp(std::net::TcpStream),
    /// TLS over TCP.
    Tls(Box<tls::DetachedTls>),
    /// A network connection inside of this process.
    #[cfg(feature = "simulation")]
    Memory(Box<MemoryStream>),
}

impl Stream {
    /// Takes an accepted TCP connection over. It is set to non-blocking and `TCP_NODELAY`.
    ///
    /// # Errors
    /// Those of setting these options, and of registering with the runtime.
    ///
    /// # Panics
    /// Outside of a tokio runtime with I/O.
    pub fn tcp(stream: std::net::TcpStream) -> io::Result<Self> {
        Ok(Self::Tcp(tcp::register(stream)?))
    }

    /// Opens a TLS session over a TCP connection that has sent `received` so far; see [`TlsStream::accept`].
    ///
    /// # Errors
    /// Those of [`TlsStream::accept`]; `Unsupported` over anything but TCP.
    pub(crate) async fn secure(
        self,
        config: Arc<ServerConfig>,
        received: Vec<u8>,
        turns: &Rc<Turns>,
        incomplete: &mut IncompleteBytes,
    ) -> io::Result<Self> {
        let Self::Tcp(socket) = self else { return Err(io::ErrorKind::Unsupported.into()) };
        Ok(Self::Tls(Box::new(TlsStream::accept(socket, config, received, turns, incomplete).await?)))
    }

    /// Reads what is there into `buffer`, 0 at the end.
    ///
    /// # Errors
    /// Those of the socket.
    pub fn poll_read(&mut self, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        match self {
            Self::Tcp(stream) => tcp::poll_read(stream, cx, buffer),
            Self::Tls(stream) => stream.poll_read(cx, buffer),
            #[cfg(feature = "simulation")]
            Self::Memory(stream) => tcp::poll_read(stream, cx, buffer),
        }
    }

    /// Reads what has arrived since the runtime last looked at the sockets. `Pending` wakes nobody.
    ///
    /// # Errors
    /// Those of the socket.
    pub fn poll_read_unheard(&mut self, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        match self {
            Self::Tcp(stream) => tcp::poll_read_unheard(stream, buffer),
            Self::Tls(stream) => stream.poll_read_unheard(buffer),
            #[cfg(feature = "simulation")]
            Self::Memory(stream) => stream.poll_read_unheard(buffer),
        }
    }

    /// Writes the beginning of `bytes`, and returns how many that were.
    ///
    /// # Errors
    /// Those of the socket.
    pub fn poll_write(&mut self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self {
            Self::Tcp(stream) => Pin::new(stream).poll_write(cx, bytes),
            Self::Tls(stream) => stream.poll_write_vectored(cx, &[IoSlice::new(bytes)]),
            #[cfg(feature = "simulation")]
            Self::Memory(stream) => Pin::new(stream).poll_write(cx, bytes),
        }
    }

    /// [`poll_write`](Self::poll_write) of several slices, by one system call.
    ///
    /// # Errors
    /// Those of the socket.
    pub fn poll_write_vectored(
        &mut self,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self {
            Self::Tcp(stream) => Pin::new(stream).poll_write_vectored(cx, slices),
            Self::Tls(stream) => stream.poll_write_vectored(cx, slices),
            #[cfg(feature = "simulation")]
            Self::Memory(stream) => Pin::new(stream).poll_write_vectored(cx, slices),
        }
    }

    /// Ready unless the stream is known to be full; to write may still say that it is.
    ///
    /// # Errors
    /// Those of the socket.
    pub fn poll_write_ready(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Self::Tcp(stream) => stream.poll_write_ready(cx),
            Self::Tls(stream) => stream.poll_write_ready(cx),
            #[cfg(feature = "simulation")]
            Self::Memory(_) => Poll::Ready(Ok(())),
        }
    }

    /// Ready when everything written is on its way.
    ///
    /// # Errors
    /// Those of the socket.
    pub fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Self::Tcp(stream) => Pin::new(stream).poll_flush(cx),
            Self::Tls(stream) => stream.poll_flush(cx),
            #[cfg(feature = "simulation")]
            Self::Memory(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    /// Says that nothing more will be written. What the peer sends can still be read.
    ///
    /// # Errors
    /// Those of the socket.
    pub fn poll_shutdown(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Self::Tcp(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Tls(stream) => stream.poll_shutdown(cx),
            #[cfg(feature = "simulation")]
            Self::Memory(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }

    /// Deregisters from the runtime of this thread.
    ///
    /// # Errors
    /// Those of deregistering; the connection is closed then.
    pub fn detach(self) -> io::Result<DetachedStream> {
        Ok(match self {
            Self::Tcp(stream) => DetachedStream::Tcp(stream.into_std()?),
            Self::Tls(stream) => DetachedStream::Tls(Box::new(stream.detach()?)),
            #[cfg(feature = "simulation")]
            Self::Memory(stream) => DetachedStream::Memory(stream),
        })
    }

    /// Registers with the runtime of this thread.
    ///
    /// # Errors
    /// Those of registering; the connection is closed then.
    ///
    /// # Panics
    /// Outside of a tokio runtime with I/O.
    pub fn attach(detached: DetachedStream) -> io::Result<Self> {
        Ok(match detached {
            DetachedStream::Tcp(stream) => Self::Tcp(TcpStream::from_std(stream)?),
            DetachedStream::Tls(stream) => Self::Tls(Box::new(TlsStream::attach(*stream)?)),
            #[cfg(feature = "simulation")]
            DetachedStream::Memory(stream) => {
                stream.attach();
                Self::Memory(stream)
            }
        })
    }

    /// The peer's address, unless the stream has none or has lost its connection.
    pub fn peer_address(&self) -> Option<SocketAddr> {
        match self {
            Self::Tcp(stream) => stream.peer_addr().ok(),
            Self::Tls(stream) => stream.socket().peer_addr().ok(),
            #[cfg(feature = "simulation")]
            Self::Memory(_) => None,
        }
    }

    /// The certificate that the peer has shown in a TLS handshake, in DER.
    pub(crate) fn certificate(&self) -> Option<&[u8]> {
        match self {
            Self::Tls(stream) => stream.certificate(),
            _ => None,
        }
    }

    /// The address of this machine that the peer has reached: one of loopback where nobody but this machine can.
    ///
    /// # Errors
    /// Those of the socket.
    pub fn reached(&self) -> io::Result<IpAddr> {
        match self {
            Self::Tcp(stream) => Ok(stream.local_addr()?.ip()),
            Self::Tls(stream) => Ok(stream.socket().local_addr()?.ip()),
            #[cfg(feature = "simulation")]
            Self::Memory(_) => Ok(std::net::Ipv4Addr::LOCALHOST.into()),
        }
    }

    /// What carries the packets if MQTT is spoken over it directly.
    pub fn kind(&self) -> TransportKind {
        match self {
            Self::Tcp(_) => TransportKind::Tcp,
            Self::Tls(_) => TransportKind::Tls,
            #[cfg(feature = "simulation")]
            Self::Memory(_) => TransportKind::Memory,
        }
    }
}
