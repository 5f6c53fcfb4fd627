//! What happens to clients: the pieces of their histories, in the order in which the driver saw them.

/// Number of a client.
pub(super) type Client = u32;
/// Number of a topic name; one publisher publishes to it, with one QoS.
pub(super) type Topic = u32;
/// Number of an audience: a subscription of one client, or a shared one of several.
pub(super) type Audience = u32;

/// One piece of a history.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Event {
    /// A PUBLISH (or the CONNECT that holds this will) was given to the socket; `again` after a reconnect.
    Sent { topic: Topic, sequence: u32, again: bool },
    /// The publisher has the PUBACK or PUBCOMP; of a will: it is due, and the broker has had time to see that.
    Acknowledged { topic: Topic, sequence: u32 },
    /// The publisher will never know: the broker refused it, or forgot the session.
    Abandoned { topic: Topic, sequence: u32 },
    /// A will that must not be published: the broker has taken the DISCONNECT.
    Withdrawn { topic: Topic, sequence: u32 },
    /// A SUBSCRIBE was given to the socket.
    Subscribing { client: Client, audience: Audience },
    /// Its SUBACK is here.
    Subscribed { client: Client, audience: Audience },
    /// An UNSUBSCRIBE was given to the socket.
    Unsubscribing { client: Client, audience: Audience },
    /// Its UNSUBACK is here.
    Unsubscribed { client: Client, audience: Audience },
    /// The application has a message.
    Heard { client: Client, topic: Topic, sequence: u32 },
    /// A CONNACK of success.
    Connected { client: Client, present: bool },
    /// The connection is over, whoever ended it.
    Away { client: Client },
    /// The broker was killed.
    Killed,
    /// It accepts clients again.
    Ready,
}

impl Event {
    /// The message that it is about.
    pub(super) const fn message(self) -> Option<(Topic, u32)> {
        match self {
            Self::Sent { topic, sequence, .. }
            | Self::Acknowledged { topic, sequence }
            | Self::Abandoned { topic, sequence }
            | Self::Withdrawn { topic, sequence }
            | Self::Heard { topic, sequence, .. } => Some((topic, sequence)),
            _ => None,
        }
    }

    /// The client that it is about, where it is one who hears.
    pub(super) const fn client(self) -> Option<Client> {
        match self {
            Self::Subscribing { client, .. }
            | Self::Subscribed { client, .. }
            | Self::Unsubscribing { client, .. }
            | Self::Unsubscribed { client, .. }
            | Self::Heard { client, .. }
            | Self::Connected { client, .. }
            | Self::Away { client } => Some(client),
            _ => None,
        }
    }

    /// The subscription that it is about.
    pub(super) const fn audience(self) -> Option<Audience> {
        match self {
            Self::Subscribing { audience, .. }
            | Self::Subscribed { audience, .. }
            | Self::Unsubscribing { audience, .. }
            | Self::Unsubscribed { audience, .. } => Some(audience),
            _ => None,
        }
    }
}
