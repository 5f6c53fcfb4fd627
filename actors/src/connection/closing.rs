//! The last moments of a network connection: what waits is written, the client is told, the socket is closed.

use std::io::IoSlice;
use std::pin::Pin;
use std::task::{Context as TaskContext, Poll};
use std::time::Duration;

use actix_rt::time::{Sleep, sleep};
use micro_mq_core::compact::ByteCount;
use micro_mq_core::ids::SessionKey;
use micro_mq_core::outbox::{Outbox, SLICES_PER_WRITE};

use super::lines::Farewell;
use crate::transport::Transport;
use crate::turns::go_on_behind_sockets;
use crate::worker::Worker;

/// How long a client may take to read what is left for it, and to close its own end.
const PATIENCE: Duration = Duration::from_secs(1);

/// How often one turn reads what nobody looks at any more.
const READS_PER_TURN: usize = 2;
/// How often one turn writes, as while the network connection goes on.
const WRITES_PER_TURN: usize = 8;

/// See the module.
#[derive(Debug)]
pub(super) struct Closing {
    outbox: Outbox,
    /// The client said goodbye: it is sent nothing, and nobody waits for it.
    at_once: bool,
    is_shut: bool,
    patience: Pin<Box<Sleep>>,
    /// What is said of it when it is over; none if that is nothing.
    farewell: Option<Box<Farewell>>,
    bytes_sent: ByteCount,
}

impl Closing {
    pub(super) fn new(
        outbox: Outbox,
        at_once: bool,
        farewell: Option<Box<Farewell>>,
        bytes_sent: ByteCount,
    ) -> Self {
        let patience = Box::pin(sleep(PATIENCE));
        Self { outbox, at_once, is_shut: false, patience, farewell, bytes_sent }
    }

    /// It is over. What was not written is the caller's.
    pub(super) fn end(self, bytes_received: ByteCount) -> Outbox {
        if let Some(farewell) = self.farewell {
            farewell.say(bytes_received, self.bytes_sent);
        }
        self.outbox
    }

    /// Ready when the socket can be dropped.
    pub(super) fn poll(
        &mut self,
        transport: &mut Transport,
        worker: &Worker,
        key: SessionKey,
        task: &mut TaskContext<'_>,
    ) -> Poll<()> {
        if self.patience.as_mut().poll(task).is_ready() {
            return Poll::Ready(());
        }
        let mut writes = 0;
        while !self.outbox.is_empty() {
            if writes == WRITES_PER_TURN {
                go_on_behind_sockets(task);
                return Poll::Pending;
            }
            writes += 1;
            let mut slices = [IoSlice::new(&[]); SLICES_PER_WRITE];
            let count = self.outbox.slices(&mut slices);
            let written = match transport.poll_write_vectored(task, &slices[..count]) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Ok(written)) if written > 0 => written,
                Poll::Ready(_) => return Poll::Ready(()),
            };
            worker.counters.bytes_sent.add(written as u64);
            self.bytes_sent.add(written as u64);
            let delivered = self.outbox.advance(&mut worker.state().pool, written);
            worker.ledger.deliver_n(delivered.all.into(), delivered.own.into());
            worker.ledger.kept.end_n(delivered.all.into(), delivered.own.into());
            if let Some(session) = worker.state().sessions.get_mut(key) {
                session.tally.delivered += u64::from(delivered.all);
            }
        }
        if !self.is_shut {
            match transport.poll_shutdown(task) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Err(_)) => return Poll::Ready(()),
                Poll::Ready(Ok(())) => self.is_shut = true,
            }
        }
        if self.at_once {
            return Poll::Ready(());
        }
        // To drop a socket with unread bytes resets it, which can cost the client our last words.
        let mut scratch = worker.scratch.borrow_mut();
        for _ in 0..READS_PER_TURN {
            match transport.poll_read(task, &mut scratch) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Ok(read)) if read > 0 => {}
                Poll::Ready(_) => return Poll::Ready(()),
            }
        }
        // Who goes on sending does not hold up the others.
        go_on_behind_sockets(task);
        Poll::Pending
    }
}
