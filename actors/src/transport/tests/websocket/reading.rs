//! What is read: messages, fragments and packets that need not coincide.

use tungstenite::Bytes;

use super::*;
use crate::transport::TransportKind;

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
