//! What a provider says without being asked: that connections are to end.

use std::collections::{HashSet, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::mpsc;

use crate::{CertificateId, Identity};

/// Notices that wait for the node; whoever gives one more waits for room.
const WAITING_MAX: usize = 1024;
/// Rounds of notices that are remembered, so that a client that is let in by an answer from before one is found.
const REMEMBERED_MAX: usize = 64;

/// Whose connections end: a 5.0 client is told 0x87, and its will is published. Sessions stay.
///
/// The provider refuses what it withdraws before it says so; then no connection is left that was let in by an earlier
/// answer, be it on its way.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Notice {
    /// Of everybody with this user name.
    User(String),
    /// Of everybody with a [`Grant`](crate::Grant) of this uid.
    Grant(u64),
    /// Of everybody who has shown one of these certificates.
    Certificates(Arc<[CertificateId]>),
}

/// How a provider gives notice, from any thread. Clones lead to the same node.
#[derive(Clone, Debug)]
pub struct Notices(mpsc::Sender<Notice>);

/// Where the node hears of it.
#[derive(Debug)]
pub struct Heard(mpsc::Receiver<Notice>);

/// Both ends.
pub(crate) fn notices() -> (Notices, Heard) {
    let (notices, heard) = mpsc::channel(WAITING_MAX);
    (Notices(notices), Heard(heard))
}

impl Notices {
    /// Gives notice, as soon as there is room: 1,024 may wait for the node. False if the node is no more.
    ///
    /// # Cancel safety
    /// Dropped, it has not given notice.
    pub async fn give(&self, notice: Notice) -> bool {
        self.0.send(notice).await.is_ok()
    }

    /// The same from a thread of the provider's own, which it may hold up.
    ///
    /// # Panics
    /// On a thread with a runtime.
    pub fn give_blocking(&self, notice: Notice) -> bool {
        self.0.blocking_send(notice).is_ok()
    }
}

impl Heard {
    /// All notices that are there, when there are any; none when nobody is left who could give one.
    ///
    /// # Cancel safety
    /// Dropped, it has taken none.
    pub async fn next(&mut self) -> Option<Withdrawn> {
        let mut notices = Vec::new();
        if self.0.recv_many(&mut notices, WAITING_MAX).await == 0 {
            return None;
        }
        let mut withdrawn = Withdrawn::default();
        for notice in notices {
            match notice {
                Notice::User(name) => _ = withdrawn.users.insert(name.into()),
                Notice::Grant(uid) => _ = withdrawn.grants.insert(uid),
                Notice::Certificates(ids) => withdrawn.certificates.extend(ids.iter()),
            }
        }
        Some(withdrawn)
    }
}

/// A round of notices, carried out together.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Withdrawn {
    users: HashSet<Box<str>>,
    grants: HashSet<u64>,
    certificates: HashSet<CertificateId>,
}

impl Withdrawn {
    /// Whether it is about a connection with this user name, a grant of this uid, and this certificate.
    pub fn concerns(
        &self,
        user_name: Option<&str>,
        grant: Option<u64>,
        certificate: Option<CertificateId>,
    ) -> bool {
        user_name.is_some_and(|name| self.users.contains(name))
            || grant.is_some_and(|uid| self.grants.contains(&uid))
            || certificate.is_some_and(|id| self.certificates.contains(&id))
    }
}

/// The latest rounds of notices, for whoever was answered before one and acts behind it.
#[derive(Debug, Default)]
pub struct Withdrawals {
    rounds: AtomicU64,
    latest: Mutex<VecDeque<Arc<Withdrawn>>>,
}

impl Withdrawals {
    /// How many rounds there were. To be noted before a provider is asked.
    pub fn rounds(&self) -> u64 {
        self.rounds.load(Ordering::Acquire)
    }

    /// Notes a round, before those who are connected are looked through.
    pub fn note(&self, round: &Arc<Withdrawn>) {
        let mut latest = self.latest.lock().unwrap_or_else(PoisonError::into_inner);
        if latest.len() >= REMEMBERED_MAX {
            latest.pop_front();
        }
        latest.push_back(Arc::clone(round));
        self.rounds.fetch_add(1, Ordering::Release);
    }

    /// Whether somebody who was asked about after so many rounds was withdrawn since; none if there were too many to say.
    pub fn is_withdrawn_since(
        &self,
        rounds: u64,
        identity: &Identity,
        certificate: Option<CertificateId>,
    ) -> Option<bool> {
        if self.rounds() == rounds {
            return Some(false);
        }
        let latest = self.latest.lock().unwrap_or_else(PoisonError::into_inner);
        let missed = usize::try_from(self.rounds() - rounds).ok().filter(|missed| *missed <= latest.len())?;
        let grant = identity.grant.as_ref().map(|grant| grant.uid);
        let mut since = latest.iter().rev().take(missed);
        Some(since.any(|round| round.concerns(identity.user_name.as_deref(), grant, certificate)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn round(users: &[&str]) -> Arc<Withdrawn> {
        let users = users.iter().map(|name| (*name).into()).collect();
        Arc::new(Withdrawn { users, ..Withdrawn::default() })
    }

    #[track_caller]
    fn check(withdrawals: &Withdrawals, rounds: u64, name: &str, expected: Option<bool>) {
        let identity = Identity::named(name);
        assert_eq!(
            withdrawals.is_withdrawn_since(rounds, &identity, None),
            expected,
            "{name} since {rounds}"
        );
    }

    #[test]
    fn who_was_withdrawn_since_an_answer() {
        let withdrawals = Withdrawals::default();
        check(&withdrawals, 0, "ann", Some(false));
        withdrawals.note(&round(&["ann", "bob"]));
        withdrawals.note(&round(&["eve"]));
        check(&withdrawals, 0, "ann", Some(true));
        check(&withdrawals, 0, "eve", Some(true));
        check(&withdrawals, 0, "joe", Some(false));
        check(&withdrawals, 1, "ann", Some(false));
        check(&withdrawals, 1, "eve", Some(true));
        check(&withdrawals, 2, "eve", Some(false));
    }

    #[test]
    fn nobody_can_say_after_too_many() {
        let withdrawals = Withdrawals::default();
        for _ in 0..=REMEMBERED_MAX {
            withdrawals.note(&round(&["eve"]));
        }
        check(&withdrawals, 0, "ann", None);
        check(&withdrawals, 1, "ann", Some(false));
        check(&withdrawals, 1, "eve", Some(true));
    }

    #[tokio::test(flavor = "current_thread")]
    async fn what_waits_is_one_round() {
        let (notices, mut heard) = notices();
        assert!(notices.give(Notice::User("ann".into())).await);
        assert!(notices.give(Notice::Grant(7)).await);
        let round = heard.next().await.unwrap();
        assert!(round.concerns(Some("ann"), None, None) && round.concerns(None, Some(7), None));
        assert!(!round.concerns(Some("bob"), Some(8), None) && !round.concerns(None, None, None));
        let revoked = CertificateId::from_bytes([1; 32]);
        assert!(notices.give(Notice::Certificates([revoked].into())).await);
        let round = heard.next().await.unwrap();
        assert!(round.concerns(None, None, Some(revoked)));
        assert!(!round.concerns(Some("ann"), None, Some(CertificateId::from_bytes([2; 32]))));
        drop(notices);
        assert_eq!(heard.next().await, None);
    }
}
