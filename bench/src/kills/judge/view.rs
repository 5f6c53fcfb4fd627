//! What one audience is promised of one topic, and what it heard of it.

use std::collections::BTreeMap;

use super::topic::Topic;
use crate::kills::{event::Client, sequences::Sequences};

/// A subscription from SUBSCRIBE to UNSUBACK, in sequence numbers of one topic.
#[derive(Debug)]
struct Period {
    /// Messages from here on may arrive: those before were acknowledged before the SUBSCRIBE was sent.
    may_from: u32,
    /// Messages from here on have to arrive: they were sent behind the SUBACK.
    must_from: Option<u32>,
    /// Of those, only the ones that were acknowledged as the UNSUBSCRIBE was sent.
    leaving: Option<Promised>,
    /// Messages from here on must not arrive: they were sent behind the UNSUBACK.
    may_to: Option<u32>,
}

/// What was acknowledged at some moment.
#[derive(Debug)]
struct Promised {
    /// All before this one, but those that never will be.
    below: u32,
    /// And these.
    others: Vec<u32>,
}

/// What a delivery was.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Delivery {
    /// The first copy, in order.
    First,
    /// The first copy, behind that of a later message.
    Late,
    /// It was heard before, on another connection or because it was sent again.
    Again,
    /// It was heard before on this connection, and was sent no second time.
    Repeated,
    /// It was sent when there was no subscription.
    Uninvited,
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct View {
    heard: Sequences,
    /// What each client heard on its connection.
    on_connection: BTreeMap<Client, Sequences>,
    /// The highest that was heard.
    highest: Option<u32>,
    periods: Vec<Period>,
}

impl View {
    /// SUBSCRIBE was sent. One that is sent again, or by another member, changes nothing.
    pub(super) fn subscribing(&mut self, topic: &Topic) {
        if self.open().is_none() {
            let may_from = topic.answered();
            self.periods.push(Period { may_from, must_from: None, leaving: None, may_to: None });
        }
    }

    /// SUBACK.
    pub(super) fn subscribed(&mut self, topic: &Topic) {
        let next = topic.next();
        if let Some(period) = self.open() {
            period.must_from.get_or_insert(next);
        }
    }

    /// UNSUBSCRIBE was sent.
    pub(super) fn unsubscribing(&mut self, topic: &Topic) {
        if let Some(period) = self.open()
            && period.leaving.is_none()
        {
            let below = topic.answered();
            let others = (below..topic.next()).filter(|&it| topic.is_acknowledged(it)).collect();
            period.leaving = Some(Promised { below, others });
        }
    }

    /// UNSUBACK.
    pub(super) fn unsubscribed(&mut self, topic: &Topic) {
        let next = topic.next();
        if let Some(period) = self.open() {
            period.may_to = Some(next);
        }
    }

    /// The session ended as it was asked to: what it has not heard it never will.
    pub(super) fn ended(&mut self, topic: &Topic) {
        let next = topic.next();
        for period in &mut self.periods {
            period.must_from = None;
            period.may_to.get_or_insert(next);
        }
    }

    /// A client begins another connection.
    pub(super) fn connected(&mut self, client: Client) {
        if let Some(heard) = self.on_connection.get_mut(&client) {
            heard.clear();
        }
    }

    /// A message is here.
    pub(super) fn heard(&mut self, client: Client, sequence: u32, topic: &Topic) -> Delivery {
        let on_connection = self.on_connection.entry(client).or_default();
        let fresh_here = on_connection.insert(sequence);
        let invited = |period: &Period| {
            period.may_from <= sequence && period.may_to.is_none_or(|may_to| sequence < may_to)
        };
        if !self.periods.iter().any(invited) {
            return Delivery::Uninvited;
        }
        if self.heard.insert(sequence) {
            let late = self.highest.is_some_and(|highest| sequence < highest);
            self.highest = self.highest.max(Some(sequence));
            return if late { Delivery::Late } else { Delivery::First };
        }
        if fresh_here || topic.was_sent_again(sequence) { Delivery::Again } else { Delivery::Repeated }
    }

    /// What was promised and is not here, in order.
    pub(super) fn missing(&self, topic: &Topic) -> Vec<u32> {
        let mut missing = Vec::new();
        for period in &self.periods {
            let Some(from) = period.must_from else { continue };
            let to = period.leaving.as_ref().map_or(topic.next(), |leaving| leaving.below);
            if from < to {
                missing.extend(topic.acknowledged().beyond(&self.heard, from..to));
            }
            let others = period.leaving.iter().flat_map(|leaving| &leaving.others);
            missing.extend(others.filter(|&&it| it >= from && !self.heard.contains(it)));
        }
        missing
    }

    /// The subscription that there is, or may be.
    fn open(&mut self) -> Option<&mut Period> {
        self.periods.last_mut().filter(|period| period.may_to.is_none())
    }
}
