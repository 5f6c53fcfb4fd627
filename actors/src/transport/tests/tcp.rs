use std::io::{IoSlice, Read, Write};
use std::net::Shutdown;

use super::*;
use crate::transport::{Stream, Transport, TransportKind};

#[actix::test]
async fn bytes_go_both_ways() {
    let (node, mut client) = connection();
    let mut transport = tcp(node).unwrap();
    assert_eq!(transport.kind(), TransportKind::Tcp);
    assert_eq!(transport.peer_address(), Some(client.local_addr().unwrap()));
    client.write_all(b"\xc0\x00").unwrap();
    assert_eq!(read_exactly(&mut transport, 2).await, b"\xc0\x00");
    write(&mut transport, b"\xd0\x00").await;
    let slices = [IoSlice::new(b"\xd0"), IoSlice::new(b""), IoSlice::new(b"\x00")];
    assert_eq!(write_vectored(&mut transport, &slices).await, 2);
    let mut answer = [0; 4];
    client.read_exact(&mut answer).unwrap();
    assert_eq!(&answer, b"\xd0\x00\xd0\x00");
}

#[actix::test]
async fn small_writes_are_not_delayed() {
    let (node, _client) = connection();
    match tcp(node).unwrap() {
        Transport::Plain(Stream::Tcp(stream)) => assert!(stream.nodelay().unwrap()),
        _ => panic!("not tcp"),
    }
}

#[actix::test]
async fn end_of_the_peer_reads_as_0_again_and_again() {
    let (node, client) = connection();
    let mut transport = tcp(node).unwrap();
    client.shutdown(Shutdown::Write).unwrap();
    for _ in 0..3 {
        assert_eq!(read(&mut transport, &mut [0; 8]).await.unwrap(), 0);
    }
}

#[actix::test]
async fn shutdown_ends_the_stream_for_the_peer() {
    let (node, mut client) = connection();
    let mut transport = tcp(node).unwrap();
    write(&mut transport, b"\xe0\x00").await;
    shutdown(&mut transport).await;
    assert_eq!(meanwhile(move || read_to_end(&mut client)).await, b"\xe0\x00");
}

#[actix::test]
async fn full_socket_takes_more_once_the_peer_reads() {
    let (node, mut client) = connection();
    let mut transport = tcp(node).unwrap();
    let written = write_until_full(&mut transport).await;
    let client = meanwhile(move || read_to_end(&mut client));
    write(&mut transport, b"the end").await;
    shutdown(&mut transport).await;
    let received = client.await;
    assert!(received == [repeated_pattern(written), b"the end".to_vec()].concat());
}

#[actix::test]
async fn another_worker_goes_on_where_the_first_stopped() {
    let (node, mut client) = connection();
    let mut transport = tcp(node).unwrap();
    client.write_all(b"read here, read there").unwrap();
    assert_eq!(read_exactly(&mut transport, 11).await, b"read here, ");
    let detached = transport.detach().unwrap();
    on_another_worker(move || async move {
        let mut transport = Transport::attach(detached).unwrap();
        assert_eq!(read_exactly(&mut transport, 10).await, b"read there");
        write(&mut transport, b"written there").await;
    });
    assert_eq!(meanwhile(move || read_to_end(&mut client)).await, b"written there");
}

/// There is one in every connection.
#[test]
fn transport_is_small() {
    assert!(size_of::<Transport>() <= 40, "{} bytes", size_of::<Transport>());
}
