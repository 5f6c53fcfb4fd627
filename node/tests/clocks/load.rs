//! The clients that stay: publishers and subscribers at a fixed rate, and many more that ping now and then.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use mqtt_codec::{Ack, Connect, Packet, ProtocolVersion, QoS, ReasonCode};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval_at, sleep_until};

use crate::CONNECTIONS;
use crate::harness::{connect, publish};
use crate::link::Link;
use crate::part::THREADS;
use crate::verdict::{Event, Verdict};

/// Pairs of a publisher and a subscriber, per thread.
const PAIRS: usize = 25;
/// Each publishes at this pace: 1,000 a second all together.
const PACE: Duration = Duration::from_millis(50);
/// Handshakes at a time.
const OPENING: usize = 100;
const KEEP_ALIVE_SECONDS: u16 = 6;
/// Within one and a half times the keep alive.
const PING_PACE: Duration = Duration::from_secs(8);

/// What a client did, or why it could not.
type Ended = Result<(&'static str, u64), String>;

/// See the module.
pub(crate) struct Load {
    clients: JoinSet<Ended>,
    go: watch::Sender<Phase>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Opening,
    Open,
    Over,
}

impl Load {
    /// Connects all of them.
    pub(crate) async fn open(part: usize, address: SocketAddr) -> Self {
        let (go, phase) = watch::channel(Phase::Opening);
        let (mut clients, room) = (JoinSet::new(), Arc::new(Semaphore::new(OPENING)));
        let count = CONNECTIONS / THREADS;
        for number in 0..count {
            let phase = phase.clone();
            let permit = Arc::clone(&room).acquire_owned().await.expect("it is never closed");
            clients.spawn_local(async move {
                let version = [ProtocolVersion::V5, ProtocolVersion::V311][number % 2];
                let name = format!("stays/{part}/{number}");
                let connect = Connect { keep_alive: KEEP_ALIVE_SECONDS, ..connect(version, &name) };
                let (mut link, _) = Link::client(address, connect).await?;
                let topic = format!("load/{part}/{}", number / 2);
                let offset = PING_PACE * number as u32 / count as u32;
                match number {
                    pair if pair < 2 * PAIRS && pair % 2 == 0 => {
                        drop(permit);
                        publisher(link, &topic, phase).await
                    }
                    pair if pair < 2 * PAIRS => {
                        link.subscribe(&topic, QoS::AtLeastOnce).await?;
                        drop(permit);
                        subscriber(link, phase).await
                    }
                    _ => {
                        drop(permit);
                        pings(link, offset, phase).await
                    }
                }
            });
        }
        // All are given back when all are connected.
        drop(room.acquire_many(OPENING as u32).await.expect("it is never closed"));
        Self { clients, go }
    }

    /// The publishers begin.
    pub(crate) fn begin(&self) {
        self.go.send_replace(Phase::Open);
    }

    /// Ends them all: each has stayed to here.
    pub(crate) async fn end(mut self, took: Duration, verdict: &mut Verdict) {
        self.go.send_replace(Phase::Over);
        let mut published = 0;
        while let Some(ended) = self.clients.join_next().await {
            match ended.expect("no panic") {
                Ok((kind, count)) => {
                    published += count;
                    verdict.event(kind, Ok(Event::RIGHT));
                }
                Err(wrong) => verdict.event("load: clients that stay", Err(wrong)),
            }
        }
        let rate = published as f64 / took.as_secs_f64();
        verdict.notes.push(format!("{rate:.0} messages a second published in this thread"));
        let wanted = PAIRS as f64 / PACE.as_secs_f64();
        assert!(rate > 0.8 * wanted, "a load of {rate} messages a second");
    }
}

/// Publishes with QoS 0 and 1 in turn, and takes the acknowledgements.
async fn publisher(mut link: Link, topic: &str, mut phase: watch::Receiver<Phase>) -> Ended {
    let text = |error: watch::error::RecvError| error.to_string();
    let mut waiting = interval_at(Instant::now() + PACE, PING_PACE / 2);
    while *phase.borrow() == Phase::Opening {
        tokio::select! {
            changed = phase.changed() => changed.map_err(text)?,
            _ = waiting.tick() => link.ping().await?,
        }
    }
    let (mut sent, mut acknowledged) = (0_u64, 0_u64);
    let mut pace = interval_at(Instant::now(), PACE);
    pace.set_missed_tick_behavior(MissedTickBehavior::Burst);
    loop {
        let is_over = *phase.borrow() == Phase::Over;
        if is_over && acknowledged == sent / 2 {
            return Ok(("load: publishers that stay", sent));
        }
        tokio::select! {
            packet = link.next() => match packet? {
                Some(Packet::PubAck(_)) => acknowledged += 1,
                other => return Err(format!("a publisher got {other:?}")),
            },
            changed = phase.changed(), if !is_over => changed.map_err(text)?,
            _ = pace.tick(), if !is_over => {
                let (qos, identifier) = match sent % 2 {
                    0 => (QoS::AtMostOnce, 0),
                    _ => (QoS::AtLeastOnce, (sent % 60_000) as u16),
                };
                link.send(&publish(topic, qos, identifier, &[b'x'; 100])).await?;
                sent += 1;
            }
        }
    }
}

async fn subscriber(mut link: Link, mut phase: watch::Receiver<Phase>) -> Ended {
    let mut pings = interval_at(Instant::now() + PING_PACE, PING_PACE);
    loop {
        tokio::select! {
            packet = link.next() => match packet? {
                Some(Packet::Publish(message)) => {
                    if let Some(identifier) = message.packet_identifier {
                        link.send(&Packet::PubAck(Ack::new(identifier, ReasonCode::Success))).await?;
                    }
                }
                Some(Packet::PingResp) => {}
                other => return Err(format!("a subscriber got {other:?}")),
            },
            _ = pings.tick() => link.send(&Packet::PingReq).await?,
            over = phase.wait_for(|phase| *phase == Phase::Over) => {
                over.map_err(|error| error.to_string())?;
                return Ok(("load: subscribers that stay", 0));
            }
        }
    }
}

/// The first one comes somewhat sooner, so that not all come at once.
async fn pings(mut link: Link, offset: Duration, mut phase: watch::Receiver<Phase>) -> Ended {
    let mut next = Instant::now() + offset;
    loop {
        let over = phase.wait_for(|phase| *phase == Phase::Over);
        tokio::select! {
            over = over => {
                over.map_err(|error| error.to_string())?;
                link.ping().await?;
                return Ok(("load: clients that stay", 0));
            }
            () = sleep_until(next) => {}
        }
        link.ping().await?;
        next += PING_PACE;
    }
}
