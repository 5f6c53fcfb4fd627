//! Messages with an expiry interval that wait, for a session to come back or for room in a receive maximum: sent with
//! what remains of it until half a second before it passes, and not sent half a second after.

use std::net::SocketAddr;
use std::num::NonZeroU16;
use std::rc::Rc;
use std::time::{Duration, Instant};

use mqtt_codec::{Packet, Publish};
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

use super::arrivals::{fraction, seconds, spread};
use super::record::Record;
use super::wire::{Wire, connect};
use super::{DEADLINE, TOLERANCE};

const REMAINING: &str = "message expiry, what remains";
const AFTER: &str = "message expiry, not sent after it";
/// Those who wait offline, and as many whose receive maximum has no room.
const CLIENTS: usize = 300;
/// Session expiry interval, longer than anything here.
const LONG: u32 = 600;

pub(crate) fn start(address: SocketAddr, record: &Rc<Record>) -> Vec<JoinHandle<()>> {
    record.expect(REMAINING, CLIENTS);
    record.expect(AFTER, CLIENTS);
    let mut clients = spread(CLIENTS, |number| offline(address, number, Rc::clone(record)));
    clients.extend(spread(CLIENTS, |number| without_room(address, number, Rc::clone(record))));
    clients
}

/// The expiry interval of a message, and how long it waits: half of them until just before that, or less, the others
/// until just after.
fn times(number: usize) -> (Duration, Duration) {
    let expiry = seconds(number / 2, &[1, 2, 3, 5]);
    let before = (expiry - TOLERANCE).mul_f64(1.0 - (number / 8 % 3) as f64 / 4.0);
    (expiry, if number.is_multiple_of(2) { before } else { expiry + TOLERANCE })
}

fn judge(record: &Record, published: Instant, expiry: Duration, came: Option<&Publish>, before: bool) {
    let waited = published.elapsed();
    match came {
        Some(publish) if before => {
            let remains = publish.properties.message_expiry_interval.map_or(f64::INFINITY, f64::from);
            let excess = remains - (expiry.as_secs_f64() - waited.as_secs_f64());
            // It is told in whole seconds, rounded up, so up to one too many is right.
            record.late(REMAINING, excess.min(0.0) + (excess - 1.0).max(0.0));
        }
        None if !before => record.late(AFTER, 0.0),
        // Whoever is too late himself has nothing to complain about.
        None if waited >= expiry => record.late(REMAINING, 0.0),
        came => record.wrong(format!("a message of {expiry:?} after {waited:?}: sent {}", came.is_some())),
    }
}

async fn offline(address: SocketAddr, number: usize, record: Rc<Record>) {
    let (topic, (expiry, waits)) = (format!("message/{number}"), times(number));
    let durable = connect(&format!("offline-{number}"), LONG);
    let (mut wire, _) = Wire::connect(address, number, durable.clone()).await;
    wire.subscribe(&topic).await;
    wire.disconnect().await;
    let (mut publisher, _) = Wire::connect(address, number, connect("", 0)).await;
    sleep(fraction(number)).await;
    let published = Instant::now();
    publisher.publish(&topic, number, Some(expiry)).await;
    publisher.disconnect().await;
    sleep(waits.saturating_sub(published.elapsed())).await;
    let (mut wire, _) = Wire::connect(address, number, durable).await;
    let came = wire.waiting().await;
    judge(&record, published, expiry, came.as_ref(), waits < expiry);
    wire.disconnect().await;
}

async fn without_room(address: SocketAddr, number: usize, record: Rc<Record>) {
    let (topic, (expiry, waits)) = (format!("narrow/{number}"), times(number));
    let mut narrow = connect(&format!("narrow-{number}"), 0);
    narrow.properties.receive_maximum = NonZeroU16::new(1);
    let (mut wire, _) = Wire::connect(address, number, narrow).await;
    wire.subscribe(&topic).await;
    let (mut publisher, _) = Wire::connect(address, number, connect("", 0)).await;
    publisher.publish(&topic, number, None).await;
    let first = timeout(DEADLINE, wire.next()).await.expect("in time");
    let Some(Packet::Publish(first)) = first else { panic!("in place of a PUBLISH: {first:?}") };
    sleep(fraction(number)).await;
    let published = Instant::now();
    publisher.publish(&topic, number, Some(expiry)).await;
    publisher.disconnect().await;
    sleep(waits.saturating_sub(published.elapsed())).await;
    wire.acknowledge(&first).await;
    let came = wire.waiting().await;
    judge(&record, published, expiry, came.as_ref(), waits < expiry);
    wire.disconnect().await;
}
