//! Clocks, as a test of its own: the real program with 5,000 connections and a steady load of publishes, and beside
//! that hundreds of clients that wait for each of its clocks, all at the same time and spread in time.
//!
//! Keep alive, will delay, session expiry, message expiry and the CONNECT timeout are kept to half a second, early or
//! late, as a client sees it. Every event counts, not a percentile of them.

mod arrivals;
mod connect_timeout;
mod crowd;
mod keep_alive;
mod messages;
mod program;
mod record;
mod sessions;
mod wills;
mod wire;

use std::rc::Rc;
use std::time::{Duration, Instant};

use tokio::runtime::Builder;
use tokio::task::{LocalSet, spawn_local};

use crowd::Crowd;
use program::{Program, renice};
use record::Record;

/// How exactly every clock is to be kept.
const TOLERANCE: Duration = Duration::from_millis(500);
/// Over how much time the clients of each kind begin.
const SPREAD: Duration = Duration::from_secs(10);
/// For each wait: far above what a slow machine takes.
const DEADLINE: Duration = Duration::from_secs(30);
/// How often a run is tried in which the machine kept this process or the program waiting.
const ATTEMPTS: usize = 3;
/// From this on a run says more about the machine than about the program.
const LAG_MAX: Duration = Duration::from_millis(200);

/// [MQTT-3.1.2-22] [MQTT-3.1.3-9] [MQTT-3.3.2-5] [MQTT-3.3.2-6] [MQTT-4.1.0-2]
#[test]
fn every_clock_is_kept_to_half_a_second_with_5000_connections_under_load() {
    for attempt in 1..=ATTEMPTS {
        let record = run();
        let faults = record.faults();
        if faults.is_empty() {
            return;
        }
        // What came too late because one of the two processes was not given a processor is nobody's fault.
        let excused = record.lag() > LAG_MAX && attempt < ATTEMPTS;
        assert!(excused, "{} faults, the first: {:#?}", faults.len(), &faults[..faults.len().min(10)]);
        eprintln!("the machine kept one of the two waiting for {:?}: once more", record.lag());
    }
}

fn run() -> Record {
    let program = Program::start();
    let crowd = Crowd::start(program.tcp);
    renice();
    let record = Rc::new(Record::default());
    let runtime = Builder::new_current_thread().enable_all().build().expect("a runtime");
    LocalSet::new().block_on(&runtime, measure(&program, &record));
    eprint!("{record}");
    crowd.stop();
    program.stop();
    Rc::into_inner(record).expect("all clients have ended")
}

/// Every kind of clock at the same time.
async fn measure(program: &Program, record: &Rc<Record>) {
    let began = Instant::now();
    let clients = [
        keep_alive::start(program.tcp, record),
        wills::start(program.tcp, record).await,
        sessions::start(program.tcp, record),
        messages::start(program.tcp, record),
        connect_timeout::start(program.tcp, program.websocket, record),
    ];
    let own_lag = spawn_local(record::watch_own_lag(Rc::clone(record)));
    let all_ended = async {
        for client in clients.into_iter().flatten() {
            client.await.expect("a client that does not panic");
        }
    };
    tokio::select! {
        () = all_ended => {}
        never = record::watch_lag_of(program, Rc::clone(record)) => never,
    }
    own_lag.abort();
    let _ = own_lag.await;
    eprintln!("measured for {:?}", began.elapsed());
}
