//! The CONNACK of a session that outlives the process: it waits in the outbox until the session is kept, and all that comes
//! behind it does so too. Until then nothing that the client sends is stepped through.

use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context as TaskContext, Poll};
use std::time::Duration;

use actix_rt::time::{Sleep, sleep};
use micro_mq_core::completion::{Awaited, State};
use micro_mq_core::outbox::Outbox;
use micro_mq_core::protocol::Ending;
use mqtt_codec::{ConnAck, ConnAckProperties, Packet, ReasonCode, encode};

use super::actor::Connection;
use crate::transport::WebSocketRefusal;

/// How long a CONNACK waits for its session to be kept: longer than a disk stalls that comes back.
const OPENING_PATIENCE: Duration = Duration::from_secs(60);
/// What is taken from a client meanwhile, in bytes, to hear of it if it hangs up.
const UNOPENED_BYTES_MAX: usize = 4096;

/// What has to be kept before the CONNACK leaves.
#[derive(Debug)]
pub(super) struct Opening {
    kept: Awaited,
    patience: Pin<Box<Sleep>>,
}

impl Opening {
    pub(super) fn new(kept: Awaited) -> Self {
        Self { kept, patience: Box::pin(sleep(OPENING_PATIENCE)) }
    }
}

impl Connection {
    /// Whether the CONNACK may not leave; its network connection is woken when that changes, or the client hangs up.
    pub(super) fn is_unopened(&mut self, task: &mut TaskContext<'_>) -> bool {
        let Some(opening) = self.rare.as_mut().and_then(|rare| rare.opening.as_mut()) else { return false };
        match opening.kept.state_or_wake(task.waker()) {
            State::Done => {
                self.rare().opening = None;
                return false;
            }
            State::Failed => self.end_unkept(),
            State::Open if opening.patience.as_mut().poll(task).is_ready() => {
                // It is refused, so there was no network connection whose end its will would tell.
                let refused =
                    Ending { publish_will: false, ..Ending::because(ReasonCode::ServerUnavailable) };
                self.rare().ending.get_or_insert(refused);
            }
            State::Open => {
                if let Some(gone) = self.listen(task) {
                    self.rare().ending.get_or_insert(gone);
                }
            }
        }
        true
    }

    /// Takes what comes, up to a bound. Returns how the network connection ends if the client hung up and left nothing
    /// that is to be stepped through.
    fn listen(&mut self, task: &mut TaskContext<'_>) -> Option<Ending> {
        let worker = Rc::clone(&self.worker);
        let mut scratch = worker.scratch.borrow_mut();
        while self.partial.len() < UNOPENED_BYTES_MAX {
            match self.transport.poll_read(task, &mut scratch[..UNOPENED_BYTES_MAX]) {
                Poll::Pending => return None,
                Poll::Ready(Ok(0)) => {
                    return self.partial.is_empty().then(|| Ending::because(ReasonCode::Success));
                }
                Poll::Ready(Ok(read)) => {
                    worker.counters.bytes_received.add(read as u64);
                    self.bytes_received.add(read as u64);
                    self.partial.extend_from_slice(&scratch[..read], &worker.node.decode_limits);
                    self.partial_is_ready = true;
                }
                Poll::Ready(Err(error)) => {
                    worker.peer().websocket_refusals.count(WebSocketRefusal::of_read(&error));
                    return Some(Ending::because(ReasonCode::UnspecifiedError));
                }
            }
        }
        None
    }

    /// How a network connection ends whose CONNACK may not leave; none as long as it waits.
    pub(super) fn end_unopened(&mut self) -> Option<Ending> {
        self.note_pause();
        let gives_way = self.gives_way().then(|| Ending::because(ReasonCode::SessionTakenOver));
        self.rare().ending.take().or(gives_way)
    }

    /// Whether the CONNACK waits.
    pub(super) fn waits_to_open(&self) -> bool {
        self.rare.as_ref().is_some_and(|rare| rare.opening.is_some())
    }

    /// What is sent in place of all that waits in the outbox, of which nothing may leave: a refusal to who waited in vain,
    /// and nothing to others.
    pub(super) fn refuse_unopened(&self, outbox: &mut Outbox, ending: &Ending) {
        self.worker.state().close_outbox(self.key, std::mem::take(outbox));
        if ending.reason != ReasonCode::ServerUnavailable {
            return;
        }
        self.worker.counters.connects_refused.add(1);
        let properties = ConnAckProperties::default();
        let answer = ConnAck { session_present: false, reason_code: ending.reason, properties };
        let answer = Packet::ConnAck(Box::new(answer));
        let (version, limit) = (self.protocol.version(), self.protocol.maximum_packet_size());
        outbox.append_with(&mut self.worker.state().pool, |out| {
            // A client that takes no 5 bytes is told nothing.
            let _ = encode(&answer, version, limit, out);
        });
    }
}
