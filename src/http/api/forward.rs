//! Writes that a replica passes on to its primary, and the answers that it passes back.
//!
//! Must not know how the primary is reached. Invariants: headers that concern one connection only stay on it,
//! all others are passed on as they came; a write is passed on once, never by one replica to another and on
//! from there.

use bytes::Bytes;
use http_body_util::Full;
use hyper::header::{
    self, CONNECTION, CONTENT_LENGTH, EXPECT, HeaderMap, HeaderName, HeaderValue, TE, TRAILER,
    TRANSFER_ENCODING, UPGRADE, VIA,
};
use hyper::http::request::Parts;
use hyper::{Method, Request, Uri};
use std::net::IpAddr;

use crate::metrics::Exposition;
use crate::net::{Unanswered, Upstream};

use super::client::FORWARDED_FOR;
use super::error::ApiError;
use super::reply::Reply;
use super::writes::IDEMPOTENCY_KEY;

/// A replica's name in `Via`.
const VIA_COPY: &str = "1.1 reviewsd-copy";
/// Headers of one connection. Those of proxies' passwords are, too.
const OF_CONNECTION: [HeaderName; 7] = [
    CONNECTION,
    TE,
    TRAILER,
    TRANSFER_ENCODING,
    UPGRADE,
    header::PROXY_AUTHENTICATE,
    header::PROXY_AUTHORIZATION,
];
const KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");
const PROXY_CONNECTION: HeaderName = HeaderName::from_static("proxy-connection");

/// The way to the primary.
pub struct Forward(Upstream);

impl Forward {
    /// Passes writes on to this server.
    #[must_use]
    pub fn to(primary: Upstream) -> Self {
        Self(primary)
    }

    /// Writes the metrics of forwarded requests, by outcome.
    pub fn describe(&self, page: &mut Exposition) {
        self.0.describe(page);
    }

    /// Passes on a request with this head and body, that came from `peer`.
    pub(super) async fn answer(
        &self,
        head: &Parts,
        body: Bytes,
        peer: IpAddr,
    ) -> Result<Reply, ApiError> {
        if came_from_copy(&head.headers) {
            return Err(ApiError::Circle);
        }
        let request = Self::request(head, body, peer)?;
        // Without a key a review that is sent twice may be stored twice, and a vote be counted twice.
        let is_repeatable =
            head.method == Method::POST && head.headers.contains_key(IDEMPOTENCY_KEY);
        let answer = self.0.send(&request, is_repeatable).await;
        let (head, body) = answer
            .map_err(|unanswered| match unanswered {
                Unanswered::Unsent(_) => ApiError::Unreached(unanswered.into()),
                Unanswered::Lost(_) => ApiError::Unanswered(unanswered.into()),
            })?
            .into_parts();
        Ok(Reply::passed(head.status, passed(&head.headers), body))
    }

    fn request(head: &Parts, body: Bytes, peer: IpAddr) -> Result<Request<Full<Bytes>>, ApiError> {
        let mut headers = passed(&head.headers);
        headers.remove(CONTENT_LENGTH);
        // The body is here already.
        headers.remove(EXPECT);
        headers.append(VIA, HeaderValue::from_static(VIA_COPY));
        let peer = HeaderValue::try_from(peer.to_canonical().to_string());
        headers.append(FORWARDED_FOR, peer.map_err(ApiError::internal)?);
        let path = head.uri.path_and_query().map_or("/", |path| path.as_str());
        let path = path.parse::<Uri>().map_err(ApiError::internal)?;
        let mut request = Request::new(Full::new(body));
        *request.method_mut() = head.method.clone();
        *request.uri_mut() = path;
        *request.headers_mut() = headers;
        Ok(request)
    }
}

/// True if a replica passed it on already.
pub(super) fn came_from_copy(headers: &HeaderMap) -> bool {
    let hops = headers.get_all(VIA).iter();
    let mut hops = hops.filter_map(|hops| hops.to_str().ok());
    hops.any(|hops| hops.split(',').any(|hop| hop.trim() == VIA_COPY))
}

/// All headers but those of one connection, which it may name more of itself.
fn passed(headers: &HeaderMap) -> HeaderMap {
    let named: Vec<String> = headers
        .get_all(CONNECTION)
        .iter()
        .filter_map(|names| names.to_str().ok())
        .flat_map(|names| names.split(','))
        .map(|name| name.trim().to_ascii_lowercase())
        .collect();
    let mut passed = HeaderMap::with_capacity(headers.len());
    for (name, value) in headers {
        let is_of_connection = OF_CONNECTION.contains(name)
            || [KEEP_ALIVE, PROXY_CONNECTION].contains(name)
            || named.iter().any(|named| named == name.as_str());
        if !is_of_connection {
            passed.append(name.clone(), value.clone());
        }
    }
    passed
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(all: &[(&'static str, &'static str)]) -> HeaderMap {
        let all = all.iter().map(|(name, value)| {
            let name = HeaderName::from_static(name);
            (name, HeaderValue::from_static(value))
        });
        let mut headers = HeaderMap::new();
        for (name, value) in all {
            headers.append(name, value);
        }
        headers
    }

    #[test]
    fn what_concerns_one_connection_stays_on_it() {
        let came = headers(&[
            ("accept", "application/json"),
            ("connection", "close, X-Secret"),
            ("connection", "x-other"),
            ("x-secret", "1"),
            ("x-other", "1"),
            ("keep-alive", "timeout=5"),
            ("transfer-encoding", "chunked"),
            ("x-forwarded-for", "203.0.113.9"),
            ("idempotency-key", "k"),
            ("x-tag", "a"),
            ("x-tag", "b"),
        ]);
        let expected = headers(&[
            ("accept", "application/json"),
            ("x-forwarded-for", "203.0.113.9"),
            ("idempotency-key", "k"),
            ("x-tag", "a"),
            ("x-tag", "b"),
        ]);
        assert_eq!(passed(&came), expected);
    }

    #[test]
    fn a_copy_is_known_by_its_name_in_via() {
        for via in [
            "1.1 reviewsd-copy",
            "1.0 fred, 1.1 reviewsd-copy",
            "1.1 reviewsd-copy,1.1 x",
        ] {
            assert!(came_from_copy(&headers(&[("via", via)])), "{via}");
        }
        for via in ["1.1 nginx", "1.1 reviewsd-copy.example", ""] {
            assert!(!came_from_copy(&headers(&[("via", via)])), "{via}");
        }
        assert!(!came_from_copy(&HeaderMap::new()));
    }
}
