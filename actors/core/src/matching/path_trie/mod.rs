//! A tree of topic filters by their levels, with something of type `T` at each. Pure.
//!
//! Its nodes lie side by side and name each other by number, so that a look-up can stop at any place and go on later,
//! whatever was inserted and removed meanwhile: a client can make filters of which one topic name passes through very
//! many (`{a,+}/{a,+}/...`), and nobody else is to wait for that.
//!
//! Of many filters, most of what a look-up costs is waiting for memory, so it touches little of it: a filter costs a
//! node from the level on that it shares with no other, a node is a cache line, text and value included, and it is found
//! through one line of the table of children. A topic name that matches two of 1,000,000 filters waits for four lines.

mod child_table;
mod levels;
mod lock_step;
mod node;
#[cfg(test)]
mod tests;
mod walk;

use std::hash::{BuildHasher, Hasher};

use hashbrown::DefaultHashBuilder;

use child_table::ChildTable;
use levels::{first, split};
pub(super) use lock_step::LockStep;
use node::{Branch, NONE, Node, NodeKind, Nodes};
pub(super) use walk::Walk;

const ROOT: u32 = 0;

/// See the module.
#[derive(Debug)]
pub(super) struct PathTrie<T> {
    nodes: Nodes<T>,
    /// Topic filters held.
    filters: usize,
    /// Nodes by their parent and level, those of the level `+` and the ends of filters apart.
    children: ChildTable,
    hasher: DefaultHashBuilder,
}

/// How far the tree leads along a filter.
enum Found<'a> {
    /// Its leaf.
    Leaf(u32),
    /// The leaf of another filter, which begins with the same level as what is left of this one.
    Other(u32, &'a [u8]),
    /// A branch where nothing begins with the same level as what is left of it; nothing is left: nothing ends there.
    Nothing(u32, Option<&'a [u8]>),
}

impl<T> Default for PathTrie<T> {
    fn default() -> Self {
        Self::new(0)
    }
}

impl<T> PathTrie<T> {
    /// Memory of a filter whose own levels are short, beside its place in the table of children.
    pub(super) const NODE_BYTES: usize = size_of::<Node<T>>();

    fn new(generations: u32) -> Self {
        let mut nodes = Nodes::new(generations);
        let root = nodes.insert(NONE, b"", NodeKind::Branch(Branch::new()));
        debug_assert_eq!(root, ROOT);
        Self { nodes, filters: 0, children: ChildTable::new(), hasher: DefaultHashBuilder::default() }
    }

    /// Topic filters held.
    pub(super) fn len(&self) -> usize {
        self.filters
    }

    /// Nodes held, the root included.
    #[cfg(any(test, feature = "simulation"))]
    pub(super) fn nodes(&self) -> usize {
        self.nodes.len()
    }

    fn hash(&self, parent: u32, level: &[u8]) -> u32 {
        let mut hasher = self.hasher.build_hasher();
        hasher.write_u32(parent);
        hasher.write(level);
        (hasher.finish() >> 32) as u32
    }

    /// The level, which is not `+`, below a branch that has any.
    #[expect(
        clippy::inline_always,
        reason = "once per level of a look-up; left to the compiler, it depends on what else is in the crate"
    )]
    #[inline(always)]
    fn child(&self, parent: u32, branch: &Branch, level: &[u8]) -> Option<u32> {
        let is_it = |node: u32| self.nodes[node].is_child(parent, level);
        if branch.only != NONE {
            return Some(branch.only).filter(|node| is_it(*node));
        }
        self.children.find(self.hash(parent, level), is_it)
    }

    /// What begins like the rest of a filter below a branch.
    fn next(&self, at: u32, rest: Option<&[u8]>) -> Option<u32> {
        let branch = self.nodes.branch(at)?;
        let next = match rest.map(first) {
            None => branch.here,
            Some(b"#") => branch.below,
            Some(b"+") => branch.any,
            Some(level) if branch.children > 0 => return self.child(at, branch, level),
            Some(_) => NONE,
        };
        Some(next).filter(|next| *next != NONE)
    }

    fn find<'a>(&self, filter: &'a str) -> Found<'a> {
        let (mut at, mut rest) = (ROOT, Some(filter.as_bytes()));
        while let Some(next) = self.next(at, rest) {
            let text = rest.unwrap_or_default();
            match &self.nodes[next] {
                Node { kind: NodeKind::Branch(_), .. } => (at, rest) = (next, split(text).1),
                leaf if leaf.text() == text => return Found::Leaf(next),
                _ => return Found::Other(next, text),
            }
        }
        Found::Nothing(at, rest)
    }

    /// Sets the rest of a filter, or its next level, below a branch where nothing begins like it.
    fn attach(&mut self, parent: u32, rest: Option<&[u8]>, kind: NodeKind<T>) -> u32 {
        let node = self.nodes.insert(parent, rest.unwrap_or_default(), kind);
        let level = rest.map(first);
        let Some(branch) = self.nodes.branch_mut(parent) else { return node };
        match level {
            None => branch.here = node,
            Some(b"#") => branch.below = node,
            Some(b"+") => branch.any = node,
            Some(level) => {
                branch.only = if branch.children == 0 { node } else { NONE };
                branch.children += 1;
                self.children.insert(self.hash(parent, level), node);
            }
        }
        node
    }

    /// Makes branches of a leaf as far as its filter goes together with another one, of which `rest` begins at the same
    /// level. Returns the last of them, and what the other one has behind it.
    fn part<'a>(&mut self, leaf: u32, rest: &'a [u8]) -> (u32, Option<&'a [u8]>) {
        let (level, mut rest) = split(rest);
        let (kind, text) = self.nodes.make_branch(leaf, level);
        let mut moved = split(&text).1;
        let mut at = leaf;
        while let (Some(one), Some(other)) = (moved, rest)
            && first(one) == first(other)
        {
            at = self.attach(at, Some(first(one)), NodeKind::Branch(Branch::new()));
            (moved, rest) = (split(one).1, split(other).1);
        }
        self.attach(at, moved, kind);
        (at, rest)
    }

    /// What stands at this filter.
    pub(super) fn get(&self, filter: &str) -> Option<&T> {
        match self.find(filter) {
            Found::Leaf(leaf) => self.nodes[leaf].value(),
            Found::Other(..) | Found::Nothing(..) => None,
        }
    }

    /// Changes what stands at this filter and removes it if `change` says that it is empty now.
    pub(super) fn update(&mut self, filter: &str, change: impl FnOnce(&mut T) -> bool) {
        let Found::Leaf(mut at) = self.find(filter) else { return };
        let NodeKind::Leaf(value) = &mut self.nodes[at].kind else { return };
        if !change(value) {
            return;
        }
        self.filters -= 1;
        if self.filters == 0 {
            // A burst of filters leaves no memory behind.
            *self = Self::new(self.nodes.generations());
            return;
        }
        at = self.remove(at);
        while at != ROOT && self.nodes.branch(at).is_some_and(Branch::is_empty) {
            at = self.remove(at);
        }
    }

    /// Removes a node, and answers with its parent.
    fn remove(&mut self, at: u32) -> u32 {
        let node = self.nodes.remove(at);
        let parent = node.parent;
        let hash = self.hash(parent, first(node.text()));
        let Some(branch) = self.nodes.branch_mut(parent) else { return parent };
        let Branch { here, below, any, .. } = branch;
        if let Some(end) = [here, below, any].into_iter().find(|end| **end == at) {
            *end = NONE;
        } else {
            branch.only = NONE;
            branch.children -= 1;
            self.children.remove(hash, at);
        }
        parent
    }
}

impl<T: Default> PathTrie<T> {
    /// What stands at this filter, new if there was nothing.
    pub(super) fn entry(&mut self, filter: &str) -> &mut T {
        let leaf = match self.find(filter) {
            Found::Leaf(leaf) => leaf,
            Found::Nothing(branch, rest) => self.new_leaf(branch, rest),
            Found::Other(leaf, rest) => {
                let (branch, rest) = self.part(leaf, rest);
                self.new_leaf(branch, rest)
            }
        };
        match &mut self.nodes[leaf].kind {
            NodeKind::Leaf(value) => value,
            NodeKind::Branch(_) | NodeKind::Free(_) => unreachable!("it was found or made a leaf"),
        }
    }

    fn new_leaf(&mut self, branch: u32, rest: Option<&[u8]>) -> u32 {
        self.filters += 1;
        self.attach(branch, rest, NodeKind::Leaf(T::default()))
    }
}
