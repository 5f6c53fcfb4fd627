//! What a node can be told: every limit, policy and interval of the actors, with its default.
//!
//! These structs are the `[section]` tables of the configuration file as well, so a key has one name, one default and
//! one documentation. Only `node` reads files and the environment; here nothing is parsed, only described.

use serde::Deserialize;

/// Which optional features of MQTT the node offers, announced in CONNACK and enforced. Table `[mqtt]`.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct MqttSettings {
    /// Highest QoS of a PUBLISH accepted, 0 to 2; a higher one is answered by DISCONNECT 0x9B. Default 2.
    pub maximum_qos: u8,
    /// Whether retained messages are offered; if not, a PUBLISH or will with RETAIN is refused (0x9A). Default true.
    pub retain_available: bool,
    /// Whether topic filters may hold wildcards; if not, SUBACK 0xA2. Default true.
    pub wildcard_subscription_available: bool,
    /// Whether `$share/...` filters are offered; if not, SUBACK 0x9E. Default true.
    pub shared_subscription_available: bool,
    /// Whether subscription identifiers are offered; if not, DISCONNECT 0xA1. Default true.
    pub subscription_identifiers_available: bool,
    /// Longest keep alive a client may ask for, in seconds; a 5.0 client that asks for more, or for none, is told this
    /// one (server keep alive). 0: no bound. Default 0.
    pub server_keep_alive_seconds: u16,
    /// Longest session expiry interval, in seconds; also the expiry of 3.1 and 3.1.1 sessions with clean session 0.
    /// 4294967295: never. Default 604800 (a week).
    pub session_expiry_interval_max_seconds: u32,
    /// Largest packet accepted, in bytes, fixed header included, 64 to 268435460. Default 16777216.
    pub maximum_packet_size_bytes: u32,
    /// QoS 1 and 2 publishes a client may have unacknowledged towards the node, 1 to 65535. Default 1024.
    pub receive_maximum: u16,
    /// Topic aliases a client may set per network connection, 0 to 65535. Default 64.
    pub topic_alias_maximum: u16,
    /// Topic aliases the node itself sets per network connection, at most what the client admits. Default 64.
    pub topic_alias_maximum_outgoing: u16,
    /// Whether control characters and non-characters are admitted in strings. NUL never is. Default false.
    pub allow_control_characters: bool,
    /// Whether a payload whose format indicator says UTF-8 is checked to be so (0x99 if not). Default false.
    pub check_payload_format: bool,
    /// Whether overlapping subscriptions of one session get one copy of a message, with the highest QoS and all
    /// subscription identifiers, in place of one copy each. Default false.
    pub merge_overlapping_subscriptions: bool,
    /// What a client that asks for response information is told: a topic prefix; `%c` stands for the client
    /// identifier. Empty: none is given. Default "".
    pub response_information: String,
    /// Levels of a topic name or topic filter, 1 to 1000 (0x90, 0x8F). Default 200.
    pub topic_levels_max: u16,
    /// User properties in one packet. Default 1024.
    pub user_properties_max: u16,
    /// Bytes of the properties of a PUBLISH or will message, which every subscriber gets a copy of; one with more is
    /// refused (0x97). Default 65536.
    pub publish_properties_bytes_max: usize,
    /// Topic filters in one SUBSCRIBE or UNSUBSCRIBE. Default 8192.
    pub filters_per_packet_max: u16,
    /// How long a 3.x client is not read whose publish a limit refused, or nobody answered whether it is allowed, in
    /// milliseconds, 0 to 600000; nothing tells it so. When there is room meanwhile, or it is allowed, the publish goes
    /// through, otherwise the network connection is closed. Default 5000.
    pub refused_publish_timeout_ms: u64,
    /// What a 3.x client gets for a publish that it has no permission for, which nothing can tell it: "acknowledge" (as if
    /// it had been published) or "close" (its network connection). Default "acknowledge".
    pub denied_publish: DeniedPublish,
    /// How often `$SYS/broker/...` is published, in seconds. 0: never. Default 10.
    pub sys_interval_seconds: u32,
}

impl Default for MqttSettings {
    fn default() -> Self {
        Self {
            maximum_qos: 2,
            retain_available: true,
            wildcard_subscription_available: true,
            shared_subscription_available: true,
            subscription_identifiers_available: true,
            server_keep_alive_seconds: 0,
            session_expiry_interval_max_seconds: 604_800,
            maximum_packet_size_bytes: 16 * 1024 * 1024,
            receive_maximum: 1024,
            topic_alias_maximum: 64,
            topic_alias_maximum_outgoing: 64,
            allow_control_characters: false,
            check_payload_format: false,
            merge_overlapping_subscriptions: false,
            response_information: String::new(),
            topic_levels_max: 200,
            user_properties_max: 1024,
            publish_properties_bytes_max: 65_536,
            filters_per_packet_max: 8192,
            refused_publish_timeout_ms: 5000,
            denied_publish: DeniedPublish::Acknowledge,
            sys_interval_seconds: 10,
        }
    }
}

/// What a 3.x client gets for a publish that it has no permission for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DeniedPublish {
    /// Its acknowledgement, as if it had been published.
    Acknowledge,
    /// The end of its network connection.
    Close,
}

/// What is dropped when a session's queue is full.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum QueueOverflow {
    /// The message that waits longest makes room.
    DropOldest,
    /// The message that comes finds no room.
    DropNewest,
}

/// How the member of a shared subscription that gets a message is chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SharedStrategy {
    /// One after the other.
    RoundRobin,
    /// The member with the fewest messages unacknowledged or waiting.
    LeastInflight,
    /// By a hash of the publisher's client identifier: one publisher's messages go to one member.
    HashClient,
    /// By a hash of the topic name: one topic's messages go to one member.
    HashTopic,
    /// The same member as long as it is online.
    Sticky,
}

/// Sessions, their queues and their subscriptions. Table `[session]`.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SessionSettings {
    /// Sessions on this node, online and offline; a CONNECT beyond is refused (0x97). Default 1000000.
    pub sessions_max: usize,
    /// Bytes of the client identifiers and user names of all sessions; a CONNECT beyond is refused (0x97). Default
    /// 268435456 (256 MiB).
    pub names_bytes_max: usize,
    /// Subscriptions of one client; a SUBSCRIBE beyond is answered 0x97. Default 100000.
    pub subscriptions_per_client_max: usize,
    /// Bytes of the topic filters of one client's subscriptions, 128 more for each, 64 for each of their levels, and 1,280
    /// for a shared one, which takes a group; a SUBSCRIBE beyond is answered 0x97. Default 67108864 (64 MiB).
    pub subscription_bytes_per_client_max: usize,
    /// The same of all clients together; a SUBSCRIBE beyond is answered 0x97. Default 1073741824 (1 GiB).
    pub subscription_bytes_max: usize,
    /// QoS 1 and 2 messages sent to a client and not yet acknowledged, 1 to 65535; a 5.0 client's receive maximum
    /// lowers it. Default 65535.
    pub inflight_max: u16,
    /// Packet identifiers of incoming QoS 2 messages a session may hold between PUBLISH and PUBREL, 1 to 65535; at most
    /// this, however often it reconnects (0x93; 3.x is not read for a while first). Default 4096.
    pub incoming_qos2_max: u16,
    /// Messages that wait for one session behind those in flight. Default 100000.
    pub queue_messages_max: usize,
    /// Bytes (topic name, properties and payload) that wait for one session that outlives its connection, those in
    /// flight included; a single message may exceed it. Default 67108864 (64 MiB).
    pub queue_bytes_max: usize,
    /// The same for a session that ends with its connection: what a client that does not read may cost, beside its
    /// outbox. Default 5242880 (5 MiB).
    pub clean_queue_bytes_max: usize,
    /// What is dropped when the queue is full: "drop_oldest" or "drop_newest". Default "drop_newest".
    pub queue_overflow: QueueOverflow,
    /// Whether QoS 0 messages are queued for a session that is offline. Default false.
    pub queue_qos0_offline: bool,
    /// How a shared subscription picks its member: "round_robin", "least_inflight", "hash_client", "hash_topic" or
    /// "sticky". Default "round_robin".
    pub shared_strategy: SharedStrategy,
    /// Retained messages of all clients; a publish beyond is refused (0x97; a 3.x client is not read, see
    /// `refused_publish_timeout_ms`; QoS 0 is dropped) and counted. Default 2000000.
    pub retained_messages_max: usize,
    /// Bytes (topic name, properties and payload) of them. Default 1073741824 (1 GiB).
    pub retained_bytes_max: usize,
    /// Retained messages that one client set last, in this session or an earlier one; beyond, the same. Default 1000000.
    pub retained_messages_per_client_max: usize,
    /// Bytes of those. Default 268435456 (256 MiB).
    pub retained_bytes_per_client_max: usize,
    /// Whether a shutdown publishes the wills of the clients it disconnects. Default true.
    pub publish_wills_on_shutdown: bool,
}

impl Default for SessionSettings {
    fn default() -> Self {
        Self {
            sessions_max: 1_000_000,
            names_bytes_max: 256 * 1024 * 1024,
            subscriptions_per_client_max: 100_000,
            subscription_bytes_per_client_max: 64 * 1024 * 1024,
            subscription_bytes_max: 1024 * 1024 * 1024,
            inflight_max: 65_535,
            incoming_qos2_max: 4096,
            queue_messages_max: 100_000,
            queue_bytes_max: 64 * 1024 * 1024,
            clean_queue_bytes_max: 5 * 1024 * 1024,
            queue_overflow: QueueOverflow::DropNewest,
            queue_qos0_offline: false,
            shared_strategy: SharedStrategy::RoundRobin,
            retained_messages_max: 2_000_000,
            retained_bytes_max: 1024 * 1024 * 1024,
            retained_messages_per_client_max: 1_000_000,
            retained_bytes_per_client_max: 256 * 1024 * 1024,
            publish_wills_on_shutdown: true,
        }
    }
}

/// Threads, network connections and what stands between them. Table `[node]`.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct WorkerSettings {
    /// Threads that serve network connections, 1 to 64. 0: one per core. Default 0.
    pub workers: usize,
    /// Network connections at a time; one more is closed as it is accepted. The limit of open files may leave room for
    /// fewer. Default 1000000.
    pub connections_max: usize,
    /// Files that are kept for what is no network connection of a client, such as requests to the admin listener; at most
    /// a quarter of those that the node does not need itself. Default 80.
    pub open_files_reserved: usize,
    /// From a network connection to its complete CONNECT (for WebSocket the handshake included), in milliseconds, above 0.
    /// Default 5000.
    pub connect_timeout_ms: u64,
    /// Bytes that wait to be written to one network connection; above it QoS 0 is dropped and counted, QoS 1 and 2 wait
    /// in the session's queue. At least 4096. Default 1048576.
    pub outbox_bytes_max: usize,
    /// Messages on their way to one worker's topic trie, from its own connections and from other workers; at this limit
    /// publishers are not read until there is room. Default 32768.
    pub messages_between_workers_max: usize,
    /// Bytes of those messages. Default 2097152 (2 MiB).
    pub bytes_between_workers_max: usize,
    /// Bytes of packets that are received in part, of all clients together, those before their CONNECT and TLS handshakes
    /// included; each has 16 KiB beside that. One that needs more is closed (0x97). Default 268435456 (256 MiB).
    pub incomplete_packets_bytes_max: usize,
    /// Bytes of all messages that wait, in queues of sessions and shared groups and in flight to sessions that outlive their
    /// connection, and of wills; a message counts once, and each of its places 128 bytes. At this limit publishes of QoS
    /// 1 and 2 are refused (0x97; see refused_publish_timeout_ms) and QoS 0 is not queued; an eighth above it nothing
    /// is kept any more. Default 1073741824 (1 GiB).
    pub queued_bytes_max: usize,
    /// Deliveries a topic trie makes before it lets the connections of its worker have their turn. Default 2048.
    pub deliveries_per_turn: usize,
    /// How long a shutdown may take to tell clients and flush outboxes, in milliseconds. Default 5000.
    pub shutdown_grace_ms: u64,
    /// Lines of the log about clients that connect, disconnect and are refused, in one second; what is left out is counted
    /// and said in one line. 0: none. Default 100.
    pub client_lines_per_second_max: u32,
    /// How often figures are logged, in seconds: a line of the node, and one of each kind of actor that did something. 0:
    /// never. Default 60.
    pub metrics_interval_seconds: u32,
}

impl Default for WorkerSettings {
    fn default() -> Self {
        Self {
            workers: 0,
            connections_max: 1_000_000,
            open_files_reserved: 80,
            connect_timeout_ms: 5000,
            outbox_bytes_max: 1024 * 1024,
            messages_between_workers_max: 32_768,
            bytes_between_workers_max: 2 * 1024 * 1024,
            incomplete_packets_bytes_max: 256 * 1024 * 1024,
            queued_bytes_max: 1024 * 1024 * 1024,
            deliveries_per_turn: 2048,
            shutdown_grace_ms: 5000,
            client_lines_per_second_max: 100,
            metrics_interval_seconds: 60,
        }
    }
}

/// Everything the actors are told at their start; it does not change while the node runs.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Settings {
    /// `[mqtt]`
    pub mqtt: MqttSettings,
    /// `[session]`
    pub session: SessionSettings,
    /// `[node]`
    pub node: WorkerSettings,
}
