//! The client's side of WebSocket, as far as MQTT needs it: the handshake, and binary frames [MQTT-6.0.0-1].

/// Every frame of a client is masked; the key need not be secret here, only not zero.
const MASK: [u8; 4] = [0x5A, 0xC3, 0x17, 0x88];

const CONTINUATION: u8 = 0;
const BINARY: u8 = 2;
const CLOSE: u8 = 8;
const PING: u8 = 9;
const PONG: u8 = 10;

/// The answer that belongs to the key in [`request`], from the example of RFC 6455.
const ACCEPT: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

/// The request that opens a connection to `path`, `/mqtt` as a rule.
pub(crate) fn request(host: &str, path: &str) -> Vec<u8> {
    format!(
        "GET {path} HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\
         Sec-WebSocket-Protocol: mqtt\r\n\r\n"
    )
    .into_bytes()
}

/// Bytes of the answer, once it is all there; `Err` if it is not the one that was to come.
fn response(bytes: &[u8]) -> Result<Option<usize>, String> {
    let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") else { return Ok(None) };
    let head = String::from_utf8_lossy(&bytes[..end]);
    let header = |name: &str| {
        head.lines()
            .filter_map(|line| line.split_once(':'))
            .find(|(key, _)| key.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.trim())
    };
    let accepted = head.starts_with("HTTP/1.1 101 ")
        && header("sec-websocket-accept") == Some(ACCEPT)
        && header("sec-websocket-protocol") == Some("mqtt");
    if accepted { Ok(Some(end + 4)) } else { Err(format!("websocket refused: {head}")) }
}

/// Appends one masked message.
pub(crate) fn put_message(out: &mut Vec<u8>, payload: &[u8]) {
    put_frame(out, BINARY, payload);
}

fn put_frame(out: &mut Vec<u8>, opcode: u8, payload: &[u8]) {
    out.push(0x80 | opcode);
    match payload.len() {
        length @ ..=125 => out.push(0x80 | length as u8),
        length @ ..=0xFFFF => {
            out.push(0x80 | 126);
            out.extend_from_slice(&(length as u16).to_be_bytes());
        }
        length => {
            out.push(0x80 | 127);
            out.extend_from_slice(&(length as u64).to_be_bytes());
        }
    }
    out.extend_from_slice(&MASK);
    let start = out.len();
    out.extend_from_slice(payload);
    let (words, rest) = out[start..].as_chunks_mut::<4>();
    for word in words {
        *word = (u32::from_ne_bytes(*word) ^ u32::from_ne_bytes(MASK)).to_ne_bytes();
    }
    rest.iter_mut().zip(MASK).for_each(|(byte, mask)| *byte ^= mask);
}

/// What the server sends, taken apart however it is cut.
#[derive(Debug, Default)]
pub(crate) struct WebSocket {
    /// The server took the upgrade, and frames flow.
    open: bool,
    /// What there is of the answer to [`request`], then of the head of a frame.
    head: Vec<u8>,
    /// What the payload at hand is.
    payload: Payload,
    /// Bytes of it still to come.
    left: u64,
    /// Those of a ping, which goes back as it came.
    ping: Vec<u8>,
    /// The server says that it sends nothing more.
    closed: bool,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Payload {
    /// Bytes of the MQTT stream.
    Data,
    /// To be answered with a pong that holds the same.
    Ping,
    /// The server's last.
    Close,
    /// Nothing that needs an answer.
    #[default]
    Other,
}

impl WebSocket {
    /// Messages may be sent.
    pub(crate) const fn is_open(&self) -> bool {
        self.open
    }

    /// The server sends nothing more; it may wait for the end of the connection.
    pub(crate) const fn is_closed(&self) -> bool {
        self.closed
    }

    /// Moves the MQTT bytes among `bytes`, which were read just now, to the front, and returns how many they are.
    /// Frames that answer are appended to `answers`.
    pub(crate) fn receive(&mut self, bytes: &mut [u8], answers: &mut Vec<u8>) -> Result<usize, String> {
        if self.open {
            return self.unframe(bytes, 0, answers);
        }
        let before = self.head.len();
        self.head.extend_from_slice(bytes);
        let Some(end) = response(&self.head)? else { return Ok(0) };
        self.open = true;
        self.head.clear();
        self.unframe(bytes, end - before, answers)
    }

    fn unframe(&mut self, bytes: &mut [u8], mut at: usize, answers: &mut Vec<u8>) -> Result<usize, String> {
        let mut kept = 0;
        while at < bytes.len() {
            if self.left > 0 {
                let end = at + usize::try_from(self.left).unwrap_or(usize::MAX).min(bytes.len() - at);
                match self.payload {
                    Payload::Data => {
                        bytes.copy_within(at..end, kept);
                        kept += end - at;
                    }
                    Payload::Ping => self.ping.extend_from_slice(&bytes[at..end]),
                    Payload::Close | Payload::Other => {}
                }
                self.left -= (end - at) as u64;
                at = end;
            } else {
                self.head.push(bytes[at]);
                at += 1;
                let Some((payload, left)) = frame_head(&self.head)? else { continue };
                (self.payload, self.left) = (payload, left);
                self.closed |= payload == Payload::Close;
                self.head.clear();
            }
            if self.left == 0 && self.payload == Payload::Ping {
                put_frame(answers, PONG, &self.ping);
                self.ping.clear();
                self.payload = Payload::Other;
            }
        }
        Ok(kept)
    }
}

/// What follows the head of a frame from the server, and how many bytes; `None` while the head is not all there.
fn frame_head(head: &[u8]) -> Result<Option<(Payload, u64)>, String> {
    let &[first, second, ref rest @ ..] = head else { return Ok(None) };
    if second & 0x80 != 0 {
        return Err("a masked frame from the server".into());
    }
    let length = match second {
        126 => rest.first_chunk::<2>().map(|length| u16::from_be_bytes(*length).into()),
        127 => rest.first_chunk::<8>().map(|length| u64::from_be_bytes(*length)),
        length => Some(length.into()),
    };
    let payload = match first & 0x0F {
        CONTINUATION | BINARY => Payload::Data,
        PING => Payload::Ping,
        CLOSE => Payload::Close,
        PONG => Payload::Other,
        opcode => return Err(format!("a frame of opcode {opcode} from the server")),
    };
    Ok(length.map(|length| (payload, length)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ANSWER: &str =
        "HTTP/1.1 101 Switching Protocols\r\nsec-websocket-protocol: mqtt\r\nSec-WebSocket-Accept: ";

    #[test]
    fn frames_are_masked_and_sized() {
        for (length, head) in [(0usize, 6), (125, 6), (126, 8), (65_535, 8), (65_536, 14)] {
            let mut out = Vec::new();
            put_message(&mut out, &vec![7; length]);
            assert_eq!((out[0], out.len() - length), (0x82, head));
            assert!(out[head..].iter().zip(MASK.iter().cycle()).all(|(byte, mask)| byte ^ mask == 7));
        }
    }

    #[test]
    fn frames_are_read_however_they_are_cut() {
        let mut stream = format!("{ANSWER}{ACCEPT}\r\n\r\n").into_bytes();
        let long = [b'x'; 300];
        stream.extend_from_slice(b"\x02\x03abc\x89\x02hi\x80\x01d\x89\x00\x82\x7e\x01\x2c");
        stream.extend_from_slice(&long);
        for size in [1, 2, 3, 7, 64, stream.len()] {
            let mut websocket = WebSocket::default();
            let (mut data, mut answers) = (Vec::new(), Vec::new());
            for piece in stream.clone().chunks_mut(size) {
                let kept = websocket.receive(piece, &mut answers).unwrap();
                data.extend_from_slice(&piece[..kept]);
            }
            assert!(websocket.is_open() && !websocket.is_closed());
            websocket.receive(&mut [0x88, 0], &mut answers).unwrap();
            assert!(websocket.is_closed());
            assert_eq!(data, [b"abcd", &long[..]].concat(), "in pieces of {size}");
            let mut pongs = Vec::new();
            put_frame(&mut pongs, PONG, b"hi");
            put_frame(&mut pongs, PONG, b"");
            assert_eq!(answers, pongs);
        }
    }

    #[test]
    fn what_no_server_may_send_is_refused() {
        let mut websocket = WebSocket { open: true, ..WebSocket::default() };
        assert!(websocket.receive(&mut b"\x82\x80\x00\x00\x00\x00".to_owned(), &mut Vec::new()).is_err());
        let answer = format!("{ANSWER}another\r\n\r\n");
        let refusal = WebSocket::default().receive(&mut answer.into_bytes(), &mut Vec::new()).unwrap_err();
        assert!(refusal.starts_with("websocket refused: HTTP/1.1 101"), "{refusal}");
    }
}
