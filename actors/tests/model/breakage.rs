//! A topic trie that panics while nothing is on its way loses nothing, and closes nobody.

use super::world::World;

impl World<'_> {
    pub(crate) async fn break_some_trie(&mut self) -> Result<(), String> {
        let all_read = self.clients.iter().flat_map(|client| &client.link).all(|link| link.reads);
        if !self.breaks || !all_read || !self.random.percent(10) {
            return Ok(());
        }
        let worker = self.random.below(self.node.workers());
        self.trace(|| format!("the topic trie of worker {worker} panics"));
        self.node.break_trie(worker).await;
        let mut received = Vec::new();
        for (index, client) in self.clients.iter_mut().enumerate() {
            let Some(link) = &mut client.link else { continue };
            let packets = link.wire.receive().map_err(|wrong| format!("{}: {wrong}", client.name))?;
            received.extend(packets.into_iter().map(|packet| (index, packet)));
        }
        for (index, packet) in received {
            self.take(index, packet)?;
        }
        Ok(())
    }
}
