//! Looking up what matches a topic name.

use super::levels::{first, match_behind};
use super::node::{Branch, NONE, NodeKind};
use super::{PathTrie, ROOT};

/// Bytes of a leaf's text that cost as much to compare as a place to look at.
const BYTES_PER_PLACE: usize = 128;

/// A branch to look at, and the topic name's levels that are left there.
#[derive(Debug, Clone, Copy)]
struct BranchAhead {
    node: u32,
    generation: u32,
    /// Where they begin in the topic name; none if it has no more.
    rest: Option<u32>,
}

/// How far a look-up is. Places whose nodes were removed meanwhile are passed over.
#[derive(Debug, Default)]
pub(in super::super) struct Walk {
    places: Vec<BranchAhead>,
}

impl Walk {
    /// Whether nothing is left to look at.
    #[inline]
    pub(in super::super) fn is_through(&self) -> bool {
        self.places.is_empty()
    }
}

/// A level of a topic name.
#[derive(Debug, Clone, Copy)]
pub(super) struct Level {
    pub(super) start: u32,
    pub(super) end: u32,
}

impl Level {
    pub(super) fn of<'t>(&self, topic: &'t [u8]) -> &'t [u8] {
        &topic[self.start as usize..self.end as usize]
    }
}

/// What is to be looked at behind a branch.
#[derive(Debug, Clone, Copy)]
pub(super) enum Next {
    /// A filter that ends there matches.
    End(u32),
    /// This node stands for `+`.
    Any(u32, Level),
    /// A node stands for the level itself, if there is one.
    Same(Level),
}

/// What a node means to a look-up.
pub(super) enum Seen<'a, T> {
    Match(&'a T),
    Mismatch,
    /// The look-up goes on there, with what begins here in the topic name.
    Branch(Option<u32>),
}

impl<T> PathTrie<T> {
    /// Says what is to be looked at behind a branch where what is left of the topic name begins at `rest`.
    #[inline]
    pub(super) fn open(
        &self,
        at: u32,
        branch: &Branch,
        topic: &[u8],
        rest: Option<u32>,
        mut look_at: impl FnMut(Next),
    ) {
        // Wildcards of the first level do not match a `$` topic [MQTT-4.7.2-1].
        let takes_wildcards = at != ROOT || topic.first() != Some(&b'$');
        // `a/#` matches `a` too [MQTT-4.7.1-2].
        if branch.below != NONE && takes_wildcards {
            look_at(Next::End(branch.below));
        }
        let Some(start) = rest else {
            if branch.here != NONE {
                look_at(Next::End(branch.here));
            }
            return;
        };
        let level = Level { start, end: start + first(&topic[start as usize..]).len() as u32 };
        if branch.any != NONE && takes_wildcards {
            look_at(Next::Any(branch.any, level));
        }
        if branch.children > 0 {
            look_at(Next::Same(level));
        }
    }

    /// Looks at a node that stands for a level of the topic name by as many bytes of its text. Takes from `budget` what
    /// a leaf costs; a branch costs when it is opened.
    #[expect(
        clippy::inline_always,
        reason = "once per place of a look-up; left to the compiler, it depends on what else is in the crate"
    )]
    #[inline(always)]
    pub(super) fn see(
        &self,
        at: u32,
        text_bytes: usize,
        topic: &[u8],
        level: Level,
        budget: &mut usize,
    ) -> Seen<'_, T> {
        let behind = &topic[level.end as usize..];
        let node = &self.nodes[at];
        let NodeKind::Leaf(value) = &node.kind else {
            return Seen::Branch((!behind.is_empty()).then_some(level.end + 1));
        };
        let text = &node.text()[text_bytes..];
        *budget = budget.saturating_sub(1 + text.len() / BYTES_PER_PLACE);
        if match_behind(text, behind) { Seen::Match(value) } else { Seen::Mismatch }
    }

    /// Begins a look-up.
    pub(in super::super) fn begin(&self, walk: &mut Walk) {
        walk.places.clear();
        if self.filters > 0 {
            walk.places.push(self.place(ROOT, Some(0)));
        }
    }

    fn place(&self, node: u32, rest: Option<u32>) -> BranchAhead {
        BranchAhead { node, generation: self.nodes[node].generation, rest }
    }

    /// The branch, if it is still there.
    fn branch_at(&self, place: &BranchAhead) -> Option<&Branch> {
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
            self.open(place.node, branch, topic, place.rest, |next| {
                let (child, text_bytes, level) = match next {
                    Next::End(leaf) => return self.nodes[leaf].value().into_iter().for_each(&mut *visit),
                    Next::Any(child, level) => (child, 1, level),
                    Next::Same(level) => match self.child(place.node, branch, level.of(topic)) {
                        Some(child) => (child, level.of(topic).len(), level),
                        None => return,
                    },
                };
                match self.see(child, text_bytes, topic, level, budget) {
                    Seen::Match(value) => visit(value),
                    Seen::Branch(rest) => walk.places.push(self.place(child, rest)),
                    Seen::Mismatch => {}
                }
            });
        }
        walk.is_through()
    }
}
