//! What the sessions actor of a worker is asked.

use std::sync::Arc;
use std::time::Instant;

use actix::prelude::*;
use auth_actor::{CertificateId, Identity, Withdrawn};
use micro_mq_core::ids::SessionKey;
use micro_mq_core::ledger::Tally;
use mqtt_codec::Connect;

use crate::permit::ConnectionPermit;
use crate::transport::{Detached, Transport};

/// A transport on its way to the home worker of its session.
#[derive(Debug)]
pub enum Handed {
    /// It was accepted there.
    Here(Transport),
    /// It comes from another worker.
    Moved(Detached),
}

/// Gives a network connection whose CONNECT was read and allowed to the home of its session.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct Admit {
    /// The network connection.
    pub transport: Handed,
    /// Its CONNECT, with the client identifier that is in force.
    pub connect: Box<Connect>,
    /// Whether the node assigned that client identifier.
    pub assigned: bool,
    /// Bytes that came behind the CONNECT.
    pub rest: Vec<u8>,
    /// Bytes received from it so far.
    pub bytes_received: u64,
    /// Who the client showed itself to be, and what that is worth.
    pub judged: Judged,
    /// The last authentication data of an enhanced authentication, for the CONNACK.
    pub authentication_data: Option<Vec<u8>>,
    /// Its place among the node's network connections.
    pub permit: ConnectionPermit,
}

/// What a provider answered about somebody who connects, and when.
#[derive(Debug)]
pub struct Judged {
    /// Who the client showed itself to be.
    pub identity: Identity,
    /// The certificate that it has shown.
    pub certificate: Option<CertificateId>,
    /// The revision of users and rules under which the client and its will were judged.
    pub revision: u64,
    /// How many rounds of notices there had been before ([`Withdrawals::rounds`](auth_actor::Withdrawals::rounds)).
    pub rounds: u64,
    /// For how long the will is allowed; none: as long as those rules are in force.
    pub will_until: Option<Instant>,
}

/// Closes the network connections (0x87) that a provider has withdrawn. Answered when all are told.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct EndWithdrawn {
    /// Which these are.
    pub round: Arc<Withdrawn>,
}

/// A network connection ended; its session says how (`Session::parting`).
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct Left {
    /// The session it held.
    pub session: SessionKey,
}

/// Wills in doubt are to be judged, or were: those that wait for it go on.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct WillsJudged;

/// Closes every network connection (0x8B), without will messages: those were published before, or are not to be.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct ShutDown;

/// The topic trie of a worker was made anew after a panic: groups whose home it is may lack a member that was just
/// joining.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct TrieMadeAnew {
    /// Which worker's.
    pub worker: u16,
}

/// Publishes, as at a lost connection, the wills of all clients, those that are delayed included: the node shuts down.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct PublishWills;

/// Publishes `$SYS` messages, retained.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct PublishSys {
    /// Topic names and payloads.
    pub messages: Vec<(String, String)>,
}

/// What a sessions actor says of itself.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SessionsObservation {
    /// Sessions, online and offline.
    pub sessions: usize,
    /// Those that a network connection holds.
    pub online: usize,
}

/// Asks for a [`SessionsObservation`]; answered behind everything sent before.
#[derive(Debug, Message)]
#[rtype(result = "SessionsObservation")]
pub struct ObserveSessions;

/// One client's session, as the admin API shows it.
#[derive(Debug, Clone)]
pub struct ClientObservation {
    /// Its part of the ledger.
    pub tally: Tally,
    /// Messages that wait for it.
    pub waiting: u64,
    /// Whether a network connection holds it.
    pub online: bool,
    /// Its subscriptions.
    pub subscriptions: usize,
    /// Session expiry interval, in seconds.
    pub expiry_interval: u32,
}

/// Asks for the session of one client.
#[derive(Debug, Message)]
#[rtype(result = "Option<ClientObservation>")]
pub struct ObserveClient {
    /// Client identifier.
    pub client_identifier: String,
}

/// All workers have the sessions that the store keeps: what is due of those that were restored is due from now on.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct AllRestored;

/// Sends what changed to the session store, since somebody waits for it.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct SendChanges;

/// Sends what changed to the session store: the node shuts down. Answered when it was kept, or could not be.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct KeepChanges;
