//! The way to one other node: dialed, again and again, and told things while it is there.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite, split};
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tokio_rustls::TlsConnector;
use tracing::{info, warn};

use crate::frame::Frame;
use crate::greeting::{Disagreement, Hello, ProofKey, Side};
use crate::options::{Event, LinksOptions, Security};
use crate::queue::Peer;
use crate::stream::{
    BoxedStream, GREETING_PATIENCE, LinkError, PING_INTERVAL, SILENCE_MAX, read_hello, read_proof, write,
};

/// Behind a failure, and twice as long behind each further one, up to the longest.
const PAUSE_MIN: Duration = Duration::from_millis(100);
const PAUSE_MAX: Duration = Duration::from_secs(2);

/// Bytes of what is told that are written at once.
const WRITE_BYTES: usize = 256 * 1024;

/// Dials and tells for as long as it is polled.
pub(crate) async fn dial(peer: Arc<Peer>, options: Arc<LinksOptions>, key: ProofKey) {
    let node = &*peer.node;
    let mut pause = PAUSE_MIN;
    loop {
        let met = timeout(GREETING_PATIENCE, meet(&peer, &options, &key)).await;
        let cause = match met.unwrap_or(Err(LinkError::Silent(GREETING_PATIENCE))) {
            Ok(stream) => {
                pause = PAUSE_MIN;
                peer.is_up();
                info!(node, address = peer.address, "linked to a node");
                (options.on_event)(Event::Up(node.to_owned()));
                let down = Down { peer: &peer, options: &options };
                let Err(error) = tell(stream, &peer).await;
                peer.is_down(error.to_string());
                drop(down);
                Some(error)
            }
            Err(error) => peer.is_down(error.to_string()).then_some(error),
        };
        if let Some(cause) = cause {
            warn!(node, address = peer.address, %cause, "not linked to a node");
        }
        sleep(pause).await;
        pause = (pause * 2).min(PAUSE_MAX);
    }
}

/// Says that a link ended, also when nobody goes on with it.
struct Down<'a> {
    peer: &'a Peer,
    options: &'a LinksOptions,
}

impl Drop for Down<'_> {
    fn drop(&mut self) {
        if self.peer.status().up_since.is_some() {
            self.peer.is_down("it is dialed no more".to_owned());
        }
        (self.options.on_event)(Event::Down(self.peer.node.clone()));
    }
}

async fn meet(peer: &Peer, options: &LinksOptions, key: &ProofKey) -> Result<BoxedStream, LinkError> {
    let stream = TcpStream::connect(&*peer.address).await.map_err(LinkError::Connect)?;
    stream.set_nodelay(true)?;
    let mut stream: BoxedStream = match &options.security {
        Security::Key(_) => Box::new(stream),
        Security::Tls { client, .. } => {
            let name = ServerName::try_from(peer.node.clone())
                .map_err(|_| Disagreement::Certificate { name: peer.node.clone() })?;
            let connected = TlsConnector::from(Arc::clone(client)).connect(name, stream).await;
            Box::new(connected.map_err(LinkError::Connect)?)
        }
    };
    let ours = Hello::new(&options.cluster, &options.node, &peer.node);
    write(&mut stream, &[Frame::Hello(ours.encode())]).await?;
    let theirs = read_hello(&mut stream).await?;
    theirs.agree(&ours)?;
    if theirs.from != peer.node {
        return Err(Disagreement::OtherNode { there: theirs.from, expected: peer.node.clone() }.into());
    }
    let shown = read_proof(&mut stream).await?;
    if !key.verify(&shown, Side::Accepting, &ours, &theirs) {
        return Err(Disagreement::Key.into());
    }
    write(&mut stream, &[Frame::Proof(key.prove(Side::Dialing, &ours, &theirs))]).await?;
    match Frame::read(&mut stream, crate::greeting::GREETING_BYTES_MAX).await? {
        Frame::Pong => Ok(stream),
        Frame::Refusal(why) => Err(Disagreement::Refused(why).into()),
        _ => Err(LinkError::OutOfPlace),
    }
}

/// Tells what waits, until the link ends.
async fn tell(stream: BoxedStream, peer: &Peer) -> Result<std::convert::Infallible, LinkError> {
    let (mut reading, mut writing) = split(stream);
    let heard = Mutex::new(Instant::now());
    tokio::select! {
        ended = hear(&mut reading, &heard) => ended,
        ended = write_what_waits(&mut writing, peer, &heard) => ended,
    }
}

async fn hear(
    reading: &mut (impl AsyncRead + Unpin),
    heard: &Mutex<Instant>,
) -> Result<std::convert::Infallible, LinkError> {
    loop {
        match Frame::read(reading, 0).await? {
            Frame::Pong => *heard.lock() = Instant::now(),
            _ => return Err(LinkError::OutOfPlace),
        }
    }
}

async fn write_what_waits(
    writing: &mut (impl AsyncWrite + Unpin),
    peer: &Peer,
    heard: &Mutex<Instant>,
) -> Result<std::convert::Infallible, LinkError> {
    let mut next_ping = Instant::now() + PING_INTERVAL;
    loop {
        let told = peer.take(WRITE_BYTES);
        let mut frames: Vec<Frame> = told.into_iter().map(Frame::Told).collect();
        let now = Instant::now();
        if now >= next_ping {
            if now - *heard.lock() > SILENCE_MAX {
                return Err(LinkError::Silent(now - *heard.lock()));
            }
            next_ping = now + PING_INTERVAL;
            frames.push(Frame::Ping);
        }
        if frames.is_empty() {
            tokio::select! {
                () = peer.news.notified() => {}
                () = sleep_until(next_ping) => {}
            }
            continue;
        }
        let written = timeout(SILENCE_MAX, write(writing, &frames)).await;
        written.map_err(|_| LinkError::Silent(SILENCE_MAX))??;
    }
}
