//! What waits for another node, and how it stands with it.

use std::collections::VecDeque;

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::Instant;

/// Why something was not told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotSent {
    /// No node of that name is known.
    #[error("no such node is known")]
    Unknown,
    /// There is no connection to it now.
    #[error("the node cannot be reached")]
    Away,
    /// Too much waits for it.
    #[error("too much waits for the node")]
    Full,
    /// More than may be told at once.
    #[error("too long")]
    TooLong,
}

/// How it stands with another node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LinkStatus {
    /// Its name.
    pub node: String,
    /// Where it is dialed.
    pub address: String,
    /// Since when it can be told something; `None` while it cannot.
    pub up_since: Option<Instant>,
    /// Why it last could not.
    pub trouble: Option<String>,
    /// Bytes that wait.
    pub queued_bytes: usize,
}

/// The way to one other node.
pub(crate) struct Peer {
    pub(crate) node: String,
    pub(crate) address: String,
    state: Mutex<State>,
    /// Something waits.
    pub(crate) news: Notify,
}

#[derive(Default)]
struct State {
    up_since: Option<Instant>,
    trouble: Option<String>,
    waiting: VecDeque<Bytes>,
    bytes: usize,
}

impl Peer {
    pub(crate) fn new(node: String, address: String) -> Self {
        Self { node, address, state: Mutex::default(), news: Notify::new() }
    }

    /// # Errors
    /// When there is no connection, or too much waits.
    pub(crate) fn push(&self, told: Bytes, bytes_max: usize) -> Result<(), NotSent> {
        let mut state = self.state.lock();
        if state.up_since.is_none() {
            return Err(NotSent::Away);
        }
        if state.bytes + told.len() > bytes_max {
            return Err(NotSent::Full);
        }
        state.bytes += told.len();
        state.waiting.push_back(told);
        drop(state);
        self.news.notify_one();
        Ok(())
    }

    /// What waits, up to about `most` bytes, and at least one if any does.
    pub(crate) fn take(&self, most: usize) -> Vec<Bytes> {
        let mut state = self.state.lock();
        let (mut taken, mut bytes) = (Vec::new(), 0);
        while bytes < most
            && let Some(told) = state.waiting.pop_front()
        {
            bytes += told.len();
            taken.push(told);
        }
        state.bytes -= bytes;
        taken
    }

    pub(crate) fn is_up(&self) {
        let mut state = self.state.lock();
        (state.up_since, state.trouble) = (Some(Instant::now()), None);
    }

    /// What waited is lost. True when that is news: it was up, or the cause is another.
    pub(crate) fn is_down(&self, cause: String) -> bool {
        let mut state = self.state.lock();
        let is_news = state.up_since.is_some() || state.trouble.as_ref() != Some(&cause);
        *state = State { trouble: Some(cause), ..State::default() };
        is_news
    }

    pub(crate) fn status(&self) -> LinkStatus {
        let state = self.state.lock();
        LinkStatus {
            node: self.node.clone(),
            address: self.address.clone(),
            up_since: state.up_since,
            trouble: state.trouble.clone(),
            queued_bytes: state.bytes,
        }
    }
}
