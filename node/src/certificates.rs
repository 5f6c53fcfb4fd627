//! A small certificate authority in a folder: `micro-mq certificates`, for trying TLS, and `micro-mq cluster certificates`.
//!
//! ```text
//! ca.pem, ca-key.pem            the CA: what clients, and listeners with tls_client_ca, are to trust
//! crl.pem                       what it has revoked
//! server.pem, server-key.pem    of the listeners
//! NAME.pem, NAME-key.pem        of the client, or of the node NAME
//! ```

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail, ensure};
use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, DnType, ExtendedKeyUsagePurpose,
    IsCa, Issuer, KeyIdMethod, KeyPair, KeyUsagePurpose, RevokedCertParams, SanType, SerialNumber,
};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, CertificateRevocationListDer, ServerName};
use time::{Duration, OffsetDateTime};
use x509_parser::certificate::X509Certificate;
use x509_parser::prelude::FromDer as _;
use x509_parser::revocation_list::CertificateRevocationList;

/// Clocks of others may be that far behind.
const CLOCK_SKEW: Duration = Duration::hours(1);
/// Bytes of a serial number, all random but its first bit (RFC 5280, 4.1.2.2).
const SERIAL_BYTES: usize = 16;
/// The CA outlives what it signs.
const CA_DAYS: u16 = 3650;

/// A folder with a CA.
#[derive(Debug)]
pub(crate) struct Authority {
    folder: PathBuf,
    /// For how long certificates and revocation lists are valid.
    days: u16,
    /// Whether certificates that are there are replaced.
    replace: bool,
}

impl Authority {
    /// Opens a folder, and makes it and the CA in it if there is none. Returns the files that were written as well.
    ///
    /// # Errors
    /// When the operating system refuses something.
    pub(crate) fn open(folder: &Path, days: u16, replace: bool) -> anyhow::Result<(Self, Vec<PathBuf>)> {
        if !folder.exists() {
            let made = fs::DirBuilder::new().recursive(true).mode(0o755).create(folder);
            made.with_context(|| format!("{}: cannot be made", folder.display()))?;
        }
        let authority = Self { folder: folder.to_owned(), days, replace };
        let mut written = Vec::new();
        let [certificate, key] = [authority.file("ca.pem"), authority.file("ca-key.pem")];
        match (certificate.exists(), key.exists()) {
            (true, true) => {}
            (false, false) => {
                let pair = KeyPair::generate()?;
                let mut params = authority.params("Micro MQ CA", CA_DAYS)?;
                params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
                params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
                write_secret(&key, &pair.serialize_pem(), false)?;
                write(&certificate, &params.self_signed(&pair)?.pem(), false)?;
                written.extend([certificate, key, authority.write_list(Vec::new())?]);
            }
            _ => bail!(
                "{}: has one of ca.pem and ca-key.pem and not the other: it takes both, or neither",
                folder.display()
            ),
        }
        Ok((authority, written))
    }

    /// Makes the certificate of listeners that clients reach by these names and addresses.
    ///
    /// # Errors
    /// When there is one already, or one of the names cannot be one.
    pub(crate) fn server(&self, names: &[String]) -> anyhow::Result<[PathBuf; 2]> {
        let mut params = self.params(names.first().map_or("localhost", String::as_str), self.days)?;
        for name in names {
            params.subject_alt_names.push(match name.parse() {
                Ok(address) => SanType::IpAddress(address),
                Err(_) => {
                    let name = name.as_str().try_into();
                    SanType::DnsName(name.context("a name of a server takes letters of ASCII alone")?)
                }
            });
        }
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        self.sign("server", params)
    }

    /// Makes the certificate of a client of this name.
    ///
    /// # Errors
    /// When there is one already, or the name cannot be that of a file.
    pub(crate) fn client(&self, name: &str) -> anyhow::Result<[PathBuf; 2]> {
        check_client_name(name)?;
        let mut params = self.params(name, self.days)?;
        if let Ok(name) = name.try_into() {
            params.subject_alt_names.push(SanType::DnsName(name));
        }
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        self.sign(name, params)
    }

    /// Makes the certificate of a node of a cluster, by which it dials others and is dialed.
    ///
    /// # Errors
    /// When there is one already, or the name cannot be one of DNS and of a file.
    pub(crate) fn node(&self, name: &str) -> anyhow::Result<[PathBuf; 2]> {
        check_client_name(name)?;
        let mut params = self.params(name, self.days)?;
        params.subject_alt_names.push(match ServerName::try_from(name) {
            Ok(ServerName::DnsName(_)) => SanType::DnsName(name.try_into()?),
            _ => bail!("node {name:?}: is no name of DNS, which a certificate could hold"),
        });
        params.extended_key_usages =
            vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        self.sign(name, params)
    }

    /// Revokes the certificate of a client; its file stays. Returns the revocation list.
    ///
    /// # Errors
    /// When there is no such client, or the revocation list cannot be read.
    pub(crate) fn revoke(&self, name: &str) -> anyhow::Result<PathBuf> {
        check_client_name(name)?;
        let file = self.file(&format!("{name}.pem"));
        let certificate = CertificateDer::from_pem_file(&file)
            .with_context(|| format!("{}: cannot be read", file.display()))?;
        let (_, certificate) = X509Certificate::from_der(&certificate)
            .with_context(|| format!("{}: is no certificate", file.display()))?;
        let now = OffsetDateTime::now_utc();
        let mut revoked = self.revoked()?;
        let serial = SerialNumber::from_slice(certificate.raw_serial());
        if !revoked.iter().any(|(known, _)| *known == serial) {
            revoked.push((serial, now));
        }
        self.write_list(revoked)
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    fn params(&self, common_name: &str, days: u16) -> anyhow::Result<CertificateParams> {
        let now = OffsetDateTime::now_utc();
        let mut serial = [0; SERIAL_BYTES];
        getrandom::fill(&mut serial).context("no random bytes")?;
        serial[0] &= 0x7f;
        // Leading zeroes would be no DER.
        serial[0] |= 0x40;
        let mut params = CertificateParams::default();
        params.serial_number = Some(SerialNumber::from_slice(&serial));
        params.not_before = now - CLOCK_SKEW;
        params.not_after = now + Duration::days(days.into());
        params.distinguished_name = rcgen::DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, common_name);
        params.use_authority_key_identifier_extension = true;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        Ok(params)
    }

    fn issuer(&self) -> anyhow::Result<Issuer<'static, KeyPair>> {
        let read = |name: &str| {
            let file = self.file(name);
            fs::read_to_string(&file).with_context(|| format!("{}: cannot be read", file.display()))
        };
        let key = KeyPair::from_pem(&read("ca-key.pem")?).context("ca-key.pem: is no private key")?;
        Issuer::from_ca_cert_pem(&read("ca.pem")?, key).context("ca.pem: is no certificate of a CA")
    }

    fn sign(&self, name: &str, params: CertificateParams) -> anyhow::Result<[PathBuf; 2]> {
        let files = [self.file(&format!("{name}.pem")), self.file(&format!("{name}-key.pem"))];
        if let Some(there) = files.iter().find(|file| file.exists() && !self.replace) {
            bail!("{}: is there already (--replace makes another)", there.display());
        }
        let key = KeyPair::generate()?;
        let certificate = params.signed_by(&key, &self.issuer()?)?;
        write_secret(&files[1], &key.serialize_pem(), self.replace)?;
        write(&files[0], &certificate.pem(), self.replace)?;
        Ok(files)
    }

    /// What the revocation list names, and since when.
    fn revoked(&self) -> anyhow::Result<Vec<(SerialNumber, OffsetDateTime)>> {
        let file = self.file("crl.pem");
        let list = match CertificateRevocationListDer::from_pem_file(&file) {
            Ok(list) => list,
            Err(_) if !file.exists() => return Ok(Vec::new()),
            Err(error) => return Err(error).with_context(|| format!("{}: cannot be read", file.display())),
        };
        let (_, list) = CertificateRevocationList::from_der(&list)
            .with_context(|| format!("{}: is no revocation list", file.display()))?;
        let revoked = list.iter_revoked_certificates();
        Ok(revoked
            .map(|revoked| {
                (SerialNumber::from_slice(revoked.raw_serial()), revoked.revocation_date.to_datetime())
            })
            .collect())
    }

    fn write_list(&self, revoked: Vec<(SerialNumber, OffsetDateTime)>) -> anyhow::Result<PathBuf> {
        let now = OffsetDateTime::now_utc();
        let revoked = revoked.into_iter().map(|(serial_number, revocation_time)| RevokedCertParams {
            serial_number,
            revocation_time,
            reason_code: None,
            invalidity_date: None,
        });
        let list = CertificateRevocationListParams {
            this_update: now - CLOCK_SKEW,
            next_update: now + Duration::days(self.days.into()),
            crl_number: SerialNumber::from(now.unix_timestamp().unsigned_abs()),
            issuing_distribution_point: None,
            revoked_certs: revoked.collect(),
            key_identifier_method: KeyIdMethod::Sha256,
        };
        let file = self.file("crl.pem");
        write(&file, &list.signed_by(&self.issuer()?)?.pem()?, true)?;
        Ok(file)
    }
}

/// It becomes the name of a file beside those of the CA.
fn check_client_name(name: &str) -> anyhow::Result<()> {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.@".contains(&byte);
    ensure!(
        !name.is_empty() && name.len() <= 64 && name.bytes().all(fits) && !name.starts_with('.'),
        "client {name:?}: letters, digits and -_.@, 64 at most, and none begins with a dot"
    );
    ensure!(
        !["ca", "crl", "server"].contains(&name) && !name.ends_with("-key"),
        "client {name:?}: is the name of a file of the CA's own, or of a key"
    );
    Ok(())
}

/// Replaced in one step, where it is: nobody reads half of it.
fn write(file: &Path, text: &str, replace: bool) -> anyhow::Result<()> {
    put(file, text, 0o644, replace)
}

/// Readable by its owner alone.
fn write_secret(file: &Path, text: &str, replace: bool) -> anyhow::Result<()> {
    put(file, text, 0o600, replace)
}

fn put(file: &Path, text: &str, mode: u32, replace: bool) -> anyhow::Result<()> {
    let put = || -> io::Result<()> {
        if !replace {
            let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(file)?;
            return file.write_all(text.as_bytes());
        }
        let beside = file.with_extension("pem.new");
        // One that was left behind may have other rights.
        let _ = fs::remove_file(&beside);
        let mut new: File = OpenOptions::new().write(true).create_new(true).mode(mode).open(&beside)?;
        new.write_all(text.as_bytes())?;
        fs::rename(&beside, file)
    };
    put().with_context(|| format!("{}: cannot be written", file.display()))
}
