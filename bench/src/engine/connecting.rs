//! How connections come, and how they end with the run.

use std::time::Instant;

use rustix::event::epoll;

use super::{Client, Connection, Engine, LONGEST_WAIT, Role};
use crate::{failure::Failure, socket, transport::Transport, wire::DISCONNECT};

impl Engine {
    /// Connects further clients, and subscribes those that ask for it. Ends when all are up.
    pub(super) fn establish(
        &mut self,
        mut clients: impl ExactSizeIterator<Item = Client>,
    ) -> Result<(), Failure> {
        let total = self.connections.len() + clients.len();
        let (mut done, mut since) = (self.up, Instant::now());
        let mut ticker = self.ticker();
        while self.up < total {
            while self.connections.len() - self.up < self.settings.handshakes {
                let Some(client) = clients.next() else { break };
                self.open(client)?;
            }
            self.serve(LONGEST_WAIT)?;
            let now = self.traffic.tick();
            self.tell(&mut ticker, now, [self.up as u64, total as u64, 0], |[up, of, _]| {
                format!("{up} of {of} clients connected")
            });
            if self.up > done {
                (done, since) = (self.up, Instant::now());
            } else if since.elapsed() > self.settings.timeout {
                let waited = self.settings.timeout;
                return Err(Failure::Timeout { doing: "connecting", done, of: total, waited });
            }
        }
        Ok(())
    }

    pub(super) fn open(&mut self, client: Client) -> Result<(), Failure> {
        let number = self.connections.len();
        let mut receive_buffer = None;
        match &client.role {
            Role::Publisher(_) => self.publishers.push(number),
            Role::Deaf(deaf) => {
                self.deaf.push(number);
                self.reads_slowly |= deaf.reads();
                receive_buffer = Some(deaf.receive_buffer_bytes());
            }
            Role::Flooder(_) => self.flooders.push(number),
            _ => {}
        }
        let transport = self.dial(number, receive_buffer)?;
        self.connections.push(Connection::new(client, &self.settings, transport));
        Ok(())
    }

    /// Begins to connect as number `number`.
    pub(super) fn dial(&self, number: usize, receive_buffer: Option<usize>) -> Result<Transport, Failure> {
        let address = self.settings.address;
        let failed = |source| Failure::Open { number, address, source };
        let source = socket::source(&self.settings.sources, address.ip(), self.number_of(number));
        let stream = socket::open(address, source, receive_buffer).map_err(failed)?;
        let data = epoll::EventData::new_u64(number as u64);
        epoll::add(&self.epoll, &stream, data, epoll::EventFlags::OUT)
            .map_err(|error| failed(error.into()))?;
        Transport::new(stream, &self.settings.layers).map_err(failed)
    }

    /// The number of a connection of this engine among those of all.
    pub(super) fn number_of(&self, index: usize) -> usize {
        let (lane, engines) = self.lane;
        index * engines + lane
    }

    /// Says good-bye on every connection and closes it.
    pub(super) fn close(mut self) {
        for connection in &mut self.connections {
            // It is closed anyway, so a connection that is gone already needs no good-bye.
            let _ = connection.write(&DISCONNECT);
        }
    }
}
