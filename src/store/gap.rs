//! Rows behind a damaged part of a family.
//!
//! RocksDB reads a family in blocks, and a block whose checksum is wrong ends every pass that comes to it.
//! The rows behind it are found by trying keys further on. Must not know what rows mean, but for the owners
//! of reviews, which say what is missing. Invariants: nothing that can be read is passed over where one
//! block is damaged; a search takes a bounded number of reads.

use super::error::Error;
use super::key::{Family, number_of, review_of_row};
use super::rocks::RocksView;
use super::store::Store;

/// Bytes of a key that a search tells apart: all of a review's.
const PREFIX_BYTES: usize = 16;

/// A part of a family that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gap {
    /// The family.
    pub family: Family,
    /// The key of the last row before it that can be read; empty where there is none.
    pub after: Vec<u8>,
    /// The key of the first row behind it that can; `None` where there is none.
    pub before: Option<Vec<u8>>,
    /// The reason for which it cannot be read.
    pub why: String,
}

/// The reviews of a gap, as far as their owners show.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct LostReviews {
    /// The number of rows.
    pub count: u64,
    /// The first of their ids.
    pub ids: Vec<u64>,
}

impl Store {
    /// The damaged part of a family that begins after the row under `after`, where `why` ended a pass.
    pub fn gap(&self, family: Family, after: &[u8], why: &Error) -> Result<Gap, Error> {
        gap(&self.rocks().view(), family, after, why)
    }

    /// Returns the reviews that are in a gap of theirs, with at most `ids_max` ids.
    pub fn lost_reviews(&self, gap: &Gap, ids_max: usize) -> Result<LostReviews, Error> {
        let mut lost = LostReviews::default();
        if gap.family != Family::Reviews {
            return Ok(lost);
        }
        let view = self.rocks().view();
        let mut rows = view.sweep(Family::Owners, [])?;
        while let Some((id, product)) = rows.next()? {
            let key = [product, id].concat();
            let is_before = gap.before.as_ref().is_none_or(|before| key < *before);
            if key <= gap.after || !is_before {
                continue;
            }
            lost.count += 1;
            if let Some(id) = number_of(id)
                && lost.ids.len() < ids_max
            {
                lost.ids.push(id);
            }
        }
        Ok(lost)
    }
}

impl Gap {
    /// Returns the rows that it is between, for people.
    #[must_use]
    pub fn described(&self) -> String {
        let family = self.family.name();
        let before = self.before.as_deref().map(|key| row(self.family, key));
        match (self.after.is_empty(), before) {
            (true, None) => format!("all of {family}"),
            (true, Some(before)) => format!("{family} before {before}"),
            (false, None) => format!("{family} after {}", row(self.family, &self.after)),
            (false, Some(before)) => format!(
                "{family} after {} and before {before}",
                row(self.family, &self.after)
            ),
        }
    }
}

/// Returns the row under a key, for people.
#[must_use]
pub fn row(family: Family, key: &[u8]) -> String {
    let product = key.first_chunk().copied().map(u64::from_be_bytes);
    match (family, product, review_of_row(key)) {
        (Family::Reviews, Some(product), Some(review)) => {
            format!("review {review} of product {product}")
        }
        (Family::Owners, Some(review), _) => format!("review {review}"),
        (Family::Ranks, Some(rank), _) if key.len() == 8 => format!("rank {rank}"),
        (Family::Audit, Some(entry), _) => format!("entry {entry}"),
        (Family::Skus, Some(sku), _) => format!("sku {sku}"),
        (Family::State | Family::IdempotencyKeys | Family::Moderation | Family::Ranks, ..)
        | (_, None, _) => {
            format!("{:?}", String::from_utf8_lossy(key))
        }
        (_, Some(product), _) => format!("product {product}"),
    }
}

/// Finds the end of the damaged part that begins after the row under `after`.
pub(super) fn gap(
    view: &RocksView<'_>,
    family: Family,
    after: &[u8],
    why: &Error,
) -> Result<Gap, Error> {
    let mut bad = prefix(after);
    let mut step = 1_u128;
    // Ever further on, until a row can be read, or it is known that there is none.
    let mut found = loop {
        let Some(probe) = prefix(after).checked_add(step) else {
            break None;
        };
        match try_at(view, family, probe)? {
            ReadBeyond::Unreadable => bad = probe,
            ReadBeyond::End => break Some((probe, None)),
            ReadBeyond::Row(key) => break Some((probe, Some(key))),
        }
        let Some(further) = step.checked_mul(2) else {
            break None;
        };
        step = further;
    };
    // And back to where it begins.
    while let Some((good, _)) = &found {
        let middle = bad + (good - bad) / 2;
        if middle == bad {
            break;
        }
        match try_at(view, family, middle)? {
            ReadBeyond::Unreadable => bad = middle,
            ReadBeyond::End => found = Some((middle, None)),
            ReadBeyond::Row(key) => found = Some((middle, Some(key))),
        }
    }
    Ok(Gap {
        family,
        after: after.to_vec(),
        before: found.and_then(|(_, first)| first),
        why: why.to_string(),
    })
}

/// The result of a read at a key, and behind it.
enum ReadBeyond {
    Unreadable,
    /// No row.
    End,
    /// A row with this key.
    Row(Vec<u8>),
}

fn try_at(view: &RocksView<'_>, family: Family, from: u128) -> Result<ReadBeyond, Error> {
    let mut rows = view.sweep(family, from.to_be_bytes())?;
    match rows.next() {
        Ok(Some((key, _))) => Ok(ReadBeyond::Row(key.to_vec())),
        Ok(None) => Ok(ReadBeyond::End),
        Err(Error::Rocks { .. }) => Ok(ReadBeyond::Unreadable),
        Err(other) => Err(other),
    }
}

/// Returns the first bytes of a key, as a number that sorts as it does.
fn prefix(key: &[u8]) -> u128 {
    let mut bytes = [0; PREFIX_BYTES];
    for (place, byte) in bytes.iter_mut().zip(key) {
        *place = *byte;
    }
    u128::from_be_bytes(bytes)
}
