//! As whom a node is part of a cluster.

use std::process;
use std::sync::Arc;

use micro_mq_actors::cluster::{ClusterError, ClusterOptions, KafkaOptions};
use tracing::error;

use crate::config::NodeConfig;
use crate::logging::{self, LogQueue};

/// What the configuration says of it; none if the node is alone.
pub(crate) fn options(config: &NodeConfig, log: &LogQueue) -> Option<ClusterOptions> {
    let NodeConfig { cluster, kafka, .. } = config;
    let log = log.clone();
    let end = move |error: ClusterError| {
        let cause = std::error::Error::source(&error).map(tracing::field::display);
        error!(%error, cause, "the node can be no member of its cluster, so the process ends");
        log.flush(logging::PATIENCE);
        process::exit(1);
    };
    cluster.enabled.then(|| ClusterOptions {
        node: cluster.node.clone(),
        slot: u8::try_from(cluster.slot).ok(),
        address: String::new(),
        forward_bytes_max: cluster.forward_bytes_max,
        kafka: KafkaOptions {
            brokers: kafka.brokers.clone(),
            prefix: kafka.prefix.clone(),
            create_topics: kafka.create_topics,
            replication: kafka.replication,
            packet_bytes_max: config.settings.mqtt.maximum_packet_size_bytes as usize,
        },
        end: Arc::new(end),
    })
}
