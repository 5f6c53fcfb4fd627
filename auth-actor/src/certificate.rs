//! What the certificate of a client says: by what names it is known, and which one it is. Whether it is to be trusted is
//! judged before, by whoever opens the TLS session.

use std::fmt;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::FromDer as _;
use x509_parser::revocation_list::CertificateRevocationList;
use x509_parser::x509::X509Name;

/// Which of a certificate's names is the client's.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum CertificateName {
    /// The common name of its subject.
    #[default]
    CommonName,
    /// The whole subject, as in `CN=meter-1, O=Example`.
    Subject,
    /// The first DNS name among its alternative names.
    SanDns,
    /// The first URI among them, a SPIFFE ID above all.
    SanUri,
    /// The first mail address among them.
    SanEmail,
}

/// Names a certificate: its issuer and its serial number, hashed (SHA-256), which is what revokes it.
#[derive(Copy, Clone, PartialEq, Eq, Hash)]
pub struct CertificateId([u8; 32]);

impl CertificateId {
    /// Of an issuer's name in DER and a serial number, of which leading zeroes mean nothing.
    fn new(issuer: &[u8], serial: &[u8]) -> Self {
        let zeroes = serial.iter().take_while(|byte| **byte == 0).count();
        let mut hash = Sha256::new();
        hash.update((issuer.len() as u64).to_be_bytes());
        hash.update(issuer);
        hash.update(&serial[zeroes..]);
        Self(hash.finalize().into())
    }

    /// As it is kept.
    pub fn to_bytes(self) -> [u8; 32] {
        self.0
    }

    /// From what was kept.
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }
}

impl fmt::Debug for CertificateId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let start: String = self.0[..8].iter().map(|byte| format!("{byte:02x}")).collect();
        write!(f, "CertificateId({start}..)")
    }
}

/// The certificate that a client has shown and proved to own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientCertificate {
    /// The name of the client, of the kind that its listener asks for; none if the certificate has none of that kind.
    pub name: Option<String>,
    /// Which it is.
    pub id: CertificateId,
}

impl ClientCertificate {
    /// Reads a certificate in DER; none if it cannot be read.
    pub fn read(der: &[u8], kind: CertificateName) -> Option<Self> {
        let (_, certificate) = X509Certificate::from_der(der).ok()?;
        Some(Self {
            name: name(&certificate, kind).filter(|name| !name.is_empty()),
            id: CertificateId::new(certificate.issuer().as_raw(), certificate.raw_serial()),
        })
    }
}

fn name(certificate: &X509Certificate<'_>, kind: CertificateName) -> Option<String> {
    let alternative = |of: for<'a> fn(&'a GeneralName<'_>) -> Option<&'a str>| {
        let names = certificate.subject_alternative_name().ok().flatten()?;
        names.value.general_names.iter().find_map(of).map(str::to_owned)
    };
    match kind {
        CertificateName::CommonName => common_name(certificate.subject()),
        CertificateName::Subject => Some(certificate.subject().to_string()),
        CertificateName::SanDns => alternative(|name| match name {
            GeneralName::DNSName(name) => Some(name),
            _ => None,
        }),
        CertificateName::SanUri => alternative(|name| match name {
            GeneralName::URI(name) => Some(name),
            _ => None,
        }),
        CertificateName::SanEmail => alternative(|name| match name {
            GeneralName::RFC822Name(name) => Some(name),
            _ => None,
        }),
    }
}

/// A subject with two of them has none: others may take the other one for it.
fn common_name(subject: &X509Name<'_>) -> Option<String> {
    let mut names = subject.iter_common_name();
    let name = names.next()?.as_str().ok()?;
    names.next().is_none().then(|| name.to_owned())
}

/// The certificates that a revocation list in DER revokes; none if it cannot be read.
pub fn revoked_by(list: &[u8]) -> Option<Vec<CertificateId>> {
    let (_, list) = CertificateRevocationList::from_der(list).ok()?;
    let issuer = list.issuer().as_raw();
    let revoked = list.iter_revoked_certificates();
    Some(revoked.map(|revoked| CertificateId::new(issuer, revoked.raw_serial())).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_certificate_has_no_name() {
        assert_eq!(ClientCertificate::read(b"nothing", CertificateName::CommonName), None);
        assert_eq!(revoked_by(b"nothing"), None);
    }

    #[test]
    fn issuer_and_serial_number_do_not_run_into_each_other() {
        assert_eq!(CertificateId::new(b"ca", &[0, 1]), CertificateId::new(b"ca", &[1]));
        assert_ne!(CertificateId::new(b"ca1", &[2]), CertificateId::new(b"ca", b"1\x02"));
    }
}
