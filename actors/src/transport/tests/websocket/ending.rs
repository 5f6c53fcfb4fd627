//! The end: close frames, and ends without.

use std::io::ErrorKind;
use std::net::Shutdown;

use super::*;

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
