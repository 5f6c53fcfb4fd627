use std::error::Error as _;
use std::io::{ErrorKind, IoSlice, Write};
use std::net::Shutdown;

use tungstenite::protocol::frame::coding::CloseCode;
use tungstenite::{Bytes, Error, Message};

use super::*;
use crate::connection::transport::{TransportKind, WebSocketError};

const BINARY: u8 = 0x82;
const TEXT: u8 = 0x81;
const CLOSE: u8 = 0x88;
const PING: u8 = 0x89;
const PONG: u8 = 0x8a;
/// A first or middle fragment lacks this flag.
const FINAL: u8 = 0x80;
const CONTINUATION: u8 = 0x80;

/// A frame as a client sends it.
fn frame(first_byte: u8, payload: &[u8]) -> Vec<u8> {
    const MASK: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];
    let mut frame = vec![first_byte];
    match payload.len() {
        length @ ..126 => frame.push(0x80 | length as u8),
        length @ 126..65536 => {
            frame.push(0x80 | 126);
            frame.extend_from_slice(&(length as u16).to_be_bytes());
        }
        length => {
            frame.push(0x80 | 127);
            frame.extend_from_slice(&(length as u64).to_be_bytes());
        }
    }
    frame.extend_from_slice(&MASK);
    frame.extend(payload.iter().zip(MASK.iter().cycle()).map(|(byte, mask)| byte ^ mask));
    frame
}

fn send_raw(client: &mut Client, bytes: &[u8]) {
    client.get_mut().write_all(bytes).unwrap();
}

/// The bytes of the binary messages that the client gets until there are `length` of them.
fn receive_exactly(client: &mut Client, length: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    while bytes.len() < length {
        match client.read().unwrap() {
            Message::Binary(more) => bytes.extend_from_slice(&more),
            other => panic!("{other} in place of a binary message, after {} bytes", bytes.len()),
        }
    }
    assert_eq!(bytes.len(), length);
    bytes
}

/// The close code that the client gets, whose connection then ends.
fn receive_close(client: &mut Client) -> CloseCode {
    let code = loop {
        match client.read().unwrap() {
            Message::Close(frame) => break frame.expect("a close code").code,
            Message::Binary(_) => {}
            other => panic!("{other} in place of a close frame"),
        }
    };
    assert!(matches!(client.read(), Err(Error::ConnectionClosed)));
    code
}

// === what is read ===

#[actix::test]
async fn packets_and_messages_need_not_coincide() {
    let (mut transport, mut client) = websocket().await;
    assert_eq!(transport.kind(), TransportKind::WebSocket);
    assert_eq!(transport.peer_address(), Some(client.get_ref().local_addr().unwrap()));
    for message in [&b"\xc0\x00\xc0\x00\xe0\x00"[..], b"\x30", b"", b"\x05\x00", b"", b"\x01abc"] {
        client.send(Message::binary(message)).unwrap();
    }
    let expected = b"\xc0\x00\xc0\x00\xe0\x00\x30\x05\x00\x01abc";
    assert_eq!(read_exactly(&mut transport, expected.len()).await, expected);
    expect_nothing_to_read(&mut transport).await;
}

#[actix::test]
async fn one_read_takes_all_messages_that_are_there() {
    let (mut transport, mut client) = websocket().await;
    let messages: Vec<u8> = (0..10).flat_map(|index| frame(BINARY, &[index; 5])).collect();
    send_raw(&mut client, &messages);
    let mut buffer = [0; 1024];
    assert_eq!(read(&mut transport, &mut buffer).await.unwrap(), 50);
}

#[actix::test]
async fn fragments_are_joined_around_a_ping() {
    let (mut transport, mut client) = websocket().await;
    send_raw(&mut client, &frame(BINARY & !FINAL, b"one "));
    send_raw(&mut client, &frame(PING, b"are you there"));
    send_raw(&mut client, &frame(CONTINUATION & !FINAL, b""));
    send_raw(&mut client, &frame(CONTINUATION & !FINAL, b"message in "));
    send_raw(&mut client, &frame(PONG, b"unasked"));
    send_raw(&mut client, &frame(CONTINUATION, b"fragments"));
    assert_eq!(read_exactly(&mut transport, 24).await, b"one message in fragments");
    let answer = meanwhile(move || client.read().unwrap()).await;
    assert_eq!(answer, Message::Pong(Bytes::from_static(b"are you there")));
}

#[actix::test]
async fn frames_may_come_byte_by_byte() {
    let (mut transport, mut client) = websocket().await;
    let payload = pattern(300);
    let bytes = [
        frame(BINARY, b"first"),
        frame(PING, b"p"),
        frame(BINARY & !FINAL, &payload),
        frame(CONTINUATION, b"last"),
    ]
    .concat();
    let client = meanwhile(move || {
        for byte in bytes {
            send_raw(&mut client, &[byte]);
        }
        client
    });
    let expected = [b"first", payload.as_slice(), b"last"].concat();
    assert_eq!(read_exactly(&mut transport, expected.len()).await, expected);
    drop(client.await);
}

#[actix::test]
async fn message_is_handed_out_in_pieces_of_the_buffer() {
    let (mut transport, mut client) = websocket().await;
    client.send(Message::binary(pattern(1000))).unwrap();
    let mut received = Vec::new();
    let mut buffer = [0; 7];
    while received.len() < 1000 {
        let length = read(&mut transport, &mut buffer).await.unwrap();
        received.extend_from_slice(&buffer[..length]);
    }
    assert_eq!(received, pattern(1000));
}

#[actix::test]
async fn large_messages_go_both_ways() {
    for length in [1024 * 1024, 5 * 1024 * 1024] {
        let (mut transport, mut client) = websocket().await;
        let client = meanwhile(move || {
            client.send(Message::binary(pattern(length))).unwrap();
            client.send(Message::binary(&b"and a small one"[..])).unwrap();
            receive_exactly(&mut client, length)
        });
        let received = read_exactly(&mut transport, length).await;
        assert!(received == pattern(length));
        assert_eq!(read_exactly(&mut transport, 15).await, b"and a small one");
        write(&mut transport, &received).await;
        assert!(client.await == pattern(length));
    }
}

/// Large ones make the read buffer grow, which is given back in between.
#[actix::test]
async fn messages_of_all_sizes_keep_their_order() {
    let (mut transport, mut client) = websocket().await;
    let lengths = [1, 20_000, 0, 300_000, 125, 126, 65_535, 65_536, 2, 100_000, 100_000, 3];
    let expected: Vec<u8> = lengths.iter().flat_map(|length| pattern(*length)).collect();
    for fragmented in [false, true] {
        let mut sender = client;
        let sender = meanwhile(move || {
            for length in lengths {
                let payload = pattern(length);
                let (head, tail) = payload.split_at(if fragmented { length / 3 } else { 0 });
                if fragmented {
                    send_raw(&mut sender, &frame(BINARY & !FINAL, head));
                    send_raw(&mut sender, &frame(CONTINUATION, tail));
                } else {
                    send_raw(&mut sender, &frame(BINARY, tail));
                }
                send_raw(&mut sender, &frame(PING, b"in between"));
            }
            sender
        });
        assert!(read_exactly(&mut transport, expected.len()).await == expected, "fragmented: {fragmented}");
        client = sender.await;
    }
    expect_nothing_to_read(&mut transport).await;
    for _ in 0..2 {
        client = meanwhile(move || {
            assert_eq!(client.read().unwrap(), Message::Pong(Bytes::from_static(b"in between")));
            client
        })
        .await;
    }
}

// === violations ===

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

// === the end ===

#[actix::test]
async fn close_of_the_peer_is_answered_and_ends_the_stream() {
    let (mut transport, mut client) = websocket().await;
    client.send(Message::binary(&b"\xe0\x00"[..])).unwrap();
    client.close(None).unwrap();
    assert_eq!(read_exactly(&mut transport, 2).await, b"\xe0\x00");
    for _ in 0..3 {
        assert_eq!(read(&mut transport, &mut [0; 8]).await.unwrap(), 0);
    }
    let error = within(poll_fn(|cx| transport.poll_write(cx, b"late"))).await.expect_err("closed");
    assert_eq!(error.kind(), ErrorKind::BrokenPipe);
    shutdown(&mut transport).await;
    meanwhile(move || {
        assert_eq!(client.read().unwrap(), Message::Close(None));
        assert!(matches!(client.read(), Err(Error::ConnectionClosed)));
    })
    .await;
}

#[actix::test]
async fn shutdown_sends_a_close_frame_and_ends_the_stream() {
    let (mut transport, mut client) = websocket().await;
    write(&mut transport, b"\xe0\x00").await;
    shutdown(&mut transport).await;
    let client = meanwhile(move || receive_close(&mut client));
    // The peer answers the close frame; those who wait for that see the end then.
    assert_eq!(read(&mut transport, &mut [0; 8]).await.unwrap(), 0);
    shutdown(&mut transport).await;
    drop(transport);
    assert_eq!(client.await, CloseCode::Normal);
}

#[actix::test]
async fn end_without_a_close_frame_is_an_end() {
    for bytes in [&[][..], &[BINARY], &[BINARY, 0x85, 0, 0, 0, 0, b'a'], &frame(BINARY & !FINAL, b"a")] {
        let (mut transport, mut client) = websocket().await;
        send_raw(&mut client, bytes);
        client.get_ref().shutdown(Shutdown::Write).unwrap();
        for _ in 0..3 {
            assert_eq!(read(&mut transport, &mut [0; 8]).await.unwrap(), 0, "after {bytes:?}");
        }
    }
}

#[actix::test]
async fn reset_is_reported_once() {
    let (mut transport, client) = websocket().await;
    write(&mut transport, b"never read, so that the client's system resets the connection").await;
    within(async { client.get_ref().peek(&mut [0]).unwrap() }).await;
    drop(client);
    let _ = read(&mut transport, &mut [0; 8]).await; // an error, or the end
    assert_eq!(read(&mut transport, &mut [0; 8]).await.unwrap(), 0);
}

// === what is written ===

#[actix::test]
async fn what_is_accepted_together_is_one_message() {
    let (mut transport, mut client) = websocket().await;
    let slices = [IoSlice::new(b"\x30\x05"), IoSlice::new(b""), IoSlice::new(b"\x00\x01abc")];
    assert_eq!(write_vectored(&mut transport, &slices).await, 7);
    assert_eq!(write_vectored(&mut transport, &[IoSlice::new(b"")]).await, 0);
    write(&mut transport, &pattern(126)).await;
    write(&mut transport, &pattern(65_536)).await;
    let client = meanwhile(move || [client.read(), client.read(), client.read()].map(Result::unwrap));
    let [first, second, third] = client.await;
    assert_eq!(first, Message::binary(&b"\x30\x05\x00\x01abc"[..]));
    assert_eq!(second, Message::binary(pattern(126)));
    assert_eq!(third, Message::binary(pattern(65_536)));
}

/// More slices than one system call takes, and more bytes than one message holds.
#[actix::test]
async fn many_and_long_slices_are_written_in_turns() {
    let (mut transport, mut client) = websocket().await;
    let bytes = pattern(400_000);
    let mut slices: Vec<IoSlice<'_>> = bytes[..1000].chunks(5).map(IoSlice::new).collect();
    slices.extend(bytes[1000..].chunks(100_000).map(IoSlice::new));
    let client = meanwhile(move || receive_exactly(&mut client, 400_000));
    let mut rest = &mut slices[..];
    while !rest.is_empty() {
        let written = write_vectored(&mut transport, rest).await;
        assert!(written > 0);
        IoSlice::advance_slices(&mut rest, written);
    }
    flush(&mut transport).await;
    assert!(client.await == bytes);
}

#[actix::test]
async fn full_socket_takes_more_once_the_peer_reads() {
    let (mut transport, mut client) = websocket().await;
    let written = write_until_full(&mut transport).await;
    let rest = rest_of_block(written);
    let all = written + rest.len();
    let client = meanwhile(move || receive_exactly(&mut client, all + 7));
    write(&mut transport, &[&rest, &b"the end"[..]].concat()).await;
    assert!(client.await == [repeated_pattern(all), b"the end".to_vec()].concat());
}

/// A pong does not land in the middle of a frame.
#[actix::test]
async fn pong_waits_for_the_end_of_a_frame() {
    let (mut transport, mut client) = websocket().await;
    let written = write_until_full(&mut transport).await;
    let rest = rest_of_block(written);
    let all = written + rest.len();
    client.send(Message::Ping(Bytes::from_static(b"p"))).unwrap();
    client.send(Message::binary(&b"read"[..])).unwrap();
    assert_eq!(read_exactly(&mut transport, 4).await, b"read");
    let client = meanwhile(move || {
        let received = receive_exactly(&mut client, all);
        (received, client.read().unwrap())
    });
    write(&mut transport, &rest).await;
    let (received, pong) = client.await;
    assert!(received == repeated_pattern(all));
    assert_eq!(pong, Message::Pong(Bytes::from_static(b"p")));
}

/// Who does not go on with a packet can only cut the connection off.
#[actix::test]
async fn shutdown_within_a_frame_is_no_close_frame() {
    let (mut transport, mut client) = websocket().await;
    let written = write_until_full(&mut transport).await;
    shutdown(&mut transport).await;
    meanwhile(move || {
        let mut received = 0;
        loop {
            match client.read() {
                Ok(Message::Binary(bytes)) => received += bytes.len(),
                Ok(other) => panic!("{other} in place of a binary message"),
                Err(_) => break,
            }
        }
        assert!(received <= written, "{received} of {written}");
    })
    .await;
}

#[actix::test]
async fn pings_of_a_peer_that_reads_nothing_do_not_pile_up() {
    let (mut transport, mut client) = websocket().await;
    let written = write_until_full(&mut transport).await;
    let rest = rest_of_block(written);
    let all = written + rest.len();
    const PINGS: usize = 20_000;
    let (all_pings_seen, seen) = std::sync::mpsc::channel();
    let client = meanwhile(move || {
        for index in 0..PINGS as u32 {
            send_raw(&mut client, &frame(PING, &index.to_be_bytes()));
        }
        send_raw(&mut client, &frame(BINARY, b"now I read"));
        seen.recv_timeout(DEADLINE).unwrap();
        assert!(receive_exactly(&mut client, all) == repeated_pattern(all));
        let mut pongs = Vec::new();
        loop {
            match client.read().unwrap() {
                Message::Pong(payload) => pongs.push(payload),
                Message::Close(_) => return pongs,
                other => panic!("{other} in place of a pong"),
            }
        }
    });
    assert_eq!(read_exactly(&mut transport, 10).await, b"now I read");
    all_pings_seen.send(()).unwrap();
    write(&mut transport, &rest).await;
    shutdown(&mut transport).await;
    let pongs = client.await;
    assert!(pongs.len() < PINGS / 10, "{} pongs were kept", pongs.len());
    assert_eq!(pongs.first().map(|payload| &payload[..]), Some(&[0; 4][..]));
    assert_eq!(pongs.last().map(|payload| &payload[..]), Some(&(PINGS as u32 - 1).to_be_bytes()[..]));
}

// === from worker to worker ===

/// At the time of the hand-over there are bytes on all ways: in the socket, in the frame decoder, in the message being
/// handed out, and in the middle of a frame that is sent.
#[actix::test]
async fn another_worker_goes_on_where_the_first_stopped() {
    let (mut transport, mut client) = websocket().await;
    let written = write_until_full(&mut transport).await;
    let message = frame(BINARY, &pattern(200));
    send_raw(&mut client, &[&frame(BINARY, b"read here, read there"), &message[..100]].concat());
    assert_eq!(read_exactly(&mut transport, 11).await, b"read here, ");
    send_raw(&mut client, &message[100..]);

    let detached = transport.detach().unwrap();
    let rest = rest_of_block(written);
    let all = written + rest.len();
    let client = meanwhile(move || {
        assert!(receive_exactly(&mut client, all) == repeated_pattern(all));
        assert_eq!(receive_exactly(&mut client, 13), b"written there");
        receive_close(&mut client)
    });
    on_another_worker(move || async move {
        let mut transport = Transport::attach(detached).unwrap();
        assert_eq!(read_exactly(&mut transport, 10).await, b"read there");
        assert_eq!(read_exactly(&mut transport, 200).await, pattern(200));
        write(&mut transport, &rest).await;
        write(&mut transport, b"written there").await;
        shutdown(&mut transport).await;
        assert_eq!(read(&mut transport, &mut [0; 8]).await.unwrap(), 0);
    });
    assert_eq!(client.await, CloseCode::Normal);
}

#[actix::test]
async fn no_byte_is_lost_on_many_moves_under_load() {
    const LENGTH: usize = 300_000;
    let (transport, mut client) = websocket().await;
    let client = meanwhile(move || {
        for piece in pattern(LENGTH).chunks(1237) {
            client.send(Message::binary(piece.to_vec())).unwrap();
        }
        receive_exactly(&mut client, LENGTH)
    });
    let mut detached = transport.detach().unwrap();
    let mut echoed = 0;
    while echoed < LENGTH {
        let share = (LENGTH - echoed).min(20_011);
        detached = on_another_worker(move || async move {
            let mut transport = Transport::attach(detached).unwrap();
            let bytes = read_exactly(&mut transport, share).await;
            assert!(bytes == pattern(LENGTH)[echoed..echoed + share]);
            write(&mut transport, &bytes).await;
            transport.detach().unwrap()
        });
        echoed += share;
    }
    assert!(client.await == pattern(LENGTH));
}
