//! `[backup]`: the target of backups, how many are retained, and how much data a lost machine takes with it.

use serde::{Deserialize, Serialize};

use super::{ConfigErrors, TIME_CEILING, Time};

/// Segments that are shipped more often than this cost more than they save.
const SEGMENT_TIME_MIN: Time = Time::from_millis(100);
/// Snapshots that are taken more often leave no time for anything else.
const SNAPSHOT_EVERY_MIN: Time = Time::from_secs(1);
const SNAPSHOT_EVERY_MAX: Time = Time::from_secs(30 * 86_400);

/// `[backup]`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct BackupConfig {
    /// The directory, or `s3://BUCKET/PREFIX`.
    pub to: Option<String>,
    /// The number of latest backups that are retained; 0 is all.
    pub keep: usize,
    /// The age up to which backups are retained; zero retains all.
    pub keep_for: Time,
    /// The time after which a commit is shipped.
    pub segment_time: Time,
    /// While it is shipped, another snapshot is taken when the latest is so old; nothing is never.
    pub snapshot_every: Time,
}

impl Default for BackupConfig {
    fn default() -> Self {
        Self {
            to: None,
            keep: 0,
            keep_for: Time::from_secs(0),
            segment_time: Time::from_secs(5),
            snapshot_every: Time::from_secs(86_400),
        }
    }
}

impl BackupConfig {
    /// Checks the values that are valid or invalid only together.
    pub(super) fn validate(&self, faults: &mut ConfigErrors) {
        faults.check(
            "backup.segment_time",
            SEGMENT_TIME_MIN <= self.segment_time && self.segment_time <= TIME_CEILING,
            "from 100ms to a day",
        );
        let every = self.snapshot_every;
        faults.check(
            "backup.snapshot_every",
            every == Time::from_secs(0)
                || (SNAPSHOT_EVERY_MIN <= every && every <= SNAPSHOT_EVERY_MAX),
            "0s, which is never, or from 1s to 30d",
        );
    }
}
