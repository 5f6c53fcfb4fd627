//! Argon2 on threads of its own.
//!
//! One verification costs tens of milliseconds and 19 MiB, so the number of threads bounds both processor and memory,
//! and the length of the queue bounds how long a client waits before it is told that there is no answer now.

use std::num::NonZero;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::{fmt, io};

use argon2::{Argon2, PasswordHash, PasswordHasher as _, PasswordVerifier};
use tokio::sync::oneshot;

use crate::{AuthError, Password};

/// Most threads that verify passwords. Half of the processors are used, at least one thread, so that a storm of
/// reconnecting clients leaves processors to those already connected.
pub const HASH_THREADS_MAX: usize = 4;

/// Passwords that wait for a thread; beyond it a client is refused with [`Refusal::Unavailable`]. At some 30 ms each
/// the last of them waits about 8 s with two threads, longer than which few clients wait for a CONNACK.
///
/// [`Refusal::Unavailable`]: crate::Refusal::Unavailable
pub const HASH_QUEUE_MAX: usize = 512;

struct Job {
    password: Password,
    hash: PasswordHash,
    answer: oneshot::Sender<bool>,
}

/// The threads. They end when the last clone is dropped and the queue is empty.
#[derive(Clone, Debug)]
pub struct HashThreads {
    queue: SyncSender<Job>,
}

/// The queue is full.
#[derive(Debug)]
pub struct Overloaded;

impl HashThreads {
    /// Starts the threads.
    ///
    /// # Errors
    /// The system gives no thread.
    pub fn start() -> io::Result<Self> {
        let processors = thread::available_parallelism().map_or(1, NonZero::get);
        Self::start_with((processors / 2).clamp(1, HASH_THREADS_MAX), HASH_QUEUE_MAX)
    }

    fn start_with(threads: usize, queue_max: usize) -> io::Result<Self> {
        let (queue, jobs) = sync_channel(queue_max);
        let jobs = Arc::new(Mutex::new(jobs));
        for number in 0..threads {
            let jobs = Arc::clone(&jobs);
            thread::Builder::new().name(format!("auth-hash-{number}")).spawn(move || work(&jobs))?;
        }
        Ok(Self { queue })
    }

    /// Compares a password with one that is stored; see [`verify`](Self::verify).
    ///
    /// # Errors
    /// The queue is full.
    pub fn verify_stored(
        &self,
        password: Password,
        stored: &StoredPassword,
    ) -> Result<oneshot::Receiver<bool>, Overloaded> {
        self.verify(password, stored.0.clone())
    }

    /// Compares a password with a hash; the answer comes by the channel. A closed channel is no answer.
    ///
    /// # Errors
    /// The queue is full.
    pub(crate) fn verify(
        &self,
        password: Password,
        hash: PasswordHash,
    ) -> Result<oneshot::Receiver<bool>, Overloaded> {
        let (answer, receiver) = oneshot::channel();
        match self.queue.try_send(Job { password, hash, answer }) {
            // Disconnected: all threads died. The channel is closed with the job, and that is no answer.
            Ok(()) | Err(TrySendError::Disconnected(_)) => Ok(receiver),
            Err(TrySendError::Full(_)) => Err(Overloaded),
        }
    }
}

/// An argon2id hash of a password, as [`StoredPassword::to_text`] writes it.
#[derive(Clone)]
pub struct StoredPassword(PasswordHash);

impl StoredPassword {
    /// Hashes a password, for some tens of milliseconds.
    ///
    /// # Errors
    /// [`AuthError::Hash`] and [`AuthError::Random`].
    pub fn derive(password: &[u8]) -> Result<Self, AuthError> {
        let mut salt = [0; 16];
        getrandom::fill(&mut salt).map_err(AuthError::Random)?;
        Argon2::default()
            .hash_password_with_salt(password, &salt)
            .map(Self)
            .map_err(|error| AuthError::Hash { problem: error.to_string() })
    }

    /// Reads one that was written; none if it is not one.
    pub fn parse(text: &str) -> Option<Self> {
        PasswordHash::new(text).ok().map(Self)
    }

    /// To be kept.
    pub fn to_text(&self) -> String {
        self.0.to_string()
    }
}

impl fmt::Debug for StoredPassword {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("StoredPassword(..)")
    }
}

/// One thread: takes jobs until nobody can send any more.
fn work(jobs: &Mutex<Receiver<Job>>) {
    loop {
        // The guard is gone at the end of this statement: the others wait for jobs, not for this job's hash.
        let job = jobs.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(Job { password, hash, answer }) = job else { return };
        if answer.is_closed() {
            // Nobody waits any more: those behind it, who do, are not to wait for it.
            continue;
        }
        let right = Argon2::default().verify_password(password.as_bytes(), &hash).is_ok();
        // The caller may have gone; then nobody wants the answer.
        let _ = answer.send(right);
    }
}

#[cfg(test)]
mod tests {
    use argon2::PasswordHasher;

    use super::*;

    /// One that takes some tenths of a second.
    fn slow_hash() -> PasswordHash {
        let params = argon2::Params::new(64 * 1024, 3, 1, None).unwrap();
        Argon2::new(argon2::Algorithm::Argon2id, argon2::Version::V0x13, params)
            .hash_password_with_salt(b"right", b"0123456789abcdef")
            .unwrap()
    }

    #[test]
    fn beyond_the_queue_limit_the_caller_hears_so_at_once() {
        let threads = HashThreads::start_with(1, 2).unwrap();
        let hash = slow_hash();
        let mut answers = Vec::new();
        // One is being verified (or about to be), two wait; of ten some are refused.
        let refused = (0..10)
            .filter(|_| match threads.verify(Password::from(&b"right"[..]), hash.clone()) {
                Ok(answer) => {
                    answers.push(answer);
                    false
                }
                Err(Overloaded) => true,
            })
            .count();
        assert!((7..=8).contains(&refused), "{refused}");
        for answer in answers {
            assert_eq!(answer.blocking_recv(), Ok(true));
        }
    }

    #[test]
    fn a_wrong_password_is_wrong() {
        let threads = HashThreads::start_with(1, 1).unwrap();
        let answer = threads.verify(Password::from(&b"wrong"[..]), slow_hash()).unwrap();
        assert_eq!(answer.blocking_recv(), Ok(false));
    }
}
