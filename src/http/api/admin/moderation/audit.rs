//! The audit log, page by page: who did what to which review or product, when, and on what ground.
//!
//! Owns the names of the fields. Must not know how entries are stored. Invariant: a page has a bounded number of
//! entries, in the order of their numbers.

use std::ops::ControlFlow;

use hyper::StatusCode;
use serde::Serialize;

use crate::error::ApiError;
use crate::model::calendar::timestamp;
use crate::model::moderation::AuditAction;
use crate::reply::Reply;
use crate::store::{AuditEntry, Reader, ReviewStanding, Store};
use crate::validation::ValidationError;

use super::super::operator::{Operator, json, parameter};

/// Entries in one answer, unless the request says otherwise, and at most.
const ENTRIES: usize = 100;
const ENTRIES_MAX: usize = 1000;
/// The content type of entries that are a line each.
const LINES: &str = "application/x-ndjson";

/// A page of the audit log.
#[derive(Debug, Serialize)]
struct AuditPage {
    items: Vec<AuditItem>,
    /// The number after which the next page begins; `null` after the last entry.
    next: Option<u64>,
}

/// An entry of the audit log, as clients see it.
#[derive(Debug, Serialize)]
struct AuditItem {
    entry: u64,
    at: String,
    actor: String,
    role: &'static str,
    action: &'static str,
    /// The review that it was done to.
    #[serde(skip_serializing_if = "Option::is_none")]
    review: Option<u64>,
    /// The product that it was done to.
    #[serde(skip_serializing_if = "Option::is_none")]
    product: Option<u64>,
    reason: &'static str,
    note: Option<String>,
    before: Option<StandingItem>,
    after: Option<StandingItem>,
}

/// How a review stood, as clients see it.
#[derive(Debug, Serialize)]
struct StandingItem {
    state: &'static str,
    /// The decision that gave it that state: when, on what ground, and who decided.
    decided_at: Option<String>,
    decided_reason: Option<&'static str>,
    decided_by: Option<String>,
    /// The report that hid it: when, and the hash of the client.
    reported_at: Option<String>,
    reporter: Option<String>,
}

impl Operator {
    /// A page of the audit log: as an object, or as a line for each entry if `takes_lines`.
    pub(in crate::admin) async fn audit(
        &self,
        query: Option<&str>,
        takes_lines: bool,
    ) -> Result<Reply, ApiError> {
        let (after, limit) = window(query)?;
        let page = move |reader: &Reader<'_>| {
            let mut items = Vec::new();
            let mut next = None;
            reader.audit(after, |number, entry| {
                if items.len() >= limit {
                    next = items.last().map(|last: &AuditItem| last.entry);
                    return ControlFlow::Break(());
                }
                items.push(AuditItem::of(number, entry));
                ControlFlow::Continue(())
            })?;
            Ok(AuditPage { items, next })
        };
        // A long read.
        let page = self.work.reads.later(move |store: &Store| store.read(page));
        let page = page.await?;
        if !takes_lines {
            return json(&page);
        }
        let mut lines = Vec::new();
        for item in &page.items {
            serde_json::to_writer(&mut lines, item).map_err(ApiError::internal)?;
            lines.push(b'\n');
        }
        Ok(Reply::new(StatusCode::OK, LINES, lines))
    }
}

/// The number of the entry before the page, and the number of entries; or everything that is wrong with them.
fn window(query: Option<&str>) -> Result<(Option<u64>, usize), ApiError> {
    let mut faults = Vec::new();
    let after = parameter(query, "after").filter(|after| !after.is_empty());
    let after = after.map(|after| after.parse());
    if let Some(Err(_)) = after {
        faults.push(ValidationError::invalid("after"));
    }
    let limit = parameter(query, "limit").map_or(Ok(ENTRIES), |limit| limit.parse());
    match limit {
        Ok(limit) if (1..=ENTRIES_MAX).contains(&limit) && faults.is_empty() => {
            Ok((after.and_then(Result::ok), limit))
        }
        Ok(limit) if (1..=ENTRIES_MAX).contains(&limit) => Err(ApiError::Invalid(faults)),
        _ => {
            faults.push(ValidationError::invalid("limit"));
            Err(ApiError::Invalid(faults))
        }
    }
}

impl AuditItem {
    fn of(number: u64, entry: &AuditEntry<'_>) -> Self {
        let is_of_product = matches!(
            entry.action,
            AuditAction::PutProduct | AuditAction::RemoveProduct
        );
        Self {
            entry: number,
            at: timestamp(entry.at_ms),
            actor: entry.actor.to_owned(),
            role: entry.role.word(),
            action: entry.action.word(),
            review: (!is_of_product).then_some(entry.subject),
            product: is_of_product.then_some(entry.subject),
            reason: entry.reason.word(),
            note: entry.note.map(str::to_owned),
            before: entry.before.as_ref().map(StandingItem::of),
            after: entry.after.as_ref().map(StandingItem::of),
        }
    }
}

impl StandingItem {
    fn of(standing: &ReviewStanding<'_>) -> Self {
        let (report, decision) = (standing.report, standing.decision);
        Self {
            state: standing.state.word(),
            decided_at: decision.map(|decision| timestamp(decision.at_ms)),
            decided_reason: decision.map(|decision| decision.reason.word()),
            decided_by: decision.map(|decision| decision.by.to_owned()),
            reported_at: report.map(|report| timestamp(report.at_ms)),
            reporter: report.map(|report| report.reporter.to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_parameters_of_the_audit_log_are_checked() {
        assert_eq!(window(None).unwrap(), (None, ENTRIES));
        assert_eq!(window(Some("after=&limit=1")).unwrap(), (None, 1));
        let most = window(Some("after=7&limit=1000"));
        assert_eq!(most.unwrap(), (Some(7), ENTRIES_MAX));
        for (query, wrong) in [
            ("after=x", &["after"][..]),
            ("limit=0", &["limit"]),
            ("limit=1001&after=-1", &["after", "limit"]),
            ("limit=x", &["limit"]),
        ] {
            let error = window(Some(query)).unwrap_err();
            let named = error.faults().iter().filter_map(ValidationError::parameter);
            let named: Vec<_> = named.collect();
            assert_eq!(named, wrong, "{query}");
        }
    }
}
