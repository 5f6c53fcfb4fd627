//! Consul.

use std::sync::Arc;

use micro_mq_registry::{Provider, Registry, RegistryOptions, ServiceAddress};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::crypto::ring;
use rustls::{ClientConfig, RootCertStore};

use crate::proxy::Proxy;
use crate::service::Service;
use crate::{SHORT, options, passing, see_each_other, until};

fn node(service: &Service, number: u64) -> RegistryOptions {
    options(Provider::Consul, service.address(), &format!("node-{number}"), number)
}

#[tokio::test]
async fn nodes_see_each_other_come_and_go_and_outlive_the_agent() {
    let mut consul = Service::consul(&[]);
    let (first, second) = (node(&consul, 1), node(&consul, 2));
    let a = Registry::start(first.clone()).expect("it starts");
    let b = Registry::start(second.clone()).expect("it starts");
    see_each_other(&a, &b, [&first, &second]).await;

    consul.kill();
    until(&b, "the agent is missed", |members| members.following.is_some()).await;
    let away = until(&a, "the agent is missed", |members| members.following.is_some()).await;
    assert_eq!(passing(&away), ["node-1", "node-2"], "the last known members stay");
    assert_eq!(away.is_gone("node-2"), None, "nothing is said of them");
    assert_eq!(away.is_gone("node-3"), None);

    // It has forgotten everything: both register anew.
    consul.start_again();
    see_each_other(&a, &b, [&first, &second]).await;

    b.stop();
    // Not at once: an agent that came back may take a service out for a moment as it tells its server of all.
    until(&a, "it is alone", |members| passing(members) == ["node-1"] && members.get("node-2").is_none())
        .await;
    a.stop();
}

#[tokio::test]
async fn a_node_that_gives_no_sign_of_life_turns_critical_and_comes_back() {
    let consul = Service::consul(&[]);
    let proxy = Proxy::to(consul.socket_address());
    let cut_off =
        RegistryOptions { addresses: vec![proxy.address()], time_to_live: SHORT, ..node(&consul, 1) };
    let a = Registry::start(cut_off).expect("it starts");
    let b = Registry::start(node(&consul, 2)).expect("it starts");
    until(&b, "both are there", |members| passing(members) == ["node-1", "node-2"]).await;

    proxy.cut();
    until(&b, "it is critical", |members| members.is_gone("node-1") == Some(true)).await;
    until(&a, "it knows why", |members| members.following.is_some() && members.announcing.is_some()).await;

    proxy.mend();
    until(&b, "it is back", |members| members.is_gone("node-1") == Some(false)).await;
    until(&a, "nothing is wrong", |members| members.trouble().is_none()).await;
    a.stop();
    b.stop();
}

#[tokio::test]
async fn of_two_with_one_name_the_later_one_stays() {
    let consul = Service::consul(&[]);
    let earlier = Registry::start(node(&consul, 1)).expect("it starts");
    until(&earlier, "it is registered", |members| passing(members) == ["node-1"]).await;
    let mut other = node(&consul, 1);
    other.member.instance = 7;
    let later = Registry::start(other).expect("it starts");
    until(&earlier, "it knows", |members| members.is_displaced).await;
    earlier.stop();
    let members = until(&later, "it is registered", |members| passing(members) == ["node-1"]).await;
    assert_eq!(members.get("node-1").map(|member| member.instance), Some(7));
    assert!(!members.is_displaced);
    // The end of the earlier one has not taken the later one out.
    let witness = Registry::start(node(&consul, 2)).expect("it starts");
    let members = until(&witness, "both are there", |members| passing(members) == ["node-1", "node-2"]).await;
    assert_eq!(members.get("node-1").map(|member| member.instance), Some(7));
    later.stop();
    witness.stop();
}

#[tokio::test]
async fn a_wrong_token_is_named_and_the_right_one_works() {
    let acl = r#"acl { enabled = true, default_policy = "deny", tokens { master = "5a1e5a1e-0000-0000-0000-000000000001" } }"#;
    let consul = Service::consul(&["-hcl".to_owned(), acl.to_owned()]);
    let wrong =
        RegistryOptions { token: "5a1e5a1e-0000-0000-0000-00000000000f".to_owned(), ..node(&consul, 1) };
    let refused = Registry::start(wrong).expect("it starts");
    let members = until(&refused, "it is refused", |members| members.announcing.is_some()).await;
    let said = members.announcing.as_ref().map(|trouble| trouble.cause.clone()).unwrap_or_default();
    assert!(said.starts_with("answered 403 Forbidden"), "{said}");
    assert!(!said.contains("00000000000f"), "{said}");
    assert_eq!(members.is_gone("node-1"), None);

    let right =
        RegistryOptions { token: "5a1e5a1e-0000-0000-0000-000000000001".to_owned(), ..node(&consul, 2) };
    assert!(!format!("{right:?}").contains("5a1e"), "a token is not shown");
    let admitted = Registry::start(right).expect("it starts");
    until(&admitted, "it is there", |members| passing(members) == ["node-2"]).await;
    refused.stop();
    admitted.stop();
}

#[tokio::test]
async fn tls_is_spoken_with_whom_its_ca_vouches_for() {
    let ca = |name: &str| {
        let mut params = CertificateParams::new(Vec::new()).expect("no names");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(rcgen::DnType::CommonName, name);
        CertifiedIssuer::self_signed(params, KeyPair::generate().expect("a key")).expect("a CA")
    };
    let (known, strange) = (ca("known"), ca("strange"));
    let key = KeyPair::generate().expect("a key");
    let certificate = CertificateParams::new(vec!["127.0.0.1".to_owned()])
        .expect("a name")
        .signed_by(&key, &known)
        .expect("a certificate");
    let folder = tempfile::tempdir().expect("a folder");
    let file = |name: &str, text: String| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).expect("written");
        path.display().to_string()
    };
    let (cert_file, key_file) =
        (file("certificate.pem", certificate.pem()), file("key.pem", key.serialize_pem()));
    let port = std::net::TcpListener::bind("127.0.0.1:0")
        .and_then(|socket| socket.local_addr())
        .expect("a port")
        .port();
    let https = format!(r#"ports {{ https = {port} }} cert_file = "{cert_file}" key_file = "{key_file}""#);
    let consul = Service::consul(&["-hcl".to_owned(), https]);
    let over_tls = |ca: &CertifiedIssuer<'_, KeyPair>, number| {
        let mut roots = RootCertStore::empty();
        roots.add(ca.der().clone()).expect("a CA");
        let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_root_certificates(roots)
            .with_no_client_auth();
        RegistryOptions {
            addresses: vec![ServiceAddress { is_tls: true, host: "127.0.0.1".to_owned(), port }],
            tls: Some(Arc::new(config)),
            ..node(&consul, number)
        }
    };
    let a = Registry::start(over_tls(&known, 1)).expect("it starts");
    until(&a, "it is there", |members| passing(members) == ["node-1"]).await;
    let b = Registry::start(over_tls(&strange, 2)).expect("it starts");
    let members = until(&b, "it is refused", |members| members.trouble().is_some()).await;
    let said = members.trouble().map(|trouble| trouble.cause.clone()).unwrap_or_default();
    assert!(said.contains("invalid peer certificate"), "{said}");
    a.stop();
    b.stop();
}
