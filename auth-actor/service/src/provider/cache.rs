//! Verdicts that were given lately, for all connections: whoever comes back asks for the same.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use auth_actor::{Action, Permissions, Wishes};
use tokio::time::Instant;

/// Verdicts at most, and bytes of the topics and names that they are about; beyond either all are forgotten.
const VERDICTS_MAX: usize = 100_000;
const BYTES_MAX: usize = 16 * 1024 * 1024;

/// Client identifier and user name.
type Who = (String, Option<String>);

/// What each may, and until when that is known.
type OfWho = HashMap<(Action, String), (bool, Instant)>;

#[derive(Debug, Default)]
struct Known {
    /// Rises with all that makes earlier answers worthless.
    epoch: u64,
    /// How many addresses of the service tell of changes: without any, nothing is remembered.
    watched: usize,
    verdicts: HashMap<Who, OfWho>,
    count: usize,
    bytes: usize,
}

#[derive(Debug)]
pub(super) struct Cache {
    time_to_live: Duration,
    known: Mutex<Known>,
}

impl Cache {
    pub(super) fn new(time_to_live: Duration) -> Self {
        Self { time_to_live, known: Mutex::default() }
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn forget(&self) {
        self.known().forget();
    }

    /// An address of the service tells of changes from now on.
    pub(super) fn is_watched(&self) {
        self.known().watched += 1;
    }

    /// One does no more.
    pub(super) fn is_lost(&self) {
        let mut known = self.known();
        known.watched -= 1;
        known.forget();
    }

    /// What is known, if that is all; and what an answer has to come with to be kept.
    pub(super) fn look_up(
        &self,
        client_identifier: &str,
        user_name: Option<&str>,
        wishes: &Wishes,
    ) -> (u64, Option<Permissions>) {
        let known = self.known();
        let who = (client_identifier.to_owned(), user_name.map(str::to_owned));
        let now = Instant::now();
        let found = known.verdicts.get(&who).and_then(|verdicts| {
            let verdict = |wish| verdicts.get(wish).filter(|(_, until)| *until > now);
            wishes.iter().map(verdict).collect::<Option<Vec<_>>>()
        });
        let permissions = found.map(|found| {
            let until = found.iter().map(|(_, until)| *until).min();
            let left = until.map(|until| until.duration_since(now));
            Permissions { verdicts: found.iter().map(|(allowed, _)| *allowed).collect(), time_to_live: left }
        });
        (known.epoch, permissions)
    }

    /// Keeps an answer, unless it is one of before; and says for how long it may be remembered.
    pub(super) fn keep(
        &self,
        epoch: u64,
        client_identifier: &str,
        user_name: Option<&str>,
        wishes: &Wishes,
        verdicts: Vec<bool>,
    ) -> Permissions {
        let mut known = self.known();
        if known.epoch != epoch || known.watched == 0 || self.time_to_live.is_zero() {
            return Permissions { verdicts, time_to_live: Some(Duration::ZERO) };
        }
        if known.count + wishes.len() > VERDICTS_MAX || known.bytes > BYTES_MAX {
            known.verdicts.clear();
            (known.count, known.bytes) = (0, 0);
        }
        let until = Instant::now() + self.time_to_live;
        let who = (client_identifier.to_owned(), user_name.map(str::to_owned));
        let mut bytes = who.0.len() + who.1.as_ref().map_or(0, String::len);
        let mut added = 0;
        let of_client = known.verdicts.entry(who).or_default();
        for (wish, allowed) in wishes.iter().zip(&verdicts) {
            if of_client.insert(wish.clone(), (*allowed, until)).is_none() {
                added += 1;
                bytes += wish.1.len();
            }
        }
        known.count += added;
        known.bytes += bytes;
        Permissions { verdicts, time_to_live: Some(self.time_to_live) }
    }
}

impl Known {
    fn forget(&mut self) {
        self.epoch += 1;
        self.verdicts.clear();
        (self.count, self.bytes) = (0, 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wishes(topics: &[&str]) -> Wishes {
        topics.iter().map(|topic| (Action::Publish, (*topic).to_owned())).collect()
    }

    const TIME: Duration = Duration::from_secs(60);

    #[tokio::test(flavor = "current_thread", start_paused = true)]
    async fn what_was_answered_is_known_for_its_time_and_to_who_asked_alone() {
        let cache = Cache::new(TIME);
        cache.is_watched();
        let (epoch, none) = cache.look_up("c", Some("ann"), &wishes(&["a", "b"]));
        assert_eq!(none, None);
        let kept = cache.keep(epoch, "c", Some("ann"), &wishes(&["a", "b"]), vec![true, false]);
        assert_eq!(kept.time_to_live, Some(TIME));
        let known = |user| cache.look_up("c", user, &wishes(&["b", "a"])).1.map(|known| known.verdicts);
        assert_eq!(known(Some("ann")), Some(vec![false, true]));
        assert_eq!([known(Some("bob")), known(None)], [None, None]);
        assert_eq!(cache.look_up("c", Some("ann"), &wishes(&["a", "c"])).1, None);
        tokio::time::advance(TIME).await;
        assert_eq!(known(Some("ann")), None);
    }

    #[tokio::test(flavor = "current_thread", start_paused = true)]
    async fn an_answer_of_before_a_change_and_one_while_nobody_tells_is_not_kept() {
        let cache = Cache::new(TIME);
        let keep = |epoch| cache.keep(epoch, "c", None, &wishes(&["a"]), vec![true]).time_to_live;
        let known = || cache.look_up("c", None, &wishes(&["a"])).1.is_some();
        assert_eq!((keep(0), known()), (Some(Duration::ZERO), false));
        cache.is_watched();
        let epoch = cache.look_up("c", None, &wishes(&["a"])).0;
        cache.forget();
        assert_eq!((keep(epoch), known()), (Some(Duration::ZERO), false));
        assert_eq!((keep(epoch + 1), known()), (Some(TIME), true));
        cache.is_lost();
        assert!(!known());
    }
}
