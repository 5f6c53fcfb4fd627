//! How a node shuts down: within a grace period, in an order in which nothing that was promised is lost on the way.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use actix_rt::time::timeout;
use tracing::{info, warn};

use crate::clock;
use crate::messages::{KeepChanges, ObserveTrie, PublishWills, ShutDown, Takes};
use crate::node::RunningNode;
use crate::threads::STORE_PATIENCE;

/// How often a shutdown looks whether everybody is gone.
const LOOK_INTERVAL: Duration = Duration::from_millis(10);

/// How a shutdown went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ShutdownReport {
    /// Network connections that were still open when the grace period ended.
    pub connections_cut: usize,
}

impl RunningNode {
    /// Shuts down, in this order: (1) no new connections, (2) wills are published and routed, unless the settings say
    /// otherwise, (3) clients are told (0x8B) and outboxes flushed, until all are gone or the grace period ends,
    /// (4) the session store keeps what changed, (5) the threads end.
    pub async fn shutdown(self, grace: Duration) -> ShutdownReport {
        let deadline = clock::now() + grace;
        self.accepting.store(false, Ordering::Release);
        self.stop.send_replace(true);
        if self.shared.settings.session.publish_wills_on_shutdown {
            self.publish_wills(deadline).await;
        }
        for peer in &self.shared.peers {
            peer.sessions.do_send(ShutDown);
        }
        while self.shared.connections.load(Ordering::Relaxed) > 0 && clock::now() < deadline {
            actix_rt::time::sleep(LOOK_INTERVAL).await;
        }
        let connections_cut = self.shared.connections.load(Ordering::Relaxed);
        self.keep_changes(deadline).await;
        self.threads.end(&self.shared, grace).await;
        self.shared.client_lines.tell_left_out();
        info!(connections_cut, "the node has shut down");
        ShutdownReport { connections_cut }
    }

    /// Hands to the session store what it has not kept yet.
    async fn keep_changes(&self, deadline: Instant) {
        let asked: Vec<_> = self.shared.peers.iter().filter_map(|peer| peer.sessions.addr()).collect();
        let asked: Vec<_> = asked.iter().map(|sessions| sessions.send(KeepChanges)).collect();
        let kept = async {
            for kept in asked {
                // A thread that has ended has nothing to keep.
                let _ = kept.await;
            }
        };
        let patience = deadline.saturating_duration_since(clock::now()).max(STORE_PATIENCE);
        if timeout(patience, kept).await.is_err() {
            warn!("the session store did not answer in time; it may not have kept the latest changes");
        }
    }

    async fn publish_wills(&self, deadline: Instant) {
        let patience = deadline.saturating_duration_since(clock::now());
        let routed = async {
            let asked: Vec<_> = self.shared.peers.iter().filter_map(|peer| peer.sessions.addr()).collect();
            let asked: Vec<_> = asked.iter().map(|sessions| sessions.send(PublishWills)).collect();
            let published = async {
                for published in asked {
                    // A thread that has ended has no wills to publish.
                    let _ = published.await;
                }
            };
            // Some may have to be judged anew: those that nobody judges in time are not published, and do not take the
            // time of the others.
            if timeout(patience / 2, published).await.is_err() {
                warn!("not all will messages were judged anew in time; those are not published");
            }
            // Three times: what one worker's publishers have for another's trie may be handed to a third.
            for _ in 0..3 {
                for peer in &self.shared.peers {
                    if let Some(trie) = peer.trie.addr() {
                        let _ = trie.send(ObserveTrie).await;
                    }
                }
            }
        };
        if timeout(deadline.saturating_duration_since(clock::now()), routed).await.is_err() {
            warn!("not all will messages were routed within the grace period");
        }
    }
}
