//! What a worker counts beside the ledger: traffic, connections, and every limit that was reached.

use std::sync::Arc;

use crate::count::Counter;
use crate::ids::shared_part;
use crate::subscriptions::{SubscriptionRoom, subscription_bytes};

macro_rules! counters {
    ($($(#[$doc:meta])* $name:ident),+ $(,)?) => {
        /// One worker's counters. It alone writes them.
        #[derive(Debug, Default)]
        pub struct Counters {
            $($(#[$doc])* pub $name: Counter,)+
            /// What there is now.
            pub gauges: Gauges,
            /// Network connections that ended, by reason code.
            ended: ByReason,
        }

        impl Counters {
            /// Every counter, by the name it has in metrics.
            pub fn all(&self) -> Vec<(&'static str, u64)> {
                vec![$((stringify!($name), self.$name.get())),+]
            }
        }
    };
}

counters! {
    /// Control packets received.
    packets_received,
    /// Control packets sent, those of deliveries not included.
    packets_sent,
    /// PUBLISH packets received.
    publishes_received,
    /// Bytes of their payloads.
    publish_bytes_received,
    /// Bytes received from network connections.
    bytes_received,
    /// Bytes written to network connections.
    bytes_sent,
    /// CONNECTs that were answered with success.
    connects_accepted,
    /// CONNECTs that were refused.
    connects_refused,
    /// Sessions taken over by another network connection.
    takeovers,
    /// Sessions whose session expiry interval passed.
    sessions_expired,
    /// Will messages published.
    wills_published,
    /// Will messages dropped, as the rules that came after their CONNECT do not allow them.
    wills_not_authorized,
    /// Network connections closed at `connections_max`.
    connections_full,
    /// Times that a network connection could not be accepted: no file, or no memory, was left.
    accept_errors,
    /// Clients of whose coming, going or refusal no line was written (`client_lines_per_second_max`).
    client_lines_left_out,
    /// CONNECTs refused at `sessions_max`.
    sessions_full,
    /// CONNECTs refused since the sessions that the store keeps are not loaded.
    sessions_not_loaded,
    /// CONNECTs refused since too much waits for the session store.
    changes_full,
    /// CONNECTs refused at `names_bytes_max`.
    session_names_full,
    /// CONNECTs refused at `queued_bytes_max`, for their will.
    wills_full,
    /// Network connections without a complete CONNECT within `connect_timeout_ms`.
    connect_timeouts,
    /// TLS sessions opened.
    tls_handshakes,
    /// TLS handshakes that failed, that brought too much, or that the client broke off.
    tls_handshakes_failed,
    /// Network connections closed as what they were let in by was over.
    grants_expired,
    /// Network connections closed as the provider of the auth actor gave notice of it.
    connections_withdrawn,
    /// Network connections silent for one and a half times their keep alive.
    keep_alive_timeouts,
    /// Packets above `maximum_packet_size_bytes`.
    packets_too_large,
    /// Packets that were malformed or broke the protocol.
    protocol_errors,
    /// Topic names and filters with more levels than `topic_levels_max`.
    topic_levels_exceeded,
    /// Subscriptions refused at `subscriptions_per_client_max` or `subscription_bytes_per_client_max`.
    subscriptions_full,
    /// Subscriptions refused at `subscription_bytes_max`.
    subscription_bytes_full,
    /// Network connections closed at `incomplete_packets_bytes_max`, those whose TLS handshake it was included.
    incomplete_packets_full,
    /// Network connections closed for more publishes in flight than `receive_maximum`.
    receive_maximum_exceeded,
    /// Network connections closed at `incoming_qos2_max`.
    incoming_qos2_full,
    /// Network connections closed for a topic alias above `topic_alias_maximum`.
    topic_alias_exceeded,
    /// Times a publisher was not read because a topic trie had no room
    /// (`messages_between_workers_max`, `bytes_between_workers_max`).
    between_workers_full,
    /// Times a publisher was not read because what keeps publishes had no room for more.
    keepers_full,
    /// Network connections closed since a publish, a release or a change of subscriptions could not be kept: they were
    /// not acknowledged.
    promises_failed,
    /// Acknowledgements that waited when their network connection ended, and so were never sent.
    answers_left,
    /// Publishes read and not routed, since there was no room for them when their network connection ended: QoS 0 is
    /// lost, the others were not acknowledged.
    publishes_given_up,
    /// Times a client was not read because its own outbox was full (`outbox_bytes_max`).
    reading_paused_outbox,
    /// Publishes with RETAIN refused, and wills routed and not kept, at `retained_messages_max` or `retained_bytes_max`.
    retained_refused,
    /// The same at `retained_messages_per_client_max` or `retained_bytes_per_client_max`.
    retained_per_client_refused,
    /// QoS 1 and 2 publishes refused at `queued_bytes_max`.
    queued_bytes_refused,
    /// Publishes refused that would have to be kept, while the disk of the session store has no room.
    disk_full_refused,
    /// QoS 0 publishes dropped whole for one of the limits that refuse a publish.
    qos0_refused,
    /// Times a 3.x client was not read since a limit refused its publish.
    publishers_held,
    /// Network connections of 3.x clients closed since a limit refused their publish for `refused_publish_timeout_ms`.
    publishers_held_closed,
    /// PUBLISH packets and wills with more properties than `publish_properties_bytes_max`.
    publish_properties_too_large,
    /// Publishes refused for want of permission, or to `$SYS`.
    publishes_not_authorized,
    /// Publishes whose payload is not what its format indicator says.
    payload_format_invalid,
    /// Subscriptions refused for want of permission.
    subscriptions_not_authorized,
}

/// What a worker has now, counted where that changes, so that nobody who asks makes it look through all of it.
#[derive(Debug, Default)]
pub struct Gauges {
    /// Sessions that a network connection holds.
    pub online: Counter,
    /// Subscriptions of its sessions, shared ones included.
    pub subscriptions: Counter,
    /// Shared subscriptions of its sessions.
    pub shared_subscriptions: Counter,
    /// What the subscriptions of all workers' sessions take.
    pub subscription_room: Arc<SubscriptionRoom>,
}

impl Gauges {
    /// A session has a subscription more.
    pub fn subscribed(&self, filter: &str) {
        self.subscriptions.add(1);
        self.shared_subscriptions.add(u64::from(shared_part(filter).is_some()));
        self.subscription_room.enter(subscription_bytes(filter));
    }

    /// A session has a subscription less.
    pub fn unsubscribed(&self, filter: &str) {
        self.subscriptions.sub(1);
        self.shared_subscriptions.sub(u64::from(shared_part(filter).is_some()));
        self.subscription_room.leave(subscription_bytes(filter));
    }
}

/// Counts by reason code.
#[derive(Debug)]
struct ByReason([Counter; 256]);

impl Default for ByReason {
    fn default() -> Self {
        Self(std::array::from_fn(|_| Counter::default()))
    }
}

impl Counters {
    /// None yet; subscriptions take their room beside those of other workers.
    pub fn beside(subscription_room: &Arc<SubscriptionRoom>) -> Self {
        let gauges = Gauges { subscription_room: Arc::clone(subscription_room), ..Gauges::default() };
        Self { gauges, ..Self::default() }
    }

    /// A network connection ended for this reason.
    pub fn count_end(&self, reason: mqtt_codec::ReasonCode) {
        self.ended.0[reason as usize].add(1);
    }

    /// How many network connections ended, by reason code; only those that occurred.
    pub fn ends(&self) -> Vec<(u8, u64)> {
        let counts = self.ended.0.iter().enumerate().map(|(code, count)| (code as u8, count.get()));
        counts.filter(|(_, count)| *count > 0).collect()
    }
}
