//! From the first byte of a network connection to its CONNECT: judged, authenticated, and handed to the home of its
//! session. Until then there is no actor and no session, and nothing is left behind if it fails.

use std::hash::BuildHasher as _;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::atomic::Ordering;
use std::task::Poll;
use std::time::Instant;

use auth_actor::{
    Action, Asker, Authenticate, AuthenticationOutcome, Authorize, BeginExchange, ClientCertificate,
    ContinueExchange, ExchangeOutcome, Given, Identity, InForce, Outcome, Password, Question, QuestionKind,
};
use micro_mq_core::admission::{answer_unreadable, judge_connect, maximum_packet_size};
use micro_mq_core::pressure::IncompleteBytes;
use mqtt_codec::{
    Auth, AuthProperties, Connect, DecodeError, Packet, PacketRef, ProtocolVersion, ReasonCode, Sender,
    decode, encode,
};
use std::future::poll_fn;
use tokio::time::timeout_at;
use tracing::debug;

use super::partial;
use super::refusing::{Refusal, refuse_now, write_all};
use crate::clock;
use crate::grants::remembered_until;
use crate::messages::{Admit, Handed, Judged};
use crate::permit::ConnectionPermit;
use crate::transport::{ForeignOrigin, Transport, WebSocketRefusal};
use crate::worker::Worker;

/// Steps of one enhanced authentication at most.
const EXCHANGE_STEPS_MAX: usize = 8;
/// How often a client is judged, if users and rules are read anew meanwhile again and again, before it is told to come
/// again.
const JUDGED_MAX: usize = 3;

/// Why a network connection was not taken in.
enum Turned {
    /// Closed by the other end, or broken: there is nobody to tell.
    Away,
    /// It took too long over its packets.
    Late,
    /// To be told in a CONNACK.
    Refused(ProtocolVersion, ReasonCode),
}

impl From<std::io::Error> for Turned {
    fn from(_: std::io::Error) -> Self {
        Self::Away
    }
}

/// A client that has sent its CONNECT and is who it says.
struct Settled {
    connect: Box<Connect>,
    judged: Judged,
    /// Whether the node assigned its client identifier.
    assigned: bool,
    authentication_data: Option<Vec<u8>>,
}

struct Handshake {
    worker: Rc<Worker>,
    transport: Transport,
    /// Bytes received and not used.
    received: Vec<u8>,
    incomplete: IncompleteBytes,
    peer: Option<SocketAddr>,
    /// Largest packet that the client takes, in bytes, as far as it said so.
    limit: u32,
    /// When the client must have sent what is waited for. The time that questions take is not counted against it.
    deadline: Instant,
    /// The origin of the web page that connects, if that may not.
    foreign: Option<ForeignOrigin>,
    /// The certificate of the client.
    shown: Option<Box<Shown>>,
    /// Bytes received.
    bytes: u64,
    /// The CONNECT that is refused, once it was read.
    refused: Option<Box<Connect>>,
}

/// A network connection that was accepted.
#[derive(Debug)]
pub(crate) struct Accepted {
    pub(crate) transport: Transport,
    /// What it has sent so far.
    pub(crate) received: Vec<u8>,
    pub(crate) peer: Option<SocketAddr>,
    pub(crate) permit: ConnectionPermit,
    /// When the client must have sent its CONNECT, and what more its authentication asks of it.
    pub(crate) deadline: Instant,
    /// The origin of the web page that connects, if that may not.
    pub(crate) foreign: Option<ForeignOrigin>,
    /// The certificate of the client. Boxed, as few show one.
    pub(crate) shown: Option<Box<Shown>>,
}

/// A certificate that was shown in a TLS handshake.
#[derive(Debug)]
pub(crate) struct Shown {
    pub(crate) certificate: ClientCertificate,
    /// How many rounds of notices there had been before that handshake.
    pub(crate) rounds: u64,
}

/// Runs the whole of it.
pub(crate) async fn run(worker: Rc<Worker>, accepted: Accepted) {
    let Accepted { transport, received, peer, permit, deadline, foreign, shown } = accepted;
    let received_bytes = received.len() as u64;
    let mut handshake = Handshake {
        worker: Rc::clone(&worker),
        transport,
        received,
        incomplete: IncompleteBytes::new(&worker.node.incomplete_packets),
        peer,
        limit: u32::MAX,
        deadline,
        foreign,
        shown,
        bytes: received_bytes,
        refused: None,
    };
    let Settled { connect, judged, assigned, authentication_data } = match handshake.settle().await {
        Ok(settled) => settled,
        Err(Turned::Away) => return,
        Err(Turned::Refused(version, reason)) => {
            worker.tell_refused(handshake.refused.as_deref(), peer, reason);
            let refusal = Refusal { version, reason, limit: handshake.limit };
            let words = handshake.foreign.map(|foreign| foreign.to_string());
            return refuse_now(handshake.transport, refusal, words, &worker, permit).await;
        }
        Err(Turned::Late) => {
            worker.counters.connect_timeouts.add(1);
            return;
        }
    };
    worker.counters.packets_received.add(1);
    let home = worker.node.homes.of_client(&connect.client_identifier);
    let transport = if home == worker.id {
        Handed::Here(handshake.transport)
    } else {
        match handshake.transport.detach() {
            Ok(detached) => Handed::Moved(detached),
            Err(_) => return,
        }
    };
    worker.node.peers[usize::from(home)].sessions.do_send(Admit {
        transport,
        connect,
        assigned,
        rest: handshake.received,
        bytes_received: handshake.bytes,
        judged,
        authentication_data,
        permit,
    });
}

impl Handshake {
    async fn settle(&mut self) -> Result<Settled, Turned> {
        let mut connect = self.read_connect().await?;
        match self.judge(&mut connect).await {
            Ok((assigned, judged, authentication_data)) => {
                Ok(Settled { connect, judged, assigned, authentication_data })
            }
            Err(turned) => {
                self.refused = Some(connect);
                Err(turned)
            }
        }
    }

    /// Also whether the node assigned the client identifier, and the authentication data for the CONNACK.
    async fn judge(&mut self, connect: &mut Connect) -> Result<(bool, Judged, Option<Vec<u8>>), Turned> {
        let version = connect.version;
        self.limit = maximum_packet_size(connect);
        let refused = |reason| Turned::Refused(version, reason);
        if self.foreign.is_some() {
            return Err(refused(ReasonCode::NotAuthorized));
        }
        judge_connect(connect, &self.worker.node.settings.mqtt, &self.worker.counters).map_err(refused)?;
        let assigned = connect.client_identifier.is_empty();
        if assigned {
            connect.client_identifier = self.assign_identifier();
        }
        for _ in 0..JUDGED_MAX {
            let in_force = self.worker.node.policy.in_force();
            let rounds = match &self.shown {
                Some(shown) => shown.rounds,
                None => self.worker.node.withdrawals.rounds(),
            };
            let (identity, authentication_data) = match connect.properties.authentication_method.clone() {
                Some(method) => Box::pin(self.exchange(connect, method)).await?,
                None => (self.authenticate(connect, in_force).await?, None),
            };
            let will_until = self.authorize_will(connect, &identity, in_force).await?;
            let revision = in_force.revision;
            if self.worker.node.policy.revision() == revision {
                let certificate = self.shown.as_ref().map(|shown| shown.certificate.id);
                let judged = Judged { identity, certificate, revision, rounds, will_until };
                return Ok((assigned, judged, authentication_data));
            }
            if connect.properties.authentication_method.is_some() {
                // The client would have to prove once more who it is, and is not told to before its CONNACK.
                break;
            }
        }
        // What was answered counts no more: users and rules were read anew meanwhile.
        let kind = match connect.properties.authentication_method {
            Some(_) => QuestionKind::ExchangeStep,
            None => QuestionKind::Login,
        };
        self.worker.node.asking.outcomes().count(kind, Outcome::Outdated, 1);
        Err(refused(ReasonCode::ServerUnavailable))
    }

    /// Asks the auth actor; none if there is no answer. The client has as much time left behind it as before.
    async fn ask<Q: Question>(&mut self, question: Q) -> Option<Q::Answer> {
        let began = clock::now();
        // Boxed, as what is not asked for is not to make each handshake larger.
        let answered = Box::pin(self.worker.node.ask_auth(Asker::Connecting, question)).await;
        self.deadline += clock::now().saturating_duration_since(began);
        answered.ok().map(|Given { answer, .. }| answer)
    }

    /// Reads once.
    async fn read_more(&mut self) -> Result<(), Turned> {
        let (transport, worker, received) = (&mut self.transport, &self.worker, &mut self.received);
        let incomplete = &mut self.incomplete;
        let reading = poll_fn(|task| {
            let mut scratch = worker.scratch.borrow_mut();
            let read = transport.poll_read(task, &mut scratch)?.map(|read| {
                partial::append(received, &scratch[..read], &worker.node.decode_limits);
                read
            });
            match incomplete.hold(partial::held_bytes(received) + transport.held_back()) {
                true => read.map(|read| Ok(Some(read))),
                false => Poll::Ready(Ok(None)),
            }
        });
        let read = timeout_at(self.deadline.into(), reading).await.map_err(|_| Turned::Late)?.inspect_err(
            |error| {
                self.worker.peer().websocket_refusals.count(WebSocketRefusal::of_read(error));
            },
        )?;
        let Some(read) = read else {
            self.worker.counters.incomplete_packets_full.add(1);
            return Err(Turned::Away);
        };
        self.worker.counters.bytes_received.add(read as u64);
        self.bytes += read as u64;
        if read == 0 { Err(Turned::Away) } else { Ok(()) }
    }

    /// The next packet, in the version that the CONNECT before it named; none before that.
    async fn read_packet(&mut self, named: Option<ProtocolVersion>) -> Result<Packet, Turned> {
        let version = named.unwrap_or(ProtocolVersion::V5);
        loop {
            let limits = &self.worker.node.decode_limits;
            match decode(&self.received, version, Sender::Client, limits) {
                Ok(Some((packet, used))) => {
                    let packet = match packet {
                        PacketRef::Other(packet) => packet,
                        // Only CONNECT and AUTH may come now.
                        PacketRef::Publish(_) => {
                            return Err(Turned::Refused(version, ReasonCode::ProtocolError));
                        }
                    };
                    self.received.drain(..used);
                    return Ok(packet);
                }
                Ok(None) => self.read_more().await?,
                Err(error) => return Err(self.judge_error(error, named)),
            }
        }
    }

    /// The first packet must be a CONNECT [MQTT-3.1.0-1]; anything else is not answered.
    async fn read_connect(&mut self) -> Result<Box<Connect>, Turned> {
        while self.received.is_empty() {
            self.read_more().await?;
        }
        const CONNECT: u8 = 1;
        if self.received[0] >> 4 != CONNECT {
            self.worker.counters.protocol_errors.add(1);
            return Err(Turned::Away);
        }
        match self.read_packet(None).await? {
            Packet::Connect(connect) => Ok(connect),
            _ => Err(Turned::Away),
        }
    }

    /// What a CONNECT that cannot be read is answered, or an AUTH behind it.
    fn judge_error(&mut self, error: DecodeError, named: Option<ProtocolVersion>) -> Turned {
        let counters = &self.worker.counters;
        debug!(peer = self.peer.map(tracing::field::display), %error, "a CONNECT or an AUTH behind it could not be read");
        let reason = error.reason_code();
        match reason {
            ReasonCode::PacketTooLarge => counters.packets_too_large.add(1),
            _ => counters.protocol_errors.add(1),
        }
        if let Some(version) = named {
            return Turned::Refused(version, reason);
        }
        match answer_unreadable(&self.received, reason) {
            Some((version, limit)) => {
                self.limit = limit;
                Turned::Refused(version, reason)
            }
            None => Turned::Away,
        }
    }

    /// A client identifier whose home is this worker.
    fn assign_identifier(&self) -> String {
        let node = &self.worker.node;
        loop {
            let number = node.assigned.fetch_add(1, Ordering::Relaxed);
            let identifier = format!("auto-{:016x}-{number}", node.assigned_key.hash_one(number));
            if node.homes.of_client(&identifier) == self.worker.id {
                return identifier;
            }
        }
    }

    async fn authenticate(&mut self, connect: &Connect, in_force: InForce) -> Result<Identity, Turned> {
        if !in_force.policy.authenticates {
            return Ok(Identity { user_name: connect.user_name.clone(), grant: None });
        }
        let question = Authenticate {
            client_identifier: connect.client_identifier.clone(),
            user_name: connect.user_name.clone(),
            password: connect.password.as_ref().map(|password| Password::from(password.to_vec())),
            peer: self.peer,
        };
        match self.ask(question).await {
            Some(AuthenticationOutcome::Allowed(identity)) => Ok(identity),
            Some(AuthenticationOutcome::Refused(refusal)) => {
                Err(Turned::Refused(connect.version, reason(refusal)))
            }
            None => Err(Turned::Refused(connect.version, ReasonCode::ServerUnavailable)),
        }
    }

    /// Enhanced authentication [MQTT-4.12.0-2 to 5].
    async fn exchange(
        &mut self,
        connect: &Connect,
        method: String,
    ) -> Result<(Identity, Option<Vec<u8>>), Turned> {
        let refused = |reason| Turned::Refused(ProtocolVersion::V5, reason);
        let unavailable = || refused(ReasonCode::ServerUnavailable);
        let begin = BeginExchange {
            client_identifier: connect.client_identifier.clone(),
            method: method.clone(),
            data: connect.properties.authentication_data.as_ref().map(|data| data.to_vec()),
            reauthenticate: None,
        };
        let mut outcome = self.ask(begin).await.ok_or_else(unavailable)?;
        for _ in 0..EXCHANGE_STEPS_MAX {
            let (exchange, data) = match outcome {
                ExchangeOutcome::Success { identity, data } => return Ok((identity, Some(data))),
                ExchangeOutcome::Refused(refusal) => return Err(refused(reason(refusal))),
                ExchangeOutcome::Continue { exchange, data } => (exchange, data),
            };
            let properties = AuthProperties {
                authentication_method: Some(method.clone()),
                authentication_data: Some(data.into()),
                ..AuthProperties::default()
            };
            let question = Packet::Auth(Auth { reason_code: ReasonCode::ContinueAuthentication, properties });
            let mut bytes = Vec::new();
            encode(&question, ProtocolVersion::V5, self.limit, &mut bytes)
                .map_err(|_| refused(ReasonCode::PacketTooLarge))?;
            let written = timeout_at(self.deadline.into(), write_all(&mut self.transport, &bytes)).await;
            written.map_err(|_| Turned::Late)??;
            let answer = match self.read_packet(Some(ProtocolVersion::V5)).await? {
                Packet::Auth(answer) => answer,
                // It thought better of it, and listens no more.
                Packet::Disconnect(_) => return Err(Turned::Away),
                _ => return Err(refused(ReasonCode::ProtocolError)),
            };
            if answer.reason_code != ReasonCode::ContinueAuthentication
                || answer.properties.authentication_method.as_deref() != Some(&method)
            {
                return Err(refused(ReasonCode::ProtocolError));
            }
            let data = answer.properties.authentication_data.map(|data| data.to_vec());
            let next = self.ask(ContinueExchange { exchange, data }).await;
            outcome = next.ok_or_else(unavailable)?;
        }
        Err(refused(ReasonCode::NotAuthorized))
    }

    /// A will that is not allowed refuses the CONNECT with 0x87, one that nobody could judge with 0x88. Answers for how long
    /// it is allowed, if not until the rules change.
    async fn authorize_will(
        &mut self,
        connect: &Connect,
        identity: &Identity,
        in_force: InForce,
    ) -> Result<Option<Instant>, Turned> {
        let Some(will) = connect.will.as_ref().filter(|_| in_force.policy.authorizes) else {
            return Ok(None);
        };
        let question = Authorize {
            client_identifier: connect.client_identifier.clone(),
            user_name: identity.user_name.clone(),
            grant: identity.grant.clone(),
            wishes: [(Action::Publish, will.topic.as_str().to_owned())].into(),
        };
        let reason = match self.ask(question).await {
            Some(answer) if answer.verdicts == [true] => return Ok(remembered_until(&answer)),
            Some(_) => ReasonCode::NotAuthorized,
            None => ReasonCode::ServerUnavailable,
        };
        Err(Turned::Refused(connect.version, reason))
    }
}

fn reason(refusal: auth_actor::Refusal) -> ReasonCode {
    use auth_actor::Refusal;
    match refusal {
        Refusal::BadUserNameOrPassword => ReasonCode::BadUserNameOrPassword,
        Refusal::NotAuthorized => ReasonCode::NotAuthorized,
        Refusal::Unavailable => ReasonCode::ServerUnavailable,
        Refusal::BadAuthenticationMethod => ReasonCode::BadAuthenticationMethod,
    }
}
