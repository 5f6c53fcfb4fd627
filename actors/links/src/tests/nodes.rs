//! Whole links, on sockets.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use bytes::Bytes;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

use crate::options::{Event, LinksOptions, LinksOptionsError, Security};
use crate::{Links, NotSent};

/// Far above what anything takes here on a machine that is busy.
pub(super) const PATIENCE: Duration = Duration::from_secs(60);

pub(super) struct TestNode {
    pub(super) links: Links,
    pub(super) events: Receiver<Event>,
    pub(super) name: String,
}

pub(super) fn options(name: &str, security: Security) -> LinksOptions {
    LinksOptions {
        node: name.to_owned(),
        cluster: "micromq".to_owned(),
        bind: SocketAddr::from(([127, 0, 0, 1], 0)),
        security,
        told_bytes_max: 1024 * 1024,
        queued_bytes_max: 4 * 1024 * 1024,
        on_event: Arc::new(|_| {}),
    }
}

pub(super) fn start(options: LinksOptions) -> TestNode {
    let (tell, events) = channel();
    let name = options.node.clone();
    let on_event = Arc::new(move |event| drop(tell.send(event)));
    let links = Links::start(LinksOptions { on_event, ..options }).expect("it starts");
    TestNode { links, events, name }
}

fn with_key(name: &str) -> TestNode {
    start(options(name, Security::Key(b"secret".to_vec())))
}

impl TestNode {
    pub(super) fn next(&self) -> Event {
        self.events.recv_timeout(PATIENCE).expect("something happens in time")
    }

    pub(super) fn at(&self) -> (String, String) {
        (self.name.clone(), self.links.address().to_string())
    }

    /// Waits until it is said why a node cannot be reached.
    pub(super) fn trouble_with(&self, node: &str) -> String {
        let deadline = tokio::time::Instant::now() + PATIENCE;
        loop {
            let status = self.links.status().into_iter().find(|status| status.node == node);
            if let Some(trouble) = status.and_then(|status| status.trouble) {
                return trouble;
            }
            assert!(tokio::time::Instant::now() < deadline, "nothing is wrong with {node}");
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

fn up(name: &str) -> Event {
    Event::Up(name.to_owned())
}

fn told(name: &str, text: impl Into<Bytes>) -> Event {
    Event::Told(name.to_owned(), text.into())
}

#[test]
fn what_is_told_comes_in_order_both_ways() {
    let (a, b) = (with_key("a"), with_key("b"));
    a.links.set_peers([a.at(), b.at()]);
    assert_eq!(a.next(), up("b"));
    assert_eq!(b.links.tell("a", Bytes::new()), Err(NotSent::Unknown));
    for number in 0..2000 {
        a.links.tell("b", Bytes::from(number.to_string())).expect("there is room");
    }
    let large = Bytes::from(vec![7; 1024 * 1024]);
    a.links.tell("b", large.clone()).expect("there is room");
    b.links.set_peers([a.at(), b.at()]);
    let mut heard = Vec::new();
    let mut is_up = false;
    while heard.len() < 2001 || !is_up {
        match b.next() {
            Event::Told(from, what) => {
                assert_eq!(from, "a");
                heard.push(what);
            }
            event => {
                assert_eq!(event, up("a"));
                is_up = true;
            }
        }
    }
    assert!((0..2000).all(|number| heard[number] == number.to_string()), "in order");
    assert_eq!(heard[2000], large);
    b.links.tell("a", Bytes::from_static(b"back")).expect("there is room");
    assert_eq!(a.next(), told("b", "back"));
    let status = a.links.status();
    assert_eq!(status.iter().map(|status| &*status.node).collect::<Vec<_>>(), ["b"], "not itself");
    assert!(status[0].up_since.is_some() && status[0].trouble.is_none());
    a.links.stop();
    b.links.stop();
}

#[test]
fn a_node_that_ends_is_down_and_one_that_comes_back_is_up() {
    let (a, b) = (with_key("a"), with_key("b"));
    a.links.set_peers([b.at()]);
    assert_eq!(a.next(), up("b"));
    let address = b.links.address();
    b.links.stop();
    assert_eq!(a.next(), Event::Down("b".to_owned()));
    assert_eq!(a.links.tell("b", Bytes::new()), Err(NotSent::Away));
    assert!(!a.trouble_with("b").is_empty());
    let again = start(LinksOptions { bind: address, ..options("b", Security::Key(b"secret".to_vec())) });
    assert_eq!(a.next(), up("b"));
    a.links.tell("b", Bytes::from_static(b"hello again")).expect("there is room");
    assert_eq!(again.next(), told("a", "hello again"));
    a.links.set_peers([]);
    assert_eq!(a.next(), Event::Down("b".to_owned()), "it is dialed no more");
    assert_eq!(a.links.tell("b", Bytes::new()), Err(NotSent::Unknown));
    a.links.stop();
    again.links.stop();
}

#[test]
fn what_is_too_much_is_refused() {
    let (a, b) = (with_key("a"), with_key("b"));
    a.links.set_peers([b.at()]);
    assert_eq!(a.next(), up("b"));
    assert_eq!(a.links.tell("b", vec![0; 1024 * 1024 + 1].into()), Err(NotSent::TooLong));
    // More at once than may wait, however fast it is taken: what waits was told before anything can be written.
    let megabyte = Bytes::from(vec![0; 1024 * 1024]);
    let mut accepted = 0;
    let refused = loop {
        match a.links.tell("b", megabyte.clone()) {
            Ok(()) => accepted += 1,
            Err(why) => break why,
        }
        assert!(accepted < 100_000, "it is never full");
    };
    assert_eq!(refused, NotSent::Full);
    for _ in 0..accepted {
        assert_eq!(b.next(), told("a", megabyte.clone()), "what was taken comes");
    }
    a.links.stop();
    b.links.stop();
}

#[tokio::test]
async fn strangers_at_the_port_disturb_nobody() {
    let (a, b) = (with_key("a"), with_key("b"));
    let mut silent = Vec::new();
    for said in [
        &b"GET / HTTP/1.1\r\n\r\n"[..],
        &[0, 0, 0, 1, 4],
        &[0, 0, 0, 9, 0, 1, 2, 3, 4, 5, 6, 7, 8],
        &[255; 64],
    ] {
        let mut stranger = TcpStream::connect(b.links.address()).await.expect("it listens");
        stranger.write_all(said).await.expect("it listens");
        let mut answer = Vec::new();
        // Closed, in order or not.
        let _ = timeout(PATIENCE, stranger.read_to_end(&mut answer)).await.expect("in time");
        assert_eq!(answer, b"", "nothing is said to a stranger");
        silent.push(TcpStream::connect(b.links.address()).await.expect("it listens"));
    }
    a.links.set_peers([b.at()]);
    assert_eq!(a.next(), up("b"));
    assert!(b.events.try_recv().is_err(), "nothing happened");
    a.links.stop();
    b.links.stop();
}

#[tokio::test]
async fn a_node_that_falls_silent_is_down() {
    let a = with_key("a");
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("bound");
    // It accepts and says nothing.
    a.links.set_peers([("b".to_owned(), address.to_string())]);
    let (stream, _) = timeout(PATIENCE, listener.accept()).await.expect("in time").expect("it dials");
    assert_eq!(a.trouble_with("b"), "silent for 5000 ms");
    drop(stream);
    a.links.stop();
}

#[test]
fn a_key_is_for_loopback_alone() {
    let outside =
        LinksOptions { bind: SocketAddr::from(([0, 0, 0, 0], 0)), ..options("a", Security::Key(Vec::new())) };
    assert!(matches!(Links::start(outside), Err(LinksOptionsError::Outside(_))));
    let nameless = options("", Security::Key(Vec::new()));
    assert!(matches!(Links::start(nameless), Err(LinksOptionsError::Node)));
    assert!(matches!(Links::start(options("a b", Security::Key(Vec::new()))), Err(LinksOptionsError::Node)));
}
