//! Sessions without connection: there until half a second before they expire, gone half a second after.

use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Instant;

use tokio::task::JoinHandle;
use tokio::time::sleep;

use super::TOLERANCE;
use super::arrivals::{fraction, seconds, spread};
use super::record::Record;
use super::wire::{Wire, connect};

const BEFORE: &str = "session expiry, back before it";
const AFTER: &str = "session expiry, back after it";
const CLIENTS: usize = 500;

pub(crate) fn start(address: SocketAddr, record: &Rc<Record>) -> Vec<JoinHandle<()>> {
    record.expect(BEFORE, CLIENTS / 2);
    record.expect(AFTER, CLIENTS / 2);
    spread(CLIENTS, |number| go_and_return(address, number, Rc::clone(record)))
}

async fn go_and_return(address: SocketAddr, number: usize, record: Rc<Record>) {
    let expiry = seconds(number / 2, &[1, 2, 3, 5]);
    let connect = connect(&format!("session-{number}"), expiry.as_secs() as u32);
    let (wire, _) = Wire::connect(address, number, connect.clone()).await;
    sleep(fraction(number)).await;
    let before = number.is_multiple_of(2);
    let gone = Instant::now();
    if (number / 8).is_multiple_of(2) {
        wire.disconnect().await
    } else {
        drop(wire)
    }
    sleep(if before { expiry - TOLERANCE } else { expiry + TOLERANCE }).await;
    let (wire, answer) = Wire::connect(address, number, connect).await;
    let back = gone.elapsed();
    // Whoever is too late himself has nothing to complain about.
    if answer.session_present != before && !(before && back >= expiry) {
        let present = answer.session_present;
        record.wrong(format!("a session of {expiry:?} after {back:?}: session present {present}"));
    }
    record.late(if before { BEFORE } else { AFTER }, 0.0);
    wire.disconnect().await;
}
