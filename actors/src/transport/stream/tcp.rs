//! What TCP and the socket below a WebSocket have in common.

use std::future::Future as _;
use std::io::{self, Read as _};
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker, ready};

use socket2::SockRef;
use tokio::io::{AsyncRead, Interest, ReadBuf};
use tokio::net::TcpStream;

/// Registers an accepted connection with the runtime of this thread.
pub(super) fn register(stream: std::net::TcpStream) -> io::Result<TcpStream> {
    stream.set_nonblocking(true)?;
    stream.set_nodelay(true)?;
    TcpStream::from_std(stream)
}

/// Reads what is there, 0 at the end. A read that does not fill `buffer` tells tokio that the socket is empty, which
/// spares the next call its system call (`try_read` has no such knowledge).
pub(super) fn poll_read(
    stream: &mut (impl AsyncRead + Unpin),
    cx: &mut Context<'_>,
    buffer: &mut [u8],
) -> Poll<io::Result<usize>> {
    let mut buffer = ReadBuf::new(buffer);
    ready!(Pin::new(stream).poll_read(cx, &mut buffer))?;
    Poll::Ready(Ok(buffer.filled().len()))
}

/// Reads what the kernel has, though the runtime has not heard of it: it looks at the sockets now and then.
pub(super) fn poll_read_unheard(stream: &TcpStream, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
    match (&*SockRef::from(stream)).read(buffer) {
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Poll::Pending,
        read => Poll::Ready(read),
    }
}

/// Whether the runtime has heard that the peer closed its side, though what it sent before is not read.
pub(super) fn is_over(stream: &TcpStream) -> bool {
    let ready = pin!(stream.ready(Interest::READABLE)).poll(&mut Context::from_waker(Waker::noop()));
    matches!(ready, Poll::Ready(Ok(ready)) if ready.is_read_closed())
}
