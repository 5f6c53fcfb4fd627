//! Connections that never become clients: silent, stuck within a CONNECT, dripping it byte by byte, or stuck before
//! the WebSocket handshake is through. The node closes them when the time to a complete CONNECT has passed.

use std::net::SocketAddr;
use std::rc::Rc;
use std::time::{Duration, Instant};

use tokio::task::JoinHandle;
use tokio::time::sleep;

use super::arrivals::spread;
use super::program::CONNECT_TIMEOUT;
use super::record::Record;
use super::wire::{open, read, write};

const KIND: &str = "CONNECT timeout";
const CLIENTS: usize = 500;
/// Between two bytes of those who drip.
const DRIP: Duration = Duration::from_millis(250);
/// A CONNECT of 3.1.1 that lacks its last bytes.
const INCOMPLETE: &[u8] = b"\x10\x20\x00\x04MQTT\x04\x02\x00\x3c\x00\x14incomplete";

pub(crate) fn start(tcp: SocketAddr, websocket: SocketAddr, record: &Rc<Record>) -> Vec<JoinHandle<()>> {
    record.expect(KIND, CLIENTS);
    spread(CLIENTS, |number| {
        let address = if number % 4 == 3 { websocket } else { tcp };
        linger(address, number, Rc::clone(record))
    })
}

async fn linger(address: SocketAddr, number: usize, record: Rc<Record>) {
    let stream = open(address, number).await;
    let opened = Instant::now();
    let mut received = Vec::new();
    let end = async { while read(&stream, &mut received).await {} };
    match number % 4 {
        0 => end.await,
        1 => {
            write(&stream, INCOMPLETE).await;
            end.await;
        }
        2 => {
            let drip = async {
                for byte in INCOMPLETE {
                    // It may have been closed just now.
                    let _ = stream.try_write(std::slice::from_ref(byte));
                    sleep(DRIP).await;
                }
            };
            tokio::select! {
                () = end => {}
                () = drip => panic!("it is still open"),
            }
        }
        _ => {
            write(&stream, b"GET /mqtt HTTP/1.1\r\nHost: localhost\r\n").await;
            end.await;
        }
    }
    record.came(KIND, opened, CONNECT_TIMEOUT);
}
