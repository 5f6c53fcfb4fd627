//! The nodes of the tree, a cache line each, side by side in one piece of memory. They name each other by number.

use std::ops::{Index, IndexMut};

/// In place of the number of a node.
pub(super) const NONE: u32 = u32::MAX;

/// What a node holds of its filters' text without a further piece of memory.
const SHORT_TEXT: usize = 22;

/// Part of a topic filter.
#[derive(Debug)]
enum Text {
    Short { bytes: u8, text: [u8; SHORT_TEXT] },
    Long(Box<[u8]>),
}

impl Text {
    fn new(text: &[u8]) -> Self {
        let mut short = [0; SHORT_TEXT];
        match short.get_mut(..text.len()) {
            Some(room) => {
                room.copy_from_slice(text);
                Self::Short { bytes: text.len() as u8, text: short }
            }
            None => Self::Long(text.into()),
        }
    }
}

/// A place in the tree. With a value of up to 24 bytes it has 64 bytes, and its address is a multiple of that: who looks
/// at one waits for memory once.
#[derive(Debug)]
#[repr(align(64))]
pub(super) struct Node<T> {
    pub(super) parent: u32,
    /// Which of the nodes that had this place.
    pub(super) generation: u32,
    text: Text,
    pub(super) kind: NodeKind<T>,
}

#[derive(Debug)]
pub(super) enum NodeKind<T> {
    /// Nobody's, and the next such place.
    Free(u32),
    /// A level that some filters have behind the same levels.
    Branch(Branch),
    /// What stands at the only filter that comes by here. The node's text is the rest of that filter, this level
    /// included, so that a filter costs one node however many levels it has for itself.
    Leaf(T),
}

/// What may follow a level.
#[derive(Debug, Clone, Copy)]
pub(super) struct Branch {
    /// The leaf of the filter that ends here.
    pub(super) here: u32,
    /// That of the one that ends here with `#`.
    pub(super) below: u32,
    /// The level `+`.
    pub(super) any: u32,
    /// The other level, if there has only been one.
    pub(super) only: u32,
    /// How many other levels there are.
    pub(super) children: u32,
}

impl Branch {
    pub(super) const fn new() -> Self {
        Self { here: NONE, below: NONE, any: NONE, only: NONE, children: 0 }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.here == NONE && self.below == NONE && self.any == NONE && self.children == 0
    }
}

impl<T> Node<T> {
    /// Of a branch its level, of a leaf the rest of its filter.
    pub(super) fn text(&self) -> &[u8] {
        match &self.text {
            Text::Short { bytes, text } => &text[..usize::from(*bytes)],
            Text::Long(text) => text,
        }
    }

    /// Whether it is this level below that node.
    pub(super) fn is_child(&self, parent: u32, level: &[u8]) -> bool {
        let is_level = |rest: &[u8]| matches!(rest, [] | [b'/', ..]);
        self.parent == parent && self.text().strip_prefix(level).is_some_and(is_level)
    }

    pub(super) fn value(&self) -> Option<&T> {
        match &self.kind {
            NodeKind::Leaf(value) => Some(value),
            NodeKind::Branch(_) | NodeKind::Free(_) => None,
        }
    }
}

/// All nodes.
#[derive(Debug)]
pub(super) struct Nodes<T> {
    places: Vec<Node<T>>,
    free: u32,
    generations: u32,
}

impl<T> Nodes<T> {
    /// Generations go on behind `generations`.
    pub(super) fn new(generations: u32) -> Self {
        Self { places: Vec::new(), free: NONE, generations }
    }

    #[cfg(any(test, feature = "simulation"))]
    pub(super) fn len(&self) -> usize {
        self.places.iter().filter(|node| !matches!(node.kind, NodeKind::Free(_))).count()
    }

    pub(super) fn generations(&self) -> u32 {
        self.generations
    }

    pub(super) fn insert(&mut self, parent: u32, text: &[u8], kind: NodeKind<T>) -> u32 {
        self.generations = self.generations.wrapping_add(1);
        let node = Node { parent, generation: self.generations, text: Text::new(text), kind };
        let at = self.free;
        let Some(place) = self.places.get_mut(at as usize) else {
            self.places.push(node);
            return self.places.len() as u32 - 1;
        };
        if let NodeKind::Free(next) = std::mem::replace(place, node).kind {
            self.free = next;
        }
        at
    }

    pub(super) fn remove(&mut self, at: u32) -> Node<T> {
        let nobody =
            Node { parent: NONE, generation: 0, text: Text::new(b""), kind: NodeKind::Free(self.free) };
        self.free = at;
        std::mem::replace(&mut self[at], nobody)
    }

    /// A leaf becomes a branch that stands for this level. Returns what it was.
    pub(super) fn make_branch(&mut self, at: u32, level: &[u8]) -> (NodeKind<T>, Box<[u8]>) {
        let node = &mut self[at];
        let text = node.text().into();
        node.text = Text::new(level);
        (std::mem::replace(&mut node.kind, NodeKind::Branch(Branch::new())), text)
    }

    pub(super) fn branch(&self, at: u32) -> Option<&Branch> {
        match &self.places.get(at as usize)?.kind {
            NodeKind::Branch(branch) => Some(branch),
            NodeKind::Leaf(_) | NodeKind::Free(_) => None,
        }
    }

    pub(super) fn branch_mut(&mut self, at: u32) -> Option<&mut Branch> {
        match &mut self.places.get_mut(at as usize)?.kind {
            NodeKind::Branch(branch) => Some(branch),
            NodeKind::Leaf(_) | NodeKind::Free(_) => None,
        }
    }
}

impl<T> Index<u32> for Nodes<T> {
    type Output = Node<T>;

    fn index(&self, at: u32) -> &Node<T> {
        &self.places[at as usize]
    }
}

impl<T> IndexMut<u32> for Nodes<T> {
    fn index_mut(&mut self, at: u32) -> &mut Node<T> {
        &mut self.places[at as usize]
    }
}
