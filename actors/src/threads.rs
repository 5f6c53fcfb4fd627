//! The threads of a node, and how they end.

use std::time::Duration;

use actix::prelude::*;
use actix_rt::time::timeout;
use tokio::sync::oneshot;
use tracing::warn;

use crate::clock;
use crate::cluster::ClusterThreads;
use crate::worker::NodeShared;

/// How long the thread of the auth actor may take to end: as good as no time, unless its provider holds it up.
const AUTH_PATIENCE: Duration = Duration::from_millis(200);
/// The same for that of the session store; and how long it may take for the latest changes if the grace period is over.
pub(crate) const STORE_PATIENCE: Duration = Duration::from_millis(200);

/// How long the threads of the cluster may take to say that the node is no member any more.
const CLUSTER_PATIENCE: Duration = Duration::from_millis(1500);

/// The threads of a node.
pub(crate) struct Threads {
    /// Control and workers.
    pub(crate) arbiters: Vec<Arbiter>,
    pub(crate) auth: Arbiter,
    /// Completed when that of the session store ends.
    pub(crate) store_ended: oneshot::Receiver<()>,
    /// Those of the cluster.
    pub(crate) cluster: Option<ClusterThreads>,
}

/// Whether a thread that was stopped ends in time. One that does not is left behind: it ends with the process.
async fn ended(arbiter: Arbiter, patience: Duration) -> bool {
    let (done, ended) = oneshot::channel();
    // A thread that the runtime knows of would be waited for at its end, however long that takes.
    let waiting = std::thread::Builder::new().name("end".to_owned()).spawn(move || {
        let _ = arbiter.join();
        let _ = done.send(());
    });
    waiting.is_ok() && timeout(patience, ended).await.is_ok()
}

impl Threads {
    /// Ends all of them.
    pub(crate) async fn end(self, shared: &NodeShared, grace: Duration) {
        if let (Some(cluster), Some(threads)) = (&shared.cluster, self.cluster) {
            cluster.stop();
            if !threads.join(clock::now() + CLUSTER_PATIENCE, clock::now) {
                warn!("kafka was not told in time that the node is no member any more");
            }
        }
        for arbiter in self.arbiters.iter().chain([&self.auth]) {
            arbiter.stop();
        }
        for arbiter in self.arbiters {
            if !ended(arbiter, grace).await {
                warn!("a thread of the node did not end in time");
            }
        }
        if !ended(self.auth, AUTH_PATIENCE).await {
            warn!("the provider of auth.provider holds its thread up; the node ends without it");
        }
        shared.store.end();
        if timeout(STORE_PATIENCE, self.store_ended).await.is_err() {
            warn!("the backend of the session store holds its thread up; the node ends without it");
        }
    }
}
