//! Who may connect, publish and subscribe, by a file of users and rules.

mod doubt;
mod grants;
mod hanging;
mod reload;
mod rpc;
mod scripted;

use std::fs;
use std::path::PathBuf;
use std::sync::LazyLock;

use auth_actor::{AuthSettings, ProviderKind, set_password};
use mqtt_codec::ProtocolVersion::{V5, V31, V311};
use mqtt_codec::QoS::{AtLeastOnce, AtMostOnce, ExactlyOnce};
use mqtt_codec::{Auth, AuthProperties, Connect, Packet, ProtocolVersion, ReasonCode};
use tempfile::TempDir;

use crate::harness::{Client, TestNode, connect, identifier, options, settings, subscribe_packet, will};
use crate::scram_client::{ScramClient, verifier};

pub(crate) const PASSWORD: &str = "correct horse";

const RULES: &str = r#"
[[rule]]
permission = "deny"
action = "all"
topic = "of/%u/locked/#"

[[rule]]
permission = "allow"
action = "all"
topic = "of/%u/#"

[[rule]]
permission = "allow"
action = "publish"
topic = "at/%c/up"

[[rule]]
permission = "allow"
action = "subscribe"
topic = "at/%c/down"

[[rule]]
permission = "allow"
action = "publish"
topic = "wills/%c"
"#;

/// A user whose SCRAM verifiers cost little, unlike those that a node writes.
fn user(name: &str) -> String {
    static HASH: LazyLock<String> = LazyLock::new(|| {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("users.toml");
        set_password(&file, "somebody", PASSWORD.as_bytes()).unwrap();
        let text = fs::read_to_string(&file).unwrap();
        text.lines().find(|line| line.starts_with("password = ")).unwrap().to_owned()
    });
    let (sha_256, sha_512) = (verifier("SCRAM-SHA-256", PASSWORD), verifier("SCRAM-SHA-512", PASSWORD));
    let hash = &*HASH;
    format!("[[user]]\nname = {name:?}\n{hash}\nscram_sha_256 = {sha_256:?}\nscram_sha_512 = {sha_512:?}\n")
}

/// A node with the users ann and bob and the rules above.
pub(crate) struct Guarded {
    pub(crate) node: TestNode,
    folder: TempDir,
}

impl Guarded {
    async fn start(workers: usize) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("users.toml");
        fs::write(&file, format!("{RULES}{}{}", user("ann"), user("bob"))).unwrap();
        let auth = AuthSettings { provider: ProviderKind::File, file: Some(file), ..AuthSettings::default() };
        Self { node: TestNode::start_with(workers, settings(), auth).await, folder }
    }

    fn file(&self) -> PathBuf {
        self.folder.path().join("users.toml")
    }

    pub(crate) async fn connect(
        &self,
        version: ProtocolVersion,
        client_identifier: &str,
        user: &str,
    ) -> Client {
        self.node.connect_with(login(connect(version, client_identifier), user, PASSWORD)).await.0
    }
}

/// Runs a test over one worker and over three.
pub(crate) fn on_guarded_nodes(test: impl AsyncFn(&Guarded)) {
    for workers in [1, 3] {
        actix_rt::System::new().block_on(async {
            let guarded = Guarded::start(workers).await;
            test(&guarded).await;
            guarded.node.stop().await;
        });
    }
}

fn login(connect: Connect, user: &str, password: &str) -> Connect {
    Connect {
        user_name: Some(user.to_owned()),
        password: Some(password.as_bytes().to_vec().into()),
        ..connect
    }
}

async fn refused(node: &TestNode, connect: Connect, reason: ReasonCode) {
    let mut client = node.open(connect.version).await;
    let answer = client.handshake(connect).await;
    assert_eq!(answer.reason_code, reason);
    assert!(!answer.session_present);
    client.expect_closed().await;
}

/// [MQTT-3.1.4-2] [MQTT-3.2.2-7] 0x86 in 5.0, return code 4 before, for a wrong password and an unknown user; 0x87 and 5 for no user name at all.
#[test]
fn users_and_passwords() {
    on_guarded_nodes(async |guarded| {
        for version in [V31, V311, V5] {
            guarded.connect(version, "client", "ann").await.disconnect().await;
            let wrong = ReasonCode::BadUserNameOrPassword;
            for (user, password) in [("ann", "wrong"), ("nobody", PASSWORD), ("ann", "")] {
                refused(&guarded.node, login(connect(version, "client"), user, password), wrong).await;
            }
            refused(&guarded.node, connect(version, "client"), ReasonCode::NotAuthorized).await;
        }
        guarded.node.until_counters([("connects_refused", 12)]).await;
    });
}

/// `%u` and `%c` stand for who publishes; the first rule that matches decides. A publish that is not allowed reaches
/// nobody: 0x87 at QoS 1 and 2 in 5.0, an acknowledgement like any other before.
#[test]
fn publishing() {
    on_guarded_nodes(async |guarded| {
        let mut ann = guarded.connect(V5, "meter", "ann").await;
        let mut bob = guarded.connect(V311, "meter 2", "bob").await;
        ann.subscribe("of/ann/x", AtMostOnce).await;
        bob.subscribe("of/bob/x", AtMostOnce).await;
        for qos in [AtLeastOnce, ExactlyOnce] {
            assert_eq!(ann.publish("of/bob/x", qos, "m").await, ReasonCode::NotAuthorized);
            assert_eq!(ann.publish("of/ann/locked/x", qos, "m").await, ReasonCode::NotAuthorized);
            assert_eq!(ann.publish("at/meter/up", qos, "m").await, ReasonCode::NoMatchingSubscribers);
            assert_eq!(ann.publish("at/meter/down", qos, "m").await, ReasonCode::NotAuthorized);
            assert_eq!(ann.publish("at/meter 2/up", qos, "m").await, ReasonCode::NotAuthorized);
            assert_eq!(bob.publish("of/ann/x", qos, "m").await, ReasonCode::Success);
        }
        ann.publish("of/bob/x", AtMostOnce, "forbidden").await;
        ann.publish("of/ann/x", AtMostOnce, "allowed").await;
        ann.expect_payload("allowed").await;
        ann.expect_nothing().await;
        bob.expect_nothing().await;
        guarded.node.until_counters([("publishes_not_authorized", 11)]).await;
    });
}

/// Answers come in the order of the publishes, whether they were known or had to be asked for.
#[test]
fn answers_keep_their_order() {
    on_guarded_nodes(async |guarded| {
        let mut ann = guarded.connect(V5, "meter", "ann").await;
        let packets: Vec<Packet> = (1..=600)
            .map(|number| {
                let topic =
                    if number % 3 == 0 { "secret/1".to_owned() } else { format!("of/ann/{}", number % 300) };
                let message = crate::harness::publish(&topic, AtLeastOnce, "m");
                Packet::Publish(mqtt_codec::Publish {
                    packet_identifier: Some(identifier(number)),
                    ..message
                })
            })
            .collect();
        ann.send_all(&packets).await;
        for number in 1..=600 {
            match ann.next().await {
                Packet::PubAck(ack) => {
                    assert_eq!(ack.packet_identifier, identifier(number));
                    assert_eq!(ack.reason_code == ReasonCode::NotAuthorized, number % 3 == 0);
                }
                other => panic!("{other:?} in place of a PUBACK"),
            }
        }
    });
}

/// 0x87 for a filter that is not allowed, 0x80 before 5.0; the others of the packet hold. A shared subscription is
/// judged by the filter inside.
#[test]
fn subscribing() {
    on_guarded_nodes(async |guarded| {
        let filters = [
            "of/ann/#",
            "of/ann/x",
            "of/bob/#",
            "#",
            "at/meter/down",
            "at/meter/up",
            "$share/g/of/ann/y",
            "$share/g/of/bob/y",
        ]
        .map(|name| (name, options(AtLeastOnce)));
        for (version, refused) in [(V5, 0x87), (V311, 0x80)] {
            let mut client = guarded.connect(version, "meter", "ann").await;
            let answer = client.subscribe_packet(subscribe_packet(identifier(1), &filters)).await;
            let codes: Vec<u8> = answer.reason_codes.iter().map(|code| *code as u8).collect();
            // `of/ann/#` covers what is locked, so it is not granted.
            assert_eq!(codes, [refused, 1, refused, refused, 1, refused, 1, refused]);
            client.disconnect().await;
        }
        guarded.node.until_counters([("subscriptions_not_authorized", 10)]).await;
    });
}

/// A will is judged with the CONNECT: 0x87, return code 5 before 5.0.
#[test]
fn wills() {
    on_guarded_nodes(async |guarded| {
        for version in [V31, V311, V5] {
            let with = |topic: &str| {
                let connect =
                    Connect { will: Some(will(topic, AtMostOnce, "w")), ..connect(version, "meter") };
                login(connect, "ann", PASSWORD)
            };
            refused(&guarded.node, with("wills/other"), ReasonCode::NotAuthorized).await;
            guarded.node.connect_with(with("wills/meter")).await.0.disconnect().await;
        }
    });
}

/// The file is read anew on request: new users come in, what was allowed is judged anew on connections that stay.
#[test]
fn reload() {
    on_guarded_nodes(async |guarded| {
        let mut ann = guarded.connect(V5, "meter", "ann").await;
        assert_eq!(ann.publish("of/ann/x", AtLeastOnce, "m").await, ReasonCode::NoMatchingSubscribers);
        let users = fs::read_to_string(guarded.file()).unwrap().replace("of/%u/#", "elsewhere/#");
        fs::write(guarded.file(), users).unwrap();
        set_password(&guarded.file(), "carol", PASSWORD.as_bytes()).unwrap();
        let before = guarded.node.shared().policy.revision();
        guarded.node.running().reload_auth();
        guarded.node.until("the file is read", |_| guarded.node.shared().policy.revision() != before).await;
        assert_eq!(ann.publish("of/ann/x", AtLeastOnce, "m").await, ReasonCode::NotAuthorized);
        guarded.connect(V5, "new", "carol").await.publish("elsewhere/x", AtLeastOnce, "m").await;
        // A file that cannot be used changes nothing.
        fs::write(guarded.file(), "[[user").unwrap();
        guarded.node.running().reload_auth();
        guarded.connect(V5, "new", "carol").await.disconnect().await;
    });
}

// === enhanced authentication ===

pub(crate) fn scram_connect(method: &str, data: Vec<u8>) -> Connect {
    let mut connect = connect(V5, "client");
    connect.properties.authentication_method = Some(method.to_owned());
    connect.properties.authentication_data = Some(data.into());
    connect
}

pub(crate) fn auth(reason_code: ReasonCode, method: &str, data: Vec<u8>) -> Packet {
    let properties = AuthProperties {
        authentication_method: Some(method.to_owned()),
        authentication_data: Some(data.into()),
        ..AuthProperties::default()
    };
    Packet::Auth(Auth { reason_code, properties })
}

/// The data of the node's next AUTH, which must be of this method and reason.
pub(crate) async fn auth_data(client: &mut Client, reason: ReasonCode, method: &str) -> Vec<u8> {
    match client.next().await {
        Packet::Auth(Auth { reason_code, properties }) if reason_code == reason => {
            assert_eq!(properties.authentication_method.as_deref(), Some(method));
            properties.authentication_data.expect("authentication data").to_vec()
        }
        other => panic!("{other:?} in place of an AUTH"),
    }
}

/// [MQTT-4.12.0-2] [MQTT-4.12.0-5] RFC 5802 and 7677: both sides show that they know the password. Then once more on
/// the same network connection, while other packets go on.
#[test]
fn scram_and_reauthentication() {
    on_guarded_nodes(async |guarded| {
        for method in ["SCRAM-SHA-256", "SCRAM-SHA-512"] {
            let scram = ScramClient::new(method, "ann", PASSWORD);
            let mut client = guarded.node.open(V5).await;
            client.send(Packet::Connect(Box::new(scram_connect(method, scram.first())))).await;
            let challenge = auth_data(&mut client, ReasonCode::ContinueAuthentication, method).await;
            let (last, expected) = scram.last(&challenge);
            client.send(auth(ReasonCode::ContinueAuthentication, method, last)).await;
            let answer = client.expect_connack().await;
            assert_eq!(answer.reason_code, ReasonCode::Success);
            assert_eq!(answer.properties.authentication_method.as_deref(), Some(method));
            assert_eq!(answer.properties.authentication_data.as_deref(), Some(expected.as_slice()));
            // Who it is counts in rules.
            assert_eq!(client.publish("of/ann/x", AtLeastOnce, "m").await, ReasonCode::NoMatchingSubscribers);

            client.send(auth(ReasonCode::ReAuthenticate, method, scram.first())).await;
            let challenge = auth_data(&mut client, ReasonCode::ContinueAuthentication, method).await;
            client.ping().await;
            let (last, expected) = scram.last(&challenge);
            client.send(auth(ReasonCode::ContinueAuthentication, method, last)).await;
            assert_eq!(auth_data(&mut client, ReasonCode::Success, method).await, expected);
            client.disconnect().await;
        }
    });
}

/// [MQTT-4.12.0-1] [MQTT-4.12.0-4] [MQTT-4.12.0-7] What goes wrong in an exchange ends the network connection, with the
/// reason.
#[test]
fn scram_refused() {
    const METHOD: &str = "SCRAM-SHA-256";
    on_guarded_nodes(async |guarded| {
        let node = &guarded.node;
        refused(node, scram_connect("OTHER", b"x".to_vec()), ReasonCode::BadAuthenticationMethod).await;

        for (user, password) in [("ann", "wrong"), ("nobody", PASSWORD)] {
            let scram = ScramClient::new(METHOD, user, password);
            let mut client = node.open(V5).await;
            client.send(Packet::Connect(Box::new(scram_connect(METHOD, scram.first())))).await;
            let challenge = auth_data(&mut client, ReasonCode::ContinueAuthentication, METHOD).await;
            let last = scram.last(&challenge).0;
            client.send(auth(ReasonCode::ContinueAuthentication, METHOD, last)).await;
            assert!(client.expect_connack().await.reason_code.is_error());
            client.expect_closed().await;
        }

        // Nothing but AUTH may come before the CONNACK.
        let scram = ScramClient::new(METHOD, "ann", PASSWORD);
        let mut client = node.open(V5).await;
        client.send(Packet::Connect(Box::new(scram_connect(METHOD, scram.first())))).await;
        auth_data(&mut client, ReasonCode::ContinueAuthentication, METHOD).await;
        client.send(Packet::PingReq).await;
        assert_eq!(client.expect_connack().await.reason_code, ReasonCode::ProtocolError);
        client.expect_closed().await;

        // Without a method in CONNECT there is no AUTH at all.
        let mut client = guarded.connect(V5, "plain", "ann").await;
        client.send(auth(ReasonCode::ReAuthenticate, METHOD, scram.first())).await;
        client.expect_disconnect(ReasonCode::ProtocolError).await;
    });
}

/// [MQTT-4.12.1-2] A re-authentication with another method, as somebody else, or with a wrong password ends the network connection.
#[test]
fn reauthentication_refused() {
    const METHOD: &str = "SCRAM-SHA-256";
    on_guarded_nodes(async |guarded| {
        for (method, user, password, expected) in [
            ("SCRAM-SHA-512", "ann", PASSWORD, ReasonCode::ProtocolError),
            (METHOD, "bob", PASSWORD, ReasonCode::NotAuthorized),
            (METHOD, "ann", "wrong", ReasonCode::NotAuthorized),
        ] {
            let scram = ScramClient::new(METHOD, "ann", PASSWORD);
            let mut client = guarded.node.open(V5).await;
            client.send(Packet::Connect(Box::new(scram_connect(METHOD, scram.first())))).await;
            let challenge = auth_data(&mut client, ReasonCode::ContinueAuthentication, METHOD).await;
            client.send(auth(ReasonCode::ContinueAuthentication, METHOD, scram.last(&challenge).0)).await;
            assert_eq!(client.expect_connack().await.reason_code, ReasonCode::Success);

            let again = ScramClient::new(METHOD, user, password);
            client.send(auth(ReasonCode::ReAuthenticate, method, again.first())).await;
            loop {
                match client.next().await {
                    Packet::Auth(Auth { properties, .. }) => {
                        let challenge = properties.authentication_data.unwrap();
                        let last = again.last(&challenge).0;
                        client.send(auth(ReasonCode::ContinueAuthentication, METHOD, last)).await;
                    }
                    Packet::Disconnect(told) => {
                        assert_eq!(told.reason_code, expected);
                        break;
                    }
                    other => panic!("{other:?} in place of a DISCONNECT"),
                }
            }
            client.expect_closed().await;
        }
    });
}
