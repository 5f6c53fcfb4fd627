//! The HTTP request that turns a byte stream into a WebSocket for MQTT.
//!
//! Whatever is refused is answered in HTTP, as far as the socket takes it at once, so that a browser's console or `curl`
//! says what was wrong.

use std::future::poll_fn;
use std::io;
use std::task::{Context, Poll, Waker};

use tungstenite::Error;
use tungstenite::error::{CapacityError, ProtocolError};
use tungstenite::handshake::machine::TryParse;
use tungstenite::handshake::server::Request;
use tungstenite::http::StatusCode;

use super::super::{Stream, Transport};
use super::{ForeignOrigin, WebSocket, WebSocketOptions, request};

/// Bytes of the request and its headers; cookies of a browser are the largest part of what is usual.
const REQUEST_BYTES_MAX: usize = 8192;

/// Why a connection did not become a WebSocket. Where there is a [`status`](Self::status), the client was told.
#[derive(Debug, thiserror::Error)]
pub enum HandshakeError {
    /// The socket failed.
    #[error("connection failed during the websocket handshake")]
    Io(#[from] io::Error),
    /// The client closed too early.
    #[error("connection closed after {received} bytes of a websocket handshake")]
    Incomplete {
        /// Bytes of the request so far.
        received: usize,
    },
    /// Not HTTP, such as an MQTT packet on the wrong port; or HTTP below 1.1. Status 400.
    #[error("not an http request")]
    NotHttp(#[source] Error),
    /// The headers are longer than 8192 bytes, or more than 124. Status 431.
    #[error("websocket handshake has too many or too long headers")]
    HeadersTooLarge,
    /// Only GET opens a WebSocket. Status 405.
    #[error("websocket handshake by another http method than GET")]
    WrongMethod,
    /// No WebSocket is offered at this path. Status 404.
    #[error("no websocket at path {0:?}")]
    UnknownPath(String),
    /// Plain HTTP, or another version of WebSocket than 13. Status 426.
    #[error("http request is not an upgrade to websocket version 13: {0}")]
    UpgradeRequired(&'static str),
    /// A header that is missing, wrong, or there more than once: the key, the host, the origin. Status 400.
    #[error("websocket handshake is malformed: {0}")]
    Malformed(String),
    /// The client offers neither `mqtt` nor `mqttv3.1` as sub-protocol [MQTT-6.0.0-3]. Status 400.
    #[error("websocket sub-protocol mqtt is not among those offered: {0:?} [MQTT-6.0.0-3]")]
    NoMqtt(String),
}

impl HandshakeError {
    /// The HTTP status that the client was answered, if it was.
    pub fn status(&self) -> Option<StatusCode> {
        match self {
            Self::Io(_) | Self::Incomplete { .. } => None,
            Self::NotHttp(_) | Self::Malformed(_) | Self::NoMqtt(_) => Some(StatusCode::BAD_REQUEST),
            Self::UnknownPath(_) => Some(StatusCode::NOT_FOUND),
            Self::WrongMethod => Some(StatusCode::METHOD_NOT_ALLOWED),
            Self::UpgradeRequired(_) => Some(StatusCode::UPGRADE_REQUIRED),
            Self::HeadersTooLarge => Some(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE),
        }
    }

    /// The headers that go with the status.
    fn headers(&self) -> &'static str {
        match self {
            Self::WrongMethod => "Allow: GET\r\n",
            Self::UpgradeRequired(_) => "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n",
            _ => "",
        }
    }
}

/// Takes a stream over and performs the server's part of the WebSocket handshake.
///
/// The client must ask for `options.path` and offer `mqtt` or `mqttv3.1`, of which the first in its list is chosen
/// [MQTT-6.0.0-3] [MQTT-6.0.0-4]. What it sends behind its request is kept. The origin of a web page that may not connect
/// comes along: its CONNECT is to be refused, since a browser tells a page nothing of a refusal in HTTP. There is no
/// deadline here; the caller sets one. A message, or frame, of more than `message_bytes_max` is refused
/// later: at least the maximum packet size, as many clients send a packet as one message.
///
/// # Errors
/// See [`HandshakeError`]. The connection is closed then, after the answer.
///
/// # Cancel safety
/// Dropping the future closes the connection.
pub async fn websocket(
    mut stream: Stream,
    options: &WebSocketOptions,
    message_bytes_max: usize,
) -> Result<(Transport, Option<ForeignOrigin>), HandshakeError> {
    let reached = stream.reached()?;
    let mut received = Vec::new();
    let answer = match read_request(&mut stream, &mut received).await {
        Ok(request) => request::answer(&request, options, reached),
        Err(error) => Err(error),
    };
    match answer {
        Ok(answer) => {
            write_all(&mut stream, &answer.bytes).await?;
            let socket = WebSocket::new(stream, received, options.packets_per_frame, message_bytes_max);
            Ok((Transport::WebSocket(Box::new(socket)), answer.foreign))
        }
        Err(error) => {
            refuse(stream, &error).await;
            Err(error)
        }
    }
}

/// Reads until the request is complete, and leaves in `received` what came behind it.
async fn read_request(stream: &mut Stream, received: &mut Vec<u8>) -> Result<Request, HandshakeError> {
    let mut chunk = [0; 1024];
    loop {
        let room = chunk.len().min(REQUEST_BYTES_MAX - received.len());
        let length = poll_fn(|task| stream.poll_read(task, &mut chunk[..room])).await?;
        if length == 0 {
            return Err(HandshakeError::Incomplete { received: received.len() });
        }
        received.extend_from_slice(&chunk[..length]);
        match Request::try_parse(received) {
            Ok(Some((length, request))) => {
                received.drain(..length);
                return Ok(request);
            }
            Ok(None) if received.len() < REQUEST_BYTES_MAX => {}
            Ok(None) | Err(Error::Capacity(CapacityError::TooManyHeaders)) => {
                return Err(HandshakeError::HeadersTooLarge);
            }
            Err(Error::Protocol(ProtocolError::WrongHttpMethod)) => return Err(HandshakeError::WrongMethod),
            Err(error) => return Err(HandshakeError::NotHttp(error)),
        }
    }
}

/// Answers in HTTP and closes.
async fn refuse(mut stream: Stream, error: &HandshakeError) {
    let Some(status) = error.status() else { return };
    let body = format!("{error}\n");
    let answer = format!(
        "HTTP/1.1 {status}\r\n{}Connection: close\r\nContent-Type: text/plain; charset=utf-8\r\n\
         Content-Length: {}\r\n\r\n{body}",
        error.headers(),
        body.len(),
    );
    // The client is told if it still listens; the caller learns of the refusal, not of a lost answer.
    let _ = write_all(&mut stream, answer.as_bytes()).await;
    close(stream);
}

async fn write_all(stream: &mut Stream, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        match poll_fn(|task| stream.poll_write(task, bytes)).await? {
            0 => return Err(io::ErrorKind::WriteZero.into()),
            length => bytes = &bytes[length..],
        }
    }
    poll_fn(|task| stream.poll_flush(task)).await
}

/// Closes after having read what is there: a socket that is closed with unread bytes resets the connection, and the
/// client loses the answer.
fn close(mut stream: Stream) {
    let mut nobody = Context::from_waker(Waker::noop());
    let mut chunk = [0; 1024];
    for _ in 0..REQUEST_BYTES_MAX / chunk.len() {
        if !matches!(stream.poll_read(&mut nobody, &mut chunk), Poll::Ready(Ok(1..))) {
            break;
        }
    }
    let _ = stream.poll_shutdown(&mut nobody); // it may be closed already
}
