//! What a connection is told.

use std::ops::Range;

use actix::prelude::*;
use auth_actor::{ExchangeOutcome, Given};
use micro_mq_core::completion::Awaited;
use micro_mq_core::ids::{Epoch, SessionKey};
use micro_mq_core::protocol::Authorized;
use mqtt_codec::{Connect, ReasonCode};

use crate::permit::ConnectionPermit;
use crate::transport::Transport;

/// A network connection that its session's home takes in.
pub struct Newcomer {
    /// The session it holds.
    pub key: SessionKey,
    /// Which of the session's network connections it is.
    pub epoch: Epoch,
    /// The byte stream.
    pub transport: Transport,
    /// Bytes that came behind the CONNECT.
    pub rest: Vec<u8>,
    /// Bytes received from it so far.
    pub bytes_received: u64,
    /// Its place among the node's network connections.
    pub permit: ConnectionPermit,
    /// Its CONNECT.
    pub connect: Box<Connect>,
    /// What has to be kept before it is answered.
    pub kept: Option<Awaited>,
}

/// Ends the network connection.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct Close {
    /// What a 5.0 client is told.
    pub reason: ReasonCode,
}

/// A change of subscriptions is in force at one of the workers it concerned.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct ChangeInForce {
    /// Which one.
    pub token: u32,
    /// The numbers of the subscriptions whose retained messages are to be sent.
    pub replays: Range<u64>,
}

/// The auth actor's answer to the question that a packet waits for.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct Permitted(pub Authorized);

/// The auth actor's answer to a step of a re-authentication; none if it could not be had.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct Reauthenticated {
    /// What it said.
    pub outcome: Option<Given<ExchangeOutcome>>,
    /// How many rounds of notices there had been before it was asked.
    pub rounds: u64,
}
