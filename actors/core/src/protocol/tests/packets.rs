//! The packets that are neither messages nor about subscriptions.

use ProtocolVersion::{V5, V311};
use ReasonCode::{
    ContinueAuthentication, DisconnectWithWillMessage, ProtocolError, ReAuthenticate, ServerBusy, Success,
};
use mqtt_codec::{
    Ack, Auth, AuthProperties, Connect, Disconnect, Packet, ProtocolVersion, ReasonCode, Sender, Unsubscribe,
};

use crate::protocol::effects::Ending;
use crate::protocol::tests::Client;
use crate::protocol::violation::Violation;
use crate::protocol::{Protocol, Stepped};
use crate::testing::{connect, id};

/// What the CONNECT says of the client.
#[test]
fn what_a_connect_says() {
    let mut connect = connect(3, 100);
    connect.properties.authentication_method = Some("SCRAM".to_owned());
    let protocol = Protocol::new(&connect);
    assert_eq!((protocol.version(), protocol.maximum_packet_size()), (V5, 100));
    assert_eq!(protocol.authentication_method(), Some("SCRAM"));
    let protocol = Protocol::new(&Connect::new(V311, "c"));
    assert_eq!((protocol.version(), protocol.maximum_packet_size()), (V311, u32::MAX));
    assert_eq!(protocol.authentication_method(), None);
}

/// [MQTT-3.12.4-1]
#[test]
fn pingreq_is_answered() {
    let mut client = Client::new(V311);
    client.send(&Packet::PingReq).unwrap();
    assert_eq!(client.send_more(&Packet::PingReq), Ok(Stepped::Done));
    assert_eq!(client.answers(), ["PINGRESP", "PINGRESP"]);
    assert!(client.fx.end.is_none());
}

/// [MQTT-3.1.0-2] A second CONNECT ends the network connection.
#[test]
fn a_second_connect() {
    for version in [V5, V311] {
        let mut client = Client::new(version);
        assert_eq!(client.refused(&Packet::Connect(Box::new(Connect::new(version, "c")))), ProtocolError);
    }
}

fn disconnect(reason: ReasonCode, session_expiry_interval: Option<u32>) -> Packet {
    let mut disconnect = Disconnect::new(reason);
    disconnect.properties.session_expiry_interval = session_expiry_interval;
    Packet::Disconnect(disconnect)
}

/// [MQTT-3.14.4-3] The will is dropped after a DISCONNECT with reason 0, and published after any other.
#[test]
fn disconnect_and_will() {
    for (reason, publish_will) in [(Success, false), (DisconnectWithWillMessage, true), (ProtocolError, true)]
    {
        let mut client = Client::new(V5);
        client.send(&disconnect(reason, None)).unwrap();
        let expected = Ending { reason, reason_string: None, by_client: true, publish_will };
        assert_eq!(client.fx.end, Some(expected));
    }
    let mut client = Client::new(V311);
    client.send(&disconnect(Success, None)).unwrap();
    assert_eq!(client.fx.end.as_ref().map(|end| end.publish_will), Some(false));
}

/// [MQTT-3.14.2-2] A DISCONNECT may change the session expiry interval, within the node's limit, but not from 0.
#[test]
fn disconnect_and_session_expiry() {
    for (asked_first, asked_last, expected) in [
        (60, None, Some(60)),
        (60, Some(0), Some(0)),
        (60, Some(90), Some(90)),
        (60, Some(500), Some(100)),
        (0, None, Some(0)),
        (0, Some(0), Some(0)),
        (0, Some(1), None),
    ] {
        let mut connect = Connect::new(V5, "c");
        connect.properties.session_expiry_interval = Some(asked_first);
        let mut client =
            Client::with(&connect, |settings| settings.mqtt.session_expiry_interval_max_seconds = 100);
        let found = client.send(&disconnect(Success, asked_last));
        assert_eq!(found.is_ok(), expected.is_some(), "{asked_first} {asked_last:?}");
        match expected {
            Some(seconds) => assert_eq!(client.session.expiry_interval, seconds),
            None => {
                assert_eq!(found.map_err(|violation| violation.reason), Err(ProtocolError));
                assert!(client.fx.end.is_none());
            }
        }
    }
}

fn auth(reason_code: ReasonCode, method: &str) -> Packet {
    let properties = AuthProperties {
        authentication_method: Some(method.to_owned()),
        authentication_data: Some("data".into()),
        ..AuthProperties::default()
    };
    Packet::Auth(Auth { reason_code, properties })
}

/// [MQTT-4.12.0-5] [MQTT-4.12.0-6] [MQTT-4.12.1-1] Re-authentication, with the method of the CONNECT and no other.
#[test]
fn re_authentication() {
    let mut connect = Connect::new(V5, "c");
    connect.properties.authentication_method = Some("m".to_owned());
    let mut client = Client::with(&connect, |_| {});
    for (reason, begins) in [(ReAuthenticate, true), (ContinueAuthentication, false)] {
        assert_eq!(client.send(&auth(reason, "m")), Ok(Stepped::Done));
        let [step] = &client.fx.reauthenticate[..] else { panic!() };
        assert_eq!((step.begins, step.data.as_deref()), (begins, Some(&b"data"[..])));
    }
    assert_eq!(client.refused(&auth(ReAuthenticate, "n")), ProtocolError);
    assert_eq!(Client::new(V5).refused(&auth(ReAuthenticate, "m")), ProtocolError);
}

/// What was asked for is forgotten before the next wake-up.
#[test]
fn effects_are_forgotten() {
    let mut client = Client::new(V5);
    client.send(&Packet::PingReq).unwrap();
    client.send_more(&Packet::Publish(super::publish("t", "x", mqtt_codec::QoS::AtMostOnce, 0))).unwrap();
    let filters = vec![mqtt_codec::SubscriptionFilter::parse("t").unwrap()];
    let unsubscribe = Unsubscribe { packet_identifier: id(1), user_properties: Vec::new(), filters };
    client.send_more(&Packet::Unsubscribe(unsubscribe)).unwrap();
    client.send_more(&disconnect(Success, None)).unwrap();
    client.fx.clear();
    let fx = &client.fx;
    assert!(fx.out.is_empty() && fx.batch.is_empty() && fx.changes.is_empty() && fx.end.is_none());
    assert_eq!(fx.out_packets, 0);
}

/// A violation becomes the DISCONNECT of a 5.0 client, with its text, and nothing for a client that would not
/// understand it; the will is published.
#[test]
fn violations_are_told() {
    let ending = Ending::from(Violation::new(ServerBusy, "too much"));
    assert!(ending.publish_will && !ending.by_client);
    let told = |ending: &Ending, version, maximum_packet_size| {
        let mut out = Vec::new();
        ending.packet(version, maximum_packet_size, &mut out);
        out
    };
    assert_eq!(told(&ending, V5, u32::MAX), b"\xe0\x0d\x89\x0b\x1f\x00\x08too much");
    // Without the reason string if it does not fit, and not at all if nothing fits.
    assert_eq!(told(&ending, V5, 14), b"\xe0\x02\x89\x00");
    assert_eq!(told(&ending, V5, 4), b"\xe0\x02\x89\x00");
    assert!(told(&ending, V5, 3).is_empty());
    assert!(told(&ending, V311, u32::MAX).is_empty());
    assert!(told(&Ending { by_client: true, ..ending }, V5, u32::MAX).is_empty());
    assert!(told(&Ending::because(Success), V5, u32::MAX).is_empty());
    let error = mqtt_codec::decode(b"\x00", V5, Sender::Client, &mqtt_codec::Limits::default()).unwrap_err();
    let violation = Violation::from(error);
    assert_eq!((violation.reason, violation.text), (error.reason_code(), error.to_string()));
}

/// A packet that does not fit the client's maximum packet size is not sent, nor counted.
#[test]
fn packets_within_the_clients_limit() {
    let mut client = Client::new(V5);
    let packet = Packet::PubAck(Ack::new(id(1), Success));
    client.fx.send(&packet, V5, 3);
    assert_eq!((client.fx.out.len(), client.fx.out_packets), (0, 0));
    client.fx.send(&packet, V5, 4);
    assert_eq!((client.fx.out.len(), client.fx.out_packets), (4, 1));
}
