//! Every key of the configuration, what it may hold, and which key somebody meant who wrote another.
//!
//! Serde would refuse a wrong key too, but stops at the first, and names neither the file nor the range.

use super::key_type::{Item, KeyType, at_least, count, milliseconds, seconds, u16_from};
use super::tables::{ALLOW_ADMIN_WORDS, ALLOW_ANONYMOUS_WORDS};

/// One `[table]` and its keys, in the order in which they are printed.
pub struct Section {
    /// `mqtt`; for `listener` the keys are those of each `[listener.NAME]`.
    pub name: &'static str,
    /// Key and what it may hold.
    pub keys: &'static [(&'static str, KeyType)],
}

impl Section {
    /// Whether the tables of this section have names of their own.
    pub fn is_named(&self) -> bool {
        self.name == "listener"
    }

    pub(super) fn find(&self, key: &str) -> Option<&'static KeyType> {
        self.keys.iter().find(|(name, _)| *name == key).map(|(_, kind)| kind)
    }
}

/// All sections, in the order in which they are printed.
pub const SECTIONS: &[Section] = &[
    Section { name: "listener", keys: LISTENER },
    Section { name: "mqtt", keys: MQTT },
    Section { name: "store", keys: STORE },
    Section { name: "cluster", keys: CLUSTER },
    Section { name: "kafka", keys: KAFKA },
    Section { name: "registry", keys: REGISTRY },
    Section { name: "session", keys: SESSION },
    Section { name: "node", keys: NODE },
    Section { name: "auth", keys: AUTH },
    Section { name: "admin", keys: ADMIN },
    Section { name: "log", keys: LOG },
    Section { name: "security", keys: SECURITY },
];

const LISTENER: &[(&str, KeyType)] = &[
    ("type", KeyType::OneOf(&["tcp", "websocket"])),
    ("bind", KeyType::Address),
    ("path", KeyType::Path),
    ("packets_per_frame", KeyType::OneOf(&["one", "many"])),
    ("origins", KeyType::ListOf(Item::Origin)),
    ("tls_certificate", KeyType::Text),
    ("tls_key", KeyType::Text),
    ("tls_version_min", KeyType::OneOf(&["1.2", "1.3"])),
    ("tls_client_certificates", KeyType::OneOf(&["none", "optional", "required"])),
    ("tls_client_ca", KeyType::Text),
    ("tls_crl", KeyType::Text),
    ("tls_client_name", KeyType::OneOf(&["common_name", "subject", "san_dns", "san_uri", "san_email"])),
    ("enabled", KeyType::Flag),
];

const MQTT: &[(&str, KeyType)] = &[
    ("maximum_qos", count(0, 2)),
    ("retain_available", KeyType::Flag),
    ("wildcard_subscription_available", KeyType::Flag),
    ("shared_subscription_available", KeyType::Flag),
    ("subscription_identifiers_available", KeyType::Flag),
    ("server_keep_alive_seconds", u16_from(0)),
    ("session_expiry_interval_max_seconds", seconds()),
    ("maximum_packet_size_bytes", count(64, 268_435_460)),
    ("receive_maximum", u16_from(1)),
    ("topic_alias_maximum", u16_from(0)),
    ("topic_alias_maximum_outgoing", u16_from(0)),
    ("allow_control_characters", KeyType::Flag),
    ("check_payload_format", KeyType::Flag),
    ("merge_overlapping_subscriptions", KeyType::Flag),
    ("response_information", KeyType::TopicPrefix),
    ("topic_levels_max", count(1, 1000)),
    ("user_properties_max", u16_from(0)),
    ("publish_properties_bytes_max", at_least(0)),
    ("filters_per_packet_max", u16_from(1)),
    ("refused_publish_timeout_ms", count(0, 600_000)),
    ("denied_publish", KeyType::OneOf(&["acknowledge", "close"])),
    ("sys_interval_seconds", seconds()),
];

const SESSION: &[(&str, KeyType)] = &[
    ("sessions_max", at_least(1)),
    ("names_bytes_max", at_least(0)),
    ("subscriptions_per_client_max", at_least(0)),
    ("subscription_bytes_per_client_max", at_least(0)),
    ("subscription_bytes_max", at_least(0)),
    ("inflight_max", u16_from(1)),
    ("incoming_qos2_max", u16_from(1)),
    ("queue_messages_max", at_least(0)),
    ("queue_bytes_max", at_least(0)),
    ("clean_queue_bytes_max", at_least(0)),
    ("queue_overflow", KeyType::OneOf(&["drop_oldest", "drop_newest"])),
    ("queue_qos0_offline", KeyType::Flag),
    (
        "shared_strategy",
        KeyType::OneOf(&["round_robin", "least_inflight", "hash_client", "hash_topic", "sticky"]),
    ),
    ("retained_messages_max", at_least(0)),
    ("retained_bytes_max", at_least(0)),
    ("retained_messages_per_client_max", at_least(0)),
    ("retained_bytes_per_client_max", at_least(0)),
    ("publish_wills_on_shutdown", KeyType::Flag),
];

const STORE: &[(&str, KeyType)] = &[
    ("backend", KeyType::OneOf(&["memory", "disk"])),
    ("folder", KeyType::Text),
    ("durability", KeyType::OneOf(&["fsync", "written", "deferred"])),
];

const CLUSTER: &[(&str, KeyType)] = &[
    ("enabled", KeyType::Flag),
    ("node", KeyType::Text),
    ("slot", count(-1, 63)),
    ("forward_bytes_max", at_least(1_048_576)),
];

const KAFKA: &[(&str, KeyType)] = &[
    ("brokers", KeyType::Text),
    ("prefix", KeyType::Text),
    ("create_topics", KeyType::Flag),
    ("replication", count(0, 100)),
];

const NODE: &[(&str, KeyType)] = &[
    ("workers", count(0, 64)),
    ("connections_max", at_least(1)),
    ("open_files_reserved", at_least(0)),
    ("connect_timeout_ms", milliseconds(1)),
    ("outbox_bytes_max", at_least(4096)),
    ("messages_between_workers_max", at_least(1)),
    ("bytes_between_workers_max", at_least(1)),
    ("incomplete_packets_bytes_max", at_least(0)),
    ("queued_bytes_max", at_least(0)),
    ("deliveries_per_turn", at_least(1)),
    ("shutdown_grace_ms", milliseconds(0)),
    ("client_lines_per_second_max", seconds()),
    ("metrics_interval_seconds", seconds()),
];

const REGISTRY: &[(&str, KeyType)] = &[
    ("provider", KeyType::OneOf(&["none", "consul", "etcd", "static"])),
    ("addresses", KeyType::ListOf(Item::ServiceAddress)),
    ("token_file", KeyType::Text),
    ("service", KeyType::Text),
    ("advertise", KeyType::Text),
    ("time_to_live_seconds", count(3, 3600)),
    ("nodes", KeyType::ListOf(Item::NodeAddress)),
    ("tls_ca", KeyType::Text),
    ("tls_certificate", KeyType::Text),
    ("tls_key", KeyType::Text),
];

const AUTH: &[(&str, KeyType)] = &[
    ("provider", KeyType::OneOf(&["anonymous", "mock", "file", "rpc"])),
    ("mock_allow", KeyType::Flag),
    ("file", KeyType::Text),
    ("rpc_addresses", KeyType::ListOf(Item::AuthServiceAddress)),
    ("rpc_token_file", KeyType::Text),
    ("rpc_ca", KeyType::Text),
    ("rpc_cache_seconds", seconds()),
    ("when_unavailable", KeyType::OneOf(&["deny", "allow"])),
    ("answer_timeout_ms", milliseconds(1)),
    ("questions_max", at_least(2)),
    ("questions_bytes_max", at_least(0)),
];

const ADMIN: &[(&str, KeyType)] = &[
    ("bind", KeyType::Address),
    ("hosts", KeyType::ListOf(Item::HostName)),
    ("console_dir", KeyType::Text),
    ("enabled", KeyType::Flag),
];

const LOG: &[(&str, KeyType)] = &[
    ("level", KeyType::LogFilter),
    ("format", KeyType::OneOf(&["text", "json"])),
    ("queue_bytes_max", at_least(0)),
];

const SECURITY: &[(&str, KeyType)] = &[
    ("allow_anonymous_outside_loopback", KeyType::Words(ALLOW_ANONYMOUS_WORDS)),
    ("allow_admin_outside_loopback", KeyType::Words(ALLOW_ADMIN_WORDS)),
];

/// What a dotted key may hold, if there is such a key.
pub(super) fn kind_of(path: &[&str]) -> Option<&'static KeyType> {
    match path {
        ["listener", _, key] => section("listener")?.find(key),
        [name, key] => section(name).filter(|section| !section.is_named())?.find(key),
        _ => None,
    }
}

/// The section of that name.
pub(super) fn section(name: &str) -> Option<&'static Section> {
    SECTIONS.iter().find(|section| section.name == name)
}

/// The section that `wrong` was meant to be.
pub(super) fn similar_section(wrong: &str) -> Option<&'static str> {
    closest(wrong, SECTIONS.iter().map(|section| section.name))
}

/// The key that `wrong` was meant to be: the most similar one of its own table, else one of that name elsewhere.
pub(super) fn similar_key(table: &str, section: &Section, wrong: &str) -> Option<String> {
    if let Some(name) = closest(wrong, section.keys.iter().map(|(name, _)| *name)) {
        return Some(format!("{table}.{name}"));
    }
    SECTIONS
        .iter()
        .filter(|other| !other.is_named())
        .find(|other| other.find(wrong).is_some())
        .map(|other| format!("{}.{wrong}", other.name))
}

/// At most one edit in three characters apart: further away, a suggestion confuses more than it helps.
fn closest(wrong: &str, names: impl Iterator<Item = &'static str>) -> Option<&'static str> {
    names
        .map(|name| (strsim::osa_distance(wrong, name), name))
        .filter(|(distance, name)| distance * 3 <= name.len().max(3))
        .min()
        .map(|(_, name)| name)
}
