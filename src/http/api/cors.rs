//! CORS: the pages of other origins that may read the answers, and the answer to OPTIONS.
//!
//! Must not know the answers. Invariant: an answer that differs by origin lists it in `Vary`.

use hyper::header::{self, HeaderMap, HeaderName, HeaderValue};

use super::reply::Reply;
use super::route::Allow;

/// Headers that clients are known to send, for a preflight that names none.
const REQUEST_HEADERS: HeaderValue = HeaderValue::from_static("Authorization, Content-Type");
/// Methods that a preflight allows on a path without an endpoint, so that the page learns that from the answer
/// to its request.
const ANY_METHOD: HeaderValue =
    HeaderValue::from_static("GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS");
/// The time for which a browser may remember a preflight: one day, of which most browsers take two hours.
const MAX_AGE_S: HeaderValue = HeaderValue::from_static("86400");

/// The header by which browsers state where a request comes from; pages cannot change it.
pub(super) const FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// The origins that are let in.
#[derive(Debug)]
pub(super) enum Cors {
    Any,
    Listed(Vec<HeaderValue>),
}

/// The CORS headers of one answer.
#[derive(Debug)]
pub(super) enum CorsHeaders {
    /// Any page may read it.
    Any,
    /// Pages of this origin may, and the next origin gets another answer.
    To(HeaderValue),
    /// No page may, though another origin might.
    NotTo,
    /// No page ever may.
    Closed,
}

impl Cors {
    /// Allows the listed origins; `*` is all. An origin that cannot stand in a header matches none.
    pub(super) fn new(origins: &[String]) -> Self {
        if origins.iter().any(|origin| origin == "*") {
            return Self::Any;
        }
        let listed = origins.iter().filter_map(|origin| origin.parse().ok());
        Self::Listed(listed.collect())
    }

    /// True if a request with these headers may write: it is no page's, or that of a page that may read the
    /// answer. Some writes, a POST of a text for one, a browser lets any page send without asking before.
    pub(super) fn may_write(&self, request: &HeaderMap) -> bool {
        match (self, request.get(header::ORIGIN)) {
            (Self::Any, _) | (_, None) => true,
            (Self::Listed(origins), Some(origin)) => {
                origins.contains(origin) || is_own_page(request, origin)
            }
        }
    }

    /// Returns the CORS headers of the answer to a request with these headers.
    pub(super) fn open(&self, request: &HeaderMap) -> CorsHeaders {
        match self {
            Self::Any => CorsHeaders::Any,
            Self::Listed(origins) if origins.is_empty() => CorsHeaders::Closed,
            Self::Listed(origins) => match request.get(header::ORIGIN) {
                Some(origin) if origins.contains(origin) => CorsHeaders::To(origin.clone()),
                _ => CorsHeaders::NotTo,
            },
        }
    }
}

/// True if the page that sent a request is one of the host that it asks, as the browser says or as the names
/// show.
fn is_own_page(request: &HeaderMap, origin: &HeaderValue) -> bool {
    if let Some(said) = request.get(FETCH_SITE) {
        return said == "same-origin";
    }
    let text = |value: &HeaderValue| value.to_str().ok().map(str::to_ascii_lowercase);
    let asked = request.get(header::HOST).and_then(text);
    let origin = text(origin);
    let host = origin
        .as_deref()
        .and_then(|origin| origin.split_once("://"));
    host.is_some_and(|(_, host)| Some(host) == asked.as_deref())
}

impl CorsHeaders {
    /// Writes the headers of an answer.
    pub(super) fn write(self, headers: &mut HeaderMap) {
        let varies = matches!(self, Self::To(_) | Self::NotTo);
        match self {
            Self::Any => {
                let any = HeaderValue::from_static("*");
                headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, any);
            }
            Self::To(origin) => {
                headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
            }
            Self::NotTo | Self::Closed => {}
        }
        if varies {
            headers.insert(header::VARY, HeaderValue::from_static("Origin"));
        }
    }
}

/// The answer to OPTIONS on a path with these methods, or on one without an endpoint: to a browser's preflight,
/// with everything it requests.
pub(super) fn options(allow: Option<Allow>, request: &HeaderMap) -> Reply {
    let reply = match allow {
        Some(allow) => Reply::empty().allow(allow),
        None => Reply::empty(),
    };
    let is_preflight = request.contains_key(header::ORIGIN)
        || request.contains_key(header::ACCESS_CONTROL_REQUEST_HEADERS);
    if !is_preflight {
        return reply;
    }
    let asked = request.get(header::ACCESS_CONTROL_REQUEST_HEADERS);
    let headers = asked.cloned().unwrap_or(REQUEST_HEADERS);
    let methods = allow.map_or(ANY_METHOD, Allow::header);
    reply
        .with(header::ACCESS_CONTROL_ALLOW_METHODS, methods)
        .with(header::ACCESS_CONTROL_ALLOW_HEADERS, headers)
        .with(header::ACCESS_CONTROL_MAX_AGE, MAX_AGE_S)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_write_that_are_listed_or_of_the_host_that_they_ask() {
        let may_write = |origins: &[&str], headers: &[(&'static str, &'static str)]| {
            let origins: Vec<String> = origins.iter().map(|&origin| origin.to_owned()).collect();
            let mut request = HeaderMap::new();
            request.insert(header::HOST, HeaderValue::from_static("Shop.example:8080"));
            for (name, value) in headers {
                request.insert(*name, HeaderValue::from_static(value));
            }
            Cors::new(&origins).may_write(&request)
        };
        let listed = ["https://shop.example"];
        for headers in [
            &[][..],
            &[("origin", "https://shop.example")],
            &[("origin", "http://shop.example:8080")],
            &[
                ("origin", "https://behind.example"),
                ("sec-fetch-site", "same-origin"),
            ],
        ] {
            assert!(may_write(&listed, headers), "{headers:?}");
        }
        for headers in [
            &[("origin", "https://evil.example")][..],
            &[("origin", "null")],
            &[("origin", "https://shop.example.evil")],
            &[("origin", "https://evil/://shop.example:8080")],
            &[
                ("origin", "http://shop.example:8080"),
                ("sec-fetch-site", "cross-site"),
            ],
        ] {
            assert!(!may_write(&listed, headers), "{headers:?}");
            assert!(may_write(&["*"], headers), "{headers:?}");
        }
        assert!(!may_write(&[], &[("origin", "https://shop.example")]));
    }
}
