//! Reading a file anew, on a thread of its own: neither a large file nor one that cannot be read to its end (on a disk
//! that hangs) holds up an answer, the control thread or a shutdown.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;

use tokio::sync::oneshot;

use super::{Answer, now};
use crate::AuthError;

/// Reloads that may wait while one is under way: whoever asks for more has asked often enough.
const WAITING_MAX: usize = 16;

type Told = oneshot::Sender<Result<(), AuthError>>;

/// Those who asked, and whether a thread is at work for them.
#[derive(Default)]
struct Queue {
    waiting: Vec<Told>,
    at_work: bool,
}

/// One reload after the other. The thread is there only while there is something to do.
#[derive(Default)]
pub(super) struct Reloads(Arc<Mutex<Queue>>);

impl Reloads {
    /// Runs a reload behind those under way. The answer comes when it is done.
    ///
    /// # Errors
    /// Those of `read`; [`AuthError::Reloading`] if too many wait, [`AuthError::Threads`] without a thread, and
    /// [`AuthError::Interrupted`] if that panicked.
    pub(super) fn run(
        &self,
        read: impl Fn() -> Result<(), AuthError> + Send + 'static,
    ) -> Answer<Result<(), AuthError>> {
        let (told, answer) = oneshot::channel();
        let mut queue = lock(&self.0);
        if queue.waiting.len() >= WAITING_MAX {
            return now(Err(AuthError::Reloading));
        }
        queue.waiting.push(told);
        if !queue.at_work {
            let shared = Arc::clone(&self.0);
            let work = move || {
                let at_work = AtWork(shared);
                while let Some(told) = at_work.next() {
                    // Who asked may have gone; the file is read all the same.
                    let _ = told.send(read());
                }
            };
            match thread::Builder::new().name("auth-reload".to_owned()).spawn(work) {
                Ok(_) => queue.at_work = true,
                Err(error) => {
                    queue.waiting.pop();
                    return now(Err(AuthError::Threads(error)));
                }
            }
        }
        drop(queue);
        Box::pin(async move { answer.await.unwrap_or(Err(AuthError::Interrupted)) })
    }
}

fn lock(queue: &Mutex<Queue>) -> MutexGuard<'_, Queue> {
    queue.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Of the thread at work; if it panics, the next reload starts another.
struct AtWork(Arc<Mutex<Queue>>);

impl AtWork {
    /// The next who asked; none, and the thread is not at work any more, if there is nobody.
    fn next(&self) -> Option<Told> {
        let mut queue = lock(&self.0);
        if queue.waiting.is_empty() {
            queue.at_work = false;
            return None;
        }
        Some(queue.waiting.remove(0))
    }
}

impl Drop for AtWork {
    fn drop(&mut self) {
        if thread::panicking() {
            let mut queue = lock(&self.0);
            queue.at_work = false;
            // They are told that it was cut short.
            queue.waiting.clear();
        }
    }
}
