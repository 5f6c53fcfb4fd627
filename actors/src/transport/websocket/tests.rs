//! What only this module can see; the rest is tested on [`Transport`].

use std::future::poll_fn;
use std::task::Poll;

use tungstenite::{Bytes, Message};

use super::PacketsPerFrame;
use crate::transport::Transport;
use crate::transport::tests::{
    connection, meanwhile, pattern, read_exactly, websocket, websocket_on, within,
};

/// A packet, and its frame.
const PINGRESP: &[u8] = b"\xd0\x00";

/// A socket that takes nothing more while its peer is not within a frame, and how many packets it took.
async fn full_between_frames() -> (Transport, tungstenite::WebSocket<std::net::TcpStream>, usize) {
    loop {
        let (node, client) = connection();
        socket2::SockRef::from(&node).set_send_buffer_size(4096).unwrap();
        let (mut transport, client) = websocket_on((node, client), PacketsPerFrame::One).await;
        assert_eq!(within(poll_fn(|cx| transport.poll_write(cx, PINGRESP))).await.unwrap(), 2);
        let mut packets = 1;
        let written = loop {
            match poll_fn(|cx| Poll::Ready(transport.poll_write(cx, PINGRESP))).await {
                Poll::Ready(Ok(2)) => packets += 1,
                written => break written,
            }
        };
        let Transport::WebSocket(stream) = &transport else { panic!("not a websocket") };
        // A frame of four bytes is hardly ever cut.
        if written.is_pending() && !stream.protocol.get_ref().is_within_frame() {
            return (transport, client, packets);
        }
    }
}

/// The node only reads; still a pong for which there was no room goes out once there is.
#[actix::test]
async fn pong_that_waits_for_room_wakes_the_reader() {
    let (mut transport, mut client, packets) = full_between_frames().await;
    client.send(Message::Ping(Bytes::from_static(b"p"))).unwrap();
    let client = meanwhile(move || {
        for _ in 0..packets {
            assert_eq!(client.read().unwrap(), Message::binary(PINGRESP));
        }
        assert_eq!(client.read().unwrap(), Message::Pong(Bytes::from_static(b"p")));
        client.send(Message::binary(&b"got it"[..])).unwrap();
    });
    assert_eq!(read_exactly(&mut transport, 6).await, b"got it");
    client.await;
}

#[actix::test]
async fn read_buffer_of_a_large_message_is_given_back_when_it_was_read() {
    let (mut transport, mut client) = websocket().await;
    let client = meanwhile(move || {
        for length in [10, 1024 * 1024, 20] {
            client.send(Message::binary(pattern(length))).unwrap();
        }
        client
    });
    read_exactly(&mut transport, 10 + 1024 * 1024 - 1).await;
    let Transport::WebSocket(stream) = &transport else { panic!("not a websocket") };
    assert!(stream.outgrown, "so large a message needs a larger buffer");
    read_exactly(&mut transport, 1 + 20).await;
    let Transport::WebSocket(stream) = &transport else { panic!("not a websocket") };
    assert!(!stream.outgrown && stream.incoming.is_empty());
    drop(client.await);
}
