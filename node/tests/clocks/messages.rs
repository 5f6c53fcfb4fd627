//! Message expiry: what waits in a session is delivered before its time is over, and says how much of it is left.

use std::rc::Rc;
use std::time::{Duration, Instant};

use mqtt_codec::{Ack, Connect, Disconnect, Packet, ProtocolVersion, QoS, ReasonCode};
use tokio::time::sleep_until;

use crate::harness::{connect, publish};
use crate::link::Link;
use crate::part::{Events, Part};
use crate::verdict::Event;

/// Of each kind, per thread.
const EACH: usize = 100;
const EXPIRY: Duration = Duration::from_secs(2);
const V5: ProtocolVersion = ProtocolVersion::V5;

pub(crate) fn begin(part: &Rc<Part>, events: &mut Events) {
    for number in 0..EACH {
        // From a tenth of a second after the publish to three quarters of one after the end of its time.
        let after = Duration::from_millis(100) + Duration::from_millis(2650) * number as u32 / EACH as u32;
        let at = (number, EACH);
        part.begin(events, "message: waits for an offline client", at, move |part, name| {
            waits(part, name, after, Wait::Offline)
        });
        part.begin(events, "message: waits for room in a window", at, move |part, name| {
            waits(part, name, after, Wait::Window)
        });
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wait {
    Offline,
    Window,
}

async fn publish_sure(
    link: &mut Link,
    topic: &str,
    payload: &[u8],
    expiry: Option<Duration>,
) -> Result<(), String> {
    let Packet::Publish(mut message) = publish(topic, QoS::AtLeastOnce, 1, payload) else { unreachable!() };
    message.properties.message_expiry_interval = expiry.map(|expiry| expiry.as_secs() as u32);
    link.send(&Packet::Publish(message)).await?;
    match link.next().await? {
        Some(Packet::PubAck(_)) => Ok(()),
        other => Err(format!("in place of a PUBACK: {other:?}")),
    }
}

/// A message that expires is published, and one behind it that does not: with the second it is clear whether the first
/// still comes.
async fn waits(part: Rc<Part>, name: String, after: Duration, wait: Wait) -> Result<Option<Event>, String> {
    let address = part.addresses.tcp;
    let mut connect_again = Connect { clean_start: false, ..connect(V5, &name) };
    connect_again.properties.session_expiry_interval = Some(60);
    connect_again.properties.receive_maximum = (wait == Wait::Window).then_some(1.try_into().expect("not 0"));
    let (mut link, _) = Link::client(address, connect_again.clone()).await?;
    link.subscribe(&name, QoS::AtLeastOnce).await?;
    let (mut publisher, _) = Link::client(address, connect(V5, &format!("{name}/publisher"))).await?;
    let mut first = None;
    if wait == Wait::Window {
        publish_sure(&mut publisher, &name, b"fills the window", None).await?;
        first = match link.next().await? {
            Some(Packet::Publish(message)) => message.packet_identifier,
            other => return Err(format!("in place of a PUBLISH: {other:?}")),
        };
    } else {
        link.send(&Packet::Disconnect(Disconnect::new(ReasonCode::Success))).await?;
        // The node closes behind it: what is published now waits.
        link.until_end().await?;
    }
    let published = Instant::now();
    publish_sure(&mut publisher, &name, b"expires", Some(EXPIRY)).await?;
    let accepted = publisher.read;
    publish_sure(&mut publisher, &name, b"stays", None).await?;
    sleep_until((published + after).into()).await;
    let asked = Instant::now();
    match first {
        Some(identifier) => link.send(&Packet::PubAck(Ack::new(identifier, ReasonCode::Success))).await?,
        None => link = Link::client(address, connect_again).await?.0,
    }
    let message = link.message().await?;
    if message.payload != b"expires".as_slice() {
        return Event::at(link.read, published + EXPIRY, link.read, &part.stalls).map(Some);
    }
    let received = link.read;
    link.message().await?;
    let left = |waited: Duration| {
        let left = EXPIRY.saturating_sub(waited);
        left.as_secs() as u32 + u32::from(left.subsec_nanos() > 0)
    };
    let (least, most) = (left(received - published), left(asked.saturating_duration_since(accepted)));
    let said = message.properties.message_expiry_interval;
    if !said.is_some_and(|said| (least..=most).contains(&said)) {
        return Err(format!("{said:?} seconds left, not {least} to {most}"));
    }
    Event::at(asked, published, accepted + EXPIRY, &part.stalls).map(Some)
}
