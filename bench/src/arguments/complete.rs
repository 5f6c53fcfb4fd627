//! What is meant: what was written, with the defaults of the scenario, within bounds.

use std::io::{self, IsTerminal};

use super::{ArgumentError, Arguments, duration, resolve, within, written::Written};
use crate::{
    engine::Amount,
    scenario::Scenario,
    transport::Trust,
    wire::{Stamp, Version},
};

/// A complete order, or what is wrong with it.
pub(super) fn complete(mut written: Written) -> Result<Arguments, ArgumentError> {
    let scenario = written.scenario.ok_or_else(|| ArgumentError::Scenario("no scenario is named".into()))?;
    let defaults = scenario.defaults();
    let publishers = within("--publishers", written.publishers.unwrap_or(defaults.publishers), 1, 1_000_000)?;
    let subscribers = subscribers(&written, scenario, publishers)?;
    let amount = amount(&written)?;
    let authority = written.broker.take().unwrap_or_else(|| "127.0.0.1:1883".into());
    let broker = resolve("--broker", &authority)?;
    let (tls, websocket) = carrier(&mut written)?;
    if written.read_rate.is_some() && written.flood.unwrap_or(0) == 0 {
        // It acknowledges nothing, so QoS 1 and 2 of the pairs would stop on their own.
        return refuse("--read-rate", "needs --flood");
    }
    if let Some(source) = written.sources.iter().find(|source| source.is_ipv4() != broker.is_ipv4()) {
        let problem = format!("{source} does not reach {}", broker.ip());
        return Err(ArgumentError::Value { option: "--source", problem });
    }
    let rate = written.rate.or(defaults.rate);
    let progress = written.progress.or_else(|| io::stderr().is_terminal().then_some(1.0));
    let progress = progress.map(|seconds| duration("--progress", seconds)).transpose()?;
    Ok(Arguments {
        scenario,
        broker,
        authority,
        threads: within("--threads", written.threads.unwrap_or(1), 1, 256)?,
        tls,
        websocket,
        sources: written.sources,
        pid: written.pid,
        version: written.version.unwrap_or(Version::V3_1_1),
        timeout: duration("--timeout", written.timeout.unwrap_or(15.0))?,
        keep_alive_seconds: written.keep_alive_seconds.unwrap_or(0),
        publishers,
        subscribers,
        qos: within("--qos", written.qos.unwrap_or(0), 0, 2)?,
        window: within("--window", written.window.unwrap_or(20), 1, u16::MAX)?,
        payload: within("--payload", written.payload.unwrap_or(defaults.payload), Stamp::BYTES, 200 << 20)?,
        burst: within("--burst", written.burst.unwrap_or(64), 1, 1 << 16)?,
        outstanding: within(
            "--outstanding",
            written.outstanding.unwrap_or(defaults.outstanding),
            1,
            u64::MAX,
        )?,
        topic_per_publisher: written.topic_per_publisher,
        rate: rate.map(|rate| within("--rate", rate, 0.1, 1e8)).transpose()?,
        amount,
        warmup: within("--warmup", written.warmup.unwrap_or(0.2), 0.0, 0.9)?,
        filters: within("--filters", written.filters.unwrap_or(defaults.filters), 2, 100_000_000)?,
        per_packet: within("--per-packet", written.per_packet.unwrap_or(100), 1, 10_000)?,
        topics: within("--topics", written.topics.unwrap_or(1_000_000), 1, 1 << 30)?,
        keep: written.keep,
        deaf: within("--deaf", written.deaf.unwrap_or(1), 1, 1000)?,
        flood: within("--flood", written.flood.unwrap_or(0), 0, 1000)?,
        read_rate: within("--read-rate", written.read_rate.unwrap_or(0), 0, 1 << 40)?,
        connections: within(
            "--connections",
            written.connections.unwrap_or(defaults.connections),
            1,
            1_000_000,
        )?,
        subscribe: written.subscribe,
        handshakes: within("--handshakes", written.handshakes.unwrap_or(64), 1, 65_536)?,
        rounds: within("--rounds", written.rounds.unwrap_or(3), 1, 10_000)?,
        clients: within("--clients", written.clients.unwrap_or(64), 1, 100_000)?,
        hold: duration("--hold", written.hold.unwrap_or(3.0))?,
        burst_bytes: written
            .burst_bytes
            .map(|bytes| within("--burst-bytes", bytes, Stamp::BYTES, 200 << 20))
            .transpose()?,
        settle: duration("--settle", written.settle.unwrap_or(5.0))?,
        json: written.json,
        progress: progress.filter(|_| !written.quiet),
    })
}

fn refuse<T>(option: &'static str, problem: &str) -> Result<T, ArgumentError> {
    Err(ArgumentError::Value { option, problem: problem.into() })
}

fn subscribers(written: &Written, scenario: Scenario, publishers: u32) -> Result<u32, ArgumentError> {
    match scenario.defaults().subscribers {
        Some(subscribers) => {
            // A topic name of `wild` matches filters of two subscribers.
            let least = if scenario == Scenario::Wild { 2 } else { 1 };
            within("--subscribers", written.subscribers.unwrap_or(subscribers), least, 1_000_000)
        }
        None if written.subscribers.is_some() => {
            let problem = format!("{} has no subscribers of its own choice", scenario.name());
            Err(ArgumentError::Value { option: "--subscribers", problem })
        }
        None => Ok(publishers),
    }
}

fn amount(written: &Written) -> Result<Amount, ArgumentError> {
    Ok(match (written.messages, written.seconds) {
        (Some(_), Some(_)) => {
            return refuse("--messages", "cannot be combined with --seconds");
        }
        (Some(messages), None) => Amount::Messages(within("--messages", messages, 1, 1 << 30)?),
        (None, seconds) => Amount::Time(duration("--seconds", seconds.unwrap_or(5.0))?),
    })
}

/// By what certificates a TLS connection is judged, and the path of a WebSocket; none without either.
fn carrier(written: &mut Written) -> Result<(Option<Trust>, Option<String>), ArgumentError> {
    let tls = match (written.tls, written.ca.take(), written.insecure) {
        (false, None, false) => None,
        (false, ..) => return refuse("--ca, --insecure", "need --tls"),
        (true, Some(file), false) => Some(Trust::Authorities(file)),
        (true, None, true) => Some(Trust::Anybody),
        (true, ..) => return refuse("--tls", "needs one of --ca FILE and --insecure"),
    };
    let websocket = match (written.websocket, written.path.take()) {
        (false, Some(_)) => return refuse("--path", "needs --websocket"),
        (false, None) => None,
        (true, path) => Some(path.unwrap_or_else(|| "/mqtt".into())),
    };
    Ok((tls, websocket))
}
