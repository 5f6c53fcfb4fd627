//! A client's network connection. What is read is stamped as soon as it is read.

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::time::Instant;

use mqtt_codec::{
    Ack, ConnAck, Connect, Limits, Packet, ProtocolVersion, Publish, QoS, ReasonCode, Sender, decode,
};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::harness::{DEADLINE, bytes_of, subscribe};

/// See the module.
pub(crate) struct Link {
    stream: TcpStream,
    version: ProtocolVersion,
    received: Vec<u8>,
    /// When something was written last: the earliest and the latest moment that it can have been.
    pub(crate) written: (Instant, Instant),
    /// When something was read last, or the end was.
    pub(crate) read: Instant,
}

impl Link {
    pub(crate) async fn open(address: SocketAddr, version: ProtocolVersion) -> Result<Self, String> {
        let began = Instant::now();
        let stream = timeout(DEADLINE, TcpStream::connect(address)).await;
        let stream =
            stream.map_err(|_| "no network connection in time")?.map_err(|error| error.to_string())?;
        stream.set_nodelay(true).map_err(|error| error.to_string())?;
        let now = Instant::now();
        Ok(Self { stream, version, received: Vec::new(), written: (began, now), read: now })
    }

    /// A client whose CONNECT was accepted.
    pub(crate) async fn client(address: SocketAddr, connect: Connect) -> Result<(Self, ConnAck), String> {
        let mut link = Self::open(address, connect.version).await?;
        link.send(&Packet::Connect(Box::new(connect))).await?;
        match link.next().await? {
            Some(Packet::ConnAck(answer)) if !answer.reason_code.is_error() => Ok((link, *answer)),
            other => Err(format!("in place of a CONNACK: {other:?}")),
        }
    }

    pub(crate) async fn send(&mut self, packet: &Packet) -> Result<(), String> {
        let bytes = bytes_of(packet, self.version);
        self.send_bytes(&bytes).await
    }

    pub(crate) async fn send_bytes(&mut self, mut bytes: &[u8]) -> Result<(), String> {
        self.written.0 = Instant::now();
        while !bytes.is_empty() {
            match self.stream.try_write(bytes) {
                Ok(written) => bytes = &bytes[written..],
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    let ready = timeout(DEADLINE, self.stream.writable()).await;
                    ready.map_err(|_| "nothing is read")?.map_err(|error| error.to_string())?;
                }
                Err(error) => return Err(error.to_string()),
            }
        }
        self.written.1 = Instant::now();
        Ok(())
    }

    /// Reads once; false at the end.
    pub(crate) async fn read_more(&mut self) -> Result<bool, String> {
        let mut buffer = [0; 4096];
        loop {
            let ready = timeout(DEADLINE, self.stream.readable()).await;
            ready.map_err(|_| "nothing came in time")?.map_err(|error| error.to_string())?;
            let read = self.stream.try_read(&mut buffer);
            self.read = Instant::now();
            match read {
                Ok(0) => return Ok(false),
                Ok(read) => {
                    self.received.extend_from_slice(&buffer[..read]);
                    return Ok(true);
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                // Closed, with bytes unread that were on their way.
                Err(error) if error.kind() == ErrorKind::ConnectionReset => return Ok(false),
                Err(error) => return Err(error.to_string()),
            }
        }
    }

    /// The next packet; none at the end.
    pub(crate) async fn next(&mut self) -> Result<Option<Packet>, String> {
        loop {
            let decoded = decode(&self.received, self.version, Sender::Server, &Limits::default());
            if let Some((packet, used)) = decoded.map_err(|error| error.to_string())? {
                let packet = packet.into_owned();
                self.received.drain(..used);
                return Ok(Some(packet));
            }
            if !self.read_more().await? {
                return Ok(None);
            }
        }
    }

    /// The next packet, which is to be this one.
    pub(crate) async fn expect(&mut self, wanted: &Packet) -> Result<(), String> {
        let packet = self.next().await?;
        if packet.as_ref() == Some(wanted) {
            Ok(())
        } else {
            Err(format!("{packet:?} in place of {wanted:?}"))
        }
    }

    pub(crate) async fn ping(&mut self) -> Result<(), String> {
        self.send(&Packet::PingReq).await?;
        self.expect(&Packet::PingResp).await
    }

    /// Subscribes to one filter.
    pub(crate) async fn subscribe(&mut self, filter: &str, qos: QoS) -> Result<(), String> {
        self.send(&subscribe(&[filter], qos)).await?;
        match self.next().await? {
            Some(Packet::SubAck(answer)) if !answer.reason_codes[0].is_error() => Ok(()),
            other => Err(format!("in place of a SUBACK: {other:?}")),
        }
    }

    /// The next packet, which is to be a PUBLISH; it is acknowledged.
    pub(crate) async fn message(&mut self) -> Result<Publish, String> {
        match self.next().await? {
            Some(Packet::Publish(publish)) => {
                if let Some(identifier) = publish.packet_identifier {
                    self.send(&Packet::PubAck(Ack::new(identifier, ReasonCode::Success))).await?;
                }
                Ok(publish)
            }
            other => Err(format!("in place of a PUBLISH: {other:?}")),
        }
    }

    /// Waits for the end, whatever comes before.
    pub(crate) async fn until_end(&mut self) -> Result<(), String> {
        while self.read_more().await? {}
        Ok(())
    }
}
