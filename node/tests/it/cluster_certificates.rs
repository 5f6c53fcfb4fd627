//! `micro-mq cluster certificates`.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use rustls::RootCertStore;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::ServerCertVerifier;
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::server::WebPkiClientVerifier;
use rustls::sign::CertifiedKey;

use crate::cli::output;

fn make(arguments: &[&str]) -> (i32, String, String) {
    let output = output(&[&["cluster", "certificates"], arguments].concat(), "");
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

/// Whether the certificate of a node holds for it, by this CA, to dial and to be dialed, and goes with its key.
fn check_node(folder: &Path, node: &str) {
    let provider = Arc::new(ring::default_provider());
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(folder.join("ca.pem")).unwrap()).unwrap();
    let roots = Arc::new(roots);
    let certificate = CertificateDer::from_pem_file(folder.join(format!("{node}.pem"))).unwrap();
    let key = PrivateKeyDer::from_pem_file(folder.join(format!("{node}-key.pem"))).unwrap();
    CertifiedKey::from_der(vec![certificate.clone()], key, &provider).unwrap().keys_match().unwrap();
    let as_server = WebPkiServerVerifier::builder_with_provider(Arc::clone(&roots), Arc::clone(&provider))
        .build()
        .unwrap();
    let judged = |name: &'static str| {
        as_server.verify_server_cert(
            &certificate,
            &[],
            &ServerName::try_from(name).unwrap(),
            &[],
            UnixTime::now(),
        )
    };
    assert!(judged("node-3").is_err(), "it is for one name");
    let name = ServerName::try_from(node.to_owned()).unwrap();
    as_server.verify_server_cert(&certificate, &[], &name, &[], UnixTime::now()).unwrap();
    let as_client = WebPkiClientVerifier::builder_with_provider(roots, provider).build().unwrap();
    as_client.verify_client_cert(&certificate, &[], UnixTime::now()).unwrap();
}

#[test]
fn a_ca_certifies_nodes_and_later_others() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("made").display().to_string();
    let (status, said, wrong) = make(&[&path, "node-1", "node-2"]);
    assert_eq!((status, &*wrong), (0, ""));
    assert_eq!(said.lines().count(), 7, "{said}");
    let made = Path::new(&path);
    check_node(made, "node-1");
    check_node(made, "node-2");
    let ca = fs::read(made.join("ca.pem")).unwrap();

    let (status, ..) = make(&[&path, "node-4"]);
    assert_eq!(status, 0);
    assert_eq!(fs::read(made.join("ca.pem")).unwrap(), ca, "the CA stays");
    check_node(made, "node-4");

    let before = fs::read(made.join("node-1.pem")).unwrap();
    let (status, said, wrong) = make(&[&path, "node-5", "node-1"]);
    assert_eq!((status, &*said), (1, ""));
    assert!(wrong.contains("node-1.pem: is there already"), "{wrong}");
    assert_eq!(fs::read(made.join("node-1.pem")).unwrap(), before);
    assert_eq!(make(&[&path, "--replace", "node-1"]).0, 0);
    assert_ne!(fs::read(made.join("node-1.pem")).unwrap(), before);
    check_node(made, "node-1");
    let strange = fs::read_dir(made)
        .unwrap()
        .filter(|entry| !entry.as_ref().unwrap().path().to_string_lossy().ends_with(".pem"));
    assert_eq!(strange.count(), 0, "nothing else stays behind");
}

#[cfg(unix)]
#[test]
fn keys_are_for_their_owner_alone() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    assert_eq!(make(&[&folder.path().display().to_string(), "node-1"]).0, 0);
    for file in ["ca-key.pem", "node-1-key.pem"] {
        let mode = fs::metadata(folder.path().join(file)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{file}");
    }
}

#[test]
fn names_that_no_certificate_can_say_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().display().to_string();
    for name in ["", "a b", "../x", "ca", "10.0.0.1", "a@b"] {
        let (status, said, _) = make(&[&path, "--", name]);
        assert_eq!((status, &*said), (1, ""), "{name}");
    }
    let names: Vec<_> =
        fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(names.len(), 3, "the CA alone: {names:?}");
}
