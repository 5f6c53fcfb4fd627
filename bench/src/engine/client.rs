//! Who is to be connected, and what for.

use super::{
    churn::Churner,
    flood::{Deaf, Flooder},
    member::Member,
    publisher::Publisher,
    subscriber::Subscriber,
    subscription::Subscription,
};

/// What a connection is there for.
#[derive(Debug)]
pub(crate) enum Role {
    /// It publishes.
    Publisher(Publisher),
    /// It takes deliveries and checks them.
    Subscriber(Subscriber),
    /// The same, of those messages that are its part of what a group hears.
    Member(Member),
    /// It is merely connected, perhaps subscribed; what it is sent is counted.
    Idle,
    /// It is subscribed and reads slowly or never.
    Deaf(Deaf),
    /// It publishes as much as its socket takes.
    Flooder(Flooder),
    /// It publishes one message to itself and leaves.
    Churner(Churner),
}

/// A connection to make.
#[derive(Debug)]
pub(crate) struct Client {
    /// Client identifier.
    pub client_identifier: String,
    /// Its role once it is up.
    pub role: Role,
    /// What to subscribe to first.
    pub subscription: Option<Subscription>,
}
