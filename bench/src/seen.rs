//! Who heard what, where a message goes to one subscriber of several: a share group, or those that divide the
//! wildcard filters among them. Such a subscriber cannot tell a gap from a message that was for somebody else.

/// Which messages reached a group of subscribers, for several groups: each message is for one member of each.
#[derive(Debug)]
pub(crate) struct Seen {
    /// By group, then by publisher.
    groups: Vec<Vec<Messages>>,
}

/// The messages of one publisher, a bit each.
#[derive(Debug, Clone, Default)]
struct Messages {
    bits: Vec<u64>,
    count: u64,
}

impl Seen {
    /// For so many groups.
    pub(crate) fn new(groups: usize) -> Self {
        Self { groups: vec![Vec::new(); groups] }
    }

    /// Notes a delivery to a member of this group; false if one of them had the message before.
    pub(crate) fn mark(&mut self, group: usize, publisher: u32, sequence: u32) -> bool {
        let publishers = &mut self.groups[group];
        let publisher = publisher as usize;
        if publisher >= publishers.len() {
            publishers.resize(publisher + 1, Messages::default());
        }
        publishers[publisher].mark(sequence)
    }

    /// Notes all that another one saw, of the same groups; returns how many of these messages were seen by both.
    pub(crate) fn add(&mut self, other: &Self) -> u64 {
        let mut twice = 0;
        for (group, more) in self.groups.iter_mut().zip(&other.groups) {
            if group.len() < more.len() {
                group.resize(more.len(), Messages::default());
            }
            twice += group.iter_mut().zip(more).map(|(messages, more)| messages.add(more)).sum::<u64>();
        }
        twice
    }

    /// Messages that did not reach every group, given how many each publisher published.
    pub(crate) fn lost(&self, published: &[u32]) -> u64 {
        let of_group = |publishers: &Vec<Messages>| {
            let seen = |number: usize| publishers.get(number).map_or(0, |messages| messages.count);
            let lost = |(number, &count): (usize, &u32)| u64::from(count).saturating_sub(seen(number));
            published.iter().enumerate().map(lost).sum::<u64>()
        };
        self.groups.iter().map(of_group).sum()
    }
}

impl Messages {
    fn add(&mut self, other: &Self) -> u64 {
        if self.bits.len() < other.bits.len() {
            self.bits.resize(other.bits.len(), 0);
        }
        let mut twice = 0;
        for (bits, more) in self.bits.iter_mut().zip(&other.bits) {
            twice += u64::from((*bits & more).count_ones());
            *bits |= more;
        }
        self.count += other.count - twice;
        twice
    }

    fn mark(&mut self, sequence: u32) -> bool {
        let (word, bit) = ((sequence / u64::BITS) as usize, 1 << (sequence % u64::BITS));
        if word >= self.bits.len() {
            self.bits.resize(word + 1, 0);
        }
        let fresh = self.bits[word] & bit == 0;
        self.bits[word] |= bit;
        self.count += u64::from(fresh);
        fresh
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_group_has_to_see_each_message_once() {
        let mut seen = Seen::new(2);
        assert!(seen.mark(0, 1, 0));
        assert!(seen.mark(0, 1, 64));
        assert!(!seen.mark(0, 1, 64));
        assert!(seen.mark(1, 1, 64));
        assert_eq!(seen.lost(&[0, 65]), 63 + 64);
        assert_eq!(seen.lost(&[2, 2]), 2 + 2 + 1);
        let mut more = Seen::new(2);
        assert!(more.mark(0, 0, 1) && more.mark(0, 1, 64));
        assert_eq!(seen.add(&more), 1);
        assert_eq!(seen.lost(&[2, 2]), 1 + 2 + 1);
        assert_eq!(Seen::new(1).lost(&[3]), 3);
        assert_eq!(Seen::new(0).lost(&[3]), 0);
    }
}
