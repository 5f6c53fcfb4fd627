//! What other nodes have a match for: the routes that were read, by topic filter for those who publish, and by node to be
//! forgotten with it.

use hashbrown::{HashMap, HashSet};
use micro_mq_core::matching::Directory;

use crate::own_routes::OwnedName;
use crate::routes_log::{Incarnation, RouteName, SLOTS};

/// The routes of a node, by the one who reads them.
#[derive(Debug, Default)]
struct OfSlot {
    incarnation: Option<Incarnation>,
    routes: HashSet<OwnedName>,
}

/// The slots that have a match for a topic name, in a form that all workers read.
#[derive(Debug)]
pub struct Matches {
    directory: Directory,
}

impl Default for Matches {
    fn default() -> Self {
        Self { directory: Directory::new(SLOTS.into()) }
    }
}

impl Matches {
    /// The directory of slots.
    pub fn directory(&self) -> &Directory {
        &self.directory
    }
}

/// See the module. It belongs to who reads `routes`, and writes into [`Matches`].
#[derive(Debug, Default)]
pub struct View {
    by_slot: HashMap<u8, OfSlot>,
}

impl View {
    /// Routes of all nodes but those of the slot.
    pub fn len(&self) -> usize {
        self.by_slot.values().map(|of_slot| of_slot.routes.len()).sum()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// A slot is another life's, or nobody's: what was read of the one before is forgotten, and returned.
    pub fn forget(&mut self, slot: u8, matches: &Matches) -> Vec<OwnedName> {
        let Some(gone) = self.by_slot.remove(&slot) else { return Vec::new() };
        for name in &gone.routes {
            if name.name().share.is_empty() {
                matches.directory.remove(name.name().filter, slot.into());
            }
        }
        gone.routes.into_iter().collect()
    }

    /// The node that has a slot has a route, or has it no more.
    pub fn set(
        &mut self,
        slot: u8,
        incarnation: Incarnation,
        name: RouteName<'_>,
        online: Option<u32>,
        matches: &Matches,
    ) {
        let of_slot = self.by_slot.entry(slot).or_default();
        if of_slot.incarnation != Some(incarnation) {
            of_slot.incarnation = Some(incarnation);
            debug_assert!(of_slot.routes.is_empty(), "the life before was forgotten");
        }
        match online {
            Some(_) => {
                let is_new = of_slot.routes.insert(OwnedName::of(name));
                if is_new && name.share.is_empty() {
                    matches.directory.add(name.filter, slot.into());
                }
            }
            None => {
                let was_there = of_slot.routes.remove(&name);
                if was_there && name.share.is_empty() {
                    matches.directory.remove(name.filter, slot.into());
                }
            }
        }
    }
}
