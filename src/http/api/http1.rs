//! The requirements of HTTP/1.1 for every request (RFC 9112).
//!
//! Must not know routes. Invariant: a request that gets through names one host, or comes from a program of
//! HTTP/1.0 and names at most one, and its body is as it was written.

use hyper::Version;
use hyper::header::{HOST, HeaderMap, TRANSFER_ENCODING};
use hyper::http::request::Parts;

use super::error::ApiError;

/// Admits a request with one `Host` and a body without any transfer coding but `chunked`.
pub(super) fn admit(head: &Parts) -> Result<(), ApiError> {
    let mut hosts = head.headers.get_all(HOST).iter();
    match (hosts.next(), hosts.next()) {
        (Some(host), None) if is_host(host.as_bytes()) => {}
        (None, _) if head.version < Version::HTTP_11 => {}
        _ => return Err(ApiError::BadHost),
    }
    if is_encoded(&head.headers) {
        return Err(ApiError::UnknownCoding);
    }
    Ok(())
}

/// True if `host` is made of what hosts and ports are made of; it may be empty.
fn is_host(host: &[u8]) -> bool {
    let is_plain =
        |byte: &u8| byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=:%[]".contains(byte);
    host.iter().all(is_plain)
}

/// True if a transfer coding is named but `chunked`, or more than one.
fn is_encoded(headers: &HeaderMap) -> bool {
    let mut codings = headers.get_all(TRANSFER_ENCODING).iter();
    match (codings.next(), codings.next()) {
        (None, _) => false,
        (Some(coding), None) => !coding.as_bytes().eq_ignore_ascii_case(b"chunked"),
        (Some(_), Some(_)) => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hyper::Request;

    fn admitted(version: Version, headers: &[(&str, &str)]) -> Result<(), ApiError> {
        let mut request = Request::builder().version(version);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let (head, ()) = request.body(()).unwrap().into_parts();
        admit(&head)
    }

    #[test]
    fn a_request_has_one_host_or_is_of_http_1_0() {
        let is_admitted = |version, hosts: &[&str]| {
            let headers: Vec<_> = hosts.iter().map(|host| ("host", *host)).collect();
            admitted(version, &headers).is_ok()
        };
        for host in ["shop.example:8080", "[::1]:8080", "10.0.0.7", "", "a_b"] {
            assert!(is_admitted(Version::HTTP_11, &[host]), "{host}");
            assert!(is_admitted(Version::HTTP_10, &[host]), "{host}");
        }
        assert!(is_admitted(Version::HTTP_10, &[]));
        assert!(!is_admitted(Version::HTTP_11, &[]));
        for version in [Version::HTTP_10, Version::HTTP_11] {
            assert!(!is_admitted(version, &["shop", "shop"]));
            for host in ["shop/", "a b", "me@shop", "shop?", "sh\\op"] {
                assert!(!is_admitted(version, &[host]), "{host}");
            }
        }
    }

    #[test]
    fn a_body_is_chunked_or_nothing_is_done_to_it() {
        let admitted = |codings: &[&str]| {
            let host = std::iter::once(("host", "shop"));
            let codings = codings.iter().map(|one| ("transfer-encoding", *one));
            admitted(Version::HTTP_11, &host.chain(codings).collect::<Vec<_>>())
        };
        for codings in [&[][..], &["chunked"], &["Chunked"]] {
            assert!(admitted(codings).is_ok(), "{codings:?}");
        }
        for codings in [
            &["gzip, chunked"][..],
            &["gzip", "chunked"],
            &["chunked, chunked"],
            &["chunked", "chunked"],
            &["gzip"],
            &[""],
            &["chunked;q=1"],
        ] {
            let refused = admitted(codings);
            assert!(
                matches!(refused, Err(ApiError::UnknownCoding)),
                "{codings:?}"
            );
        }
    }
}
