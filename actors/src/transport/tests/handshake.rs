use std::io::Write;
use std::net::Shutdown;

use super::*;
use crate::transport::{ForeignOrigin, HandshakeError, TransportKind};

/// A request as a client makes it, with more or other headers.
pub(super) fn request(line: &str, headers: &str) -> String {
    format!(
        "{line}\r\nHost: localhost\r\nConnection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n{headers}\r\n"
    )
}

pub(super) fn offering(protocols: &str) -> String {
    request("GET /mqtt HTTP/1.1", &format!("Sec-WebSocket-Protocol: {protocols}\r\n"))
}

/// Sends a request and returns what the node made of it, and all that the client got.
async fn answer(request: &[u8]) -> (Result<(Transport, Option<ForeignOrigin>), HandshakeError>, String) {
    let (node, mut client) = connection();
    client.write_all(request).unwrap();
    let result = accept(node).await;
    let answer = meanwhile(move || {
        let mut answer = String::new();
        let mut byte = [0];
        // Up to the end of the headers, as an accepted connection stays open.
        while !answer.ends_with("\r\n\r\n") && client.read(&mut byte).unwrap() == 1 {
            answer.push(byte[0] as char);
        }
        answer
    });
    (result, answer.await)
}

pub(super) async fn refused(request: &[u8]) -> (HandshakeError, String) {
    let (result, answer) = answer(request).await;
    (result.expect_err("refused"), answer)
}

pub(super) async fn check_refused(request: &str, status_line: &str) {
    let (error, answer) = refused(request.as_bytes()).await;
    let status = error.status().expect("the client is answered");
    assert_eq!(format!("HTTP/1.1 {status}"), status_line, "{request:?}");
    assert!(answer.starts_with(&format!("{status_line}\r\n")), "{request:?} is answered {answer:?}");
    assert!(answer.contains("Connection: close\r\n"), "{answer:?}");
}

pub(super) async fn check_accepted(request: &str, sub_protocol: &str) {
    assert_eq!(accepted(request, sub_protocol).await, None, "{request:?}");
}

/// The web page that made the request, where it may not connect.
pub(super) async fn accepted(request: &str, sub_protocol: &str) -> Option<ForeignOrigin> {
    let (result, answer) = answer(request.as_bytes()).await;
    let (transport, foreign) = result.unwrap();
    assert_eq!(transport.kind(), TransportKind::WebSocket);
    assert!(answer.starts_with("HTTP/1.1 101 Switching Protocols\r\n"), "{answer:?}");
    // The key's answer is that of RFC 6455, section 1.3.
    assert!(answer.contains("Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"), "{answer:?}");
    let header = format!("Sec-WebSocket-Protocol: {sub_protocol}\r\n");
    assert_eq!(answer.matches("Protocol").count(), 2, "with that of the status: {answer:?}");
    assert!(answer.contains(&header), "{request:?} is answered {answer:?}");
    foreign
}

/// [MQTT-6.0.0-3] [MQTT-6.0.0-4]
#[actix::test]
async fn first_sub_protocol_that_is_mqtt_is_chosen() {
    check_accepted(&offering("mqtt"), "mqtt").await;
    check_accepted(&offering("mqttv3.1"), "mqttv3.1").await;
    check_accepted(&offering("mqtt, mqttv3.1"), "mqtt").await;
    check_accepted(&offering("mqttv3.1,mqtt"), "mqttv3.1").await;
    check_accepted(&offering("chat, soap ,  mqtt"), "mqtt").await;
}

#[actix::test]
async fn query_behind_the_path_is_ignored() {
    let request = request("GET /mqtt?token=1 HTTP/1.1", "Sec-WebSocket-Protocol: mqtt\r\n");
    check_accepted(&request, "mqtt").await;
}

/// [MQTT-6.0.0-3]
#[actix::test]
async fn client_that_does_not_offer_mqtt_is_refused() {
    check_refused(&request("GET /mqtt HTTP/1.1", ""), "HTTP/1.1 400 Bad Request").await;
    check_refused(&offering("chat, mqtt5, MQTT"), "HTTP/1.1 400 Bad Request").await;
    let (error, _) = refused(offering("chat").as_bytes()).await;
    assert_eq!(
        error.to_string(),
        "websocket sub-protocol mqtt is not among those offered: \"chat\" [MQTT-6.0.0-3]"
    );
}

#[actix::test]
async fn other_requests_are_refused_with_their_status() {
    let offer = "Sec-WebSocket-Protocol: mqtt\r\n";
    check_refused(&request("GET / HTTP/1.1", offer), "HTTP/1.1 404 Not Found").await;
    check_refused(&request("GET /mqtt/ HTTP/1.1", offer), "HTTP/1.1 404 Not Found").await;
    check_refused(&request("POST /mqtt HTTP/1.1", offer), "HTTP/1.1 405 Method Not Allowed").await;
    check_refused(&request("GET /mqtt HTTP/1.0", offer), "HTTP/1.1 400 Bad Request").await;
    let plain = "GET /mqtt HTTP/1.1\r\nHost: localhost\r\n\r\n";
    check_refused(plain, "HTTP/1.1 426 Upgrade Required").await;
    let version = offering("mqtt").replace("Version: 13", "Version: 8");
    check_refused(&version, "HTTP/1.1 426 Upgrade Required").await;
    let key = offering("mqtt").replace("dGhlIHNhbXBsZSBub25jZQ==", "short");
    check_refused(&key, "HTTP/1.1 400 Bad Request").await;
}

#[actix::test]
async fn what_would_be_right_is_named() {
    let (_, answer) = refused(b"DELETE /mqtt HTTP/1.1\r\nHost: a\r\n\r\n").await;
    assert!(answer.contains("Allow: GET\r\n"), "{answer:?}");
    let (_, answer) = refused(b"GET /mqtt HTTP/1.1\r\nHost: a\r\n\r\n").await;
    assert!(answer.contains("Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"), "{answer:?}");
}

#[actix::test]
async fn mqtt_and_garbage_are_refused_without_waiting_for_more() {
    let connect = "\x10\x0d\x00\x04MQTT\x04\x02\x00\x3c\x00\x01a";
    check_refused(connect, "HTTP/1.1 400 Bad Request").await;
    check_refused("\0\0\0\0", "HTTP/1.1 400 Bad Request").await;
}

#[actix::test]
async fn headers_are_limited() {
    let long = format!("GET /mqtt HTTP/1.1\r\nCookie: {}", "x".repeat(100_000));
    let (node, mut client) = connection();
    let client = meanwhile(move || client.write_all(long.as_bytes()));
    let error = accept(node).await.unwrap_err();
    assert!(matches!(error, HandshakeError::HeadersTooLarge), "{error}");
    let _ = client.await; // how much of it could be written is the system's affair

    let many = request("GET /mqtt HTTP/1.1", &"a: b\r\n".repeat(200));
    check_refused(&many, "HTTP/1.1 431 Request Header Fields Too Large").await;
    let fits = format!("Cookie: {}\r\nSec-WebSocket-Protocol: mqtt\r\n", "x".repeat(7000));
    check_accepted(&request("GET /mqtt HTTP/1.1", &fits), "mqtt").await;
}

#[actix::test]
async fn client_that_closes_early_is_an_error() {
    let (node, mut client) = connection();
    client.write_all(b"GET /mqtt").unwrap();
    client.shutdown(Shutdown::Write).unwrap();
    let error = accept(node).await.unwrap_err();
    assert!(matches!(error, HandshakeError::Incomplete { received: 9 }), "{error}");
}

#[actix::test]
async fn request_may_come_byte_by_byte_and_the_first_message_with_it() {
    let (node, mut client) = connection();
    let client = meanwhile(move || {
        for byte in offering("mqtt").as_bytes() {
            client.write_all(&[*byte]).unwrap();
        }
        client
    });
    accept(node).await.unwrap();
    drop(client.await);

    let (node, mut client) = connection();
    let mut bytes = offering("mqtt").into_bytes();
    bytes.extend_from_slice(&[0x82, 0x82, 0, 0, 0, 0, 0xc0, 0x00, 0x82, 0x82, 0, 0, 0]);
    client.write_all(&bytes).unwrap();
    let (mut transport, _) = accept(node).await.unwrap();
    assert_eq!(read_exactly(&mut transport, 2).await, b"\xc0\x00");
    client.write_all(&[0, 0xe0, 0x00]).unwrap();
    assert_eq!(read_exactly(&mut transport, 2).await, b"\xe0\x00");
}
