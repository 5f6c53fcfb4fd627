//! Which rules are in force, as far as what decides has to know: not what they say, but whether an earlier answer counts.

use std::time::Instant;

/// The rules of one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rules {
    /// How often they were replaced before.
    pub revision: u64,
    /// Whether they may refuse some publish or subscription.
    pub authorizes: bool,
}

impl Rules {
    /// Whether what was allowed under a revision, and for no longer than until a moment if there is one, is allowed still.
    pub(crate) fn allow_still(self, revision: u64, until: Option<Instant>, now: Instant) -> bool {
        !self.authorizes || (revision == self.revision && until.is_none_or(|end| now < end))
    }
}
