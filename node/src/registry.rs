//! Where the node is registered, and what its registry says.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use anyhow::{Context, bail};
use micro_mq_registry::{Member, Provider, Registry, RegistryOptions, RegistryView};
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore};
use tracing::error;

use crate::config::{ListenerKind, NodeConfig, RegistryConfig, RegistryKind};

/// What the configuration says of it, with the files that it names; none if there is no registry.
///
/// # Errors
/// When one of the files cannot be used.
pub(crate) fn options(config: &NodeConfig) -> anyhow::Result<Option<RegistryOptions>> {
    let registry = &config.registry;
    let provider = match registry.provider {
        RegistryKind::None => return Ok(None),
        RegistryKind::Consul => Provider::Consul,
        RegistryKind::Etcd => Provider::Etcd,
        RegistryKind::Static => Provider::Fixed(nodes(registry)),
    };
    let mut instance = [0; 8];
    getrandom::fill(&mut instance).context("no random bytes")?;
    Ok(Some(RegistryOptions {
        provider,
        addresses: registry.addresses.iter().filter_map(|address| address.parse().ok()).collect(),
        token: token(registry)?,
        tls: tls(registry)?.map(Arc::new),
        service: registry.service.clone(),
        member: Member {
            name: config.cluster.node.clone(),
            instance: u64::from_ne_bytes(instance),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            addresses: BTreeMap::new(),
            is_passing: true,
        },
        time_to_live: Duration::from_secs(registry.time_to_live_seconds.into()),
    }))
}

/// Those that the check of the configuration let through.
fn nodes(registry: &RegistryConfig) -> Vec<(String, String)> {
    let node =
        |text: &String| text.split_once('=').map(|(name, address)| (name.to_owned(), address.to_owned()));
    registry.nodes.iter().filter_map(node).collect()
}

fn token(registry: &RegistryConfig) -> anyhow::Result<String> {
    let file = &registry.token_file;
    if file.as_os_str().is_empty() {
        return Ok(String::new());
    }
    let text = fs::read_to_string(file).with_context(|| wrong("token_file", file))?;
    let line = text.lines().next().unwrap_or_default().trim();
    if line.is_empty() || !line.bytes().all(|byte| byte.is_ascii_graphic()) {
        bail!("{}: its first line is no token", wrong("token_file", file));
    }
    Ok(line.to_owned())
}

fn tls(registry: &RegistryConfig) -> anyhow::Result<Option<ClientConfig>> {
    if registry.tls_ca.as_os_str().is_empty() {
        return Ok(None);
    }
    let mut roots = RootCertStore::empty();
    for ca in chain("tls_ca", &registry.tls_ca)? {
        roots.add(ca).with_context(|| wrong("tls_ca", &registry.tls_ca))?;
    }
    let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots);
    if registry.tls_certificate.as_os_str().is_empty() {
        return Ok(Some(builder.with_no_client_auth()));
    }
    let certificate = chain("tls_certificate", &registry.tls_certificate)?;
    let of_key = || wrong("tls_key", &registry.tls_key);
    let key = PrivateKeyDer::from_pem_file(&registry.tls_key).with_context(of_key)?;
    Ok(Some(builder.with_client_auth_cert(certificate, key).with_context(of_key)?))
}

fn chain(key: &str, file: &Path) -> anyhow::Result<Vec<CertificateDer<'static>>> {
    let read = CertificateDer::pem_file_iter(file).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    let chain = read.with_context(|| wrong(key, file))?;
    if chain.is_empty() {
        bail!("{}: no certificate in it (PEM)", wrong(key, file));
    }
    Ok(chain)
}

fn wrong(key: &str, file: &Path) -> String {
    format!("registry.{key}: {}", file.display())
}

/// The node's place in its registry, from when it is open to when it shuts down.
pub(crate) struct Registration {
    options: Option<RegistryOptions>,
    seen: Seen,
    registry: Option<Registry>,
}

impl Registration {
    /// Not registered yet.
    ///
    /// # Errors
    /// When a file that the configuration names cannot be used.
    pub(crate) fn new(config: &NodeConfig) -> anyhow::Result<Self> {
        Ok(Self { options: options(config)?, seen: Seen::default(), registry: None })
    }

    pub(crate) fn seen(&self) -> Seen {
        self.seen.clone()
    }

    /// Registers a node that is open, by the addresses that it has.
    pub(crate) fn begin(
        &mut self,
        config: &NodeConfig,
        listeners: &[(String, SocketAddr)],
        admin: Option<SocketAddr>,
    ) {
        let Some(mut options) = self.options.take() else { return };
        let is_tcp = |name: &str| {
            config.listeners.get(name).is_some_and(|listener| listener.kind == ListenerKind::Tcp)
        };
        let mqtt = listeners.iter().find(|(name, _)| is_tcp(name)).map(|(_, address)| *address);
        for (name, address) in [("mqtt", mqtt), ("admin", admin)] {
            if let Some(address) = address {
                let reached = advertised(&config.registry.advertise, &config.cluster.node, address);
                options.member.addresses.insert(name.to_owned(), reached);
            }
        }
        match Registry::start(options) {
            Ok(registry) => {
                // One node, one registry.
                let _ = self.seen.0.set(registry.view());
                self.registry = Some(registry);
            }
            Err(error) => error!(%error, "the node cannot be registered"),
        }
    }

    /// Takes the node out, at once, so that nobody is sent here any more; the future waits for that, which has a deadline of
    /// its own.
    pub(crate) fn end(self) -> impl Future<Output = ()> {
        let taken_out = self.registry.map(|registry| tokio::task::spawn_blocking(move || registry.stop()));
        async {
            if let Some(taken_out) = taken_out {
                let _ = taken_out.await;
            }
        }
    }
}

/// What is to be seen of the registry, once the node is registered there.
#[derive(Debug, Clone, Default)]
pub(crate) struct Seen(Arc<OnceLock<RegistryView>>);

impl Seen {
    /// What is wrong with the registry, if anything is.
    pub(crate) fn trouble(&self) -> Option<String> {
        let view = self.0.get()?;
        let members = view.members();
        let provider = view.provider();
        if members.is_displaced {
            return Some(format!("{provider}: another process registered under this node's name"));
        }
        members.trouble().map(|trouble| format!("{provider}: {}", trouble.cause))
    }

    /// Its figures, in the text format of Prometheus.
    pub(crate) fn write(&self, page: &mut String) {
        let Some(view) = self.0.get() else { return };
        let members = view.members();
        let passing = members.list.iter().filter(|member| member.is_passing).count();
        let is_up = members.is_known && members.trouble().is_none();
        let gauges = [
            ("up", "Whether the registry answers.", usize::from(is_up)),
            ("members", "Nodes that the registry lists.", members.list.len()),
            ("members_passing", "Those of them that give signs of life.", passing),
        ];
        for (name, help, value) in gauges {
            figure(page, name, "gauge", help, value as u64);
        }
        let figures = view.figures();
        let counters: [(&str, &str, &AtomicU64); 6] = [
            ("announced_total", "Signs of life that the registry took.", &figures.announced),
            ("announce_failures_total", "Those that it did not take.", &figures.announce_failures),
            ("followed_total", "Lists of nodes that the registry gave.", &figures.followed),
            ("follow_failures_total", "Questions for them that failed.", &figures.follow_failures),
            ("changes_total", "Lists that were other than the one before.", &figures.changes),
            ("restarts_total", "Panics behind which its thread went on.", &figures.restarts),
        ];
        for (name, help, value) in counters {
            figure(page, name, "counter", help, value.load(Ordering::Relaxed));
        }
    }
}

fn figure(page: &mut String, name: &str, kind: &str, help: &str, value: u64) {
    let name = format!("micro_mq_registry_{name}");
    write!(page, "# HELP {name} {help}\n# TYPE {name} {kind}\n{name} {value}\n")
        .expect("a String takes everything");
}

/// Where others reach what listens here.
fn advertised(advertise: &str, node: &str, address: SocketAddr) -> String {
    match (advertise, address.ip().is_unspecified()) {
        ("", false) => address.to_string(),
        ("", true) => format!("{node}:{}", address.port()),
        (host, _) if host.contains(':') => format!("[{host}]:{}", address.port()),
        (host, _) => format!("{host}:{}", address.port()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(advertise: &str, bound: &str, expected: &str) {
        assert_eq!(advertised(advertise, "node-1", bound.parse().unwrap()), expected);
    }

    #[test]
    fn where_others_reach_a_node() {
        check("", "10.0.0.1:1883", "10.0.0.1:1883");
        check("", "0.0.0.0:1883", "node-1:1883");
        check("", "[::]:1883", "node-1:1883");
        check("broker.example", "0.0.0.0:1883", "broker.example:1883");
        check("2001:db8::1", "[::]:1883", "[2001:db8::1]:1883");
    }
}
