//! TLS over TCP, on the side of the server. The state of the session moves with the socket from thread to thread.

use std::future::poll_fn;
use std::io::{self, IoSlice, Read, Write};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use auth_actor::CertificateName;
use micro_mq_core::pressure::IncompleteBytes;
use parking_lot::RwLock;
use rustls::{ServerConfig, ServerConnection};
use tokio::io::{AsyncRead as _, AsyncWrite as _, ReadBuf};
use tokio::net::TcpStream;

use super::tcp;
use crate::turns::{Turns, go_on_behind_sockets};

/// Bytes that wait encrypted for the socket; beyond them nothing more is taken.
const UNSENT_BYTES_MAX: usize = 64 * 1024;
/// System calls of one call that reads: records without data must not keep the thread.
const READS_PER_CALL: usize = 8;
/// What a handshake may bring, in bytes: a hello has some hundred, or two thousand with keys for a time of quantum
/// computers. Whoever sends more wants it to be kept.
const HANDSHAKE_BYTES_MAX: usize = 24 * 1024;

/// By what TLS sessions of a listener are opened. It may be replaced while it is in use: clones know of it.
#[derive(Debug, Clone)]
pub struct Tls {
    in_force: Arc<RwLock<Arc<ServerConfig>>>,
    client_name: CertificateName,
}

impl Tls {
    /// With this to begin with. `client_name` says which name of a certificate is that of the client who shows it.
    pub fn new(config: Arc<ServerConfig>, client_name: CertificateName) -> Self {
        Self { in_force: Arc::new(RwLock::new(config)), client_name }
    }

    /// Opens sessions by this from now on. Those that are open, or being opened, stay as they are.
    pub fn replace(&self, config: Arc<ServerConfig>) {
        *self.in_force.write() = config;
    }

    pub(crate) fn in_force(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.in_force.read())
    }

    pub(crate) fn client_name(&self) -> CertificateName {
        self.client_name
    }
}

/// A TLS session and its socket.
#[derive(Debug)]
pub struct TlsStream {
    socket: TcpStream,
    session: ServerConnection,
}

/// The same on its way to another thread.
#[derive(Debug)]
pub struct DetachedTls {
    socket: std::net::TcpStream,
    session: ServerConnection,
}

impl TlsStream {
    /// Runs the handshake over an accepted TCP connection that has sent `received` so far. Each of its steps, which take
    /// milliseconds of the processor, has its turn; what it has brought is held by `incomplete`.
    ///
    /// # Errors
    /// Those of the socket; `InvalidData` around a [`rustls::Error`] when the handshake fails, of which the client is told,
    /// or when it brings too much; `QuotaExceeded` when all that is incomplete may hold no more; `UnexpectedEof` when the
    /// client closes before the end.
    pub(crate) async fn accept(
        socket: TcpStream,
        config: Arc<ServerConfig>,
        received: Vec<u8>,
        turns: &Rc<Turns>,
        incomplete: &mut IncompleteBytes,
    ) -> io::Result<Self> {
        let mut session = ServerConnection::new(config).map_err(invalid)?;
        session.set_buffer_limit(Some(UNSENT_BYTES_MAX));
        let mut stream = Self { socket, session };
        let (mut received, mut bytes) = (io::Cursor::new(received), 0);
        while stream.session.is_handshaking() {
            if received.position() as usize == received.get_ref().len() {
                // The session has it now.
                received = io::Cursor::default();
            }
            if received.get_ref().is_empty() {
                poll_fn(|cx| stream.poll_flush(cx)).await?;
                stream.socket.readable().await?;
            }
            turns.take().await;
            let read = poll_fn(|cx| stream.poll_step(cx, &mut received)).await?;
            bytes += read;
            if IncompleteBytes::is_needed(bytes) && !incomplete.hold(bytes) {
                return Err(io::ErrorKind::QuotaExceeded.into());
            }
            if bytes > HANDSHAKE_BYTES_MAX {
                return Err(io::Error::new(io::ErrorKind::InvalidData, "a handshake without an end"));
            }
        }
        poll_fn(|cx| stream.poll_flush(cx)).await?;
        Ok(stream)
    }

    /// One read of a handshake, of what was received already if there is any, and what follows from it. Returns how many
    /// bytes that were, 0 if there are none yet.
    fn poll_step(
        &mut self,
        cx: &mut Context<'_>,
        received: &mut io::Cursor<Vec<u8>>,
    ) -> Poll<io::Result<usize>> {
        let Self { socket, session } = self;
        let read = if received.get_ref().is_empty() {
            session.read_tls(&mut Polled { socket, cx, unheard: false })
        } else {
            session.read_tls(received)
        };
        match read {
            Ok(0) => Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into())),
            Ok(read) => Poll::Ready(self.step(cx).map(|()| read)),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Poll::Ready(Ok(0)),
            Err(error) => Poll::Ready(Err(error)),
        }
    }

    /// Decrypts what was read. What is wrong with it the peer is told, if the socket has room.
    fn step(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        self.session.process_new_packets().map(drop).map_err(|error| {
            let _ = self.poll_flush(cx);
            invalid(error)
        })
    }

    /// The certificate that the peer has shown, in DER.
    pub(super) fn certificate(&self) -> Option<&[u8]> {
        self.session.peer_certificates()?.first().map(AsRef::as_ref)
    }

    /// The socket below.
    pub(super) fn socket(&self) -> &TcpStream {
        &self.socket
    }

    pub(super) fn poll_read(&mut self, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        self.read(cx, buffer, false)
    }

    pub(super) fn poll_read_unheard(&mut self, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        self.read(&mut Context::from_waker(std::task::Waker::noop()), buffer, true)
    }

    /// Hands out what is decrypted, and reads and decrypts more as long as there is room. A peer that closes without
    /// saying so has closed: packets say themselves where they end.
    fn read(&mut self, cx: &mut Context<'_>, buffer: &mut [u8], unheard: bool) -> Poll<io::Result<usize>> {
        let mut filled = 0;
        for _ in 0..READS_PER_CALL {
            match self.session.reader().read(&mut buffer[filled..]) {
                Ok(0) => return Poll::Ready(Ok(filled)),
                Ok(read) => {
                    filled += read;
                    if filled == buffer.len() {
                        return Poll::Ready(Ok(filled));
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                    return Poll::Ready(Ok(filled));
                }
                Err(error) => return Poll::Ready(Err(error)),
            }
            let Self { socket, session } = self;
            match session.read_tls(&mut Polled { socket, cx, unheard }) {
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    return if filled == 0 { Poll::Pending } else { Poll::Ready(Ok(filled)) };
                }
                // The next read meets it again.
                Err(_) if filled > 0 => return Poll::Ready(Ok(filled)),
                Err(error) => return Poll::Ready(Err(error)),
            }
            match self.step(cx) {
                // An answer to it, such as new keys, leaves as the next flush does.
                Ok(()) => {}
                // So does this: a session that has failed says so for good.
                Err(_) if filled > 0 => return Poll::Ready(Ok(filled)),
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
        if let Ok(read) = self.session.reader().read(&mut buffer[filled..]) {
            filled += read;
        }
        if filled == 0 {
            if !unheard {
                go_on_behind_sockets(cx);
            }
            return Poll::Pending;
        }
        Poll::Ready(Ok(filled))
    }

    /// What is taken is encrypted at once, and leaves now, or as it is flushed.
    pub(super) fn poll_write_vectored(
        &mut self,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        ready!(self.poll_flush(cx))?;
        let taken = self.session.writer().write_vectored(slices)?;
        if let Poll::Ready(Err(error)) = self.poll_flush(cx) {
            return Poll::Ready(Err(error));
        }
        Poll::Ready(Ok(taken))
    }

    pub(super) fn poll_write_ready(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_flush(cx))?;
        self.socket.poll_write_ready(cx)
    }

    pub(super) fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Self { socket, session } = self;
        while session.wants_write() {
            match session.write_tls(&mut Polled { socket, cx, unheard: false }) {
                Ok(0) => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Poll::Pending,
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
        Poll::Ready(Ok(()))
    }

    /// Ready when close_notify and FIN are sent.
    pub(super) fn poll_shutdown(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.session.send_close_notify();
        ready!(self.poll_flush(cx))?;
        Pin::new(&mut self.socket).poll_shutdown(cx)
    }

    pub(super) fn detach(self) -> io::Result<DetachedTls> {
        Ok(DetachedTls { socket: self.socket.into_std()?, session: self.session })
    }

    pub(super) fn attach(detached: DetachedTls) -> io::Result<Self> {
        Ok(Self { socket: TcpStream::from_std(detached.socket)?, session: detached.session })
    }
}

fn invalid(error: rustls::Error) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error)
}

/// The socket in the form that rustls asks for: calls that answer `WouldBlock`, and wake the task.
struct Polled<'a, 'b, 'c> {
    socket: &'a mut TcpStream,
    cx: &'b mut Context<'c>,
    /// What the runtime has not heard of yet is read as well.
    unheard: bool,
}

impl Read for Polled<'_, '_, '_> {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        let mut buffer = ReadBuf::new(bytes);
        match Pin::new(&mut *self.socket).poll_read(self.cx, &mut buffer) {
            Poll::Ready(read) => read.map(|()| buffer.filled().len()),
            Poll::Pending if self.unheard => unblocked(tcp::poll_read_unheard(self.socket, bytes)),
            Poll::Pending => Err(io::ErrorKind::WouldBlock.into()),
        }
    }
}

impl Write for Polled<'_, '_, '_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        unblocked(Pin::new(&mut *self.socket).poll_write(self.cx, bytes))
    }

    fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        unblocked(Pin::new(&mut *self.socket).poll_write_vectored(self.cx, slices))
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn unblocked<T>(poll: Poll<io::Result<T>>) -> io::Result<T> {
    match poll {
        Poll::Ready(result) => result,
        Poll::Pending => Err(io::ErrorKind::WouldBlock.into()),
    }
}
