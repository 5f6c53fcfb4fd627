//! The admin listener, over a source that the test controls.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use micro_mq::admin::{AdminError, AdminListener, AdminServer, AdminSource, Answer};
use micro_mq_actors::{AdminHandle, Readiness};

const DEADLINE: Duration = Duration::from_secs(20);

/// Has no node.
#[derive(Default)]
struct Source {
    stopping: AtomicBool,
    failing: AtomicBool,
}

impl AdminSource for Source {
    fn readiness(&self) -> Readiness {
        let is_stopping = self.stopping.load(Ordering::SeqCst);
        if is_stopping { Readiness::ShutsDown } else { Readiness::Ready }
    }

    fn metrics(&self) -> Answer<String> {
        let failing = self.failing.load(Ordering::SeqCst);
        Box::pin(async move {
            if failing {
                Err(AdminError::Failed("the secret cause".into()))
            } else {
                Ok("live 1\n".to_owned())
            }
        })
    }

    fn actors(&self) -> Option<Arc<AdminHandle>> {
        None
    }
}

fn start(source: &Arc<Source>) -> AdminServer {
    let listener = AdminListener::bind(SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
    listener.serve(Arc::clone(source) as Arc<dyn AdminSource>).unwrap()
}

fn exchange(address: SocketAddr, request: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(DEADLINE)).unwrap();
    stream.write_all(request.as_bytes()).unwrap();
    let mut response = String::new();
    stream.read_to_string(&mut response).unwrap();
    response
}

fn request(address: SocketAddr, method: &str, path: &str, host: &str) -> (u16, String, String) {
    let response =
        exchange(address, &format!("{method} {path} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n"));
    let (head, body) = response.split_once("\r\n\r\n").unwrap();
    (head[9..12].parse().unwrap(), head.to_owned(), body.to_owned())
}

#[track_caller]
fn check(server: &AdminServer, method: &str, path: &str, status: u16, body: &str) -> String {
    let (actual_status, head, actual_body) =
        request(server.address(), method, path, &server.address().to_string());
    assert_eq!((actual_status, actual_body.as_str()), (status, body), "{method} {path}");
    head
}

#[test]
fn every_path_answers() {
    let server = start(&Arc::default());
    check(&server, "GET", "/health/live", 200, r#"{"status":"live"}"#);
    check(&server, "GET", "/health/ready", 200, r#"{"status":"ready"}"#);
    let head = check(&server, "GET", "/metrics", 200, "live 1\n");
    assert!(head.contains("content-type: text/plain; version=0.0.4; charset=utf-8"), "{head}");
    check(&server, "HEAD", "/health/live", 200, "");
    server.stop();
}

/// What is wrong, as RFC 9457 has it.
fn problem(status: u16, title: &str, detail: &str) -> String {
    format!(r#"{{"type":"about:blank","title":"{title}","status":{status},"detail":"{detail}"}}"#)
}

#[test]
fn what_is_not_there_is_404_and_what_cannot_be_done_405() {
    let server = start(&Arc::default());
    check(&server, "GET", "/", 404, &problem(404, "Not Found", "no such path"));
    let head = check(&server, "GET", "/metrics/", 404, &problem(404, "Not Found", "no such path"));
    assert!(head.contains("content-type: application/problem+json"), "{head}");
    let refused = problem(405, "Method Not Allowed", "this method is not answered here");
    let head = check(&server, "POST", "/metrics", 405, &refused);
    assert!(head.contains("allow: GET,HEAD"), "{head}");
    server.stop();
}

#[test]
fn another_host_is_refused() {
    let server = start(&Arc::default());
    for host in ["evil.example", "evil.example:18083", "10.0.0.1", ""] {
        let (status, _, body) = request(server.address(), "GET", "/metrics", host);
        assert_eq!(
            (status, body.as_str()),
            (421, &*problem(421, "Misdirected Request", "the host of the request is not this listener")),
            "{host}"
        );
    }
    assert_eq!(request(server.address(), "GET", "/metrics", "localhost:1").0, 200);
    let without = exchange(server.address(), "GET /metrics HTTP/1.0\r\n\r\n");
    assert!(without.starts_with("HTTP/1.0 421 "), "{without}");
    server.stop();
}

#[test]
fn a_node_that_is_not_ready_or_fails_says_so() {
    let source = Arc::<Source>::default();
    let server = start(&source);
    source.stopping.store(true, Ordering::SeqCst);
    source.failing.store(true, Ordering::SeqCst);
    check(&server, "GET", "/health/live", 200, r#"{"status":"live"}"#);
    check(&server, "GET", "/health/ready", 503, r#"{"reason":"the node shuts down","status":"not ready"}"#);
    let failed = problem(500, "Internal Server Error", "the node failed to answer");
    check(&server, "GET", "/metrics", 500, &failed);
    let unavailable = problem(503, "Service Unavailable", "the node cannot answer now");
    check(&server, "GET", "/api/v1/ledger", 503, &unavailable);
    server.stop();
}

#[test]
fn a_head_that_is_too_large_is_refused() {
    let server = start(&Arc::default());
    let mut stream = TcpStream::connect(server.address()).unwrap();
    stream.set_read_timeout(Some(DEADLINE)).unwrap();
    let head =
        format!("GET /health/live HTTP/1.1\r\nhost: localhost\r\nx: {}\r\n\r\n", "x".repeat(1_000_000));
    // The server closes with most of it unread, so both ends of the exchange may fail.
    let _ = stream.write_all(head.as_bytes());
    let mut response = Vec::new();
    let _ = stream.read_to_end(&mut response);
    assert!(
        response.is_empty() || response.starts_with(b"HTTP/1.1 431 "),
        "{}",
        String::from_utf8_lossy(&response)
    );
    check(&server, "GET", "/health/live", 200, r#"{"status":"live"}"#);
    server.stop();
}

#[test]
fn more_network_connections_than_the_server_takes_wait_and_are_served() {
    let server = start(&Arc::default());
    let mut idle: Vec<TcpStream> = (0..64).map(|_| TcpStream::connect(server.address()).unwrap()).collect();
    let mut waiting = TcpStream::connect(server.address()).unwrap();
    waiting.set_read_timeout(Some(DEADLINE)).unwrap();
    waiting.write_all(b"GET /health/live HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n").unwrap();
    idle.pop();
    let mut response = String::new();
    waiting.read_to_string(&mut response).unwrap();
    assert!(response.starts_with("HTTP/1.1 200 OK\r\n"), "{response}");
    server.stop();
}

#[test]
fn a_stopped_server_is_gone() {
    let server = start(&Arc::default());
    let address = server.address();
    let mut idle = TcpStream::connect(address).unwrap();
    idle.set_read_timeout(Some(DEADLINE)).unwrap();
    server.stop();
    assert_eq!(idle.read(&mut [0; 1]).unwrap_or(0), 0);
    assert!(TcpStream::connect(address).is_err());
}
