//! The headers of a WebSocket's handshake: those that are lists, those that come once, and the origin of a web page.

use super::handshake::{accepted, check_accepted, check_refused, offering, refused, request};
use super::*;

const LINE: &str = "GET /mqtt HTTP/1.1";
const BAD_REQUEST: &str = "HTTP/1.1 400 Bad Request";
const NO_UPGRADE: &str = "HTTP/1.1 426 Upgrade Required";

/// A right request with one of its lines in place of another: several lines, or none.
fn with(line: &str, lines: &str) -> String {
    let request = offering("mqtt");
    assert!(request.contains(line), "{line}");
    request.replace(&format!("{line}\r\n"), lines)
}

/// [RFC 9110, 5.3 and 5.6.1] Lines of a list are one list, its elements are trimmed, and empty ones are none.
#[actix::test]
async fn lists_in_several_lines() {
    const CONNECTION: &str = "Connection: keep-alive, Upgrade";
    const UPGRADE: &str = "Upgrade: websocket";
    for lines in [
        "Connection: keep-alive\r\nConnection: Upgrade\r\n",
        "Connection: Upgrade\r\nconnection: keep-alive\r\n",
        "CONNECTION: close\r\nConnection: x\r\nConnection: \t , UPGRADE ,,\t\r\n",
        "Connection:upgrade\r\n",
        "Connection: \r\nConnection: keep-alive,upgrade\r\n",
    ] {
        check_accepted(&with(CONNECTION, lines), "mqtt").await;
    }
    for lines in [
        "Upgrade: h2c\r\nUpgrade: websocket\r\n",
        "Upgrade: WebSocket\r\nupgrade: h2c\r\n",
        "UPGRADE:\t h2c , WEBSOCKET\t\r\n",
    ] {
        check_accepted(&with(UPGRADE, lines), "mqtt").await;
    }
    for lines in ["", "Connection: \r\n", "Connection: keep-alive\r\n", "Connection: upgrades, up grade\r\n"]
    {
        check_refused(&with(CONNECTION, lines), NO_UPGRADE).await;
    }
    for lines in ["", "Upgrade: h2c\r\nUpgrade: tls\r\n", "Upgrade: websocket2\r\n"] {
        check_refused(&with(UPGRADE, lines), NO_UPGRADE).await;
    }
}

/// [MQTT-6.0.0-3] [MQTT-6.0.0-4] Of the client's sub-protocols, in the order of its lines, the first that is MQTT.
#[actix::test]
async fn sub_protocols_in_several_lines() {
    const OFFER: &str = "Sec-WebSocket-Protocol: mqtt";
    for (lines, chosen) in [
        ("Sec-WebSocket-Protocol: chat\r\nsec-websocket-protocol: mqtt\r\n", "mqtt"),
        ("Sec-WebSocket-Protocol: mqttv3.1\r\nSec-WebSocket-Protocol: mqtt\r\n", "mqttv3.1"),
        ("Sec-WebSocket-Protocol: a, b\r\nSec-WebSocket-Protocol: mqtt,mqttv3.1\r\n", "mqtt"),
        ("Sec-WebSocket-Protocol: ,\t mqttv3.1\t,,\r\n", "mqttv3.1"),
        ("SEC-WEBSOCKET-PROTOCOL:mqtt\r\n", "mqtt"),
        ("Sec-WebSocket-Protocol: caf\u{e9}\r\nSec-WebSocket-Protocol: mqtt\r\n", "mqtt"),
        ("Sec-WebSocket-Protocol: mqtt\r\nSec-WebSocket-Protocol: mqtt\r\n", "mqtt"),
    ] {
        check_accepted(&with(OFFER, lines), chosen).await;
    }
    for lines in
        ["Sec-WebSocket-Protocol: \r\n", "Sec-WebSocket-Protocol: Mqtt, mqttv5\r\n", "Protocol: mqtt\r\n"]
    {
        check_refused(&with(OFFER, lines), BAD_REQUEST).await;
    }
}

/// What is no list comes once: of two it would be anybody's guess which one holds, for a proxy in front as well.
#[actix::test]
async fn headers_that_come_once() {
    const HOST: &str = "Host: localhost";
    const KEY: &str = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==";
    const VERSION: &str = "Sec-WebSocket-Version: 13";
    for line in [HOST, KEY, VERSION] {
        check_refused(&with(line, &format!("{line}\r\n{}\r\n", line.to_lowercase())), BAD_REQUEST).await;
    }
    let twice = "Origin: http://localhost\r\nOrigin: http://localhost\r\nSec-WebSocket-Protocol: mqtt\r\n";
    check_refused(&request(LINE, twice), BAD_REQUEST).await;
    for lines in ["", "Host: \r\n", "Host: a b\r\n", "Host: user@localhost\r\n", "Host: a, b\r\n"] {
        check_refused(&with(HOST, lines), BAD_REQUEST).await;
    }
    for key in [
        "",
        "dGhlIHNhbXBsZSBub25jZQ=",
        "dGhlIHNhbXBsZSBub25jZQ",
        "AAAA",
        "dGhlIHNhbXBsZSBub25j!!==",
        "dGhlIHNhbXBsZSBub25jZQ==, dGhlIHNhbXBsZSBub25jZQ==",
    ] {
        check_refused(&with(KEY, &format!("Sec-WebSocket-Key: {key}\r\n")), BAD_REQUEST).await;
    }
    check_accepted(&with(KEY, "sec-websocket-key:\t dGhlIHNhbXBsZSBub25jZQ== \t\r\n"), "mqtt").await;
    check_accepted(&with(VERSION, "Sec-WebSocket-Version:13\t\r\n"), "mqtt").await;
    // One version, not a list of them.
    for version in ["8", "13, 8", "8, 13", "13,", "013", "13.0", ""] {
        let lines = format!("Sec-WebSocket-Version: {version}\r\n");
        let (error, answer) = refused(with(VERSION, &lines).as_bytes()).await;
        assert!(matches!(error, HandshakeError::UpgradeRequired(_)), "{version}: {error}");
        assert!(answer.contains("Sec-WebSocket-Version: 13\r\n"), "{answer:?}");
    }
    check_refused(&with(VERSION, "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Version: 8\r\n"), BAD_REQUEST)
        .await;
}

/// A line that goes on in the next, or a name with a blank behind it, is none [RFC 9112, 5.1 and 5.2].
#[actix::test]
async fn lines_that_are_none() {
    for headers in ["X: a\r\n b\r\n", "X : a\r\n", " X: a\r\n", "X\r\n", "X: \u{7f}\r\n"] {
        let headers = format!("{headers}Sec-WebSocket-Protocol: mqtt\r\n");
        check_refused(&request(LINE, &headers), BAD_REQUEST).await;
    }
}

#[actix::test]
async fn web_pages_of_other_hosts_are_foreign() {
    let from = |origin| request(LINE, &format!("Sec-WebSocket-Protocol: mqtt\r\nOrigin: {origin}\r\n"));
    for origin in ["http://localhost", "https://localhost:8443", "http://LOCALHOST:3000 "] {
        check_accepted(&from(origin), "mqtt").await;
    }
    for origin in
        ["http://example.org", "null", "", "file://", "http://127.0.0.1", "http://localhost.example.org"]
    {
        assert!(accepted(&from(origin), "mqtt").await.is_some(), "{origin}");
    }
    // A page whose own name leads to this machine.
    let rebound = from("http://rebinding.example").replace("Host: localhost", "Host: rebinding.example:8083");
    assert!(accepted(&rebound, "mqtt").await.is_some());
    assert_eq!(
        accepted(&from("http://example.org"), "mqtt").await.expect("foreign").to_string(),
        "web pages of \"http://example.org\" may not connect: they are not among the origins of this listener"
    );
}

/// A target that names a host counts more than the header [RFC 9112, 3.2.2].
#[actix::test]
async fn host_of_the_target() {
    let line = "GET http://localhost:8083/mqtt HTTP/1.1";
    let headers = "Sec-WebSocket-Protocol: mqtt\r\nOrigin: http://localhost\r\n";
    check_accepted(&request(line, headers).replace("Host: localhost", "Host: example.org"), "mqtt").await;
    let line = "GET http://example.org/mqtt HTTP/1.1";
    assert!(accepted(&request(line, headers), "mqtt").await.is_some());
}
