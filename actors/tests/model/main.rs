//! A whole node on a clock that stands still, with clients whose every packet is checked.
//!
//! There are three plays. The first ([`run`]) has everything that MQTT has, and goes by rounds: nothing is on its way when
//! one begins, and what happens within one counts as unordered. So it sees what is lost, doubled, kept or counted wrongly, and
//! next to nothing of order between workers: its clients publish behind an answer, not in one segment with a CONNECT or a
//! SUBSCRIBE, and come back in another round than they left in; retained messages say nothing about the order of what is
//! published; and on workers that go on in the order in which they are woken no message between workers overtakes what a
//! socket holds. The second ([`order`]) has fewer things and judges just that. The third is the first on a node that is
//! killed now and then, with sessions on a disk ([`crash`]).

mod actions;
mod arrivals;
mod breakage;
mod client;
mod complete;
mod crash;
mod crash_messages;
mod crowd;
mod ends;
mod found;
mod fuzzed;
mod kept;
mod late;
mod lives;
mod lives_messages;
mod message;
mod neighbours;
mod order;
mod publishing;
mod race;
mod random;
mod receive;
mod retained;
mod run;
mod session;
mod simulated;
mod stalled;
mod subscribing;
mod time;
mod topics;
mod world;

/// Seeds of a run of the tests, unless `MICRO_MQ_MODEL_SEEDS` names another number.
const SEEDS: u64 = 10_000;
/// Those of nodes that are killed: scripts/prove.sh runs more.
const SEEDS_OF_LIVES: u64 = 2_000;
/// Threads, each with a node of its own.
const THREADS: u64 = 2;

fn number(variable: &str) -> Option<u64> {
    let value = std::env::var(variable).ok()?;
    Some(value.parse().unwrap_or_else(|_| panic!("{variable} is to be a number, not {value}")))
}

/// Many clients against one node, and what MQTT promises them: nothing acknowledged is lost, QoS 2 comes once, in the
/// order of each publisher and topic; sessions, subscriptions, retained messages and wills are as they should be; and
/// nothing that the node counts or keeps twice disagrees. `MICRO_MQ_MODEL_SEED` replays one seed and shows each step.
#[test]
fn a_node_keeps_its_promises_to_many_clients() {
    run_all(run::run, SEEDS);
}

/// The same, with sessions that outlive the process, which is killed at any moment.
#[test]
fn a_node_keeps_its_promises_though_it_is_killed() {
    run_all(run::run_lives, SEEDS_OF_LIVES);
}

/// Clients that wait for nobody, on workers that are interleaved, and what is before what.
#[test]
fn what_is_before_something_else_is_seen_before_it() {
    run_all(order::run, SEEDS);
}

/// Runs all seeds, or the one to be replayed.
fn run_all(run: fn(u64, bool) -> Result<(), String>, seeds: u64) {
    if let Some(seed) = number("MICRO_MQ_MODEL_SEED") {
        return run(seed, true).unwrap_or_else(|wrong| panic!("seed {seed}: {wrong}"));
    }
    // Of the panics that are part of a run, nobody needs to read.
    let show = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        let text = panic.payload().downcast_ref::<&str>().copied();
        let text = text.or_else(|| panic.payload().downcast_ref::<String>().map(String::as_str));
        if !text.is_some_and(|text| text.contains("was injected")) {
            show(panic);
        }
    }));
    let seeds = number("MICRO_MQ_MODEL_SEEDS").unwrap_or(seeds);
    let first = number("MICRO_MQ_MODEL_FIRST").unwrap_or(0);
    let failures: Vec<String> = std::thread::scope(|scope| {
        let threads: Vec<_> =
            (0..THREADS).map(|thread| scope.spawn(move || run_seeds(run, first, seeds, thread))).collect();
        threads.into_iter().flat_map(|thread| thread.join().expect("panics are caught")).collect()
    });
    assert!(failures.is_empty(), "replay with MICRO_MQ_MODEL_SEED:\n{}", failures.join("\n"));
}

/// Every so many-th seed, until one fails.
fn run_seeds(
    run: fn(u64, bool) -> Result<(), String>,
    first: u64,
    seeds: u64,
    thread: u64,
) -> Option<String> {
    (first + thread..first + seeds).step_by(THREADS as usize).find_map(|seed| match std::panic::catch_unwind(
        || run(seed, false),
    ) {
        Ok(Ok(())) => None,
        Ok(Err(wrong)) => Some(format!("seed {seed}: {wrong}")),
        Err(_) => Some(format!("seed {seed}: panicked")),
    })
}
