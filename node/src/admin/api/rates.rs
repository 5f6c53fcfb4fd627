//! Rates of what is looked at, from this look and the one before: nobody counts for those at whom nobody looks.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

/// Who is not looked at for so long is forgotten.
const FORGOTTEN_AFTER: Duration = Duration::from_secs(30);
/// Two looks that follow closer give no rate worth the name.
const INTERVAL_MIN: Duration = Duration::from_millis(200);
/// Of more than so many, counts are not remembered.
const REMEMBERED_MAX: usize = 8192;

#[derive(Debug, Clone, Copy)]
struct Sample<const COUNTS: usize> {
    at: Instant,
    counts: [u64; COUNTS],
    /// The rates at the look before, for one that follows closely.
    rates: Option<[f64; COUNTS]>,
}

/// Counts at the last look, by name.
#[derive(Debug)]
struct Looks<const COUNTS: usize>(Mutex<HashMap<String, Sample<COUNTS>>>);

impl<const COUNTS: usize> Default for Looks<COUNTS> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<const COUNTS: usize> Looks<COUNTS> {
    /// Notes counts, and answers by how much they rise in a second; none at the first look.
    fn look(&self, name: &str, counts: [u64; COUNTS], now: Instant) -> Option<[f64; COUNTS]> {
        let mut looks = self.0.lock();
        if let Some(sample) = looks.get_mut(name) {
            let elapsed = now.saturating_duration_since(sample.at);
            if elapsed < INTERVAL_MIN {
                return sample.rates;
            }
            let rate =
                |at: usize| counts[at].saturating_sub(sample.counts[at]) as f64 / elapsed.as_secs_f64();
            let rates = (elapsed < FORGOTTEN_AFTER).then(|| std::array::from_fn(rate));
            *sample = Sample { at: now, counts, rates };
            return rates;
        }
        if looks.len() >= REMEMBERED_MAX {
            looks.retain(|_, sample| now.saturating_duration_since(sample.at) < FORGOTTEN_AFTER);
        }
        if looks.len() < REMEMBERED_MAX {
            looks.insert(name.to_owned(), Sample { at: now, counts, rates: None });
        }
        None
    }
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Rates {
    sessions: Looks<2>,
    nodes: Looks<3>,
}

impl Rates {
    /// Of a session: delivered and dropped.
    pub(super) fn of_session(&self, name: &str, counts: [u64; 2]) -> Option<[f64; 2]> {
        self.sessions.look(name, counts, Instant::now())
    }

    /// Of a node: published, delivered and dropped.
    pub(super) fn of_node(&self, name: &str, counts: [u64; 3]) -> Option<[f64; 3]> {
        self.nodes.look(name, counts, Instant::now())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_what_came_between_two_looks() {
        let (looks, began) = (Looks::<1>::default(), Instant::now());
        let at = |milliseconds| began + Duration::from_millis(milliseconds);
        assert_eq!(looks.look("a", [10], at(0)), None);
        assert_eq!(looks.look("a", [30], at(2000)), Some([10.0]));
        assert_eq!(looks.look("b", [5], at(2000)), None);
        // Closely behind the last one: what that said.
        assert_eq!(looks.look("a", [31], at(2001)), Some([10.0]));
        assert_eq!(looks.look("a", [31], at(3000)), Some([1.0]));
        // Nobody looked for long.
        assert_eq!(looks.look("a", [99], at(60_000)), None);
    }
}
