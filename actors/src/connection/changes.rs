//! SUBSCRIBE and UNSUBSCRIBE: sent to every topic trie they concern, answered when all have said that they are in force.

use std::collections::VecDeque;
use std::rc::Rc;

use actix::prelude::*;
use mqtt_codec::{Packet, SubAck, UnsubAck};

use super::actor::Connection;
use super::context::ConnectionContext;
use super::effects::{Change, Granted};
use super::messages::ChangeInForce;
use super::retained;
use crate::sessions::{AskedAt, Replay, client_hash};
use crate::topics::{Join, Reply, Subscribe, Unsubscribe, group_home, shared_part};

/// A SUBSCRIBE or UNSUBSCRIBE that is not in force everywhere.
#[derive(Debug)]
pub(super) struct PendingChange {
    token: u32,
    answers_missing: usize,
    change: Change,
}

impl Connection {
    /// Sends a change to every trie it concerns; it is answered when all have said that it is in force.
    pub(super) fn change(&mut self, context: &ConnectionContext, change: Change) {
        let worker = Rc::clone(&self.worker);
        let token = self.rare().next_token();
        let reply = Reply { connection: context.address(), token };
        let answers_missing = match &change {
            Change::Subscribe { granted, .. } => self.subscribe(granted, &reply),
            Change::Unsubscribe { filters, .. } => {
                let sessions = worker.sessions.borrow();
                let Some(session) = sessions.get(self.key) else { return };
                filters.iter().for_each(|filter| worker.note_subscribed(session, filter, None));
                let client = client_hash(session.client_identifier());
                let by_home = worker.by_home(filters.iter());
                for (home, filters) in &by_home {
                    let message = Unsubscribe {
                        client,
                        session: self.key,
                        filters: filters.clone().into(),
                        reply: Some(reply.clone()),
                    };
                    worker.tell_trie(*home, message);
                }
                by_home.len()
            }
        };
        let pending = PendingChange { token, answers_missing, change };
        if answers_missing == 0 {
            self.answer_change(context, token, pending.change);
        } else {
            self.rare().changes.push(pending);
        }
    }

    fn subscribe(&self, granted: &[Granted], reply: &Reply) -> usize {
        let worker = &self.worker;
        let peers = &worker.node.peers;
        let mut sessions = worker.sessions.borrow_mut();
        let Some(session) = sessions.get_mut(self.key) else { return 0 };
        let client = client_hash(session.client_identifier());
        let (mut plain, mut shared) = (VecDeque::new(), vec![VecDeque::new(); peers.len()]);
        for Granted { filter, subscription, .. } in granted {
            worker.note_subscribed(session, filter, Some(*subscription));
            let entry = (filter.clone(), *subscription);
            match shared_part(filter) {
                Some(_) => shared[usize::from(group_home(filter, peers.len()))].push_back(entry),
                None => plain.push_back(entry),
            }
        }
        let mut asked = 0;
        if !plain.is_empty() {
            let message = Subscribe { client, session: self.key, filters: plain, reply: Some(reply.clone()) };
            worker.tell_trie(worker.id, message);
            asked += 1;
        }
        for (home, filters) in shared.into_iter().enumerate().filter(|(_, filters)| !filters.is_empty()) {
            let load = session.load.get_or_insert_default().clone();
            let (online, durable) = (true, session.is_durable());
            let reply = Some(reply.clone());
            let join = Join { client, session: self.key, filters, online, durable, load, reply };
            worker.tell_trie(home as u16, join);
            asked += 1;
        }
        asked
    }

    /// SUBACK or UNSUBACK. A SUBACK waits for the first retained messages, so that they stand before whatever is
    /// published because of it.
    fn answer_change(&mut self, context: &ConnectionContext, token: u32, change: Change) {
        match change {
            Change::Subscribe { packet_identifier, granted, reasons, reason_string } => {
                let properties = reason_string.map(|text| {
                    Box::new(mqtt_codec::AckProperties {
                        reason_string: Some(text),
                        user_properties: Vec::new(),
                    })
                });
                let answer = SubAck { packet_identifier, properties, reason_codes: reasons };
                let replays = granted.into_iter().filter(|granted| granted.replay);
                let replays = replays.map(|Granted { filter, subscription, .. }| Replay {
                    filter,
                    subscription,
                    after: None,
                });
                let replays: Vec<Replay> = replays.collect();
                if replays.is_empty() || !retained::is_any_kept(&self.worker.node) {
                    return self.send(&Packet::SubAck(answer));
                }
                let Some(asked_at) = self.ask_for_first() else { return };
                retained::ask(&self.worker.node, context.address(), Some(token), asked_at, replays);
                self.rare().answers.push((token, answer));
            }
            Change::Unsubscribe { packet_identifier, reasons, .. } => {
                let packet = UnsubAck { packet_identifier, properties: None, reason_codes: reasons };
                self.send(&Packet::UnsubAck(packet));
            }
        }
    }
}

impl Connection {
    fn ask_for_first(&self) -> Option<AskedAt> {
        let mut sessions = self.worker.sessions.borrow_mut();
        let replays = sessions.get_mut(self.key)?.replays.get_or_insert_default();
        replays.first_asked += 1;
        Some(replays.ask())
    }
}

impl Handler<ChangeInForce> for Connection {
    type Result = ();

    fn handle(&mut self, in_force: ChangeInForce, context: &mut Self::Context) {
        if !self.holds_session() {
            return;
        }
        let Some(rare) = &mut self.rare else { return };
        let Some(at) = rare.changes.iter().position(|change| change.token == in_force.token) else { return };
        rare.changes[at].answers_missing -= 1;
        if rare.changes[at].answers_missing == 0 {
            let pending = rare.changes.remove(at);
            self.answer_change(context, pending.token, pending.change);
        }
    }
}
