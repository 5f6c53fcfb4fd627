//! What clients subscribe to and unsubscribe from, at random.

use std::num::NonZeroU32;

use mqtt_codec::{
    Packet, PacketIdentifier, ProtocolVersion, QoS, ReasonCode, RetainHandling, Subscribe,
    SubscriptionFilter, SubscriptionOptions, Unsubscribe,
};

use super::session::{Session, Variant};
use super::topics::{FILTERS, SHARED, is_shared};
use super::world::{Asked, World, asks_for_retained};

impl World<'_> {
    pub(crate) fn filters(&mut self, client: usize, count: usize) -> Vec<&'static str> {
        let shares = self.clients[client].shares;
        let is_v5 = self.clients[client].version == ProtocolVersion::V5;
        let mut filters = Vec::new();
        for _ in 0..count {
            let of_groups = shares && (!is_v5 || self.random.percent(40));
            let filter = match of_groups {
                // Without subscription identifiers, two groups could not be told apart.
                true if !is_v5 => SHARED[client % SHARED.len()],
                true => self.random.pick(&SHARED),
                false => self.random.pick(&FILTERS),
            };
            if !filters.contains(&filter) {
                filters.push(filter);
            }
        }
        filters
    }

    pub(crate) fn subscribe(&mut self, client: usize) {
        let count = 1 + self.random.below(3);
        let filters = self.filters(client, count);
        let link = self.link(client).number;
        let identifier = self.clients[client].next_identifier();
        let is_v5 = self.clients[client].version == ProtocolVersion::V5;
        let subscription_identifier = match is_v5 && self.random.percent(50) {
            true => 1 + self.random.below(20) as u32,
            false => 0,
        };
        let is_shared_packet = is_shared(filters[0]);
        let mut filters: Vec<_> =
            filters.into_iter().filter(|filter| is_shared(filter) == is_shared_packet).collect();
        // By its identifier, what comes through a group is told from the rest.
        let subscription_identifier = match SHARED.iter().position(|filter| filters[0] == *filter) {
            Some(at) if is_v5 => {
                filters.truncate(1);
                200 + at as u32
            }
            _ => subscription_identifier,
        };
        let (mut asked, mut reasons) = (Vec::new(), Vec::new());
        for filter in filters {
            let options = self.options(is_v5, is_shared_packet);
            reasons.push(Some(match options.qos {
                QoS::AtMostOnce => ReasonCode::Success,
                QoS::AtLeastOnce => ReasonCode::GrantedQoS1,
                QoS::ExactlyOnce => ReasonCode::GrantedQoS2,
            }));
            asked.push((SubscriptionFilter::parse(filter).expect("one of the pool"), options));
            self.note_subscribed(client, filter, options, subscription_identifier, (identifier, link));
        }
        let packet = Packet::Subscribe(Subscribe {
            packet_identifier: PacketIdentifier::new(identifier).expect("it counts from 1"),
            subscription_identifier: NonZeroU32::new(subscription_identifier),
            user_properties: Vec::new(),
            filters: asked,
        });
        self.changes.insert((identifier, link), reasons);
        self.trace(|| format!("{} > {packet:?}", self.clients[client].name));
        self.link(client).send(&packet);
    }

    pub(crate) fn options(&mut self, is_v5: bool, is_shared: bool) -> SubscriptionOptions {
        let qos = self.random.pick(&[QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce, QoS::ExactlyOnce]);
        if !is_v5 {
            return qos.into();
        }
        SubscriptionOptions {
            qos,
            no_local: !is_shared && self.random.percent(20),
            retain_as_published: self.random.percent(40),
            retain_handling: self.random.pick(&[
                RetainHandling::SendAtSubscribe,
                RetainHandling::SendIfNew,
                RetainHandling::DoNotSend,
            ]),
        }
    }

    pub(crate) fn note_subscribed(
        &mut self,
        index: usize,
        filter: &'static str,
        options: SubscriptionOptions,
        identifier: u32,
        asked: (u16, u64),
    ) {
        if is_shared(filter) {
            self.doubt_group(filter);
        }
        let round = self.round;
        let session = self.clients[index].session.as_mut().expect("a network connection has a session");
        session.changed = round;
        let existed = existed(session, filter, asked.1);
        session.doubt(|copy| copy.replay == Some(filter));
        let variants = session.subscriptions.entry(filter).or_default();
        if variants.is_empty() {
            variants.push(Variant { wanted: None, asked: None, round });
        }
        variants.push(Variant { wanted: Some((options, identifier)), asked: Some(asked), round });
        if is_shared(filter) {
            session.memberships.push((filter, options, identifier));
            return self.race(index, filter);
        }
        let (session, wants) = (session.number, asks_for_retained(options.retain_handling, existed));
        if wants != Some(false) {
            let certain = wants == Some(true);
            self.asked.push(Asked {
                client: index,
                session,
                link: asked.1,
                filter,
                options,
                identifier,
                certain,
            });
        }
        self.race(index, filter);
    }

    pub(crate) fn unsubscribe(&mut self, client: usize) {
        let count = 1 + self.random.below(2);
        let mut filters = self.filters(client, count);
        // Rather one that there is.
        if let Some(session) = &self.clients[client].session
            && !session.subscriptions.is_empty()
        {
            let at = self.random.below(session.subscriptions.len());
            let filter = *session.subscriptions.keys().nth(at).expect("so many there are");
            if !filters.contains(&filter) {
                filters.push(filter);
            }
        }
        let link = self.link(client).number;
        let identifier = self.clients[client].next_identifier();
        let round = self.round;
        let mut reasons = Vec::new();
        for filter in &filters {
            if is_shared(filter) {
                self.doubt_group(filter);
                self.loosen(client);
            }
            let session = self.clients[client].session.as_mut().expect("a network connection has a session");
            session.changed = round;
            session.doubt(|copy| copy.replay == Some(filter));
            reasons.push(existed(session, filter, link).map(|existed| match existed {
                true => ReasonCode::Success,
                false => ReasonCode::NoSubscriptionExisted,
            }));
            let variants = session.subscriptions.entry(filter).or_default();
            if variants.is_empty() {
                variants.push(Variant { wanted: None, asked: None, round });
            }
            variants.push(Variant { wanted: None, asked: Some((identifier, link)), round });
            self.race(client, filter);
        }
        let packet = Packet::Unsubscribe(Unsubscribe {
            packet_identifier: PacketIdentifier::new(identifier).expect("it counts from 1"),
            user_properties: Vec::new(),
            filters: filters
                .iter()
                .map(|filter| SubscriptionFilter::parse(filter).expect("one of the pool"))
                .collect(),
        });
        self.changes.insert((identifier, link), reasons);
        self.trace(|| format!("{} > {packet:?}", self.clients[client].name));
        self.link(client).send(&packet);
    }
}

/// Whether a subscription exists when what this network connection sent before is done; none if nobody knows.
fn existed(session: &Session, filter: &str, link: u64) -> Option<bool> {
    let Some(last) = session.subscriptions.get(filter).and_then(|variants| variants.last()) else {
        return Some(false);
    };
    match last.asked {
        Some((_, other)) if other != link => None,
        _ => Some(last.wanted.is_some()),
    }
}
