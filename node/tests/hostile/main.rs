//! Hostile input, as a test of its own: the real program, attacked over loopback from this process.
//!
//! Each scenario attacks in one way. Meanwhile honest clients measure how long they wait for their answers, and
//! afterwards memory, log, figures and ledger are looked at: the node answers others within twice its usual p99, its
//! memory returns to within 5 MiB, nothing panics, and every refusal is counted by reason.
//!
//! The scenarios run one after the other. Those with chance in them print their seed when they fail;
//! `MICRO_MQ_HOSTILE_SEED` replays it.

mod fan_out;
mod frames;
mod groups;
mod growth;
mod half_open;
mod harness;
mod mutations;
mod refusals;
mod storms;
mod takeovers;
mod topics;
mod upgrades;
