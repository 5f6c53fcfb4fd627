//! The other end of a simulated network connection.

use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use mqtt_codec::Packet;
use tokio::io::{AsyncRead, AsyncWrite, DuplexStream, ReadBuf};

use super::interleaving::News;
use super::websocket::WebSocketEnd;
use super::wire::Wire;

/// Sends and receives without waiting, and judges what it receives.
#[derive(Debug)]
pub struct SimulatedClient {
    stream: DuplexStream,
    /// Where the node is told late of what there is.
    news: Option<News>,
    /// None: MQTT is spoken over the pipe itself.
    websocket: Option<Box<WebSocketEnd>>,
    wire: Wire,
    /// Sent, and not yet taken by the pipe.
    unsent: Vec<u8>,
    bytes_received: u64,
    is_over: bool,
}

impl SimulatedClient {
    pub(super) fn new(stream: DuplexStream, news: Option<News>) -> Self {
        Self {
            stream,
            news,
            websocket: None,
            wire: Wire::default(),
            unsent: Vec::new(),
            bytes_received: 0,
            is_over: false,
        }
    }

    /// The same over a WebSocket, whose handshake it begins.
    pub(super) fn new_websocket(stream: DuplexStream, news: Option<News>) -> Self {
        let mut client = Self::new(stream, news);
        client.websocket = Some(Box::new(WebSocketEnd::open(&mut client.unsent)));
        client.push();
        client
    }

    /// Sends bytes of MQTT. What finds no room, since the node does not read, goes with the next call of this method or
    /// of [`receive`](Self::receive).
    pub fn send(&mut self, bytes: &[u8]) {
        match &mut self.websocket {
            Some(websocket) => websocket.frame(bytes, &mut self.unsent),
            None => self.unsent.extend_from_slice(bytes),
        }
        self.push();
    }

    /// Bytes sent that found no room yet, those of frames included.
    pub fn unsent(&self) -> usize {
        self.unsent.len()
    }

    fn push(&mut self) {
        let mut task = Context::from_waker(Waker::noop());
        while !self.unsent.is_empty() {
            match Pin::new(&mut self.stream).poll_write(&mut task, &self.unsent) {
                Poll::Ready(Ok(written)) if written > 0 => {
                    match &mut self.websocket {
                        Some(websocket) => websocket.note_written(written, &mut self.wire),
                        None => self.wire.note_sent(&self.unsent[..written]),
                    }
                    self.unsent.drain(..written);
                    if let Some(news) = &self.news {
                        news.note_written();
                    }
                }
                // The node has closed: nobody will read it.
                Poll::Ready(_) => self.unsent.clear(),
                Poll::Pending => return,
            }
        }
    }

    /// Everything that has arrived, judged. A topic alias is replaced by what it stands for.
    ///
    /// # Errors
    /// What the node did wrong.
    pub fn receive(&mut self) -> Result<Vec<Packet>, String> {
        self.receive_some(usize::MAX)
    }

    /// The same, but no more than so many bytes are taken out of the pipe.
    ///
    /// # Errors
    /// What the node did wrong.
    pub fn receive_some(&mut self, bytes_max: usize) -> Result<Vec<Packet>, String> {
        let mut task = Context::from_waker(Waker::noop());
        let mut scratch = [0; 4096];
        let (mut left, mut packets) = (bytes_max, Vec::new());
        while left > 0 && !self.is_over {
            let room = left.min(scratch.len());
            let mut buffer = ReadBuf::new(&mut scratch[..room]);
            match Pin::new(&mut self.stream).poll_read(&mut task, &mut buffer) {
                Poll::Pending => break,
                Poll::Ready(Ok(())) if !buffer.filled().is_empty() => {
                    left -= buffer.filled().len();
                    self.bytes_received += buffer.filled().len() as u64;
                    match &mut self.websocket {
                        None => self.wire.take(buffer.filled(), &mut packets)?,
                        Some(websocket) => {
                            if websocket.take(buffer.filled(), &mut self.wire, &mut packets)? {
                                self.end()?;
                            }
                        }
                    }
                }
                Poll::Ready(_) => self.end()?,
            }
        }
        self.push();
        Ok(packets)
    }

    fn end(&mut self) -> Result<(), String> {
        self.is_over = true;
        self.wire.end()
    }

    /// Bytes taken out of the pipe, those of packets that are not whole yet included.
    pub fn bytes_received(&self) -> u64 {
        self.bytes_received
    }

    /// Whether the end of what the node sends was reached by [`receive`](Self::receive).
    pub fn is_over(&self) -> bool {
        self.is_over
    }

    /// What both ends have said.
    pub fn wire(&self) -> &Wire {
        &self.wire
    }

    /// Ends the network connection without a word. What the node has not read yet, it still can; what it wrote and
    /// nobody received is lost.
    pub fn hang_up(self) {}
}
