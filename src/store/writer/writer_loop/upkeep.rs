//! The writer's own work between groups: when it is done, and that it is committed like any other.
//!
//! Must not know what is due. Invariants: no change waits for more than one step; nothing is written to a store that
//! takes no writes.

use std::collections::BTreeSet;
use std::thread;

use super::WriterLoop;
use crate::erase::Traces;
use crate::error::Error;
use crate::join_on_drop::JoinOnDrop;
use crate::model::ReviewId;
use crate::scan::NamedKey;
use crate::writer::group::{CommitGroup, Times};
use crate::writer::housekeeping::HouseWork;

impl WriterLoop<'_> {
    /// Returns true if there may be work, and it may be done.
    pub(super) fn is_house_due(&self) -> bool {
        let scrubs = self.scrubbing.as_ref();
        self.house.is_due((self.now_ms)())
            && scrubs.is_none_or(JoinOnDrop::is_finished)
            && self.store.fence().is_none()
            && self.store.full().is_none()
    }

    /// Takes the settings of moderation as they are now.
    pub(super) fn take_settings(&mut self) {
        let settings = self.moderation.get();
        if settings != self.settings {
            self.settings = settings;
            self.house.look_again();
        }
    }

    /// Does a step of what is due, if anything is.
    pub(super) fn keep_house(&mut self) -> Result<(), Error> {
        if !self.is_house_due() {
            return Ok(());
        }
        self.take_settings();
        let now_ms = (self.now_ms)();
        let times = Times {
            now_ms,
            date_ms: now_ms,
        };
        let mut group = CommitGroup::new(self.store, self.counters, times, self.settings);
        let traces = self.do_step(&mut group, now_ms);
        let traces = traces.unwrap_or_else(|error| {
            tracing::warn!(
                "removed reviews and old entries of the audit log stay until the next start: {error}; \
                 `reviewsd verify` finds what is damaged"
            );
            self.house.give_up();
            None
        });
        self.commit(group, 1)?;
        if let Some(traces) = traces {
            self.scrub(traces);
        }
        Ok(())
    }

    fn do_step(
        &mut self,
        group: &mut CommitGroup<'_>,
        now_ms: i64,
    ) -> Result<Option<Traces>, Error> {
        let view = self.store.rocks().view();
        match self.house.look(&view, &self.settings, now_ms)? {
            None => {}
            Some(HouseWork::Prune(entries)) => group.prune_audit(entries),
            Some(HouseWork::Index(rows)) => group.add_missing(rows),
            Some(HouseWork::Erase(reviews, names)) => {
                return self.expire(group, &reviews, names).map(Some);
            }
        }
        Ok(None)
    }

    /// Erases removed reviews, those that cannot be excepted.
    fn expire(
        &mut self,
        group: &mut CommitGroup<'_>,
        reviews: &BTreeSet<ReviewId>,
        names: Vec<NamedKey>,
    ) -> Result<Traces, Error> {
        let mut traces = self.store.traces_of(reviews, names)?;
        let mut left = reviews.clone();
        for (id, idempotency_keys) in traces.take_reviews() {
            match group.expire(id, idempotency_keys) {
                Ok(true) => {
                    left.remove(&id);
                }
                Ok(false) => {}
                Err(damaged) => tracing::warn!("review {id} is removed, and not erased: {damaged}"),
            }
        }
        for id in left {
            self.house.pass_over(id);
        }
        Ok(traces)
    }

    /// Removes erased rows from the disk, which takes seconds and holds up no change.
    fn scrub(&mut self, traces: Traces) {
        let store = self.store.clone();
        let scrub = move || {
            if let Err(error) = store.scrub(&traces) {
                tracing::warn!("bytes of erased reviews are still in files: {error}");
            }
        };
        match thread::Builder::new().name("scrub".to_owned()).spawn(scrub) {
            Ok(thread) => self.scrubbing = Some(thread.into()),
            Err(error) => tracing::warn!("bytes of erased reviews are still in files: {error}"),
        }
    }
}
