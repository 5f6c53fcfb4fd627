//! Which host a request may name.
//!
//! A page from anywhere can make a browser ask this listener, by a name of its own that it lets resolve to loopback
//! (DNS rebinding). Such a request carries that name, so only addresses and `localhost` are answered.

use std::net::{IpAddr, SocketAddr};

use hyper::http::uri::Authority;
use hyper::{HeaderMap, Uri, header};

/// Whether the request is meant for the listener bound to `bound`.
pub(super) fn is_admitted(uri: &Uri, headers: &HeaderMap, bound: SocketAddr) -> bool {
    let mut hosts = headers.get_all(header::HOST).iter();
    let (Some(host), None) = (hosts.next(), hosts.next()) else {
        return false;
    };
    let named = host.to_str().ok().and_then(|host| host.parse::<Authority>().ok());
    named.is_some_and(|authority| is_admitted_host(authority.host(), bound))
        && uri.host().is_none_or(|host| is_admitted_host(host, bound))
}

fn is_admitted_host(host: &str, bound: SocketAddr) -> bool {
    let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    match bare.parse::<IpAddr>() {
        Ok(address) => {
            let address = address.to_canonical();
            address.is_loopback() || address == bound.ip().to_canonical() || bound.ip().is_unspecified()
        }
        Err(_) => host.eq_ignore_ascii_case("localhost"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(bound: &str, host: &str, expected: bool) {
        let mut headers = HeaderMap::new();
        headers.insert(header::HOST, host.parse().unwrap());
        let admitted = is_admitted(&Uri::from_static("/metrics"), &headers, bound.parse().unwrap());
        assert_eq!(admitted, expected, "host {host} at {bound}");
    }

    #[test]
    fn only_addresses_and_localhost_are_admitted() {
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
        check("0.0.0.0:18083", "micro-mq:18083", false);
        check("[::]:18083", "[2001:db8::1]:18083", true);
        check("127.0.0.1:18083", "127.0.0.1 evil.example", false);
    }

    #[test]
    fn no_host_and_two_hosts_are_refused() {
        let bound = "127.0.0.1:18083".parse().unwrap();
        let mut headers = HeaderMap::new();
        assert!(!is_admitted(&Uri::from_static("/"), &headers, bound));
        headers.append(header::HOST, "127.0.0.1".parse().unwrap());
        headers.append(header::HOST, "127.0.0.1".parse().unwrap());
        assert!(!is_admitted(&Uri::from_static("/"), &headers, bound));
    }

    #[test]
    fn a_target_that_names_another_host_is_refused() {
        let bound = "127.0.0.1:18083".parse().unwrap();
        let mut headers = HeaderMap::new();
        headers.append(header::HOST, "127.0.0.1".parse().unwrap());
        assert!(!is_admitted(&Uri::from_static("http://evil.example/metrics"), &headers, bound));
    }
}
