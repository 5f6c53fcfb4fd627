//! The admin API of a whole node, as HTTP has it.

mod changes;
mod ctl;
mod document;
mod lists;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;

use micro_mq::admin::{AdminError, AdminListener, AdminServer, AdminSource, Answer};
use micro_mq_actors::{AdminHandle, Readiness};
use serde_json::Value;

use crate::harness::{DEADLINE, TestNode};

struct Source(Arc<AdminHandle>);

impl AdminSource for Source {
    fn readiness(&self) -> Readiness {
        self.0.readiness()
    }

    fn metrics(&self) -> Answer<String> {
        let actors = Arc::clone(&self.0);
        Box::pin(async move { actors.prometheus().await.map_err(|_| AdminError::Unavailable) })
    }

    fn actors(&self) -> Option<Arc<AdminHandle>> {
        Some(Arc::clone(&self.0))
    }
}

/// The admin listener of a node, and how it is asked.
pub(crate) struct Admin(AdminServer);

/// What came back.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Reply {
    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// It is a problem with this status, as RFC 9457 has it. Returns what is wrong.
    #[track_caller]
    pub(crate) fn problem(&self, status: u16) -> String {
        assert_eq!(self.status, status, "{self:?}");
        assert!(self.head.contains("content-type: application/problem+json\r\n"), "{self:?}");
        let problem = self.json();
        assert_eq!(problem["status"], status, "{self:?}");
        problem["detail"].as_str().expect("a sentence").to_owned()
    }
}

impl Admin {
    pub(crate) fn of(node: &TestNode) -> Self {
        let listener = AdminListener::bind(SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
        Self(listener.serve(Arc::new(Source(node.running().admin_source()))).unwrap())
    }

    pub(crate) fn send(&self, method: &str, path: &str, body: &str) -> Reply {
        self.send_with(method, path, "", body)
    }

    /// With more headers.
    pub(crate) fn send_with(&self, method: &str, path: &str, headers: &str, body: &str) -> Reply {
        let address = self.0.address();
        let mut stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(DEADLINE)).unwrap();
        let length = body.len();
        let content = if body.is_empty() { "" } else { "content-type: application/json\r\n" };
        let request = format!(
            "{method} {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n{headers}{content}content-length: {length}\r\n\r\n{body}"
        );
        stream.write_all(request.as_bytes()).unwrap();
        let mut reply = String::new();
        stream.read_to_string(&mut reply).unwrap();
        let (head, body) = reply.split_once("\r\n\r\n").expect("a head");
        Reply { status: head[9..12].parse().unwrap(), head: format!("{head}\r\n"), body: body.to_owned() }
    }

    /// What a path answers with 200.
    #[track_caller]
    pub(crate) fn get(&self, path: &str) -> Value {
        let reply = self.send("GET", path, "");
        assert_eq!(reply.status, 200, "{path}: {reply:?}");
        reply.json()
    }

    /// One field of all rows of a page.
    #[track_caller]
    pub(crate) fn column(&self, path: &str, field: &str) -> Vec<String> {
        let page = self.get(path);
        let items = page["items"].as_array().expect("rows");
        items.iter().map(|row| row[field].as_str().expect("text").to_owned()).collect()
    }

    /// One field of all rows of all pages.
    #[track_caller]
    pub(crate) fn column_of_all(&self, path: &str, field: &str) -> Vec<String> {
        let (mut all, mut cursor) = (Vec::new(), String::new());
        loop {
            let page = self.get(&format!("{path}{cursor}"));
            let items = page["items"].as_array().expect("rows");
            all.extend(items.iter().map(|row| row[field].as_str().expect("text").to_owned()));
            match page["next"].as_str() {
                Some(next) => cursor = format!("&cursor={next}"),
                None => return all,
            }
        }
    }
}
