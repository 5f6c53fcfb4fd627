//! Shared subscriptions: the groups whose home is one worker, their members, and what waits for them. Pure.
//!
//! A group is a share name and a topic filter [MQTT-4.8.2]. Members that are online come first; with none online a
//! message waits here for a member whose session is durable.

use std::collections::VecDeque;
use std::hash::{Hash, Hasher};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use hashbrown::HashMap;
use mqtt_codec::SubscriptionOptions;
use slab::Slab;

use crate::message::Publication;
use crate::sessions::{Queue, Queued, SessionKey};
use crate::settings::{SessionSettings, SharedStrategy};

/// Names a group from any worker.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GroupKey {
    /// Its place at its home.
    pub index: u32,
    /// Which of the groups that had this place.
    pub generation: u32,
    /// The worker whose trie picks the member.
    pub home: u16,
}

/// How many messages a member has unacknowledged or waiting; written by its worker, read at the group's home.
pub type Load = Arc<AtomicU32>;

/// A session that shares the subscription.
#[derive(Debug, Clone)]
pub struct Member {
    /// Whose it is.
    pub session: SessionKey,
    /// Its options.
    pub options: SubscriptionOptions,
    /// Subscription identifier; 0: none.
    pub identifier: u32,
    /// Whether a network connection holds the session.
    pub online: bool,
    /// Whether the session outlives its network connection.
    pub durable: bool,
    /// Its load.
    pub load: Load,
}

/// One group.
#[derive(Debug)]
pub struct Group {
    /// Its name among all.
    pub key: GroupKey,
    /// `$share/name/filter`, as its members wrote it.
    pub full_filter: Arc<str>,
    /// The topic filter inside it.
    pub filter: Arc<str>,
    members: Vec<Member>,
    next: usize,
    sticky: Option<SessionKey>,
    /// Messages that no member could take yet.
    pub queue: Queue,
}

impl Group {
    /// Its members.
    pub fn members(&self) -> &[Member] {
        &self.members
    }

    /// Whether a message may wait for a member that is offline now.
    pub fn has_durable_member(&self) -> bool {
        self.members.iter().any(|member| member.durable)
    }

    /// Whether the queue takes another message.
    pub fn has_room(&self, bytes: usize, limits: &SessionSettings) -> bool {
        self.queue.len() < limits.queue_messages_max
            && (self.queue.is_empty() || self.queue.bytes() + bytes <= limits.queue_bytes_max)
    }

    /// The place of the member that gets a message, among those online and not in `tried`.
    pub fn choose(
        &mut self,
        strategy: SharedStrategy,
        publication: &Publication<'_>,
        tried: &[SessionKey],
    ) -> Option<usize> {
        let count = self.members.len();
        let usable = |member: &&Member| member.online && !tried.contains(&member.session);
        let from = |start: usize| (0..count).map(move |step| (start + step) % count);
        let at = match strategy {
            SharedStrategy::RoundRobin => from(self.next).find(|at| usable(&&self.members[*at]))?,
            SharedStrategy::LeastInflight => from(self.next)
                .filter(|at| usable(&&self.members[*at]))
                .min_by_key(|at| self.members[*at].load.load(Ordering::Relaxed))?,
            SharedStrategy::HashClient => self.by_hash(publication.publisher_hash, usable)?,
            SharedStrategy::HashTopic => {
                let mut hasher = rustc_hash::FxHasher::default();
                publication.topic.hash(&mut hasher);
                self.by_hash(hasher.finish(), usable)?
            }
            SharedStrategy::Sticky => {
                let sticky = self.members.iter().position(|member| Some(member.session) == self.sticky);
                sticky
                    .filter(|at| usable(&&self.members[*at]))
                    .or_else(|| from(self.next).find(|at| usable(&&self.members[*at])))?
            }
        };
        self.next = (at + 1) % count;
        self.sticky = Some(self.members[at].session);
        Some(at)
    }

    /// A message is on its way to a member at another worker, which tells of it when it is there.
    pub fn note_given(&self, strategy: SharedStrategy, at: usize) {
        // Others do not look at it, and it lies with what the other worker writes.
        if strategy == SharedStrategy::LeastInflight {
            self.members[at].load.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// The usable member with the highest score for a hash: a member that goes moves only its own share.
    fn by_hash(&self, hash: u64, usable: impl Fn(&&Member) -> bool) -> Option<usize> {
        let score = |member: &Member| {
            let mut hasher = rustc_hash::FxHasher::default();
            member.session.hash(&mut hasher);
            mixed(hash ^ hasher.finish())
        };
        let members = self.members.iter().enumerate();
        members.filter(|(_, member)| usable(member)).max_by_key(|(_, member)| score(member)).map(|(at, _)| at)
    }
}

/// Spreads every bit over all (the finalizer of MurmurHash3): the scores of two members must not depend on each other,
/// or one of them wins for nearly every hash.
fn mixed(mut hash: u64) -> u64 {
    hash = (hash ^ (hash >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
    hash = (hash ^ (hash >> 33)).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    hash ^ (hash >> 33)
}

/// All groups of one home. It outlives the trie actor that uses it, so that what waits here is not lost with it.
#[derive(Debug, Default)]
pub struct Groups {
    groups: Slab<Group>,
    by_filter: HashMap<Arc<str>, u32>,
    generations: u32,
}

impl Groups {
    /// A group by its name; none if it is gone.
    pub fn get_mut(&mut self, key: GroupKey) -> Option<&mut Group> {
        self.groups.get_mut(key.index as usize).filter(|group| group.key == key)
    }

    /// A group by its name; none if it is gone.
    pub fn get(&self, key: GroupKey) -> Option<&Group> {
        self.groups.get(key.index as usize).filter(|group| group.key == key)
    }

    /// A group by what its members wrote.
    pub fn find_mut(&mut self, full_filter: &str) -> Option<&mut Group> {
        let index = *self.by_filter.get(full_filter)?;
        self.groups.get_mut(index as usize)
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = &Group> {
        self.groups.iter().map(|(_, group)| group)
    }

    /// Adds a member, or changes it. Returns the group.
    pub fn join(&mut self, home: u16, full_filter: &Arc<str>, filter: &str, member: Member) -> &mut Group {
        let index = match self.by_filter.get(full_filter) {
            Some(index) => *index as usize,
            None => {
                self.generations = self.generations.wrapping_add(1);
                let place = self.groups.vacant_entry();
                let index = place.key();
                place.insert(Group {
                    key: GroupKey { index: index as u32, generation: self.generations, home },
                    full_filter: Arc::clone(full_filter),
                    filter: filter.into(),
                    members: Vec::new(),
                    next: 0,
                    sticky: None,
                    queue: Queue::default(),
                });
                self.by_filter.insert(Arc::clone(full_filter), index as u32);
                index
            }
        };
        let group = &mut self.groups[index];
        match group.members.iter_mut().find(|other| other.session == member.session) {
            Some(other) => *other = member,
            None => group.members.push(member),
        }
        group
    }

    /// Notes whether a member is online and durable. Returns the group if it is a member.
    pub fn set_state(
        &mut self,
        full_filter: &str,
        session: SessionKey,
        online: bool,
        durable: bool,
    ) -> Option<&mut Group> {
        let group = self.find_mut(full_filter)?;
        let member = group.members.iter_mut().find(|member| member.session == session)?;
        member.online = online;
        member.durable = durable;
        Some(group)
    }

    /// Removes a member. Returns the whole group if it was the last.
    pub fn leave(&mut self, full_filter: &str, session: SessionKey) -> Option<Group> {
        let index = *self.by_filter.get(full_filter)? as usize;
        let group = &mut self.groups[index];
        group.members.retain(|member| member.session != session);
        if !group.members.is_empty() {
            return None;
        }
        self.by_filter.remove(full_filter);
        let gone = self.groups.remove(index);
        if self.groups.is_empty() {
            // A burst of groups leaves no memory behind.
            *self = Self { generations: self.generations, ..Self::default() };
        }
        Some(gone)
    }

    /// Messages that wait in all groups.
    pub fn waiting(&self) -> u64 {
        self.iter().map(|group| group.queue.len() as u64).sum()
    }
}

/// Messages that go back to their group.
#[derive(Debug)]
pub struct GivenBack {
    /// Which group.
    pub group: GroupKey,
    /// In order.
    pub messages: VecDeque<Queued>,
}

impl GivenBack {
    /// Messages that came through groups, by group.
    pub fn by_group(messages: Vec<Queued>) -> Vec<Self> {
        let mut groups: HashMap<GroupKey, VecDeque<Queued>> = HashMap::new();
        for queued in messages {
            if let Some(group) = queued.group {
                groups.entry(group).or_default().push_back(queued);
            }
        }
        groups.into_iter().map(|(group, messages)| Self { group, messages }).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::Payload;
    use mqtt_codec::QoS;

    fn member(index: u32, online: bool, load: u32) -> Member {
        Member {
            session: SessionKey { index, generation: 0, worker: 0 },
            options: SubscriptionOptions::from_bits(1).unwrap(),
            identifier: 0,
            online,
            durable: true,
            load: Arc::new(AtomicU32::new(load)),
        }
    }

    fn publication(topic: &str, publisher_hash: u64) -> Publication<'_> {
        Publication {
            topic,
            properties: &[],
            payload: Payload::Short(&[]),
            qos: QoS::AtLeastOnce,
            retain: false,
            expires_at: None,
            publisher: None,
            publisher_hash,
            stamp: 0,
        }
    }

    fn chosen(group: &mut Group, strategy: SharedStrategy, topic: &str, publisher: u64) -> Option<u32> {
        let at = group.choose(strategy, &publication(topic, publisher), &[])?;
        Some(group.members()[at].session.index)
    }

    fn group(groups: &mut Groups) -> &mut Group {
        let full: Arc<str> = "$share/g/t".into();
        for (index, online, load) in [(0, true, 5), (1, false, 0), (2, true, 3), (3, true, 9)] {
            groups.join(0, &full, "t", member(index, online, load));
        }
        groups.find_mut("$share/g/t").unwrap()
    }

    #[test]
    fn round_robin_skips_members_that_are_offline() {
        let mut groups = Groups::default();
        let group = group(&mut groups);
        let order: Vec<_> =
            (0..6).map(|_| chosen(group, SharedStrategy::RoundRobin, "t", 0).unwrap()).collect();
        assert_eq!(order, [0, 2, 3, 0, 2, 3]);
    }

    #[test]
    fn least_inflight_takes_the_lightest_online_member() {
        let mut groups = Groups::default();
        let group = group(&mut groups);
        for _ in 0..3 {
            assert_eq!(chosen(group, SharedStrategy::LeastInflight, "t", 0), Some(2));
        }
    }

    #[test]
    fn hashes_keep_to_a_member_and_spread_over_all() {
        let mut groups = Groups::default();
        let group = group(&mut groups);
        let mut seen = std::collections::BTreeSet::new();
        for publisher in 0..100 {
            let first = chosen(group, SharedStrategy::HashClient, "t", publisher).unwrap();
            assert_eq!(chosen(group, SharedStrategy::HashClient, "u", publisher), Some(first));
            seen.insert(first);
        }
        assert_eq!(seen.into_iter().collect::<Vec<_>>(), [0, 2, 3]);
    }

    #[test]
    fn hashes_give_each_member_its_share() {
        let mut groups = Groups::default();
        let group = group(&mut groups);
        let mut shares = [0; 4];
        for number in 0..3000 {
            let topic = format!("t/{number}");
            shares[chosen(group, SharedStrategy::HashTopic, &topic, 0).unwrap() as usize] += 1;
        }
        assert!(
            [shares[0], shares[2], shares[3]].iter().all(|share| (900..1100).contains(share)),
            "{shares:?}"
        );
    }

    #[test]
    fn sticky_stays_until_the_member_goes() {
        let mut groups = Groups::default();
        let group = group(&mut groups);
        let first = chosen(group, SharedStrategy::Sticky, "t", 0).unwrap();
        for _ in 0..5 {
            assert_eq!(chosen(group, SharedStrategy::Sticky, "t", 0), Some(first));
        }
        let session = SessionKey { index: first, generation: 0, worker: 0 };
        groups.set_state("$share/g/t", session, false, true);
        let group = groups.find_mut("$share/g/t").unwrap();
        assert_ne!(chosen(group, SharedStrategy::Sticky, "t", 0), Some(first));
    }

    #[test]
    fn the_last_member_takes_the_group_with_it() {
        let mut groups = Groups::default();
        group(&mut groups);
        for index in 0..3 {
            assert!(groups.leave("$share/g/t", SessionKey { index, generation: 0, worker: 0 }).is_none());
        }
        assert!(groups.leave("$share/g/t", SessionKey { index: 3, generation: 0, worker: 0 }).is_some());
        assert!(groups.find_mut("$share/g/t").is_none());
    }
}
