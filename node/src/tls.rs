//! Certificates and keys of listeners, read from their files.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use crate::config::ListenerConfig;

/// What is wrong with the files of a listener.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// It cannot be read, or is not what it should be.
    #[error("listener.{listener}.{key}: {}: {cause}", file.display())]
    File {
        /// The listener's name.
        listener: String,
        /// `tls_certificate` or `tls_key`.
        key: &'static str,
        /// As configured.
        file: PathBuf,
        /// Why.
        cause: pem::Error,
    },
    /// It holds no certificate.
    #[error("listener.{listener}.tls_certificate: {}: no certificate in it (PEM)", file.display())]
    NoCertificate {
        /// The listener's name.
        listener: String,
        /// As configured.
        file: PathBuf,
    },
    /// The key is another certificate's, or of a kind that is not known.
    #[error("listener.{listener}.tls_key: {}: does not go with {}: {cause}", file.display(), certificate.display())]
    Pair {
        /// The listener's name.
        listener: String,
        /// As configured.
        file: PathBuf,
        /// As configured.
        certificate: PathBuf,
        /// Why.
        cause: Box<rustls::Error>,
    },
}

/// What TLS sessions of a listener are opened by: TLS 1.2 and 1.3; none where it has no certificate.
///
/// # Errors
/// When a file cannot be read or used.
pub fn server_config(name: &str, listener: &ListenerConfig) -> Result<Option<Arc<ServerConfig>>, TlsError> {
    let (certificate, key) = (&listener.tls_certificate, &listener.tls_key);
    if !listener.speaks_tls() {
        return Ok(None);
    }
    let wrong = |key, file: &Path, cause| TlsError::File {
        listener: name.to_owned(),
        key,
        file: file.to_owned(),
        cause,
    };
    let chain = CertificateDer::pem_file_iter(certificate)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|cause| wrong("tls_certificate", certificate, cause))?;
    if chain.is_empty() {
        return Err(TlsError::NoCertificate { listener: name.to_owned(), file: certificate.clone() });
    }
    let private = PrivateKeyDer::from_pem_file(key).map_err(|cause| wrong("tls_key", key, cause))?;
    let pair = |cause| TlsError::Pair {
        listener: name.to_owned(),
        file: key.clone(),
        certificate: certificate.clone(),
        cause: Box::new(cause),
    };
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(pair)?
        .with_no_client_auth()
        .with_single_cert(chain, private)
        .map_err(pair)?;
    Ok(Some(Arc::new(config)))
}
