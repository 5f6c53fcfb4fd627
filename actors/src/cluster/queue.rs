//! What is to be written to Kafka, in order, on its way to the thread that does.

use std::sync::Arc;
use std::time::{Duration, Instant};

use micro_mq_cluster::own_routes::OwnedName;
use micro_mq_cluster::routes_log::{Encoded, Incarnation};
use micro_mq_core::completion::Condition;
use micro_mq_core::message::Batch;
use parking_lot::{Condvar, Mutex};

/// One publish to other nodes.
#[derive(Debug)]
pub(super) struct Send {
    /// Which of its batch.
    pub(super) item: usize,
    /// Which nodes it goes to, a bit for each slot.
    pub(super) slots: u64,
    /// Bytes that each of those takes of the window.
    pub(super) bytes: usize,
    /// Its publisher waits until all have it.
    pub(super) condition: Option<Condition>,
}

/// What is to be written.
#[derive(Debug)]
pub(super) enum Order {
    /// Publishes.
    Publish(Arc<Batch>, Vec<Send>),
    /// A record of `routes`, of a route if it has a name.
    Routes(Encoded, Option<(Incarnation, OwnedName)>),
}

#[derive(Debug, Default)]
struct Waiting {
    orders: Vec<Order>,
    is_over: bool,
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Queue {
    waiting: Mutex<Waiting>,
    came: Condvar,
}

impl Queue {
    /// One more.
    pub(super) fn push(&self, order: Order) {
        let mut waiting = self.waiting.lock();
        if waiting.is_over {
            return;
        }
        waiting.orders.push(order);
        if waiting.orders.len() == 1 {
            self.came.notify_one();
        }
    }

    /// Takes all that waits, for at most so long until there is any. False when nothing will come any more.
    pub(super) fn take(&self, taken: &mut Vec<Order>, patience: Duration, now: Instant) -> bool {
        let mut waiting = self.waiting.lock();
        if waiting.orders.is_empty() && !waiting.is_over {
            self.came.wait_until(&mut waiting, now + patience);
        }
        taken.append(&mut waiting.orders);
        !(waiting.is_over && taken.is_empty())
    }

    /// Nothing more is taken.
    pub(super) fn end(&self) {
        self.waiting.lock().is_over = true;
        self.came.notify_all();
    }
}
