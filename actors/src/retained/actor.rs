//! The retained actor: gives retained messages out piece by piece, and removes what has expired.
//!
//! Invariant: a publish is kept before it is looked up whom it matches, and a subscriber asks here after its filter was
//! inserted. So whoever missed the publish finds the retained message.

use std::sync::Arc;
use std::time::{Duration, Instant};

use actix::prelude::*;
use micro_mq_core::retained::{EXAMINED_MAX, Piece, Rest, RetainedMessages};
use tokio::time::sleep;

use crate::clock;
use crate::messages::{ObserveRetained, Query, RetainedObservation};
use crate::stats::ActorKind;
use crate::worker::NodeShared;

/// Topic names that are examined before those who publish have their turn at the store.
pub(super) const LOCKED_MAX: usize = 64;
/// How often what has expired is removed, as long as there is something that will; and what passes between its parts.
const SWEEP_INTERVAL: Duration = Duration::from_secs(1);
const SWEEP_PAUSE: Duration = Duration::from_millis(1);

/// See the module.
pub struct Retained {
    node: Arc<NodeShared>,
}

impl Retained {
    /// Of a node, whose messages outlive it.
    pub fn new(node: Arc<NodeShared>) -> Self {
        Self { node }
    }
}

/// Removes what has expired, a part at a time: others have their turn at this thread, and at the store.
async fn sweep(node: Arc<NodeShared>) {
    let kept = &node.retained_messages;
    loop {
        kept.some_expire().await;
        sleep(SWEEP_INTERVAL).await;
        while kept.with_store(|store| store.remove_expired(clock::now())) {
            sleep(SWEEP_PAUSE).await;
        }
    }
}

impl Actor for Retained {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        ctx.spawn(sweep(Arc::clone(&self.node)).into_actor(self));
    }
}

/// What an answer may still hold, and what finding it may still cost.
struct Budget {
    messages: usize,
    bytes: usize,
    examined: usize,
}

impl Budget {
    /// The next piece of one filter. The store is let go of between its parts.
    fn find(
        &mut self,
        kept: &RetainedMessages,
        filter: &str,
        after: Option<Arc<str>>,
        now: Instant,
    ) -> Piece {
        let mut piece = Piece { messages: Vec::new(), rest: after.map_or(Rest::All, Rest::Behind) };
        while piece.rest != Rest::Nothing
            && self.messages > 0
            && self.bytes > 0
            && self.examined < EXAMINED_MAX
        {
            let after = match &piece.rest {
                Rest::Behind(topic) => Some(&**topic),
                _ => None,
            };
            let from = EXAMINED_MAX - LOCKED_MAX.min(EXAMINED_MAX - self.examined);
            let mut examined = from;
            let mut found = kept
                .with_store(|store| store.find(filter, after, self.messages, self.bytes, &mut examined, now));
            self.examined += examined - from;
            self.messages -= found.messages.len().min(self.messages);
            let bytes = found.messages.iter().map(|message| message.bytes()).sum();
            self.bytes = self.bytes.saturating_sub(bytes);
            piece.messages.append(&mut found.messages);
            piece.rest = found.rest;
        }
        piece
    }
}

impl Handler<Query> for Retained {
    type Result = MessageResult<Query>;

    fn handle(&mut self, query: Query, _ctx: &mut Self::Context) -> Self::Result {
        let stats = self.node.control_stats.of(ActorKind::Retained);
        let timer = stats.handle(stats.send());
        let now = clock::now();
        let kept = &self.node.retained_messages;
        let mut budget = Budget { messages: query.messages_max, bytes: query.bytes_max, examined: 0 };
        let filters = query.filters.into_iter();
        let pieces = filters.map(|(filter, after)| budget.find(kept, &filter, after, now)).collect();
        stats.handled(timer);
        MessageResult(pieces)
    }
}

impl Handler<ObserveRetained> for Retained {
    type Result = MessageResult<ObserveRetained>;

    fn handle(&mut self, _: ObserveRetained, _ctx: &mut Self::Context) -> Self::Result {
        MessageResult(
            self.node
                .retained_messages
                .with_store(|store| RetainedObservation { messages: store.len(), bytes: store.bytes() }),
        )
    }
}
