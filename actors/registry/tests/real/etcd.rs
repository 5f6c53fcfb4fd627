//! etcd.

use micro_mq_registry::{Provider, Registry, RegistryOptions, ServiceAddress};

use crate::proxy::Proxy;
use crate::service::Service;
use crate::{SHORT, options, passing, see_each_other, until};

fn node(service: &Service, number: u64) -> RegistryOptions {
    options(Provider::Etcd, service.address(), &format!("node-{number}"), number)
}

#[tokio::test]
async fn nodes_see_each_other_come_and_go_and_outlive_the_service() {
    let mut etcd = Service::etcd();
    let (first, second) = (node(&etcd, 1), node(&etcd, 2));
    let a = Registry::start(first.clone()).expect("it starts");
    let b = Registry::start(second.clone()).expect("it starts");
    see_each_other(&a, &b, [&first, &second]).await;

    etcd.kill();
    until(&b, "it is missed", |members| members.following.is_some()).await;
    let away = until(&a, "it is missed", |members| members.following.is_some()).await;
    assert_eq!(passing(&away), ["node-1", "node-2"], "the last known members stay");
    assert_eq!(away.is_gone("node-2"), None, "nothing is said of them");
    etcd.start_again();
    see_each_other(&a, &b, [&first, &second]).await;

    b.stop();
    until(&a, "the other one is gone", |members| passing(members) == ["node-1"]).await;
    a.stop();
}

#[tokio::test]
async fn a_node_whose_lease_is_over_is_gone_and_comes_back_with_another() {
    let etcd = Service::etcd();
    let proxy = Proxy::to(etcd.socket_address());
    let cut_off = RegistryOptions { addresses: vec![proxy.address()], time_to_live: SHORT, ..node(&etcd, 1) };
    let a = Registry::start(cut_off).expect("it starts");
    let b = Registry::start(node(&etcd, 2)).expect("it starts");
    until(&b, "both are there", |members| passing(members) == ["node-1", "node-2"]).await;
    proxy.cut();
    until(&b, "it is gone", |members| members.is_gone("node-1") == Some(true)).await;
    until(&a, "it knows why", |members| members.following.is_some() && members.announcing.is_some()).await;
    proxy.mend();
    until(&b, "it is back", |members| members.is_gone("node-1") == Some(false)).await;
    a.stop();
    b.stop();
}

#[tokio::test]
async fn of_two_with_one_name_the_later_one_stays() {
    let etcd = Service::etcd();
    let earlier = Registry::start(node(&etcd, 1)).expect("it starts");
    until(&earlier, "it is registered", |members| passing(members) == ["node-1"]).await;
    let mut other = node(&etcd, 1);
    other.member.instance = 7;
    let later = Registry::start(other).expect("it starts");
    until(&earlier, "it knows", |members| members.is_displaced).await;
    earlier.stop();
    let witness = Registry::start(node(&etcd, 2)).expect("it starts");
    let members = until(&witness, "both are there", |members| passing(members) == ["node-1", "node-2"]).await;
    assert_eq!(members.get("node-1").map(|member| member.instance), Some(7));
    later.stop();
    witness.stop();
}

#[tokio::test]
async fn the_next_address_is_asked_where_one_does_not_answer() {
    let etcd = Service::etcd();
    let nobody = ServiceAddress { is_tls: false, host: "127.0.0.1".to_owned(), port: 1 };
    let a = Registry::start(RegistryOptions { addresses: vec![nobody, etcd.address()], ..node(&etcd, 1) })
        .expect("it starts");
    until(&a, "it is there", |members| passing(members) == ["node-1"] && members.trouble().is_none()).await;
    a.stop();
}
