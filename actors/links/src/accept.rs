//! The cluster port: other nodes come, show who they are, and tell things.

use std::sync::Arc;

use rustls::pki_types::CertificateDer;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsAcceptor;
use tracing::{debug, warn};

use crate::frame::Frame;
use crate::greeting::{Disagreement, Hello, ProofKey, Side};
use crate::options::{Event, LinksOptions, Security};
use crate::stream::{
    BoxedStream, GREETING_PATIENCE, LinkError, PING_INTERVAL, SILENCE_MAX, names_node, read_hello,
    read_proof, write,
};

/// Network connections whose other side is not known yet; further ones wait in the backlog.
const STRANGERS_MAX: usize = 64;

/// Takes connections for as long as it is polled.
pub(crate) async fn accept(listener: TcpListener, options: Arc<LinksOptions>, key: ProofKey) {
    let strangers = Arc::new(Semaphore::new(STRANGERS_MAX));
    loop {
        let permit = Arc::clone(&strangers).acquire_owned().await.expect("it is never closed");
        let (stream, from) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(error) => {
                warn!(%error, "the cluster port cannot accept");
                sleep(PING_INTERVAL).await;
                continue;
            }
        };
        let (options, key) = (Arc::clone(&options), key.clone());
        tokio::spawn(async move {
            let met = timeout(GREETING_PATIENCE, meet(stream, &options, &key)).await;
            drop(permit);
            let (stream, node) = match met {
                Ok(Ok(met)) => met,
                // Whoever looks whether somebody is there says nothing, and is nobody to speak of.
                Ok(Err(LinkError::Frame(error))) => {
                    return debug!(%from, %error, "nobody came to the cluster port");
                }
                Ok(Err(error)) => return warn!(%from, %error, "refused at the cluster port"),
                Err(_) => return debug!(%from, "silent at the cluster port"),
            };
            let ended = hear(stream, &node, &options).await;
            debug!(node, why = ended.err().map(|error| error.to_string()), "a node tells nothing more");
        });
    }
}

/// Who is there, once that is certain.
async fn meet(
    stream: TcpStream,
    options: &LinksOptions,
    key: &ProofKey,
) -> Result<(BoxedStream, String), LinkError> {
    stream.set_nodelay(true)?;
    let (mut stream, certificate): (BoxedStream, Option<CertificateDer<'static>>) = match &options.security {
        Security::Key(_) => (Box::new(stream), None),
        Security::Tls { server, .. } => {
            let stream = TlsAcceptor::from(Arc::clone(server)).accept(stream).await?;
            let chain = stream.get_ref().1.peer_certificates();
            let certificate = chain.and_then(<[_]>::first).cloned().map(CertificateDer::into_owned);
            (Box::new(stream), Some(certificate.ok_or(Disagreement::NoGreeting)?))
        }
    };
    let theirs = read_hello(&mut stream).await?;
    let ours = Hello::new(&options.cluster, &options.node, &theirs.from);
    let judged = theirs.agree(&ours).and_then(|version| match &certificate {
        Some(certificate) if !names_node(certificate, &theirs.from) => {
            Err(Disagreement::Certificate { name: theirs.from.clone() })
        }
        _ => Ok(version),
    });
    if let Err(why) = judged {
        write(&mut stream, &[Frame::Refusal(why.to_string())]).await?;
        return Err(why.into());
    }
    let proof = key.prove(Side::Accepting, &theirs, &ours);
    write(&mut stream, &[Frame::Hello(ours.encode()), Frame::Proof(proof)]).await?;
    let shown = read_proof(&mut stream).await?;
    if !key.verify(&shown, Side::Dialing, &theirs, &ours) {
        write(&mut stream, &[Frame::Refusal(Disagreement::Key.to_string())]).await?;
        return Err(Disagreement::Key.into());
    }
    // Whoever dialed knows by this that it is known.
    write(&mut stream, &[Frame::Pong]).await?;
    Ok((stream, theirs.from))
}

async fn hear(mut stream: BoxedStream, node: &str, options: &LinksOptions) -> Result<(), LinkError> {
    loop {
        let next = timeout(SILENCE_MAX, Frame::read(&mut stream, options.told_bytes_max)).await;
        match next.map_err(|_| LinkError::Silent(SILENCE_MAX))?? {
            Frame::Told(told) => (options.on_event)(Event::Told(node.to_owned(), told)),
            Frame::Ping => timeout(SILENCE_MAX, write(&mut stream, &[Frame::Pong]))
                .await
                .map_err(|_| LinkError::Silent(SILENCE_MAX))??,
            _ => return Err(LinkError::OutOfPlace),
        }
    }
}
