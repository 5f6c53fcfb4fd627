//! The event loop of one thread: one epoll, non-blocking sockets.
//!
//! A wake-up of a connection reads once, acts on every packet that is there, and writes once: acknowledgements,
//! releases and new publishes together. Publishers that the bound on outstanding deliveries holds back stand in a
//! queue and get their turns in order.

mod asking;
mod board;
mod burst;
mod churn;
mod client;
mod connecting;
mod connection;
mod crew;
mod drawn;
mod findings;
mod flood;
mod member;
mod pace;
mod phase;
mod progress;
mod publisher;
mod receiving;
mod settings;
mod subscriber;
mod subscription;
mod traffic;

use std::{
    mem::MaybeUninit,
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
    client::{Client, Role},
    crew::Crew,
    drawn::Drawn,
    flood::{Deaf, Flooder},
    member::{Member, Part},
    phase::{Amount, Outcome, Phase},
    publisher::Publisher,
    settings::Settings,
    subscriber::Subscriber,
    subscription::Subscription,
};
use crate::failure::Failure;

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

    /// Serves all connections for `time`: they hold, or stray deliveries come in.
    fn hold(&mut self, time: Duration) -> Result<(), Failure> {
        let started = Instant::now();
        while let Some(left) = time.checked_sub(started.elapsed()).filter(|left| !left.is_zero()) {
            self.serve(left.min(LONGEST_WAIT))?;
        }
        Ok(())
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
