//! The command line of `mqtt-bench kills`.

use std::{ffi::OsString, net::SocketAddr, path::PathBuf, time::Duration};

use lexopt::{Arg, ValueExt};

use crate::arguments::{ArgumentError, duration, resolve, within};

/// `mqtt-bench kills --help`.
pub(crate) const HELP: &str = "\
Kills a broker under load at random moments, starts it again, and compares the histories of all clients.

Usage: mqtt-bench kills --broker-command COMMAND [OPTION]...
       mqtt-bench kills --broker HOST:PORT... --kill-command COMMAND [OPTION]...

  --broker-command COMMAND  starts the broker, in the foreground and as one process: it listens on 127.0.0.1:{port}
                            and keeps what it has to keep in {folder}; {port2} and {port3} are free ports as well. A
                            kill is SIGKILL, and the command starts it again on the same folder
  --broker HOST:PORT        or: a broker that runs; several times for the nodes of a cluster, among which clients
                            change with each connection
  --kill-command COMMAND    with --broker: kills and starts again, and ends when that is done; $KILL is the number of
                            the kill, from 1
  --kills N                 [10; 0 without a command to kill with]
  --between S               mean time from a broker that is ready to the next kill; some come while it recovers [3]
  --seconds S               least length of the load [10]
  --rate-qos1 N             publishes in a second over all publishers [2000]
  --rate-qos2 N             the same with QoS 2 [300]
  --window N                publishes in flight, of each publisher [100]
  --drain S                 how long what is promised may take, in the end, without any progress [30]
  --seed N                  who does what and when, and when it is killed [1]
  --folder FOLDER           {folder} and the broker's output, kept after the run [a temporary one, kept if something
                            is wrong]
  --json FILE               write the verdict there as well

The broker's own limits on queues, messages in flight and clients have to be lifted: what it drops for them is lost.
The exit status is 0 only if every promise was kept: what was acknowledged reached each durable subscriber, QoS 2 once,
in order for each publisher, topic name and QoS; sessions, subscriptions and retained messages are as acknowledged.
";

/// Which broker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Target {
    /// Started, killed and started again by this command.
    Own(String),
    /// It runs, and is killed by this command, if there is one.
    Elsewhere(Vec<SocketAddr>, Option<String>),
}

/// A complete order.
#[derive(Debug, Clone)]
pub(crate) struct Arguments {
    pub(super) target: Target,
    pub(super) kills: u32,
    pub(super) between: Duration,
    pub(super) length: Duration,
    /// Publishes in a second with QoS 1 and 2.
    pub(super) rates: [f64; 2],
    pub(super) window: usize,
    pub(super) drain: Duration,
    pub(super) seed: u64,
    pub(super) folder: Option<PathBuf>,
    pub(super) json: Option<PathBuf>,
}

/// Reads the command line behind `kills`; none if it asks for help.
pub(crate) fn parse(
    arguments: impl IntoIterator<Item = OsString>,
) -> Result<Option<Arguments>, ArgumentError> {
    let (mut own, mut brokers, mut killer, mut kills) = (None, Vec::new(), None, None);
    let mut chosen = Arguments {
        target: Target::Elsewhere(Vec::new(), None),
        kills: 0,
        between: Duration::from_secs(3),
        length: Duration::from_secs(10),
        rates: [2_000.0, 300.0],
        window: 100,
        drain: Duration::from_secs(30),
        seed: 1,
        folder: None,
        json: None,
    };
    let mut parser = lexopt::Parser::from_args(arguments);
    while let Some(argument) = parser.next()? {
        match argument {
            Arg::Long("help") | Arg::Short('h') => return Ok(None),
            Arg::Long("broker-command") => own = Some(parser.value()?.string()?),
            Arg::Long("broker") => brokers.push(resolve("--broker", &parser.value()?.string()?)?),
            Arg::Long("kill-command") => killer = Some(parser.value()?.string()?),
            Arg::Long("kills") => kills = Some(within("--kills", parser.value()?.parse()?, 0, 100_000)?),
            Arg::Long("between") => chosen.between = duration("--between", parser.value()?.parse()?)?,
            Arg::Long("seconds") => chosen.length = duration("--seconds", parser.value()?.parse()?)?,
            Arg::Long("rate-qos1") => {
                chosen.rates[0] = within("--rate-qos1", parser.value()?.parse()?, 0.0, 1e6)?;
            }
            Arg::Long("rate-qos2") => {
                chosen.rates[1] = within("--rate-qos2", parser.value()?.parse()?, 0.0, 1e6)?;
            }
            Arg::Long("window") => chosen.window = within("--window", parser.value()?.parse()?, 1, 10_000)?,
            Arg::Long("drain") => chosen.drain = duration("--drain", parser.value()?.parse()?)?,
            Arg::Long("seed") => chosen.seed = parser.value()?.parse()?,
            Arg::Long("folder") => chosen.folder = Some(parser.value()?.into()),
            Arg::Long("json") => chosen.json = Some(parser.value()?.into()),
            _ => return Err(argument.unexpected().into()),
        }
    }
    let can_kill = own.is_some() || killer.is_some();
    chosen.kills = kills.unwrap_or(if can_kill { 10 } else { 0 });
    let refuse = |option, problem: &str| Err(ArgumentError::Value { option, problem: problem.into() });
    chosen.target = match (own, brokers) {
        (Some(_), _) if killer.is_some() => return refuse("--kill-command", "needs --broker"),
        (Some(command), brokers) if brokers.is_empty() => Target::Own(command),
        (Some(_), _) => return refuse("--broker", "cannot be combined with --broker-command"),
        (None, brokers) if brokers.is_empty() => {
            return refuse("--broker-command, --broker", "one of them is needed");
        }
        (None, _) if chosen.kills > 0 && killer.is_none() => {
            return refuse("--kills", "needs --kill-command");
        }
        (None, brokers) => Target::Elsewhere(brokers, killer),
    };
    Ok(Some(chosen))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(words: &[&str]) -> Result<Option<Arguments>, String> {
        parse(words.iter().map(OsString::from)).map_err(|error| error.to_string())
    }

    #[test]
    fn a_broker_is_started_or_runs() {
        let own = run(&["--broker-command", "broker -p {port}", "--seed", "7"]).unwrap().unwrap();
        assert_eq!(own.target, Target::Own("broker -p {port}".into()));
        assert_eq!((own.kills, own.seed, own.rates), (10, 7, [2_000.0, 300.0]));
        let there = run(&["--broker", "127.0.0.1:1", "--broker", "127.0.0.1:2"]).unwrap().unwrap();
        assert!(matches!(there.target, Target::Elsewhere(brokers, None) if brokers.len() == 2));
        assert_eq!(there.kills, 0);
        assert!(run(&["--help"]).unwrap().is_none());
    }

    #[test]
    fn mistakes_are_named() {
        assert_eq!(run(&[]).unwrap_err(), "--broker-command, --broker: one of them is needed");
        let refused = run(&["--broker", "127.0.0.1:1", "--kills", "1"]).unwrap_err();
        assert_eq!(refused, "--kills: needs --kill-command");
        let refused = run(&["--broker-command", "x", "--kill-command", "y"]).unwrap_err();
        assert_eq!(refused, "--kill-command: needs --broker");
    }
}
