//! Workers that take turns in an order that a seed draws, as the threads of a busy machine do.
//!
//! Each worker, and control, has a list of tasks of its own. At each step one of them that has something to do goes on;
//! now and then one stands still while the others go on. What clients send lies in the pipe for a while before the
//! connection that reads it is told so, and messages between workers overtake it, as they do where a runtime looks after
//! its own tasks many times before it looks at its sockets.

use std::cell::{Cell, RefCell};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Wake, Waker};

use tokio::task::{LocalEnterGuard, LocalSet, yield_now};

use super::random::Random;
use crate::transport::{Poller, SocketReadiness};

/// Steps that one stands still, at most.
const STANDSTILL_STEPS_MAX: u64 = 40;
/// Steps in a row, where nobody does anything in between.
const STEPS_AT_ONCE: usize = 8;

/// See the module.
pub(super) struct Interleaving {
    /// Control, and behind it the workers.
    places: Vec<Place>,
    sockets: Arc<Poller>,
    random: Random,
    /// In a hundred: how likely it is at each step that a connection is told of what is there, and that whoever had its
    /// turn stands still.
    announced: u64,
    standstill: u64,
    /// A script waits until there is nothing to do: nobody stands still for nothing.
    hurries: Cell<bool>,
    /// Nobody goes on any more: the process is about to be killed.
    is_off: Rc<Cell<bool>>,
}

/// The tasks that one thread of a node would have.
struct Place {
    tasks: RefCell<LocalSet>,
    ready: Arc<Ready>,
    waker: Waker,
    /// So many steps it stands still.
    standstill: Cell<u64>,
}

/// Set when a task is woken.
struct Ready {
    is_set: AtomicBool,
    sockets: Arc<Poller>,
}

/// The client's end of a network connection of which the node is told late.
#[derive(Debug)]
pub(super) struct News(Arc<SocketReadiness>);

impl News {
    /// The client sent something.
    pub(super) fn note_written(&self) {
        self.0.note_written();
    }
}

impl Drop for News {
    fn drop(&mut self) {
        self.0.note_over();
    }
}

impl Wake for Ready {
    fn wake(self: Arc<Self>) {
        self.is_set.store(true, Ordering::Relaxed);
        self.sockets.work.notify_one();
    }
}

impl Interleaving {
    /// For so many workers, whose order the seed draws.
    pub(super) fn new(workers: usize, seed: u64, is_off: Rc<Cell<bool>>) -> Self {
        let sockets = Arc::new(Poller::default());
        let place = |_| {
            let ready = Arc::new(Ready { is_set: AtomicBool::new(true), sockets: Arc::clone(&sockets) });
            Place {
                tasks: RefCell::default(),
                waker: Waker::from(Arc::clone(&ready)),
                ready,
                standstill: Cell::new(0),
            }
        };
        let places = (0..=workers).map(place).collect();
        let (random, hurries) = (Random::new(seed), Cell::new(false));
        let mut interleaving = Self { places, sockets, random, announced: 0, standstill: 0, hurries, is_off };
        interleaving.announced = [3, 10, 30, 80][interleaving.random.below(4) as usize];
        interleaving.standstill = [0, 5, 20][interleaving.random.below(3) as usize];
        interleaving
    }

    /// What is spawned while the answer lives belongs to this worker, or to control for none.
    pub(super) fn enter(&self, worker: Option<usize>) -> LocalEnterGuard {
        let place = &self.places[worker.map_or(0, |worker| worker + 1)];
        place.waker.wake_by_ref();
        place.tasks.borrow().enter()
    }

    /// A new network connection: what the node's end and the client's share.
    pub(super) fn socket(&self) -> (Arc<SocketReadiness>, News) {
        let socket = Arc::new(SocketReadiness::new(&self.sockets));
        (Arc::clone(&socket), News(socket))
    }

    /// Whether somebody has something to do, or something to be told.
    pub(super) fn is_busy(&self) -> bool {
        !self.is_off.get() && (self.places.iter().any(Place::is_ready) || !self.sockets.news().is_empty())
    }

    /// Whether a script waits until there is nothing to do.
    pub(super) fn hurry(&self, hurries: bool) {
        self.hurries.set(hurries);
    }

    /// Lets them go on, for as long as this is polled.
    pub(super) async fn drive(self: Rc<Self>) {
        loop {
            if self.is_busy() {
                let steps = if self.hurries.get() { STEPS_AT_ONCE } else { 1 };
                for _ in 0..steps {
                    if !self.is_off.get() {
                        self.step();
                    }
                }
                yield_now().await;
            } else {
                self.sockets.work.notified().await;
            }
        }
    }

    fn step(&self) {
        self.announce();
        let ready = || self.places.iter().filter(|place| place.is_ready());
        let wait = ready().map(|place| place.standstill.get()).min().unwrap_or(0);
        let able = ready().filter(|place| place.standstill.get() == 0).count() as u64;
        let pick = self.random.below(able.max(1)) as usize;
        let picked = ready().filter(|place| place.standstill.get() == 0).nth(pick);
        let passed = if self.hurries.get() { wait.max(1) } else { 1 };
        ready().for_each(|place| place.standstill.set(place.standstill.get().saturating_sub(passed)));
        let Some(place) = picked else { return };
        place.go_on();
        if self.random.below(100) < self.standstill {
            place.standstill.set(1 + self.random.below(STANDSTILL_STEPS_MAX));
        }
    }

    /// Tells some connections what is there, in any order.
    fn announce(&self) {
        let mut told = Vec::new();
        self.sockets.news().retain(|socket| {
            let is_told = self.random.below(100) < self.announced;
            told.extend(socket.upgrade().filter(|_| is_told));
            !is_told && socket.strong_count() > 0
        });
        while !told.is_empty() {
            told.swap_remove(self.random.below(told.len() as u64) as usize).announce();
        }
    }
}

impl Place {
    fn is_ready(&self) -> bool {
        self.ready.is_set.load(Ordering::Relaxed)
    }

    fn go_on(&self) {
        self.ready.is_set.store(false, Ordering::Relaxed);
        let mut tasks = self.tasks.borrow_mut();
        let is_over = Pin::new(&mut *tasks).poll(&mut Context::from_waker(&self.waker)).is_ready();
        debug_assert!(!is_over, "each has tasks that never end");
    }
}
