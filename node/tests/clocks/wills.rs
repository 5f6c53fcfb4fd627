//! Wills: published when their delay has passed, or when the session expires before that, and not if the client comes
//! back half a second before.

use std::cell::RefCell;
use std::collections::HashMap;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::{Duration, Instant};

use mqtt_codec::Packet;
use tokio::task::{JoinHandle, spawn_local};
use tokio::time::sleep;

use super::arrivals::{fraction, seconds, spread};
use super::record::Record;
use super::wire::{Wire, connect, will};
use super::{DEADLINE, TOLERANCE};

const DELAY: &str = "will delay";
const EXPIRY: &str = "session expiry, told by the will";
const RETURN: &str = "will delay, back before it passes";
const CLIENTS: usize = 300;
const RETURNING: usize = 150;
/// Above everything that passes here.
const LONG: Duration = Duration::from_secs(600);

/// When each will is due: the kind, when its connection was lost, and after how long.
type Due = Rc<RefCell<HashMap<String, (&'static str, Instant, Duration)>>>;

pub(crate) async fn start(address: SocketAddr, record: &Rc<Record>) -> Vec<JoinHandle<()>> {
    for (kind, clients) in [(DELAY, CLIENTS), (EXPIRY, CLIENTS), (RETURN, RETURNING)] {
        record.expect(kind, clients);
    }
    let due = Due::default();
    let (mut watcher, _) = Wire::connect(address, 0, connect("watcher", 0)).await;
    watcher.subscribe("will/+").await;
    let mut clients = spread(CLIENTS, |number| {
        let time = seconds(number, &[1, 2, 3, 5]);
        lose(address, number, DELAY, (time, LONG), Rc::clone(&due))
    });
    clients.extend(spread(CLIENTS, |number| {
        let time = seconds(number, &[1, 2, 3, 5]);
        lose(address, number, EXPIRY, (LONG, time), Rc::clone(&due))
    }));
    clients.extend(spread(RETURNING, |number| come_back(address, number, Rc::clone(record))));
    clients.push(spawn_local(watch(watcher, due, Rc::clone(record))));
    clients
}

/// Connects with a will, and loses its connection.
async fn lose(address: SocketAddr, number: usize, kind: &'static str, times: (Duration, Duration), due: Due) {
    let (delay, expiry) = times;
    let topic = format!("will/{}-{number}", if kind == DELAY { "delay" } else { "expiry" });
    let mut connect = connect(&topic, expiry.as_secs() as u32);
    connect.will = Some(will(&topic, delay));
    let (wire, _) = Wire::connect(address, number, connect).await;
    sleep(fraction(number)).await;
    due.borrow_mut().insert(topic, (kind, Instant::now(), delay.min(expiry)));
    drop(wire);
}

/// Loses its connection, and comes back when its will is almost due.
async fn come_back(address: SocketAddr, number: usize, record: Rc<Record>) {
    let topic = format!("will/back-{number}");
    let delay = seconds(number, &[1, 2, 3]);
    let mut connect = connect(&topic, LONG.as_secs() as u32);
    connect.will = Some(will(&topic, delay));
    let (wire, _) = Wire::connect(address, number, connect.clone()).await;
    sleep(fraction(number)).await;
    let lost = Instant::now();
    drop(wire);
    sleep(delay - TOLERANCE).await;
    let (wire, answer) = Wire::connect(address, number, connect).await;
    // The watcher says so if the will came. Whoever is too late himself has nothing to complain about.
    if lost.elapsed() < delay && !answer.session_present {
        record.wrong(format!("{topic} found no session"));
    }
    record.late(RETURN, (lost.elapsed().as_secs_f64() - delay.as_secs_f64()).max(0.0));
    wire.disconnect().await;
}

/// Takes the wills as they come, until all that are due are there and none is to come.
async fn watch(mut watcher: Wire, due: Due, record: Rc<Record>) {
    let mut missing = 2 * CLIENTS;
    while missing > 0 {
        let next = tokio::time::timeout(DEADLINE, watcher.next()).await;
        let Ok(Some(packet)) = next else {
            return record.wrong(format!("{missing} wills are missing"));
        };
        let Packet::Publish(publish) = packet else { continue };
        watcher.acknowledge(&publish).await;
        match due.borrow_mut().remove(&publish.topic) {
            Some((kind, lost, after)) => {
                record.came(kind, lost, after);
                missing -= 1;
            }
            None => record.wrong(format!("{} is published, and should not be now", publish.topic)),
        }
    }
}
