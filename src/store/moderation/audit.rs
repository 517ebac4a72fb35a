//! The entries of the audit log: who did what to which review or product, when, and on what ground.
//!
//! Must not know keys or bytes. Invariant: an entry has no text of a review, and no address of a person.

use crate::model::Report;
use crate::model::moderation::{AuditAction, Decision, ReasonCode, ReviewState, Role};

/// An entry of the audit log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AuditEntry<'a> {
    /// Milliseconds since 1970-01-01T00:00:00Z.
    pub at_ms: i64,
    /// The name of the actor.
    pub actor: &'a str,
    /// Its role.
    pub role: Role,
    /// What was done.
    pub action: AuditAction,
    /// The id of the review or the product that it was done to.
    pub subject: u64,
    /// The ground.
    pub reason: ReasonCode,
    /// The actor's own words.
    pub note: Option<&'a str>,
    /// How the review stood before; `None` for a new one, and for a product.
    pub before: Option<ReviewStanding<'a>>,
    /// How it stood after; `None` for one that was erased, and for a product.
    pub after: Option<ReviewStanding<'a>>,
}

/// How a review stands with moderators and clients.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReviewStanding<'a> {
    /// Its state.
    pub state: ReviewState,
    /// The report that hid it.
    pub report: Option<Report>,
    /// The decision that gave it that state.
    pub decision: Option<Decision<'a>>,
}
