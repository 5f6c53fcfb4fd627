//! Retained publishes on their way to one worker's subscribers, so that a new subscription can wait until those that were
//! published before it are delivered.

use std::collections::{BTreeMap, VecDeque};
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use parking_lot::Mutex;

/// See the module.
#[derive(Debug, Default)]
pub struct RetainedUnderway(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    /// By rising stamps: the first stamp of each batch, and whether it is still on its way.
    batches: VecDeque<(u64, bool)>,
    /// How many are gone from the front.
    gone: u64,
    /// Who waits until nothing up to this stamp is on its way.
    waiting: BTreeMap<u64, (u64, Waker)>,
    /// Numbers those.
    waited: u64,
}

impl State {
    fn is_through(&self, stamp: u64) -> bool {
        self.batches.front().is_none_or(|(first, _)| *first > stamp)
    }
}

/// One batch on its way to the worker, until its trie is done with it.
#[derive(Debug)]
pub struct RetainedPassage {
    underway: Arc<RetainedUnderway>,
    number: u64,
}

impl RetainedUnderway {
    /// A batch sets out whose first retained publish has this stamp, higher than those before.
    pub fn enter(self: &Arc<Self>, stamp: u64) -> RetainedPassage {
        let mut state = self.0.lock();
        debug_assert!(state.batches.back().is_none_or(|(last, _)| *last < stamp));
        state.batches.push_back((stamp, true));
        RetainedPassage { underway: Arc::clone(self), number: state.gone + state.batches.len() as u64 - 1 }
    }

    /// Completes when nothing up to this stamp is on its way any more. What is, is bounded: by what may be on its way to
    /// the worker.
    pub fn through(&self, stamp: u64) -> Through<'_> {
        Through { underway: self, stamp, number: None }
    }
}

/// See [`RetainedUnderway::through`]. Dropped, it waits no longer.
#[derive(Debug)]
pub struct Through<'a> {
    underway: &'a RetainedUnderway,
    stamp: u64,
    /// Among those who wait; none before it does.
    number: Option<u64>,
}

impl Future for Through<'_> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, task: &mut Context<'_>) -> Poll<()> {
        let (underway, stamp) = (self.underway, self.stamp);
        let mut state = underway.0.lock();
        if state.is_through(stamp) {
            return Poll::Ready(());
        }
        let number = *self.number.get_or_insert_with(|| {
            state.waited += 1;
            state.waited
        });
        state.waiting.insert(number, (stamp, task.waker().clone()));
        Poll::Pending
    }
}

impl Drop for Through<'_> {
    fn drop(&mut self) {
        if let Some(number) = self.number {
            self.underway.0.lock().waiting.remove(&number);
        }
    }
}

impl Drop for RetainedPassage {
    fn drop(&mut self) {
        let mut state = self.underway.0.lock();
        let at = (self.number - state.gone) as usize;
        state.batches[at].1 = false;
        while let Some((_, false)) = state.batches.front() {
            state.batches.pop_front();
            state.gone += 1;
        }
        if state.batches.is_empty() && state.batches.capacity() > 64 {
            state.batches = VecDeque::new();
        }
        let State { batches, waiting, .. } = &mut *state;
        let first = batches.front().map_or(u64::MAX, |(first, _)| *first);
        let mut woken = Vec::new();
        waiting.retain(|_, (stamp, waker)| {
            let waits = *stamp >= first;
            if !waits {
                woken.push(waker.clone());
            }
            waits
        });
        drop(state);
        woken.into_iter().for_each(Waker::wake);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::pin::pin;

    #[test]
    fn through_when_all_before_are() {
        let underway = Arc::<RetainedUnderway>::default();
        let mut task = Context::from_waker(Waker::noop());
        assert_eq!(pin!(underway.through(99)).poll(&mut task), Poll::Ready(()));
        let (first, second, third) = (underway.enter(2), underway.enter(6), underway.enter(10));
        let (mut up_to_7, mut up_to_1) = (pin!(underway.through(7)), pin!(underway.through(1)));
        assert_eq!(up_to_1.as_mut().poll(&mut task), Poll::Ready(()));
        assert_eq!(up_to_7.as_mut().poll(&mut task), Poll::Pending);
        drop(second);
        assert_eq!(up_to_7.as_mut().poll(&mut task), Poll::Pending);
        drop(first);
        assert_eq!(up_to_7.as_mut().poll(&mut task), Poll::Ready(()));
        drop(third);
        assert_eq!(underway.0.lock().batches.len(), 0);
    }

    #[test]
    fn who_waits_no_longer_is_forgotten() {
        let underway = Arc::<RetainedUnderway>::default();
        let mut task = Context::from_waker(Waker::noop());
        let _passage = underway.enter(2);
        {
            let mut through = pin!(underway.through(7));
            assert_eq!(through.as_mut().poll(&mut task), Poll::Pending);
            assert_eq!(through.as_mut().poll(&mut task), Poll::Pending);
            assert_eq!(underway.0.lock().waiting.len(), 1);
        }
        assert_eq!(underway.0.lock().waiting.len(), 0);
    }
}
