//! Session expiry: a client that comes back before finds its session, one that comes back after finds none.

use std::rc::Rc;
use std::time::{Duration, Instant};

use mqtt_codec::{Connect, Disconnect, Packet, ProtocolVersion, ReasonCode};
use tokio::time::sleep_until;

use crate::harness::connect;
use crate::link::Link;
use crate::part::{Events, Part};
use crate::verdict::{Event, LATE_MAX};

/// Of each kind, per thread.
const EACH: usize = 100;
const EXPIRY: Duration = Duration::from_secs(2);
/// When the node was kept from running for longer, it may have seen late that a client is gone.
const STALLED: Duration = Duration::from_millis(250);
const SHORTLY: Duration = Duration::from_millis(200);

pub(crate) fn begin(part: &Rc<Part>, events: &mut Events) {
    for number in 0..EACH {
        let (at, says_so) = ((number, EACH), number % 2 == 0);
        part.begin(events, "session: present shortly before", at, move |part, name| {
            comes_back(part, name, says_so, EXPIRY - SHORTLY, Some(true))
        });
        part.begin(events, "session: gone half a second after", at, move |part, name| {
            comes_back(part, name, says_so, EXPIRY + LATE_MAX, Some(false))
        });
        // From a quarter of a second before to half a second after.
        let after =
            EXPIRY - Duration::from_millis(250) + Duration::from_millis(750) * number as u32 / EACH as u32;
        part.begin(events, "session: about the end of it", at, move |part, name| {
            comes_back(part, name, says_so, after, None)
        });
    }
}

/// Leaves with a DISCONNECT or without, comes back, and may have been wanted to find its session or not.
async fn comes_back(
    part: Rc<Part>,
    name: String,
    says_so: bool,
    after: Duration,
    wanted: Option<bool>,
) -> Result<Option<Event>, String> {
    let mut connect = Connect { clean_start: false, ..connect(ProtocolVersion::V5, &name) };
    connect.properties.session_expiry_interval = Some(EXPIRY.as_secs() as u32);
    let (mut link, _) = Link::client(part.addresses.tcp, connect.clone()).await?;
    let before = Instant::now();
    if says_so {
        link.send(&Packet::Disconnect(Disconnect::new(ReasonCode::Success))).await?;
    }
    drop(link);
    let lost = Instant::now();
    sleep_until((before + after).into()).await;
    let asked = Instant::now();
    let (link, answer) = Link::client(part.addresses.tcp, connect).await?;
    if wanted == Some(true) && link.read >= before + EXPIRY {
        return Ok(None);
    }
    if wanted.is_some_and(|wanted| wanted != answer.session_present) {
        // It may have begun to expire late.
        if answer.session_present && part.stalls.between(before, link.read) > STALLED {
            return Ok(None);
        }
        return Err(format!("session present {} after {:?}", answer.session_present, asked - lost));
    }
    if answer.session_present {
        // So long it had outlived its end when it was asked for.
        Event::at(asked.max(before), before, lost + EXPIRY, &part.stalls).map(Some)
    } else {
        Event::at(link.read, before + EXPIRY, link.read, &part.stalls).map(Some)
    }
}
