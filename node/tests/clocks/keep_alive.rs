//! Keep alive: who stays silent for one and a half times as long is closed, who is heard before stays.

use std::rc::Rc;
use std::time::Duration;

use mqtt_codec::{Connect, Disconnect, Packet, ProtocolVersion, QoS, ReasonCode};
use tokio::time::{sleep, sleep_until};

use crate::harness::{connect, publish};
use crate::link::Link;
use crate::part::{Events, Part};
use crate::verdict::Event;

/// Of each version, per thread.
const EACH: usize = 75;
/// All that are closed, per thread.
pub(crate) const SILENT: usize = 2 * EACH;
const KEEP_ALIVE_SECONDS: u16 = 2;
const PATIENCE: Duration = Duration::from_secs(3);
/// So much before the end of its patience the node hears from a client.
const JUST_IN_TIME: Duration = Duration::from_millis(250);
/// A client that is later than this may be closed.
const TOO_LATE: Duration = Duration::from_millis(50);
const PINGS: usize = 3;

pub(crate) fn begin(part: &Rc<Part>, events: &mut Events) {
    for number in 0..EACH {
        let at = (number, EACH);
        let life = number % 3;
        part.begin(events, "keep alive: 5.0, silent, told 0x8D", at, move |part, name| {
            silent(part, name, ProtocolVersion::V5, life)
        });
        part.begin(events, "keep alive: 3.1.1, silent", at, move |part, name| {
            silent(part, name, ProtocolVersion::V311, life)
        });
        for (kind, version) in [
            ("keep alive: 5.0, in time", ProtocolVersion::V5),
            ("keep alive: 3.1.1, in time", ProtocolVersion::V311),
        ] {
            part.begin(events, kind, at, move |part, name| in_time(part, name, version));
        }
    }
}

async fn client(part: &Part, name: &str, version: ProtocolVersion) -> Result<Link, String> {
    let connect = Connect { keep_alive: KEEP_ALIVE_SECONDS, ..connect(version, name) };
    Ok(Link::client(part.addresses.tcp, connect).await?.0)
}

/// Its last sign of life is its CONNECT, a PINGREQ or a PUBLISH.
async fn silent(
    part: Rc<Part>,
    name: String,
    version: ProtocolVersion,
    life: usize,
) -> Result<Option<Event>, String> {
    let mut link = client(&part, &name, version).await?;
    if life > 0 {
        // The silence before its last sign of life.
        sleep(Duration::from_millis(700)).await;
    }
    match life {
        1 => link.ping().await?,
        2 => link.send(&publish("nobody/wants", QoS::AtMostOnce, 0, b"x")).await?,
        _ => {}
    }
    let (earliest, latest) = link.written;
    if version == ProtocolVersion::V5 {
        link.expect(&Packet::Disconnect(Disconnect::new(ReasonCode::KeepAliveTimeout))).await?;
    }
    if link.next().await?.is_some() {
        return Err("it is not closed".to_owned());
    }
    Event::at(link.read, earliest + PATIENCE, latest + PATIENCE, &part.stalls).map(Some)
}

async fn in_time(part: Rc<Part>, name: String, version: ProtocolVersion) -> Result<Option<Event>, String> {
    let mut link = client(&part, &name, version).await?;
    for _ in 0..PINGS {
        let before = link.written.0;
        sleep_until((before + PATIENCE - JUST_IN_TIME).into()).await;
        let answered = link.ping().await;
        // One that the node was kept from hearing may be closed too.
        let is_excused = answered.is_err() && part.stalls.between(before, link.read) > TOO_LATE;
        if link.written.1 - before > PATIENCE - TOO_LATE || is_excused {
            return Ok(None);
        }
        answered?;
    }
    Ok(Some(Event::RIGHT))
}
