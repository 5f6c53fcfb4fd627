//! Subscriptions that come and go, in the tries of some workers and their directory, against a list that is searched
//! from end to end. The matcher here shares nothing with the one of the codec, which is judged too.

use std::{collections::BTreeMap, sync::Arc};

use arbitrary::{Arbitrary, Result, Unstructured};
use micro_mq_actors::{
    sessions::SessionKey,
    topics::{Directory, Matches, Subscriber, Trie},
};
use mqtt_codec::{SubscriptionOptions, validate_topic_filter, validate_topic_name};

const WORKERS: u16 = 3;
/// More than the trie keeps at one filter without an index.
const CROWD: u32 = 80;

/// What stands at a topic filter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Holder {
    Subscriber(Subscriber),
    Group(u32),
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

/// The tries of all workers beside what has to be in them.
struct Tries {
    tries: Vec<Trie>,
    directory: Directory,
    model: Vec<BTreeMap<Arc<str>, Vec<Holder>>>,
}

/// Runs one input.
pub fn run(input: &[u8]) {
    let mut tries = Tries {
        tries: (0..WORKERS).map(|_| Trie::default()).collect(),
        directory: Directory::new(WORKERS.into()),
        model: vec![BTreeMap::new(); WORKERS.into()],
    };
    let empty = (format!("{:?}", tries.tries), format!("{:?}", tries.directory));
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
    // The debug form shows branches that nobody stands at any more.
    assert_eq!((format!("{:?}", tries.tries), format!("{:?}", tries.directory)), empty, "something is left");
}

impl Tries {
    fn step(&mut self, input: &mut Unstructured<'_>) -> Result<()> {
        match input.int_in_range(0..=7)? {
            0..=2 => {
                let (worker, filter, holder) = self.any_holder(input)?;
                self.insert(worker, &filter, holder);
            }
            3 => {
                let (worker, filter, holder) = self.any_holder(input)?;
                self.remove(worker, &filter, holder);
            }
            4 => {
                let worker = input.int_in_range(0..=WORKERS - 1)?;
                let held = &self.model[usize::from(worker)];
                if !held.is_empty() {
                    let at = input.choose_index(held.len())?;
                    let (filter, holders) = held.iter().nth(at).expect("the index is within the length");
                    let (filter, holder) = (Arc::clone(filter), *input.choose(holders)?);
                    self.remove(worker, &filter, holder);
                }
            }
            5 => {
                let filter: Arc<str> = any_filter(input)?.into();
                let worker = input.int_in_range(0..=WORKERS - 1)?;
                for index in 0..CROWD {
                    self.insert(worker, &filter, Holder::Subscriber(subscriber(index, worker, 0)));
                }
            }
            _ => self.judge(&any_name(input)?),
        }
        Ok(())
    }

    fn any_holder(&self, input: &mut Unstructured<'_>) -> Result<(u16, Arc<str>, Holder)> {
        let worker = input.int_in_range(0..=WORKERS - 1)?;
        let index = input.int_in_range(0..=CROWD + 5)?;
        let holder = match input.ratio(1, 4)? {
            true => Holder::Group(index),
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
        let mut workers = 0;
        for (worker, (trie, model)) in self.tries.iter().zip(&self.model).enumerate() {
            let mut found = Matches::default();
            let looked_at = trie.collect(name, &mut found);
            let mut expected = Matches::default();
            let mut places = 1;
            for (filter, holders) in model {
                places += filter.split('/').count();
                let is_match = wants(filter, name);
                assert_eq!(mqtt_codec::matches(filter, name), is_match, "the codec, {filter} and {name}");
                for holder in holders.iter().filter(|_| is_match) {
                    match holder {
                        Holder::Subscriber(subscriber) => expected.subscribers.push(*subscriber),
                        Holder::Group(group) => expected.groups.push(*group),
                    }
                }
            }
            if !expected.is_empty() {
                workers |= 1 << worker;
            }
            assert_eq!(sorted(found), sorted(expected), "worker {worker}, {name}");
            assert!(looked_at <= places, "{looked_at} of {places} places looked at for {name}");
        }
        assert_eq!(self.directory.workers(name), workers, "the workers with a match for {name}");
    }
}

fn subscriber(index: u32, worker: u16, bits: u8) -> Subscriber {
    let options = SubscriptionOptions::from_bits(bits & 0b01_1101).unwrap_or_default();
    let generation = u16::from(bits >> 7);
    Subscriber { session: SessionKey { index, generation, worker }, identifier: bits.into(), options }
}

/// A subscriber in a form that has an order.
type Sorted = (Vec<(SessionKey, u32, u8)>, Vec<u32>);

fn sorted(matches: Matches) -> Sorted {
    let mut subscribers: Vec<_> = matches
        .subscribers
        .iter()
        .map(|subscriber| (subscriber.session, subscriber.identifier, subscriber.options.to_bits()))
        .collect();
    let mut groups = matches.groups;
    subscribers.sort_unstable();
    groups.sort_unstable();
    (subscribers, groups)
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
