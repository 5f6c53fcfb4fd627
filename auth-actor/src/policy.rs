//! What need not be asked, and which rules are in force.

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

/// What was in force at one moment.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct InForce {
    /// What need not be asked.
    pub policy: Policy,
    /// How often the rules were replaced before. What was answered, or need not be asked, under one revision does not
    /// count under another.
    pub revision: u64,
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

    /// What is in force now. Policy and revision belong together: they are read at once.
    pub fn in_force(&self) -> InForce {
        let state = self.0.load(Ordering::Acquire);
        let policy =
            Policy { authenticates: state & AUTHENTICATES != 0, authorizes: state & AUTHORIZES != 0 };
        InForce { policy, revision: state >> REVISION_SHIFT }
    }

    /// What need not be asked now.
    pub fn current(&self) -> Policy {
        self.in_force().policy
    }

    /// Counts the reloads. Answers that were given under another revision are to be asked for again.
    pub fn revision(&self) -> u64 {
        self.in_force().revision
    }

    /// Sets the policy of the next revision, once the rules that it tells of answer. Only ever called by one reload at
    /// a time.
    pub fn advance(&self, policy: Policy) {
        self.0.store(((self.revision() + 1) << REVISION_SHIFT) | bits(policy), Ordering::Release);
    }
}

fn bits(policy: Policy) -> u64 {
    u64::from(policy.authenticates) * AUTHENTICATES + u64::from(policy.authorizes) * AUTHORIZES
}
