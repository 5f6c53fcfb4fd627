//! Carries out what the provider of the auth actor gives notice of.

use std::sync::Arc;
use std::time::Duration;

use auth_actor::{Heard, Withdrawn};

use crate::messages::{EndWithdrawn, Takes};
use crate::worker::NodeShared;

/// How soon a sessions actor that panicked over it is asked again: about when there is another.
const RETRY_INTERVAL: Duration = Duration::from_millis(100);

/// Round by round, until the provider can give no notice any more. The next round begins when this one is done on all
/// workers, so no more wait than the provider's channel holds.
pub(crate) async fn carry_out(node: Arc<NodeShared>, mut heard: Heard) {
    while let Some(round) = heard.next().await {
        let round = Arc::new(round);
        // First: who is let in from now on by an earlier answer is found by that.
        node.withdrawals.note(&round);
        let worker = |worker| actix_rt::spawn(end(Arc::clone(&node), worker, Arc::clone(&round)));
        let workers: Vec<_> = (0..node.peers.len()).map(worker).collect();
        for worker in workers {
            // It ends early with the node alone.
            let _ = worker.await;
        }
    }
}

async fn end(node: Arc<NodeShared>, worker: usize, round: Arc<Withdrawn>) {
    loop {
        let sessions = node.peers[worker].sessions.addr();
        if let Some(sessions) = sessions
            && sessions.send(EndWithdrawn { round: Arc::clone(&round) }).await.is_ok()
        {
            return;
        }
        actix_rt::time::sleep(RETRY_INTERVAL).await;
    }
}
