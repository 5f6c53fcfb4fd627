//! Who keeps what the node promises its clients, and says when that is done.

use std::fmt::Debug;
use std::sync::Arc;
use std::task::Waker;

use mqtt_codec::PacketIdentifier;

use super::state::NodeState;
use crate::completion::Conditions;
use crate::message::Batch;
use crate::protocol::SubscriptionChange;
use crate::session::Session;

/// What the node is about to tell a client, beside that it has a publish.
#[derive(Debug)]
pub enum Promise<'a> {
    /// PUBCOMP: a QoS 2 message is released [MQTT-4.3.3-11].
    Release(PacketIdentifier),
    /// SUBACK or UNSUBACK: the session has these subscriptions, or has them no more.
    Change(&'a SubscriptionChange),
}

/// Keeps what outlives the process, or what others are to know, before clients are told that it is. It is called on the
/// threads of all workers, which must not wait for it, and works elsewhere. What it opens holds back one answer and those
/// of its kind behind it. What it cannot do it gives up by dropping the condition: then the client is closed without the
/// answer, and sends again.
pub trait Keeper: Debug + Send + Sync {
    /// Whether it has no room for publishes. Their clients are not read meanwhile.
    fn is_full(&self) -> bool;

    /// Calls `waker` once when there is room; asked of one that is full.
    fn wake_when_there_is_room(&self, waker: &Waker);

    /// Publishes set out. For each that has to be done here before it is acknowledged it opens a condition
    /// ([`Batch::open`]). One batch for each client may be too many, and what nobody is told of, such as wills, comes
    /// although it is full.
    fn publish(&self, batch: &Arc<Batch>);

    /// Something else is about to be promised; for what has to be done before, it opens packet 0 of 1.
    fn promise(&self, session: &Session, promise: &Promise<'_>, conditions: &Conditions);
}

/// Whether all have room; those that have none call `waker` when they have.
pub(super) fn have_room_or_wake(keepers: &[Arc<dyn Keeper>], waker: &Waker) -> bool {
    let full = keepers.iter().filter(|keeper| {
        keeper.is_full() && {
            keeper.wake_when_there_is_room(waker);
            // Room may have come between the first look and the note; then nobody else would call.
            keeper.is_full()
        }
    });
    full.count() == 0
}

impl NodeState {
    /// Asks all who keep promises what has to be done before this one is given.
    pub fn ask_keepers(&self, session: &Session, promise: &Promise<'_>) -> Conditions {
        let conditions = Conditions::default();
        self.keepers.iter().for_each(|keeper| keeper.promise(session, promise, &conditions));
        conditions
    }
}
