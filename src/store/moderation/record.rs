//! Entries of the audit log as operators see them, with words for all codes.
//!
//! Owns the names of the fields. Must not know the writers or readers of the JSON. Invariant: a record has everything
//! that the store has of an entry.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use super::audit::{AuditEntry, ReviewStanding};

/// An entry of the audit log as operators see it: as it is listed and exported.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditRecord<'a> {
    /// Its number.
    pub entry: u64,
    /// Milliseconds since 1970.
    pub at_ms: i64,
    /// The name of the actor.
    pub actor: Cow<'a, str>,
    /// The word for its role.
    pub role: Cow<'a, str>,
    /// The word for what was done.
    pub action: Cow<'a, str>,
    /// The id of the review or the product that it was done to.
    pub subject: u64,
    /// The word for the ground.
    pub reason: Cow<'a, str>,
    /// The actor's own words.
    pub note: Option<Cow<'a, str>>,
    /// How the review stood before.
    pub before: Option<StandingRecord<'a>>,
    /// How it stood after.
    pub after: Option<StandingRecord<'a>>,
}

/// How a review stands, as operators see it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StandingRecord<'a> {
    /// The word for its state.
    pub state: Cow<'a, str>,
    /// The time of the report that hid it, in milliseconds since 1970.
    pub reported_ms: Option<i64>,
    /// The hash of the client that reported it.
    pub reporter: Option<String>,
    /// The time of the decision that gave it that state, in milliseconds since 1970.
    pub decided_ms: Option<i64>,
    /// The word for the ground of that decision.
    pub decided_reason: Option<Cow<'a, str>>,
    /// The name of the actor that decided.
    pub decided_by: Option<Cow<'a, str>>,
}

impl<'a> AuditRecord<'a> {
    /// The record of an entry.
    #[must_use]
    pub fn of(number: u64, entry: &AuditEntry<'a>) -> Self {
        Self {
            entry: number,
            at_ms: entry.at_ms,
            actor: entry.actor.into(),
            role: entry.role.word().into(),
            action: entry.action.word().into(),
            subject: entry.subject,
            reason: entry.reason.word().into(),
            note: entry.note.map(Cow::Borrowed),
            before: entry.before.as_ref().map(StandingRecord::of),
            after: entry.after.as_ref().map(StandingRecord::of),
        }
    }

    /// The same, with texts of its own.
    #[must_use]
    pub fn into_owned(self) -> AuditRecord<'static> {
        AuditRecord {
            entry: self.entry,
            at_ms: self.at_ms,
            actor: owned(self.actor),
            role: owned(self.role),
            action: owned(self.action),
            subject: self.subject,
            reason: owned(self.reason),
            note: self.note.map(owned),
            before: self.before.map(StandingRecord::into_owned),
            after: self.after.map(StandingRecord::into_owned),
        }
    }
}

impl<'a> StandingRecord<'a> {
    fn of(standing: &ReviewStanding<'a>) -> Self {
        let (report, decision) = (standing.report, standing.decision);
        Self {
            state: standing.state.word().into(),
            reported_ms: report.map(|report| report.at_ms),
            reporter: report.map(|report| report.reporter.to_string()),
            decided_ms: decision.map(|decision| decision.at_ms),
            decided_reason: decision.map(|decision| decision.reason.word().into()),
            decided_by: decision.map(|decision| decision.by.into()),
        }
    }

    fn into_owned(self) -> StandingRecord<'static> {
        StandingRecord {
            state: owned(self.state),
            reported_ms: self.reported_ms,
            reporter: self.reporter,
            decided_ms: self.decided_ms,
            decided_reason: self.decided_reason.map(owned),
            decided_by: self.decided_by.map(owned),
        }
    }
}

fn owned(text: Cow<'_, str>) -> Cow<'static, str> {
    Cow::Owned(text.into_owned())
}
