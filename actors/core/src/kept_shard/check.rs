//! Whether what is kept twice of a shard agrees.

use std::collections::BTreeMap;

use super::KeptShard;
use crate::records::Position;

impl KeptShard {
    /// Nothing is kept for nobody, and what is in flight is found by its packet identifier.
    ///
    /// # Errors
    /// What does not agree.
    pub fn check(&self) -> Result<(), String> {
        let mut places = BTreeMap::<Position, usize>::new();
        for (client, session) in self.sessions() {
            let sent = session.copies.iter().filter_map(|(id, copy)| Some((copy.sent?.identifier, *id)));
            if session.inflight != sent.collect() {
                return Err(format!("{:?} is in flight to {client}", session.inflight));
            }
            for (id, copy) in &session.copies {
                if copy.sent.is_none_or(|sent| !sent.released) {
                    *places.entry(id.message).or_default() += 1;
                }
            }
        }
        self.groups().flat_map(|(_, waiting)| waiting).for_each(|at| *places.entry(at).or_default() += 1);
        let kept: BTreeMap<_, _> = self.messages.iter().map(|(at, message)| (*at, message.places)).collect();
        if kept == places { Ok(()) } else { Err(format!("{kept:?} are kept, {places:?} are wanted")) }
    }
}
