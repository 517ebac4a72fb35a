//! Everything that can be wrong with a request or its answer, and how a client hears of it.
//!
//! The text for a client and the text for the log are two, and they meet here: an internal failure is logged
//! with its cause under an id, and the client gets the id. Invariant: every error is one sentence, in both
//! formats the same.

mod sentence;

use std::borrow::Cow;
use std::error::Error;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use hyper::StatusCode;
use hyper::header::{self, HeaderMap, HeaderValue};
use hyper::http::request::Parts;

use super::access_log::{SafePath, ShortMethod};
use super::endpoints::ReadQuery;
use super::json::JsonWriter;
use super::reply::{PROBLEM, Reply, TEXT};
use super::request_id::RequestId;
use super::route::Allow;
use super::session_token::SessionToken;
use super::validation::ValidationError;
use crate::model::moderation::Role;
use crate::store::Fence;

use sentence::Sentence;

/// The time after which a client that found the writer busy, or a replica behind, should try again.
const BUSY_TIME: Duration = Duration::from_secs(1);

/// The scheme by which a client of the admin API proves its role.
const BEARER: HeaderValue = HeaderValue::from_static("Bearer");
/// The same for a client whose token is wrong, as RFC 6750 says.
const WRONG_BEARER: HeaderValue = HeaderValue::from_static("Bearer error=\"invalid_token\"");

/// The reason a request fails.
#[derive(Debug)]
pub(super) enum ApiError {
    /// There is no endpoint at this path.
    NoSuchPath,
    /// The path is served, but not so.
    MethodNotAllowed { allow: Allow },
    /// The client is a page in a browser, which may not use this port.
    FromPage,
    /// The client has none of the roles that the endpoint needs.
    OtherRole { needed: &'static [Role] },
    /// The client has neither a token nor a certificate, and the server may have no tokens at all.
    NoToken { has_tokens: bool },
    /// The client sent a token that the server does not know, or that has expired.
    WrongToken { is_expired: bool },
    /// Too many such tokens came from the client's address.
    TooManyTokens { wait: Duration },
    /// The request asks for a host name under which this port does not answer.
    ForeignHost,
    /// The client is a page of an origin that may not write.
    ForeignOrigin,
    /// The request has no `Host`, more than one, or one that is none.
    BadHost,
    /// The body is encoded for its way in a manner that is not understood.
    UnknownCoding,
    /// The `Content-Type` of the body is not JSON.
    NotJson,
    /// The requested thing does not exist.
    NoSuch(ReadQuery),
    /// There is no such stock keeping unit.
    NoSuchSku(u64),
    /// The audit log has no such entry.
    NoSuchEntry(u64),
    /// An action is not undone, for the reason of this sentence.
    NotUndone(&'static str),
    /// The product is not the one that `If-Match` or `If-None-Match` names.
    OtherProduct,
    /// The request is wrong, in at least one way.
    Invalid(Vec<ValidationError>),
    /// The review is wrong, in at least one way.
    Unfit(Vec<ValidationError>),
    /// The body cannot be read; a clause gives the reason.
    Unreadable(String),
    /// The body did not come whole.
    BrokenBody,
    /// The body is larger than any that is taken.
    LargeBody,
    /// The document of a product is larger than any that is taken.
    LargeDocument,
    /// The `Content-Type` of the body is not one of lines of JSON.
    NotLines,
    /// The `Content-Type` of the body is not JSON, nor that of a merge patch.
    NotMergePatch,
    /// The body did not come in time.
    SlowBody,
    /// Other bodies under way hold the bytes that this one would need.
    ManyBodies,
    /// An `X-Min-Seq` that no server ever sent.
    UnreadableSeq,
    /// An `X-Min-Seq` that this replica has not reached yet.
    Behind {
        at: SessionToken,
        session_token: SessionToken,
    },
    /// This is a replica, its data are too old, and it is configured not to serve them.
    Stale(String),
    /// An `X-Min-Seq` of writes that were lost.
    LostSeq(SessionToken),
    /// An idempotency key was used for another request.
    OtherBody,
    /// The client writes more than it may.
    TooMany { wait: Duration },
    /// The product gets more reviews than it may.
    ManyReviews { wait: Duration },
    /// The review is to be checked before it is stored, and the check gave no answer.
    Unchecked,
    /// Answers on their way hold the response budget, and this one waited for its part long enough.
    BudgetSpent,
    /// The same, of the part that answers to one client may hold.
    ClientBudgetSpent,
    /// Too many reads wait for the disk; this one would wait too long.
    ManyReads,
    /// Too many writes wait; this one would wait too long.
    Busy,
    /// The disk has no space for more.
    DiskFull,
    /// The store takes no writes until an operator allows it.
    Fenced(Fence),
    /// A write failed, and its outcome is unknown.
    Unknown,
    /// A write is done here, and no replica confirmed it in time.
    Unacknowledged,
    /// This is a replica, and its primary takes the writes.
    ReadOnly { allow: Allow, primary: Arc<str> },
    /// This is a replica, and an operator changes reviews on the primary; the address of its admin port.
    OnReplica { primary: Arc<str> },
    /// This is a replica, and its primary cannot be reached.
    Unreached(Box<dyn Error + Send + Sync>),
    /// This is a replica, and its primary does not answer.
    Unanswered(Box<dyn Error + Send + Sync>),
    /// This is a replica, and another replica passed the request on.
    Circle,
    /// The server is about to stop, or to start, or its data are too old.
    NotReady(Cow<'static, str>),
    /// We failed.
    Internal(Box<dyn Error + Send + Sync>),
}

impl ApiError {
    /// A failure of ours.
    pub(super) fn internal(cause: impl Error + Send + Sync + 'static) -> Self {
        Self::Internal(Box::new(cause))
    }

    pub(super) fn status(&self) -> StatusCode {
        match self {
            Self::NoSuchPath | Self::NoSuch(_) | Self::NoSuchSku(_) | Self::NoSuchEntry(_) => {
                StatusCode::NOT_FOUND
            }
            Self::NotUndone(_) => StatusCode::CONFLICT,
            Self::MethodNotAllowed { .. } | Self::ReadOnly { .. } => StatusCode::METHOD_NOT_ALLOWED,
            Self::FromPage | Self::OtherRole { .. } | Self::ForeignOrigin => StatusCode::FORBIDDEN,
            Self::OnReplica { .. } | Self::ForeignHost => StatusCode::MISDIRECTED_REQUEST,
            Self::NoToken { .. } | Self::WrongToken { .. } => StatusCode::UNAUTHORIZED,
            Self::UnknownCoding => StatusCode::NOT_IMPLEMENTED,
            Self::NotJson | Self::NotLines | Self::NotMergePatch => {
                StatusCode::UNSUPPORTED_MEDIA_TYPE
            }
            Self::Invalid(_) | Self::Unfit(_) | Self::OtherBody => StatusCode::UNPROCESSABLE_ENTITY,
            Self::Unreadable(_) | Self::BrokenBody | Self::UnreadableSeq | Self::BadHost => {
                StatusCode::BAD_REQUEST
            }
            Self::LostSeq(_) | Self::OtherProduct => StatusCode::PRECONDITION_FAILED,
            Self::LargeBody | Self::LargeDocument => StatusCode::PAYLOAD_TOO_LARGE,
            Self::SlowBody => StatusCode::REQUEST_TIMEOUT,
            Self::TooMany { .. }
            | Self::ManyReviews { .. }
            | Self::TooManyTokens { .. }
            | Self::ClientBudgetSpent => StatusCode::TOO_MANY_REQUESTS,
            Self::NotReady(_)
            | Self::Busy
            | Self::Unchecked
            | Self::BudgetSpent
            | Self::ManyReads
            | Self::ManyBodies
            | Self::Behind { .. }
            | Self::Fenced(_)
            | Self::Unknown
            | Self::Unacknowledged
            | Self::Unreached(_) => StatusCode::SERVICE_UNAVAILABLE,
            Self::Unanswered(_) => StatusCode::BAD_GATEWAY,
            // Not 503: a proxy should ask another server after this one, and not after every `Behind`, which
            // any client that makes up an X-Min-Seq can bring about.
            Self::Stale(_) => StatusCode::GATEWAY_TIMEOUT,
            Self::Circle => StatusCode::LOOP_DETECTED,
            Self::DiskFull => StatusCode::INSUFFICIENT_STORAGE,
            Self::Internal(_) => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    /// Returns the sentence by which a client hears of it.
    pub(super) fn sentence(&self) -> String {
        Sentence(self, None).to_string()
    }

    /// Returns the validation errors, where it is made of these.
    pub(super) fn faults(&self) -> &[ValidationError] {
        match self {
            Self::Invalid(faults) | Self::Unfit(faults) => faults,
            _ => &[],
        }
    }

    /// Logs an internal failure, and returns the response to the request with `head`, whose request id is `id`.
    pub(super) fn report(self, head: &Parts, id: &mut RequestId) -> Reply {
        let status = self.status();
        let request_id = status.is_server_error().then(|| id.name());
        if let Some(request_id) = request_id {
            self.log(head, request_id);
        }
        let sentence = Sentence(&self, request_id).to_string();
        let mut reply = if names_json(&head.headers) {
            let problem = self.problem(status, &sentence, request_id);
            Reply::new(status, PROBLEM, problem)
        } else {
            Reply::new(status, TEXT, format!("Error: {sentence}"))
        };
        // The rest of the body, or what a proxy takes for it, would be read as the next request.
        let ends = matches!(
            self,
            Self::LargeBody
                | Self::LargeDocument
                | Self::SlowBody
                | Self::ManyBodies
                | Self::BadHost
                | Self::UnknownCoding
        );
        if ends {
            reply = reply.with(header::CONNECTION, HeaderValue::from_static("close"));
        }
        match self {
            Self::MethodNotAllowed { allow } | Self::ReadOnly { allow, .. } => reply.allow(allow),
            Self::NoToken { .. } => reply.with(header::WWW_AUTHENTICATE, BEARER),
            Self::WrongToken { .. } => reply.with(header::WWW_AUTHENTICATE, WRONG_BEARER),
            Self::TooMany { wait } | Self::ManyReviews { wait } | Self::TooManyTokens { wait } => {
                reply.with(header::RETRY_AFTER, seconds(wait))
            }
            Self::Busy
            | Self::Unchecked
            | Self::BudgetSpent
            | Self::ClientBudgetSpent
            | Self::ManyReads
            | Self::ManyBodies
            | Self::Behind { .. }
            | Self::Stale(_)
            | Self::Unreached(_) => reply.with(header::RETRY_AFTER, seconds(BUSY_TIME)),
            _ => reply,
        }
    }

    /// Logs a 5xx: as a failure of the server or of its disk, unless a probe requests it again and again, or a
    /// client alone brings it about.
    fn log(&self, head: &Parts, request_id: &str) {
        let method = ShortMethod(&head.method);
        let path = SafePath(head.uri.path());
        match self {
            Self::Internal(cause) => {
                let cause = CauseChain(cause.as_ref());
                tracing::error!(request_id, "{method} {path} failed: {cause}");
            }
            Self::Unreached(why) | Self::Unanswered(why) => {
                tracing::warn!(request_id, "{method} {path} was not forwarded: {why}");
            }
            Self::Stale(why) => {
                tracing::warn!(request_id, "{method} {path} was rejected: {why}");
            }
            Self::Fenced(why) => {
                tracing::warn!(request_id, "{method} {path} was rejected: {why}");
            }
            Self::NotReady(_) | Self::UnknownCoding => {
                let why = Sentence(self, None);
                tracing::debug!(request_id, "{method} {path} was rejected: {why}");
            }
            refused => {
                let why = Sentence(refused, None);
                tracing::warn!(request_id, "{method} {path} was rejected: {why}");
            }
        }
    }

    fn problem(&self, status: StatusCode, sentence: &str, request_id: Option<&str>) -> Vec<u8> {
        let mut json = JsonWriter::with_capacity(256);
        json.raw(r#"{"type":"about:blank","title":"#)
            .text(status.canonical_reason().unwrap_or("Error"))
            .raw(r#","status":"#)
            .raw(status.as_str())
            .raw(r#","detail":"#)
            .text(sentence)
            .raw(r#","errors":["#);
        match self {
            Self::Invalid(faults) | Self::Unfit(faults) => {
                json.joined(faults, |json, fault| fault.write(json))
            }
            _ => json.raw(r#"{"detail":"#).text(sentence).raw("}"),
        };
        json.raw("]");
        if let Some(request_id) = request_id {
            json.raw(r#","request_id":"#).text(request_id);
        }
        json.raw("}");
        json.into_bytes()
    }
}

/// A time in whole seconds, the last one begun counted.
fn seconds(time: Duration) -> HeaderValue {
    let begun = u64::from(time.subsec_nanos() > 0);
    HeaderValue::from(time.as_secs() + begun)
}

/// A cause with the causes behind it.
struct CauseChain<'e>(&'e (dyn Error + Send + Sync));

impl fmt::Display for CauseChain<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)?;
        let mut cause = self.0.source();
        while let Some(deeper) = cause {
            write!(f, ": {deeper}")?;
            cause = deeper.source();
        }
        Ok(())
    }
}

/// True if a client that sends these headers names JSON among what it takes.
fn names_json(request: &HeaderMap) -> bool {
    request
        .get_all(header::ACCEPT)
        .iter()
        .filter_map(|accept| accept.to_str().ok())
        .flat_map(|accept| accept.split(','))
        .any(is_wanted_json)
}

fn is_wanted_json(range: &str) -> bool {
    let mut parts = range.split(';').map(str::trim);
    let media_type = parts.next().unwrap_or_default().to_ascii_lowercase();
    let refused = parts.any(|part| {
        let weight = part.strip_prefix("q=").or_else(|| part.strip_prefix("Q="));
        weight.is_some_and(|weight| weight.parse() == Ok(0.0_f32))
    });
    !refused && (media_type.ends_with("/json") || media_type.ends_with("+json"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use hyper::Request;

    fn accepts(accept: &str) -> bool {
        let request = Request::builder().header(header::ACCEPT, accept).body(());
        names_json(request.unwrap().headers())
    }

    #[test]
    fn json_is_named_by_its_media_types_only() {
        for accept in [
            "application/json",
            "application/json, text/plain, */*",
            "text/html;q=0.9, Application/JSON;q=0.1",
            "application/problem+json",
            "application/vnd.api+json; charset=utf-8",
        ] {
            assert!(accepts(accept), "{accept}");
        }
        for accept in [
            "",
            "*/*",
            "text/plain",
            "application/*",
            "application/json;q=0",
        ] {
            assert!(!accepts(accept), "{accept}");
        }
    }

    #[test]
    fn a_failure_of_ours_shows_its_id_and_not_its_cause() {
        let (head, ()) = Request::new(()).into_parts();
        let failed = ApiError::internal(std::io::Error::other("secret/path"));
        let sentence = Sentence(&failed, Some("abc-1")).to_string();
        assert_eq!(sentence, "the server failed to answer (request abc-1)");
        let mut id = RequestId::default();
        drop(failed.report(&head, &mut id));
        assert!(id.into_header().is_some());
    }
}
