//! What a connection writes: all that waits by one system call, and what the session's queue has room for then.

use std::io::IoSlice;
use std::rc::Rc;
use std::task::{Context as TaskContext, Poll};
use std::time::Instant;

use micro_mq_core::outbox::SLICES_PER_WRITE;

use super::actor::Connection;
use crate::turns::go_on_behind_sockets;

/// How often one turn goes on writing what the session's queue still holds before others have their turn.
const WRITES_PER_TURN: usize = 8;

impl Connection {
    pub(super) fn is_broken(&self) -> bool {
        self.rare.as_ref().is_some_and(|rare| rare.broken)
    }

    /// Writes what waits, and what the session's queue has room for now. When that fails, another turn reads what there
    /// is to read and ends the network connection.
    pub(super) fn write(&mut self, task: &mut TaskContext<'_>, now: Instant) {
        if !self.is_broken() && self.try_to_write(task, now).is_err() {
            self.rare().broken = true;
            task.waker().wake_by_ref();
        }
    }

    fn try_to_write(&mut self, task: &mut TaskContext<'_>, now: Instant) -> Result<(), std::io::Error> {
        let worker = Rc::clone(&self.worker);
        for _ in 0..WRITES_PER_TURN {
            let outcome = worker.state().with_desk(self.key, now, |session, desk| {
                session.pump(desk);
                let Some(online) = session.online.as_mut() else { return Ok(false) };
                if online.outbox.is_empty() {
                    return Ok(false);
                }
                let mut slices = [IoSlice::new(&[]); SLICES_PER_WRITE];
                let count = online.outbox.slices(&mut slices);
                let written = match count {
                    1 => self.transport.poll_write(task, &slices[0]),
                    _ => self.transport.poll_write_vectored(task, &slices[..count]),
                };
                match written {
                    Poll::Pending => Ok(false),
                    Poll::Ready(written) => {
                        let written = written?;
                        worker.counters.bytes_sent.add(written as u64);
                        online.bytes_sent.add(written as u64);
                        let delivered = online.outbox.advance(desk.pool, written);
                        session.tally.delivered += u64::from(delivered.all);
                        desk.ledger.deliver_n(delivered.all.into(), delivered.own.into());
                        desk.ledger.kept.end_n(delivered.all.into(), delivered.own.into());
                        Ok::<_, std::io::Error>(written > 0)
                    }
                }
            });
            match outcome {
                Some(Ok(true)) => {}
                Some(Ok(false)) | None => return self.flush(task),
                Some(Err(error)) => return Err(error),
            }
        }
        // More than one turn's share: the others first.
        go_on_behind_sockets(task);
        Ok(())
    }

    fn flush(&mut self, task: &mut TaskContext<'_>) -> Result<(), std::io::Error> {
        match self.transport.poll_flush(task) {
            Poll::Ready(flushed) => flushed,
            Poll::Pending => Ok(()),
        }
    }
}
