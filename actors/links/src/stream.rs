//! A network connection between two nodes, encrypted or not, and the frames on it.

use std::time::Duration;

use bytes::BytesMut;
use rustls::client::verify_server_name;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::server::ParsedCertificate;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};

use crate::frame::{Frame, FrameError};
use crate::greeting::{Disagreement, GREETING_BYTES_MAX, Hello};

/// From an open connection to one on which both know each other.
pub(crate) const GREETING_PATIENCE: Duration = Duration::from_secs(5);

/// How often whoever dialed asks whether the other one is there.
pub(crate) const PING_INTERVAL: Duration = Duration::from_secs(2);

/// Behind so long a silence the other one counts as gone.
pub(crate) const SILENCE_MAX: Duration = Duration::from_secs(6);

/// TCP, or TLS over it.
pub(crate) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

pub(crate) type BoxedStream = Box<dyn Stream>;

/// Why a network connection between nodes ended, or never came to be.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LinkError {
    #[error("cannot connect: {0}")]
    Connect(#[source] std::io::Error),
    #[error("{0}")]
    Disagreement(#[from] Disagreement),
    #[error("{0}")]
    Frame(#[from] FrameError),
    #[error("silent for {} ms", .0.as_millis())]
    Silent(Duration),
    #[error("a frame out of place")]
    OutOfPlace,
}

impl From<std::io::Error> for LinkError {
    fn from(error: std::io::Error) -> Self {
        Self::Frame(FrameError::Io(error))
    }
}

/// Writes frames, in one piece.
pub(crate) async fn write(to: &mut (impl AsyncWrite + Unpin), frames: &[Frame]) -> Result<(), LinkError> {
    let mut bytes = BytesMut::new();
    for frame in frames {
        frame.write(&mut bytes);
    }
    to.write_all(&bytes).await?;
    to.flush().await?;
    Ok(())
}

/// The greeting of the other side; its refusal is an error.
pub(crate) async fn read_hello(from: &mut BoxedStream) -> Result<Hello, LinkError> {
    match Frame::read(from, GREETING_BYTES_MAX).await? {
        Frame::Hello(bytes) => Ok(Hello::decode(bytes).ok_or(Disagreement::NoGreeting)?),
        Frame::Refusal(why) => Err(Disagreement::Refused(why).into()),
        _ => Err(Disagreement::NoGreeting.into()),
    }
}

pub(crate) async fn read_proof(from: &mut BoxedStream) -> Result<bytes::Bytes, LinkError> {
    match Frame::read(from, GREETING_BYTES_MAX).await? {
        Frame::Proof(proof) => Ok(proof),
        Frame::Refusal(why) => Err(Disagreement::Refused(why).into()),
        _ => Err(Disagreement::NoGreeting.into()),
    }
}

/// Whether a certificate, whose chain was verified before, is that of the node of this name.
pub(crate) fn names_node(certificate: &CertificateDer<'_>, node: &str) -> bool {
    let (Ok(parsed), Ok(name)) = (ParsedCertificate::try_from(certificate), ServerName::try_from(node))
    else {
        return false;
    };
    verify_server_name(&parsed, &name).is_ok()
}
