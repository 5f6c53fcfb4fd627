//! A line of very many, first in, first out, in parts. Pure.
//!
//! One that lies in one piece is copied as it grows, and moved when something within is taken out: with 100,000 in it,
//! everybody would wait for whoever adds the next one. So a line that is no longer short is many short ones.

use std::collections::VecDeque;
use std::ops::Range;

/// How many a part has, but for what is put between others.
const PART: usize = 1024;
/// Beyond, a part is divided.
const PART_MAX: usize = 2 * PART;

type Part<T> = VecDeque<T>;

/// See the module.
#[derive(Debug)]
pub(crate) struct Line<T> {
    /// Empty only if all of it is.
    first: Part<T>,
    /// The others, none of which is empty; none while it is short.
    others: Option<Box<VecDeque<Part<T>>>>,
    len: usize,
}

impl<T> Default for Line<T> {
    fn default() -> Self {
        Self { first: VecDeque::new(), others: None, len: 0 }
    }
}

impl<T> Line<T> {
    /// How many stand in it.
    #[inline]
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// Whether nobody stands in it.
    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Puts one behind all others.
    pub(crate) fn push_back(&mut self, one: T) {
        self.len += 1;
        let last = self.last_mut();
        if last.len() < PART {
            return last.push_back(one);
        }
        self.others.get_or_insert_default().push_back(VecDeque::from([one]));
    }

    fn last_mut(&mut self) -> &mut Part<T> {
        let Self { first, others, .. } = self;
        others.as_mut().and_then(|others| others.back_mut()).unwrap_or(first)
    }

    /// The first one.
    #[inline]
    pub(crate) fn front(&self) -> Option<&T> {
        self.first.front()
    }

    /// The last one.
    pub(crate) fn back(&self) -> Option<&T> {
        let last = self.others.as_ref().and_then(|others| others.back()).unwrap_or(&self.first);
        last.back()
    }

    /// The one behind the first `ahead`.
    pub(crate) fn at(&self, ahead: usize) -> Option<&T> {
        let mut left = ahead;
        for part in self.parts() {
            if left < part.len() {
                return part.get(left);
            }
            left -= part.len();
        }
        None
    }

    /// The same, to change it.
    pub(crate) fn at_mut(&mut self, ahead: usize) -> Option<&mut T> {
        let mut left = ahead;
        for part in self.parts_mut() {
            if left < part.len() {
                return part.get_mut(left);
            }
            left -= part.len();
        }
        None
    }

    /// Takes the first one.
    pub(crate) fn pop_front(&mut self) -> Option<T> {
        let one = self.first.pop_front()?;
        self.len -= 1;
        self.close_gaps();
        Some(one)
    }

    /// Takes the last one.
    pub(crate) fn pop_back(&mut self) -> Option<T> {
        let one = self.last_mut().pop_back()?;
        self.len -= 1;
        if let Some(others) = &mut self.others
            && others.back().is_some_and(VecDeque::is_empty)
        {
            others.pop_back();
            if others.is_empty() {
                self.others = None;
            }
        }
        self.close_gaps();
        Some(one)
    }

    /// What is empty now holds no memory.
    fn close_gaps(&mut self) {
        while self.first.is_empty()
            && let Some(others) = &mut self.others
        {
            self.first = others.pop_front().unwrap_or_default();
            if others.is_empty() {
                self.others = None;
            }
        }
        if self.first.is_empty() {
            self.first = VecDeque::new();
        }
    }

    fn parts(&self) -> impl DoubleEndedIterator<Item = &Part<T>> {
        std::iter::once(&self.first).chain(self.others.iter().flat_map(|others| others.iter()))
    }

    fn parts_mut(&mut self) -> impl Iterator<Item = &mut Part<T>> {
        std::iter::once(&mut self.first).chain(self.others.iter_mut().flat_map(|others| others.iter_mut()))
    }

    /// All of them, in order.
    pub(crate) fn iter(&self) -> impl DoubleEndedIterator<Item = &T> {
        self.parts().flatten()
    }

    /// How many at its beginning are as `is_before` says; behind them is none.
    pub(crate) fn partition_point(&self, is_before: impl Fn(&T) -> bool) -> usize {
        let mut ahead = 0;
        for part in self.parts() {
            if !part.back().is_some_and(&is_before) {
                return ahead + part.partition_point(&is_before);
            }
            ahead += part.len();
        }
        ahead
    }

    /// Puts one behind the first `ahead` of them.
    pub(crate) fn insert(&mut self, ahead: usize, one: T) {
        debug_assert!(ahead <= self.len);
        self.len += 1;
        let mut left = ahead;
        let found = self.parts_mut().enumerate().find(|(_, part)| {
            let is_here = left <= part.len();
            left -= if is_here { 0 } else { part.len() };
            is_here
        });
        let Some((at, part)) = found else { unreachable!("it has a place within the line, or at its end") };
        part.insert(left, one);
        if part.len() > PART_MAX {
            let behind = part.split_off(part.len() / 2);
            self.others.get_or_insert_default().insert(at, behind);
        }
    }

    /// Takes out those that are `wanted`, in order, among those at some positions. It costs as much as those positions,
    /// and moves the parts in which they lie.
    pub(crate) fn extract(&mut self, among: Range<usize>, mut wanted: impl FnMut(&mut T) -> bool) -> Vec<T> {
        let mut taken = Vec::new();
        let mut begin = 0;
        for part in self.parts_mut() {
            let end = begin + part.len();
            if begin >= among.end {
                break;
            }
            let within = among.start.clamp(begin, end) - begin..among.end.min(end) - begin;
            begin = end;
            let Some(first) = part.range_mut(within.clone()).position(&mut wanted) else { continue };
            let behind = part.split_off(within.end);
            let mut looked_at = part.split_off(within.start + first);
            taken.extend(looked_at.pop_front());
            for mut one in looked_at {
                match wanted(&mut one) {
                    true => taken.push(one),
                    false => part.push_back(one),
                }
            }
            part.extend(behind);
        }
        self.len -= taken.len();
        if !taken.is_empty() {
            if let Some(others) = &mut self.others {
                others.retain(|part| !part.is_empty());
            }
            self.close_gaps();
        }
        taken
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[derive(Debug, Clone)]
    enum Step {
        Push(usize),
        Pop(usize),
        PopBack(usize),
        Insert(usize, usize),
        Extract(usize, usize, u32),
    }

    fn step() -> impl Strategy<Value = Step> {
        let many = 0..2 * PART_MAX;
        prop_oneof![
            many.clone().prop_map(Step::Push),
            many.clone().prop_map(Step::Pop),
            (0..PART).prop_map(Step::PopBack),
            (many.clone(), 0..PART).prop_map(|(at, count)| Step::Insert(at, count)),
            (many.clone(), many, 1..5u32).prop_map(|(from, count, nth)| Step::Extract(from, count, nth)),
        ]
    }

    fn check(line: &Line<u32>, expected: &VecDeque<u32>) {
        assert!(line.iter().eq(expected), "{} and {}", line.len(), expected.len());
        assert!(line.iter().rev().eq(expected.iter().rev()));
        assert_eq!((line.len(), line.is_empty()), (expected.len(), expected.is_empty()));
        assert_eq!((line.front(), line.back()), (expected.front(), expected.back()));
        assert!(line.parts().all(|part| !part.is_empty() && part.len() <= PART_MAX) || line.is_empty());
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        /// It does what one in one piece does, and no part is empty, or longer than may be moved at once.
        #[test]
        fn it_is_as_one_in_one_piece(steps in prop::collection::vec(step(), 1..20)) {
            let (mut line, mut expected, mut next) = (Line::default(), VecDeque::new(), 0);
            for step in steps {
                match step {
                    Step::Push(count) => (0..count).for_each(|_| {
                        next += 1;
                        line.push_back(next);
                        expected.push_back(next);
                    }),
                    Step::Pop(count) => (0..count).for_each(|_| assert_eq!(line.pop_front(), expected.pop_front())),
                    Step::PopBack(count) => (0..count).for_each(|_| assert_eq!(line.pop_back(), expected.pop_back())),
                    Step::Insert(at, count) => (0..count).for_each(|_| {
                        next += 1;
                        let at = at.min(expected.len());
                        line.insert(at, next);
                        expected.insert(at, next);
                    }),
                    Step::Extract(from, count, nth) => {
                        let among = from..from + count;
                        let taken = line.extract(among.clone(), |one| *one % nth == 0);
                        let places = expected.iter().enumerate();
                        let (wanted, left): (Vec<_>, Vec<_>) =
                            places.partition(|(at, one)| among.contains(at) && *one % nth == 0);
                        assert!(taken.iter().eq(wanted.into_iter().map(|(_, one)| one)));
                        expected = left.into_iter().map(|(_, one)| *one).collect();
                    }
                }
                check(&line, &expected);
            }
        }
    }

    #[test]
    fn a_place_is_found_by_what_stands_before_it() {
        let mut line = Line::default();
        (0..10_000).for_each(|one| line.push_back(one));
        for point in [0, 1, 1023, 1024, 1025, 5000, 9999, 10_000] {
            assert_eq!(line.partition_point(|one| *one < point), point);
            assert_eq!(line.at(point), (point < 10_000).then_some(&point));
        }
    }

    #[test]
    fn what_is_empty_holds_no_memory() {
        let mut line = Line::default();
        (0..5000).for_each(|one| line.push_back(one));
        (0..5000).for_each(|_| _ = line.pop_front());
        assert!(line.others.is_none() && line.first.capacity() == 0);
        line.push_back(1);
        assert_eq!(line.pop_back(), Some(1));
        assert_eq!(line.first.capacity(), 0);
    }
}
