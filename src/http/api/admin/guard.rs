//! Admission to the admin port, and to the operations that are for operators alone.
//!
//! The port is on loopback, where a page in the operator's own browser could ask it too. Such a page
//! is recognized by headers that it cannot help sending. Must not know the operations. Invariants: no request
//! is answered under a name that a stranger can point here, because a page of that name could read the answer;
//! an operation for operators alone is never answered to a page; a body is read as JSON only if its
//! `Content-Type` is JSON, which no page can send without a preflight.

use std::net::IpAddr;

use hyper::header::{self, HeaderMap};
use hyper::http::request::Parts;

use crate::cors::FETCH_SITE;
use crate::error::ApiError;

/// The host names under which the admin port answers, beside addresses and names without a dot.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HostNames {
    /// The listed names.
    pub listed: Vec<String>,
    /// True if requests come over TLS only: the certificate is not for a name that a stranger can point here,
    /// so any name will do.
    pub over_tls: bool,
}

impl HostNames {
    /// Lets a request through that no page can have made under a name of a stranger's.
    pub(super) fn admit(&self, head: &Parts) -> Result<(), ApiError> {
        if self.over_tls || host(head).is_none_or(|host| self.contains(host)) {
            Ok(())
        } else {
            Err(ApiError::ForeignHost)
        }
    }

    /// True if `host` is an address, or a name that no stranger can point here: the owner of a domain can make
    /// a name in it mean this machine, and then this port is of the same origin as their page.
    fn contains(&self, host: &str) -> bool {
        let inside = host
            .strip_prefix('[')
            .and_then(|host| host.strip_suffix(']'));
        let name = host.strip_suffix('.').unwrap_or(host);
        let mut listed = self.listed.iter();
        inside.unwrap_or(host).parse::<IpAddr>().is_ok()
            || !name.contains('.')
            || listed.any(|listed| listed.eq_ignore_ascii_case(name))
    }
}

/// Admits a client that is not a page.
pub(super) fn admit(head: &Parts) -> Result<(), ApiError> {
    let headers = &head.headers;
    let fetched = headers.get(FETCH_SITE).is_some_and(|site| site != "none");
    if headers.contains_key(header::ORIGIN) || fetched {
        return Err(ApiError::FromPage);
    }
    Ok(())
}

/// Admits a body whose `Content-Type` is JSON.
pub(super) fn admit_json(headers: &HeaderMap) -> Result<(), ApiError> {
    admit_type(headers, &["application/json"]).ok_or(ApiError::NotJson)
}

/// Admits a body whose `Content-Type` is that of a merge patch, or JSON.
pub(super) fn admit_merge_patch(headers: &HeaderMap) -> Result<(), ApiError> {
    let types = ["application/merge-patch+json", "application/json"];
    admit_type(headers, &types).ok_or(ApiError::NotMergePatch)
}

/// Admits a body whose `Content-Type` is one of lines of JSON.
pub(super) fn admit_lines(headers: &HeaderMap) -> Result<(), ApiError> {
    let types = [
        "application/x-ndjson",
        "application/ndjson",
        "application/jsonl",
    ];
    admit_type(headers, &types).ok_or(ApiError::NotLines)
}

/// None of these types can be sent by a page without a preflight.
/// True if a client names lines of JSON among what it takes.
pub(super) fn takes_lines(headers: &HeaderMap) -> bool {
    let accepted = headers.get_all(header::ACCEPT).iter();
    let texts = accepted.filter_map(|accept| accept.to_str().ok());
    let ranges = texts.flat_map(|accept| accept.split(','));
    let mut types = ranges.filter_map(|range| range.split(';').next());
    types.any(|one| one.trim().eq_ignore_ascii_case("application/x-ndjson"))
}

fn admit_type(headers: &HeaderMap, types: &[&str]) -> Option<()> {
    let given = headers.get(header::CONTENT_TYPE);
    let given = given.and_then(|given| given.to_str().ok()).unwrap_or("");
    let media_type = given.split(';').next().unwrap_or_default().trim();
    let mut types = types.iter();
    types
        .any(|one| media_type.eq_ignore_ascii_case(one))
        .then_some(())
}

/// The host that a request is for; only a program of before 1997 does not say it.
fn host(head: &Parts) -> Option<&str> {
    let named = head.headers.get(header::HOST);
    let named = named.map(|named| without_port(named.to_str().unwrap_or(".")));
    head.uri.host().or(named)
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

    fn head(headers: &[(&str, &str)]) -> Parts {
        let mut request = Request::builder().uri("/stats");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.body(()).unwrap().into_parts().0
    }

    fn names(listed: &[&str], over_tls: bool) -> HostNames {
        HostNames {
            listed: listed.iter().map(|&name| name.to_owned()).collect(),
            over_tls,
        }
    }

    fn is_admitted(headers: &[(&str, &str)]) -> bool {
        let head = head(headers);
        admit(&head).is_ok() && names(&[], false).admit(&head).is_ok()
    }

    #[test]
    fn programs_and_typed_addresses_are_admitted() {
        for host in [
            "127.0.0.1:8081",
            "[::1]:8081",
            "localhost",
            "localhost.:8081",
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
            "evil.example.",
        ] {
            assert!(!is_admitted(&[("host", host)]), "{host}");
        }
    }

    #[test]
    fn a_name_that_is_listed_is_admitted_and_no_name_in_it() {
        let names = names(&["db.shop.example"], false);
        for host in [
            "db.shop.example:8081",
            "DB.Shop.Example",
            "db.shop.example.",
        ] {
            assert!(names.admit(&head(&[("host", host)])).is_ok(), "{host}");
        }
        for host in ["x.db.shop.example", "shop.example", "xdb.shop.example"] {
            assert!(names.admit(&head(&[("host", host)])).is_err(), "{host}");
        }
        // The target counts more than the header.
        let request = Request::builder().uri("http://evil.example/metrics");
        let request = request.header("host", "127.0.0.1").body(()).unwrap();
        assert!(names.admit(&request.into_parts().0).is_err());
    }

    #[test]
    fn over_tls_any_name_is_admitted_and_a_page_is_not() {
        let named = head(&[("host", "primary.shop.example:8081")]);
        assert!(names(&[], true).admit(&named).is_ok());
        assert!(names(&[], false).admit(&named).is_err());
        let page = head(&[("origin", "https://primary.shop.example:8081")]);
        assert!(admit(&page).is_err());
    }

    #[test]
    fn lines_and_patches_have_types_of_their_own() {
        let admitted = |given: &str| {
            let request = Request::builder().header(header::CONTENT_TYPE, given);
            let request = request.body(()).unwrap();
            let headers = request.headers();
            (
                admit_lines(headers).is_ok(),
                admit_merge_patch(headers).is_ok(),
            )
        };
        assert_eq!(admitted("application/x-ndjson"), (true, false));
        assert_eq!(admitted("application/jsonl; charset=utf-8"), (true, false));
        assert_eq!(admitted("application/merge-patch+json"), (false, true));
        assert_eq!(admitted("application/json"), (false, true));
        assert_eq!(admitted("text/plain"), (false, false));
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
