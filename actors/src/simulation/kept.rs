//! Whether a node whose sessions outlive it has them as its disk does, once all is kept that was noted.

use std::collections::BTreeMap;
use std::sync::Arc;

use micro_mq_core::kept_shard::{KeptSession, KeptShards};
use micro_mq_core::session::Session;

use super::judge::{Broken, Judge};
use super::node::SimulatedNode;

/// What is compared of a session: version, user name, session expiry interval, subscriptions by topic filter (options and
/// identifier), will (topic name, payload, delay).
type Compared = (u8, Option<String>, u32, BTreeMap<Arc<str>, (u8, u32)>, Option<(String, Vec<u8>, u32)>);

fn of_node(session: &Session) -> Compared {
    let subscriptions = session.subscriptions.iter().map(|(filter, subscription)| {
        (Arc::clone(filter), (subscription.options.to_bits(), subscription.identifier))
    });
    let will = session.will.as_ref();
    let will = will.map(|will| (will.topic.to_string(), will.payload.to_vec(), will.delay_seconds));
    let user_name = session.user_name().map(str::to_owned);
    (session.version as u8, user_name, session.expiry_interval, subscriptions.collect(), will)
}

fn of_disk(session: &KeptSession) -> Compared {
    let subscriptions = session.subscriptions.iter().map(|(filter, subscription)| {
        (Arc::clone(filter), (subscription.options.to_bits(), subscription.identifier))
    });
    let will = session.will.as_ref();
    let will = will.map(|will| (will.body.topic.to_string(), will.body.payload.to_vec(), will.delay_seconds));
    let user_name = session.user_name.as_deref().map(str::to_owned);
    (session.version as u8, user_name, session.expiry_interval, subscriptions.collect(), will)
}

/// Compares them.
pub(super) fn check(node: &SimulatedNode, kept: &KeptShards) -> Result<(), Broken> {
    let mut judge = Judge::default();
    let sessions = kept.iter().flat_map(|(_, kept)| kept.sessions());
    let mut kept: BTreeMap<Arc<str>, &KeptSession> =
        sessions.map(|(client, session)| (Arc::clone(client), session)).collect();
    for worker in &node.workers {
        for session in worker.look().sessions.iter().filter(|session| session.is_durable()) {
            let client = session.client_identifier();
            let Some(found) = kept.remove(client) else {
                judge.equal(format_args!("{client} is kept"), false, true);
                continue;
            };
            judge.equal(format_args!("{client} on the disk"), of_disk(found), of_node(session));
            if session.online.is_some() {
                judge.equal(format_args!("{client} on the disk: epoch"), found.epoch.epoch(), session.epoch);
                judge.equal(format_args!("{client} on the disk: parted"), found.parted, None);
            }
        }
    }
    let gone: Vec<_> = kept.into_keys().collect();
    judge.equal("sessions on the disk that there are not", gone, Vec::new());
    judge.verdict()
}
