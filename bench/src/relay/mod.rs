//! `mqtt-bench relay`: a server that passes the bytes of a scenario on and does nothing else.
//!
//! It is the limit of the machine: what sockets and copies cost, with the batching of a good broker and without
//! anything that makes a broker. It knows who hears what from the scenario and from the client identifiers, reads no
//! topic name except the two drawn levels of `wild`, keeps nothing per message, and answers everything with constant
//! bytes. It trusts its peer, so it serves `mqtt-bench` and nothing else.

mod arguments;
mod client;
mod mailbox;
mod route;
mod worker;

use std::{
    io::{self, Write},
    net::SocketAddr,
    thread,
};

use anyhow::Context;

pub(crate) use self::arguments::{Arguments, HELP, parse};
use self::{mailbox::Shared, worker::Worker};
use crate::socket;

/// Serves until the process is ended, or until a thread fails.
pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let shared = Shared::new(arguments).context("cannot make the mailboxes")?;
    let mut address = arguments.listen;
    let mut workers = Vec::new();
    for number in 0..arguments.threads {
        let listening = socket::listen(address).with_context(|| format!("cannot listen on {address}"))?;
        // All threads listen on the port that the first one was given.
        address = listening.local_addr().context("cannot read the address")?;
        workers
            .push(Worker::new(number, listening, shared.clone(), arguments).context("cannot make a thread")?);
    }
    announce(arguments, address);
    thread::scope(|scope| {
        let running: Vec<_> = workers.into_iter().map(|worker| scope.spawn(move || worker.run())).collect();
        running.into_iter().try_for_each(|worker| {
            worker.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)).context("cannot go on")
        })
    })
}

/// A reader of standard output that went away is no failure.
fn announce(arguments: &Arguments, address: SocketAddr) {
    let (scenario, threads) = (arguments.load.scenario.name(), arguments.threads);
    let _ = writeln!(io::stdout(), "relay of {scenario} on {address}, threads: {threads}");
}
