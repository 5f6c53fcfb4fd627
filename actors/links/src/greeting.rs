//! How two nodes come to know each other: names, cluster, versions, and a proof of the key.

use bytes::{Buf, BufMut, Bytes, BytesMut};
use ring::hmac;
use ring::rand::{SecureRandom, SystemRandom};

/// The versions of what is spoken behind the greeting that this program knows: the first and the last.
pub(crate) const VERSIONS: (u8, u8) = (1, 1);

const MAGIC: &[u8; 8] = b"micro-mq";
const NONCE_BYTES: usize = 32;

/// The most bytes of a name. A node's is a name of DNS, so that a certificate can say it.
pub(crate) const NAME_BYTES_MAX: usize = 253;

/// The most bytes of a frame before it is known who sends it.
pub(crate) const GREETING_BYTES_MAX: usize = 1024;

/// The two sides of a network connection: a proof of one is none for the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Side {
    Dialing,
    Accepting,
}

/// Why two nodes do not speak with each other.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Disagreement {
    /// It is no node, or one of another world.
    #[error("what came is no greeting of a node")]
    NoGreeting,
    /// The same Kafka or the same addresses are used by two clusters.
    #[error("it belongs to the cluster \"{theirs}\" and not to \"{ours}\"")]
    Cluster {
        /// As it says.
        theirs: String,
        /// As this node was told.
        ours: String,
    },
    /// Addresses were mixed up, or a node runs elsewhere by now.
    #[error("\"{there}\" is there, and not \"{expected}\"")]
    OtherNode {
        /// Who answers.
        there: String,
        /// Who should.
        expected: String,
    },
    /// They are too many releases apart.
    #[error("it speaks the versions {} to {}, and this one {} to {}", .theirs.0, .theirs.1, VERSIONS.0, VERSIONS.1)]
    Version {
        /// The first and the last that it speaks.
        theirs: (u8, u8),
    },
    /// Their keys differ.
    #[error("it has another cluster.key")]
    Key,
    /// Its certificate is of another node.
    #[error("its certificate does not name \"{name}\"")]
    Certificate {
        /// As it calls itself.
        name: String,
    },
    /// It says no, and why.
    #[error("it refuses: {0}")]
    Refused(String),
}

/// The first thing that either side says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Hello {
    pub(crate) versions: (u8, u8),
    pub(crate) cluster: String,
    pub(crate) from: String,
    pub(crate) to: String,
    pub(crate) nonce: [u8; NONCE_BYTES],
}

impl Hello {
    /// With a nonce of its own.
    pub(crate) fn new(cluster: &str, from: &str, to: &str) -> Self {
        let mut nonce = [0; NONCE_BYTES];
        SystemRandom::new().fill(&mut nonce).expect("the operating system has random numbers");
        let (cluster, from, to) = (cluster.to_owned(), from.to_owned(), to.to_owned());
        Self { versions: VERSIONS, cluster, from, to, nonce }
    }

    pub(crate) fn encode(&self) -> Bytes {
        let mut bytes = BytesMut::with_capacity(GREETING_BYTES_MAX);
        bytes.put_slice(MAGIC);
        bytes.put_u8(self.versions.0);
        bytes.put_u8(self.versions.1);
        bytes.put_slice(&self.nonce);
        for name in [&self.cluster, &self.from, &self.to] {
            bytes.put_u8(u8::try_from(name.len()).expect("names are checked before"));
            bytes.put_slice(name.as_bytes());
        }
        bytes.freeze()
    }

    /// Bytes behind the names are those of a later version.
    pub(crate) fn decode(mut bytes: Bytes) -> Option<Self> {
        if bytes.len() < MAGIC.len() + 2 + NONCE_BYTES || bytes.split_to(MAGIC.len()) != MAGIC[..] {
            return None;
        }
        let versions = (bytes.get_u8(), bytes.get_u8());
        let mut nonce = [0; NONCE_BYTES];
        bytes.copy_to_slice(&mut nonce);
        let mut name = || {
            let length = usize::from(bytes.try_get_u8().ok()?);
            if length > NAME_BYTES_MAX || length > bytes.len() {
                return None;
            }
            let name = String::from_utf8(bytes.split_to(length).into()).ok()?;
            (!name.chars().any(char::is_control)).then_some(name)
        };
        let (cluster, from, to) = (name()?, name()?, name()?);
        (versions.0 <= versions.1).then_some(Self { versions, cluster, from, to, nonce })
    }

    /// The version that both speak, when this node greets with `ours`.
    pub(crate) fn agree(&self, ours: &Self) -> Result<u8, Disagreement> {
        if self.cluster != ours.cluster {
            return Err(Disagreement::Cluster { theirs: self.cluster.clone(), ours: ours.cluster.clone() });
        }
        if self.to != ours.from {
            return Err(Disagreement::OtherNode { there: ours.from.clone(), expected: self.to.clone() });
        }
        let version = self.versions.1.min(ours.versions.1);
        if version < self.versions.0.max(ours.versions.0) {
            return Err(Disagreement::Version { theirs: self.versions });
        }
        Ok(version)
    }
}

/// A key, with which a side shows that it knows it, for these two greetings alone.
#[derive(Clone)]
pub(crate) struct ProofKey(hmac::Key);

impl ProofKey {
    pub(crate) fn new(key: &[u8]) -> Self {
        Self(hmac::Key::new(hmac::HMAC_SHA256, key))
    }

    pub(crate) fn prove(&self, side: Side, dialing: &Hello, accepting: &Hello) -> Bytes {
        Bytes::copy_from_slice(hmac::sign(&self.0, &proven(side, dialing, accepting)).as_ref())
    }

    /// Compares in constant time.
    pub(crate) fn verify(&self, proof: &[u8], side: Side, dialing: &Hello, accepting: &Hello) -> bool {
        hmac::verify(&self.0, &proven(side, dialing, accepting), proof).is_ok()
    }
}

/// Both greetings whole: each has its length in itself.
fn proven(side: Side, dialing: &Hello, accepting: &Hello) -> Vec<u8> {
    let label: &[u8] = match side {
        Side::Dialing => b"dialing",
        Side::Accepting => b"accepting",
    };
    [label, &dialing.encode(), &accepting.encode()].concat()
}
