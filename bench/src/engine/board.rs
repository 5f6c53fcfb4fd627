//! What the engines of a run on several threads tell each other. An engine that is alone has none.
//!
//! Each engine writes its own line and reads the others'; nobody adds to a number of somebody else. A bell wakes an
//! engine that waits for deliveries which others take.

use std::{
    io,
    sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering::SeqCst},
};

use rustix::{
    event::{EventfdFlags, eventfd},
    fd::OwnedFd,
};

/// See the module.
#[derive(Debug)]
pub(super) struct Board {
    lines: Vec<Line>,
    /// An engine failed; the run is over.
    over: AtomicBool,
}

/// What one engine tells, in cache lines of its own.
#[derive(Debug)]
#[repr(align(128))]
struct Line {
    /// Deliveries that its publishers brought about, less those that its subscribers took: below 0 where it has more
    /// of the latter.
    balance: AtomicI64,
    /// Everything that happened.
    progress: AtomicU64,
    /// All that it is to publish was published and acknowledged.
    settled: AtomicBool,
    /// Its publishers wait for deliveries.
    held: AtomicBool,
    /// For progress lines, and so now and then only.
    told: [AtomicU64; 3],
    bell: OwnedFd,
}

impl Board {
    /// For so many engines.
    pub(super) fn new(engines: usize) -> io::Result<Self> {
        let line = |_| {
            Ok(Line {
                balance: AtomicI64::new(0),
                progress: AtomicU64::new(0),
                settled: AtomicBool::new(false),
                held: AtomicBool::new(false),
                told: Default::default(),
                bell: eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?,
            })
        };
        Ok(Self { lines: (0..engines).map(line).collect::<io::Result<_>>()?, over: AtomicBool::new(false) })
    }

    /// Before a phase, while all engines rest.
    pub(super) fn begin(&self) {
        for line in &self.lines {
            line.balance.store(0, SeqCst);
            line.settled.store(false, SeqCst);
            line.held.store(false, SeqCst);
        }
    }

    /// What wakes engine `number`.
    pub(super) fn bell(&self, number: usize) -> &OwnedFd {
        &self.lines[number].bell
    }

    /// Takes what woke engine `number`.
    pub(super) fn answer(&self, number: usize) {
        // There is nothing to take if somebody was quicker.
        let _ = rustix::io::read(&self.lines[number].bell, &mut [0; 8]);
    }

    /// Tells the others, and returns what they have outstanding together.
    pub(super) fn exchange(&self, number: usize, balance: i64, progress: u64) -> i64 {
        self.lines[number].balance.store(balance, SeqCst);
        self.lines[number].progress.store(progress, SeqCst);
        let others = self.lines.iter().enumerate().filter(|&(other, _)| other != number);
        others.map(|(_, line)| line.balance.load(SeqCst)).sum()
    }

    /// What happened to all engines.
    pub(super) fn progress(&self) -> u64 {
        self.lines.iter().map(|line| line.progress.load(SeqCst)).sum()
    }

    /// Takes figures of engine `number` for a progress line, and returns the sums of what all told last.
    pub(super) fn tell(&self, number: usize, own: [u64; 3]) -> [u64; 3] {
        self.lines[number].told.iter().zip(own).for_each(|(told, own)| told.store(own, SeqCst));
        std::array::from_fn(|place| self.lines.iter().map(|line| line.told[place].load(SeqCst)).sum())
    }

    /// Engine `number` has published all, and told so of its balance before.
    pub(super) fn settle(&self, number: usize) {
        self.lines[number].settled.store(true, SeqCst);
    }

    /// Every engine has published all, and all of it was delivered. Once true it stays so until the next phase.
    pub(super) fn is_settled(&self) -> bool {
        // In this order: when all have published all, deliveries outstanding only become fewer.
        self.lines.iter().all(|line| line.settled.load(SeqCst))
            && self.lines.iter().map(|line| line.balance.load(SeqCst)).sum::<i64>() <= 0
    }

    /// Publishers of engine `number` wait for deliveries, or no longer do.
    pub(super) fn hold(&self, number: usize, held: bool) {
        self.lines[number].held.store(held, SeqCst);
    }

    /// Wakes those whose publishers wait.
    pub(super) fn release(&self) {
        let held = |line: &&Line| line.held.load(SeqCst) && line.held.swap(false, SeqCst);
        self.lines.iter().filter(held).for_each(ring);
    }

    /// Wakes all.
    pub(super) fn wake_all(&self) {
        self.lines.iter().for_each(ring);
    }

    /// Ends the phase for all.
    pub(super) fn give_up(&self) {
        self.over.store(true, SeqCst);
        self.wake_all();
    }

    /// Somebody gave up.
    pub(super) fn is_over(&self) -> bool {
        self.over.load(SeqCst)
    }
}

fn ring(line: &Line) {
    // It fails only when the bell was rung often enough already.
    let _ = rustix::io::write(&line.bell, &1u64.to_ne_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_phase_is_settled_when_the_balances_of_all_even_out() {
        let board = Board::new(2).unwrap();
        board.begin();
        assert_eq!(board.exchange(0, 5, 5), 0);
        board.settle(0);
        assert!(!board.is_settled());
        board.settle(1);
        assert!(!board.is_settled());
        assert_eq!(board.exchange(1, -5, 5), 5);
        assert!(board.is_settled());
        assert_eq!(board.progress(), 10);
        board.begin();
        assert!(!board.is_settled());
    }

    #[test]
    fn figures_are_summed_over_all() {
        let board = Board::new(2).unwrap();
        assert_eq!(board.tell(0, [1, 2, 3]), [1, 2, 3]);
        assert_eq!(board.tell(1, [10, 20, 30]), [11, 22, 33]);
        assert_eq!(board.tell(0, [4, 5, 6]), [14, 25, 36]);
    }
}
