//! The request id, by which an answer and the lines of the log about it are matched.
//!
//! Invariant: the id that a client, or a proxy, gives its request is its id everywhere; an id is made only if a
//! line of the log has it, since no other could be looked up.

use std::hash::{BuildHasher, RandomState};
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};

use hyper::header::{HeaderMap, HeaderName, HeaderValue};

/// The header of requests and of answers.
pub(super) const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// A longer name is not taken.
const BYTES_MAX: usize = 128;

/// The name of a request, once it has one.
#[derive(Debug, Clone, Default)]
pub(super) struct RequestId(Option<HeaderValue>);

impl RequestId {
    /// Returns the id that a request's headers give it, if that can stand in a log.
    pub(super) fn of(request: &HeaderMap) -> Self {
        let given = request.get(REQUEST_ID);
        Self(given.filter(|id| is_sane(id.as_bytes())).cloned())
    }

    /// The name, which is made where there was none.
    pub(super) fn name(&mut self) -> &str {
        let id = self.0.get_or_insert_with(make);
        id.to_str().unwrap_or_default()
    }

    /// The name for the answer, where there is one.
    pub(super) fn into_header(self) -> Option<HeaderValue> {
        self.0
    }
}

/// True if it has the form that proxies and tracers make, and cannot be personal data: an e-mail address does
/// not have it.
fn is_sane(id: &[u8]) -> bool {
    let is_taken = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_.:/+=".contains(byte);
    (1..=BYTES_MAX).contains(&id.len()) && id.iter().all(is_taken)
}

/// An id that no other request has, of this process or another.
fn make() -> HeaderValue {
    static PROCESS: LazyLock<u32> = LazyLock::new(|| {
        let random = RandomState::new().hash_one(std::process::id());
        (random >> 32) as u32
    });
    static NEXT: AtomicU64 = AtomicU64::new(1);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let id = HeaderValue::try_from(format!("{:08x}-{number}", *PROCESS));
    // Digits and a hyphen can stand in a header.
    id.unwrap_or_else(|_| HeaderValue::from_static("-"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn given(id: &[u8]) -> Option<HeaderValue> {
        let mut headers = HeaderMap::new();
        headers.insert(REQUEST_ID, HeaderValue::from_bytes(id).unwrap());
        RequestId::of(&headers).into_header()
    }

    #[test]
    fn a_sane_name_is_taken_as_it_is() {
        for id in [
            "1",
            "6f1ed002ab5595859014ebf0951522d9",
            "Root=1-67891233:a/b+c_d.e",
        ] {
            assert_eq!(given(id.as_bytes()).unwrap(), id);
        }
        assert!(given(&[b'x'; BYTES_MAX]).is_some());
    }

    #[test]
    fn any_other_is_not() {
        let cases: [&[u8]; 6] = [b"", b"a b", b"ana@example.org", b"\"", b"\xff", b"a\tb"];
        for id in cases {
            assert_eq!(given(id), None, "{id:?}");
        }
        assert_eq!(given(&[b'x'; BYTES_MAX + 1]), None);
    }

    #[test]
    fn names_that_are_made_differ_and_stay() {
        let (mut one, mut other) = (RequestId::default(), RequestId::default());
        assert_ne!(one.name(), other.name());
        let name = one.name().to_owned();
        assert_eq!(one.name(), name);
        assert_eq!(one.into_header().unwrap(), name.as_str());
    }
}
