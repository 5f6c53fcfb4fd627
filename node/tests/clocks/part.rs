//! The clients of one thread: a share of all that there is, with nothing shared between threads but the node.

use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Barrier;
use tokio::task::{JoinSet, LocalSet};
use tokio::time::{Instant, sleep_until};

use crate::harness::Starved;
use crate::load::Load;
use crate::stalls::Stalls;
use crate::verdict::{Event, Verdict};
use crate::wills::Watcher;
use crate::{connects, keep_alive, messages, sessions, wills};

/// As many as the node has workers.
pub(crate) const THREADS: usize = 2;
/// The events begin within this time, evenly.
const SPREAD: Duration = Duration::from_secs(15);
/// How often an event is tried again that its own client spoilt by being late.
const ATTEMPTS: usize = 5;

#[derive(Debug, Clone, Copy)]
pub(crate) struct Addresses {
    pub(crate) tcp: SocketAddr,
    pub(crate) websocket: SocketAddr,
}

/// What the events of a thread have in common.
pub(crate) struct Part {
    /// Which thread it is: names and topics begin with it.
    pub(crate) number: usize,
    pub(crate) addresses: Addresses,
    pub(crate) stalls: Rc<Stalls>,
    pub(crate) watcher: Rc<Watcher>,
}

/// Events that have begun, each with what kind it is.
pub(crate) type Events = JoinSet<(&'static str, Result<Event, String>)>;

impl Part {
    /// All of it: opens what stays, then begins the events, and waits for them.
    pub(crate) fn run(
        number: usize,
        addresses: Addresses,
        starved: Arc<Starved>,
        opened: &Barrier,
        ended: &Barrier,
    ) -> Verdict {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        LocalSet::new().block_on(&runtime, async {
            let stalls = Stalls::watch(starved);
            let load = Load::open(number, addresses.tcp).await;
            let watcher = Watcher::open(number, addresses.tcp).await;
            opened.wait().await;
            let part = Rc::new(Self { number, addresses, stalls, watcher });
            let mut verdict = Verdict::default();
            let began = Instant::now();
            load.begin();
            let mut events = Events::new();
            keep_alive::begin(&part, &mut events);
            wills::begin(&part, &mut events);
            sessions::begin(&part, &mut events);
            messages::begin(&part, &mut events);
            connects::begin(&part, &mut events);
            while let Some(ended) = events.join_next().await {
                let (kind, result) = ended.expect("no panic");
                verdict.event(kind, result);
            }
            let (took, worst) = (began.elapsed(), part.stalls.worst());
            verdict.notes.push(format!("thread {number}: {took:?}, overslept {worst:?} at most"));
            part.watcher.judge(&mut verdict);
            ended.wait().await;
            load.end(took, &mut verdict).await;
            verdict
        })
    }

    /// Begins one of `count` events of a kind in its time. One that answers None was spoilt by its client, and is tried
    /// again.
    pub(crate) fn begin<F: Future<Output = Result<Option<Event>, String>>>(
        self: &Rc<Self>,
        events: &mut Events,
        kind: &'static str,
        (number, count): (usize, usize),
        event: impl Fn(Rc<Self>, String) -> F + 'static,
    ) {
        let begins = Instant::now() + SPREAD * number as u32 / count as u32;
        let part = Rc::clone(self);
        events.spawn_local(async move {
            sleep_until(begins).await;
            for attempt in 0..ATTEMPTS {
                let name =
                    format!("{}/{}/{number}/{attempt}", kind.replace([' ', ':', ','], "-"), part.number);
                match event(Rc::clone(&part), name).await {
                    Ok(None) => {}
                    Ok(Some(event)) => return (kind, Ok(event)),
                    Err(wrong) => return (kind, Err(wrong)),
                }
            }
            (kind, Err("this machine is too slow to tell".to_owned()))
        });
    }
}
