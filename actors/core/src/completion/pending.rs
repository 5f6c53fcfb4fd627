//! A line of answers that leave in the order of their packets.

use std::collections::VecDeque;
use std::task::Waker;

use super::{Awaited, State};

/// Answers of one kind to one network connection, in the order of their packets: none leaves before all before it have.
#[derive(Debug)]
pub struct Pending<A> {
    answers: VecDeque<(A, Option<Awaited>)>,
}

/// What comes next of a line.
enum Next<A> {
    /// This answer leaves.
    Leaves(A),
    /// Something is open, or nothing is left.
    Nothing,
    /// What the first answer waits for has failed. It stays, and all behind it.
    Failed,
}

impl<A> Default for Pending<A> {
    fn default() -> Self {
        Self { answers: VecDeque::new() }
    }
}

impl<A> Pending<A> {
    /// How many wait.
    pub fn len(&self) -> usize {
        self.answers.len()
    }

    /// Whether none waits.
    pub fn is_empty(&self) -> bool {
        self.answers.is_empty()
    }

    /// All that wait, in order, with what they wait for.
    pub fn iter(&self) -> impl Iterator<Item = &(A, Option<Awaited>)> {
        self.answers.iter()
    }

    /// Adds the answer to the latest packet.
    pub fn push(&mut self, answer: A, awaited: Option<Awaited>) {
        self.answers.push_back((answer, awaited));
    }

    /// Takes the first answer out if it may leave; if something is open, `home` is woken when that changes.
    fn next(&mut self, home: Option<&Waker>) -> Next<A> {
        let Some((_, awaited)) = self.answers.front() else { return Next::Nothing };
        let state = awaited.as_ref().map_or(State::Done, |awaited| match home {
            Some(home) => awaited.state_or_wake(home),
            None => awaited.state(),
        });
        match state {
            State::Open => Next::Nothing,
            State::Failed => Next::Failed,
            State::Done => self.answers.pop_front().map_or(Next::Nothing, |(answer, _)| Next::Leaves(answer)),
        }
    }

    /// Takes out all answers that may leave; when the next one may, `home` is woken. Returns how many they were, and sets
    /// `failed` where what the next one waits for has failed.
    pub(crate) fn let_leave(
        &mut self,
        home: Option<&Waker>,
        failed: &mut bool,
        mut leave: impl FnMut(A),
    ) -> u64 {
        let mut left = 0;
        loop {
            match self.next(home) {
                Next::Leaves(answer) => leave(answer),
                Next::Nothing => return left,
                Next::Failed => {
                    *failed = true;
                    return left;
                }
            }
            left += 1;
        }
    }

    /// Takes all answers out that are left, with what they wait for.
    pub fn drain(&mut self) -> impl Iterator<Item = (A, Option<Awaited>)> + '_ {
        self.answers.drain(..)
    }
}
