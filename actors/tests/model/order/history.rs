//! What clients did and saw, and which of it is known to be before which.

use mqtt_codec::{QoS, RetainHandling};

/// A point of a run: each thing that a client does or sees has one of its own.
pub(super) type Moment = u64;

/// An application message that a client published, or a will of it.
#[derive(Debug)]
pub(super) struct Published {
    pub(super) client: usize,
    /// Among its network connections.
    pub(super) link: u64,
    pub(super) topic: usize,
    pub(super) qos: QoS,
    pub(super) retain: bool,
    /// An empty payload, which cannot be told from others; with `retain` it removes the retained message.
    pub(super) is_empty: bool,
    pub(super) sent: Moment,
    /// Since when the client knows that the node has dealt with it.
    pub(super) done: Option<Moment>,
    /// The node must have had it.
    pub(super) is_certain: bool,
    /// The last SUBSCRIBE or UNSUBSCRIBE before it on its network connection, by its place in the history.
    pub(super) behind: Option<usize>,
}

/// A topic filter in a SUBSCRIBE or an UNSUBSCRIBE.
#[derive(Debug)]
pub(super) struct Request {
    pub(super) client: usize,
    pub(super) session: u64,
    pub(super) link: u64,
    pub(super) filter: &'static str,
    /// None: UNSUBSCRIBE.
    pub(super) wanted: Option<Wanted>,
    pub(super) sent: Moment,
    /// When its answer was seen.
    pub(super) done: Option<Moment>,
    /// Nobody knows whether the node had it.
    pub(super) is_doubtful: bool,
}

/// How messages are wanted.
#[derive(Debug, Clone, Copy)]
pub(super) struct Wanted {
    pub(super) qos: QoS,
    pub(super) retain_handling: RetainHandling,
}

/// A message that a client received.
#[derive(Debug)]
pub(super) struct Received {
    pub(super) client: usize,
    pub(super) session: u64,
    pub(super) at: Moment,
    /// By its place in the history; none for an empty payload.
    pub(super) message: Option<usize>,
    pub(super) topic: usize,
    pub(super) qos: QoS,
    /// As a retained message.
    pub(super) is_replay: bool,
    /// The request whose subscription it came through.
    pub(super) through: usize,
}

/// What happened in a run.
#[derive(Debug, Default)]
pub(super) struct History {
    pub(super) topics: Vec<String>,
    pub(super) published: Vec<Published>,
    pub(super) requests: Vec<Request>,
    pub(super) received: Vec<Received>,
    now: Moment,
}

impl History {
    /// The next point of the run.
    pub(super) fn moment(&mut self) -> Moment {
        self.now += 1;
        self.now
    }

    /// Whether one publish is before the other, for all who see both.
    pub(super) fn is_before(&self, first: usize, second: usize) -> bool {
        let (first, second) = (&self.published[first], &self.published[second]);
        precedes((first.client, first.sent, first.done), (second.client, second.sent))
    }

    /// Whether a publish is before a change of subscriptions.
    pub(super) fn is_published_before(&self, message: usize, request: usize) -> bool {
        let (message, request) = (&self.published[message], &self.requests[request]);
        precedes((message.client, message.sent, message.done), (request.client, request.sent))
    }

    /// Whether a change of subscriptions is before a publish.
    pub(super) fn is_asked_before(&self, request: usize, message: usize) -> bool {
        let (message, request) = (&self.published[message], &self.requests[request]);
        precedes((request.client, request.sent, request.done), (message.client, message.sent))
    }
}

/// What one client does has an order, whatever network connections it does it on; of two clients, what one does after
/// the other's is known to be done is behind that.
fn precedes(first: (usize, Moment, Option<Moment>), second: (usize, Moment)) -> bool {
    if first.0 == second.0 { first.1 < second.1 } else { first.2.is_some_and(|done| done < second.1) }
}
