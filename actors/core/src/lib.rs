//! What decides in a Micro MQ node: state and rules, without actors, sockets, threads of their own, or a clock.
//!
//! Whoever calls is told what came of it, and carries that out; the present moment is an argument. The modules stand in
//! the order of what they need: each knows those above it and none below.
//!
//! Most of this has one reader, the actors (`micro-mq-actors`).

pub mod compact;
pub mod count;
mod filter_table;
pub mod homes;
pub mod ids;
mod line;
pub mod moment;
pub mod rules;
pub mod settings;

pub mod completion;
pub mod counters;
pub mod pressure;
pub mod subscriptions;
pub mod timers;

pub mod message;

pub mod kept;
pub mod pool;

pub mod matching;
pub mod outbox;
pub mod queue;
pub mod retained;

pub mod groups;
pub mod ledger;

pub mod changes;
pub mod kept_shard;
pub mod records;

pub mod session;

pub mod routing;

pub mod admission;
pub mod protocol;

pub mod worker;

pub mod topics;

#[cfg(any(test, feature = "testing"))]
pub mod testing;
