//! The client's side of WebSocket, as far as MQTT needs it: the handshake, and binary frames [MQTT-6.0.0-1].

/// Every frame of a client is masked; the key need not be secret here, only not zero.
const MASK: [u8; 4] = [0x5A, 0xC3, 0x17, 0x88];

/// The answer that belongs to the key in [`request`], from the example of RFC 6455.
const ACCEPT: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

/// The request that opens a connection to `/mqtt`.
pub(super) fn request(host: &str) -> Vec<u8> {
    format!(
        "GET /mqtt HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\
         Sec-WebSocket-Protocol: mqtt\r\n\r\n"
    )
    .into_bytes()
}

/// Bytes of the answer, once it is all there; `Err` if it is not the one that was to come.
pub(super) fn response(bytes: &[u8]) -> Result<Option<usize>, String> {
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

/// Appends one masked frame.
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
    out.extend(payload.iter().zip(MASK.iter().cycle()).map(|(byte, mask)| byte ^ mask));
}

/// Appends `payload` as two messages, so that packets lie across frames.
pub(super) fn put_messages(out: &mut Vec<u8>, payload: &[u8]) {
    let (first, second) = payload.split_at(payload.len() / 2);
    put_frame(out, 2, first);
    put_frame(out, 2, second);
}

/// One frame from the server.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Frame<'a> {
    /// Bytes of the MQTT stream.
    Data(&'a [u8]),
    /// To be answered with a pong that holds the same.
    Ping(&'a [u8]),
    /// The server closes.
    Close,
    /// Anything that needs no answer.
    Other,
}

/// The frame at the start of `bytes` and its size, once it is all there.
pub(super) fn frame(bytes: &[u8]) -> Result<Option<(Frame<'_>, usize)>, String> {
    let &[first, second, ref rest @ ..] = bytes else { return Ok(None) };
    if second & 0x80 != 0 {
        return Err("a masked frame from the server".into());
    }
    let (length, head) = match second {
        126 => match rest.first_chunk::<2>() {
            Some(length) => (u16::from_be_bytes(*length).into(), 4),
            None => return Ok(None),
        },
        127 => match rest.first_chunk::<8>() {
            Some(length) => (u64::from_be_bytes(*length) as usize, 10),
            None => return Ok(None),
        },
        length => (usize::from(length), 2),
    };
    let Some(payload) = bytes.get(head..head + length) else { return Ok(None) };
    let frame = match first & 0x0F {
        0 | 2 => Frame::Data(payload),
        9 => Frame::Ping(payload),
        8 => Frame::Close,
        10 => Frame::Other,
        opcode => return Err(format!("a frame of opcode {opcode} from the server")),
    };
    Ok(Some((frame, head + length)))
}

/// Appends the answer to a ping.
pub(super) fn put_pong(out: &mut Vec<u8>, payload: &[u8]) {
    put_frame(out, 10, payload);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_masked_and_sized() {
        for length in [0usize, 125, 126, 65_535, 65_536] {
            let payload = vec![7; length];
            let mut out = Vec::new();
            put_frame(&mut out, 2, &payload);
            let head = out.len() - length;
            assert_eq!(out[0], 0x82);
            assert_eq!(
                head,
                if length < 126 {
                    6
                } else if length < 65_536 {
                    8
                } else {
                    14
                }
            );
            assert!(out[head..].iter().zip(MASK.iter().cycle()).all(|(byte, mask)| byte ^ mask == 7));
        }
    }

    #[test]
    fn frames_of_the_server_are_read_whole() {
        let bytes = b"\x82\x03abc\x89\x00";
        assert_eq!(frame(bytes), Ok(Some((Frame::Data(b"abc"), 5))));
        assert_eq!(frame(&bytes[..4]), Ok(None));
        assert_eq!(frame(&bytes[5..]), Ok(Some((Frame::Ping(b""), 2))));
        assert!(frame(b"\x82\x80\x00\x00\x00\x00").is_err());
    }

    #[test]
    fn an_answer_of_another_key_is_refused() {
        let good = format!(
            "HTTP/1.1 101 Switching Protocols\r\nSec-WebSocket-Accept: {ACCEPT}\r\nsec-websocket-protocol: mqtt\r\n\r\nX"
        );
        assert_eq!(response(good.as_bytes()), Ok(Some(good.len() - 1)));
        assert_eq!(response(&good.as_bytes()[..20]), Ok(None));
        assert!(response(good.replace("s3p", "xxx").as_bytes()).is_err());
    }
}
