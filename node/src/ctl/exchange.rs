//! One request and its answer, over HTTP.

use std::time::Duration;

use anyhow::{Context, bail};
use axum::body::{Body, to_bytes};
use hyper::body::Bytes;
use hyper::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HOST, HeaderValue};
use hyper::{Method, Request, StatusCode, Uri};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::time::timeout;

/// A little more than a node takes before it says that it takes too long.
const PATIENCE: Duration = Duration::from_secs(10);
/// Bytes of an answer at most: a page of the longest rows is far below.
const ANSWER_BYTES_MAX: usize = 256 * 1024 * 1024;

/// Who is asked.
#[derive(Debug)]
pub(super) struct Server {
    authority: String,
    token: Option<String>,
}

/// What was answered.
#[derive(Debug)]
pub(super) struct Reply {
    pub(super) status: StatusCode,
    pub(super) body: Bytes,
}

impl Server {
    /// The admin listener at a URL such as `http://127.0.0.1:18083`.
    pub(super) fn new(url: &str, token: Option<String>) -> anyhow::Result<Self> {
        let uri: Uri = url.parse().with_context(|| format!("{url}: is no URL"))?;
        match (uri.scheme_str(), uri.authority(), uri.path()) {
            (Some("http"), Some(authority), "" | "/") => {
                let port = authority.port_u16().unwrap_or(80);
                Ok(Self { authority: format!("{}:{port}", authority.host()), token })
            }
            _ => bail!("{url}: is no URL like http://127.0.0.1:18083"),
        }
    }

    /// Asks, and waits for the answer.
    pub(super) async fn ask(
        &self,
        method: Method,
        target: &str,
        body: Option<String>,
    ) -> anyhow::Result<Reply> {
        let authority = &self.authority;
        let asked = timeout(PATIENCE, self.exchange(method, target, body)).await;
        asked.with_context(|| format!("http://{authority}: does not answer"))?
    }

    async fn exchange(&self, method: Method, target: &str, body: Option<String>) -> anyhow::Result<Reply> {
        let authority = &self.authority;
        let unreachable = || format!("http://{authority}: cannot be asked");
        let stream = TcpStream::connect(authority.as_str()).await.with_context(unreachable)?;
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.with_context(unreachable)?;
        let carried = tokio::spawn(connection);
        let mut request = Request::builder().method(method).uri(target).header(HOST, authority);
        request = request.header(ACCEPT, "application/json");
        if let Some(token) = &self.token {
            let mut bearer =
                HeaderValue::try_from(format!("Bearer {token}")).context("the token cannot be sent")?;
            bearer.set_sensitive(true);
            request = request.header(AUTHORIZATION, bearer);
        }
        if body.is_some() {
            request = request.header(CONTENT_TYPE, "application/json");
        }
        let request = request.body(Body::from(body.unwrap_or_default()))?;
        let response = sender.send_request(request).await.with_context(unreachable)?;
        let status = response.status();
        let body =
            to_bytes(Body::new(response.into_body()), ANSWER_BYTES_MAX).await.with_context(unreachable)?;
        drop(sender);
        carried.abort();
        Ok(Reply { status, body })
    }
}
