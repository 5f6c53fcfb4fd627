//! What TCP and the socket below a WebSocket have in common.

use std::io::{self, Read as _};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use socket2::SockRef;
use tokio::io::{AsyncRead, ReadBuf};
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
