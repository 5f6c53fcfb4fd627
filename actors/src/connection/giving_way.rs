//! What a network connection does when another one takes its session over.
//!
//! A client that was started anew, or came back by another network, may have sent something on the old network connection
//! that the node has and has not looked at: a PUBLISH, an UNSUBSCRIBE, its DISCONNECT. All of that was there before the new
//! CONNECT, so it counts before the session is parted from the old network connection: a turn's bytes, without waiting for
//! anything. What cannot be done at once is not done, and not acknowledged either.

use std::task::Context as TaskContext;
use std::time::Instant;

use micro_mq_core::protocol::{Effects, Ending};
use mqtt_codec::ReasonCode;

use super::actor::Connection;
use super::context::ConnectionContext;

/// A turn's bytes may take several steps: a PUBLISH is routed behind the SUBSCRIBE before it.
const STEPS_MAX: usize = 16;

impl Connection {
    /// Whether another network connection waits for the session.
    pub(super) fn gives_way(&self) -> bool {
        self.rare.as_ref().is_some_and(|rare| rare.gives_way)
    }

    /// Takes in what the socket holds. Returns how this network connection ends: by what the client sent, or by being
    /// taken over.
    pub(super) fn give_way(
        &mut self,
        context: &ConnectionContext,
        task: &mut TaskContext<'_>,
        now: Instant,
        fx: &mut Effects,
    ) -> Ending {
        for _ in 0..STEPS_MAX {
            if self.waits_for_node() {
                break;
            }
            let mut ending = self.read(task, now, fx);
            if let Err(later) = self.carry_out(context, task, now, fx) {
                self.hold_up(later);
            }
            ending = ending.or_else(|| fx.end.take());
            if let Some(ending) = ending.or_else(|| self.rare.as_mut()?.ending.take()) {
                return ending;
            }
            if !self.partial_is_ready {
                break;
            }
            fx.clear();
        }
        Ending::because(ReasonCode::SessionTakenOver)
    }
}
