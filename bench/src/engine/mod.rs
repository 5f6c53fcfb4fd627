//! The event loop of one thread: one epoll, non-blocking sockets.
//!
//! A wake-up of a connection reads once, acts on every packet that is there, and writes once: acknowledgements,
//! releases and new publishes together. Publishers that the bound on outstanding deliveries holds back stand in a
//! queue and get their turns in order.

mod asking;
mod board;
mod burst;
mod churn;
mod connection;
mod crew;
mod drawn;
mod flood;
mod member;
mod pace;
mod phase;
mod progress;
mod publisher;
mod receiving;
mod subscriber;
mod subscription;
mod traffic;

use std::{
    mem::MaybeUninit,
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::{Duration, Instant},
};

use rustix::{
    event::{Timespec, epoll},
    fd::OwnedFd,
};

use self::{
    board::Board,
    churn::Cycles,
    connection::{Connection, Stage},
    traffic::Traffic,
};
pub(crate) use self::{
    churn::Churner,
    connection::{Client, Role},
    crew::Crew,
    drawn::Drawn,
    flood::{Deaf, Flooder},
    member::{Member, Part},
    phase::{Amount, Outcome, Phase},
    publisher::Publisher,
    subscriber::Subscriber,
    subscription::Subscription,
};
use crate::{
    failure::Failure,
    latency::Histogram,
    order::Faults,
    process::Process,
    seen::Seen,
    socket,
    transport::{Layers, Transport},
    wire::{DISCONNECT, Version},
};

/// Bytes of one read.
const READ_BUFFER_BYTES: usize = 256 << 10;
/// Events of one wait.
const EVENTS_PER_WAIT: usize = 1024;
/// Writes of queued publishers between two waits, so that reading keeps up.
const WRITES_PER_TURN: usize = 256;
/// Longest wait for events, so that clocks, samples and progress lines stay alive.
const LONGEST_WAIT: Duration = Duration::from_millis(100);

/// Data, or the end of the connection.
const READABLE: epoll::EventFlags = epoll::EventFlags::IN
    .union(epoll::EventFlags::HUP)
    .union(epoll::EventFlags::ERR)
    .union(epoll::EventFlags::RDHUP);

/// The shape of a run.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    /// The broker.
    pub address: SocketAddr,
    /// Where connections come from, in turn; the kernel's choice without any.
    pub sources: Vec<IpAddr>,
    /// What lies between MQTT and TCP.
    pub layers: Layers,
    /// Protocol version of all connections.
    pub version: Version,
    /// Keep alive of all connections, in seconds; nothing is sent to keep them.
    pub keep_alive_seconds: u16,
    /// Payload size in bytes.
    pub payload: usize,
    /// Most publishes in one write.
    pub burst: u32,
    /// Most deliveries outstanding.
    pub outstanding: u64,
    /// Deliveries that each publish brings about.
    pub fan_out: u64,
    /// Connections that come or go at once.
    pub handshakes: usize,
    /// Groups of subscribers that share the messages out among them.
    pub groups: usize,
    /// Longest time without any progress.
    pub timeout: Duration,
    /// The broker's process, whose memory is sampled.
    pub broker: Option<Process>,
    /// Between two progress lines.
    pub progress: Option<Duration>,
}

/// The event of the bell, beside those of the connections by their numbers.
const BELL: u64 = u64::MAX;

/// The connections of one thread, and the loop that serves them.
struct Engine {
    settings: Settings,
    /// Which engine this is, and of how many.
    lane: (usize, usize),
    /// What it shares with the others, if there are any.
    board: Option<Arc<Board>>,
    epoll: OwnedFd,
    connections: Vec<Connection>,
    /// Connections by publisher number.
    publishers: Vec<usize>,
    /// Connections of slow subscribers.
    deaf: Vec<usize>,
    /// Some of these read.
    reads_slowly: bool,
    /// Connections of flooders.
    flooders: Vec<usize>,
    /// Connections that are up, or were.
    up: usize,
    /// Connections that never read and that the broker closed.
    gone: usize,
    /// Connections of clients that left, since somebody looked.
    departed: Vec<usize>,
    buffer: Vec<u8>,
    traffic: Traffic,
}

impl Engine {
    /// An engine without connections.
    fn new(
        settings: Settings,
        started: Instant,
        lane: (usize, usize),
        board: Option<Arc<Board>>,
    ) -> Result<Self, Failure> {
        let epoll =
            epoll::create(epoll::CreateFlags::CLOEXEC).map_err(|error| Failure::Wait(error.into()))?;
        let Settings { payload, burst, outstanding, fan_out, groups, .. } = settings;
        let traffic = Traffic::new(payload, burst, outstanding, fan_out, groups, started);
        if let Some(board) = &board {
            let data = epoll::EventData::new_u64(BELL);
            epoll::add(&epoll, board.bell(lane.0), data, epoll::EventFlags::IN)
                .map_err(|error| Failure::Wait(error.into()))?;
        }
        Ok(Self {
            settings,
            lane,
            board,
            epoll,
            connections: Vec::new(),
            publishers: Vec::new(),
            deaf: Vec::new(),
            reads_slowly: false,
            flooders: Vec::new(),
            up: 0,
            gone: 0,
            departed: Vec::new(),
            buffer: vec![0; READ_BUFFER_BYTES],
            traffic,
        })
    }

    /// Connects further clients, and subscribes those that ask for it. Ends when all are up.
    fn establish(&mut self, mut clients: impl ExactSizeIterator<Item = Client>) -> Result<(), Failure> {
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

    /// Serves all connections for `time`: they hold, or stray deliveries come in.
    fn hold(&mut self, time: Duration) -> Result<(), Failure> {
        let started = Instant::now();
        while let Some(left) = time.checked_sub(started.elapsed()).filter(|left| !left.is_zero()) {
            self.serve(left.min(LONGEST_WAIT))?;
        }
        Ok(())
    }

    /// Publishing clients.
    fn publishers(&self) -> usize {
        self.publishers.len()
    }

    /// Adds what each publisher published, by its number.
    fn count_published(&mut self, published: &mut Vec<u32>) {
        for &index in &self.publishers {
            let Some(publisher) = self.connections[index].publisher() else { continue };
            let number = publisher.number() as usize;
            published.resize(published.len().max(number + 1), 0);
            published[number] = publisher.published();
        }
    }

    /// Duplicates, disorder, and what never came, over the whole run, except what groups did not see.
    fn faults(&self, published: &[u32]) -> Faults {
        let lost = self.connections.iter().map(|connection| match connection.role() {
            Role::Subscriber(subscriber) => subscriber.lost(published),
            Role::Churner(churner) => churner.lost(),
            Role::Member(_) | Role::Publisher(_) | Role::Idle | Role::Deaf(_) | Role::Flooder(_) => 0,
        });
        Faults { lost: lost.sum(), ..self.traffic.faults }
    }

    /// What groups saw here.
    fn seen(&self) -> &Seen {
        &self.traffic.seen
    }

    /// Publishes whose acknowledgement never came.
    fn unacknowledged(&self) -> u64 {
        self.traffic.in_flight
    }

    /// Latencies of the deliveries of the last phase.
    fn latency(&self) -> &Histogram {
        &self.traffic.latency
    }

    /// The broker's Receive Maximum, if it narrowed the window that was asked for.
    fn narrowed_window(&self) -> Option<u16> {
        self.traffic.narrowed_window
    }

    /// Clients that never read and whose connection the broker closed.
    fn gone(&self) -> usize {
        self.gone
    }

    /// Says good-bye on every connection and closes it.
    fn close(mut self) {
        for connection in &mut self.connections {
            // It is closed anyway, so a connection that is gone already needs no good-bye.
            let _ = connection.write(&DISCONNECT);
        }
    }

    fn open(&mut self, client: Client) -> Result<(), Failure> {
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
    fn dial(&self, number: usize, receive_buffer: Option<usize>) -> Result<Transport, Failure> {
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
    fn number_of(&self, index: usize) -> usize {
        let (lane, engines) = self.lane;
        index * engines + lane
    }

    /// Tells the other engines, and hears what they have outstanding.
    fn exchange(&mut self) {
        if let Some(board) = &self.board {
            let Traffic { balance, progress, .. } = self.traffic;
            self.traffic.others = board.exchange(self.lane.0, balance, progress);
        }
    }

    /// Waits for events, at most for `timeout`, and serves each connection that has one.
    fn serve(&mut self, timeout: Duration) -> Result<(), Failure> {
        let timeout = Timespec { tv_sec: timeout.as_secs() as i64, tv_nsec: timeout.subsec_nanos().into() };
        let mut events = [const { MaybeUninit::uninit() }; EVENTS_PER_WAIT];
        let ready: &[epoll::Event] = match epoll::wait(&self.epoll, &mut events, Some(&timeout)) {
            Ok((ready, _)) => ready,
            Err(rustix::io::Errno::INTR) => &[],
            Err(error) => return Err(Failure::Wait(error.into())),
        };
        for event in ready {
            match (&self.board, event.data.u64()) {
                (Some(board), BELL) => board.answer(self.lane.0),
                (_, number) => self.wake(number as usize, event.flags)?,
            }
        }
        if let Some(board) = &self.board
            && self.traffic.is_open()
        {
            board.release();
        }
        Ok(())
    }

    fn wake(&mut self, index: usize, flags: epoll::EventFlags) -> Result<(), Failure> {
        let Self { connections, buffer, traffic, .. } = self;
        let connection = &mut connections[index];
        let (interest, stage) = (connection.interest(), connection.stage());
        traffic.out.clear();
        if flags.contains(epoll::EventFlags::OUT) || stage == Stage::Opening {
            connection.writable(traffic)?;
        }
        if stage != Stage::Opening && flags.intersects(READABLE) {
            connection.readable(buffer, traffic)?;
        }
        connection.publish(index, traffic);
        connection.leave_when_done(traffic);
        connection.write(&traffic.out)?;
        match connection.stage() {
            Stage::Up if stage != Stage::Up => self.up += 1,
            Stage::Gone if stage == Stage::Leaving => self.departed.push(index),
            Stage::Gone => self.gone += 1,
            _ => {}
        }
        self.exchange();
        self.register(index, interest)
    }

    /// Gives queued publishers their turns, until the bound on outstanding deliveries or of this turn is met.
    /// Returns true if some could go on at once.
    fn pump(&mut self) -> Result<bool, Failure> {
        for _ in 0..WRITES_PER_TURN {
            let Self { connections, traffic, .. } = self;
            let Some(&index) = traffic.ready.front() else { return Ok(false) };
            let connection = &mut connections[index];
            let interest = connection.interest();
            let room = connection.room();
            let count = traffic.allowance(room);
            if room > 0 && count == 0 {
                return Ok(false);
            }
            traffic.ready.pop_front();
            traffic.out.clear();
            traffic.tick();
            if let Some(publisher) = connection.publisher() {
                publisher.queued = false;
                publisher.publish(count, traffic);
            }
            connection.write(&traffic.out)?;
            if connection.room() > 0
                && let Some(publisher) = connection.publisher()
            {
                publisher.queued = true;
                traffic.ready.push_back(index);
            }
            self.exchange();
            self.register(index, interest)?;
        }
        Ok(!self.traffic.ready.is_empty())
    }

    /// Tells epoll when a connection waits for other events than before.
    fn register(&self, index: usize, before: Option<epoll::EventFlags>) -> Result<(), Failure> {
        let connection = &self.connections[index];
        let interest = connection.interest();
        if interest == before {
            return Ok(());
        }
        let data = epoll::EventData::new_u64(index as u64);
        let registered = match interest {
            Some(flags) => epoll::modify(&self.epoll, connection.transport().stream(), data, flags),
            None => epoll::delete(&self.epoll, connection.transport().stream()),
        };
        registered.map_err(|error| Failure::Wait(error.into()))
    }
}
