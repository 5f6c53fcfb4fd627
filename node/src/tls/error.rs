//! What is wrong with the files of a listener.

use std::io;
use std::path::PathBuf;

use rustls::pki_types::pem;
use rustls::server::VerifierBuilderError;

/// What is wrong with the files of a listener; names the key and the file.
#[derive(Debug, thiserror::Error)]
#[error("{key}: {}: {problem}", file.display())]
pub struct TlsError {
    /// With its table: `listener.tcp.tls_key`.
    pub key: String,
    /// As configured.
    pub file: PathBuf,
    /// What is wrong with it.
    pub problem: FileProblem,
}

/// What is wrong with a file.
#[derive(Debug, thiserror::Error)]
pub enum FileProblem {
    /// The operating system says why.
    #[error("cannot be read: {0}")]
    Read(io::Error),
    /// It is damaged.
    #[error("{0}")]
    Pem(pem::Error),
    /// It holds nothing of what it is for.
    #[error("no {0} in it (PEM)")]
    Nothing(&'static str),
    /// It holds a secret that is none.
    #[error("others may read it; take that right from them (chmod o-r)")]
    Open,
    /// The key is another certificate's, or of a kind that is not known.
    #[error("does not go with {}: {cause}", certificate.display())]
    Pair {
        /// As configured.
        certificate: PathBuf,
        /// Why.
        cause: Box<rustls::Error>,
    },
    /// A certificate of a CA, or a revocation list, that cannot be used.
    #[error("cannot be used: {0}")]
    Unusable(String),
}

impl From<VerifierBuilderError> for FileProblem {
    fn from(error: VerifierBuilderError) -> Self {
        Self::Unusable(error.to_string())
    }
}
