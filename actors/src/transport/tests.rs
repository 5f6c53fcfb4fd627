//! Transports over real sockets of the loopback interface, with `tungstenite` as the WebSocket client. Whatever waits,
//! waits at most for `DEADLINE`.

mod handshake;
mod headers;
mod tcp;
mod websocket;

use std::future::{Future, poll_fn};
use std::io::{self, IoSlice, Read};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::pin::pin;
use std::task::Poll;
use std::thread;
use std::time::Duration;

use tungstenite::client::IntoClientRequest;

use super::{ForeignOrigin, HandshakeError, PacketsPerFrame, Stream, Transport, WebSocketOptions};

pub(super) const DEADLINE: Duration = Duration::from_secs(20);

/// The peer of a WebSocket transport. It blocks, so it runs on a thread of its own: see `meanwhile`.
pub(super) type Client = tungstenite::WebSocket<TcpStream>;

/// The two ends of a TCP connection: that of the node, that of the client.
pub(super) fn connection() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    client.set_read_timeout(Some(DEADLINE)).unwrap();
    client.set_write_timeout(Some(DEADLINE)).unwrap();
    client.set_nodelay(true).unwrap();
    (listener.accept().unwrap().0, client)
}

/// Runs the client's part on a thread; the future is done when it is.
pub(super) fn meanwhile<T: Send + 'static>(
    part: impl FnOnce() -> T + Send + 'static,
) -> impl Future<Output = T> {
    let part = tokio::task::spawn_blocking(part);
    async move { within(part).await.expect("the client's part succeeds") }
}

/// Runs a part of the node on another worker: a thread with a runtime of its own.
pub(super) fn on_another_worker<T, F>(part: impl FnOnce() -> F + Send + 'static) -> T
where
    T: Send + 'static,
    F: Future<Output = T>,
{
    thread::spawn(move || actix_rt::System::new().block_on(part()))
        .join()
        .expect("the worker's part succeeds")
}

pub(super) async fn within<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(DEADLINE, future).await.expect("done within the deadline")
}

pub(super) const MESSAGE_BYTES_MAX: usize = 8 * 1024 * 1024;

pub(super) fn options(packets_per_frame: PacketsPerFrame) -> WebSocketOptions {
    WebSocketOptions { packets_per_frame, ..WebSocketOptions::default() }
}

/// MQTT over TCP.
pub(super) fn tcp(node: TcpStream) -> io::Result<Transport> {
    Stream::tcp(node).map(Transport::Plain)
}

/// The node's part of a handshake, with default options: with the web page that may not connect.
pub(super) async fn accept(node: TcpStream) -> Result<(Transport, Option<ForeignOrigin>), HandshakeError> {
    within(super::websocket(Stream::tcp(node)?, &WebSocketOptions::default(), MESSAGE_BYTES_MAX)).await
}

/// A WebSocket after its handshake, which sends what it is given in frames as large as may be, and its client.
pub(super) async fn websocket() -> (Transport, Client) {
    websocket_on(connection(), PacketsPerFrame::Many).await
}

pub(super) async fn websocket_on(
    (node, client): (TcpStream, TcpStream),
    packets_per_frame: PacketsPerFrame,
) -> (Transport, Client) {
    let client = meanwhile(move || {
        let mut request = "ws://localhost/mqtt".into_client_request().unwrap();
        request.headers_mut().insert("Sec-WebSocket-Protocol", "mqtt".parse().unwrap());
        tungstenite::client(request, client).unwrap().0
    });
    let options = options(packets_per_frame);
    let (transport, _) =
        within(super::websocket(Stream::tcp(node).unwrap(), &options, MESSAGE_BYTES_MAX)).await.unwrap();
    (transport, client.await)
}

pub(super) async fn read(transport: &mut Transport, buffer: &mut [u8]) -> io::Result<usize> {
    within(poll_fn(|cx| transport.poll_read(cx, buffer))).await
}

pub(super) async fn read_exactly(transport: &mut Transport, length: usize) -> Vec<u8> {
    let mut bytes = vec![0; length];
    let mut filled = 0;
    while filled < length {
        match read(transport, &mut bytes[filled..]).await.unwrap() {
            0 => panic!("the end after {filled} of {length} bytes"),
            more => filled += more,
        }
    }
    bytes
}

pub(super) async fn write(transport: &mut Transport, bytes: &[u8]) {
    let mut written = 0;
    while written < bytes.len() {
        written += within(poll_fn(|cx| transport.poll_write(cx, &bytes[written..]))).await.unwrap();
    }
    flush(transport).await;
}

pub(super) async fn write_vectored(transport: &mut Transport, slices: &[IoSlice<'_>]) -> usize {
    within(poll_fn(|cx| transport.poll_write_vectored(cx, slices))).await.unwrap()
}

pub(super) async fn flush(transport: &mut Transport) {
    within(poll_fn(|cx| transport.poll_flush(cx))).await.unwrap();
}

pub(super) async fn shutdown(transport: &mut Transport) {
    within(poll_fn(|cx| transport.poll_shutdown(cx))).await.unwrap();
}

/// What `write_until_full` offers at once: a frame.
const BLOCK: usize = 64 * 1024;

/// For so long a full transport takes nothing more. The kernel may send what it holds a piece at a time (pacing), and has
/// room again by and by, until what the peer does not read fills that end, too.
const FULL_FOR: Duration = Duration::from_millis(300);

/// Writes blocks of `pattern` until the transport accepts nothing more; says how many bytes it took.
pub(super) async fn write_until_full(transport: &mut Transport) -> usize {
    let bytes = pattern(1024 * 1024);
    let block = |written: usize| {
        let at = written % bytes.len();
        &bytes[at..(at / BLOCK + 1) * BLOCK]
    };
    // A fresh socket has no room until the runtime has looked at it.
    let mut written = within(poll_fn(|cx| transport.poll_write(cx, block(0)))).await.unwrap();
    loop {
        let more = poll_fn(|cx| transport.poll_write(cx, block(written)));
        match tokio::time::timeout(FULL_FOR, more).await {
            Ok(length) => written += length.unwrap(),
            Err(_) => return written,
        }
        assert!(written < 64 * 1024 * 1024, "accepted without end while the peer does not read");
    }
}

/// What has to follow what `write_until_full` wrote: the rest of the frame.
pub(super) fn rest_of_block(written: usize) -> Vec<u8> {
    repeated_pattern(written.next_multiple_of(BLOCK)).split_off(written)
}

/// Bytes of which no stretch of 1 MiB equals another that starts elsewhere, so that lost or doubled ones show.
pub(super) fn pattern(length: usize) -> Vec<u8> {
    (0..length as u32).map(|index| (index.wrapping_mul(0x9E37_79B1) >> 16) as u8).collect()
}

/// What `write_until_full` wrote.
pub(super) fn repeated_pattern(length: usize) -> Vec<u8> {
    pattern(1024 * 1024).into_iter().cycle().take(length).collect()
}

/// Reads on the client's side until the node has closed.
pub(super) fn read_to_end(client: &mut TcpStream) -> Vec<u8> {
    let mut bytes = Vec::new();
    client.read_to_end(&mut bytes).unwrap();
    bytes
}

/// Polls once and expects nothing to be there.
pub(super) async fn expect_nothing_to_read(transport: &mut Transport) {
    let mut buffer = [0; 16];
    let mut read = pin!(poll_fn(|cx| transport.poll_read(cx, &mut buffer)));
    poll_fn(|cx| match read.as_mut().poll(cx) {
        Poll::Pending => Poll::Ready(()),
        Poll::Ready(result) => panic!("read {result:?}"),
    })
    .await;
}
