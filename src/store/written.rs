//! What a store took since it was made: whether replacing it would lose anything.
//!
//! Must not know who replaces it, or by what. Invariant: nothing is written, and a store counts as
//! written to unless its history shows that it was not.

use std::path::Path;

use super::error::Error;
use super::key::{Family, state};
use super::position::{Position, epoch_key};
use super::read::{check_format, damaged};
use super::rocks::Peek;
use super::value::{Counters, Identity, Record, decode};
use super::watermark::WatermarkFile;

/// Rows of the commit that begins an epoch.
const EPOCH_ROWS: u64 = 2;

/// A store that is to be replaced, as far as it must be known for that.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Old {
    pub(super) identity: Identity,
    /// Its counts and next ids.
    pub(super) counters: Counters,
    /// The store's position in its history; `None` before its first write.
    pub(super) head: Option<Position>,
    /// The writes that it took since it was made.
    pub(super) written: Option<Written>,
}

/// The writes that a store took since it was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Written {
    /// When it was made, in milliseconds since 1970.
    pub made_ms: i64,
    /// The changes to its reviews; `None` where an earlier version made it, which did not note how
    /// many there were.
    pub reviews: Option<Changed>,
}

/// The numbers of reviews of a store that were posted and removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Changed {
    /// Reviews that were posted.
    pub posted: u64,
    /// Reviews that were removed.
    pub removed: u64,
}

impl Old {
    /// Looks into the closed store in `dir`.
    pub(super) fn read(dir: &Path) -> Result<Self, Error> {
        check_format(dir)?;
        let store = Peek::open(dir)?;
        let identity: Identity = required(&store, state::IDENTITY)?;
        let mut counters: Counters = required(&store, state::COUNTERS)?;
        if let Some(file) = WatermarkFile::open(dir)? {
            // The log may have lost reviews whose ids were told.
            let known = file.last();
            counters.next_review_id = counters.next_review_id.max(known.next_review_id);
            counters.next_photo_id = counters.next_photo_id.max(known.next_photo_id);
        }
        let head = position(&store, state::HEAD)?;
        let written = match head {
            Some(head) if !began_epochs_only(&store, head)? => Some(Written {
                made_ms: identity.made_ms,
                reviews: optional(&store, state::MADE)?
                    .map(|made| Changed::between(made, counters)),
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

impl Changed {
    fn between(made: Counters, now: Counters) -> Self {
        let posted = now.next_review_id.saturating_sub(made.next_review_id);
        let had = made.reviews.saturating_add(posted);
        Self {
            posted,
            removed: had.saturating_sub(now.reviews),
        }
    }
}

/// True if every commit up to `head` did nothing but begin an epoch, as a promotion and the first
/// service of a restored store do.
fn began_epochs_only(store: &Peek, mut head: Position) -> Result<bool, Error> {
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

fn position(store: &Peek, key: &[u8]) -> Result<Option<Position>, Error> {
    let value = store.state(key)?;
    let position = value.map(|value| {
        Position::from_value(&value).ok_or_else(|| unusable(key, "it is no position"))
    });
    position.transpose()
}

fn optional<R: for<'v> Record<'v>>(store: &Peek, key: &[u8]) -> Result<Option<R>, Error> {
    let value = store.state(key)?;
    let decoded = value.map(|value| decode(&value).map_err(|why| unusable(key, &why)));
    decoded.transpose()
}

fn required<R: for<'v> Record<'v>>(store: &Peek, key: &[u8]) -> Result<R, Error> {
    optional(store, key)?.ok_or_else(|| unusable(key, "it is missing"))
}

fn unusable(key: &[u8], why: &str) -> Error {
    damaged(Family::State, String::from_utf8_lossy(key), why)
}
