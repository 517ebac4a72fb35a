//! The note in a target that a backup is being taken, which keeps pruners from removing files.
//!
//! A backup renews its note as long as it runs, so the note of one that was killed is known by its age.
//! Must not know what a backup writes. Invariant: a backup whose note may have been taken for a dead one's
//! never becomes a snapshot.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use tokio::time::sleep;

use super::error::Error;
use super::names;
use super::take::millis;
use super::target::{BackupTarget, TargetObject};
use crate::model::clock::now_ms;

/// The time for which a note holds after it was written. The clocks of a backup and of a target may differ
/// by much of it.
const HOLDS: Duration = Duration::from_hours(1);
/// The same for an empty one, which the first versions wrote and never renewed.
const EMPTY_HOLDS: Duration = Duration::from_hours(48);
const RENEW_PERIOD: Duration = Duration::from_mins(5);
const TEXT: &[u8] = b"A backup is being taken. This is renewed every five minutes.\n";

/// A note that is there until it is removed.
pub(super) struct Pending<'t> {
    target: &'t BackupTarget,
    name: String,
    written_ms: AtomicI64,
}

impl<'t> Pending<'t> {
    /// Writes the note of the snapshot `id`.
    pub(super) async fn begin(target: &'t BackupTarget, id: &str) -> Result<Self, Error> {
        let name = names::pending(id);
        target.put(&name, TEXT).await?;
        Ok(Self {
            target,
            name,
            written_ms: AtomicI64::new(now_ms()),
        })
    }

    /// The target that it is in.
    pub(super) fn target(&self) -> &'t BackupTarget {
        self.target
    }

    /// Writes it again. Returns an error if that comes too late, as after the machine slept.
    pub(super) async fn renew(&self) -> Result<(), Error> {
        let before_ms = self.written_ms.load(Ordering::Relaxed);
        self.target.put(&self.name, TEXT).await?;
        let now_ms = now_ms();
        if now_ms.saturating_sub(before_ms) > millis(HOLDS) {
            return Err(Error::Slow);
        }
        self.written_ms.store(now_ms, Ordering::Relaxed);
        Ok(())
    }

    /// Renews it as long as `work` takes.
    pub(super) async fn during<T>(&self, work: impl Future<Output = T>) -> T {
        let renewing = async {
            loop {
                sleep(RENEW_PERIOD).await;
                // If it fails for too long, the last renewal returns the error.
                let _ = self.renew().await;
            }
        };
        tokio::select! {
            done = work => done,
            () = renewing => unreachable!("renewing never ends"),
        }
    }

    /// Removes it.
    pub(super) async fn end(self) -> Result<(), Error> {
        self.target.delete(&self.name).await
    }
}

/// Returns how long a note holds that was found in a target.
pub(super) fn holds(note: &TargetObject) -> Duration {
    if note.bytes == 0 { EMPTY_HOLDS } else { HOLDS }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_note_that_was_not_renewed_in_time_makes_no_snapshot() {
        let dir = tempfile::tempdir().unwrap();
        let target = BackupTarget::to_write(dir.path().to_str().unwrap()).unwrap();
        let pending = Pending::begin(&target, "20261121T120059.123Z-0000000b").await;
        let pending = pending.unwrap();
        pending.renew().await.unwrap();
        let long_ago = now_ms() - millis(HOLDS) - 1;
        pending.written_ms.store(long_ago, Ordering::Relaxed);
        assert!(matches!(pending.renew().await, Err(Error::Slow)));
        let there = target.list(names::PENDING).await.unwrap();
        assert!(there.iter().map(holds).eq([HOLDS]));
        pending.end().await.unwrap();
        assert_eq!(target.list(names::PENDING).await.unwrap(), []);
    }
}
