//! Which pages of other origins may read the answers, and the answer to OPTIONS.
//!
//! Must not know what is answered. Invariant: an answer that differs by origin says so in `Vary`.

use hyper::header::{self, HeaderMap, HeaderValue};

use super::reply::Reply;

/// Headers that clients are known to send, for whoever asks without saying which.
const REQUEST_HEADERS: HeaderValue = HeaderValue::from_static("Authorization, Content-Type");
/// Methods that a preflight allows on a path that nothing is served at, so that the page that asks learns
/// that from the answer to its request.
const ANY_METHOD: HeaderValue =
    HeaderValue::from_static("GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS");
/// How long a browser may remember a preflight: one day, of which most browsers take two hours.
const MAX_AGE_S: HeaderValue = HeaderValue::from_static("86400");

/// The origins that are let in.
#[derive(Debug)]
pub(super) enum Cors {
    Any,
    Listed(Vec<HeaderValue>),
}

/// What one answer says about origins.
#[derive(Debug)]
pub(super) enum Opening {
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
    /// Lets in the listed origins; `*` is all. What cannot stand in a header matches none.
    pub(super) fn new(origins: &[String]) -> Self {
        if origins.iter().any(|origin| origin == "*") {
            return Self::Any;
        }
        let listed = origins.iter().filter_map(|origin| origin.parse().ok());
        Self::Listed(listed.collect())
    }

    /// How far the answer to a request with these headers is open.
    pub(super) fn open(&self, request: &HeaderMap) -> Opening {
        match self {
            Self::Any => Opening::Any,
            Self::Listed(origins) if origins.is_empty() => Opening::Closed,
            Self::Listed(origins) => match request.get(header::ORIGIN) {
                Some(origin) if origins.contains(origin) => Opening::To(origin.clone()),
                _ => Opening::NotTo,
            },
        }
    }
}

impl Opening {
    /// Says it in the headers of an answer.
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

/// The answer to OPTIONS on a path with these methods, or on one that nothing is served at: to a
/// browser's preflight, with everything it asks for.
pub(super) fn options(allow: Option<&'static str>, request: &HeaderMap) -> Reply {
    let allow = allow.map(HeaderValue::from_static);
    let reply = match allow.clone() {
        Some(methods) => Reply::empty().with(header::ALLOW, methods),
        None => Reply::empty(),
    };
    let is_preflight = request.contains_key(header::ORIGIN)
        || request.contains_key(header::ACCESS_CONTROL_REQUEST_HEADERS);
    if !is_preflight {
        return reply;
    }
    let asked = request.get(header::ACCESS_CONTROL_REQUEST_HEADERS);
    let headers = asked.cloned().unwrap_or(REQUEST_HEADERS);
    reply
        .with(
            header::ACCESS_CONTROL_ALLOW_METHODS,
            allow.unwrap_or(ANY_METHOD),
        )
        .with(header::ACCESS_CONTROL_ALLOW_HEADERS, headers)
        .with(header::ACCESS_CONTROL_MAX_AGE, MAX_AGE_S)
}
