//! Keys that are right on their own and impossible together.

use std::net::SocketAddr;
use std::path::Path;

use auth_actor::{CertificateName, ProviderKind};

use super::effective::{DEFAULTS_ORIGIN, Effective, Origins};
use super::error::Problem;
use super::registry::RegistryKind;
use super::tables::{
    ALLOW_ADMIN_WORDS, ALLOW_ANONYMOUS_WORDS, ClientCertificates, ListenerKind, StoreKind, TlsVersion,
};

/// Keys that mean something for WebSockets alone, and what they say.
const WEBSOCKET_KEYS: [(&str, &str); 3] =
    [("path", "a path"), ("packets_per_frame", "frames"), ("origins", "origins")];

pub(super) fn check(effective: &Effective) -> Vec<Problem> {
    let mut problems = Vec::new();
    listeners(effective, &mut problems);
    same_address(effective, &mut problems);
    authentication(effective, &mut problems);
    store(effective, &mut problems);
    cluster(effective, &mut problems);
    registry(effective, &mut problems);
    reachable_from_outside(effective, &mut problems);
    problems
}

/// Only the listeners that are there by default have a default address.
pub(super) fn listeners_without_address(origins: &Origins) -> Vec<Problem> {
    origins
        .names("listener")
        .filter(|name| origins.get(&format!("listener.{name}.bind")).is_none())
        .map(|name| {
            let table = format!("listener.{name}");
            let origin = origins
                .names(&table)
                .map(|key| origins.of(&format!("{table}.{key}")))
                .next()
                .unwrap_or("configuration");
            problem(origin, &format!("{table}.bind"), "must be set".to_owned())
        })
        .collect()
}

fn listeners(effective: &Effective, problems: &mut Vec<Problem>) {
    let (config, origins) = (effective.config(), effective.origins());
    for (name, _) in config.listeners.iter().filter(|(_, listener)| listener.kind == ListenerKind::Tcp) {
        for (key, what) in WEBSOCKET_KEYS {
            let key = format!("listener.{name}.{key}");
            if origins.is_set(&key) {
                let text = format!("only a listener of type \"websocket\" has {what}");
                problems.push(problem(origins.of(&key), &key, text));
            }
        }
    }
    for (name, listener) in &config.listeners {
        let is_there =
            [&listener.tls_certificate, &listener.tls_key].map(|file| !file.as_os_str().is_empty());
        let (missing, other) = match is_there {
            [true, false] => ("tls_key", "tls_certificate"),
            [false, true] => ("tls_certificate", "tls_key"),
            _ => continue,
        };
        let origin = origins.of(&format!("listener.{name}.{other}"));
        let text = format!("must be set when {other} is");
        problems.push(problem(origin, &format!("listener.{name}.{missing}"), text));
    }
    client_certificates(effective, problems);
    if config.enabled_listeners().next().is_none() {
        let switches = config.listeners.keys().map(|name| format!("listener.{name}.enabled"));
        let key = switches.into_iter().find(|key| origins.is_set(key));
        problems.push(problem(
            key.as_deref().map_or(DEFAULTS_ORIGIN, |key| origins.of(key)),
            "listener",
            "at least one listener must be enabled".to_owned(),
        ));
    }
}

/// Who asks for certificates has to know whom to believe; and who does not ask has nothing to say about them.
fn client_certificates(effective: &Effective, problems: &mut Vec<Problem>) {
    let (config, origins) = (effective.config(), effective.origins());
    for (name, listener) in &config.listeners {
        let asks = listener.tls_client_certificates != ClientCertificates::None;
        let is_named = |file: &Path| !file.as_os_str().is_empty();
        let mut wrong = |at: &str, key: &str, text: &str| {
            let dotted = |key: &str| format!("listener.{name}.{key}");
            problems.push(problem(origins.of(&dotted(at)), &dotted(key), text.to_owned()));
        };
        if asks && !is_named(&listener.tls_client_ca) {
            let text = "must be set when tls_client_certificates is not \"none\"";
            wrong("tls_client_certificates", "tls_client_ca", text);
        }
        let of_tls = [
            ("tls_version_min", listener.tls_version_min != TlsVersion::default()),
            ("tls_client_certificates", asks),
        ];
        for (key, _) in of_tls.iter().filter(|(_, is_set)| *is_set && !listener.speaks_tls()) {
            wrong(key, key, "means something with tls_certificate alone");
        }
        let of_certificates = [
            ("tls_client_ca", is_named(&listener.tls_client_ca)),
            ("tls_crl", is_named(&listener.tls_crl)),
            ("tls_client_name", listener.tls_client_name != CertificateName::default()),
        ];
        for (key, _) in of_certificates.iter().filter(|(_, is_set)| *is_set && !asks) {
            wrong(
                key,
                key,
                "means something with tls_client_certificates \"optional\" or \"required\" alone",
            );
        }
    }
}

/// What is kept needs a place.
fn store(effective: &Effective, problems: &mut Vec<Problem>) {
    let store = &effective.config().store;
    if store.backend == StoreKind::Disk && store.folder.as_os_str().is_empty() {
        let key = "store.folder";
        let text = "must name a folder, since store.backend is \"disk\"".to_owned();
        problems.push(problem(effective.origins().of(key), key, text));
    }
}

/// Who is registered has a name, and a registry a place.
fn registry(effective: &Effective, problems: &mut Vec<Problem>) {
    let (config, origins) = (effective.config(), effective.origins());
    let registry = &config.registry;
    if registry.provider == RegistryKind::None {
        return;
    }
    let mut refuse = |key: &str, text: &str| problems.push(problem(origins.of(key), key, text.to_owned()));
    if config.cluster.node.is_empty() {
        refuse("cluster.node", "must name this node, since registry.provider is not \"none\"");
    }
    let is_of_names = |letter: char| letter.is_ascii_alphanumeric() || letter == '-';
    let service = &registry.service;
    if service.is_empty() || service.len() > 63 || !service.chars().all(is_of_names) {
        refuse("registry.service", "must be 1 to 63 letters, digits or hyphens");
    }
    if registry.provider == RegistryKind::Static {
        if registry.nodes.is_empty() {
            refuse("registry.nodes", "must name all nodes, since registry.provider is \"static\"");
        }
        return;
    }
    if registry.addresses.is_empty() {
        refuse("registry.addresses", "must say where the registry is");
    }
    let is_set = |file: &Path| !file.as_os_str().is_empty();
    if registry.addresses.iter().any(|address| address.starts_with("https://")) && !is_set(&registry.tls_ca) {
        refuse("registry.tls_ca", "must be set when an address begins with https");
    }
    if is_set(&registry.tls_certificate) != is_set(&registry.tls_key) {
        refuse("registry.tls_certificate", "must be set when tls_key is, and the other way round");
    }
    if registry.provider == RegistryKind::Etcd && is_set(&registry.token_file) {
        refuse("registry.token_file", "is for \"consul\" alone");
    }
}

/// A node of a cluster has a name, and Kafka takes the names of its topics.
fn cluster(effective: &Effective, problems: &mut Vec<Problem>) {
    let (config, origins) = (effective.config(), effective.origins());
    if !config.cluster.enabled {
        return;
    }
    let mut refuse = |key: &str, text: &str| problems.push(problem(origins.of(key), key, text.to_owned()));
    if config.cluster.node.is_empty() {
        refuse("cluster.node", "must name this node, since cluster.enabled is true");
    }
    if config.kafka.brokers.is_empty() {
        refuse("kafka.brokers", "must name a broker, since cluster.enabled is true");
    }
    let is_of_names = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '.' | '_' | '-');
    let prefix = &config.kafka.prefix;
    if prefix.is_empty() || prefix.len() > 200 || !prefix.chars().all(is_of_names) {
        refuse("kafka.prefix", "must be 1 to 200 letters, digits, full stops, underscores or hyphens");
    }
    if config.settings.node.workers == 64 {
        refuse("node.workers", "must be below 64, since cluster.enabled is true");
    }
}

/// Two listeners at one address would be bound all the same, and share the clients out between them.
fn same_address(effective: &Effective, problems: &mut Vec<Problem>) {
    let addresses = enabled_addresses(effective);
    for (number, late) in addresses.iter().enumerate() {
        let Some(early) = addresses[..number].iter().find(|(_, address)| overlap(late.1, *address)) else {
            continue;
        };
        // A default was there first; of two that were set, the later in the order of the names is named.
        let ((key, address), (other, other_address)) =
            if effective.origins().is_set(&late.0) { (late, early) } else { (early, late) };
        problems.push(problem(
            effective.origins().of(key),
            key,
            format!("{address} overlaps with {other_address} of {other}"),
        ));
    }
}

fn enabled_addresses(effective: &Effective) -> Vec<(String, SocketAddr)> {
    let config = effective.config();
    let listeners =
        config.enabled_listeners().map(|(name, listener)| (format!("listener.{name}.bind"), listener.bind));
    let admin = config.admin.enabled.then(|| ("admin.bind".to_owned(), config.admin.bind));
    listeners.chain(admin).collect()
}

fn overlap(a: SocketAddr, b: SocketAddr) -> bool {
    let any_of_family =
        |any: SocketAddr, other: SocketAddr| any.ip().is_unspecified() && any.is_ipv4() == other.is_ipv4();
    a.port() == b.port() && a.port() != 0 && (a.ip() == b.ip() || any_of_family(a, b) || any_of_family(b, a))
}

fn authentication(effective: &Effective, problems: &mut Vec<Problem>) {
    let (auth, origins) = (&effective.config().auth, effective.origins());
    if auth.provider == ProviderKind::File && auth.file.is_none() {
        problems.push(problem(
            origins.of("auth.provider"),
            "auth.file",
            "must be set when auth.provider is \"file\"".to_owned(),
        ));
    }
    if auth.provider == ProviderKind::Rpc {
        let needed = [
            ("auth.rpc_addresses", auth.rpc_addresses.is_empty()),
            ("auth.rpc_token_file", auth.rpc_token_file.as_os_str().is_empty()),
        ];
        for (key, _) in needed.iter().filter(|(_, is_missing)| *is_missing) {
            let text = "must be set when auth.provider is \"rpc\"".to_owned();
            problems.push(problem(origins.of("auth.provider"), key, text));
        }
    }
    // A forgotten provider would leave a node open whose users somebody took the trouble to write down.
    if auth.file.is_some() && !origins.is_set("auth.provider") {
        problems.push(problem(
            origins.of("auth.file"),
            "auth.file",
            "is not read as long as auth.provider is not set to \"file\"".to_owned(),
        ));
    }
}

fn reachable_from_outside(effective: &Effective, problems: &mut Vec<Problem>) {
    let (config, origins) = (effective.config(), effective.origins());
    let provider = match config.auth.provider {
        ProviderKind::Anonymous => Some("anonymous"),
        ProviderKind::Mock if config.auth.mock_allow => Some("mock"),
        _ => None,
    };
    if let Some(provider) = provider
        && config.security.allow_anonymous_outside_loopback != ALLOW_ANONYMOUS_WORDS
    {
        for (name, listener) in config.enabled_listeners().filter(|(_, listener)| is_outside(listener.bind)) {
            let key = format!("listener.{name}.bind");
            problems.push(problem(
                origins.of(&key),
                &key,
                format!(
                    "{} is outside loopback while auth.provider \"{provider}\" lets everybody in; choose another \
                     provider or set security.allow_anonymous_outside_loopback = \"{ALLOW_ANONYMOUS_WORDS}\"",
                    listener.bind
                ),
            ));
        }
    }
    let admin = &config.admin;
    if admin.enabled
        && is_outside(admin.bind)
        && config.security.allow_admin_outside_loopback != ALLOW_ADMIN_WORDS
    {
        problems.push(problem(
            origins.of("admin.bind"),
            "admin.bind",
            format!(
                "{} is outside loopback while the admin listener knows no authentication; set \
                 security.allow_admin_outside_loopback = \"{ALLOW_ADMIN_WORDS}\" if this is meant",
                admin.bind
            ),
        ));
    }
}

fn is_outside(address: SocketAddr) -> bool {
    !address.ip().to_canonical().is_loopback()
}

fn problem(origin: &str, key: &str, problem: String) -> Problem {
    Problem::Key { origin: origin.to_owned(), key: key.to_owned(), problem }
}
