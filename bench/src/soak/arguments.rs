//! The command line of `mqtt-bench soak`.

use std::{ffi::OsString, net::SocketAddr, time::Duration};

use lexopt::{Arg, ValueExt};

use crate::{
    arguments::{ArgumentError, duration, resolve},
    exchange::link::Endpoints,
};

/// `mqtt-bench soak --help`.
pub(crate) const HELP: &str = "\
Mixed traffic with churn, checked message by message, with phases in which all is at rest.

Usage: mqtt-bench soak [OPTION]...

  --broker HOST:PORT     MQTT over TCP [127.0.0.1:1883]
  --websocket HOST:PORT  MQTT over WebSocket, path /mqtt [127.0.0.1:8083]
  --seconds S            length of the run; it ends with the phase of rest that this falls into [120]
  --load S               length of a phase under load [30]
  --quiet S              length of a phase of rest [10]
  --seed N               who does what and when [1]

The broker has to be freshly started, without sessions and retained messages. Lines of JSON on standard output tell the
phases and, every 5 seconds, counts and latencies. The exit status is 0 only if nothing acknowledged was lost, nothing
came twice or out of order, retained messages were right, and the broker did nothing else that it must not do.
";

/// A complete order.
#[derive(Debug, Clone)]
pub(crate) struct Arguments {
    /// The broker.
    pub(super) endpoints: Endpoints,
    /// Length of the run.
    pub(super) length: Duration,
    /// Length of a phase under load.
    pub(super) load: Duration,
    /// Length of a phase of rest.
    pub(super) quiet: Duration,
    /// See there.
    pub(super) seed: u64,
}

/// Reads the command line behind `soak`; none if it asks for help.
pub(crate) fn parse(
    arguments: impl IntoIterator<Item = OsString>,
) -> Result<Option<Arguments>, ArgumentError> {
    let endpoint = |port| SocketAddr::from(([127, 0, 0, 1], port));
    let mut chosen = Arguments {
        endpoints: Endpoints { tcp: endpoint(1883), websocket: endpoint(8083) },
        length: Duration::from_secs(120),
        load: Duration::from_secs(30),
        quiet: Duration::from_secs(10),
        seed: 1,
    };
    let mut parser = lexopt::Parser::from_args(arguments);
    while let Some(argument) = parser.next()? {
        match argument {
            Arg::Long("help") | Arg::Short('h') => return Ok(None),
            Arg::Long("broker") => chosen.endpoints.tcp = resolve("--broker", &parser.value()?.string()?)?,
            Arg::Long("websocket") => {
                chosen.endpoints.websocket = resolve("--websocket", &parser.value()?.string()?)?;
            }
            Arg::Long("seconds") => chosen.length = duration("--seconds", parser.value()?.parse()?)?,
            Arg::Long("load") => chosen.load = duration("--load", parser.value()?.parse()?)?,
            Arg::Long("quiet") => chosen.quiet = duration("--quiet", parser.value()?.parse()?)?,
            Arg::Long("seed") => chosen.seed = parser.value()?.parse()?,
            _ => return Err(argument.unexpected().into()),
        }
    }
    Ok(Some(chosen))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(line: &str) -> Result<Option<Arguments>, String> {
        parse(line.split_whitespace().map(OsString::from)).map_err(|error| error.to_string())
    }

    #[test]
    fn times_and_seed_are_read() {
        let chosen = run("--seconds 60 --load 5 --quiet 2.5 --seed 7").unwrap().unwrap();
        assert_eq!((chosen.length.as_secs(), chosen.quiet.as_millis(), chosen.seed), (60, 2500, 7));
        assert!(run("--help").unwrap().is_none());
        assert_eq!(run("--load 0").unwrap_err(), "--load: 0 is not within 0.001 to 86400");
    }
}
