//! The sentence by which a client hears of an error, the same in both formats.
//!
//! Must not know statuses or headers. Invariants: a sentence names no cause of an internal failure; it is one
//! line.

use std::fmt;

use super::super::body;
use super::super::validation::ValidationError;
use super::ApiError;

/// The text of an error for its client, with the request id if the log has it.
pub(super) struct Sentence<'e>(pub(super) &'e ApiError, pub(super) Option<&'e str>);

impl fmt::Display for Sentence<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            ApiError::MethodNotAllowed { allow } => write!(f, "this path answers {allow} only"),
            ApiError::NoSuch(read_query) => write!(f, "there is no {read_query}"),
            ApiError::NoSuchSku(sku) => write!(f, "there is no sku {sku}"),
            ApiError::NoSuchEntry(entry) => write!(f, "the audit log has no entry {entry}"),
            ApiError::NotUndone(why) => f.write_str(why),
            ApiError::Invalid(faults) => {
                f.write_str(faults.first().map_or("", ValidationError::detail))
            }
            ApiError::Unfit(faults) => write_all(f, faults),
            ApiError::Unreadable(why) => f.write_str(why),
            ApiError::LargeBody => {
                write!(f, "the body must have at most {} bytes", body::BYTES_MAX)
            }
            ApiError::Behind { at, session_token } => write!(
                f,
                "this server is at {at}, and has not reached {session_token} of X-Min-Seq yet; please \
                 try again"
            ),
            ApiError::LostSeq(session_token) => write!(
                f,
                "{session_token} of X-Min-Seq was lost when another server became the primary; leave \
                 X-Min-Seq out"
            ),
            ApiError::ReadOnly { primary, .. } => write!(
                f,
                "this is a read-only replica; send writes to the primary at {primary}"
            ),
            ApiError::OtherRole { needed } => {
                f.write_str("this needs a token with the role ")?;
                for (index, role) in needed.iter().enumerate() {
                    f.write_str(if index == 0 { "" } else { " or " })?;
                    f.write_str(role.word())?;
                }
                Ok(())
            }
            ApiError::OnReplica { primary } => write!(
                f,
                "this server is a read-only replica; use the admin port of the primary, {primary}"
            ),
            ApiError::NotReady(why) if !why.is_empty() => {
                write!(f, "the server is not taking requests: {why}")
            }
            other => f.write_str(fixed(other)),
        }?;
        match self.1 {
            Some(request_id) => write!(f, " (request {request_id})"),
            None => Ok(()),
        }
    }
}

fn write_all(f: &mut fmt::Formatter<'_>, faults: &[ValidationError]) -> fmt::Result {
    for (index, fault) in faults.iter().enumerate() {
        f.write_str(if index == 0 { "" } else { "; " })?;
        f.write_str(fault.detail())?;
    }
    Ok(())
}

/// The sentence of an error that is the same for every request.
fn fixed(error: &ApiError) -> &'static str {
    match error {
        ApiError::NoSuchPath => "nothing is served at this path",
        ApiError::NoToken { has_tokens: true } => {
            "this needs a token; send one as Authorization: Bearer TOKEN"
        }
        ApiError::NoToken { has_tokens: false } => {
            "this needs a token, and the server has none; make one with `reviewsd token add`, and name its file \
             in admin.tokens_file"
        }
        ApiError::WrongToken { is_expired: true } => {
            "the token has expired; make another one with `reviewsd token add`"
        }
        ApiError::WrongToken { is_expired: false } => {
            "the token is unknown; `reviewsd token list` shows the names of all"
        }
        ApiError::TooManyTokens { .. } => {
            "too many wrong tokens from this address; wait, and send the right one"
        }
        ApiError::FromPage => "this port does not serve pages in a browser",
        ApiError::ForeignHost => {
            "this port does not serve this host name; use its address, or add the name to net.admin_hosts"
        }
        ApiError::ForeignOrigin => {
            "pages of this origin may not write; api.cors_origins names those that may"
        }
        ApiError::BadHost => "a request must have one Host header, with a host in it",
        ApiError::UnknownCoding => "the only supported transfer coding is chunked, once",
        ApiError::NotJson => "the body must be sent as Content-Type: application/json",
        ApiError::NotLines => "the body must be sent as Content-Type: application/x-ndjson",
        ApiError::NotMergePatch => {
            "the body must be sent as Content-Type: application/merge-patch+json or application/json"
        }
        ApiError::OtherProduct => {
            "the product is not the version that If-Match or If-None-Match names; read it again"
        }
        ApiError::LargeDocument => "the document of a product must have at most 1 MiB",
        ApiError::BrokenBody => "the body is incomplete",
        ApiError::SlowBody => "the body did not arrive in time",
        ApiError::ManyBodies => {
            "too many requests with a body are in flight; nothing was changed, please try again"
        }
        ApiError::UnreadableSeq => "X-Min-Seq must be the value of an X-Seq, like 1.345",
        ApiError::Stale(_) => {
            "this replica is too far behind its primary; please use another server"
        }
        ApiError::OtherBody => "this Idempotency-Key was used with another body",
        ApiError::TooMany { .. } => "too many writes from this address",
        ApiError::Unchecked => {
            "the review cannot be checked at the moment; nothing was changed, please try again"
        }
        ApiError::ManyReviews { .. } => "too many reviews of this product; please try again later",
        ApiError::BudgetSpent => "too many large responses are in flight; please try again",
        ApiError::ClientBudgetSpent => {
            "too many large responses to this address are in flight; read them, and try again"
        }
        ApiError::ManyReads => "too many reads are waiting; please try again",
        ApiError::Busy => "too many writes are waiting; please try again",
        ApiError::DiskFull => {
            "the disk is almost full, so writes are rejected; nothing was changed"
        }
        ApiError::Fenced(_) => {
            "writes are fenced until an operator intervenes; nothing was changed"
        }
        ApiError::Unknown => {
            "the write failed and its outcome is unknown; sending it again is safe with the same \
             Idempotency-Key"
        }
        ApiError::Unacknowledged => {
            "the write was committed here, but no replica confirmed it in time, so its outcome is unknown; \
             sending it again is safe with the same Idempotency-Key"
        }
        ApiError::Unreached(_) => {
            "this is a replica, and the primary cannot be reached; nothing was changed, please try again"
        }
        ApiError::Unanswered(_) => {
            "this is a replica, and the primary did not answer, so the outcome is unknown; sending it \
             again is safe with the same Idempotency-Key"
        }
        ApiError::Circle => {
            "this is a replica, and another replica forwarded this write to it; replica.primary there \
             must name the primary"
        }
        ApiError::NotReady(_) => "the server is not taking requests",
        ApiError::Internal(_) => "the server failed to answer",
        ApiError::MethodNotAllowed { .. }
        | ApiError::OtherRole { .. }
        | ApiError::NoSuch(_)
        | ApiError::NoSuchSku(_)
        | ApiError::NoSuchEntry(_)
        | ApiError::NotUndone(_)
        | ApiError::Invalid(_)
        | ApiError::Unfit(_)
        | ApiError::Unreadable(_)
        | ApiError::LargeBody
        | ApiError::Behind { .. }
        | ApiError::LostSeq(_)
        | ApiError::ReadOnly { .. }
        | ApiError::OnReplica { .. } => "the request cannot be answered",
    }
}
