//! The audit log within a group: entries that are written with what they tell of.
//!
//! Must not know the queue or how clients are answered. Invariant: entries are numbered without a gap, and a number
//! is not given again.

use super::states::{AuditedAction, OwnedStanding};
use super::{CommitGroup, value_of};
use crate::error::Error;
use crate::key::{Family, IdKey};
use crate::moderation::audit::AuditEntry;
use crate::rocks::WriteBatch;

impl CommitGroup<'_> {
    /// Enters an action on a product, or on a review whose standing it leaves, into the audit log. Returns the
    /// number of the entry.
    pub(super) fn audit(&mut self, subject: u64, action: &AuditedAction<'_>) -> Result<u64, Error> {
        let entry = self.entry(subject, action, None, None)?;
        Ok(self.push_entry(entry))
    }

    /// The value of an entry.
    pub(super) fn entry(
        &self,
        subject: u64,
        action: &AuditedAction<'_>,
        before: Option<&OwnedStanding>,
        after: Option<&OwnedStanding>,
    ) -> Result<Vec<u8>, Error> {
        let entry = AuditEntry {
            at_ms: self.times.now_ms,
            actor: &action.by.name,
            role: action.by.role,
            action: action.action,
            subject,
            reason: action.reason,
            note: action.note,
            before: before.map(OwnedStanding::as_entry),
            after: after.map(OwnedStanding::as_entry),
        };
        value_of(Family::Audit, self.counters.next_audit_entry, &entry)
    }

    /// Adds the value of an entry. Returns its number.
    pub(super) fn push_entry(&mut self, value: Vec<u8>) -> u64 {
        let number = self.counters.next_audit_entry;
        self.counters.next_audit_entry += 1;
        self.bytes += value.len();
        self.entries.insert(number, value);
        number
    }

    /// Removes entries that are older than the log keeps them.
    pub(crate) fn prune_audit(&mut self, entries: Vec<u64>) {
        self.pruned_entries.extend(entries);
    }

    pub(super) fn write_audit(&self, batch: &mut WriteBatch<'_>) -> Result<(), Error> {
        for number in &self.pruned_entries {
            batch.delete(Family::Audit, IdKey::from(*number))?;
        }
        for (number, value) in &self.entries {
            batch.put(Family::Audit, IdKey::from(*number), value)?;
        }
        Ok(())
    }
}
