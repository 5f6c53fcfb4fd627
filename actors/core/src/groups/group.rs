//! Shared subscriptions: the groups whose home is one worker, their members, and what waits for them. Pure.
//!
//! A group is a share name and a topic filter [MQTT-4.8.2]. Members that are online come first; with none online a
//! message waits here for a member whose session is durable.

use std::collections::VecDeque;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use hashbrown::HashMap;
use slab::Slab;

use super::burden::Burden;
use super::group_queue::GroupQueue;
use super::members::{Chosen, Member, MemberRoom, Members};
use super::rota::Wish;
use crate::filter_table::FilterTable;
use crate::ids::{GroupKey, SessionKey};
use crate::kept::Kept;
use crate::message::Publication;
use crate::queue::Queued;
use crate::settings::{SessionSettings, SharedStrategy};

/// One group.
#[derive(Debug)]
pub struct Group {
    /// Its name among all.
    pub key: GroupKey,
    /// `$share/name/filter`, as its members wrote it.
    pub full_filter: Arc<str>,
    /// The topic filter inside it.
    pub filter: Arc<str>,
    strategy: SharedStrategy,
    members: Members,
    /// Messages that no member could take yet.
    pub queue: GroupQueue,
    /// Whether giving them out is among the work to do.
    pub is_to_give_out: bool,
    /// Whether asking members offline for what they hold is among the work to do.
    pub is_to_call_back: bool,
}

impl Group {
    /// Its members, in no order.
    pub fn members(&self) -> impl Iterator<Item = &Member> {
        self.members.iter()
    }

    /// How many those are.
    pub fn member_count(&self) -> usize {
        self.members.len()
    }

    /// How many of them are online.
    pub fn online_count(&self) -> usize {
        self.members.online()
    }

    /// Whether it is for the node's own messages, which no other filter matches: it has no others then.
    pub fn is_own(&self) -> bool {
        self.filter.starts_with("$SYS/")
    }

    /// The member of this number, as [`choose`](Self::choose) gave it.
    pub fn member(&self, at: u32) -> &Member {
        self.members.get(at)
    }

    /// Whether one of them is online.
    pub fn is_any_online(&self) -> bool {
        self.members.online() > 0
    }

    /// Whether a message may wait for a member that is offline now.
    pub(crate) fn has_durable_member(&self) -> bool {
        self.members.durable() > 0
    }

    /// Whether the queue takes another message.
    pub fn has_room(&self, bytes: usize, limits: &SessionSettings) -> bool {
        self.queue.len() < limits.queue_messages_max
            && (self.queue.is_empty() || self.queue.bytes() + bytes <= limits.queue_bytes_max)
    }

    /// Who pays for a message of so many bytes that is to wait, and is charged for it; none if nobody has room for it.
    pub fn payer(&mut self, bytes: usize, limits: &SessionSettings) -> Option<Arc<Burden>> {
        self.members.payer(|member| member.burden.charge(bytes, member.durable, limits)).cloned()
    }

    /// Who pays for it whether or not anybody has room; none without a member.
    pub(crate) fn charge_any(&mut self, bytes: usize) -> Option<Arc<Burden>> {
        let payer = self.members.payer(|member| {
            member.burden.charge_all_the_same(bytes);
            true
        });
        payer.cloned()
    }

    /// Members have left: others pay for what waits at their cost, or it is dropped
    /// ([`GroupQueue::charge_others`]).
    pub(crate) fn charge_others(
        &mut self,
        most: usize,
        limits: &SessionSettings,
        kept: &Kept,
    ) -> (Vec<Queued>, bool) {
        let Self { queue, members, .. } = self;
        queue.charge_others(most, kept, |bytes| {
            members.payer(|member| member.burden.charge(bytes, member.durable, limits)).cloned()
        })
    }

    /// Who gets a message: `room` looks whether a member has room for it, `is_far` whether a worker has none for what is
    /// on its way there.
    pub fn choose(
        &mut self,
        publication: &Publication<'_>,
        room: impl FnMut(&Member) -> MemberRoom,
        is_far: impl Fn(u16) -> bool,
    ) -> Chosen {
        let wish = match self.strategy {
            SharedStrategy::HashClient => Wish::Hash(publication.publisher_hash),
            SharedStrategy::HashTopic => {
                let mut hasher = rustc_hash::FxHasher::default();
                publication.topic.hash(&mut hasher);
                Wish::Hash(hasher.finish())
            }
            _ => Wish::Next,
        };
        self.members.choose(wish, room, is_far)
    }

    /// A message is on its way to a member, which is returned.
    pub fn give(&mut self, at: u32) -> &Member {
        self.members.give(at, self.key.home)
    }

    /// Whether members offline may hold messages that others could take.
    pub(crate) fn has_holders(&self) -> bool {
        self.members.has_holders()
    }

    /// One of those members, which is asked to give back all that it holds of the group.
    pub(crate) fn take_holder(&mut self) -> Option<SessionKey> {
        self.members.take_holder()
    }
}

/// All groups of one home. It outlives the trie actor that uses it, so that what waits here is not lost with it.
#[derive(Debug)]
pub struct Groups {
    strategy: SharedStrategy,
    /// Each by itself: making room for more moves no group.
    groups: Slab<Box<Group>>,
    by_filter: FilterTable<u32>,
    generations: u32,
}

impl Groups {
    /// None yet; of each the members are chosen like this.
    pub fn new(strategy: SharedStrategy) -> Self {
        Self { strategy, groups: Slab::new(), by_filter: FilterTable::default(), generations: 0 }
    }

    /// A group by its name; none if it is gone.
    pub fn get_mut(&mut self, key: GroupKey) -> Option<&mut Group> {
        self.groups.get_mut(key.index as usize).map(|group| &mut **group).filter(|group| group.key == key)
    }

    /// A group by its name; none if it is gone.
    pub fn get(&self, key: GroupKey) -> Option<&Group> {
        self.groups.get(key.index as usize).map(|group| &**group).filter(|group| group.key == key)
    }

    /// A group by what its members wrote.
    pub(crate) fn find(&self, full_filter: &str) -> Option<&Group> {
        self.groups.get(*self.by_filter.get(full_filter)? as usize).map(|group| &**group)
    }

    /// The same, to change it.
    pub(crate) fn find_mut(&mut self, full_filter: &str) -> Option<&mut Group> {
        let index = *self.by_filter.get(full_filter)?;
        self.groups.get_mut(index as usize).map(|group| &mut **group)
    }

    /// All of them, to change them.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = &mut Group> {
        self.groups.iter_mut().map(|(_, group)| &mut **group)
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = &Group> {
        self.groups.iter().map(|(_, group)| &**group)
    }

    /// Places for groups, vacant ones included.
    pub fn places(&self) -> usize {
        self.groups.capacity()
    }

    /// The group in a place; none if it is vacant.
    pub fn in_place(&self, place: usize) -> Option<&Group> {
        self.groups.get(place).map(|group| &**group)
    }

    /// Adds a member, or changes it. Returns the group.
    pub fn join(&mut self, home: u16, full_filter: &Arc<str>, filter: &str, member: Member) -> &mut Group {
        let index = match self.by_filter.get(full_filter) {
            Some(index) => *index as usize,
            None => {
                self.generations = self.generations.wrapping_add(1);
                let place = self.groups.vacant_entry();
                let index = place.key();
                place.insert(Box::new(Group {
                    key: GroupKey { index: index as u32, generation: self.generations, home },
                    full_filter: Arc::clone(full_filter),
                    filter: filter.into(),
                    strategy: self.strategy,
                    members: Members::new(self.strategy),
                    queue: GroupQueue::default(),
                    is_to_give_out: false,
                    is_to_call_back: false,
                }));
                self.by_filter.insert(Arc::clone(full_filter), index as u32);
                index
            }
        };
        let group = &mut self.groups[index];
        group.members.join(member);
        group
    }

    /// Notes whether a member is online and durable. Returns the group if it is a member.
    pub(crate) fn set_state(
        &mut self,
        full_filter: &str,
        session: SessionKey,
        online: bool,
        durable: bool,
    ) -> Option<&mut Group> {
        let group = self.find_mut(full_filter)?;
        group.members.note_state(session, online, durable).then_some(group)
    }

    /// Removes a member.
    pub fn leave(&mut self, full_filter: &str, session: SessionKey) -> Departure<'_> {
        let Some(index) = self.by_filter.get(full_filter).map(|index| *index as usize) else {
            return Departure::NoMember;
        };
        let Some(member) = self.groups[index].members.leave(session) else { return Departure::NoMember };
        if !self.groups[index].members.is_empty() {
            return Departure::Member(member, &mut self.groups[index]);
        }
        self.by_filter.remove(full_filter);
        let gone = self.groups.remove(index);
        if self.groups.is_empty() {
            // A burst of groups leaves no memory behind.
            *self = Self { generations: self.generations, ..Self::new(self.strategy) };
        }
        Departure::Last(gone)
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.groups.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.groups.is_empty()
    }

    /// Messages that wait in all groups, which are looked through for that.
    #[cfg(any(test, feature = "simulation"))]
    pub fn waiting(&self) -> u64 {
        self.iter().map(|group| group.queue.len() as u64).sum()
    }
}

/// What a member that leaves leaves behind.
#[derive(Debug)]
pub enum Departure<'a> {
    /// It was none.
    NoMember,
    /// The group, with other members.
    Member(Member, &'a mut Group),
    /// Nobody: the group is gone.
    Last(Box<Group>),
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
    pub(crate) fn by_group(messages: Vec<Queued>) -> Vec<Self> {
        let mut groups: HashMap<GroupKey, VecDeque<Queued>> = HashMap::new();
        for queued in messages {
            if let Some(group) = queued.group {
                groups.entry(group).or_default().push_back(queued);
            }
        }
        groups.into_iter().map(|(group, messages)| Self { group, messages }).collect()
    }
}
