//! The settings of moderation that the writer keeps to.
//!
//! Must not know the configuration. Invariant: with the defaults a report hides a review at once, as it did before
//! there were settings.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// The reports of a review that are kept, one for each client; those beyond change nothing.
pub const REPORTS_MAX: usize = 255;

/// The settings of moderation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ModerationSettings {
    /// The number of clients whose reports hide a published review, from 1 to [`REPORTS_MAX`].
    pub reports_to_hide: usize,
    /// The time from the removal of a review to its erasure.
    pub undo_time: Duration,
    /// The time for which the audit log keeps an entry; `None` is for ever.
    pub audit_time: Option<Duration>,
    /// True if the votes of each client are kept, so that the client can take them back.
    pub keep_votes: bool,
    /// True if a product takes one review of each e-mail address.
    pub one_review_per_email: bool,
}

impl Default for ModerationSettings {
    fn default() -> Self {
        Self::DEFAULT
    }
}

impl ModerationSettings {
    /// The settings where none are given.
    pub const DEFAULT: Self = Self {
        reports_to_hide: 1,
        undo_time: Duration::from_hours(7 * 24),
        audit_time: None,
        keep_votes: false,
        one_review_per_email: false,
    };

    /// The number of reports that hide a review, within its bounds.
    pub(crate) fn reports_to_hide(&self) -> usize {
        self.reports_to_hide.clamp(1, REPORTS_MAX)
    }
}

/// A time as milliseconds, of which there are enough.
pub(crate) fn millis(time: Duration) -> i64 {
    i64::try_from(time.as_millis()).unwrap_or(i64::MAX)
}

/// The settings of a writer that works.
#[derive(Debug)]
pub(crate) struct LiveModeration(Mutex<ModerationSettings>);

impl LiveModeration {
    pub(crate) fn of(settings: ModerationSettings) -> Self {
        Self(Mutex::new(settings))
    }

    pub(crate) fn get(&self) -> ModerationSettings {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn set(&self, settings: ModerationSettings) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = settings;
    }
}
