//! From worker to worker.

use super::*;

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
