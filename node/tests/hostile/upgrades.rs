//! Requests that do not become a WebSocket.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use crate::harness::{DEADLINE, Program, REQUEST, Scale, Sent, Turn, WebSocket, ordeal};

const EACH: usize = 200;

/// A request, the status that it is answered with (none: it is just closed), and what counts it.
struct Wrong {
    name: &'static str,
    request: Vec<u8>,
    status: Option<u16>,
    reason: &'static str,
}

fn wrong(name: &'static str, request: impl Into<Vec<u8>>, status: u16, reason: &'static str) -> Wrong {
    Wrong { name, request: request.into(), status: Some(status), reason }
}

fn requests() -> Vec<Wrong> {
    let changed = |from: &str, to: &str| {
        assert!(REQUEST.contains(from));
        REQUEST.replace(from, to)
    };
    let with_headers = |headers: &str| changed("\r\n\r\n", &format!("\r\n{headers}\r\n"));
    let mut controls = REQUEST.as_bytes().to_vec();
    controls[5] = 0;
    vec![
        wrong("another path", changed("/mqtt", "/other"), 404, "unknown_path"),
        wrong("a long path", changed("/mqtt", &format!("/{}", "x".repeat(4000))), 404, "unknown_path"),
        wrong("another method", changed("GET", "POST"), 405, "wrong_method"),
        wrong("HTTP 1.0", changed("HTTP/1.1", "HTTP/1.0"), 400, "not_http"),
        wrong("no upgrade", changed("Upgrade: websocket\r\n", ""), 426, "no_upgrade"),
        wrong("no connection header", changed("Connection: Upgrade\r\n", ""), 426, "no_upgrade"),
        wrong("another version", changed("Version: 13", "Version: 8"), 426, "no_upgrade"),
        wrong(
            "no key",
            changed("Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n", ""),
            400,
            "malformed_upgrade",
        ),
        wrong("no host", changed("Host: localhost\r\n", ""), 400, "malformed_upgrade"),
        wrong("two hosts", with_headers("Host: localhost\r\n"), 400, "malformed_upgrade"),
        wrong("two versions", with_headers("Sec-WebSocket-Version: 13\r\n"), 400, "malformed_upgrade"),
        wrong("no sub-protocol", changed("Sec-WebSocket-Protocol: mqtt\r\n", ""), 400, "no_mqtt"),
        wrong("another sub-protocol", changed("Protocol: mqtt", "Protocol: soap"), 400, "no_mqtt"),
        wrong(
            "long headers",
            with_headers(&format!("X: {}\r\n", "y".repeat(9000))),
            431,
            "headers_too_large",
        ),
        wrong("many headers", with_headers(&"X: y\r\n".repeat(200)), 431, "headers_too_large"),
        wrong("a NUL", controls, 400, "not_http"),
        wrong("an MQTT packet", b"\x10\x0c\x00\x04MQTT\x04\x02\x00\x00\x00\x00\r\n\r\n", 400, "not_http"),
        wrong("noise", vec![0xff; 100], 400, "not_http"),
    ]
}

#[test]
fn wrong_upgrade_requests_of_all_kinds() {
    let _turn = Turn::take();
    let program = Program::start(&[]);
    ordeal(&program, |scale: Scale| {
        for Wrong { name, request, status, reason } in requests() {
            let counter = format!("websocket_refused_total{{reason=\"{reason}\"}}");
            let (before, count) = (program.figures(), scale.of(EACH));
            for _ in 0..count {
                let (mut socket, answered) = WebSocket::request(program.websocket, &request);
                // What is not read to its end may be reset, and the answer with it.
                assert!(answered == status || answered.is_none(), "{name}: {answered:?}");
                let mut rest = Vec::new();
                let _ = socket.stream.read_to_end(&mut rest);
            }
            program.until_grown(&before, &counter, count as u64);
        }
        Sent::default()
    });
    program.stop();
}

/// Headers that never end, a byte now and then: within the time for a CONNECT it is closed.
#[test]
fn headers_that_never_end() {
    let _turn = Turn::take();
    let program = Program::start(&["node.connect_timeout_ms=1000"]);
    ordeal(&program, |scale: Scale| {
        let (before, count) = (program.figures(), scale.of(500));
        let mut sockets: Vec<TcpStream> =
            (0..count).map(|_| TcpStream::connect(program.websocket).expect("a listener")).collect();
        let begun = REQUEST.trim_end().to_owned() + "\r\nX: ";
        for piece in [begun.as_str()].into_iter().chain(std::iter::repeat_n("y", 15)) {
            for socket in &mut sockets {
                // It may be closed by now.
                let _ = socket.write_all(piece.as_bytes());
            }
            // The attacker's pace.
            std::thread::sleep(Duration::from_millis(100));
        }
        for socket in &mut sockets {
            socket.set_read_timeout(Some(DEADLINE)).expect("an open socket");
            let mut answer = Vec::new();
            let _ = socket.read_to_end(&mut answer);
            assert!(answer.is_empty(), "{answer:?}");
        }
        program.until_grown(&before, "connect_timeouts_total", count as u64);
        Sent::default()
    });
    program.stop();
}
