//! How a node uses a registry.

use std::fmt;
use std::net::Ipv6Addr;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use rustls::ClientConfig;

use crate::member::Member;

/// What keeps the members.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Provider {
    /// An agent of Consul.
    Consul,
    /// etcd 3.4 or later, by its JSON gateway.
    Etcd,
    /// These nodes and no others; whoever accepts a connection at its address is there. Names and `host:port`.
    Fixed(Vec<(String, String)>),
}

impl Provider {
    pub(crate) const fn label(&self) -> &'static str {
        match self {
            Self::Consul => "consul",
            Self::Etcd => "etcd",
            Self::Fixed(_) => "static",
        }
    }
}

/// Where a registry listens: `http://HOST:PORT` or `https://HOST:PORT`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServiceAddress {
    /// Whether TLS is spoken there.
    pub is_tls: bool,
    /// A name or an address; an IPv6 address without brackets.
    pub host: String,
    /// The port.
    pub port: u16,
}

/// It is not `http://HOST:PORT` or `https://HOST:PORT`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("must be http://HOST:PORT or https://HOST:PORT")]
pub struct ServiceAddressError;

impl ServiceAddress {
    /// `HOST:PORT`, as a header and a URL have it.
    pub fn authority(&self) -> String {
        if self.host.parse::<Ipv6Addr>().is_ok() {
            format!("[{}]:{}", self.host, self.port)
        } else {
            format!("{}:{}", self.host, self.port)
        }
    }
}

impl FromStr for ServiceAddress {
    type Err = ServiceAddressError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (is_tls, rest) = match (text.strip_prefix("http://"), text.strip_prefix("https://")) {
            (Some(rest), _) => (false, rest),
            (_, Some(rest)) => (true, rest),
            _ => return Err(ServiceAddressError),
        };
        let authority = rest.strip_suffix('/').unwrap_or(rest);
        let (host, port) = authority.rsplit_once(':').ok_or(ServiceAddressError)?;
        let host = match host.strip_prefix('[') {
            Some(bracketed) => {
                let address = bracketed.strip_suffix(']').ok_or(ServiceAddressError)?;
                address.parse::<Ipv6Addr>().map_err(|_| ServiceAddressError)?;
                address
            }
            None => host,
        };
        let is_host = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '.' | '-' | '_');
        let is_ipv6 = authority.starts_with('[');
        let port = port.parse().map_err(|_| ServiceAddressError)?;
        if port == 0 || host.is_empty() || !(is_ipv6 || host.chars().all(is_host)) {
            return Err(ServiceAddressError);
        }
        Ok(Self { is_tls, host: host.to_owned(), port })
    }
}

impl fmt::Display for ServiceAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", if self.is_tls { "https" } else { "http" }, self.authority())
    }
}

/// All that a [`Registry`](crate::Registry) is told.
#[derive(Clone)]
pub struct RegistryOptions {
    /// What keeps the members.
    pub provider: Provider,
    /// Where it is; when one does not answer, the next is asked. Of a list of nodes none.
    pub addresses: Vec<ServiceAddress>,
    /// The token of Consul's access control; none where it is empty.
    pub token: String,
    /// Whom TLS trusts, and how this node shows who it is.
    pub tls: Option<Arc<ClientConfig>>,
    /// The service that all nodes of a cluster register as, and no node of another.
    pub service: String,
    /// This node.
    pub member: Member,
    /// How long a node counts as there behind its last sign of life. Three signs fit into it.
    pub time_to_live: Duration,
}

impl fmt::Debug for RegistryOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let token = if self.token.is_empty() { "none" } else { "set" };
        f.debug_struct("RegistryOptions")
            .field("provider", &self.provider)
            .field("addresses", &self.addresses)
            .field("token", &token)
            .field("service", &self.service)
            .field("member", &self.member)
            .field("time_to_live", &self.time_to_live)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: Option<(&str, u16, bool)>) {
        let parsed = text.parse::<ServiceAddress>();
        let parsed = parsed.as_ref().ok().map(|address| (&*address.host, address.port, address.is_tls));
        assert_eq!(parsed, expected, "{text}");
    }

    #[test]
    fn addresses_of_services() {
        check("http://127.0.0.1:8500", Some(("127.0.0.1", 8500, false)));
        check("https://consul.example:8501/", Some(("consul.example", 8501, true)));
        check("http://[::1]:2379", Some(("::1", 2379, false)));
        check("http://127.0.0.1", None);
        check("http://127.0.0.1:0", None);
        check("http://127.0.0.1:99999", None);
        check("http://:8500", None);
        check("http://[::1:8500", None);
        check("http://[consul]:8500", None);
        check("http://a b:8500", None);
        check("http://user@host:8500", None);
        check("http://host:8500/v1", None);
        check("consul:8500", None);
        check("", None);
    }

    #[test]
    fn an_address_is_written_as_it_is_read() {
        for text in ["http://127.0.0.1:8500", "https://[::1]:8501", "http://etcd_1:2379"] {
            assert_eq!(
                text.parse::<ServiceAddress>().map(|address| address.to_string()),
                Ok(text.to_owned())
            );
        }
    }
}
