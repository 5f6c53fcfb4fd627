//! Looks at retained messages as a new subscriber, again and again: a clean session each time.

use std::{
    collections::HashMap,
    io,
    time::{Duration, Instant},
};

use super::super::{
    client::{Client, Leave},
    event::Topic,
    judge::Seen,
    subscription::{Subscription, matches},
    world::{Phase, World},
};

/// How long a retained message may take that has to come.
const PATIENCE: Duration = Duration::from_secs(15);
/// How long one is waited for that may not be there.
const SURPLUS: Duration = Duration::from_millis(300);
/// Between two looks, in milliseconds.
const EVERY: (u32, u32) = (100, 800);

/// A look at some topic names.
#[derive(Debug)]
struct Look {
    filter: String,
    /// How many changes were acknowledged of each as the SUBSCRIBE was sent, and the message that came.
    seen: HashMap<Topic, Seen>,
    /// Topic names to which something was published before what was retained came: that need not come any more.
    passed: Vec<Topic>,
    /// The SUBACK came.
    since: Option<Instant>,
}

/// See the module.
#[derive(Debug)]
pub(super) struct Looker {
    topics: Vec<Topic>,
    /// All topic names.
    everything: String,
    look: Option<Look>,
    next_at: Instant,
    /// It looked at everything when nothing was published any more.
    has_finished: bool,
}

impl Looker {
    pub(super) const fn new(topics: Vec<Topic>, everything: String, now: Instant) -> Self {
        Self { topics, everything, look: None, next_at: now, has_finished: false }
    }

    pub(super) fn is_at_rest(&self, world: &World) -> bool {
        match world.phase {
            Phase::Load => false,
            Phase::Drain => self.look.is_none(),
            Phase::Check => self.has_finished,
        }
    }

    pub(super) fn tick(&mut self, client: &mut Client, world: &mut World) -> io::Result<()> {
        self.note(client, world);
        if !client.is_up() {
            // What a lost connection would have brought is not known.
            self.look = None;
            let is_due = match world.phase {
                Phase::Load => world.now >= self.next_at,
                Phase::Drain => false,
                Phase::Check => !self.has_finished && world.now >= self.next_at,
            };
            if is_due {
                client.subscriptions.clear();
                client.notices.clear();
                client.connect(world)?;
                self.next_at = world.now + Duration::from_millis(50);
            }
            return Ok(());
        }
        let Some(look) = &mut self.look else {
            self.begin(client, world);
            return Ok(());
        };
        if !client.subscriptions.iter().all(Subscription::is_present) {
            return Ok(());
        }
        let since = *look.since.get_or_insert(world.now);
        let has_to_come = |(topic, seen): (&Topic, &Seen)| {
            seen.message.is_none() && world.judge.has_retained(*topic, seen.acknowledged)
        };
        let waits = look.seen.iter().any(has_to_come);
        let waited = world.now.duration_since(since);
        if waited < SURPLUS || waits && waited < PATIENCE {
            return Ok(());
        }
        self.conclude(client, world);
        Ok(())
    }

    fn begin(&mut self, client: &mut Client, world: &mut World) {
        let filter = if world.phase == Phase::Load && world.random.percent(50) {
            world.judge.topic(world.random.pick(&self.topics)).name.clone()
        } else {
            self.everything.clone()
        };
        let chosen = self.topics.iter().filter(|&&topic| matches(&filter, &world.judge.topic(topic).name));
        let seen = chosen
            .map(|&topic| {
                let acknowledged = world.judge.retained_acknowledged(topic);
                (topic, Seen { acknowledged, message: None })
            })
            .collect();
        client.notices.clear();
        client.subscriptions = vec![Subscription::new(filter.clone(), 1, None)];
        self.look = Some(Look { filter, seen, passed: Vec::new(), since: None });
    }

    /// Takes what came.
    fn note(&mut self, client: &mut Client, world: &mut World) {
        let Some(look) = &mut self.look else { return };
        for notice in std::mem::take(&mut client.notices) {
            let named = |topic: &&Topic| world.judge.topic(**topic).name.as_bytes() == notice.name;
            let topic = self.topics.iter().find(named).copied();
            match topic.and_then(|topic| Some((topic, look.seen.get_mut(&topic)?))) {
                Some((_, seen)) if notice.retain => seen.message = notice.sequence,
                Some((topic, seen)) => {
                    if seen.message.is_none() {
                        look.seen.remove(&topic);
                        look.passed.push(topic);
                    }
                }
                None if topic.is_some_and(|topic| look.passed.contains(&topic)) => {}
                None => {
                    let name = String::from_utf8_lossy(&notice.name);
                    let who = &client.profile.client_identifier;
                    let sentence = format!("{who} heard {name}, its subscription was to {}", look.filter);
                    world.judge.misconduct(Some(client.number), sentence);
                }
            }
        }
    }

    fn conclude(&mut self, client: &mut Client, world: &mut World) {
        let Some(look) = self.look.take() else { return };
        for (topic, seen) in look.seen {
            world.judge.retained_seen(client.number, topic, seen);
        }
        self.has_finished = world.phase == Phase::Check && look.filter == self.everything;
        client.leave(Leave::Disconnect, world);
        self.next_at = world.now + world.random.time(EVERY.0, EVERY.1);
    }
}
