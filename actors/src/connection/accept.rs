//! Accepting connections, each of which then has a limited time for its CONNECT.

use std::io::{self, Read as _};
use std::net::{SocketAddr, TcpStream};
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use actix_rt::time::{sleep, timeout};
use auth_actor::ClientCertificate;
use micro_mq_core::pressure::IncompleteBytes;
use tokio::io::unix::AsyncFd;
use tokio::sync::watch;
use tracing::{debug, warn};

use super::deferral::DEFERRAL;
use super::handshake::{self, Accepted, Shown};
use super::listening::{ListenerKind, Listening};
use crate::clock;
use crate::permit::ConnectionPermit;
use crate::transport::{self, ForeignOrigin, Stream, Tls, Transport, WebSocketOptions, WebSocketRefusal};
use crate::worker::Worker;

/// Connections accepted before others have their turn.
const ACCEPTS_PER_TURN: usize = 64;
/// How long a listener rests when the process, or the machine, has no file left: it would fail again at once.
const REST: Duration = Duration::from_millis(100);

/// Accepts on one socket until the node stops.
pub(crate) async fn accept(
    worker: Rc<Worker>,
    Listening { socket, kind, tls, deferred }: Listening,
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
                    handshake(worker, stream, peer, (kind.clone(), tls.clone()), deferred, permit)
                }),
                Ok(Err(error)) if is_of_the_connection(&error) => {}
                Ok(Err(error)) => {
                    worker.counters.accept_errors.add(1);
                    if let Some(left_out) = worker.node.throttles.accept_error.admit(clock::now()) {
                        warn!(%error, left_out, "a network connection could not be accepted");
                    }
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
    let Some(permit) =
        ConnectionPermit::take(&worker.node.connections, worker.node.settings.node.connections_max)
    else {
        worker.counters.connections_full.add(1);
        if let Some(left_out) = worker.node.throttles.connections_full.admit(clock::now()) {
            warn!(
                connections_max = worker.node.settings.node.connections_max,
                left_out,
                "a network connection was closed as it was accepted: there are as many as node.connections_max and the \
                 limit of open files (ulimit -n) leave room for"
            );
        }
        return;
    };
    // Boxed, as tokio moves a future as it is several times, and this one is large.
    let handshake = Box::pin(handshake(Rc::clone(worker), permit));
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
    (kind, tls): (ListenerKind, Option<Tls>),
    deferred: bool,
    permit: ConnectionPermit,
) {
    let mut deadline = clock::now() + connect_patience(&worker);
    let (mut stream, mut received) = match tcp(&worker, stream, deferred) {
        Ok(accepted) => accepted,
        Err(error) => {
            debug!(%error, "a network connection was lost as it was accepted");
            return;
        }
    };
    if deferred && received.is_empty() {
        deadline -= DEFERRAL;
    }
    let mut shown = None;
    if let Some(tls) = tls {
        // Before it is looked at what is in force: a certificate that is revoked meanwhile is found by that.
        let rounds = worker.node.withdrawals.rounds();
        // Boxed, as those without TLS need no room for it.
        let received = std::mem::take(&mut received);
        match Box::pin(secure(&worker, stream, tls.in_force(), received, peer, deadline)).await {
            Some(secured) => stream = secured,
            None => return,
        }
        if let Some(der) = stream.certificate() {
            let Some(certificate) = ClientCertificate::read(der, tls.client_name()) else {
                debug!(%peer, "the certificate of a client cannot be read");
                return;
            };
            shown = Some(Box::new(Shown { certificate, rounds }));
        }
    }
    let (transport, foreign) = match kind {
        ListenerKind::Tcp => (Transport::Plain(stream), None),
        ListenerKind::WebSocket(options) => {
            match websocket(&worker, stream, peer, &options, deadline).await {
                Some(opened) => opened,
                None => return,
            }
        }
    };
    let accepted = Accepted { transport, received, peer: Some(peer), permit, deadline, foreign, shown };
    handshake::run(worker, accepted).await;
}

/// With what it has sent so far, if it was left to the kernel until then: a first look at the socket would only tell that
/// it is there.
fn tcp(worker: &Worker, mut stream: TcpStream, deferred: bool) -> io::Result<(Stream, Vec<u8>)> {
    stream.set_nonblocking(true)?;
    let mut received = Vec::new();
    if deferred {
        let mut scratch = worker.scratch.borrow_mut();
        match stream.read(&mut scratch) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(read) => received.extend_from_slice(&scratch[..read]),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
        worker.counters.bytes_received.add(received.len() as u64);
    }
    Ok((Stream::tcp(stream)?, received))
}

/// Opens a TLS session over a stream; none if that fails, which then is counted.
async fn secure(
    worker: &Worker,
    stream: Stream,
    config: Arc<rustls::ServerConfig>,
    received: Vec<u8>,
    peer: SocketAddr,
    deadline: Instant,
) -> Option<Stream> {
    let mut incomplete = IncompleteBytes::new(&worker.node.incomplete_packets);
    let opening = stream.secure(config, received, &worker.tls_turns, &mut incomplete);
    match timeout(deadline.saturating_duration_since(clock::now()), opening).await {
        Ok(Ok(stream)) => {
            worker.counters.tls_handshakes.add(1);
            Some(stream)
        }
        Ok(Err(error)) => {
            worker.counters.tls_handshakes_failed.add(1);
            if error.kind() == io::ErrorKind::QuotaExceeded {
                worker.counters.incomplete_packets_full.add(1);
            }
            debug!(%peer, %error, "a TLS handshake failed");
            None
        }
        Err(_) => {
            worker.counters.connect_timeouts.add(1);
            debug!(%peer, "a TLS handshake took too long");
            None
        }
    }
}

/// Opens a WebSocket over a stream, perhaps for a web page that may not connect; none if that fails, which then is counted.
async fn websocket(
    worker: &Worker,
    stream: Stream,
    peer: SocketAddr,
    options: &WebSocketOptions,
    deadline: Instant,
) -> Option<(Transport, Option<ForeignOrigin>)> {
    let message_bytes_max = worker.node.settings.mqtt.maximum_packet_size_bytes as usize;
    let opening = transport::websocket(stream, options, message_bytes_max);
    match timeout(deadline.saturating_duration_since(clock::now()), opening).await {
        Ok(Ok((transport, foreign))) => {
            if let Some(foreign) = &foreign {
                worker.peer().websocket_refusals.count(Some(WebSocketRefusal::ForeignOrigin));
                debug!(%peer, %foreign, "the CONNECT of a web page will be refused");
            }
            Some((transport, foreign))
        }
        Ok(Err(error)) => {
            worker.peer().websocket_refusals.count(WebSocketRefusal::of_handshake(&error));
            debug!(%peer, %error, "a WebSocket handshake failed");
            None
        }
        Err(_) => {
            worker.counters.connect_timeouts.add(1);
            None
        }
    }
}
