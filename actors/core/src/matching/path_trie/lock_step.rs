//! Looking up several topic names side by side.
//!
//! Among very many filters a look-up waits for memory at each level, first for the table of children and then for the
//! node. What different names wait for does not depend on each other, so all of them take the same step before any
//! takes the next, and each step begins with a loop that does nothing but read a word of what it is going to need: the
//! processor has as many of these reads under way at once as it can.

use std::hint::black_box;

use super::node::NONE;
use super::walk::{Next, Seen};
use super::{PathTrie, ROOT};

/// A branch to look at.
#[derive(Debug, Clone, Copy)]
struct NameAtBranch {
    name: u32,
    node: u32,
    rest: Option<u32>,
}

/// A node to look at, which may have to be found yet.
#[derive(Debug, Clone, Copy)]
struct Probe {
    name: u32,
    parent: u32,
    next: Next,
    hash: u32,
    child: u32,
}

/// How far the look-ups are. It keeps nothing but memory from one use to the next.
#[derive(Debug, Default)]
pub(in super::super) struct LockStep {
    places: Vec<NameAtBranch>,
    probes: Vec<Probe>,
}

impl<T> PathTrie<T> {
    /// Visits what matches each of the topic names, and takes each place that a name made it look at from the name's
    /// budget, which `visit` can take from too. Names whose budget is spent in the end may not be through.
    pub(in super::super) fn look_up_together<'a>(
        &'a self,
        topics: &[&str],
        budgets: &mut [usize],
        LockStep { places, probes }: &mut LockStep,
        mut visit: impl FnMut(usize, &'a T, &mut usize),
    ) {
        places.clear();
        if self.filters > 0 {
            places.extend((0..topics.len() as u32).map(|name| NameAtBranch {
                name,
                node: ROOT,
                rest: Some(0),
            }));
        }
        while !places.is_empty() {
            probes.clear();
            for place in places.drain(..) {
                let (name, parent) = (place.name, place.node);
                let (topic, budget) = (topics[name as usize].as_bytes(), &mut budgets[name as usize]);
                let Some(branch) = self.nodes.branch(parent).filter(|_| *budget > 0) else { continue };
                *budget -= 1;
                self.open(parent, branch, topic, place.rest, |next| {
                    let (hash, child) = match next {
                        Next::End(child) | Next::Any(child, _) => (0, child),
                        Next::Same(_) if branch.only != NONE => (0, branch.only),
                        Next::Same(level) => (self.hash(parent, level.of(topic)), NONE),
                    };
                    probes.push(Probe { name, parent, next, hash, child });
                });
            }
            black_box(probes.iter().fold(0, |sum, probe| sum ^ self.children.touch(probe.hash)));
            probes.retain_mut(|probe| {
                if probe.child == NONE {
                    probe.child = self.children.find(probe.hash, |_| true).unwrap_or(NONE);
                }
                probe.child != NONE
            });
            black_box(probes.iter().fold(0, |sum, probe| sum ^ self.nodes[probe.child].generation));
            for probe in &*probes {
                let name = probe.name as usize;
                let (topic, budget) = (topics[name].as_bytes(), &mut budgets[name]);
                let (child, text_bytes, level) = match probe.next {
                    Next::End(leaf) => {
                        self.nodes[leaf].value().into_iter().for_each(|value| visit(name, value, budget));
                        continue;
                    }
                    Next::Any(child, level) => (child, 1, level),
                    Next::Same(level) => {
                        let text = level.of(topic);
                        let is_it = |node: u32| self.nodes[node].is_child(probe.parent, text);
                        let child = Some(probe.child).filter(|child| is_it(*child));
                        // Another node may have the same hash.
                        let Some(child) = child.or_else(|| self.children.find(probe.hash, is_it)) else {
                            continue;
                        };
                        (child, text.len(), level)
                    }
                };
                match self.see(child, text_bytes, topic, level, budget) {
                    Seen::Match(value) => visit(name, value, budget),
                    Seen::Branch(rest) => places.push(NameAtBranch { name: probe.name, node: child, rest }),
                    Seen::Mismatch => {}
                }
            }
        }
    }
}
