//! A topic trie that panics while nothing is on its way loses nothing: another takes its place.

use mqtt_codec::{Packet, ReasonCode};
use tokio::time::Instant;

use super::world::{Ghost, World};

impl World<'_> {
    pub(crate) async fn break_some_trie(&mut self) -> Result<(), String> {
        let all_read = self.clients.iter().flat_map(|client| &client.link).all(|link| link.reads);
        if !self.breaks || !all_read || !self.random.percent(10) {
            return Ok(());
        }
        let worker = self.random.below(self.node.workers());
        self.trace(|| format!("the topic trie of worker {worker} panics"));
        let before = Instant::now();
        self.node.break_trie(worker).await;
        let mut received = Vec::new();
        for index in 0..self.clients.len() {
            let client = &mut self.clients[index];
            let Some(link) = &mut client.link else { continue };
            let packets = link.wire.receive().map_err(|wrong| format!("{}: {wrong}", client.name))?;
            // Who is in the middle of a QoS 2 exchange is told to come again.
            let is_sent_away = matches!(
                packets.last(),
                Some(Packet::Disconnect(last)) if last.reason_code == ReasonCode::ImplementationSpecificError
            );
            if is_sent_away {
                let (since, wire) = (before, self.lose_link(index, true, before, Instant::now()));
                self.ghosts.push(Ghost { wire, since });
            } else {
                received.push((index, packets));
            }
        }
        // Which may be the wills of those.
        for (index, packets) in received {
            for packet in packets {
                self.take(index, packet)?;
            }
        }
        Ok(())
    }
}
