//! Everything that ends a run early.

use std::{fmt, io, net::SocketAddr, time::Duration};

use crate::{process::ProcessError, transport::CertificateError, wire::WireError};

/// Why a run cannot go on.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// The kernel gave no socket, epoll or room for one.
    #[error("cannot open connection {number} to {address}")]
    Open {
        /// How many were open already.
        number: usize,
        /// The broker.
        address: SocketAddr,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Nobody listens, or the connection broke.
    #[error("connection of {client_identifier} failed while {doing}")]
    Broken {
        /// Whose connection.
        client_identifier: String,
        /// What it was waiting for or doing.
        doing: &'static str,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// End of stream from the broker.
    #[error("the broker closed the connection of {client_identifier} while {doing}")]
    Closed {
        /// Whose connection.
        client_identifier: String,
        /// What it was waiting for or doing.
        doing: &'static str,
    },
    /// CONNACK with a code other than 0.
    #[error("the broker refused the connection of {client_identifier}: {code}")]
    Refused {
        /// Whose connection.
        client_identifier: String,
        /// Return or reason code.
        code: Code,
    },
    /// SUBACK with a failure or a lower QoS than asked for.
    #[error("the broker answered {code} to the subscription of {client_identifier} with qos {qos}")]
    SubscriptionRefused {
        /// Whose connection.
        client_identifier: String,
        /// The QoS asked for.
        qos: u8,
        /// Return or reason code.
        code: Code,
    },
    /// PUBACK, PUBREC or PUBCOMP with a failure.
    #[error("the broker refused a publish of {client_identifier}: {code}")]
    PublishRefused {
        /// Whose connection.
        client_identifier: String,
        /// Reason code.
        code: Code,
    },
    /// DISCONNECT from the broker.
    #[error("the broker disconnected {client_identifier}: {code}")]
    Disconnected {
        /// Whose connection.
        client_identifier: String,
        /// Reason code.
        code: Code,
    },
    /// The CONNACK of a 5.0 broker allows less than the run needs.
    #[error("the broker allows a {limit} of {allowed}, the run needs {needed}")]
    Limit {
        /// Which limit.
        limit: &'static str,
        /// What CONNACK says.
        allowed: u32,
        /// What the run needs.
        needed: u32,
    },
    /// Bytes that no broker may send.
    #[error("the broker sent {client_identifier} malformed bytes")]
    Malformed {
        /// Whose connection.
        client_identifier: String,
        /// What is wrong with them.
        #[source]
        source: WireError,
    },
    /// A packet that has no place here.
    #[error("the broker sent {client_identifier} {what}")]
    Unexpected {
        /// Whose connection.
        client_identifier: String,
        /// What came.
        what: String,
    },
    /// Nothing happened for as long as `--timeout`.
    #[error("nothing happened for {} s while {doing}: {done} of {of} done", waited.as_secs())]
    Timeout {
        /// What was waited for.
        doing: &'static str,
        /// How many are done.
        done: usize,
        /// Of how many.
        of: usize,
        /// The limit.
        waited: Duration,
    },
    /// TLS cannot begin.
    #[error("cannot prepare tls")]
    Certificates(#[from] CertificateError),
    /// epoll failed.
    #[error("cannot wait for sockets")]
    Wait(#[source] io::Error),
    /// The broker's process cannot be read.
    #[error("cannot watch the broker")]
    Watch(#[from] ProcessError),
}

/// A return code of 3.1.1 or a reason code of 5.0, shown with its name where that helps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Code(pub u8);

impl fmt::Display for Code {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = match self.0 {
            0x01 => "unacceptable protocol version",
            0x02 => "identifier rejected",
            0x03 => "server unavailable",
            0x04 => "bad user name or password",
            0x05 | 0x87 => "not authorized",
            0x80 => "unspecified error",
            0x81 => "malformed packet",
            0x82 => "protocol error",
            0x84 => "unsupported protocol version",
            0x85 => "client identifier not valid",
            0x86 => "bad user name or password",
            0x88 => "server unavailable",
            0x89 => "server busy",
            0x8B => "server shutting down",
            0x8D => "keep alive timeout",
            0x8E => "session taken over",
            0x91 => "packet identifier in use",
            0x92 => "packet identifier not found",
            0x93 => "receive maximum exceeded",
            0x95 => "packet too large",
            0x96 => "message rate too high",
            0x97 => "quota exceeded",
            0x9B => "qos not supported",
            0x9F => "connection rate exceeded",
            _ => return write!(formatter, "0x{:02X}", self.0),
        };
        write!(formatter, "0x{:02X} ({name})", self.0)
    }
}
