//! Who may ask for what is only an operator's.
//!
//! The port is on loopback, where a page in the operator's own browser could ask it too. Such a page
//! is told apart by what it cannot help sending. Must not know what is asked for. Invariants: a request
//! that a page of another origin can make is refused, and so is one that came by a name that a
//! stranger can point here; a body is taken as JSON only when it is said to be, which no page can say
//! without asking before.

use std::net::IpAddr;

use hyper::header::{self, HeaderMap, HeaderName};
use hyper::http::request::Parts;

use crate::api::error::ApiError;

/// Browsers say by it where a request comes from, and pages cannot change it.
const FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// Lets through who is not a page. Over TLS a name that a stranger can point here is none that the
/// certificate is for.
pub(super) fn admit(head: &Parts, over_tls: bool) -> Result<(), ApiError> {
    let headers = &head.headers;
    let fetched = headers.get(FETCH_SITE).is_some_and(|site| site != "none");
    if headers.contains_key(header::ORIGIN) || fetched || !(over_tls || is_own_name(head)) {
        return Err(ApiError::FromPage);
    }
    Ok(())
}

/// Lets a body through that is said to be JSON.
pub(super) fn admit_json(headers: &HeaderMap) -> Result<(), ApiError> {
    let given = headers.get(header::CONTENT_TYPE);
    let given = given.and_then(|given| given.to_str().ok()).unwrap_or("");
    let media_type = given.split(';').next().unwrap_or_default().trim();
    if media_type.eq_ignore_ascii_case("application/json") {
        Ok(())
    } else {
        Err(ApiError::NotJson)
    }
}

/// Whether the host asked for is an address, or a name without a dot: whoever owns a domain can
/// make a name in it mean this machine, and then this port is of the same origin as their page.
fn is_own_name(head: &Parts) -> bool {
    let named = head.headers.get(header::HOST);
    let host = match (head.uri.host(), named) {
        (Some(host), _) => host,
        (None, Some(named)) => match named.to_str() {
            Ok(named) => without_port(named),
            Err(_) => return false,
        },
        // Only a program of before 1997 does not say whom it asks.
        (None, None) => return true,
    };
    let inside = host
        .strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'));
    inside.unwrap_or(host).parse::<IpAddr>().is_ok() || !host.contains('.')
}

fn without_port(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => host,
        _ => host,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hyper::Request;

    fn is_admitted(headers: &[(&str, &str)]) -> bool {
        let mut request = Request::builder().uri("/stats");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let (head, ()) = request.body(()).unwrap().into_parts();
        admit(&head, false).is_ok()
    }

    #[test]
    fn programs_and_typed_addresses_are_admitted() {
        for host in [
            "127.0.0.1:8081",
            "[::1]:8081",
            "localhost",
            "reviewsd:8081",
            "10.0.0.7",
        ] {
            assert!(is_admitted(&[("host", host)]), "{host}");
            assert!(is_admitted(&[("host", host), ("sec-fetch-site", "none")]));
        }
        assert!(is_admitted(&[]));
    }

    #[test]
    fn pages_are_not() {
        let own = ("host", "127.0.0.1:8081");
        assert!(!is_admitted(&[own, ("origin", "https://evil.example")]));
        assert!(!is_admitted(&[own, ("origin", "null")]));
        for site in ["cross-site", "same-site", "same-origin"] {
            assert!(!is_admitted(&[own, ("sec-fetch-site", site)]), "{site}");
        }
        // A name of a stranger's domain that means 127.0.0.1 today.
        for host in [
            "evil.example:8081",
            "evil.example",
            "127.0.0.1.evil.example:8081",
        ] {
            assert!(!is_admitted(&[("host", host)]), "{host}");
        }
    }

    #[test]
    fn over_tls_any_name_is_admitted_and_a_page_is_not() {
        let named = Request::builder().header("host", "primary.shop.example:8081");
        let (head, ()) = named.body(()).unwrap().into_parts();
        assert!(admit(&head, true).is_ok() && admit(&head, false).is_err());
        let page = Request::builder().header("origin", "https://primary.shop.example:8081");
        let (head, ()) = page.body(()).unwrap().into_parts();
        assert!(admit(&head, true).is_err());
    }

    #[test]
    fn a_body_is_json_only_when_it_is_said_to_be() {
        let is_json = |given: &str| {
            let request = Request::builder().header(header::CONTENT_TYPE, given);
            admit_json(request.body(()).unwrap().headers()).is_ok()
        };
        assert!(is_json("application/json") && is_json("Application/JSON; charset=utf-8"));
        for other in [
            "text/plain",
            "application/x-www-form-urlencoded",
            "",
            "text/json",
        ] {
            assert!(!is_json(other), "{other}");
        }
        assert!(admit_json(&HeaderMap::new()).is_err());
    }
}
