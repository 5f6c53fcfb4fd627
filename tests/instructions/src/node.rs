//! A whole node on one thread, between in-memory transports. What it does from the moment that bytes are there to read
//! until nothing is left to do is counted; sending and receiving at the other end is not. Counts are for one message:
//! of a fan-out, for one delivery.

use micro_mq_actors::simulation::Simulation;
use micro_mq_core::homes::{Homes, drawn_key};
use micro_mq_core::settings::Settings;
use mqtt_codec::QoS::{self, AtLeastOnce, AtMostOnce, ExactlyOnce};

use crate::Case;
use crate::clients::{Client, publish, settle, settle_counted, write};

pub(crate) const CASES: &[Case] = &[
    // One connection's step through 64 publishes: decode, route, deliver.
    Case { name: "step/64-publishes-q0-unheard", run: || Run { qos: AtMostOnce, ..STEP }.go() },
    Case { name: "step/64-publishes-q1-unheard", run: || Run { qos: AtLeastOnce, ..STEP }.go() },
    Case { name: "step/64-publishes-q0", run: || Run { qos: AtMostOnce, subscribers: 1, ..STEP }.go() },
    Case { name: "step/64-publishes-q1", run: || Run { qos: AtLeastOnce, subscribers: 1, ..STEP }.go() },
    Case { name: "step/64-publishes-q2", run: || Run { qos: ExactlyOnce, subscribers: 1, ..STEP }.go() },
    // Whole runs.
    Case { name: "run/idle-millisecond", run: || idle(1) },
    Case { name: "run/connect-disconnect", run: || connect_and_disconnect(1) },
    Case { name: "run/publishers-1000-q1-w1", run: || PUBLISHERS.go() },
    Case { name: "run/fanin-100-q0", run: || Run { qos: AtMostOnce, ..FAN_IN }.go() },
    Case { name: "run/fanin-100-q1-w20", run: || FAN_IN.go() },
    Case { name: "run/fanout-100-q0", run: || Run { qos: AtMostOnce, ..FAN_OUT }.go() },
    Case { name: "run/fanout-100-q1-w50", run: || FAN_OUT.go() },
    Case { name: "run/pairs-50-q2-w10", run: || PAIRS.go() },
    Case { name: "run/shared-10-q1-w20", run: || SHARED.go() },
    // The same with two workers, whose clients are spread over both. In the steps the subscriber is on the other one.
    Case { name: "two-workers/64-publishes-q0-unheard", run: || Run { qos: AtMostOnce, ..STEP }.go_on_two() },
    Case {
        name: "two-workers/64-publishes-q1-unheard",
        run: || Run { qos: AtLeastOnce, ..STEP }.go_on_two(),
    },
    Case {
        name: "two-workers/64-publishes-q0",
        run: || Run { qos: AtMostOnce, subscribers: 1, ..STEP }.go_on_two(),
    },
    Case {
        name: "two-workers/64-publishes-q1",
        run: || Run { qos: AtLeastOnce, subscribers: 1, ..STEP }.go_on_two(),
    },
    Case {
        name: "two-workers/64-publishes-q2",
        run: || Run { qos: ExactlyOnce, subscribers: 1, ..STEP }.go_on_two(),
    },
    Case { name: "two-workers/idle-millisecond", run: || idle(2) },
    Case { name: "two-workers/connect-disconnect", run: || connect_and_disconnect(2) },
    Case { name: "two-workers/publishers-1000-q1-w1", run: || PUBLISHERS.go_on_two() },
    Case { name: "two-workers/fanin-100-q0", run: || Run { qos: AtMostOnce, ..FAN_IN }.go_on_two() },
    Case { name: "two-workers/fanin-100-q1-w20", run: || FAN_IN.go_on_two() },
    Case { name: "two-workers/fanout-100-q0", run: || Run { qos: AtMostOnce, ..FAN_OUT }.go_on_two() },
    Case { name: "two-workers/fanout-100-q1-w50", run: || FAN_OUT.go_on_two() },
    Case { name: "two-workers/pairs-50-q2-w10", run: || PAIRS.go_on_two() },
    Case { name: "two-workers/shared-10-q1-w20", run: || SHARED.go_on_two() },
];

/// Who hears a publisher.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Hearers {
    /// Every subscriber.
    All,
    /// The one with its number.
    OneEach,
    /// Any one of a shared group.
    Group,
}

/// Publishers and subscribers, and how long they go on.
#[derive(Clone, Copy)]
struct Run {
    workers: usize,
    publishers: usize,
    subscribers: usize,
    hearers: Hearers,
    qos: QoS,
    /// Publishes that each publisher sends at once; it waits for all answers before it sends more.
    window: usize,
    rounds: usize,
}

const STEP: Run = Run {
    workers: 1,
    publishers: 1,
    subscribers: 0,
    hearers: Hearers::All,
    qos: AtMostOnce,
    window: 64,
    rounds: 20,
};
const PUBLISHERS: Run = Run { publishers: 1000, qos: AtLeastOnce, window: 1, rounds: 3, ..STEP };
const FAN_IN: Run = Run { publishers: 100, subscribers: 1, qos: AtLeastOnce, window: 20, rounds: 3, ..STEP };
const FAN_OUT: Run = Run { subscribers: 100, qos: AtLeastOnce, window: 50, rounds: 2, ..STEP };
const PAIRS: Run = Run {
    workers: 1,
    publishers: 50,
    subscribers: 50,
    hearers: Hearers::OneEach,
    qos: ExactlyOnce,
    window: 10,
    rounds: 3,
};
const SHARED: Run = Run { subscribers: 10, hearers: Hearers::Group, publishers: 100, ..FAN_IN };

impl Run {
    fn go_on_two(self) -> usize {
        let homes = Homes::new(&drawn_key(), 2);
        let (publisher, subscriber) = (homes.of_client("publisher-0"), homes.of_client("subscriber-0"));
        assert_ne!(publisher, subscriber, "the steps are to cross over");
        Self { workers: 2, ..self }.go()
    }

    /// Plays it: a round that is not counted, in which tables and buffers grow, and those that are.
    fn go(self) -> usize {
        let simulation = Simulation::start(settings(self.workers));
        let mut subscribers = clients(&simulation, "subscriber", self.subscribers);
        for (index, subscriber) in subscribers.iter_mut().enumerate() {
            subscriber.subscribe(&self.filter(index), self.qos);
        }
        let mut publishers = clients(&simulation, "publisher", self.publishers);
        let batches: Vec<Vec<u8>> = (0..self.publishers).map(|index| self.batch(index)).collect();
        let play_round = |settle: fn(&Simulation), publishers: &mut [Client], subscribers: &mut [Client]| {
            publishers.iter_mut().zip(&batches).for_each(|(publisher, batch)| publisher.send_bytes(batch));
            let mut goes_on = true;
            while goes_on {
                settle(&simulation);
                goes_on = false;
                publishers.iter_mut().chain(&mut *subscribers).for_each(|client| goes_on |= client.receive());
            }
        };
        play_round(settle, &mut publishers, &mut subscribers);
        for _ in 0..self.rounds {
            play_round(settle_counted, &mut publishers, &mut subscribers);
        }
        self.judge(&publishers, &subscribers);
        let deliveries = if self.hearers == Hearers::All { self.subscribers.max(1) } else { 1 };
        self.publishers * self.window * self.rounds * deliveries
    }

    fn topic(self, publisher: usize) -> String {
        match self.hearers {
            Hearers::All | Hearers::Group => "building/all".to_owned(),
            Hearers::OneEach => format!("building/{publisher}"),
        }
    }

    fn filter(self, subscriber: usize) -> String {
        match self.hearers {
            Hearers::Group => "$share/group/building/all".to_owned(),
            Hearers::All | Hearers::OneEach => self.topic(subscriber),
        }
    }

    /// What a publisher sends at once.
    fn batch(self, publisher: usize) -> Vec<u8> {
        let mut bytes = Vec::new();
        let topic = self.topic(publisher);
        (0..self.window).for_each(|index| write(&publish(&topic, self.qos, index), &mut bytes));
        bytes
    }

    /// Nothing that is counted was lost on the way.
    fn judge(self, publishers: &[Client], subscribers: &[Client]) {
        let rounds = self.rounds + 1;
        let sent = self.publishers * self.window * rounds;
        if self.qos != AtMostOnce {
            assert_eq!(publishers.iter().map(|one| one.acknowledged).sum::<usize>(), sent);
        }
        let copies = if self.hearers == Hearers::All { self.subscribers } else { 1 };
        assert_eq!(subscribers.iter().map(|one| one.received).sum::<usize>(), sent * copies);
    }
}

/// The defaults, with so many workers.
fn settings(workers: usize) -> Settings {
    let mut settings = Settings::default();
    settings.node.workers = workers;
    settings
}

fn clients(simulation: &Simulation, name: &str, count: usize) -> Vec<Client> {
    let mut clients: Vec<_> =
        (0..count).map(|index| Client::begin(simulation, &format!("{name}-{index}"), index)).collect();
    settle(simulation);
    clients.iter_mut().for_each(|client| {
        client.receive();
    });
    clients
}

/// What each settling costs beside the work: runtime, timers, the turns of actors that find nothing to do.
fn idle(workers: usize) -> usize {
    const MILLISECONDS: usize = 100;
    let simulation = Simulation::start(settings(workers));
    settle(&simulation);
    (0..MILLISECONDS).for_each(|_| settle_counted(&simulation));
    MILLISECONDS
}

fn connect_and_disconnect(workers: usize) -> usize {
    const CLIENTS: usize = 500;
    let simulation = Simulation::start(settings(workers));
    let play = |settle: fn(&Simulation)| {
        let mut clients: Vec<_> =
            (0..CLIENTS).map(|index| Client::begin(&simulation, &format!("client-{index}"), index)).collect();
        settle(&simulation);
        for client in &mut clients {
            client.receive();
            client.disconnect();
        }
        settle(&simulation);
    };
    play(settle);
    play(settle_counted);
    CLIENTS
}
