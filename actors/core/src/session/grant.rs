//! What a network connection was let in by, and when that is over.

use std::any::Any;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::online::Online;
use super::state::Session;

/// A grant is looked at this often at least, so that the timers of those that come and go do not pile up.
const LOOK_INTERVAL: Duration = Duration::from_secs(300);

/// What a client was let in by, if that ends some time or says more than a user name.
#[derive(Debug)]
pub struct Grant {
    /// Names it where it is withdrawn; several clients may have the same.
    pub uid: u64,
    /// When it is over. None: not by itself.
    pub end: Option<Instant>,
    /// What whoever gave it knows it by, and alone can read.
    pub origin: Arc<dyn Any + Send + Sync>,
}

impl Grant {
    /// Whether it lets nobody in any more.
    pub fn is_over(&self, now: Instant) -> bool {
        self.end.is_some_and(|end| end <= now)
    }

    /// What whoever gave it knows it by; none if that is something else.
    pub fn origin<T: Any + Send + Sync>(&self) -> Option<Arc<T>> {
        Arc::clone(&self.origin).downcast().ok()
    }
}

/// The grant of a network connection.
#[derive(Debug, Default)]
pub struct HeldGrant {
    grant: Option<Arc<Grant>>,
    /// When it is looked at next. It outlives a grant, as its timer does.
    due: Option<Instant>,
}

/// What a grant means at a moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Validity {
    /// It is over, and its network connection is to be closed.
    Over,
    /// It is to be looked at then, and no timer is set for that yet.
    LookAt(Instant),
    /// It has no end, or a timer for that.
    GoesOn,
}

impl Session {
    /// Sets what its network connection, and its will, are allowed by from now on.
    pub fn set_grant(&mut self, grant: Option<Arc<Grant>>, now: Instant) -> Validity {
        if let Some(will) = &mut self.will {
            will.grant.clone_from(&grant);
        }
        self.online.as_mut().map_or(Validity::GoesOn, |online| online.set_grant(grant, now))
    }
}

impl Online {
    /// What the network connection was let in by; none if that is nothing but a user name.
    pub fn grant(&self) -> Option<&Arc<Grant>> {
        self.rare.as_ref()?.grant.as_ref()?.grant.as_ref()
    }

    fn set_grant(&mut self, grant: Option<Arc<Grant>>, now: Instant) -> Validity {
        if grant.is_none() && self.grant().is_none() {
            return Validity::GoesOn;
        }
        self.rare.get_or_insert_default().grant.get_or_insert_default().grant = grant;
        self.judge_grant(now)
    }

    /// A timer of the grant is due.
    pub fn grant_due(&mut self, now: Instant) -> Validity {
        let held = self.rare.as_mut().and_then(|rare| rare.grant.as_mut());
        let Some(held) = held.filter(|held| held.due.is_some_and(|due| due <= now)) else {
            // Another was set for an earlier time, and looked at it.
            return Validity::GoesOn;
        };
        held.due = None;
        self.judge_grant(now)
    }

    fn judge_grant(&mut self, now: Instant) -> Validity {
        let Some(held) = self.rare.as_mut().and_then(|rare| rare.grant.as_mut()) else {
            return Validity::GoesOn;
        };
        let Some(end) = held.grant.as_ref().and_then(|grant| grant.end) else { return Validity::GoesOn };
        if end <= now {
            return Validity::Over;
        }
        let due = end.min(now + LOOK_INTERVAL);
        // One that is set for an earlier time does it: it looks on.
        if held.due.is_some_and(|set| set <= due) {
            return Validity::GoesOn;
        }
        held.due = Some(due);
        Validity::LookAt(due)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{now, online};
    use mqtt_codec::ProtocolVersion;

    fn grant(end: Option<Instant>) -> Option<Arc<Grant>> {
        Some(Arc::new(Grant { uid: 7, end, origin: Arc::new("token") }))
    }

    #[test]
    fn a_far_end_is_looked_at_in_between() {
        let (mut client, started) = (online(ProtocolVersion::V5), now());
        let end = started + LOOK_INTERVAL + Duration::from_secs(1);
        let first = started + LOOK_INTERVAL;
        assert_eq!(client.set_grant(grant(Some(end)), started), Validity::LookAt(first));
        assert_eq!(client.grant_due(first), Validity::LookAt(end));
        assert_eq!(client.grant_due(end), Validity::Over);
    }

    #[test]
    fn one_timer_does_for_what_ends_later() {
        let (mut client, started) = (online(ProtocolVersion::V5), now());
        let at = |seconds| started + Duration::from_secs(seconds);
        assert_eq!(client.set_grant(grant(Some(at(10))), started), Validity::LookAt(at(10)));
        assert_eq!(client.set_grant(None, at(1)), Validity::GoesOn);
        assert_eq!(client.set_grant(grant(Some(at(20))), at(2)), Validity::GoesOn);
        assert_eq!(client.grant_due(at(10)), Validity::LookAt(at(20)));
        assert_eq!(client.set_grant(grant(Some(at(15))), at(11)), Validity::LookAt(at(15)));
        assert_eq!(client.set_grant(grant(None), at(12)), Validity::GoesOn);
        assert_eq!(client.grant_due(at(15)), Validity::GoesOn);
        assert_eq!(client.grant_due(at(20)), Validity::GoesOn, "nothing is set for then any more");
    }

    #[test]
    fn nothing_is_kept_for_who_has_none() {
        let mut client = online(ProtocolVersion::V5);
        assert_eq!(client.set_grant(None, now()), Validity::GoesOn);
        assert!(client.rare.is_none());
    }

    #[test]
    fn who_gave_it_can_read_it() {
        let grant = grant(None).unwrap();
        assert_eq!(grant.origin::<&str>().as_deref(), Some(&"token"));
        assert_eq!(grant.origin::<u64>(), None);
    }
}
