//! `conf/micro-mq.toml` is what the code does: every key of the code, none beyond, and the same defaults.

use std::collections::{BTreeMap, BTreeSet};

use auth_actor::AuthSettings;
use micro_mq::config::schema::SECTIONS;
use micro_mq::config::{
    AdminConfig, ClusterConfig, DEFAULTS, KafkaConfig, ListenerConfig, ListenerKind, LogConfig, NodeConfig,
    RegistryConfig, SecurityConfig, Sources, StoreConfig,
};
use micro_mq_actors::{AllowedOrigins, PacketsPerFrame};
use micro_mq_core::settings::{MqttSettings, SessionSettings, Settings, WorkerSettings};

use crate::fields;

fn listener(kind: ListenerKind, bind: &str) -> ListenerConfig {
    ListenerConfig {
        kind,
        bind: bind.parse().unwrap(),
        path: "/mqtt".to_owned(),
        packets_per_frame: PacketsPerFrame::One,
        origins: AllowedOrigins::default(),
        tls_certificate: Default::default(),
        tls_key: Default::default(),
        tls_version_min: Default::default(),
        tls_client_certificates: Default::default(),
        tls_client_ca: Default::default(),
        tls_crl: Default::default(),
        tls_client_name: Default::default(),
        enabled: true,
    }
}

#[test]
fn the_shipped_file_holds_the_defaults_of_the_code() {
    let expected = NodeConfig {
        settings: Settings::default(),
        auth: AuthSettings::default(),
        store: StoreConfig::default(),
        cluster: ClusterConfig::default(),
        kafka: KafkaConfig::default(),
        registry: RegistryConfig::default(),
        listeners: BTreeMap::from([
            ("tcp".to_owned(), listener(ListenerKind::Tcp, "127.0.0.1:1883")),
            ("websocket".to_owned(), listener(ListenerKind::Websocket, "127.0.0.1:8083")),
        ]),
        admin: AdminConfig::default(),
        log: LogConfig::default(),
        security: SecurityConfig::default(),
    };
    assert_eq!(*Sources::default().load().unwrap().config(), expected);
}

#[test]
fn the_shipped_file_is_a_file_that_can_be_given() {
    let file = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../conf/micro-mq.toml");
    let sources = Sources { file: Some(file), ..Sources::default() };
    assert_eq!(sources.load().unwrap().config(), Sources::default().load().unwrap().config());
}

#[test]
fn the_shipped_file_has_every_key_of_the_code_and_none_beyond() {
    let document: toml::Table = DEFAULTS.parse().unwrap();
    let mut in_file = BTreeMap::new();
    for (section, table) in &document {
        let keys = in_file.entry(section.clone()).or_insert_with(BTreeSet::new);
        for (key, value) in table.as_table().unwrap() {
            match value.as_table() {
                Some(named) => keys.extend(named.keys().cloned()),
                None => _ = keys.insert(key.clone()),
            }
        }
    }
    let in_code = BTreeMap::from(
        [
            ("listener", fields::of::<ListenerConfig>()),
            ("mqtt", fields::of::<MqttSettings>()),
            ("session", fields::of::<SessionSettings>()),
            ("store", fields::of::<StoreConfig>()),
            ("cluster", fields::of::<ClusterConfig>()),
            ("kafka", fields::of::<KafkaConfig>()),
            ("node", fields::of::<WorkerSettings>()),
            ("auth", fields::of::<AuthSettings>()),
            ("admin", fields::of::<AdminConfig>()),
            ("log", fields::of::<LogConfig>()),
            ("registry", fields::of::<RegistryConfig>()),
            ("security", fields::of::<SecurityConfig>()),
        ]
        .map(|(section, keys)| {
            (section.to_owned(), keys.into_iter().map(str::to_owned).collect::<BTreeSet<_>>())
        }),
    );
    let checked: BTreeMap<_, _> = SECTIONS
        .iter()
        .map(|section| {
            (
                section.name.to_owned(),
                section.keys.iter().map(|(key, _)| (*key).to_owned()).collect::<BTreeSet<_>>(),
            )
        })
        .collect();
    assert_eq!(in_file, in_code);
    assert_eq!(checked, in_code);
}

#[test]
fn the_shipped_file_documents_every_key_with_its_default() {
    let mut comment = String::new();
    let mut in_listener = false;
    for line in DEFAULTS.lines() {
        if let Some(text) = line.strip_prefix('#') {
            comment.push_str(text);
        } else if line.starts_with('[') {
            in_listener = line.starts_with("[listener.");
        } else if let Some((key, value)) = line.split_once(" = ") {
            // Those of the listeners are described once for all listeners.
            assert!(
                in_listener || comment.contains(&format!("Default {value}")),
                "the comment of {key} does not say \"Default {value}\""
            );
        } else {
            comment.clear();
        }
    }
}
