//! A whole node on a clock that stands still, with clients whose every packet is checked.

mod actions;
mod arrivals;
mod breakage;
mod client;
mod complete;
mod crowd;
mod ends;
mod found;
mod fuzzed;
mod message;
mod neighbours;
mod publishing;
mod race;
mod random;
mod receive;
mod retained;
mod run;
mod session;
mod simulated;
mod subscribing;
mod time;
mod topics;
mod world;

/// Seeds of a run of the tests, unless `MICRO_MQ_MODEL_SEEDS` names another number.
const SEEDS: u64 = 10_000;
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
    if let Some(seed) = number("MICRO_MQ_MODEL_SEED") {
        return run::run(seed, true).unwrap_or_else(|wrong| panic!("seed {seed}: {wrong}"));
    }
    // Of the panics that are part of a run, nobody needs to read.
    let show = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        if !panic.payload_as_str().is_some_and(|text| text.contains("was injected")) {
            show(panic);
        }
    }));
    let seeds = number("MICRO_MQ_MODEL_SEEDS").unwrap_or(SEEDS);
    let first = number("MICRO_MQ_MODEL_FIRST").unwrap_or(0);
    let failures: Vec<String> = std::thread::scope(|scope| {
        let threads: Vec<_> =
            (0..THREADS).map(|thread| scope.spawn(move || run_seeds(first, seeds, thread))).collect();
        threads.into_iter().flat_map(|thread| thread.join().expect("panics are caught")).collect()
    });
    assert!(failures.is_empty(), "replay with MICRO_MQ_MODEL_SEED:\n{}", failures.join("\n"));
}

/// Every so many-th seed, until one fails.
fn run_seeds(first: u64, seeds: u64, thread: u64) -> Option<String> {
    (first + thread..first + seeds).step_by(THREADS as usize).find_map(|seed| match std::panic::catch_unwind(
        || run::run(seed, false),
    ) {
        Ok(Ok(())) => None,
        Ok(Err(wrong)) => Some(format!("seed {seed}: {wrong}")),
        Err(_) => Some(format!("seed {seed}: panicked")),
    })
}
