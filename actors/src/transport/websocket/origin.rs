//! Which web pages may open a WebSocket, by the `Origin` that their browser states [RFC 6455, 10.2].
//!
//! Any page can have a browser connect to any address, one of loopback too, so a node that everybody on its machine may
//! use would be open to every page that they look at. A client that is no browser states no origin, or any it likes:
//! this protects browsers' users, and authentication all others.

use std::net::IpAddr;

use serde::Deserialize;
use tungstenite::http::uri::Authority;

/// The web pages whose scripts may connect. Who states no origin always may.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "Vec<String>")]
pub struct AllowedOrigins {
    any: bool,
    same_host: bool,
    null: bool,
    listed: Vec<Origin>,
}

/// What is neither a word nor an origin.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no origin such as \"https://example.org\", and not same_host, null or any")]
pub struct OriginError(String);

/// The origin of a web page that may not connect, as far as it is of use to a reader.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("web pages of {0:?} may not connect: they are not among the origins of this listener")]
pub struct ForeignOrigin(pub(super) String);

/// A page's scheme, host and port, as a browser writes them [RFC 6454, 6.2].
#[derive(Debug, Clone, PartialEq, Eq)]
struct Origin {
    scheme: String,
    host: String,
    /// None where the scheme has none, or it is not known.
    port: Option<u16>,
}

impl Default for AllowedOrigins {
    /// `same_host`.
    fn default() -> Self {
        Self { any: false, same_host: true, null: false, listed: Vec::new() }
    }
}

impl TryFrom<Vec<String>> for AllowedOrigins {
    type Error = OriginError;

    fn try_from(items: Vec<String>) -> Result<Self, OriginError> {
        Self::of(items.iter().map(String::as_str))
    }
}

impl AllowedOrigins {
    /// Origins, and the words `same_host`, `null` and `any`. Nothing at all: no web page.
    ///
    /// # Errors
    /// Names the first that is neither.
    pub fn of<'i>(items: impl IntoIterator<Item = &'i str>) -> Result<Self, OriginError> {
        let mut allowed = Self { any: false, same_host: false, null: false, listed: Vec::new() };
        for item in items {
            match item {
                "any" => allowed.any = true,
                "same_host" => allowed.same_host = true,
                "null" => allowed.null = true,
                _ => allowed.listed.push(Origin::parse(item).ok_or_else(|| OriginError(item.to_owned()))?),
            }
        }
        Ok(allowed)
    }

    /// Whether a page of this origin may connect, by a request to `host` that arrived at the address `reached`.
    ///
    /// A page is of the same host if it came by HTTP from a host that is named as that of the request is, at whatever
    /// port: this one serves no pages. A name says little about where it leads to: a page can let its own name resolve to
    /// loopback once it was loaded (DNS rebinding). So on loopback no host counts but `localhost` and its addresses.
    pub(super) fn admit(&self, origin: &[u8], host: &Authority, reached: IpAddr) -> bool {
        if self.any {
            return true;
        }
        if origin == b"null" {
            return self.null;
        }
        let Some(origin) = std::str::from_utf8(origin).ok().and_then(Origin::parse) else { return false };
        self.listed.contains(&origin) || self.same_host && origin.is_of_host(host.host(), reached)
    }
}

impl Origin {
    fn parse(text: &str) -> Option<Self> {
        let (scheme, authority) = text.split_once("://")?;
        let is_scheme = scheme.starts_with(|first: char| first.is_ascii_alphabetic())
            && scheme.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte));
        if !is_scheme {
            return None;
        }
        let scheme = scheme.to_ascii_lowercase();
        let default_port = match scheme.as_str() {
            "http" => Some(80),
            "https" => Some(443),
            _ => None,
        };
        if authority.is_empty() && default_port.is_none() {
            // Pages of the file system have no host.
            return Some(Self { scheme, host: String::new(), port: None });
        }
        let authority: Authority = authority.parse().ok().filter(|_| !authority.contains('@'))?;
        let stated = match authority.as_str().strip_prefix(authority.host())? {
            "" => None,
            port => Some(port.strip_prefix(':')?.parse().ok()?),
        };
        let host = authority.host().to_ascii_lowercase();
        Some(Self { scheme, host, port: stated.or(default_port) })
    }

    fn is_of_host(&self, host: &str, reached: IpAddr) -> bool {
        matches!(self.scheme.as_str(), "http" | "https")
            && self.host.eq_ignore_ascii_case(host)
            && (!reached.to_canonical().is_loopback() || is_of_loopback(host))
    }
}

/// Whether a host can only be this machine, however names are resolved.
fn is_of_loopback(host: &str) -> bool {
    let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    match bare.parse::<IpAddr>() {
        Ok(address) => address.to_canonical().is_loopback(),
        Err(_) => host.eq_ignore_ascii_case("localhost"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(allowed: &[&str], origin: &str, host: &str, reached: &str, expected: bool) {
        let allowed = AllowedOrigins::of(allowed.iter().copied()).unwrap();
        let host = host.parse().unwrap();
        let admitted = allowed.admit(origin.as_bytes(), &host, reached.parse().unwrap());
        assert_eq!(admitted, expected, "{origin} asks {host} at {reached}, where {allowed:?} may");
    }

    #[test]
    fn same_host_on_loopback_is_no_name_but_localhost() {
        let check = |origin, host, expected| check(&["same_host"], origin, host, "127.0.0.1", expected);
        check("http://localhost", "localhost:8083", true);
        check("http://localhost:3000", "localhost:8083", true);
        check("https://LocalHost", "localhost", true);
        check("http://127.0.0.1:8080", "127.0.0.1:8083", true);
        check("http://127.0.0.2:8080", "127.0.0.2:8083", true);
        check("http://[::1]:8080", "[::1]:8083", true);
        check("http://example.org", "localhost:8083", false);
        check("http://localhost", "127.0.0.1:8083", false);
        // Names that lead here by a resolver that the page's owner can tell what to say.
        check("http://rebinding.example", "rebinding.example:8083", false);
        check("http://localhost.example", "localhost.example:8083", false);
        check("http://evil.localhost", "evil.localhost", false);
        check("http://10.0.0.7", "10.0.0.7:8083", false);
        check("null", "localhost", false);
        check("", "localhost", false);
        check("localhost", "localhost", false);
        check("file://", "localhost", false);
        check("capacitor://localhost", "localhost", false);
        check("http://localhost http://example.org", "localhost", false);
        check("http://localhost@example.org", "localhost", false);
        check("http://localhost/", "localhost", false);
    }

    #[test]
    fn same_host_elsewhere_is_any_that_is_named_the_same() {
        let check = |origin, host, expected| check(&["same_host"], origin, host, "10.0.0.7", expected);
        check("https://mqtt.example.org", "mqtt.example.org:8083", true);
        check("https://MQTT.example.org:8443", "mqtt.example.org", true);
        check("http://10.0.0.7", "10.0.0.7:8083", true);
        check("https://example.org", "mqtt.example.org", false);
        check("https://mqtt.example.org.evil.example", "mqtt.example.org", false);
    }

    /// A listener of all addresses is reached over loopback as well.
    #[test]
    fn an_address_of_loopback_in_ipv6_is_one() {
        check(&["same_host"], "http://rebinding.example", "rebinding.example", "::1", false);
        check(&["same_host"], "http://rebinding.example", "rebinding.example", "::ffff:127.0.0.1", false);
        check(&["same_host"], "http://[::1]", "[::1]:8083", "::1", true);
    }

    #[test]
    fn listed_origins() {
        let list =
            ["https://example.org", "http://localhost:3000", "chrome-extension://abc", "null", "file://"];
        let check = |origin, expected| check(&list, origin, "mqtt.example.org", "127.0.0.1", expected);
        check("https://example.org", true);
        check("HTTPS://Example.Org:443", true);
        check("http://localhost:3000", true);
        check("chrome-extension://abc", true);
        check("null", true);
        check("file://", true);
        check("http://example.org", false);
        check("https://example.org:8443", false);
        check("https://www.example.org", false);
        check("http://localhost", false);
        check("https://mqtt.example.org", false);
    }

    #[test]
    fn any_and_none() {
        for origin in ["https://example.org", "null", "", "noise"] {
            check(&["any"], origin, "localhost", "127.0.0.1", true);
            check(&[], origin, "localhost", "127.0.0.1", false);
        }
        assert_eq!(AllowedOrigins::of(["same_host"]), Ok(AllowedOrigins::default()));
    }

    #[test]
    fn what_is_no_origin() {
        for wrong in [
            "*",
            "example.org",
            "Any",
            "https://",
            "://x",
            "https://a/b",
            "https://a:port",
            "https://a@b",
            "a b",
        ] {
            assert_eq!(AllowedOrigins::of([wrong]), Err(OriginError(wrong.to_owned())));
        }
        assert_eq!(
            AllowedOrigins::of(["*"]).unwrap_err().to_string(),
            "\"*\" is no origin such as \"https://example.org\", and not same_host, null or any"
        );
    }
}
