//! Whether what is kept twice of a shard agrees.

use std::collections::BTreeMap;

use super::KeptShard;
use crate::records::Position;

impl KeptShard {
    /// Nothing is kept for nobody, and it is known how many wait.
    ///
    /// # Errors
    /// What does not agree.
    pub fn check(&self) -> Result<(), String> {
        let mut places = BTreeMap::<Position, u64>::new();
        for (_, session) in self.sessions() {
            for (id, copy) in &session.copies {
                if copy.sent.is_none_or(|sent| !sent.released) {
                    *places.entry(id.message).or_default() += 1;
                }
            }
        }
        self.groups().flat_map(|(_, waiting)| waiting).for_each(|at| *places.entry(at).or_default() += 1);
        if !self.messages.keys().eq(places.keys()) || self.places != places {
            return Err(format!(
                "{:?} are kept, {:?} waited for, {places:?} are",
                self.messages, self.places
            ));
        }
        Ok(())
    }
}
