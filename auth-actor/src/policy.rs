//! What need not be asked.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Which questions a provider answers with anything but yes. What is false here need not be asked.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    /// Whether some client may be refused at CONNECT.
    pub authenticates: bool,
    /// Whether some publish or subscription may be refused.
    pub authorizes: bool,
}

const AUTHENTICATES: u64 = 1;
const AUTHORIZES: u64 = 2;
const REVISION_SHIFT: u32 = 2;

/// The policy as it stands now: a reload may bring the first rule, or take the last one away. Reading it costs one
/// atomic load, so a connection may look before each packet.
#[derive(Clone, Debug)]
pub struct LivePolicy(Arc<AtomicU64>);

impl LivePolicy {
    pub(crate) fn new(policy: Policy) -> Self {
        Self(Arc::new(AtomicU64::new(bits(policy))))
    }

    /// What need not be asked now.
    pub fn current(&self) -> Policy {
        let state = self.0.load(Ordering::Acquire);
        Policy { authenticates: state & AUTHENTICATES != 0, authorizes: state & AUTHORIZES != 0 }
    }

    /// Counts the reloads. Answers that were kept under another revision are to be asked for again.
    pub fn revision(&self) -> u64 {
        self.0.load(Ordering::Acquire) >> REVISION_SHIFT
    }

    /// Sets the policy of the next revision. Only ever called by one reload at a time.
    pub fn advance(&self, policy: Policy) {
        self.0.store(((self.revision() + 1) << REVISION_SHIFT) | bits(policy), Ordering::Release);
    }
}

fn bits(policy: Policy) -> u64 {
    u64::from(policy.authenticates) * AUTHENTICATES + u64::from(policy.authorizes) * AUTHORIZES
}
