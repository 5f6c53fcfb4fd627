//! A list of nodes, without a service.

use std::net::TcpListener;

use micro_mq_registry::{Provider, Registry, RegistryOptions, ServiceAddress};

use crate::{SHORT, options, passing, until};

#[tokio::test]
async fn whoever_accepts_a_connection_is_there() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("bound");
    let nodes =
        vec![("node-1".to_owned(), "127.0.0.1:1".to_owned()), ("node-2".to_owned(), address.to_string())];
    let nobody = ServiceAddress { is_tls: false, host: String::new(), port: 1 };
    let mut own = options(Provider::Fixed(nodes), nobody, "node-1", 1);
    own = RegistryOptions { addresses: Vec::new(), time_to_live: SHORT, ..own };
    let registry = Registry::start(own).expect("it starts");
    let members =
        until(&registry, "both are there", |members| passing(members) == ["node-1", "node-2"]).await;
    let reached = members.get("node-2").and_then(|member| member.addresses.get("mqtt").cloned());
    assert_eq!(reached, Some(address.to_string()));
    drop(listener);
    until(&registry, "the other one is gone", |members| members.is_gone("node-2") == Some(true)).await;
    assert_eq!(registry.members().is_gone("node-1"), Some(false));
    registry.stop();
}
