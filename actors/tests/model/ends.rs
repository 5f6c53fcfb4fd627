//! What ends: network connections, sessions, and with them the certainty of what they were to get.

use micro_mq_actors::simulation::SimulatedClient;
use mqtt_codec::QoS;
use tokio::time::Instant;

use super::message::Message;
use super::session::Will;
use super::topics::is_shared;
use super::world::World;

impl World<'_> {
    /// Publishes a will now.
    pub(crate) fn publish_will(
        &mut self,
        client: usize,
        session: u64,
        will: Will,
        at: Instant,
        certain: bool,
    ) {
        self.trace(|| format!("  will of {}: {:?}", self.clients[client].name, will.message));
        let message = Message { at, ..will.message };
        self.messages.push(message);
        self.route(self.messages.len() - 1, Some((client, session)), certain);
    }

    /// The session of a client ends.
    pub(crate) fn end_session(&mut self, client: usize) {
        self.remember(client);
        self.loosen(client);
        let Some(session) = self.clients[client].session.take() else { return };
        for filter in session.subscriptions.keys().copied().filter(|filter| is_shared(filter)) {
            self.doubt_group(filter);
        }
        let will = session.will.map(|will| (will, !session.doubtful));
        let doubtful_wills = session.doubtful_wills.into_iter().map(|will| (will, false));
        for (will, certain) in will.into_iter().chain(doubtful_wills) {
            self.publish_will(client, session.number, will, Instant::now(), certain);
        }
    }

    /// The members of a group change: what waits for them may be dropped.
    pub(crate) fn doubt_group(&mut self, filter: &'static str) {
        for entry in self.groups.entry(filter).or_default() {
            entry.certain = false;
        }
    }

    /// What a client has of shared groups and has not acknowledged may go to others.
    pub(crate) fn loosen(&mut self, client: usize) {
        let Some(session) = &self.clients[client].session else { return };
        for held in session.inflight.values().filter(|held| held.qos == QoS::AtLeastOnce) {
            if let Some((filter, entry)) = held.group
                && let Some(entries) = self.groups.get_mut(filter)
            {
                entries[entry].loose = true;
            }
        }
    }

    /// What a client may have got of shared groups with QoS 0, and did not receive, is lost with its network connection.
    pub(crate) fn doubt_at_most_once(&mut self, client: usize) {
        let Some(session) = &self.clients[client].session else { return };
        for (filter, options, _) in session.memberships.clone() {
            let left = self.left.entry(filter).or_insert((self.round, options.qos));
            let lowest = if left.0 == self.round { left.1.min(options.qos) } else { options.qos };
            *left = (self.round, lowest);
            for entry in self.groups.get_mut(filter).into_iter().flatten() {
                let qos = self.messages[entry.message].qos.min(options.qos);
                entry.certain &= qos > QoS::AtMostOnce || entry.received;
            }
        }
    }

    /// A network connection of a client ended.
    pub(crate) fn lose_link(
        &mut self,
        client: usize,
        publishes_will: bool,
        from: Instant,
        to: Instant,
    ) -> SimulatedClient {
        self.trace(|| format!("  {} lost its network connection", self.clients[client].name));
        self.remember(client);
        self.loosen(client);
        self.doubt_at_most_once(client);
        let link = self.clients[client].link.take().expect("there was one");
        let pending = self.clients[client].outgoing.iter().filter(|outgoing| !outgoing.recorded);
        let pending: Vec<usize> = pending.filter_map(|outgoing| outgoing.instance).collect();
        pending.into_iter().chain(link.fresh).for_each(|instance| self.doubt_instance(instance));
        let session = self.clients[client].session.as_mut().expect("a network connection has a session");
        session.doubt(|copy| copy.how.qos == QoS::AtMostOnce);
        session.offline = Some((from, to));
        session.was_cut_off = false;
        let (number, expiry) = (session.number, session.expiry);
        match link.will.filter(|_| publishes_will) {
            Some(will) if expiry == 0 || will.delay == 0 => {
                self.publish_will(client, number, will, from, true)
            }
            will => self.clients[client].session.as_mut().expect("as before").will = will,
        }
        if expiry == 0 {
            self.end_session(client);
        }
        link.wire
    }
}
