//! As much of an HTTP client as a registry needs: one network connection for each request, everything bounded.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper::header::{ACCEPT, CONNECTION, CONTENT_TYPE, HOST, HeaderMap, HeaderValue};
use hyper::{Method, Request, StatusCode};
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use crate::options::ServiceAddress;

/// Bytes of an answer: a thousand nodes take one of two megabytes.
const BODY_BYTES_MAX: usize = 8 * 1024 * 1024;

/// Bytes of an answer's head, and of what is read at once.
const BUFFER_BYTES_MAX: usize = 64 * 1024;

/// How much of what a service says of a failure goes into a line of the log.
const SAID_CHARACTERS_MAX: usize = 200;

/// Why there is no answer, or none that is of use.
#[derive(Debug, thiserror::Error)]
pub enum HttpError {
    /// Nobody is there, or TLS could not be agreed upon.
    #[error("cannot connect: {0}")]
    Connect(#[source] io::Error),
    /// TLS is asked for, and was not set up.
    #[error("an address begins with https, and no certificate of a CA is configured")]
    NoTls,
    /// The network connection ended, or what came is no HTTP.
    #[error("no answer: {0}")]
    Broken(#[from] hyper::Error),
    /// It took too long.
    #[error("no answer within {} ms", .0.as_millis())]
    Late(Duration),
    /// An answer of more than [`BODY_BYTES_MAX`].
    #[error("an answer of more than {BODY_BYTES_MAX} bytes")]
    TooLong,
    /// The service says no.
    #[error("answered {status}: {said}")]
    Refused {
        /// Its status.
        status: StatusCode,
        /// What it says of it.
        said: String,
    },
    /// What came is not what the service documents.
    #[error("an answer that says {0}")]
    Strange(&'static str),
}

/// A whole answer with a status of success.
pub(crate) struct Answer {
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Answer {
    pub(crate) fn json(&self) -> Result<serde_json::Value, HttpError> {
        serde_json::from_slice(&self.body).map_err(|_| HttpError::Strange("no JSON"))
    }
}

/// Asks one service.
#[derive(Clone)]
pub(crate) struct HttpClient {
    address: ServiceAddress,
    tls: Option<Arc<ClientConfig>>,
    /// A header that every request carries.
    token: Option<(&'static str, HeaderValue)>,
}

trait Stream: AsyncRead + AsyncWrite + Send {}
impl<T: AsyncRead + AsyncWrite + Send> Stream for T {}

impl HttpClient {
    pub(crate) fn new(address: ServiceAddress, tls: Option<Arc<ClientConfig>>) -> Self {
        Self { address, tls, token: None }
    }

    /// Every request carries this header; none where the value is empty, or is no value of a header.
    pub(crate) fn with_token(mut self, header: &'static str, token: &str) -> Self {
        self.token = HeaderValue::from_str(token).ok().filter(|value| !value.is_empty()).map(|mut value| {
            value.set_sensitive(true);
            (header, value)
        });
        self
    }

    /// Asks, and reads all of the answer, within `patience`.
    pub(crate) async fn ask(
        &self,
        method: Method,
        path: &str,
        body: Option<&serde_json::Value>,
        patience: Duration,
    ) -> Result<Answer, HttpError> {
        let whole = async {
            let mut streamed = self.begin(method, path, body).await?;
            let mut body = BytesMut::new();
            while let Some(data) = streamed.next().await? {
                if body.len() + data.len() > BODY_BYTES_MAX {
                    return Err(HttpError::TooLong);
                }
                body.extend_from_slice(&data);
            }
            if streamed.status.is_success() {
                Ok(Answer { headers: streamed.headers, body: body.freeze() })
            } else {
                Err(HttpError::Refused { status: streamed.status, said: said(&body) })
            }
        };
        timeout(patience, whole).await.unwrap_or(Err(HttpError::Late(patience)))
    }

    /// Asks, and leaves the answer to be read piece by piece. No deadline: the caller has one.
    pub(crate) async fn begin(
        &self,
        method: Method,
        path: &str,
        body: Option<&serde_json::Value>,
    ) -> Result<Streamed, HttpError> {
        let stream = self.connect().await?;
        let (mut sender, connection) =
            http1::Builder::new().max_buf_size(BUFFER_BYTES_MAX).handshake(TokioIo::new(stream)).await?;
        let task = Ended(tokio::spawn(async move { drop(connection.await) }));
        let mut request = Request::builder()
            .method(method)
            .uri(path)
            .header(HOST, self.address.authority())
            .header(ACCEPT, "application/json")
            .header(CONNECTION, "close");
        if let Some((name, value)) = &self.token {
            request = request.header(*name, value);
        }
        if body.is_some() {
            request = request.header(CONTENT_TYPE, "application/json");
        }
        let body = body.map_or_else(Bytes::new, |body| Bytes::from(body.to_string()));
        let request = request.body(Full::new(body)).map_err(|_| HttpError::Strange("no path"))?;
        let response = sender.send_request(request).await?;
        let (head, body) = response.into_parts();
        Ok(Streamed { status: head.status, headers: head.headers, body, _task: task })
    }

    async fn connect(&self) -> Result<Pin<Box<dyn Stream>>, HttpError> {
        let ServiceAddress { is_tls, host, port } = &self.address;
        let stream = TcpStream::connect((&**host, *port)).await.map_err(HttpError::Connect)?;
        stream.set_nodelay(true).map_err(HttpError::Connect)?;
        if !is_tls {
            return Ok(Box::pin(stream));
        }
        let config = self.tls.clone().ok_or(HttpError::NoTls)?;
        let name = ServerName::try_from(host.clone())
            .map_err(|error| HttpError::Connect(io::Error::new(io::ErrorKind::InvalidInput, error)))?;
        let stream = TlsConnector::from(config).connect(name, stream).await.map_err(HttpError::Connect)?;
        Ok(Box::pin(stream))
    }
}

/// The task of a network connection; it ends with whoever reads from it.
struct Ended(JoinHandle<()>);

impl Drop for Ended {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// An answer whose body comes piece by piece.
pub(crate) struct Streamed {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    body: Incoming,
    _task: Ended,
}

impl Streamed {
    /// The next piece; none at the end.
    pub(crate) async fn next(&mut self) -> Result<Option<Bytes>, HttpError> {
        while let Some(frame) = self.body.frame().await {
            if let Ok(data) = frame?.into_data() {
                return Ok(Some(data));
            }
        }
        Ok(None)
    }
}

/// What a service says, in one short line.
fn said(body: &[u8]) -> String {
    let text = String::from_utf8_lossy(&body[..body.len().min(4 * SAID_CHARACTERS_MAX)]);
    let line: String = text
        .chars()
        .map(|letter| if letter.is_control() { ' ' } else { letter })
        .take(SAID_CHARACTERS_MAX)
        .collect();
    line.trim().to_owned()
}
