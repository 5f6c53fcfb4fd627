//! Somebody who keeps what the node promises, and takes a while for it: some of it longer than what came later.

use std::sync::Arc;
use std::task::Waker;

use micro_mq_actors::worker::{Keeper, Promise};
use micro_mq_core::completion::{Condition, Conditions};
use micro_mq_core::message::Batch;
use micro_mq_core::session::Session;
use parking_lot::Mutex;
use tokio::task::yield_now;

use super::random::Random;

/// Turns of everybody that keeping something takes at most.
const TURNS_MAX: usize = 100;

/// See the module.
#[derive(Debug)]
pub(crate) struct Late(Mutex<Random>);

impl Late {
    /// For a part of all seeds, without a draw of the run's own.
    pub(crate) fn for_some(seed: u64) -> Vec<Arc<dyn Keeper>> {
        let mut random = Random::new(!seed);
        match random.percent(30) {
            true => vec![Arc::new(Self(Mutex::new(random)))],
            false => Vec::new(),
        }
    }

    fn concerns(&self) -> bool {
        self.0.lock().percent(60)
    }

    fn keep(&self, condition: Condition, batch: Option<Arc<Batch>>) {
        let bounds = [0, 0, 3, TURNS_MAX, TURNS_MAX];
        let turns = {
            let mut random = self.0.lock();
            let bound = random.pick(&bounds);
            random.below(1 + bound)
        };
        if turns == 0 {
            return condition.done();
        }
        actix_rt::spawn(async move {
            for _ in 0..turns {
                yield_now().await;
            }
            condition.done();
            drop(batch);
        });
    }
}

impl Keeper for Late {
    fn is_full(&self) -> bool {
        false
    }

    fn wake_when_there_is_room(&self, _: &Waker) {}

    fn publish(&self, batch: &Arc<Batch>) {
        for item in 0..batch.items().len() {
            if self.concerns()
                && let Some(condition) = batch.open(item)
            {
                if self.concerns() {
                    self.keep(condition.clone(), None);
                }
                let holds = self.concerns();
                self.keep(condition, holds.then(|| Arc::clone(batch)));
            }
        }
    }

    fn promise(&self, _: &Session, _: &Promise<'_>, conditions: &Conditions) {
        if self.concerns() {
            self.keep(conditions.open(0, 1), None);
        }
    }
}
