//! Certificates, keys and revocation lists of listeners: read from their files at the start, and anew when they change.

mod error;
mod live;
mod watch;

use std::collections::HashSet;
use std::fs;
use std::path::Path;
use std::sync::Arc;

use auth_actor::{CertificateId, revoked_by};
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, CertificateRevocationListDer, PrivateKeyDer};
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};
use rustls::version::{TLS12, TLS13};
use rustls::{RootCertStore, ServerConfig, SupportedProtocolVersion};

pub use self::error::{FileProblem, TlsError};
pub(crate) use self::live::LiveTls;
use crate::config::{ClientCertificates, ListenerConfig, TlsVersion};

/// What the files of a listener say.
#[derive(Debug)]
pub(crate) struct Loaded {
    /// What TLS sessions are opened by.
    pub(crate) config: Arc<ServerConfig>,
    /// The certificates that its revocation lists name.
    pub(crate) revoked: HashSet<CertificateId>,
    /// All bytes of all files, so that it is seen when they change.
    pub(crate) contents: Vec<Vec<u8>>,
}

/// Reads the files of a listener; none where it has no certificate.
///
/// # Errors
/// When a file cannot be read or used.
pub(crate) fn load(name: &str, listener: &ListenerConfig) -> Result<Option<Loaded>, TlsError> {
    if !listener.speaks_tls() {
        return Ok(None);
    }
    let mut files = Files { table: format!("listener.{name}"), contents: Vec::new() };
    let chain: Vec<CertificateDer<'static>> =
        files.items("tls_certificate", &listener.tls_certificate, "certificate")?;
    let key = files.key(&listener.tls_key)?;
    let verifier = match listener.tls_client_certificates {
        ClientCertificates::None => None,
        _ => Some(files.verifier(listener)?),
    };
    let pair = |cause| {
        let certificate = listener.tls_certificate.clone();
        files.error("tls_key", &listener.tls_key, FileProblem::Pair { certificate, cause: Box::new(cause) })
    };
    let builder = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_protocol_versions(versions(listener.tls_version_min))
        .map_err(&pair)?;
    let (builder, revoked) = match verifier {
        None => (builder.with_no_client_auth(), HashSet::new()),
        Some((verifier, revoked)) => (builder.with_client_cert_verifier(verifier), revoked),
    };
    let mut config = builder.with_single_cert(chain, key).map_err(&pair)?;
    if listener.tls_client_certificates != ClientCertificates::None {
        // Who resumes a session shows no certificate: one that was revoked since would come back.
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.send_tls13_tickets = 0;
    }
    Ok(Some(Loaded { config: Arc::new(config), revoked, contents: files.contents }))
}

static SINCE_12: &[&SupportedProtocolVersion] = &[&TLS13, &TLS12];
static SINCE_13: &[&SupportedProtocolVersion] = &[&TLS13];

fn versions(min: TlsVersion) -> &'static [&'static SupportedProtocolVersion] {
    match min {
        TlsVersion::Tls12 => SINCE_12,
        TlsVersion::Tls13 => SINCE_13,
    }
}

/// The files of one listener, as they are read.
struct Files {
    table: String,
    contents: Vec<Vec<u8>>,
}

impl Files {
    fn error(&self, key: &str, file: &Path, problem: FileProblem) -> TlsError {
        TlsError { key: format!("{}.{key}", self.table), file: file.to_owned(), problem }
    }

    fn read(&mut self, key: &str, file: &Path) -> Result<&[u8], TlsError> {
        let bytes = fs::read(file).map_err(|error| self.error(key, file, FileProblem::Read(error)))?;
        self.contents.push(bytes);
        Ok(self.contents.last().map_or(&[], Vec::as_slice))
    }

    /// All that a file holds of a kind, at least one.
    fn items<T: PemObject>(
        &mut self,
        key: &str,
        file: &Path,
        what: &'static str,
    ) -> Result<Vec<T>, TlsError> {
        let items: Result<Vec<T>, _> = T::pem_slice_iter(self.read(key, file)?).collect();
        match items {
            Ok(items) if items.is_empty() => Err(self.error(key, file, FileProblem::Nothing(what))),
            Ok(items) => Ok(items),
            Err(error) => Err(self.error(key, file, FileProblem::Pem(error))),
        }
    }

    fn key(&mut self, file: &Path) -> Result<PrivateKeyDer<'static>, TlsError> {
        if is_open_to_others(file) {
            return Err(self.error("tls_key", file, FileProblem::Open));
        }
        PrivateKeyDer::from_pem_slice(self.read("tls_key", file)?)
            .map_err(|error| self.error("tls_key", file, FileProblem::Pem(error)))
    }

    /// What judges the certificates of clients, and which of those are revoked.
    fn verifier(
        &mut self,
        listener: &ListenerConfig,
    ) -> Result<(Arc<dyn ClientCertVerifier>, HashSet<CertificateId>), TlsError> {
        let (ca_file, list_file) = (&listener.tls_client_ca, &listener.tls_crl);
        let mut roots = RootCertStore::empty();
        for root in self.items::<CertificateDer<'static>>("tls_client_ca", ca_file, "certificate")? {
            let unusable = |error: rustls::Error| FileProblem::Unusable(error.to_string());
            roots.add(root).map_err(|error| self.error("tls_client_ca", ca_file, unusable(error)))?;
        }
        let mut builder =
            WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::new(ring::default_provider()));
        let mut revoked = HashSet::new();
        if !list_file.as_os_str().is_empty() {
            let lists: Vec<CertificateRevocationListDer<'static>> =
                self.items("tls_crl", list_file, "revocation list")?;
            for list in &lists {
                let unusable = || FileProblem::Unusable("not a revocation list".to_owned());
                revoked.extend(revoked_by(list).ok_or_else(|| self.error("tls_crl", list_file, unusable()))?);
            }
            builder = builder.with_crls(lists);
        }
        if listener.tls_client_certificates == ClientCertificates::Optional {
            builder = builder.allow_unauthenticated();
        }
        let file = if list_file.as_os_str().is_empty() { ca_file } else { list_file };
        let key = if list_file.as_os_str().is_empty() { "tls_client_ca" } else { "tls_crl" };
        let verifier = builder.build().map_err(|error| self.error(key, file, error.into()))?;
        Ok((verifier, revoked))
    }
}

/// Whether everybody on this machine may read or write a file; not if that cannot be said.
pub(crate) fn is_open_to_others(file: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt as _;
    fs::metadata(file).is_ok_and(|metadata| metadata.permissions().mode() & 0o006 != 0)
}
