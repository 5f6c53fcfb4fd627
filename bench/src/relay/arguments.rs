//! The command line of `mqtt-bench relay`.

use std::{ffi::OsString, net::SocketAddr};

use lexopt::{Arg, ValueExt};

use crate::arguments::{self, ArgumentError, Order, resolve, within};

/// `mqtt-bench relay --help`.
pub(crate) const HELP: &str = "\
A server that passes the bytes of a scenario on and does nothing else: the limit of the machine. Any scenario can be
run against it as against a broker, over TCP.

Usage: mqtt-bench relay [OPTION]... --shape SCENARIO [OPTION OF THE SCENARIO]...

  --listen HOST:PORT     [127.0.0.1:1883]; port 0 takes a free one, which the first line of output names
  --threads N            each with its own connections, 1 to 64 [1]
  --shape SCENARIO ...   whose bytes to expect, with the options that the scenario will be run with: they say how
                         many subscribers there will be and how large payloads are. It takes the rest of the line
";

/// How to serve.
#[derive(Debug, Clone)]
pub(crate) struct Arguments {
    /// Where to listen.
    pub listen: SocketAddr,
    /// How many threads serve.
    pub threads: usize,
    /// The load to expect.
    pub load: Box<arguments::Arguments>,
}

/// Reads the command line behind the word `relay`; `None` asks for help.
pub(crate) fn parse(words: impl IntoIterator<Item = OsString>) -> Result<Option<Arguments>, ArgumentError> {
    let (mut listen, mut threads, mut load) = ("127.0.0.1:1883".to_owned(), 1, None);
    let mut parser = lexopt::Parser::from_args(words);
    while let Some(argument) = parser.next()? {
        match argument {
            Arg::Long("help") | Arg::Short('h') => return Ok(None),
            Arg::Long("listen") => listen = parser.value()?.string()?,
            Arg::Long("threads") => threads = parser.value()?.parse()?,
            Arg::Long("shape") => match arguments::parse(parser.raw_args()?)? {
                Order::Run(arguments) => load = Some(arguments),
                Order::Help | Order::Version => return Ok(None),
            },
            _ => return Err(argument.unexpected().into()),
        }
    }
    let missing = || ArgumentError::Value { option: "--shape", problem: "is missing".into() };
    Ok(Some(Arguments {
        listen: resolve("--listen", &listen)?,
        threads: within("--threads", threads, 1, 64)?,
        load: load.ok_or_else(missing)?,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(line: &str) -> Result<Option<Arguments>, String> {
        parse(line.split_whitespace().map(OsString::from)).map_err(|error| error.to_string())
    }

    #[test]
    fn the_shape_takes_the_rest_of_the_line() {
        let arguments = read("--threads 2 --listen 127.0.0.1:0 --shape fanout --qos 1").unwrap().unwrap();
        assert_eq!((arguments.threads, arguments.listen.port()), (2, 0));
        assert_eq!((arguments.load.qos, arguments.load.subscribers), (1, 1000));
        assert!(read("--help").unwrap().is_none());
    }

    #[test]
    fn mistakes_are_named() {
        assert_eq!(read("--threads 1").unwrap_err(), "--shape: is missing");
        assert_eq!(read("--threads 0 --shape pub").unwrap_err(), "--threads: 0 is not within 1 to 64");
        assert_eq!(read("--shape pub --qos 4").unwrap_err(), "--qos: 4 is not within 0 to 2");
    }
}
