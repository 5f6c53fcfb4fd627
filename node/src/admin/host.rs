//! Which host a request may name.
//!
//! A page from anywhere can make a browser ask this listener, by a name of its own that it lets resolve to loopback
//! (DNS rebinding). Such a request carries that name, so only addresses, `localhost` and the names that the
//! configuration lists are answered.

use std::net::{IpAddr, SocketAddr};

use hyper::header::HeaderValue;
use hyper::http::uri::Authority;
use hyper::{HeaderMap, Uri, header};

/// The hosts that a listener may be asked by.
#[derive(Debug, Clone)]
pub(super) struct Hosts {
    /// Where it is bound.
    bound: SocketAddr,
    /// Names beside `localhost`.
    names: Vec<String>,
}

impl Hosts {
    pub(super) fn new(bound: SocketAddr, names: Vec<String>) -> Self {
        Self { bound, names }
    }

    /// Whether the request is meant for the listener.
    pub(super) fn admit(&self, uri: &Uri, headers: &HeaderMap) -> bool {
        let mut hosts = headers.get_all(header::HOST).iter();
        let (Some(host), None) = (hosts.next(), hosts.next()) else {
            return false;
        };
        let named = host.to_str().ok().and_then(|host| host.parse::<Authority>().ok());
        named.is_some_and(|authority| self.admit_host(authority.host()))
            && uri.host().is_none_or(|host| self.admit_host(host))
    }

    /// Whether a web page may ask, if it is one that does: one of this listener's own.
    pub(super) fn admit_origin(&self, headers: &HeaderMap) -> bool {
        let is_own = |origin: &HeaderValue| {
            let origin = origin.to_str().ok().and_then(|origin| origin.parse::<Uri>().ok());
            origin.is_some_and(|origin| origin.host().is_some_and(|host| self.admit_host(host)))
        };
        headers.get_all(header::ORIGIN).iter().all(is_own)
    }

    fn admit_host(&self, host: &str) -> bool {
        let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
        match bare.parse::<IpAddr>() {
            Ok(address) => {
                let (address, bound) = (address.to_canonical(), self.bound.ip());
                address.is_loopback() || address == bound.to_canonical() || bound.is_unspecified()
            }
            Err(_) => {
                // DNS's own way to write a whole name.
                let name = host.strip_suffix('.').unwrap_or(host);
                let mut names = self.names.iter().map(String::as_str).chain(["localhost"]);
                names.any(|admitted| name.eq_ignore_ascii_case(admitted))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(bound: &str, host: &str, expected: bool) {
        let mut headers = HeaderMap::new();
        headers.insert(header::HOST, host.parse().unwrap());
        let names = vec!["broker.example".to_owned(), "Micro-MQ".to_owned()];
        let admitted =
            Hosts::new(bound.parse().unwrap(), names).admit(&Uri::from_static("/metrics"), &headers);
        assert_eq!(admitted, expected, "host {host} at {bound}");
    }

    #[test]
    fn only_addresses_localhost_and_listed_names_are_admitted() {
        check("127.0.0.1:18083", "127.0.0.1:18083", true);
        check("127.0.0.1:18083", "127.0.0.1", true);
        check("127.0.0.1:18083", "LocalHost:18083", true);
        check("127.0.0.1:18083", "[::1]:18083", true);
        check("127.0.0.1:18083", "evil.example:18083", false);
        check("127.0.0.1:18083", "localhost.evil.example", false);
        check("127.0.0.1:18083", "10.0.0.7:18083", false);
        check("10.0.0.7:18083", "10.0.0.7:18083", true);
        check("10.0.0.7:18083", "10.0.0.8:18083", false);
        check("0.0.0.0:18083", "10.0.0.7:18083", true);
        check("0.0.0.0:18083", "node-7:18083", false);
        check("0.0.0.0:18083", "micro-mq:18083", true);
        check("127.0.0.1:18083", "Broker.Example", true);
        check("127.0.0.1:18083", "broker.example.:18083", true);
        check("127.0.0.1:18083", "www.broker.example", false);
        check("127.0.0.1:18083", "broker.example.evil.example", false);
        check("[::]:18083", "[2001:db8::1]:18083", true);
        check("127.0.0.1:18083", "127.0.0.1 evil.example", false);
    }

    #[test]
    fn no_host_and_two_hosts_are_refused() {
        let hosts = Hosts::new("127.0.0.1:18083".parse().unwrap(), Vec::new());
        let mut headers = HeaderMap::new();
        assert!(!hosts.admit(&Uri::from_static("/"), &headers));
        headers.append(header::HOST, "127.0.0.1".parse().unwrap());
        headers.append(header::HOST, "127.0.0.1".parse().unwrap());
        assert!(!hosts.admit(&Uri::from_static("/"), &headers));
    }

    #[test]
    fn a_target_that_names_another_host_is_refused() {
        let hosts = Hosts::new("127.0.0.1:18083".parse().unwrap(), Vec::new());
        let mut headers = HeaderMap::new();
        headers.append(header::HOST, "127.0.0.1".parse().unwrap());
        assert!(!hosts.admit(&Uri::from_static("http://evil.example/metrics"), &headers));
    }
}
