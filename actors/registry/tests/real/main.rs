//! Against the real services, which `scripts/lib/services.sh` fetches and runs.

mod consul;
mod etcd;
mod fixed;
mod proxy;
mod service;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use micro_mq_registry::{Member, Members, Provider, Registry, RegistryOptions, ServiceAddress};
use tokio::time::timeout;

/// Far above what anything takes here on a machine that is busy.
const PATIENCE: Duration = Duration::from_secs(90);

/// How long a node counts as there, where a test does not wait for its end.
const LONG: Duration = Duration::from_secs(60);

/// As short as that may be.
const SHORT: Duration = Duration::from_secs(3);

fn options(provider: Provider, address: ServiceAddress, name: &str, instance: u64) -> RegistryOptions {
    RegistryOptions {
        provider,
        addresses: vec![address],
        token: String::new(),
        tls: None,
        service: "micro-mq".to_owned(),
        member: Member {
            name: name.to_owned(),
            instance,
            version: "0.1.0".to_owned(),
            addresses: BTreeMap::from([
                ("mqtt".to_owned(), format!("10.0.0.{instance}:1883")),
                ("cluster".to_owned(), format!("10.0.0.{instance}:1886")),
            ]),
            is_passing: true,
        },
        time_to_live: LONG,
    }
}

/// Waits until what is known is so.
#[track_caller]
fn until(
    registry: &Registry,
    what: &str,
    mut is_so: impl FnMut(&Members) -> bool,
) -> impl Future<Output = Arc<Members>> {
    let mut members = registry.subscribe();
    let what = what.to_owned();
    async move {
        let found = timeout(PATIENCE, members.wait_for(|members| is_so(members))).await;
        let found = found.map(|found| Arc::clone(&found.expect("its thread is there")));
        found.unwrap_or_else(|_| panic!("not in time: {what}; known: {:#?}", members.borrow()))
    }
}

fn passing(members: &Members) -> Vec<&str> {
    members.list.iter().filter(|member| member.is_passing).map(|member| &*member.name).collect()
}

/// Both see both, each with what it was registered with.
async fn see_each_other(a: &Registry, b: &Registry, known: [&RegistryOptions; 2]) {
    for registry in [a, b] {
        let members = until(registry, "both are there, and nothing is wrong", |members| {
            passing(members) == ["node-1", "node-2"] && members.trouble().is_none()
        });
        let members = members.await;
        let listed: Vec<&Member> = members.list.iter().collect();
        assert_eq!(listed, known.map(|options| &options.member), "nothing of it is lost");
        assert_eq!(members.is_gone("node-1"), Some(false));
        assert_eq!(members.is_gone("node-3"), Some(true));
    }
}
