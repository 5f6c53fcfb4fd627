//! The judge: histories in, verdicts out. It knows no clock and no socket.
//!
//! It keeps sequence numbers in sets of bits, no payloads: a bit for each message and each audience that may hear it.

mod retained;
mod session;
#[cfg(test)]
mod tests;
mod topic;
mod verdict;
mod view;

use std::{
    collections::{BTreeMap, HashMap},
    time::Duration,
};

use self::{
    retained::Retained,
    session::{Presence, Session},
    topic::Topic,
    view::{Delivery, View},
};
pub(super) use self::{
    retained::{Change, Seen},
    session::Durability,
    verdict::{Counts, Fault, Faults, Verdict, Violation},
};
use super::event::{self, Client, Event};

/// A client, as far as sessions go.
#[derive(Debug)]
struct Hearer {
    name: String,
    session: Session,
    /// Its audience for each topic.
    audiences: HashMap<event::Topic, event::Audience>,
}

/// A subscription of one client, or a shared one.
#[derive(Debug)]
struct Audience {
    name: String,
    /// Highest QoS of its subscription.
    qos: u8,
    /// Whose it is; of a shared one, nobody's.
    owner: Option<Client>,
    /// Its session, or those of all members, are durable.
    claimed: bool,
    views: BTreeMap<event::Topic, View>,
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Judge {
    topics: Vec<Topic>,
    retained: BTreeMap<event::Topic, Retained>,
    clients: Vec<Hearer>,
    audiences: Vec<Audience>,
    verdict: Verdict,
    /// When the last piece was taken.
    at: Duration,
}

impl Judge {
    /// Adds a topic name before anything is published there.
    pub(super) fn add_topic(&mut self, name: String, qos: u8, is_will: bool) -> event::Topic {
        self.topics.push(Topic::new(name, qos, is_will));
        self.topics.len() as u32 - 1
    }

    /// Adds a client.
    pub(super) fn add_client(&mut self, name: String, durability: Durability) -> Client {
        let session = Session::new(durability);
        self.clients.push(Hearer { name, session, audiences: HashMap::new() });
        self.clients.len() as u32 - 1
    }

    /// Adds a subscription to all topic names that `matches`, after these and its clients were added. No two of one
    /// client match the same topic name.
    pub(super) fn add_audience(
        &mut self,
        name: String,
        qos: u8,
        members: &[Client],
        matches: impl Fn(&str) -> bool,
    ) -> event::Audience {
        let number = self.audiences.len() as u32;
        let topics = (0..).zip(&self.topics).filter(|(_, topic)| matches(&topic.name));
        let views: BTreeMap<_, _> = topics.map(|(topic, _)| (topic, View::default())).collect();
        for &member in members {
            let audiences = &mut self.clients[member as usize].audiences;
            for &topic in views.keys() {
                let former = audiences.insert(topic, number);
                debug_assert!(former.is_none(), "{name} overlaps with {former:?}");
            }
        }
        let claimed = members.iter().all(|&member| self.clients[member as usize].session.is_durable());
        let owner = if let [owner] = members { Some(*owner) } else { None };
        self.audiences.push(Audience { name, qos, owner, claimed, views });
        number
    }

    /// What was published to a topic name.
    pub(super) fn topic(&self, topic: event::Topic) -> &Topic {
        &self.topics[topic as usize]
    }

    /// How many topic names there are.
    pub(super) fn topics(&self) -> u32 {
        self.topics.len() as u32
    }

    /// Name of a client.
    pub(super) fn client_name(&self, client: Client) -> &str {
        &self.clients[client as usize].name
    }

    /// The QoS with which a client is to hear a topic name; none if it never subscribes there.
    pub(super) fn delivery_qos(&self, client: Client, topic: event::Topic) -> Option<u8> {
        let audience = self.clients[client as usize].audiences.get(&topic)?;
        Some(self.audiences[*audience as usize].qos.min(self.topics[topic as usize].qos))
    }

    /// Takes the next piece of the histories.
    pub(super) fn take(&mut self, at: Duration, event: Event) {
        self.at = at;
        let counts = &mut self.verdict.counts;
        match event {
            Event::Sent { topic, sequence, again } => {
                *(if again { &mut counts.published_again } else { &mut counts.published }) += 1;
                self.topics[topic as usize].sent(sequence, again);
            }
            Event::Acknowledged { topic, sequence } => {
                counts.acknowledged += 1;
                let published = &mut self.topics[topic as usize];
                counts.wills_due += u64::from(published.is_will);
                published.acknowledge(sequence);
                if let Some(retained) = self.retained.get_mut(&topic) {
                    retained.acknowledge(sequence);
                }
            }
            Event::Abandoned { topic, sequence } => {
                counts.abandoned += u64::from(!self.topics[topic as usize].is_will);
                self.topics[topic as usize].abandon(sequence);
            }
            Event::Withdrawn { topic, sequence } => self.topics[topic as usize].withdraw(sequence),
            Event::Subscribing { audience, .. } => self.each_view(audience, View::subscribing),
            Event::Subscribed { audience, .. } => {
                counts.subscribed += 1;
                self.each_view(audience, View::subscribed);
            }
            Event::Unsubscribing { audience, .. } => self.each_view(audience, View::unsubscribing),
            Event::Unsubscribed { audience, .. } => {
                counts.unsubscribed += 1;
                self.each_view(audience, View::unsubscribed);
            }
            Event::Heard { client, topic, sequence } => self.heard(client, topic, sequence),
            Event::Connected { client, present } => self.connected(at, client, present),
            Event::Away { client } => self.clients[client as usize].session.away(at),
            Event::Killed => self.clients.iter_mut().for_each(|client| client.session.killed()),
            Event::Ready => {}
        }
    }

    /// A publish with RETAIN 1 is about to be sent.
    pub(super) fn retain(&mut self, topic: event::Topic, sequence: u32, change: Change) {
        self.retained.entry(topic).or_default().sent(sequence, change);
    }

    /// How many changes of a retained message are acknowledged.
    pub(super) fn retained_acknowledged(&self, topic: event::Topic) -> usize {
        self.retained.get(&topic).map_or(0, Retained::acknowledged)
    }

    /// Whether a subscriber that asked when so many changes were acknowledged is to get a message.
    pub(super) fn has_retained(&self, topic: event::Topic, acknowledged: usize) -> bool {
        self.retained.get(&topic).is_some_and(|retained| retained.has_message(acknowledged))
    }

    /// What a new subscriber saw of a retained message.
    pub(super) fn retained_seen(&mut self, client: Client, topic: event::Topic, seen: Seen) {
        self.verdict.counts.retained_seen += 1;
        let Some((fault, what)) = self.retained.get(&topic).and_then(|retained| retained.judge(seen)) else {
            return;
        };
        let got = match seen.message {
            Some(sequence) => format!("message {sequence}, {what}"),
            None => what.into(),
        };
        let (who, name) = (self.client_name(client), &self.topics[topic as usize].name);
        let sentence = format!("{who} asked for the retained message of {name} and got {got}");
        let sequence = seen.message.or_else(|| u32::try_from(seen.acknowledged.checked_sub(1)?).ok());
        let message = sequence.map(|sequence| (topic, sequence));
        let (at, client) = (self.at, Some(client));
        self.verdict.add(Violation { fault, at, sentence, client, audience: None, message });
    }

    /// Anything else that a broker must not do.
    pub(super) fn misconduct(&mut self, client: Option<Client>, sentence: String) {
        let (fault, at) = (Fault::Conduct, self.at);
        self.verdict.add(Violation { fault, at, sentence, client, audience: None, message: None });
    }

    /// Messages that are yet to reach those whom they are promised to.
    pub(super) fn outstanding(&self) -> u64 {
        let of = |audience: &Audience| -> usize {
            let views = audience.views.iter();
            views.map(|(topic, view)| view.missing(&self.topics[*topic as usize]).len()).sum()
        };
        self.audiences.iter().filter(|audience| audience.claimed).map(|audience| of(audience) as u64).sum()
    }

    /// What was counted so far.
    pub(super) const fn counts(&self) -> &Counts {
        &self.verdict.counts
    }

    /// The verdict, where all had time to arrive: what is missing is lost.
    pub(super) fn finish(mut self) -> (Verdict, Names) {
        for (number, audience) in (0..).zip(&self.audiences).filter(|(_, audience)| audience.claimed) {
            for (&topic, view) in &audience.views {
                let name = &self.topics[topic as usize].name;
                for sequence in view.missing(&self.topics[topic as usize]) {
                    self.verdict.add(Violation {
                        fault: Fault::Lost,
                        at: self.at,
                        sentence: format!("{} never heard message {sequence} of {name}", audience.name),
                        client: audience.owner,
                        audience: Some(number),
                        message: Some((topic, sequence)),
                    });
                }
            }
        }
        let names = Names {
            topics: self.topics.into_iter().map(|topic| topic.name).collect(),
            clients: self.clients.into_iter().map(|client| client.name).collect(),
            audiences: self.audiences.into_iter().map(|audience| audience.name).collect(),
        };
        (self.verdict, names)
    }

    fn each_view(&mut self, audience: event::Audience, change: impl Fn(&mut View, &Topic)) {
        for (topic, view) in &mut self.audiences[audience as usize].views {
            change(view, &self.topics[*topic as usize]);
        }
    }

    fn connected(&mut self, at: Duration, client: Client, present: bool) {
        self.verdict.counts.connects += 1;
        self.verdict.counts.resumed += u64::from(present);
        let hearer = &mut self.clients[client as usize];
        let presence = hearer.session.connected(at, present);
        let own = |audience: &&mut Audience| audience.owner.is_some();
        let mut numbers: Vec<_> = hearer.audiences.values().copied().collect();
        numbers.sort_unstable();
        numbers.dedup();
        for &number in &numbers {
            self.audiences[number as usize].views.values_mut().for_each(|view| view.connected(client));
        }
        let what = match presence {
            Presence::Right => return,
            Presence::Ended => {
                self.verdict.counts.expired += 1;
                for number in numbers {
                    let ended = Some(&mut self.audiences[number as usize]).filter(own);
                    for (topic, view) in ended.into_iter().flat_map(|audience| &mut audience.views) {
                        view.ended(&self.topics[*topic as usize]);
                    }
                }
                return;
            }
            Presence::Forgotten => "has no session any more, which had to be there",
            Presence::Back => "has a session, which had to be gone",
        };
        let sentence = format!("{} {what}", hearer.name);
        self.verdict.add(Violation {
            fault: Fault::Session,
            at,
            sentence,
            client: Some(client),
            audience: None,
            message: None,
        });
    }

    fn heard(&mut self, client: Client, topic: event::Topic, sequence: u32) {
        let hearer = &self.clients[client as usize];
        let published = &self.topics[topic as usize];
        let number = hearer.audiences.get(&topic).copied();
        let audience = number.map(|number| &mut self.audiences[number as usize]);
        let (name, who, counts) = (&published.name, &hearer.name, &mut self.verdict.counts);
        let Some(audience) = audience.filter(|_| sequence < published.next()) else {
            let sentence = format!("{who} heard message {sequence} of {name}, which nobody can have sent it");
            return self.misconduct(Some(client), sentence);
        };
        let Some(view) = audience.views.get_mut(&topic) else { return };
        if !audience.claimed {
            counts.unclaimed += 1;
            return;
        }
        let qos = audience.qos.min(published.qos);
        let (fault, what) = match view.heard(client, sequence, published) {
            Delivery::First | Delivery::Late if published.is_withdrawn(sequence) => {
                (Fault::Will, "a will that was taken back")
            }
            Delivery::Late if audience.owner.is_some() => (Fault::OutOfOrder, "behind a later one"),
            Delivery::First | Delivery::Late => {
                counts.delivered += 1;
                counts.wills_heard += u64::from(published.is_will);
                return;
            }
            Delivery::Uninvited => (Fault::Subscription, "without a subscription"),
            Delivery::Again | Delivery::Repeated if qos == 2 => (Fault::Twice, "twice, with qos 2"),
            Delivery::Repeated => (Fault::Repeated, "twice on one connection"),
            Delivery::Again => {
                counts.duplicates += 1;
                return;
            }
        };
        let sentence = format!("{who} heard message {sequence} of {name} {what}");
        self.verdict.add(Violation {
            fault,
            at: self.at,
            sentence,
            client: Some(client),
            audience: number,
            message: Some((topic, sequence)),
        });
    }
}

/// What numbers stand for, for those who read a verdict.
#[derive(Debug, Default)]
pub(super) struct Names {
    pub topics: Vec<String>,
    pub clients: Vec<String>,
    pub audiences: Vec<String>,
}
