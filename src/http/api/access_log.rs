//! The access log: the lines about requests that were answered.
//!
//! Must not know what is answered. Invariant: no line has what a client may have written about a
//! person: no query, no body, no header but the request's name, and of the path only what can be part
//! of a route.

use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

use hyper::http::request::Parts;
use hyper::{Method, StatusCode};

use super::request_id::RequestId;

/// Bytes of a path that are logged.
const PATH_BYTES_MAX: usize = 200;

/// The settings of the access log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AccessLogSettings {
    /// True if there is a line for every request.
    pub access: bool,
    /// The time beyond which a request is logged as slow; `None` is for none.
    pub slow_time: Option<Duration>,
}

/// A request that was answered.
pub(super) struct AnsweredRequest<'r> {
    pub(super) head: &'r Parts,
    pub(super) peer: IpAddr,
    pub(super) status: StatusCode,
    pub(super) body_bytes: usize,
    pub(super) time: Duration,
}

impl AccessLogSettings {
    /// Writes the line that the request deserves, if any.
    pub(super) fn note(&self, answered: &AnsweredRequest<'_>, id: &mut RequestId) {
        if self.slow_time.is_some_and(|slow| answered.time >= slow) {
            note_slow(answered, id);
        } else if self.access {
            note_access(answered, id);
        }
    }
}

/// A line of the log about a request that was answered.
macro_rules! request_line {
    ($level:ident, $answered:expr, $id:expr, $message:literal) => {
        tracing::$level!(
            request_id = $id.name(),
            method = %ShortMethod(&$answered.head.method),
            path = %SafePath($answered.head.uri.path()),
            status = $answered.status.as_u16(),
            body_bytes = $answered.body_bytes,
            time_ms = milliseconds($answered.time),
            peer = %$answered.peer,
            $message
        )
    };
}

#[cold]
fn note_slow(answered: &AnsweredRequest<'_>, id: &mut RequestId) {
    request_line!(warn, answered, id, "slow request");
}

fn note_access(answered: &AnsweredRequest<'_>, id: &mut RequestId) {
    request_line!(info, answered, id, "request");
}

fn milliseconds(time: Duration) -> f64 {
    // Microseconds are enough, and print shorter.
    (time.as_secs_f64() * 1e6).round() / 1e3
}

/// A path without personal data. A segment with characters that no route or id has is left out, and so is one
/// that is too long.
pub(super) struct SafePath<'p>(pub(super) &'p str);

impl fmt::Display for SafePath<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut bytes = 0;
        for segment in self.0.split('/').skip(1) {
            bytes += 1 + segment.len();
            if bytes > PATH_BYTES_MAX {
                return f.write_str("/…");
            }
            let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
            let is_safe = segment.bytes().all(is_plain);
            write!(f, "/{}", if is_safe { segment } else { "…" })?;
        }
        Ok(())
    }
}

/// A method, unless it is an unknown one.
pub(super) struct ShortMethod<'m>(pub(super) &'m Method);

impl fmt::Display for ShortMethod<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self.0 {
            Method::GET
            | Method::HEAD
            | Method::POST
            | Method::PUT
            | Method::OPTIONS
            | Method::DELETE
            | Method::PATCH => f.write_str(self.0.as_str()),
            _ => f.write_str("…"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_told_without_what_no_route_has() {
        for (path, told) in [
            ("/reviews/5/helpful", "/reviews/5/helpful"),
            ("/api/fec2/hr-rfp/reviews/", "/api/fec2/hr-rfp/reviews/"),
            ("/reviews/ana@example.org/meta", "/reviews/…/meta"),
            ("/reviews/ana%40example.org", "/reviews/…"),
            ("/a b\"\u{e9}/x", "/…/x"),
            ("*", ""),
        ] {
            assert_eq!(SafePath(path).to_string(), told);
        }
        let long = format!("/reviews/{}/x", "1".repeat(PATH_BYTES_MAX));
        assert_eq!(SafePath(&long).to_string(), "/reviews/…");
    }

    #[test]
    fn times_are_told_to_the_microsecond() {
        assert_eq!(
            milliseconds(Duration::from_nanos(1_234_567)).to_string(),
            "1.235"
        );
    }
}
