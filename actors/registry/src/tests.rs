//! What a registry may answer with that is none, or that is out of its mind.

use std::time::Duration;

use hyper::Method;
use proptest::prelude::*;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use crate::http::{HttpClient, HttpError};
use crate::options::ServiceAddress;
use crate::{consul, etcd};

fn any_json() -> impl Strategy<Value = Value> {
    let key = prop_oneof![
        Just("Service"),
        Just("Checks"),
        Just("Meta"),
        Just("Status"),
        Just("node"),
        Just("instance"),
        Just("version"),
        Just("kvs"),
        Just("value"),
        Just("mod_revision"),
        Just("result"),
        Just("events"),
        Just("canceled"),
    ];
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(|flag| json!(flag)),
        any::<i64>().prop_map(|number| json!(number)),
        ".{0,8}".prop_map(|text| json!(text)),
        "[0-9a-f]{1,16}".prop_map(|text| json!(text)),
    ];
    leaf.prop_recursive(5, 64, 6, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::Array),
            prop::collection::vec((key.clone(), inner), 0..6)
                .prop_map(|pairs| pairs.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()),
        ]
    })
}

proptest! {
    /// Any JSON is listed or refused, and nobody panics.
    #[test]
    fn any_answer_is_judged(answer in any_json()) {
        let _ = consul::listed(&answer);
        let _ = etcd::listed(&answer);
    }

    /// However the bytes of a watch are cut, they say the same.
    #[test]
    fn lines_of_a_watch_may_come_in_pieces(
        answers in prop::collection::vec(any_json(), 1..5),
        cuts in prop::collection::vec(1_usize..40, 0..20),
    ) {
        let bytes: Vec<u8> =
            answers.iter().flat_map(|answer| format!("{answer}\n").into_bytes()).collect();
        let whole = etcd::Lines::default().push(&bytes).ok();
        let (mut lines, mut rest, mut said) = (etcd::Lines::default(), &bytes[..], Some(false));
        for cut in cuts.into_iter().chain([usize::MAX]) {
            let (piece, behind) = rest.split_at(cut.min(rest.len()));
            rest = behind;
            if said == Some(false) {
                said = lines.push(piece).ok();
            }
        }
        prop_assert_eq!(said, whole);
    }

    #[test]
    fn any_bytes_are_judged(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = etcd::Lines::default().push(&bytes);
    }
}

#[test]
fn a_watch_says_when_something_changed() {
    let said = |line: &str| etcd::Lines::default().push(line.as_bytes()).ok();
    assert_eq!(said("{\"result\":{\"header\":{},\"created\":true}}\n"), Some(false));
    assert_eq!(said("{\"result\":{\"events\":[{\"kv\":{}}]}}\n"), Some(true));
    assert_eq!(said("{\"result\":{\"events\":[]}}\n"), Some(false));
    assert_eq!(said("{\"result\":{\"canceled\":true}}\n"), Some(true));
    assert_eq!(said("{\"error\":{\"grpc_code\":14}}\n"), Some(true));
    assert_eq!(said("{\"result\":{\"events\":[{\"kv\":{}}]}}"), Some(false), "not whole");
    assert_eq!(said("nonsense\n"), None);
}

/// What is asked of a server that answers with these bytes, and then closes or stays silent.
async fn asked(answer: Vec<u8>, closes: bool) -> Result<Value, HttpError> {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let port = listener.local_addr().expect("bound").port();
    let server = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.expect("a client");
        let mut request = [0; 4096];
        let _ = stream.read(&mut request).await;
        // Who has heard enough closes.
        let _ = stream.write_all(&answer).await;
        if !closes {
            std::future::pending::<()>().await;
        }
    });
    let address = ServiceAddress { is_tls: false, host: "127.0.0.1".to_owned(), port };
    let patience = if closes { Duration::from_secs(60) } else { Duration::from_millis(200) };
    let outcome = HttpClient::new(address, None).ask(Method::GET, "/", None, patience).await;
    server.abort();
    outcome?.json()
}

fn with_body(body: &[u8]) -> Vec<u8> {
    [format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", body.len()).as_bytes(), body].concat()
}

#[tokio::test]
async fn what_is_no_answer_is_named() {
    assert_eq!(asked(with_body(b"[1]"), true).await.ok(), Some(json!([1])));
    let named = async |answer: Vec<u8>, closes| match asked(answer, closes).await {
        Ok(said) => panic!("an answer: {said}"),
        Err(error) => error.to_string(),
    };
    assert!(named(b"SSH-2.0\r\n".to_vec(), true).await.starts_with("no answer: "));
    assert!(named(Vec::new(), true).await.starts_with("no answer: "));
    assert_eq!(named(with_body(b"<html>"), true).await, "an answer that says no JSON");
    assert_eq!(named(Vec::new(), false).await, "no answer within 200 ms");
    let half = b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\n[1".to_vec();
    assert_eq!(named(half, false).await, "no answer within 200 ms");
    let refused = b"HTTP/1.1 403 Forbidden\r\ncontent-length: 14\r\n\r\nno\nsuch\ttoken \n".to_vec();
    assert_eq!(named(refused, true).await, "answered 403 Forbidden: no such token");
    assert_eq!(named(with_body(&vec![b' '; 9 << 20]), true).await, "an answer of more than 8388608 bytes");
}

#[tokio::test]
async fn tls_that_is_not_set_up_is_named() {
    let address = "https://127.0.0.1:1".parse::<ServiceAddress>().expect("an address");
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = ServiceAddress { port: listener.local_addr().expect("bound").port(), ..address };
    let outcome = HttpClient::new(address, None).ask(Method::GET, "/", None, Duration::from_secs(60)).await;
    assert!(matches!(outcome, Err(HttpError::NoTls)));
}
