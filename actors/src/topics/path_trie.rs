//! Topic filters with wildcards as a tree of their levels, with something at the end of each.

use hashbrown::HashMap;

/// `T` is empty when it equals its default; empty branches are removed.
#[derive(Debug, Default)]
pub(super) struct PathTrie<T> {
    root: Node<T>,
    filters: usize,
}

#[derive(Debug, Default)]
struct Node<T> {
    /// Filters that end here.
    here: Option<T>,
    /// Filters that end here with `#`.
    below: Option<T>,
    /// By level.
    children: Option<Box<HashMap<Box<str>, Node<T>>>>,
    /// The level `+`.
    any: Option<Box<Node<T>>>,
}

impl<T> Node<T> {
    fn is_empty(&self) -> bool {
        self.here.is_none() && self.below.is_none() && self.children.is_none() && self.any.is_none()
    }
}

impl<T: Default> PathTrie<T> {
    /// Topic filters held.
    pub(super) fn len(&self) -> usize {
        self.filters
    }

    /// What is held for exactly this filter.
    #[cfg(feature = "simulation")]
    pub(super) fn get(&self, filter: &str) -> Option<&T> {
        let mut node = &self.root;
        let mut levels = filter.split('/').peekable();
        while let Some(level) = levels.next() {
            if level == "#" && levels.peek().is_none() {
                return node.below.as_ref();
            }
            node = match level {
                "+" => node.any.as_deref()?,
                _ => node.children.as_ref()?.get(level)?,
            };
        }
        node.here.as_ref()
    }

    /// What stands at this filter, new if there was nothing.
    pub(super) fn entry(&mut self, filter: &str) -> &mut T {
        let mut node = &mut self.root;
        let mut levels = filter.split('/').peekable();
        while let Some(level) = levels.next() {
            if level == "#" && levels.peek().is_none() {
                return end(&mut node.below, &mut self.filters);
            }
            node = match level {
                "+" => node.any.get_or_insert_with(|| Box::new(Node::default())),
                _ => node.children.get_or_insert_default().entry(level.into()).or_default(),
            };
        }
        end(&mut node.here, &mut self.filters)
    }

    /// Changes what stands at this filter and removes it if `change` says that it is empty now.
    pub(super) fn update(&mut self, filter: &str, change: impl FnOnce(&mut T) -> bool) {
        let levels: Vec<&str> = filter.split('/').collect();
        if update(&mut self.root, &levels, change) {
            self.filters -= 1;
        }
    }

    /// Visits whatever matches a topic name; wildcards of the first level do not match a `$` topic [MQTT-4.7.2-1].
    /// Returns how many places of the tree were looked at.
    #[inline]
    pub(super) fn visit<'a>(&'a self, topic: &str, visit: &mut impl FnMut(&'a T)) -> usize {
        if self.filters == 0 {
            return 0;
        }
        if topic.starts_with('$') {
            let (level, rest) = split(topic);
            match self.root.children.as_ref().and_then(|children| children.get(level)) {
                Some(child) => descend(child, rest, visit),
                None => 1,
            }
        } else {
            descend(&self.root, Some(topic), visit)
        }
    }
}

fn end<'a, T: Default>(place: &'a mut Option<T>, filters: &mut usize) -> &'a mut T {
    if place.is_none() {
        *filters += 1;
    }
    place.get_or_insert_default()
}

fn split(topic: &str) -> (&str, Option<&str>) {
    match topic.split_once('/') {
        Some((level, rest)) => (level, Some(rest)),
        None => (topic, None),
    }
}

fn descend<'a, T>(node: &'a Node<T>, rest: Option<&str>, visit: &mut impl FnMut(&'a T)) -> usize {
    // `a/#` matches `a` too [MQTT-4.7.1-2].
    if let Some(below) = &node.below {
        visit(below);
    }
    let Some(rest) = rest else {
        if let Some(here) = &node.here {
            visit(here);
        }
        return 1;
    };
    let (level, rest) = split(rest);
    let mut looked_at = 1;
    if let Some(child) = node.children.as_ref().and_then(|children| children.get(level)) {
        looked_at += descend(child, rest, visit);
    }
    if let Some(any) = &node.any {
        looked_at += descend(any, rest, visit);
    }
    looked_at
}

fn update_end<T>(place: &mut Option<T>, change: impl FnOnce(&mut T) -> bool) -> bool {
    let removed = place.as_mut().is_some_and(change);
    if removed {
        *place = None;
    }
    removed
}

/// Returns whether an end was removed.
fn update<T>(node: &mut Node<T>, levels: &[&str], change: impl FnOnce(&mut T) -> bool) -> bool {
    match levels {
        [] => update_end(&mut node.here, change),
        ["#"] => update_end(&mut node.below, change),
        ["+", rest @ ..] => {
            let Some(any) = &mut node.any else { return false };
            let removed = update(any, rest, change);
            if any.is_empty() {
                node.any = None;
            }
            removed
        }
        [level, rest @ ..] => {
            let Some(children) = &mut node.children else { return false };
            let Some(child) = children.get_mut(*level) else { return false };
            let removed = update(child, rest, change);
            if child.is_empty() {
                children.remove(*level);
                if children.is_empty() {
                    node.children = None;
                }
            }
            removed
        }
    }
}
