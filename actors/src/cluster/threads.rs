//! The threads of a cluster's node.

use std::sync::Arc;
use std::sync::atomic::Ordering::SeqCst;
use std::thread::{Builder, JoinHandle};
use std::time::{Duration, Instant};

use super::consumer::{self, Assignment};
use super::handle::{Cluster, Host};
use super::kafka::ClusterError;
use super::{forwarder, reader};

/// How long what is to be written may take when the node ends.
const END_PATIENCE: Duration = Duration::from_secs(1);

/// Starts a thread; who is to be told that there is none is.
pub(super) fn spawn(
    cluster: &Arc<Cluster>,
    name: &str,
    run: impl FnOnce() + Send + 'static,
) -> Option<JoinHandle<()>> {
    match Builder::new().name(name.to_owned()).spawn(run) {
        Ok(started) => Some(started),
        Err(error) => {
            (cluster.options.end)(ClusterError::Thread(error));
            None
        }
    }
}

/// They end when [`Cluster::stop`] is called.
#[derive(Debug)]
pub struct ClusterThreads(Vec<JoinHandle<()>>);

impl Cluster {
    /// Starts the threads: the node becomes a member.
    pub fn start(self: &Arc<Self>, host: &Arc<dyn Host>) -> ClusterThreads {
        let assignment = Arc::new(Assignment::default());
        let forwarding = spawn(self, "forwarder", {
            let (cluster, host) = (Arc::clone(self), Arc::clone(host));
            move || forwarder::run(&cluster, host, END_PATIENCE)
        });
        let consuming = spawn(self, "consumer", {
            let (cluster, host, assignment) = (Arc::clone(self), Arc::clone(host), Arc::clone(&assignment));
            move || consumer::run(&cluster, host.as_ref(), &assignment)
        });
        let reading = spawn(self, "routes", {
            let (cluster, host) = (Arc::clone(self), Arc::clone(host));
            move || reader::run(&cluster, host.as_ref(), &assignment)
        });
        ClusterThreads([reading, consuming, forwarding].into_iter().flatten().collect())
    }

    /// Says that this node is no member any more; its threads end when that is written.
    pub fn stop(&self) {
        self.stopping.store(true, SeqCst);
    }

    pub(super) fn is_stopping(&self) -> bool {
        self.stopping.load(SeqCst)
    }
}

impl ClusterThreads {
    /// Waits until they have ended, up to a moment. What `now` says is the present one.
    pub fn join(self, deadline: Instant, now: impl Fn() -> Instant) -> bool {
        for thread in self.0 {
            while !thread.is_finished() {
                if now() >= deadline {
                    return false;
                }
                std::thread::sleep(Duration::from_millis(5));
            }
        }
        true
    }
}
