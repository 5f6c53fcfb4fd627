//! What is written, and pongs between.

use tungstenite::Bytes;

use super::*;

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
