//! What happens in one round happens in an order that nobody knows.

use super::message::{GroupEntry, Instance, Place};
use super::topics::{is_shared, matches, plain};
use super::world::World;

impl World<'_> {
    /// A client changes a subscription in the round in which messages were published: nobody knows which came first.
    pub(crate) fn race(&mut self, client: usize, filter: &'static str) {
        for instance in (0..self.instances.len()).rev() {
            let Instance { message, round, ref copies, .. } = self.instances[instance];
            if round != self.round {
                break;
            }
            let published = self.messages[message].clone();
            if !matches(plain(filter), published.topic) || self.is_replay(client, instance) {
                continue;
            }
            let group = copies
                .iter()
                .any(|(place, _)| matches!(place, Place::Group { filter: other, .. } if *other == filter));
            if is_shared(filter) {
                if !group {
                    let entry =
                        GroupEntry { instance, message, certain: false, received: false, loose: false };
                    self.groups.entry(filter).or_default().push(entry);
                }
                continue;
            }
            let session = self.clients[client].session.as_mut().expect("a network connection has a session");
            session.doubt(|copy| copy.instance == instance);
            // Its own as well as another's, since no local may count.
            let own = self.clients[client].session.as_ref().map(|session| (client, session.number));
            let (mut hows, _) = self.wanted(client, &published, None);
            let as_own = self.wanted(client, &published, own).0;
            hows.extend(as_own.into_iter().filter(|how| !hows.contains(how)).collect::<Vec<_>>());
            for how in hows {
                self.expect(client, instance, message, how, false, None);
            }
        }
    }

    pub(crate) fn is_replay(&self, client: usize, instance: usize) -> bool {
        let session = self.clients[client].session.as_ref();
        session.is_some_and(|session| {
            session.copies.iter().any(|copy| copy.instance == instance && copy.replay.is_some())
        })
    }
}
