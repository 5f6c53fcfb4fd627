//! The 5,000 connections beside which clocks are kept: most are quiet, some publish and some hear that. None of them
//! may be ended, though each has a keep alive.

use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::mpsc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use mqtt_codec::{Connect, Packet, ProtocolVersion};
use tokio::runtime::Builder;
use tokio::sync::{Semaphore, watch};
use tokio::task::{LocalSet, spawn_local};
use tokio::time::{MissedTickBehavior, interval, sleep};

use super::arrivals::fraction;
use super::program::renice;
use super::wire::{Wire, publish};

/// All of them.
const CONNECTIONS: usize = 5_000;
/// Those who publish.
const PUBLISHERS: usize = 100;
/// Those who hear them.
const SUBSCRIBERS: usize = 200;
/// What is published to: each topic has ten subscribers.
pub(crate) const TOPICS: usize = 20;
/// Between two publishes of a client.
const PACE: Duration = Duration::from_millis(400);
/// Keep alive of all.
const KEEP_ALIVE: Duration = Duration::from_secs(10);
/// Handshakes at once.
const CONNECTING: usize = 64;

/// See the module.
pub(crate) struct Crowd {
    stop: watch::Sender<bool>,
    thread: JoinHandle<()>,
}

impl Crowd {
    /// Connects them all.
    pub(crate) fn start(address: SocketAddr) -> Self {
        let (stop, stopped) = watch::channel(false);
        let (up, all_up) = mpsc::channel();
        let thread = thread::spawn(move || {
            renice();
            let runtime = Builder::new_current_thread().enable_all().build().expect("a runtime");
            LocalSet::new().block_on(&runtime, gather(address, stopped, up));
        });
        all_up.recv().expect("all connect");
        Self { stop, thread }
    }

    /// Ends them. Each was served to the last, or this panics.
    pub(crate) fn stop(self) {
        self.stop.send(true).expect("they are there");
        self.thread.join().expect("nobody of the crowd was ended");
    }
}

async fn gather(address: SocketAddr, stopped: watch::Receiver<bool>, up: mpsc::Sender<()>) {
    let (connecting, connected) = (Arc::new(Semaphore::new(CONNECTING)), Rc::new(Semaphore::new(0)));
    let clients: Vec<_> = (0..CONNECTIONS)
        .map(|number| {
            let (connecting, connected) = (Arc::clone(&connecting), Rc::clone(&connected));
            let stopped = stopped.clone();
            spawn_local(async move {
                let permit = connecting.acquire().await.expect("it is never closed");
                let wire = come(address, number).await;
                drop(permit);
                connected.add_permits(1);
                stay(wire, number, stopped).await;
            })
        })
        .collect();
    let _ = connected.acquire_many(CONNECTIONS as u32).await.expect("it is never closed");
    up.send(()).expect("somebody waits");
    for client in clients {
        client.await.expect("a client that does not panic");
    }
}

async fn come(address: SocketAddr, number: usize) -> Wire {
    let version = [ProtocolVersion::V5, ProtocolVersion::V311][number % 2];
    let mut connect = Connect::new(version, &format!("crowd-{number}"));
    connect.keep_alive = KEEP_ALIVE.as_secs() as u16;
    let (mut wire, _) = Wire::connect(address, number, connect).await;
    if (PUBLISHERS..PUBLISHERS + SUBSCRIBERS).contains(&number) {
        wire.subscribe(&format!("load/{}", number % TOPICS)).await;
    }
    wire
}

async fn stay(mut wire: Wire, number: usize, mut stopped: watch::Receiver<bool>) {
    let publishes = number < PUBLISHERS;
    sleep(fraction(number)).await;
    let mut pace = interval(if publishes { PACE } else { KEEP_ALIVE / 2 });
    pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut published = 0;
    loop {
        tokio::select! {
            _ = stopped.changed() => return,
            _ = pace.tick() => {
                if publishes {
                    wire.send(&publish(&format!("load/{}", number % TOPICS), published, None)).await;
                    published += 1;
                } else {
                    wire.send(&Packet::PingReq).await;
                }
            }
            packet = wire.next() => match packet {
                Some(Packet::Publish(message)) => wire.acknowledge(&message).await,
                Some(Packet::PubAck(_) | Packet::PingResp) => {}
                other => panic!("a client of the crowd got {other:?}"),
            },
        }
    }
}
