//! The retained actor: keeps retained messages and gives them out piece by piece.
//!
//! Invariant: a publish is sent here before it is routed, and a subscriber asks here after its filter was inserted. So
//! whoever missed the publish finds the retained message.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use actix::prelude::*;
use tokio::time::Instant;

use super::store::{EXAMINED_MAX, Piece, Rest, RetainedStore};
use crate::message::StoredMessage;
use crate::metrics::ActorKind;
use crate::worker::{NodeShared, Room};

/// Keeps messages, in order; those without payload remove what is kept.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct Keep {
    /// The messages.
    pub messages: Vec<Arc<StoredMessage>>,
    /// What they take on their way.
    pub room: Room,
}

/// Asks for the next messages of several topic filters, in this order; what does not fit is left for another time.
#[derive(Debug, Message)]
#[rtype(result = "Vec<Piece>")]
pub struct Query {
    /// Topic filters, and the topic names behind which to go on.
    pub filters: Vec<(Arc<str>, Option<Arc<str>>)>,
    /// Messages at most.
    pub messages_max: usize,
    /// Bytes at most, one message apart.
    pub bytes_max: usize,
}

/// What the retained actor says of itself.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RetainedObservation {
    /// Messages kept.
    pub messages: usize,
    /// Their bytes.
    pub bytes: usize,
    /// Messages that were not kept, for one of the limits.
    pub refused: u64,
}

/// Asks for a [`RetainedObservation`]; answered behind everything sent before.
#[derive(Debug, Message)]
#[rtype(result = "RetainedObservation")]
pub struct ObserveRetained;

/// See the module.
pub struct Retained {
    node: Arc<NodeShared>,
    store: Rc<RefCell<RetainedStore>>,
}

impl Retained {
    /// On top of a store, which outlives the actor.
    pub fn new(node: Arc<NodeShared>, store: Rc<RefCell<RetainedStore>>) -> Self {
        Self { node, store }
    }
}

impl Actor for Retained {
    type Context = Context<Self>;
}

impl Handler<Keep> for Retained {
    type Result = ();

    fn handle(&mut self, keep: Keep, _ctx: &mut Self::Context) {
        let stats = self.node.control_stats.of(ActorKind::Retained);
        let timer = stats.handle(stats.send());
        let mut store = self.store.borrow_mut();
        let now = Instant::now();
        let Keep { messages, room } = keep;
        messages.into_iter().for_each(|message| store.keep(message, now));
        self.node.retained_messages.store(store.len(), Ordering::SeqCst);
        drop(room);
        stats.handled(timer);
    }
}

impl Handler<Query> for Retained {
    type Result = MessageResult<Query>;

    fn handle(&mut self, query: Query, _ctx: &mut Self::Context) -> Self::Result {
        let stats = self.node.control_stats.of(ActorKind::Retained);
        let timer = stats.handle(stats.send());
        let (mut messages, mut bytes) = (query.messages_max, query.bytes_max);
        let mut store = self.store.borrow_mut();
        let now = Instant::now();
        let mut examined = 0;
        let pieces = query.filters.into_iter().map(|(filter, after)| {
            if messages == 0 || bytes == 0 || examined >= EXAMINED_MAX {
                let rest = after.map_or(Rest::All, Rest::Behind);
                return Piece { messages: Vec::new(), rest };
            }
            let piece = store.find(&filter, after.as_deref(), messages, bytes, &mut examined, now);
            messages -= piece.messages.len().min(messages);
            bytes = bytes.saturating_sub(piece.messages.iter().map(|message| message.bytes()).sum());
            piece
        });
        let pieces = pieces.collect();
        self.node.retained_messages.store(store.len(), Ordering::SeqCst);
        stats.handled(timer);
        MessageResult(pieces)
    }
}

impl Handler<ObserveRetained> for Retained {
    type Result = MessageResult<ObserveRetained>;

    fn handle(&mut self, _: ObserveRetained, _ctx: &mut Self::Context) -> Self::Result {
        let store = self.store.borrow();
        MessageResult(RetainedObservation {
            messages: store.len(),
            bytes: store.bytes(),
            refused: store.refused(),
        })
    }
}
