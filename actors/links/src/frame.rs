//! The frames of a link: four bytes of length, one that says of what kind, and the rest.

use bytes::{BufMut, Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt};

/// The kinds. A number is never given to another.
const HELLO: u8 = 0;
const PROOF: u8 = 1;
const REFUSAL: u8 = 2;
const PING: u8 = 3;
const PONG: u8 = 4;
const TOLD: u8 = 5;

/// Bytes in front of what a frame carries.
pub(crate) const HEAD_BYTES: usize = 5;

/// One frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Frame {
    /// The first of either side.
    Hello(Bytes),
    /// That it has the key.
    Proof(Bytes),
    /// Why it goes no further, in words.
    Refusal(String),
    Ping,
    Pong,
    /// What one node tells another.
    Told(Bytes),
}

/// What came is no frame, or none that is taken.
#[derive(Debug, thiserror::Error)]
pub enum FrameError {
    /// The network connection is gone.
    #[error(transparent)]
    Io(#[from] std::io::Error),
    /// Longer than whoever reads it is willing to take.
    #[error("a frame of {length} bytes, and no more than {most} are taken")]
    TooLong {
        /// Its length, as it says.
        length: u32,
        /// What is taken.
        most: usize,
    },
    /// A kind that nobody knows, or one without what belongs to it.
    #[error("a frame that is none (kind {kind})")]
    Malformed {
        /// As it says.
        kind: u8,
    },
}

impl Frame {
    pub(crate) fn write(&self, to: &mut BytesMut) {
        let (kind, body): (u8, &[u8]) = match self {
            Self::Hello(body) => (HELLO, body),
            Self::Proof(body) => (PROOF, body),
            Self::Refusal(text) => (REFUSAL, text.as_bytes()),
            Self::Ping => (PING, &[]),
            Self::Pong => (PONG, &[]),
            Self::Told(body) => (TOLD, body),
        };
        to.reserve(HEAD_BYTES + body.len());
        to.put_u32(u32::try_from(body.len() + 1).expect("senders keep to the longest frame"));
        to.put_u8(kind);
        to.put_slice(body);
    }

    fn of(kind: u8, body: Bytes) -> Result<Self, FrameError> {
        match kind {
            HELLO => Ok(Self::Hello(body)),
            PROOF => Ok(Self::Proof(body)),
            REFUSAL => match String::from_utf8(body.into()) {
                Ok(text) if !text.chars().any(char::is_control) => Ok(Self::Refusal(text)),
                _ => Err(FrameError::Malformed { kind }),
            },
            PING if body.is_empty() => Ok(Self::Ping),
            PONG if body.is_empty() => Ok(Self::Pong),
            TOLD => Ok(Self::Told(body)),
            _ => Err(FrameError::Malformed { kind }),
        }
    }

    /// The next frame, of which what is told has at most `most` bytes.
    ///
    /// # Errors
    /// When there is none, or none that is taken.
    ///
    /// # Cancel safety
    /// None: what was read of a frame is lost.
    pub(crate) async fn read(from: &mut (impl AsyncRead + Unpin), most: usize) -> Result<Self, FrameError> {
        let length = from.read_u32().await?;
        let wanted = length as usize;
        if wanted > most + 1 {
            return Err(FrameError::TooLong { length, most });
        }
        if wanted == 0 {
            return Err(FrameError::Malformed { kind: u8::MAX });
        }
        let kind = from.read_u8().await?;
        // Memory is taken as bytes come, and not as a length promises them.
        let mut body = BytesMut::new();
        while body.len() < wanted - 1 {
            let rest = wanted - 1 - body.len();
            body.reserve(rest.min(64 * 1024));
            if from.take(rest as u64).read_buf(&mut body).await? == 0 {
                return Err(FrameError::Io(std::io::ErrorKind::UnexpectedEof.into()));
            }
        }
        Self::of(kind, body.freeze())
    }
}
