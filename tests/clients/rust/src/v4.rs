//! 3.1.1: rumqttc's `AsyncClient`.

use std::time::Duration;

use bytes::Bytes;
use rumqttc::{
    AsyncClient, Event, EventLoop, LastWill, MqttOptions, Outgoing, Packet, QoS, SubscribeReasonCode,
};
use tokio::task::JoinHandle;

use crate::{Answer, Events, Message, PACKET_BYTES_MAX, REQUESTS_MAX, Requests, Settings, broker};

/// A client of 3.1.1.
pub type Client = crate::Client<AsyncClient>;

/// The options that [`Requests::start`] uses.
pub fn options(settings: &Settings) -> MqttOptions {
    let (host, port) = broker();
    let mut options = MqttOptions::new(&settings.identifier, host, port);
    options
        .set_clean_session(!settings.durable)
        .set_keep_alive(Duration::from_secs(30))
        .set_max_packet_size(PACKET_BYTES_MAX, PACKET_BYTES_MAX);
    if let Some((topic, payload, qos)) = &settings.will {
        options.set_last_will(LastWill::new(topic, payload.as_bytes(), *qos, false));
    }
    options
}

impl Requests for AsyncClient {
    fn start(settings: &Settings, events: Events) -> (Self, JoinHandle<()>) {
        let (client, event_loop) = AsyncClient::new(options(settings), REQUESTS_MAX);
        (client, tokio::spawn(run(event_loop, events)))
    }

    async fn subscribe(&self, filter: &str, qos: QoS) {
        AsyncClient::subscribe(self, filter, qos).await.expect("the client runs");
    }

    async fn unsubscribe(&self, filter: &str) {
        AsyncClient::unsubscribe(self, filter).await.expect("the client runs");
    }

    async fn publish(&self, topic: &str, payload: Bytes, qos: QoS, retain: bool) {
        self.publish_bytes(topic, qos, retain, payload).await.expect("the client runs");
    }

    async fn disconnect(&self) {
        AsyncClient::disconnect(self).await.expect("the client runs");
    }
}

/// Carries the network connection until it ends for whatever reason; rumqttc would connect again.
async fn run(mut event_loop: EventLoop, events: Events) {
    loop {
        match event_loop.poll().await {
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
            topic: publish.topic,
            payload: publish.payload,
            qos: publish.qos,
            retain: publish.retain,
            properties: None,
        }),
        Packet::ConnAck(connack) => {
            events.answer(Answer::Connected { session_present: connack.session_present, properties: None });
        }
        Packet::SubAck(suback) => {
            let granted = suback.return_codes.iter().map(|code| match code {
                SubscribeReasonCode::Success(qos) => Some(*qos),
                SubscribeReasonCode::Failure => None,
            });
            events.answer(Answer::Subscribed(granted.collect()));
        }
        Packet::UnsubAck(_) => events.answer(Answer::Unsubscribed),
        Packet::PubAck(_) | Packet::PubComp(_) => {
            events.answer(Answer::Acknowledged { no_matching_subscribers: false });
        }
        _ => {}
    }
}
