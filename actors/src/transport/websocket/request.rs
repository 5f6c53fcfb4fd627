//! What a WebSocket's handshake asks for, judged header by header [RFC 6455, 4.2.1]. Pure.
//!
//! Headers that are lists may come in several lines, which mean the same as one with commas [RFC 9110, 5.3]; a header
//! that is no list may come once.

use std::net::IpAddr;

use tungstenite::handshake::derive_accept_key;
use tungstenite::handshake::server::Request;
use tungstenite::http::HeaderValue;
use tungstenite::http::uri::Authority;

use super::{ForeignOrigin, HandshakeError, WebSocketOptions};

/// What a reader needs of a path, or an origin, that is wrong.
const CHARACTERS_SHOWN: usize = 128;

/// Those that MQTT has registered [MQTT-6.0.0-3]; the second by those who speak 3.1.
const SUB_PROTOCOLS: [&str; 2] = ["mqtt", "mqttv3.1"];

/// What a request is answered.
pub(super) struct Answer {
    pub(super) bytes: Vec<u8>,
    /// The origin of the web page that asks, if that may not connect.
    pub(super) foreign: Option<ForeignOrigin>,
}

/// Judges a request that arrived at the address `reached`, and writes the answer.
pub(super) fn answer(
    request: &Request,
    options: &WebSocketOptions,
    reached: IpAddr,
) -> Result<Answer, HandshakeError> {
    let path = request.uri().path();
    if path != options.path {
        return Err(HandshakeError::UnknownPath(shown(path.as_bytes())));
    }
    let host = host(request)?;
    let asks_for =
        |name, wanted: &str| elements(request, name).any(|it| it.eq_ignore_ascii_case(wanted.as_bytes()));
    if !asks_for("connection", "upgrade") {
        return Err(HandshakeError::UpgradeRequired("Connection does not say Upgrade"));
    }
    if !asks_for("upgrade", "websocket") {
        return Err(HandshakeError::UpgradeRequired("Upgrade does not say websocket"));
    }
    if single(request, "sec-websocket-version")?.is_none_or(|version| version != "13") {
        return Err(HandshakeError::UpgradeRequired("Sec-WebSocket-Version is not 13"));
    }
    let key = single(request, "sec-websocket-key")?.filter(|key| is_key(key.as_bytes()));
    let key = key.ok_or_else(|| malformed("Sec-WebSocket-Key is not 16 bytes in base64"))?;
    let foreign = single(request, "origin")?
        .filter(|origin| !options.origins.admit(origin.as_bytes(), &host, reached))
        .map(|origin| ForeignOrigin(shown(origin.as_bytes())));
    let answer = format!(
        "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Accept: {}\r\nSec-WebSocket-Protocol: {}\r\n\r\n",
        derive_accept_key(key.as_bytes()),
        sub_protocol(request)?
    );
    Ok(Answer { bytes: answer.into_bytes(), foreign })
}

/// Whom the request is for. A target that names a host counts more than the header [RFC 9112, 3.2.2].
fn host(request: &Request) -> Result<Authority, HandshakeError> {
    let host = single(request, "host")?.ok_or_else(|| malformed("Host is missing"))?;
    let named = host.to_str().ok().filter(|host| !host.contains('@')).and_then(|host| host.parse().ok());
    let named = named.ok_or_else(|| malformed("Host is no host"))?;
    Ok(request.uri().authority().cloned().unwrap_or(named))
}

/// The elements of a list, of all its lines, in order; empty ones are none [RFC 9110, 5.6.1].
fn elements<'r>(request: &'r Request, name: &'static str) -> impl Iterator<Item = &'r [u8]> {
    let lines = request.headers().get_all(name).iter();
    lines
        .flat_map(|line| line.as_bytes().split(|byte| *byte == b','))
        .map(<[u8]>::trim_ascii)
        .filter(|element| !element.is_empty())
}

fn single<'r>(request: &'r Request, name: &'static str) -> Result<Option<&'r HeaderValue>, HandshakeError> {
    let mut lines = request.headers().get_all(name).iter();
    match (lines.next(), lines.next()) {
        (_, Some(_)) => Err(malformed(&format!("{name} comes more than once"))),
        (line, None) => Ok(line),
    }
}

/// Whether it has the form of 16 bytes in base64.
fn is_key(key: &[u8]) -> bool {
    const CHARACTERS: usize = 22;
    let is_digit = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/');
    key.strip_suffix(b"==").is_some_and(|digits| digits.len() == CHARACTERS && digits.iter().all(is_digit))
}

/// The first of the client's sub-protocols that is MQTT.
fn sub_protocol(request: &Request) -> Result<&'static str, HandshakeError> {
    const NAME: &str = "sec-websocket-protocol";
    let known = |offer: &[u8]| SUB_PROTOCOLS.into_iter().find(|known| known.as_bytes() == offer);
    elements(request, NAME).find_map(known).ok_or_else(|| {
        let offers: Vec<_> = elements(request, NAME).collect();
        HandshakeError::NoMqtt(shown(&offers.join(&b", "[..])))
    })
}

fn malformed(what: &str) -> HandshakeError {
    HandshakeError::Malformed(what.to_owned())
}

fn shown(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).chars().take(CHARACTERS_SHOWN).collect()
}
