//! The writes that a store took since it was made: whether replacing it would lose anything.
//!
//! Must not know what replaces it. Invariant: nothing is written, and a store counts as written to unless
//! its history shows that it was not.

use std::path::Path;

use crate::decoding::damaged;
use crate::error::Error;
use crate::key::{Family, state};
use crate::log::position::{LogPosition, epoch_key};
use crate::log::watermark::WatermarkFile;
use crate::rocks::StatePeek;
use crate::state::check_format;
use crate::value::{Counters, Identity, StoredValue, decode};

/// Rows of the commit that begins an epoch.
const EPOCH_ROWS: u64 = 2;

/// A store that is to be replaced, as far as the decision needs it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct StoreToReplace {
    pub(crate) identity: Identity,
    /// Its counts and next ids.
    pub(crate) counters: Counters,
    /// The store's position in its history; `None` before its first write.
    pub(crate) head: Option<LogPosition>,
    /// The writes that it took since it was made.
    pub(crate) written: Option<TakenWrites>,
}

/// The writes that a store took since it was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TakenWrites {
    /// When it was made, in milliseconds since 1970.
    pub made_ms: i64,
    /// The changes to its reviews; `None` where an earlier version made it, which did not note how
    /// many there were.
    pub reviews: Option<ChangedReviews>,
}

/// The numbers of reviews of a store that were posted and removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChangedReviews {
    /// Reviews that were posted.
    pub posted: u64,
    /// Reviews that were removed.
    pub removed: u64,
}

impl StoreToReplace {
    /// Reads the closed store in `dir`.
    pub(crate) fn read(dir: &Path) -> Result<Self, Error> {
        check_format(dir)?;
        let store = StatePeek::open(dir)?;
        let identity: Identity = required(&store, state::IDENTITY)?;
        let mut counters: Counters = required(&store, state::COUNTERS)?;
        if let Some(file) = WatermarkFile::open(dir)? {
            // The log may have lost reviews whose ids were returned to clients.
            let known = file.last();
            counters.next_review_id = counters.next_review_id.max(known.next_review_id);
            counters.next_photo_id = counters.next_photo_id.max(known.next_photo_id);
        }
        let head = position(&store, state::HEAD)?;
        let written = match head {
            Some(head) if !began_epochs_only(&store, head)? => Some(TakenWrites {
                made_ms: identity.made_ms,
                reviews: optional(&store, state::MADE)?
                    .map(|made| ChangedReviews::between(made, counters)),
            }),
            _ => None,
        };
        Ok(Self {
            identity,
            counters,
            head,
            written,
        })
    }
}

impl ChangedReviews {
    fn between(made: Counters, now: Counters) -> Self {
        let posted = now.next_review_id.saturating_sub(made.next_review_id);
        let had = made.reviews.saturating_add(posted);
        Self {
            posted,
            removed: had.saturating_sub(now.reviews),
        }
    }
}

/// Returns true if every commit up to `head` did nothing but begin an epoch, as a promotion and the first
/// service of a restored store do.
fn began_epochs_only(store: &StatePeek, mut head: LogPosition) -> Result<bool, Error> {
    while head.chain != 0 {
        let Some(before) = position(store, &epoch_key(head.epoch))? else {
            return Ok(false);
        };
        if before.seq + EPOCH_ROWS != head.seq {
            return Ok(false);
        }
        head = before;
    }
    Ok(true)
}

fn position(store: &StatePeek, key: &[u8]) -> Result<Option<LogPosition>, Error> {
    let value = store.state(key)?;
    let position = value.map(|value| {
        LogPosition::from_value(&value).ok_or_else(|| unusable(key, "it is no position"))
    });
    position.transpose()
}

fn optional<R: for<'v> StoredValue<'v>>(store: &StatePeek, key: &[u8]) -> Result<Option<R>, Error> {
    let value = store.state(key)?;
    let decoded = value.map(|value| decode(&value).map_err(|why| unusable(key, &why)));
    decoded.transpose()
}

fn required<R: for<'v> StoredValue<'v>>(store: &StatePeek, key: &[u8]) -> Result<R, Error> {
    optional(store, key)?.ok_or_else(|| unusable(key, "it is missing"))
}

fn unusable(key: &[u8], why: &str) -> Error {
    damaged(Family::State, String::from_utf8_lossy(key), why)
}
