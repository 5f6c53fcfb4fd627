//! What a client may not send, and the close code that it gets for it.

use std::error::Error as _;
use std::io::ErrorKind;
use std::net::Shutdown;

use super::*;
use crate::transport::WebSocketError;

/// Sends a packet and then `bytes`; the packet is read, then the error, then the end. Returns what was wrong.
async fn check_refused(bytes: &[u8], code: CloseCode) -> WebSocketError {
    let (mut transport, mut client) = websocket().await;
    send_raw(&mut client, &[&frame(BINARY, b"\xc0\x00"), bytes].concat());
    assert_eq!(read_exactly(&mut transport, 2).await, b"\xc0\x00");
    let error = read(&mut transport, &mut [0; 64]).await.expect_err("an error");
    assert_eq!(error.kind(), ErrorKind::InvalidData);
    assert_eq!(read(&mut transport, &mut [0; 64]).await.unwrap(), 0);
    let refusal = within(poll_fn(|cx| transport.poll_write(cx, b"\xd0\x00"))).await.expect_err("closed");
    assert_eq!(refusal.kind(), ErrorKind::BrokenPipe);
    shutdown(&mut transport).await;
    assert_eq!(meanwhile(move || receive_close(&mut client)).await, code, "{error}");
    *error.into_inner().unwrap().downcast().expect("a websocket error")
}

/// [MQTT-6.0.0-1]
#[actix::test]
async fn text_is_refused() {
    let error = check_refused(&frame(TEXT, b"\xc0\x80"), CloseCode::Invalid).await;
    assert!(matches!(error, WebSocketError::NotUtf8(_)), "{error}");
    let error = check_refused(&frame(TEXT, b"hello"), CloseCode::Unsupported).await;
    assert_eq!(error.to_string(), "text message of 5 bytes in place of a binary one [MQTT-6.0.0-1]");
}

#[actix::test]
async fn frames_against_the_protocol_are_refused() {
    let unmasked = [BINARY, 2, 0xc0, 0];
    let long_ping = frame(PING, &[0; 126]);
    let unfinished = [frame(BINARY & !FINAL, b"a"), frame(BINARY, b"b")].concat();
    for bytes in [
        unmasked.to_vec(),
        frame(BINARY | 0x40, b"reserved bit"),
        frame(0x83, b"reserved opcode"),
        frame(0x8b, b"reserved control opcode"),
        frame(CONTINUATION, b"of nothing"),
        frame(PING & !FINAL, b"fragmented"),
        frame(CLOSE, b"\x03"),
        long_ping,
        unfinished,
    ] {
        let error = check_refused(&bytes, CloseCode::Protocol).await;
        assert!(error.source().is_some(), "{error:?}");
    }
}

#[actix::test]
async fn too_large_messages_are_refused_before_they_are_received() {
    let limit = MESSAGE_BYTES_MAX as u64;
    let mut header = vec![BINARY, 0x80 | 127];
    header.extend_from_slice(&(limit + 1).to_be_bytes());
    header.extend_from_slice(&[0; 4]);
    let error = check_refused(&header, CloseCode::Size).await;
    assert!(error.source().unwrap().to_string().contains("8388609 > 8388608"), "{error:?}");

    let (mut transport, mut client) = websocket().await;
    let client = meanwhile(move || {
        let half = pattern(limit as usize / 2 + 1);
        send_raw(&mut client, &frame(BINARY & !FINAL, &half));
        send_raw(&mut client, &frame(CONTINUATION, &half));
        client
    });
    let error = read(&mut transport, &mut [0; 64]).await.expect_err("too large");
    assert_eq!(error.kind(), ErrorKind::InvalidData);
    drop(client.await);
}

#[actix::test]
async fn peer_that_reads_late_still_learns_what_it_did_wrong() {
    let (mut transport, mut client) = websocket().await;
    let written = write_until_full(&mut transport).await;
    send_raw(&mut client, &frame(TEXT, b"hello"));
    let error = read(&mut transport, &mut [0; 64]).await.expect_err("text");
    assert_eq!(error.kind(), ErrorKind::InvalidData);
    let rest = rest_of_block(written);
    let all = written + rest.len();
    let client = meanwhile(move || {
        assert!(receive_exactly(&mut client, all) == repeated_pattern(all));
        receive_close(&mut client)
    });
    // A frame that was begun is completed.
    write(&mut transport, &rest).await;
    shutdown(&mut transport).await;
    assert_eq!(client.await, CloseCode::Unsupported);
}

/// Frames of random opcodes, flags and lengths, and bytes that are no frames, end the stream and nothing else.
#[actix::test]
async fn random_bytes_end_in_an_error_or_the_end() {
    for seed in 1..=200u64 {
        let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15);
        let mut random = || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state
        };
        let (mut transport, mut client) = websocket().await;
        let mut bytes = Vec::new();
        for _ in 0..20 {
            match random() % 4 {
                0 => bytes.extend_from_slice(&random().to_be_bytes()[..seed as usize % 8]),
                1 => bytes.extend(frame(random() as u8, &pattern(random() as usize % 200))),
                2 => bytes.extend(frame([BINARY, PING, PONG][random() as usize % 3], b"fine")),
                _ => bytes.extend(frame(BINARY & !FINAL, b"begun")),
            }
        }
        let _ = client.get_mut().write_all(&bytes); // the node may have closed before it got all
        let _ = client.get_ref().shutdown(Shutdown::Write);
        let mut buffer = [0; 64];
        while !matches!(read(&mut transport, &mut buffer).await, Ok(0) | Err(_)) {}
        assert_eq!(read(&mut transport, &mut buffer).await.unwrap(), 0, "seed {seed}");
    }
}
