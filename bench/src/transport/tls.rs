//! Whom TLS trusts, and how a session begins.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use rustls::{
    ClientConfig, ClientConnection, DigitallySignedStruct, RootCertStore, SignatureScheme,
    client::{
        Resumption,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    },
    crypto::{CryptoProvider, ring},
    pki_types::{CertificateDer, ServerName, UnixTime, pem::PemObject},
};

/// Which certificates of a broker are taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Trust {
    /// Those that an authority in this PEM file signed for the broker's name.
    Authorities(PathBuf),
    /// Any.
    Anybody,
}

/// A file does not hold what verifies a broker.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CertificateError {
    /// It is not there, or no PEM.
    #[error("cannot read certificates from {}", file.display())]
    Read {
        /// The file.
        file: PathBuf,
        /// Why.
        #[source]
        source: rustls::pki_types::pem::Error,
    },
    /// TLS cannot work with it, or with the name of the broker.
    #[error("cannot verify a broker")]
    Unfit(#[source] rustls::Error),
    /// Neither a DNS name nor an address.
    #[error("no certificate can be for a broker named {0}")]
    Name(String),
}

/// What all TLS sessions of a run have in common.
#[derive(Debug, Clone)]
pub(crate) struct Tls {
    config: Arc<ClientConfig>,
    broker: ServerName<'static>,
}

impl Tls {
    /// Sessions with `broker`, a DNS name or an address. No session resumes another: each connection costs the same.
    pub(crate) fn new(broker: &str, trust: &Trust) -> Result<Self, CertificateError> {
        let name = ServerName::try_from(broker.to_owned());
        let name = name.map_err(|_| CertificateError::Name(broker.to_owned()))?;
        let provider = Arc::new(ring::default_provider());
        let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .map_err(CertificateError::Unfit)?;
        let mut config = match trust {
            Trust::Authorities(file) => builder.with_root_certificates(roots(file)?),
            Trust::Anybody => {
                let verifier = Arc::new(Unverified(provider));
                builder.dangerous().with_custom_certificate_verifier(verifier)
            }
        }
        .with_no_client_auth();
        config.resumption = Resumption::disabled();
        Ok(Self { config: Arc::new(config), broker: name })
    }

    /// A session that is about to begin.
    pub(super) fn connect(&self) -> Result<ClientConnection, rustls::Error> {
        let mut session = ClientConnection::new(Arc::clone(&self.config), self.broker.clone())?;
        // What a connection wants to send is bounded by its window or burst.
        session.set_buffer_limit(None);
        Ok(session)
    }
}

fn roots(file: &Path) -> Result<RootCertStore, CertificateError> {
    let unread = |source| CertificateError::Read { file: file.to_owned(), source };
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(file).map_err(unread)? {
        roots.add(certificate.map_err(unread)?).map_err(CertificateError::Unfit)?;
    }
    Ok(roots)
}

/// Takes every certificate.
#[derive(Debug)]
struct Unverified(Arc<CryptoProvider>);

impl ServerCertVerifier for Unverified {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _certificate: &CertificateDer<'_>,
        _signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _message: &[u8],
        _certificate: &CertificateDer<'_>,
        _signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
