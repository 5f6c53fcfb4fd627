//! The files of the console, which a browser gets from the admin listener.
//!
//! They are in the program; `admin.console_dir` names a folder to take them from instead, while they are worked on.
//! Nothing here knows a node: what the console shows, it asks the admin API.

use std::borrow::Cow;
use std::path::PathBuf;

use hyper::body::Bytes;
use hyper::header::{
    ACCEPT_ENCODING, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG, HOST,
    HeaderName, HeaderValue, IF_NONE_MATCH, REFERRER_POLICY, VARY, X_CONTENT_TYPE_OPTIONS,
};
use hyper::http::uri::Authority;
use hyper::{HeaderMap, Response, StatusCode};

/// A file as `build.rs` leaves it.
struct BuiltFile {
    name: &'static str,
    /// Of its content, with the quotes of an ETag.
    tag: &'static str,
    plain: &'static [u8],
    gzip: &'static [u8],
}

/// None without the feature `console`.
const BUILT: &[BuiltFile] = include!(concat!(env!("OUT_DIR"), "/console_files.rs"));

const START: &str = "index.html";

/// Where the files of the console come from.
#[derive(Debug, Clone)]
pub(crate) struct Console {
    /// None: from the program.
    folder: Option<PathBuf>,
}

impl Console {
    /// The files in the program, or those in a folder if its name is not empty.
    pub(crate) fn new(folder: PathBuf) -> Self {
        Self { folder: (!folder.as_os_str().is_empty()).then_some(folder) }
    }

    /// Answers a GET or HEAD for one of the console's files; none if there is no such file.
    pub(crate) fn answer(&self, path: &str, asked: &HeaderMap) -> Option<Response<Bytes>> {
        let name = match path.strip_prefix('/')? {
            "" => START,
            name => name,
        };
        let mut response = match &self.folder {
            Some(folder) => Response::new(Bytes::from(file_of(folder, name)?)),
            None => built(BUILT.iter().find(|file| file.name == name)?, asked),
        };
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type(name)));
        // Names stay while contents change: a browser asks each time, and is told that nothing has.
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
        headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
        headers.insert(
            HeaderName::from_static("cross-origin-opener-policy"),
            HeaderValue::from_static("same-origin"),
        );
        headers.insert(CONTENT_SECURITY_POLICY, policy(asked));
        Some(response)
    }
}

fn built(file: &BuiltFile, asked: &HeaderMap) -> Response<Bytes> {
    let is_known = asked.get_all(IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok()).any(|tags| {
        tags.split(',')
            .any(|tag| matches!(tag.trim().trim_start_matches("W/"), "*") || tag.trim() == file.tag)
    });
    let takes_gzip = takes_gzip(asked);
    let body = match (is_known, takes_gzip) {
        (true, _) => &[][..],
        (false, true) => file.gzip,
        (false, false) => file.plain,
    };
    let mut response = Response::new(Bytes::from_static(body));
    let headers = response.headers_mut();
    headers.insert(ETAG, HeaderValue::from_static(file.tag));
    headers.insert(VARY, HeaderValue::from_static("accept-encoding"));
    if is_known {
        *response.status_mut() = StatusCode::NOT_MODIFIED;
    } else if takes_gzip {
        headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    }
    response
}

/// Whether `gzip` is among the encodings that are accepted, and not with weight 0 [RFC 9110, 12.5.3].
fn takes_gzip(asked: &HeaderMap) -> bool {
    let listed = asked.get_all(ACCEPT_ENCODING).iter().filter_map(|value| value.to_str().ok());
    listed.flat_map(|value| value.split(',')).any(|item| {
        let mut parts = item.split(';').map(str::trim);
        let is_gzip = parts.next().is_some_and(|name| name.eq_ignore_ascii_case("gzip"));
        let weight =
            parts.find_map(|part| part.strip_prefix("q=")).and_then(|weight| weight.parse::<f32>().ok());
        is_gzip && weight.is_none_or(|weight| weight > 0.0)
    })
}

/// What the pages may do: load what comes from here, and speak MQTT with this host, at whatever port.
fn policy(asked: &HeaderMap) -> HeaderValue {
    let host =
        asked.get(HOST).and_then(|host| host.to_str().ok()).and_then(|host| host.parse::<Authority>().ok());
    // The policy knows no addresses of IPv6, so by such a one only this port can be reached.
    let sockets = host.filter(|host| !host.host().starts_with('[')).map_or(Cow::Borrowed(""), |host| {
        let host = host.host();
        format!(" ws://{host}:* wss://{host}:*").into()
    });
    let policy = format!(
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; worker-src 'self'; \
         connect-src 'self'{sockets}; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    );
    HeaderValue::from_str(&policy).unwrap_or(HeaderValue::from_static("default-src 'none'"))
}

fn content_type(name: &str) -> &'static str {
    match name.rsplit_once('.').map(|(_, ending)| ending) {
        Some("html") => "text/html; charset=utf-8",
        Some("js") => "text/javascript; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        _ => "text/plain; charset=utf-8",
    }
}

/// A file of the folder itself: a name that leads elsewhere is none.
fn file_of(folder: &std::path::Path, name: &str) -> Option<Vec<u8>> {
    let is_plain =
        name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_'));
    if !is_plain || name.starts_with('.') {
        return None;
    }
    std::fs::read(folder.join(name)).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(headers: &[(HeaderName, &'static str)]) -> HeaderMap {
        headers.iter().map(|(name, value)| (name.clone(), HeaderValue::from_static(value))).collect()
    }

    #[track_caller]
    fn check_gzip(accepted: &'static str, expected: bool) {
        assert_eq!(takes_gzip(&asked(&[(ACCEPT_ENCODING, accepted)])), expected, "{accepted}");
    }

    #[test]
    fn gzip_is_taken_where_it_is_accepted() {
        check_gzip("gzip, deflate, br", true);
        check_gzip("br;q=1.0, GZIP;q=0.5", true);
        check_gzip("gzip;q=0", false);
        check_gzip("gzip;q=0.0, identity", false);
        check_gzip("br", false);
        assert!(!takes_gzip(&HeaderMap::new()));
    }

    #[test]
    fn pages_may_speak_with_the_host_that_they_come_from_and_nobody_else() {
        let policy_of = |host| policy(&asked(&[(HOST, host)])).to_str().unwrap().to_owned();
        let named = policy_of("broker.example:18083");
        assert!(
            named.contains("connect-src 'self' ws://broker.example:* wss://broker.example:*;"),
            "{named}"
        );
        assert!(policy_of("[::1]:18083").contains("connect-src 'self';"));
        assert!(!named.contains("unsafe"));
    }

    #[test]
    fn a_folder_gives_its_own_files_and_no_others() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("inside")).unwrap();
        std::fs::write(folder.path().join("index.html"), "start").unwrap();
        std::fs::write(folder.path().join(".hidden"), "secret").unwrap();
        let console = Console::new(folder.path().join("inside"));
        for path in ["/../index.html", "/..%2Findex.html", "/..", "/.", "//etc/passwd"] {
            assert!(console.answer(path, &HeaderMap::new()).is_none(), "{path}");
        }
        let console = Console::new(folder.path().to_owned());
        assert_eq!(console.answer("/", &HeaderMap::new()).unwrap().into_body(), "start");
        assert!(console.answer("/.hidden", &HeaderMap::new()).is_none());
    }

    #[cfg(feature = "console")]
    #[test]
    fn a_page_that_is_known_is_not_sent_again() {
        let console = Console::new(PathBuf::new());
        let first = console.answer("/", &HeaderMap::new()).unwrap();
        assert_eq!(first.headers()[CONTENT_TYPE], "text/html; charset=utf-8");
        assert!(first.body().starts_with(b"<!doctype html>"));
        let tag = first.headers()[ETAG].clone();
        let mut headers = asked(&[(ACCEPT_ENCODING, "gzip")]);
        let packed = console.answer("/", &headers).unwrap();
        assert_eq!(packed.headers()[CONTENT_ENCODING], "gzip");
        assert!(packed.body().starts_with(&[0x1f, 0x8b]));
        headers.insert(IF_NONE_MATCH, tag);
        let again = console.answer("/", &headers).unwrap();
        assert_eq!((again.status(), again.body().len()), (StatusCode::NOT_MODIFIED, 0));
        assert!(again.headers().get(CONTENT_ENCODING).is_none());
    }
}
