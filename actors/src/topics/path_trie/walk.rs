//! Looking up what matches a topic name.

use super::levels::{first, match_behind};
use super::node::{Branch, Kind, NONE};
use super::{PathTrie, ROOT};

/// Bytes of a leaf's text that cost as much to compare as a place to look at.
const BYTES_PER_PLACE: usize = 128;

/// A branch to look at, and the topic name's levels that are left there.
#[derive(Debug, Clone, Copy)]
struct Place {
    node: u32,
    generation: u32,
    /// Where they begin in the topic name; none if it has no more.
    rest: Option<u32>,
}

/// How far a look-up is. Places whose nodes were removed meanwhile are passed over.
#[derive(Debug, Default)]
pub(in super::super) struct Walk {
    places: Vec<Place>,
}

impl<T> PathTrie<T> {
    /// Begins a look-up.
    pub(in super::super) fn begin(&self, walk: &mut Walk) {
        walk.places.clear();
        if self.filters > 0 {
            walk.places.push(self.place(ROOT, Some(0)));
        }
    }

    fn place(&self, node: u32, rest: Option<u32>) -> Place {
        Place { node, generation: self.nodes[node].generation, rest }
    }

    /// The branch, if it is still there.
    fn branch_at(&self, place: &Place) -> Option<&Branch> {
        self.nodes.branch(place.node).filter(|_| self.nodes[place.node].generation == place.generation)
    }

    /// Visits what matches the topic name, and takes each place that it looked at from `budget`. Returns whether it is
    /// through.
    #[inline]
    pub(in super::super) fn go_on<'a>(
        &'a self,
        topic: &str,
        walk: &mut Walk,
        budget: &mut usize,
        visit: &mut impl FnMut(&'a T),
    ) -> bool {
        let topic = topic.as_bytes();
        while *budget > 0 {
            let Some(place) = walk.places.pop() else { return true };
            *budget -= 1;
            let Some(branch) = self.branch_at(&place) else { continue };
            // Wildcards of the first level do not match a `$` topic [MQTT-4.7.2-1].
            let takes_wildcards = place.node != ROOT || topic.first() != Some(&b'$');
            // `a/#` matches `a` too [MQTT-4.7.1-2].
            if branch.below != NONE && takes_wildcards {
                self.nodes[branch.below].value().into_iter().for_each(&mut *visit);
            }
            let Some(start) = place.rest else {
                if branch.here != NONE {
                    self.nodes[branch.here].value().into_iter().for_each(&mut *visit);
                }
                continue;
            };
            let rest = &topic[start as usize..];
            let level = first(rest);
            let behind = &rest[level.len()..];
            let next = (!behind.is_empty()).then_some(start + level.len() as u32 + 1);
            let mut look_at = |child: u32, level_bytes: usize| {
                let node = &self.nodes[child];
                match &node.kind {
                    Kind::Leaf(value) => {
                        let text = &node.text()[level_bytes..];
                        *budget = budget.saturating_sub(1 + text.len() / BYTES_PER_PLACE);
                        if match_behind(text, behind) {
                            visit(value);
                        }
                    }
                    Kind::Branch(_) | Kind::Free(_) => walk.places.push(self.place(child, next)),
                }
            };
            if branch.any != NONE && takes_wildcards {
                look_at(branch.any, 1);
            }
            if let Some(child) = self.child(place.node, branch, level) {
                look_at(child, level.len());
            }
        }
        walk.places.is_empty()
    }
}
