//! A whole node on one thread, with a clock that stands still until it is told to go on: for tests, fuzzing and counts
//! of instructions. Only with the feature `simulation`.
//!
//! Actors, messages and the way from the first byte of a network connection to its CONNECT are those of every node;
//! network connections are pipes inside of the process, with a WebSocket over them or without, and all workers take turns
//! on one thread, in the order in which they are woken or in one that a seed draws ([`Conditions`]), so that the same
//! script always gives the same run.
//!
//! ```
//! use micro_mq_actors::simulation::Simulation;
//! use micro_mq_core::settings::Settings;
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
mod conditions;
mod disk;
mod interleaving;
mod invariants;
mod judge;
mod kept;
mod node;
mod random;
mod websocket;
mod wire;

pub use client::SimulatedClient;
pub use conditions::Conditions;
pub use disk::SimulatedDisk;
pub use judge::Broken;
pub use node::SimulatedNode;
pub use wire::Wire;

use std::sync::Arc;

use actix::SystemRunner;
use micro_mq_core::settings::Settings;

use crate::worker::Keeper;
use node::Birth;

/// A node, and the thread's runtime that it lives on. A thread can have one at a time.
#[derive(Debug)]
pub struct Simulation {
    // Before the runtime, whose tasks use what it holds.
    node: SimulatedNode,
    system: SystemRunner,
}

impl Simulation {
    /// Starts a node with these settings; 0 workers are 1. Everybody may do everything, and all take turns in the order
    /// in which they are woken.
    ///
    /// # Panics
    /// When the operating system gives no runtime.
    pub fn start(settings: Settings) -> Self {
        Self::start_with(settings, Conditions::default())
    }

    /// The same under these conditions.
    ///
    /// # Panics
    /// As [`start`](Self::start).
    pub fn start_with(settings: Settings, conditions: Conditions) -> Self {
        Self::start_on(settings, conditions, Vec::new())
    }

    /// The same, with those who keep what clients are promised.
    ///
    /// # Panics
    /// As [`start`](Self::start).
    pub fn start_on(settings: Settings, conditions: Conditions, keepers: Vec<Arc<dyn Keeper>>) -> Self {
        Self::start_from(settings, conditions, keepers, None)
    }

    /// The same with sessions that outlive the process, on this disk. Its workers have to be interleaved.
    ///
    /// # Panics
    /// As [`start`](Self::start).
    pub fn start_durable(
        settings: Settings,
        conditions: Conditions,
        keepers: Vec<Arc<dyn Keeper>>,
        disk: SimulatedDisk,
    ) -> Self {
        Self::start_from(settings, conditions, keepers, Some(disk))
    }

    fn start_from(
        settings: Settings,
        conditions: Conditions,
        keepers: Vec<Arc<dyn Keeper>>,
        disk: Option<SimulatedDisk>,
    ) -> Self {
        let system = actix_rt::System::with_tokio_rt(|| {
            let mut builder = tokio::runtime::Builder::new_current_thread();
            builder.enable_time().start_paused(true).build().expect("a runtime without I/O needs nothing")
        });
        let node =
            system.block_on(SimulatedNode::start(Birth { settings, conditions, keepers, disk, lives: 0 }));
        Self { node, system }
    }

    /// Runs a script against the node. What it leaves behind is there for the next one.
    pub fn run<R>(&self, script: impl AsyncFnOnce(&SimulatedNode) -> R) -> R {
        self.system.block_on(script(&self.node))
    }

    /// The same, with a script that kills the node and starts others in its place.
    pub fn run_lives<R>(&mut self, script: impl AsyncFnOnce(&mut SimulatedNode) -> R) -> R {
        self.system.block_on(script(&mut self.node))
    }
}
