//! Hears of changes, from each address of the service, for as long as the node runs.

use std::sync::Arc;
use std::time::Duration;

use auth_actor::Notice;
use tonic::transport::Channel;

use super::Shared;
use crate::wire::decisions_client::DecisionsClient;
use crate::wire::{Change, WatchRequest};

/// Until an address that cannot be watched is tried again.
const PAUSE: Duration = Duration::from_millis(250);
/// How long the first word may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// Watches one address.
pub(super) async fn follow(shared: Arc<Shared>, place: usize, channel: Channel) {
    let mut known = 0;
    loop {
        watch_once(&shared, place, channel.clone(), &mut known).await;
        tokio::time::sleep(PAUSE).await;
    }
}

/// Until the stream ends. `known` is the generation that was heard of last.
async fn watch_once(shared: &Shared, place: usize, channel: Channel, known: &mut u64) {
    let mut client = DecisionsClient::new(channel);
    let request = shared.request(WatchRequest { generation: *known });
    let opened = async {
        let mut stream = client.watch(request).await?.into_inner();
        let first = stream.message().await?;
        Ok::<_, tonic::Status>((stream, first))
    };
    let (mut stream, mut heard) = match tokio::time::timeout(PATIENCE, opened).await {
        Ok(Ok((stream, Some(first)))) => (stream, first),
        Ok(Err(status)) => {
            tracing::debug!(code = ?status.code(), "the auth service cannot be watched");
            return;
        }
        _ => return,
    };
    shared.picker.is_heard(place);
    shared.cache.is_watched();
    tracing::info!(generation = heard.generation, "the auth service tells of changes");
    loop {
        carry_out(shared, &heard, known).await;
        match stream.message().await {
            Ok(Some(change)) => heard = change,
            Ok(None) | Err(_) => break,
        }
    }
    tracing::warn!("the auth service tells of changes no more: what it said is forgotten");
    shared.picker.is_lost(place);
    shared.cache.is_lost();
    shared.forget();
}

/// What was said before counts no more; then those end who are let in no more.
async fn carry_out(shared: &Shared, change: &Change, known: &mut u64) {
    shared.forget();
    *known = change.generation;
    let Some(notices) = shared.notices.get() else { return };
    for name in &change.withdrawn {
        // False if the node is no more.
        notices.give(Notice::User(name.clone())).await;
    }
}
