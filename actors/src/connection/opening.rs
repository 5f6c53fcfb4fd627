//! The CONNACK of a session that outlives the process: it waits in the outbox until the session is kept, and all that comes
//! behind it does so too. Until then the client is not read.

use std::task::Context as TaskContext;

use micro_mq_core::completion::State;
use micro_mq_core::protocol::Ending;
use mqtt_codec::ReasonCode;

use super::actor::Connection;

impl Connection {
    /// Whether the CONNACK may not leave; its network connection is woken when that changes.
    pub(super) fn is_unopened(&mut self, task: &TaskContext<'_>) -> bool {
        let Some(kept) = self.rare.as_ref().and_then(|rare| rare.opening.as_ref()) else { return false };
        match kept.state_or_wake(task.waker()) {
            State::Done => self.rare().opening = None,
            State::Open => {}
            State::Failed => self.end_unkept(),
        }
        self.rare().opening.is_some()
    }

    /// How a network connection ends whose CONNACK may not leave; none as long as it waits.
    pub(super) fn end_unopened(&mut self) -> Option<Ending> {
        self.note_pause();
        let gives_way = self.gives_way().then(|| Ending::because(ReasonCode::SessionTakenOver));
        self.rare().ending.take().or(gives_way)
    }
}
