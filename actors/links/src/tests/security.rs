//! Who may take part, and who may not.

use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, ExtendedKeyUsagePurpose, IsCa, KeyPair};
use rustls::crypto::ring;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{ClientConfig, RootCertStore, ServerConfig};

use super::nodes::{TestNode, options, start};
use crate::options::{Event, LinksOptions, Security};

struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).expect("no names");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().expect("a key")).expect("a CA"))
    }

    fn roots(&self) -> Arc<RootCertStore> {
        let mut roots = RootCertStore::empty();
        roots.add(self.0.der().clone()).expect("a CA");
        Arc::new(roots)
    }

    fn certificate_of(&self, name: &str) -> (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>) {
        let key = KeyPair::generate().expect("a key");
        let mut params = CertificateParams::new(vec![name.to_owned()]).expect("a name");
        params.extended_key_usages =
            vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        let certificate = params.signed_by(&key, &self.0).expect("a certificate");
        (vec![certificate.der().clone()], PrivateKeyDer::try_from(key.serialize_der()).expect("a key"))
    }

    /// A node that trusts this CA, and shows a certificate of `shown` for `name`.
    fn security(&self, shown: Option<&Self>, name: &str) -> Security {
        let provider = Arc::new(ring::default_provider());
        let verifier = WebPkiClientVerifier::builder_with_provider(self.roots(), Arc::clone(&provider))
            .build()
            .expect("a CA");
        let (chain, key) = shown.unwrap_or(self).certificate_of(name);
        let server = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_protocol_versions(&[&rustls::version::TLS13])
            .expect("a version")
            .with_client_cert_verifier(verifier)
            .with_single_cert(chain.clone(), key.clone_key())
            .expect("a certificate");
        let client = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&rustls::version::TLS13])
            .expect("a version")
            .with_root_certificates(self.roots());
        let client = match shown {
            Some(_) => client.with_client_auth_cert(chain, key).expect("a certificate"),
            None => client.with_no_client_auth(),
        };
        Security::Tls { server: Arc::new(server), client: Arc::new(client) }
    }

    fn node(&self, name: &str) -> TestNode {
        start(options(name, self.security(Some(self), name)))
    }
}

/// What the one that dials is told.
#[track_caller]
fn check_refused(dialing: &TestNode, accepting: &TestNode, expected: &str) {
    dialing.links.set_peers([accepting.at()]);
    let said = dialing.trouble_with(&accepting.name);
    assert!(said.contains(expected), "{said}");
    assert!(dialing.events.try_recv().is_err() && accepting.events.try_recv().is_err(), "nobody is up");
}

#[test]
fn nodes_with_certificates_of_one_ca_are_linked() {
    let ca = Authority::new();
    let (a, b) = (ca.node("node-a"), ca.node("node-b"));
    a.links.set_peers([b.at()]);
    assert_eq!(a.next(), Event::Up("node-b".to_owned()));
    a.links.tell("node-b", "secret".into()).expect("there is room");
    assert_eq!(b.next(), Event::Told("node-a".to_owned(), "secret".into()));
}

#[test]
fn a_strange_ca_is_refused_by_either_side() {
    let (ca, strange) = (Authority::new(), Authority::new());
    let a = ca.node("node-a");
    // The one that dials finds out.
    check_refused(
        &a,
        &start(options("node-b", strange.security(Some(&strange), "node-b"))),
        "invalid peer certificate",
    );
    // The one that accepts does.
    let stranger = start(options("node-c", ca.security(Some(&strange), "node-c")));
    check_refused(&stranger, &a, "");
}

#[test]
fn without_a_certificate_nobody_is_linked() {
    let ca = Authority::new();
    check_refused(&start(options("node-b", ca.security(None, "node-b"))), &ca.node("node-a"), "");
}

#[test]
fn a_certificate_is_for_one_name() {
    let ca = Authority::new();
    let a = ca.node("node-a");
    let impostor = start(options("node-b", ca.security(Some(&ca), "node-c")));
    check_refused(&impostor, &a, "its certificate does not name \"node-b\"");
    check_refused(&a, &impostor, "invalid peer certificate");
}

#[test]
fn another_key_another_cluster_and_another_node_are_refused() {
    let key = |key: &[u8]| Security::Key(key.to_vec());
    let a = start(options("a", key(b"secret")));
    check_refused(&start(options("b", key(b"guessed"))), &a, "it has another cluster.key");
    let green = start(LinksOptions { cluster: "green".to_owned(), ..options("b", key(b"secret")) });
    check_refused(&green, &a, "it belongs to the cluster \"green\" and not to \"micromq\"");
    let b = start(options("b", key(b"secret")));
    b.links.set_peers([("c".to_owned(), a.links.address().to_string())]);
    let said = b.trouble_with("c");
    assert!(said.contains("\"a\" is there, and not \"c\""), "{said}");
}

#[test]
fn nodes_with_and_without_tls_are_not_linked() {
    let ca = Authority::new();
    let (a, b) = (ca.node("node-a"), start(options("node-b", Security::Key(b"secret".to_vec()))));
    check_refused(&a, &b, "");
    check_refused(&b, &a, "");
}
