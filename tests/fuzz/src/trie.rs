//! Subscriptions that come and go, in the tries of some workers and their directory, against a list that is searched
//! from end to end. The matcher here shares nothing with the one of the codec, which is judged too.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use arbitrary::{Arbitrary, Result, Unstructured};
use micro_mq_core::ids::{GroupKey, SessionKey};
use micro_mq_core::matching::{Directory, LookUps, Matches, Subscriber, Trie};
use micro_mq_core::moment::Moment;
use mqtt_codec::{SubscriptionOptions, validate_topic_filter, validate_topic_name};

const WORKERS: u16 = 3;
/// More than the trie keeps at one filter without an index.
const CROWD: u32 = 80;

/// Bytes of a filter that cost as much to compare as a place to look at.
const BYTES_PER_PLACE: usize = 128;

/// What stands at a topic filter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Holder {
    Subscriber(Subscriber),
    Group(GroupKey),
}

impl Holder {
    /// Whether one replaces the other.
    fn is_same(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Subscriber(one), Self::Subscriber(other)) => one.session == other.session,
            (Self::Group(one), Self::Group(other)) => one == other,
            _ => false,
        }
    }
}

/// What one worker's trie has to hold.
type Filters = BTreeMap<Arc<str>, Vec<Holder>>;

/// The tries of all workers beside what has to be in them.
struct Tries {
    tries: Vec<Trie>,
    directory: Directory,
    model: Vec<Filters>,
}

/// Runs one input.
pub fn run(input: &[u8]) {
    let mut tries = Tries {
        tries: (0..WORKERS).map(|_| Trie::default()).collect(),
        directory: Directory::new(WORKERS.into()),
        model: vec![BTreeMap::new(); WORKERS.into()],
    };
    let mut input = Unstructured::new(input);
    while !input.is_empty() {
        // An input that ends within a step has made its point.
        if tries.step(&mut input).is_err() {
            break;
        }
    }
    for worker in 0..WORKERS {
        for (filter, holders) in tries.model[usize::from(worker)].clone() {
            holders.into_iter().for_each(|holder| tries.remove(worker, &filter, holder));
        }
    }
    for trie in &tries.tries {
        assert_eq!((trie.filters(), trie.places()), (0, 1), "something is left");
    }
}

impl Tries {
    fn step(&mut self, input: &mut Unstructured<'_>) -> Result<()> {
        match input.int_in_range(0..=9)? {
            0..=4 => self.change(input),
            5 => {
                let filter: Arc<str> = any_filter(input)?.into();
                let worker = input.int_in_range(0..=WORKERS - 1)?;
                for index in 0..CROWD {
                    self.insert(worker, &filter, Holder::Subscriber(subscriber(index, worker, 0)));
                }
                Ok(())
            }
            6..=7 => {
                self.judge(&any_name(input)?);
                Ok(())
            }
            _ => self.judge_in_pieces(input),
        }
    }

    /// Inserts or removes something.
    fn change(&mut self, input: &mut Unstructured<'_>) -> Result<()> {
        match input.int_in_range(0..=4)? {
            0..=2 => {
                let (worker, filter, holder) = self.any_holder(input)?;
                self.insert(worker, &filter, holder);
            }
            3 => {
                let (worker, filter, holder) = self.any_holder(input)?;
                self.remove(worker, &filter, holder);
            }
            _ => {
                let worker = input.int_in_range(0..=WORKERS - 1)?;
                let held = &self.model[usize::from(worker)];
                if !held.is_empty() {
                    let at = input.choose_index(held.len())?;
                    let (filter, holders) = held.iter().nth(at).expect("the index is within the length");
                    let (filter, holder) = (Arc::clone(filter), *input.choose(holders)?);
                    self.remove(worker, &filter, holder);
                }
            }
        }
        Ok(())
    }

    fn any_holder(&self, input: &mut Unstructured<'_>) -> Result<(u16, Arc<str>, Holder)> {
        let worker = input.int_in_range(0..=WORKERS - 1)?;
        let index = input.int_in_range(0..=CROWD + 5)?;
        let holder = match input.ratio(1, 4)? {
            true => Holder::Group(GroupKey { index, generation: 0, home: worker }),
            false => Holder::Subscriber(subscriber(index, worker, u8::arbitrary(input)?)),
        };
        Ok((worker, any_filter(input)?.into(), holder))
    }

    fn insert(&mut self, worker: u16, filter: &Arc<str>, holder: Holder) {
        let model = &mut self.model[usize::from(worker)];
        let is_new = !model.contains_key(filter);
        let trie = &mut self.tries[usize::from(worker)];
        let says_new = match holder {
            Holder::Subscriber(subscriber) => trie.insert(filter, subscriber),
            Holder::Group(group) => trie.insert_group(filter, group),
        };
        assert_eq!(says_new, is_new, "whether {filter} is new to worker {worker}");
        if says_new {
            self.directory.add(filter, worker);
        }
        let holders = model.entry(Arc::clone(filter)).or_default();
        match holders.iter_mut().find(|other| other.is_same(&holder)) {
            Some(other) => *other = holder,
            None => holders.push(holder),
        }
        assert_eq!(trie.filters(), model.len(), "filters of worker {worker}");
    }

    fn remove(&mut self, worker: u16, filter: &str, holder: Holder) {
        let model = &mut self.model[usize::from(worker)];
        let mut is_gone = false;
        if let Some(holders) = model.get_mut(filter) {
            holders.retain(|other| !other.is_same(&holder));
            is_gone = holders.is_empty();
        }
        if is_gone {
            model.remove(filter);
        }
        let trie = &mut self.tries[usize::from(worker)];
        let says_gone = match holder {
            Holder::Subscriber(subscriber) => trie.remove(filter, subscriber.session),
            Holder::Group(group) => trie.remove_group(filter, group),
        };
        assert_eq!(says_gone, is_gone, "whether {filter} is gone from worker {worker}");
        if says_gone {
            self.directory.remove(filter, worker);
        }
        assert_eq!(trie.filters(), model.len(), "filters of worker {worker}");
    }

    /// Judges what matches a topic name.
    fn judge(&self, name: &str) {
        let (mut workers, mut wild_workers, mut all_places) = (0, 0, 0);
        for (worker, (trie, model)) in self.tries.iter().zip(&self.model).enumerate() {
            let mut found = Matches::default();
            let looked_at = trie.collect(name, &mut found);
            let expected = matching(model, name);
            if !expected.is_empty() {
                workers |= 1 << worker;
            }
            let mut expected: Vec<_> = expected.into_iter().map(|(_, holder)| holder).collect();
            expected.sort_unstable();
            assert_eq!(sorted(&found), expected, "worker {worker}, {name}");
            let wild: Vec<&str> =
                model.keys().map(|filter| &**filter).filter(|filter| is_wild(filter)).collect();
            let (filters, places) = (wild.len(), trie.places());
            // A place for each filter, and those where filters part or parted: beginnings that one still has.
            let most = filters + beginnings(&wild) + 1;
            assert!((filters + 1..=most).contains(&places), "{places} places of worker {worker}, of {most}");
            // To compare a long filter costs more than its place.
            let compared: usize = wild.iter().map(|filter| filter.len() / BYTES_PER_PLACE).sum();
            assert!(looked_at <= places + compared, "{looked_at} of {places} places looked at for {name}");
            if filters > 0 {
                wild_workers |= 1 << worker;
            }
            all_places += most + compared;
        }
        let found = self.directory.workers_within(name, &mut LookUps::of(1));
        // Where a look-up would cost too much it names all workers with a wildcard.
        let may_be_named = if all_places < 1000 { workers } else { workers | wild_workers };
        assert_eq!(found & workers, workers, "the workers with a match for {name}");
        assert_eq!(found & !may_be_named, 0, "workers without a match for {name}");
    }

    /// Judges a look-up that is made in pieces, with changes between them: what was there all the time and matches is
    /// found once, and what matches at no time is not found.
    fn judge_in_pieces(&mut self, input: &mut Unstructured<'_>) -> Result<()> {
        let name = any_name(input)?;
        let worker = usize::from(input.int_in_range(0..=WORKERS - 1)?);
        let mut found = Matches::default();
        self.tries[worker].begin(&name, &mut found);
        let mut always = matching(&self.model[worker], &name);
        let mut ever = always.clone();
        loop {
            let mut budget = input.int_in_range(1..=8)?;
            if self.tries[worker].go_on(&name, &mut found, &mut budget) {
                break;
            }
            self.change(input)?;
            let now = matching(&self.model[worker], &name);
            always.retain(|one| now.contains(one));
            ever.extend(now);
        }
        let found = sorted(&found);
        for (_, holder) in &always {
            // What has several filters is found once for each.
            let of = |all: &[(Arc<str>, Found)]| all.iter().filter(|(_, other)| other == holder).count();
            let times = found.iter().filter(|other| *other == holder).count();
            assert!(
                (of(&always)..=of(&ever)).contains(&times),
                "{holder:?} is found {times} times for {name}, in pieces"
            );
        }
        let is_known = |one: &Found| ever.iter().any(|(_, other)| other == one);
        assert!(found.iter().all(is_known), "{found:?} for {name}, in pieces, but {ever:?}");
        Ok(())
    }
}

/// All that a model says of a topic name. The matcher of the codec is judged on the way.
fn matching(model: &Filters, name: &str) -> Vec<(Arc<str>, Found)> {
    let mut expected = Vec::new();
    for (filter, holders) in model {
        let is_match = wants(filter, name);
        assert_eq!(mqtt_codec::matches(filter, name), is_match, "the codec, {filter} and {name}");
        if is_match {
            expected.extend(holders.iter().map(|holder| (Arc::clone(filter), Found::from(holder))));
        }
    }
    expected
}

fn is_wild(filter: &str) -> bool {
    filter.contains(['+', '#'])
}

/// How many beginnings filters have, each counted once, whole filters included.
fn beginnings(filters: &[&str]) -> usize {
    let mut beginnings = BTreeSet::new();
    for filter in filters {
        let path = filter.strip_suffix("/#").unwrap_or(filter);
        if path != "#" {
            beginnings.extend(path.match_indices('/').map(|(at, _)| &path[..at]));
            beginnings.insert(path);
        }
    }
    beginnings.len()
}

fn subscriber(index: u32, worker: u16, bits: u8) -> Subscriber {
    let options = SubscriptionOptions::from_bits(bits & 0b01_1101).unwrap_or_default();
    let generation = u16::from(bits >> 7);
    Subscriber {
        session: SessionKey { index, generation, worker },
        identifier: bits.into(),
        options,
        since: Moment::default(),
    }
}

/// A [`Holder`] in a form that has an order.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Found {
    Subscriber(SessionKey, u32, u8),
    Group(GroupKey),
}

impl From<&Holder> for Found {
    fn from(holder: &Holder) -> Self {
        match holder {
            Holder::Subscriber(one) => Self::Subscriber(one.session, one.identifier, one.options.to_bits()),
            Holder::Group(group) => Self::Group(*group),
        }
    }
}

fn sorted(matches: &Matches) -> Vec<Found> {
    let subscribers = matches.subscribers.iter().map(|one| Found::from(&Holder::Subscriber(*one)));
    let groups = matches.groups.iter().map(|group| Found::from(&Holder::Group(*group)));
    let mut found: Vec<_> = subscribers.chain(groups).collect();
    found.sort_unstable();
    found
}

/// Whether a topic filter matches a topic name: the standard's words, level by level [MQTT-4.7.1-1] [MQTT-4.7.1-2]
/// [MQTT-4.7.2-1].
fn wants(filter: &str, name: &str) -> bool {
    fn levels_match(filter: &[&str], name: &[&str]) -> bool {
        match (filter, name) {
            (["#"], _) | ([], []) => true,
            (["+", filter @ ..], [_, name @ ..]) => levels_match(filter, name),
            ([wanted, filter @ ..], [level, name @ ..]) => wanted == level && levels_match(filter, name),
            _ => false,
        }
    }
    let filter: Vec<&str> = filter.split('/').collect();
    let name: Vec<&str> = name.split('/').collect();
    let begins_wild = filter[0] == "+" || filter[0] == "#";
    !(begins_wild && name[0].starts_with('$')) && levels_match(&filter, &name)
}

/// A level without wildcards: mostly one of a few, so that filters and names meet.
fn any_level(input: &mut Unstructured<'_>) -> Result<String> {
    const LEVELS: [&str; 8] = ["a", "b", "", "aa", "$s", "$share", "\u{e9}", "A"];
    if input.ratio(1, 16)? {
        let text: String = <&str>::arbitrary(input)?.chars().take(8).collect();
        return Ok(text.replace(['/', '+', '#', '\0'], ""));
    }
    input.choose(&LEVELS).map(|level| (*level).to_owned())
}

fn any_name(input: &mut Unstructured<'_>) -> Result<String> {
    let levels = (0..input.int_in_range(1..=8)?).map(|_| any_level(input)).collect::<Result<Vec<_>>>()?;
    let name = levels.join("/");
    Ok(if validate_topic_name(&name).is_ok() { name } else { "/".to_owned() })
}

fn any_filter(input: &mut Unstructured<'_>) -> Result<String> {
    let mut levels = Vec::new();
    for _ in 0..input.int_in_range(1..=8)? {
        levels.push(if input.ratio(1, 3)? { "+".to_owned() } else { any_level(input)? });
    }
    if input.ratio(1, 3)? {
        levels.push("#".to_owned());
    }
    let filter = levels.join("/");
    Ok(if validate_topic_filter(&filter).is_ok() { filter } else { "#".to_owned() })
}
