//! What only this module can see; the rest is tested on [`Transport`].

use crate::connection::transport::Transport;
use crate::connection::transport::tests::{meanwhile, pattern, read_exactly, websocket};
use tungstenite::Message;

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
