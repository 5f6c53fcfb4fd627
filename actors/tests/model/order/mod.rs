//! What is before what, seen from outside: clients that pipeline, take over at once, and watch from other workers, while
//! nobody waits for anybody.
//!
//! A run draws a script and plays it on a node whose workers are interleaved; between two things that clients do, the node
//! goes on by as many steps as the seed draws, or not at all. What was sent and seen is written down ([`history`]), with
//! what is known of its order: what one client does, on whatever network connection, is in order, and what was done when
//! something else was begun is before it. At the end it is compared with what follows from that ([`judge`]).
//!
//! What remains unseen: all workers are one thread, of which each lets the others go on only between two turns of its tasks,
//! so what depends on an instruction of one thread between two of another is for other tests; a worker runs its own tasks in
//! the order in which they are woken; a network connection is a pipe, not TCP (nothing is reset) nor a WebSocket; a client
//! waits for CONNACK before it gives a network connection up; of a SUBSCRIBE that was not answered when its connection
//! ended nothing is judged any more. Shared groups, overlapping subscriptions that are merged, no local and retain as
//! published are left to the other play.

mod away;
mod client;
mod history;
mod judge;
mod run;
mod script;
mod world;

pub(crate) use run::run;
