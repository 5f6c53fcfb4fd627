//! Compares what was received with what was sent.
//!
//! For each subscription, from its first SUBSCRIBE to its UNSUBSCRIBE, and each topic name:
//! - what is retained comes before what is published behind the subscription, once for each SUBSCRIBE that asks for it, and
//!   nothing that is known to be superseded [MQTT-3.3.1-9 to MQTT-3.3.1-12];
//! - what is published before the subscription does not come as it is published, what is published behind it comes so
//!   once [MQTT-3.3.5-1], and what nobody can tell comes one way, not both;
//! - what one client publishes, wills included, comes in order, QoS 0 and the others each for themselves [MQTT-4.6.0-5];
//! - nothing comes that was published behind the UNSUBSCRIBE [MQTT-3.10.4-2].
//!
//! Not judged, since MQTT leaves it open: the order of what different clients publish and nobody has seen before the other,
//! and that of messages of different QoS. [MQTT-4.6.0-5] is about one topic name and one QoS: QoS 0 may overtake what was
//! published before it, has to be acknowledged and waits for its place.

use std::collections::BTreeMap;

use mqtt_codec::{QoS, RetainHandling};

use super::history::{History, Received, Wanted};
use crate::topics::matches;

type Verdict = Result<(), String>;

/// A subscription from its first SUBSCRIBE to its end.
#[derive(Debug, Default)]
struct Subscription {
    client: usize,
    session: u64,
    filter: &'static str,
    /// By their places in the history.
    subscribes: Vec<usize>,
    unsubscribe: Option<usize>,
    /// Of one of its changes nobody knows whether the node had it.
    is_doubtful: bool,
}

/// What is known of one topic name of a subscription.
struct Case<'a> {
    history: &'a History,
    subscription: &'a Subscription,
    /// What was published to it, in the order of each client.
    published: &'a [usize],
    received: Vec<&'a Received>,
    /// The network connection of its session at the end, if that is there.
    open: Option<u64>,
}

/// Judges a run. `open` has the session that each client has at the end, and its network connection.
pub(super) fn judge(history: &History, open: &[Option<(u64, u64)>]) -> Verdict {
    let subscriptions = subscriptions(history);
    let mut of_request = BTreeMap::new();
    for (at, subscription) in subscriptions.iter().enumerate() {
        subscription.subscribes.iter().for_each(|request| _ = of_request.insert(*request, at));
    }
    let mut published: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    for (at, message) in history.published.iter().enumerate() {
        published.entry(message.topic).or_default().push(at);
    }
    let mut received: BTreeMap<(usize, usize), Vec<&Received>> = BTreeMap::new();
    for one in &history.received {
        let of = of_request.get(&one.through).ok_or_else(|| format!("through no subscription: {one:?}"))?;
        let subscription = &subscriptions[*of];
        let is_its = subscription.client == one.client && subscription.session == one.session;
        if !is_its || !matches(subscription.filter, &history.topics[one.topic]) {
            return Err(format!("through a subscription that it is not for: {one:?}, {subscription:?}"));
        }
        received.entry((*of, one.topic)).or_default().push(one);
    }
    for (at, subscription) in subscriptions.iter().enumerate().filter(|(_, one)| !one.is_doubtful) {
        for (topic, published) in &published {
            if !matches(subscription.filter, &history.topics[*topic]) {
                continue;
            }
            let received = received.remove(&(at, *topic)).unwrap_or_default();
            let open = open[subscription.client].filter(|(session, _)| *session == subscription.session);
            let open = open.map(|(_, link)| link);
            let case = Case { history, subscription, published, received, open };
            case.judge().map_err(|wrong| {
                format!(
                    "client {}, {}: {wrong}\n{}",
                    subscription.client,
                    history.topics[*topic],
                    case.shown()
                )
            })?;
        }
    }
    Ok(())
}

fn subscriptions(history: &History) -> Vec<Subscription> {
    let mut all: Vec<Subscription> = Vec::new();
    let mut open: BTreeMap<(u64, &str), usize> = BTreeMap::new();
    for (at, request) in history.requests.iter().enumerate() {
        let key = (request.session, request.filter);
        match (request.wanted, open.get(&key).copied()) {
            (Some(_), Some(of)) => {
                all[of].subscribes.push(at);
                all[of].is_doubtful |= request.is_doubtful;
            }
            (Some(_), None) => {
                // Behind a doubtful end nobody knows whether it is a new one.
                let before = all.iter().rev().find(|one| (one.session, one.filter) == key);
                let is_doubtful = request.is_doubtful || before.is_some_and(|one| one.is_doubtful);
                open.insert(key, all.len());
                all.push(Subscription {
                    client: request.client,
                    session: request.session,
                    filter: request.filter,
                    subscribes: vec![at],
                    unsubscribe: None,
                    is_doubtful,
                });
            }
            (None, Some(of)) => {
                all[of].unsubscribe = Some(at);
                all[of].is_doubtful |= request.is_doubtful;
                open.remove(&key);
            }
            (None, None) => {}
        }
    }
    all
}

impl Case<'_> {
    fn judge(&self) -> Verdict {
        let mut seen: Vec<&Received> = Vec::new();
        for received in &self.received {
            if let Some(message) = received.message {
                self.judge_message(received, message)?;
                match received.is_replay {
                    true => self.judge_replay(received, message, &seen)?,
                    false => self.judge_live(received, message, &seen)?,
                }
            } else if received.is_replay {
                return Err(format!("nothing came as a retained message: {received:?}"));
            }
            seen.push(received);
        }
        self.judge_complete()?;
        self.judge_gaps()
    }

    fn first(&self) -> usize {
        self.subscription.subscribes[0]
    }

    fn wanted(&self, request: usize) -> Wanted {
        self.history.requests[request].wanted.expect("it subscribes")
    }

    /// It was sent, to this topic name, and comes with the right QoS.
    fn judge_message(&self, received: &Received, message: usize) -> Verdict {
        let published = self.history.published.get(message).ok_or("a message of nobody")?;
        if published.topic != received.topic || published.sent > received.at {
            return Err(format!("it was never published so: {received:?}, {published:?}"));
        }
        let qos = published.qos.min(self.wanted(received.through).qos);
        let may_be_older = self.subscription.subscribes.iter().any(|request| {
            *request < received.through && published.qos.min(self.wanted(*request).qos) == received.qos
        });
        if received.qos != qos && (received.is_replay || !may_be_older) {
            return Err(format!("{qos:?} was expected: {received:?}"));
        }
        Ok(())
    }

    // === retained messages ===

    fn asks_for_retained(&self, request: usize) -> bool {
        match self.wanted(request).retain_handling {
            RetainHandling::SendAtSubscribe => true,
            RetainHandling::SendIfNew => request == self.first(),
            RetainHandling::DoNotSend => false,
        }
    }

    fn judge_replay(&self, received: &Received, message: usize, seen: &[&Received]) -> Verdict {
        let (history, request) = (self.history, received.through);
        if !self.asks_for_retained(request) {
            return Err(format!("a retained message that nobody asked for: {received:?} [MQTT-3.3.1-10]"));
        }
        if !history.published[message].retain {
            return Err(format!("it is not retained: {received:?}"));
        }
        if history.is_asked_before(request, message) {
            return Err(format!(
                "published behind the subscription, and comes as a retained message: {received:?}"
            ));
        }
        let supersedes = |other: usize| {
            let one = &history.published[other];
            one.retain
                && one.is_certain
                && history.is_before(message, other)
                && history.is_published_before(other, request)
        };
        if let Some(other) = self.published.iter().find(|other| supersedes(**other)) {
            return Err(format!("a retained message that p{other} supersedes: {received:?}"));
        }
        for other in seen {
            if other.is_replay && other.through == request {
                return Err(format!("a second retained message: {received:?} after {other:?}"));
            }
            let Some(live) = other.message.filter(|_| !other.is_replay) else { continue };
            if request == self.first() || history.is_asked_before(request, live) {
                return Err(format!("a retained message behind live ones: {received:?} after {other:?}"));
            }
            if history.published[live].retain && history.is_before(message, live) {
                return Err(format!("a retained message that was superseded: {received:?} after {other:?}"));
            }
        }
        Ok(())
    }

    // === live messages ===

    fn judge_live(&self, received: &Received, message: usize, seen: &[&Received]) -> Verdict {
        let history = self.history;
        if history.is_published_before(message, self.first()) {
            return Err(format!("published before the subscription: {received:?}"));
        }
        if let Some(end) = self.subscription.unsubscribe
            && history.is_asked_before(end, message)
        {
            return Err(format!("published behind the UNSUBSCRIBE: {received:?} [MQTT-3.10.4-2]"));
        }
        for other in seen {
            let Some(earlier) = other.message else { continue };
            let is_first = other.is_replay && other.through == self.first();
            if earlier == message && (!other.is_replay || is_first) {
                return Err(format!("twice: {received:?} after {other:?}"));
            }
            let is_of_one = history.published[earlier].client == history.published[message].client;
            let is_one_class = (other.qos == QoS::AtMostOnce) == (received.qos == QoS::AtMostOnce);
            if !other.is_replay && is_of_one && is_one_class && message < earlier {
                return Err(format!("out of order: {received:?} after {other:?} [MQTT-4.6.0-5]"));
            }
            if other.is_replay && history.is_before(message, earlier) {
                return Err(format!("superseded: {received:?} after {other:?}"));
            }
        }
        Ok(())
    }

    // === nothing is missing ===

    fn came_live(&self, message: usize) -> bool {
        self.received.iter().any(|received| !received.is_replay && received.message == Some(message))
    }

    /// An empty payload tells nothing of its message, and what has QoS 0 gets lost with a network connection.
    fn must_come(&self, message: usize) -> bool {
        let (history, published) = (self.history, &self.history.published[message]);
        let qos_min = self.subscription.subscribes.iter().map(|request| self.wanted(*request).qos).min();
        let first = &history.requests[self.first()];
        // On one network connection from its beginning to the end.
        let is_steady = self.open == Some(first.link);
        let is_kept = qos_min.is_some_and(|qos| qos.min(published.qos) > QoS::AtMostOnce);
        !published.is_empty && published.is_certain && (is_steady || is_kept)
    }

    fn judge_complete(&self) -> Verdict {
        let Some(link) = self.open.filter(|_| self.subscription.unsubscribe.is_none()) else { return Ok(()) };
        let (history, first) = (self.history, self.first());
        for message in self.published.iter().copied().filter(|message| self.must_come(*message)) {
            if history.is_asked_before(first, message) {
                if !self.came_live(message) {
                    return Err(format!("lost: p{message}, {:?}", history.published[message]));
                }
                continue;
            }
            let replays = self.asks_for_retained(first) && history.requests[first].link == link;
            let is_new = !history.is_published_before(message, first);
            if history.published[message].retain && is_new && replays && !self.came_live(message) {
                self.judge_retained_instead(first, message)?;
            }
        }
        let last = *self.subscription.subscribes.last().expect("there is one");
        if history.requests[last].link == link && self.asks_for_retained(last) {
            self.judge_retained(last)?;
        }
        Ok(())
    }

    /// What was published as the subscription began, and did not come as it was published, is what is retained, or older.
    fn judge_retained_instead(&self, first: usize, message: usize) -> Verdict {
        let history = self.history;
        let is_newer = |other: usize| other == message || !history.is_before(other, message);
        let came = self.received.iter().any(|received| {
            let is_one = received.is_replay && received.through == first
                || received.message.is_some_and(|other| history.published[other].retain);
            is_one && received.message.is_some_and(is_newer)
        });
        if came || self.may_be_removed(first, message) {
            return Ok(());
        }
        Err(format!("lost, retained or not: p{message}, {:?}", history.published[message]))
    }

    /// Whether a removal may have come behind a message, or behind the subscription.
    fn may_be_removed(&self, request: usize, message: usize) -> bool {
        let history = self.history;
        self.published.iter().any(|other| {
            let one = &history.published[*other];
            one.retain
                && one.is_empty
                && !history.is_before(*other, message)
                && (history.is_asked_before(request, *other) || !self.is_superseded(*other, request))
        })
    }

    /// Whether another was retained in its place before this was asked for.
    fn is_superseded(&self, message: usize, request: usize) -> bool {
        let history = self.history;
        self.published.iter().any(|other| {
            let one = &history.published[*other];
            one.retain
                && one.is_certain
                && history.is_before(message, *other)
                && history.is_published_before(*other, request)
        })
    }

    /// What was retained for sure when it was asked for came, unless another has taken its place since.
    fn judge_retained(&self, request: usize) -> Verdict {
        let history = self.history;
        let came = self.received.iter().any(|received| received.is_replay && received.through == request);
        let mut is_any = false;
        for message in self.published.iter().copied().filter(|message| history.published[*message].retain) {
            let published = &history.published[message];
            if !history.is_published_before(message, request) {
                // It may be there in place of what was.
                return Ok(());
            }
            if self.is_superseded(message, request) {
                continue;
            }
            if published.is_empty {
                return Ok(());
            }
            is_any |= published.is_certain;
        }
        match is_any && !came {
            true => Err(format!("no retained message came for request {request}")),
            false => Ok(()),
        }
    }

    /// Of one client's messages none is left out before one that came.
    fn judge_gaps(&self) -> Verdict {
        let history = self.history;
        for received in self.received.iter().filter(|received| !received.is_replay) {
            let Some(message) = received.message.filter(|_| received.qos > QoS::AtMostOnce) else { continue };
            let client = history.published[message].client;
            for earlier in self.published.iter().copied().take_while(|earlier| *earlier < message) {
                let published = &history.published[earlier];
                if published.client == client
                    && history.is_asked_before(self.first(), earlier)
                    && self.must_come(earlier)
                    && published.qos > QoS::AtMostOnce
                    && !self.came_live(earlier)
                {
                    return Err(format!("p{earlier} is left out before p{message}: {published:?}"));
                }
            }
        }
        Ok(())
    }

    /// For whoever has to find out why.
    fn shown(&self) -> String {
        let mut lines = vec![format!("{:?}", self.subscription)];
        let requests = self.subscription.subscribes.iter().chain(&self.subscription.unsubscribe);
        lines.extend(requests.map(|at| format!("request {at}: {:?}", self.history.requests[*at])));
        lines.extend(self.published.iter().map(|at| format!("p{at}: {:?}", self.history.published[*at])));
        lines.extend(self.received.iter().map(|received| format!("{received:?}")));
        lines.join("\n")
    }
}
