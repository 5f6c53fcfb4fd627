//! 5.0: rumqttc's `v5::AsyncClient`.

use std::time::Duration;

use bytes::Bytes;
use rumqttc::Outgoing;
use rumqttc::v5::mqttbytes::QoS as QoS5;
use rumqttc::v5::mqttbytes::v5::{LastWill, Packet, PubAckReason, PubRecReason, SubscribeReasonCode};
use rumqttc::v5::{AsyncClient, Event, EventLoop, MqttOptions};
use tokio::task::JoinHandle;

use crate::{Answer, Events, Message, PACKET_BYTES_MAX, QoS, REQUESTS_MAX, Requests, Settings, broker};

/// QoS 1 and 2 publishes that a client sends before the first is acknowledged; as rumqttc's default for 3.1.1.
const INFLIGHT_MAX: u16 = 100;

/// A client of 5.0.
pub type Client = crate::Client<AsyncClient>;

/// The options that [`Requests::start`] uses.
pub fn options(settings: &Settings) -> MqttOptions {
    let (host, port) = broker();
    let mut options = MqttOptions::new(&settings.identifier, host, port);
    options
        .set_clean_start(!settings.durable)
        .set_session_expiry_interval(settings.durable.then_some(3600))
        .set_keep_alive(Duration::from_secs(30))
        // rumqttc makes room for this many at once: 10 MiB per client for the default of 65,535.
        .set_outgoing_inflight_upper_limit(INFLIGHT_MAX)
        .set_max_packet_size(u32::try_from(PACKET_BYTES_MAX).ok());
    if let Some((topic, payload, qos)) = &settings.will {
        options.set_last_will(LastWill::new(topic, payload.as_bytes(), to_5(*qos), false, None));
    }
    options
}

/// Connects with `options`, as [`Requests::start`] does.
pub fn start(options: MqttOptions, events: Events) -> (AsyncClient, JoinHandle<()>) {
    let (client, event_loop) = AsyncClient::new(options, REQUESTS_MAX);
    (client, tokio::spawn(run(event_loop, events)))
}

impl Requests for AsyncClient {
    fn start(settings: &Settings, events: Events) -> (Self, JoinHandle<()>) {
        start(options(settings), events)
    }

    async fn subscribe(&self, filter: &str, qos: QoS) {
        AsyncClient::subscribe(self, filter, to_5(qos)).await.expect("the client runs");
    }

    async fn unsubscribe(&self, filter: &str) {
        AsyncClient::unsubscribe(self, filter).await.expect("the client runs");
    }

    async fn publish(&self, topic: &str, payload: Bytes, qos: QoS, retain: bool) {
        self.publish_bytes(topic, to_5(qos), retain, payload).await.expect("the client runs");
    }

    async fn disconnect(&self) {
        AsyncClient::disconnect(self).await.expect("the client runs");
    }
}

/// rumqttc has a QoS of its own for 5.0.
pub fn to_5(qos: QoS) -> QoS5 {
    match qos {
        QoS::AtMostOnce => QoS5::AtMostOnce,
        QoS::AtLeastOnce => QoS5::AtLeastOnce,
        QoS::ExactlyOnce => QoS5::ExactlyOnce,
    }
}

fn from_5(qos: QoS5) -> QoS {
    match qos {
        QoS5::AtMostOnce => QoS::AtMostOnce,
        QoS5::AtLeastOnce => QoS::AtLeastOnce,
        QoS5::ExactlyOnce => QoS::ExactlyOnce,
    }
}

/// Carries the network connection until it ends for whatever reason; rumqttc would connect again.
async fn run(mut event_loop: EventLoop, events: Events) {
    // The tests await one acknowledgement at a time where they look at this.
    let mut no_matching_subscribers = false;
    loop {
        match event_loop.poll().await {
            Ok(Event::Incoming(Packet::PubRec(pubrec))) => {
                no_matching_subscribers = pubrec.reason == PubRecReason::NoMatchingSubscribers;
            }
            Ok(Event::Incoming(Packet::PubComp(_))) => {
                events.answer(Answer::Acknowledged { no_matching_subscribers });
            }
            Ok(Event::Incoming(packet)) => tell(packet, &events),
            Ok(Event::Outgoing(Outgoing::Disconnect)) => break,
            Ok(Event::Outgoing(_)) => {}
            Err(error) => {
                events.answer(Answer::Ended(error.to_string()));
                break;
            }
        }
    }
}

fn tell(packet: Packet, events: &Events) {
    match packet {
        Packet::Publish(publish) => events.message(Message {
            topic: String::from_utf8_lossy(&publish.topic).into_owned(),
            payload: publish.payload,
            qos: from_5(publish.qos),
            retain: publish.retain,
            properties: publish.properties,
        }),
        Packet::ConnAck(connack) => events.answer(Answer::Connected {
            session_present: connack.session_present,
            properties: connack.properties,
        }),
        Packet::SubAck(suback) => {
            let granted = suback.return_codes.iter().map(|code| match code {
                SubscribeReasonCode::Success(qos) => Some(from_5(*qos)),
                _ => None,
            });
            events.answer(Answer::Subscribed(granted.collect()));
        }
        Packet::UnsubAck(_) => events.answer(Answer::Unsubscribed),
        Packet::PubAck(puback) => events.answer(Answer::Acknowledged {
            no_matching_subscribers: puback.reason == PubAckReason::NoMatchingSubscribers,
        }),
        _ => {}
    }
}
