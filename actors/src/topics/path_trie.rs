//! A tree of topic filters by their levels, with something of type `T` at each. Pure.
//!
//! Its nodes lie side by side and name each other by number, so that a look-up can stop at any place and go on later,
//! whatever was inserted and removed meanwhile: a client can make filters of which one topic name passes through very
//! many (`{a,+}/{a,+}/...`), and nobody else is to wait for that.

use std::hash::BuildHasher;

use hashbrown::{DefaultHashBuilder, HashTable};
use slab::Slab;

/// In place of the number of a node or an end.
const NONE: u32 = u32::MAX;
const ROOT: u32 = 0;

/// See the module.
#[derive(Debug)]
pub(super) struct PathTrie<T> {
    nodes: Slab<Node>,
    /// What stands at the filters.
    ends: Slab<T>,
    /// Nodes by their parent and level, those of the level `+` apart.
    children: HashTable<u32>,
    hasher: DefaultHashBuilder,
    generations: u32,
}

#[derive(Debug)]
struct Node {
    parent: u32,
    level: Box<str>,
    /// Which of the nodes that had this place.
    generation: u32,
    /// The end of filters that end here.
    here: u32,
    /// That of those that end here with `#`.
    below: u32,
    /// The level `+`.
    any: u32,
    /// How many other levels there are.
    children: u32,
}

impl Node {
    fn new(parent: u32, level: &str, generation: u32) -> Self {
        let level = level.into();
        Self { parent, level, generation, here: NONE, below: NONE, any: NONE, children: 0 }
    }

    fn is_empty(&self) -> bool {
        self.here == NONE && self.below == NONE && self.any == NONE && self.children == 0
    }
}

/// A node to look at, and the topic name's levels that are left there.
#[derive(Debug, Clone, Copy)]
struct Place {
    node: u32,
    generation: u32,
    /// Where they begin in the topic name; none if it has no more.
    rest: Option<u32>,
}

/// How far a look-up is. Places whose nodes were removed meanwhile are passed over.
#[derive(Debug, Default)]
pub(super) struct Walk {
    places: Vec<Place>,
}

impl<T> Default for PathTrie<T> {
    fn default() -> Self {
        let mut nodes = Slab::new();
        let root = nodes.insert(Node::new(NONE, "", 0));
        debug_assert_eq!(root as u32, ROOT);
        Self {
            nodes,
            ends: Slab::new(),
            children: HashTable::new(),
            hasher: DefaultHashBuilder::default(),
            generations: 0,
        }
    }
}

impl<T: Default> PathTrie<T> {
    /// Topic filters held.
    pub(super) fn len(&self) -> usize {
        self.ends.len()
    }

    /// Nodes held, the root included.
    #[cfg(feature = "simulation")]
    pub(super) fn nodes(&self) -> usize {
        self.nodes.len()
    }

    fn node(&self, node: u32) -> &Node {
        &self.nodes[node as usize]
    }

    fn child(&self, parent: u32, level: &str) -> Option<u32> {
        if self.node(parent).children == 0 {
            return None;
        }
        let is_it = |node: &u32| self.node(*node).parent == parent && &*self.node(*node).level == level;
        self.children.find(self.hasher.hash_one((parent, level)), is_it).copied()
    }

    fn new_node(&mut self, parent: u32, level: &str) -> u32 {
        self.generations = self.generations.wrapping_add(1);
        self.nodes.insert(Node::new(parent, level, self.generations)) as u32
    }

    fn child_or_new(&mut self, parent: u32, level: &str) -> u32 {
        if let Some(child) = self.child(parent, level) {
            return child;
        }
        let child = self.new_node(parent, level);
        let (nodes, hasher) = (&self.nodes, &self.hasher);
        let rehash = |node: &u32| {
            let node = &nodes[*node as usize];
            hasher.hash_one((node.parent, &*node.level))
        };
        self.children.insert_unique(hasher.hash_one((parent, level)), child, rehash);
        self.nodes[parent as usize].children += 1;
        child
    }

    fn any_or_new(&mut self, parent: u32) -> u32 {
        if self.node(parent).any == NONE {
            let any = self.new_node(parent, "+");
            self.nodes[parent as usize].any = any;
        }
        self.node(parent).any
    }

    /// What stands at this filter, new if there was nothing.
    pub(super) fn entry(&mut self, filter: &str) -> &mut T {
        let (path, is_open) = parts(filter);
        let mut node = ROOT;
        for level in path.into_iter().flat_map(|path| path.split('/')) {
            node = match level {
                "+" => self.any_or_new(node),
                _ => self.child_or_new(node, level),
            };
        }
        let node = &mut self.nodes[node as usize];
        let place = if is_open { &mut node.below } else { &mut node.here };
        if *place == NONE {
            *place = self.ends.insert(T::default()) as u32;
        }
        &mut self.ends[*place as usize]
    }

    /// The node of a filter's levels.
    fn find(&self, path: Option<&str>) -> Option<u32> {
        let mut at = ROOT;
        for level in path.into_iter().flat_map(|path| path.split('/')) {
            at = match level {
                "+" => Some(self.node(at).any).filter(|any| *any != NONE)?,
                _ => self.child(at, level)?,
            };
        }
        Some(at)
    }

    /// What stands at this filter.
    #[cfg(any(test, feature = "simulation"))]
    pub(super) fn get(&self, filter: &str) -> Option<&T> {
        let (path, is_open) = parts(filter);
        let node = self.node(self.find(path)?);
        self.ends.get(if is_open { node.below } else { node.here } as usize)
    }

    /// Changes what stands at this filter and removes it if `change` says that it is empty now.
    pub(super) fn update(&mut self, filter: &str, change: impl FnOnce(&mut T) -> bool) {
        let (path, is_open) = parts(filter);
        let Some(mut at) = self.find(path) else { return };
        let node = self.node(at);
        let end = if is_open { node.below } else { node.here };
        if end == NONE || !change(&mut self.ends[end as usize]) {
            return;
        }
        self.ends.remove(end as usize);
        let node = &mut self.nodes[at as usize];
        *(if is_open { &mut node.below } else { &mut node.here }) = NONE;
        while at != ROOT && self.node(at).is_empty() {
            at = self.remove(at);
        }
        if self.ends.is_empty() {
            // A burst of filters leaves no memory behind.
            *self = Self { generations: self.generations, ..Self::default() };
        }
    }

    /// Removes a node, and answers with its parent.
    fn remove(&mut self, at: u32) -> u32 {
        let Node { parent, level, .. } = self.nodes.remove(at as usize);
        if self.node(parent).any == at {
            self.nodes[parent as usize].any = NONE;
        } else {
            let hash = self.hasher.hash_one((parent, &*level));
            if let Ok(entry) = self.children.find_entry(hash, |node| *node == at) {
                entry.remove();
            }
            self.nodes[parent as usize].children -= 1;
        }
        parent
    }

    fn place(&self, node: u32, rest: Option<u32>) -> Place {
        Place { node, generation: self.node(node).generation, rest }
    }

    /// Begins a look-up.
    pub(super) fn begin(&self, walk: &mut Walk) {
        walk.places.clear();
        if !self.ends.is_empty() {
            walk.places.push(self.place(ROOT, Some(0)));
        }
    }

    /// Visits what matches the topic name, and takes each place that it looked at from `budget`. Returns whether it is
    /// through.
    #[inline]
    pub(super) fn go_on<'a>(
        &'a self,
        topic: &str,
        walk: &mut Walk,
        budget: &mut usize,
        visit: &mut impl FnMut(&'a T),
    ) -> bool {
        while *budget > 0 {
            let Some(Place { node: at, generation, rest }) = walk.places.pop() else { return true };
            *budget -= 1;
            let Some(node) = self.nodes.get(at as usize).filter(|node| node.generation == generation) else {
                continue;
            };
            // Wildcards of the first level do not match a `$` topic [MQTT-4.7.2-1].
            let takes_wildcards = at != ROOT || !topic.starts_with('$');
            // `a/#` matches `a` too [MQTT-4.7.1-2].
            if node.below != NONE && takes_wildcards {
                visit(&self.ends[node.below as usize]);
            }
            let Some(rest) = rest else {
                if node.here != NONE {
                    visit(&self.ends[node.here as usize]);
                }
                continue;
            };
            let (level, rest) = split(topic, rest);
            if node.any != NONE && takes_wildcards {
                walk.places.push(self.place(node.any, rest));
            }
            if let Some(child) = self.child(at, level) {
                walk.places.push(self.place(child, rest));
            }
        }
        walk.places.is_empty()
    }
}

/// The levels of a filter, without a `#` at its end, and whether there was one. No levels: it is just `#`.
fn parts(filter: &str) -> (Option<&str>, bool) {
    match filter.strip_suffix('#') {
        Some("") => (None, true),
        Some(path) if path.ends_with('/') => (Some(&path[..path.len() - 1]), true),
        _ => (Some(filter), false),
    }
}

/// The level that begins at `start`, and where the next one does.
fn split(topic: &str, start: u32) -> (&str, Option<u32>) {
    let rest = &topic[start as usize..];
    match rest.find('/') {
        Some(at) => (&rest[..at], Some(start + at as u32 + 1)),
        None => (rest, None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(trie: &PathTrie<u32>, topic: &str, walk: &mut Walk, budget: usize) -> (Vec<u32>, bool) {
        let (mut found, mut budget) = (Vec::new(), budget);
        let is_through = trie.go_on(topic, walk, &mut budget, &mut |value| found.push(*value));
        (found, is_through)
    }

    /// All filters of so many levels, each `a` or `+`.
    fn exploding(levels: u32) -> impl Iterator<Item = String> {
        (0..1u32 << levels).map(move |bits| {
            let level = |at: u32| if bits & 1 << at == 0 { "a" } else { "+" };
            (0..levels).map(level).collect::<Vec<_>>().join("/")
        })
    }

    #[test]
    fn a_look_up_goes_on_where_it_stopped() {
        let mut trie = PathTrie::default();
        for (number, filter) in exploding(8).enumerate() {
            *trie.entry(&filter) = number as u32;
        }
        let (topic, mut walk) = (["a"; 8].join("/"), Walk::default());
        trie.begin(&mut walk);
        let mut all = Vec::new();
        let mut pieces = 0;
        loop {
            let (some, is_through) = found(&trie, &topic, &mut walk, 10);
            all.extend(some);
            pieces += 1;
            if is_through {
                break;
            }
        }
        all.sort_unstable();
        assert_eq!(all, (0..256).collect::<Vec<_>>());
        assert_eq!(pieces, 511usize.div_ceil(10));
    }

    #[test]
    fn what_was_removed_meanwhile_is_passed_over_and_its_place_is_not_mistaken() {
        let mut trie = PathTrie::default();
        for filter in exploding(4) {
            *trie.entry(&filter) = 1;
        }
        let (topic, mut walk) = ("a/a/a/a", Walk::default());
        trie.begin(&mut walk);
        let (some, is_through) = found(&trie, topic, &mut walk, 4);
        assert!(some.is_empty() && !is_through);
        for filter in exploding(4) {
            trie.update(&filter, |_| true);
        }
        assert_eq!((trie.len(), trie.nodes.len()), (0, 1));
        for number in 0..40 {
            *trie.entry(&format!("b/{number}/+")) = 2;
        }
        assert_eq!(found(&trie, topic, &mut walk, 1000), (vec![], true));
    }

    #[test]
    fn filters_that_look_alike_are_told_apart() {
        let mut trie = PathTrie::default();
        for (number, filter) in ["#", "/#", "+", "/+", "a/#", "a/+", "+/+", "a/+/#"].iter().enumerate() {
            *trie.entry(filter) = number as u32;
        }
        let check = |topic: &str, expected: &[u32]| {
            let mut walk = Walk::default();
            trie.begin(&mut walk);
            let (mut found, _) = found(&trie, topic, &mut walk, 1000);
            found.sort_unstable();
            assert_eq!(found, expected, "{topic}");
        };
        check("a", &[0, 2, 4]);
        check("/", &[0, 1, 3, 6]);
        check("a/b", &[0, 4, 5, 6, 7]);
        check("a/b/c", &[0, 4, 7]);
        check("$a/b", &[]);
    }
}
