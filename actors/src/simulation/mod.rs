//! A whole node on one thread, with a clock that stands still until it is told to go on: for tests, fuzzing and counts
//! of instructions. Only with the feature `simulation`.
//!
//! Actors, messages and the way from the first byte of a network connection to its CONNECT are those of every node;
//! network connections are pipes inside of the process, and all workers take turns on one thread, so that the same
//! script always gives the same run.
//!
//! ```
//! use micro_mq_actors::{Settings, simulation::Simulation};
//!
//! let simulation = Simulation::start(Settings::default());
//! simulation.run(async |node| {
//!     let mut client = node.connect(0);
//!     client.send(b"\x10\x0c\x00\x04MQTT\x04\x02\x00\x00\x00\x00");
//!     node.settle().await;
//!     assert_eq!(client.receive().unwrap().len(), 1);
//!     client.hang_up();
//!     node.settle().await;
//!     node.check().await.unwrap();
//!     node.clear().await.unwrap();
//! });
//! ```

mod client;
mod invariants;
mod node;
mod wire;

pub use client::SimulatedClient;
pub use invariants::Broken;
pub use node::SimulatedNode;
pub use wire::Wire;

pub(crate) use invariants::Inspect;

use actix::SystemRunner;
use auth_actor::Policy;

use crate::settings::Settings;

/// A node, and the thread's runtime that it lives on. A thread can have one at a time.
#[derive(Debug)]
pub struct Simulation {
    // Before the runtime, whose tasks use what it holds.
    node: SimulatedNode,
    system: SystemRunner,
}

impl Simulation {
    /// Starts a node with these settings; 0 workers are 1. Everybody may do everything.
    ///
    /// # Panics
    /// When the operating system gives no runtime.
    pub fn start(settings: Settings) -> Self {
        Self::start_with(settings, Policy { authenticates: false, authorizes: false })
    }

    /// The same, but the auth actor is asked nevertheless: packets wait for its answer.
    ///
    /// # Panics
    /// As [`start`](Self::start).
    pub fn start_asking(settings: Settings) -> Self {
        Self::start_with(settings, Policy { authenticates: true, authorizes: true })
    }

    fn start_with(settings: Settings, policy: Policy) -> Self {
        let system = actix_rt::System::with_tokio_rt(|| {
            let mut builder = tokio::runtime::Builder::new_current_thread();
            builder.enable_time().start_paused(true).build().expect("a runtime without I/O needs nothing")
        });
        let node = system.block_on(SimulatedNode::start(settings, policy));
        Self { node, system }
    }

    /// Runs a script against the node. What it leaves behind is there for the next one.
    pub fn run<R>(&self, script: impl AsyncFnOnce(&SimulatedNode) -> R) -> R {
        self.system.block_on(script(&self.node))
    }
}
