//! The values of the `moderation` family.
//!
//! Must not know keys or bytes.

use crate::model::moderation::ReasonCode;

/// A client's report of a review that no moderator has dealt with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OpenReport {
    /// Milliseconds since 1970-01-01T00:00:00Z.
    pub at_ms: i64,
    /// The ground that the client gave.
    pub reason: ReasonCode,
}

/// The votes of a client for a review that it may take back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct VoteRecord {
    /// The number of votes.
    pub(crate) votes: u32,
    /// The time of the last one.
    pub(crate) at_ms: i64,
}
