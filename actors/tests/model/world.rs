//! The model of a node's promises: which session is to get which copy of which message.

use std::collections::BTreeMap;
use std::time::Duration;

use micro_mq_actors::simulation::{SimulatedClient, SimulatedNode};
use mqtt_codec::{QoS, ReasonCode, RetainHandling, SubscriptionOptions};
use tokio::time::Instant;

use super::client::{Client, Link};
use super::message::{Copy, GroupEntry, How, Instance, Message, Place};
use super::random::Random;
use super::session::Session;
use super::topics::{SHARED, is_shared, matches, plain};

/// What the node may keep as the retained message of a topic name.
#[derive(Debug, Clone)]
pub(crate) struct Candidate {
    /// None: nothing.
    pub(crate) message: Option<usize>,
    pub(crate) instance: Option<usize>,
    /// It may have been given before, and others since.
    pub(crate) again: bool,
    pub(crate) client: usize,
    pub(crate) round: u32,
}

/// A subscription of this round that asked for retained messages.
#[derive(Debug)]
pub(crate) struct Asked {
    pub(crate) client: usize,
    pub(crate) session: u64,
    pub(crate) link: u64,
    pub(crate) filter: &'static str,
    pub(crate) options: SubscriptionOptions,
    pub(crate) identifier: u32,
    /// The node sends them for sure if it hears the SUBSCRIBE.
    pub(crate) certain: bool,
}

/// A network connection that the client has given up.
#[derive(Debug)]
pub(crate) struct Ghost {
    pub(crate) wire: SimulatedClient,
    pub(crate) since: Instant,
}

/// See the module.
pub(crate) struct World<'a> {
    pub(crate) node: &'a mut SimulatedNode,
    pub(crate) random: Random,
    pub(crate) round: u32,
    pub(crate) clients: Vec<Client>,
    pub(crate) ghosts: Vec<Ghost>,
    pub(crate) messages: Vec<Message>,
    pub(crate) instances: Vec<Instance>,
    pub(crate) groups: BTreeMap<&'static str, Vec<GroupEntry>>,
    pub(crate) retained: BTreeMap<&'static str, Vec<Candidate>>,
    pub(crate) asked: Vec<Asked>,
    /// The node's limits are so low that it drops messages.
    pub(crate) lossy: bool,
    /// There is little room between workers.
    is_tight: bool,
    pub(crate) merges: bool,
    /// Topic tries panic now and then.
    pub(crate) breaks: bool,
    /// Of two CONNECTs the one sent later may be there first: each asks the auth actor, and as many questions as it has
    /// reasons to, or workers are interleaved.
    pub(crate) overtakes: bool,
    pub(crate) is_traced: bool,
    /// What SUBACK and UNSUBACK must say, by packet identifier and network connection.
    pub(crate) changes: BTreeMap<(u16, u64), Vec<Option<ReasonCode>>>,
    /// For each group the round in which a member's network connection ended last, and the lowest QoS of such a member.
    pub(crate) left: BTreeMap<&'static str, (u32, QoS)>,
    numbers: u64,
}

impl<'a> World<'a> {
    pub(crate) fn new(node: &'a mut SimulatedNode, mut random: Random, is_traced: bool) -> Self {
        let breaks = random.percent(10);
        let settings = node.shared().settings.clone();
        let overtakes = node.shared().policy.current().authorizes || node.is_interleaved();
        Self {
            node,
            random,
            round: 1,
            clients: Vec::new(),
            ghosts: Vec::new(),
            messages: Vec::new(),
            instances: Vec::new(),
            groups: BTreeMap::new(),
            retained: BTreeMap::new(),
            asked: Vec::new(),
            lossy: settings.session.queue_messages_max < 1000
                || settings.session.queue_bytes_max < 100_000
                || settings.node.outbox_bytes_max < 100_000,
            breaks,
            overtakes,
            is_tight: settings.node.messages_between_workers_max < 1000,
            merges: settings.mqtt.merge_overlapping_subscriptions,
            is_traced,
            changes: BTreeMap::new(),
            left: BTreeMap::new(),
            numbers: 0,
        }
    }

    pub(crate) fn number(&mut self) -> u64 {
        self.numbers += 1;
        self.numbers
    }

    pub(crate) fn link(&mut self, client: usize) -> &mut Link {
        self.clients[client].link.as_mut().expect("only asked for while there is one")
    }

    pub(crate) fn trace(&self, line: impl FnOnce() -> String) {
        if self.is_traced {
            println!("{:4} {}", self.round, line());
        }
    }

    // === publishing ===

    /// The node is given a message: notes the copies that must or may arrive.
    pub(crate) fn route(&mut self, message: usize, publisher: Option<(usize, u64)>, certain: bool) -> usize {
        let instance = self.instances.len();
        let (published, now) = (self.messages[message].clone(), Instant::now());
        let mut copies = Vec::new();
        for index in 0..self.clients.len() {
            let (hows, is_sure) = self.wanted(index, &published, publisher);
            let Some(session) = &self.clients[index].session else { continue };
            let number = session.number;
            for how in hows {
                let is_certain = certain && is_sure && self.is_certain_for(index, &published, how.qos);
                let place = self.expect(index, instance, message, how, is_certain, None);
                copies.push((Place::Session { client: index, session: number, copy: place }, is_certain));
            }
        }
        for filter in SHARED.into_iter().filter(|filter| matches(plain(filter), published.topic)) {
            if let Some(is_certain) = self.group_certainty(filter, &published) {
                let entries = self.groups.entry(filter).or_default();
                let certain = certain && is_certain;
                entries.push(GroupEntry { instance, message, certain, received: false, loose: false });
                copies.push((Place::Group { filter, entry: entries.len() - 1 }, certain));
            }
        }
        if published.retain {
            let message = (!published.payload.is_empty()).then_some(message);
            let client = publisher.map_or(usize::MAX, |(client, _)| client);
            let candidate =
                Candidate { message, instance: Some(instance), again: false, client, round: self.round };
            self.retain(published.topic, candidate);
        }
        self.trace(|| format!("  instance {instance} of {published:?}: {copies:?}"));
        let at = (published.at, now);
        self.instances.push(Instance { message, round: self.round, at, certain, copies });
        instance
    }

    /// How a client's subscriptions want a message, and whether that is all for sure.
    pub(crate) fn wanted(
        &self,
        client: usize,
        message: &Message,
        publisher: Option<(usize, u64)>,
    ) -> (Vec<How>, bool) {
        let Some(session) = &self.clients[client].session else { return (Vec::new(), true) };
        let is_own = publisher == Some((client, session.number));
        let (mut sure, mut unsure) = (Vec::new(), Vec::new());
        for (filter, variants) in &session.subscriptions {
            if is_shared(filter) || !matches(filter, message.topic) {
                continue;
            }
            let is_sure = matches!(&variants[..], [only] if only.asked.is_none() && only.round < self.round);
            for (options, identifier) in variants.iter().filter_map(|variant| variant.wanted) {
                if is_own && options.no_local {
                    continue;
                }
                let how = how(message, options, identifier);
                if is_sure { sure.push(how) } else { unsure.push(how) }
            }
        }
        let is_sure = unsure.is_empty();
        if !self.merges {
            sure.extend(unsure);
            return (sure, is_sure);
        }
        unsure.truncate(UNSURE_MAX);
        let mut hows: Vec<How> = (0..1 << unsure.len())
            .filter_map(|chosen: usize| {
                let extra = unsure.iter().enumerate().filter(|(at, _)| chosen & 1 << at != 0);
                merge(sure.iter().chain(extra.map(|(_, how)| how)))
            })
            .collect();
        hows.sort();
        hows.dedup();
        (hows, is_sure)
    }

    pub(crate) fn is_certain_for(&self, client: usize, message: &Message, qos: QoS) -> bool {
        let client = &self.clients[client];
        let Some(session) = &client.session else { return false };
        let is_steady = client.link.as_ref().is_some_and(|link| link.is_steady());
        let arrives = match qos {
            QoS::AtMostOnce => is_steady,
            _ => is_steady || session.expiry > 0,
        };
        arrives && !session.doubtful && !self.lossy && fits(client, message)
    }

    pub(crate) fn expect(
        &mut self,
        client: usize,
        instance: usize,
        message: usize,
        how: How,
        certain: bool,
        replay: Option<&'static str>,
    ) -> usize {
        let session = self.clients[client].session.as_mut().expect("it was looked at");
        let order = (instance, instance);
        session.copies.push(Copy { instance, order, message, how, certain, received: false, replay });
        session.copies.len() - 1
    }

    /// Whether one member of a group gets a message for sure; none if nobody can.
    pub(crate) fn group_certainty(&self, filter: &'static str, message: &Message) -> Option<bool> {
        // A member that left in this round may get it, for all that the node knows, and QoS 0 is lost with it.
        let is_lost =
            |(round, qos): &(u32, QoS)| *round == self.round && (*qos).min(message.qos) == QoS::AtMostOnce;
        let mut is_certain = !self.lossy && !self.left.get(filter).is_some_and(is_lost);
        let mut found = false;
        for client in &self.clients {
            let Some(session) = &client.session else { continue };
            let Some(variants) = session.subscriptions.get(filter) else { continue };
            let wanted: Vec<_> = variants.iter().filter_map(|variant| variant.wanted).collect();
            if wanted.is_empty() {
                continue;
            }
            found = true;
            is_certain &= matches!(&variants[..], [only] if only.asked.is_none() && only.round < self.round);
            is_certain &= !session.doubtful && fits(client, message);
            let is_steady = client.link.as_ref().is_some_and(|link| link.is_steady());
            let at_most_once =
                wanted.iter().any(|(options, _)| options.qos.min(message.qos) == QoS::AtMostOnce);
            // QoS 0 does not wait for room between workers.
            is_certain &=
                if at_most_once { is_steady && !self.is_tight } else { is_steady || session.expiry > 0 };
        }
        found.then_some(is_certain)
    }

    /// The node may not have had this.
    pub(crate) fn doubt_instance(&mut self, instance: usize) {
        self.instances[instance].certain = false;
        for (place, _) in self.instances[instance].copies.clone() {
            match place {
                Place::Session { client, session, copy } => {
                    if let Some(session) = self.session(client, session) {
                        session.copies[copy].certain = false;
                    }
                }
                Place::Group { filter, entry } => {
                    if let Some(entries) = self.groups.get_mut(filter) {
                        entries[entry].certain = false;
                    }
                }
            }
        }
    }

    /// A QoS 2 message that was sent again is acknowledged: the node had it then, or before.
    pub(crate) fn confirm(&mut self, instance: usize) {
        if std::mem::replace(&mut self.instances[instance].certain, true) {
            return;
        }
        let round = self.instances[instance].round;
        for (place, was_certain) in self.instances[instance].copies.clone() {
            let Place::Session { client, session, copy } = place else { continue };
            let Some(session) = self.session(client, session) else { continue };
            let is_unchanged = session.changed < round;
            let copy = &mut session.copies[copy];
            copy.certain |= was_certain && is_unchanged && copy.how.qos > QoS::AtMostOnce;
        }
    }

    /// A QoS 2 message is sent again, and the node may have it only now: whoever subscribed since may get it.
    pub(crate) fn route_again(&mut self, instance: usize, publisher: (usize, u64)) {
        let (message, round) = (self.instances[instance].message, self.instances[instance].round);
        let published = self.messages[message].clone();
        self.instances[instance].at.1 = Instant::now();
        for index in 0..self.clients.len() {
            let (hows, _) = self.wanted(index, &published, Some(publisher));
            let Some(session) = &self.clients[index].session else { continue };
            let number = session.number;
            let order = self.instances.len();
            let session = self.clients[index].session.as_mut().expect("it was just there");
            let earlier = session.copies.iter_mut().filter(|copy| copy.instance == instance);
            let has_one = earlier.map(|copy| copy.order.1 = order).count() > 0;
            let is_unchanged = session.changed < round;
            if has_one && is_unchanged {
                continue;
            }
            for how in hows {
                let copy = self.expect(index, instance, message, how, false, None);
                let session = self.clients[index].session.as_mut().expect("it was just there");
                session.copies[copy].order = (order, order);
                let place = Place::Session { client: index, session: number, copy };
                self.instances[instance].copies.push((place, false));
            }
        }
        for filter in SHARED.into_iter().filter(|filter| matches(plain(filter), published.topic)) {
            let has_one =
                self.groups.get(filter).into_iter().flatten().any(|entry| entry.instance == instance);
            if !has_one && self.group_certainty(filter, &published).is_some() {
                let entry = GroupEntry { instance, message, certain: false, received: false, loose: false };
                self.groups.entry(filter).or_default().push(entry);
            }
        }
        if published.retain {
            let message = (!published.payload.is_empty()).then_some(message);
            let candidate = Candidate {
                message,
                instance: Some(instance),
                again: true,
                client: publisher.0,
                round: self.round,
            };
            self.retain(published.topic, candidate);
        }
    }

    pub(crate) fn session(&mut self, client: usize, number: u64) -> Option<&mut Session> {
        self.clients[client].session.as_mut().filter(|session| session.number == number)
    }
}

/// Subscriptions of which a session may have any and get one copy for all.
const UNSURE_MAX: usize = 7;

/// How exactly the node keeps the time.
pub(crate) const MARGIN: Duration = Duration::from_millis(300);

/// Whether a message surely is below a client's maximum packet size.
fn fits(client: &Client, message: &Message) -> bool {
    let bytes = message.topic.len() + message.payload.len() + 60;
    client.packet_bytes_max.is_none_or(|max| bytes <= max as usize)
}

pub(crate) fn how(message: &Message, options: SubscriptionOptions, identifier: u32) -> How {
    How {
        qos: message.qos.min(options.qos),
        retain: message.retain && options.retain_as_published,
        identifiers: if identifier == 0 { Vec::new() } else { vec![identifier] },
    }
}

/// One copy in place of several.
fn merge<'h>(hows: impl Iterator<Item = &'h How>) -> Option<How> {
    hows.cloned().reduce(|mut merged, how| {
        merged.qos = merged.qos.max(how.qos);
        merged.retain |= how.retain;
        merged.identifiers.extend(how.identifiers);
        merged.identifiers.sort_unstable();
        merged
    })
}

/// Whether a SUBSCRIBE asks for retained messages; none if that depends on what the node heard before.
pub(crate) fn asks_for_retained(handling: RetainHandling, existed: Option<bool>) -> Option<bool> {
    match (handling, existed) {
        (RetainHandling::SendAtSubscribe, _) => Some(true),
        (RetainHandling::DoNotSend, _) => Some(false),
        (RetainHandling::SendIfNew, existed) => existed.map(|existed| !existed),
    }
}
