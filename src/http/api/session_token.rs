//! The session token, by which a client and servers state the position that the client has seen: `X-Seq` and
//! `X-Min-Seq`.
//!
//! Must not know the store. Invariant: a token is accepted only as it was once issued, digit for digit.

use std::fmt;

use hyper::header::{HeaderMap, HeaderName};

use super::error::ApiError;

/// The position of the store for an answer.
pub(super) const SEQ: HeaderName = HeaderName::from_static("x-seq");
/// The position that the store must have reached, at least.
const MIN_SEQ: HeaderName = HeaderName::from_static("x-min-seq");

/// A session token: `1.345` is up to row 345 of epoch 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct SessionToken {
    pub(super) epoch: u64,
    pub(super) seq: u64,
}

impl SessionToken {
    /// Returns the session token of a request. Row 0 was seen by every client: a request with it only asks for
    /// a token.
    pub(super) fn of(request: &HeaderMap) -> Result<Option<Self>, ApiError> {
        let Some(first) = request.get(MIN_SEQ) else {
            return Ok(None);
        };
        let is_one = request.get_all(MIN_SEQ).iter().nth(1).is_none();
        let session_token = first.to_str().ok().filter(|_| is_one).and_then(Self::read);
        session_token.map(Some).ok_or(ApiError::UnreadableSeq)
    }

    fn read(text: &str) -> Option<Self> {
        let (epoch, seq) = text.split_once('.')?;
        Some(Self {
            epoch: number(epoch)?,
            seq: number(seq)?,
        })
    }
}

impl fmt::Display for SessionToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.epoch, self.seq)
    }
}

/// Digits and nothing else, not even the sign that Rust would take.
fn number(text: &str) -> Option<u64> {
    let is_plain = text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|_| is_plain)
}

#[cfg(test)]
mod tests {
    use super::*;
    use hyper::header::HeaderValue;

    fn session_token(lines: &[&'static str]) -> Result<Option<SessionToken>, ()> {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(MIN_SEQ, HeaderValue::from_static(line));
        }
        SessionToken::of(&headers).map_err(|_| ())
    }

    #[test]
    fn what_was_said_is_read_again() {
        assert_eq!(session_token(&[]), Ok(None));
        for (epoch, seq) in [(0, 0), (1, 345), (u64::MAX, u64::MAX)] {
            let said = SessionToken { epoch, seq };
            assert_eq!(SessionToken::read(&said.to_string()), Some(said));
        }
        let said = SessionToken { epoch: 1, seq: 345 };
        assert_eq!(session_token(&["1.345"]), Ok(Some(said)));
    }

    #[test]
    fn anything_else_is_refused() {
        for wrong in [
            "",
            "345",
            ".",
            "1.",
            ".345",
            "1.345.6",
            "1.-345",
            "1.+345",
            "+1.345",
            " 1.345",
            "1,345",
            "1.0x1",
            "18446744073709551616.1",
        ] {
            assert_eq!(session_token(&[wrong]), Err(()), "{wrong}");
        }
        assert_eq!(session_token(&["1.2", "1.3"]), Err(()));
    }

    #[test]
    fn a_later_epoch_is_later_whatever_the_rows() {
        let session_token = |epoch, seq| SessionToken { epoch, seq };
        assert!(session_token(2, 1) > session_token(1, 500));
        assert!(session_token(1, 501) > session_token(1, 500));
    }
}
