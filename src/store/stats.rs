//! The size of a store, family by family.
//!
//! Must not know how it is shown. Invariant: nothing is read but counters and the database's own
//! books, so it costs the same for every store.

use serde::{Deserialize, Serialize};

use super::bulk::saved_as;
use super::datadir::diverged::{DivergedStore, kept};
use super::error::Error;
use super::key::Family;
use super::state::format_of;
use super::store::Store;

/// The size of a store.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stats {
    /// The store's id, in hexadecimal.
    pub store_id: String,
    /// The format it is written in.
    pub format: u32,
    /// When it was made, in milliseconds since 1970.
    pub made_ms: i64,
    /// The store's place in its history, for an export to say; none where an older server is asked.
    #[serde(default)]
    pub saved_as: Option<String>,
    /// The id the next review gets.
    pub next_review_id: u64,
    /// The id the next photo of a review gets.
    pub next_photo_id: u64,
    /// Reviews that are in lists.
    pub reviews_visible: u64,
    /// Reviews that reports or a moderator hid; the name is older than moderators.
    pub reviews_reported: u64,
    /// Reviews that are held; none where an older server is asked.
    #[serde(default)]
    pub reviews_pending: u64,
    /// Reviews that are removed and not yet erased; the same.
    #[serde(default)]
    pub reviews_removed: u64,
    /// Reviews that clients may send again; the name within the JSON is older than the field's.
    #[serde(rename = "retries")]
    pub idempotency_keys: u64,
    /// Bytes of the write-ahead log.
    pub log_bytes: u64,
    /// Bytes of blocks, indexes and filters in memory.
    pub cache_bytes: u64,
    /// Bytes that are free where the store is.
    pub free_bytes: u64,
    /// The families, in the order of the schema.
    pub families: Vec<FamilyStats>,
    /// Diverged stores beside this one; none where an older server is asked.
    #[serde(default)]
    pub kept: Vec<DivergedStats>,
}

/// A diverged store beside the current one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DivergedStats {
    /// Its directory.
    pub path: String,
    /// Bytes of its files.
    pub bytes: u64,
}

/// The size of a family.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FamilyStats {
    /// Its name.
    pub family: String,
    /// Its rows.
    pub rows: u64,
    /// True if the rows are counted; otherwise they are estimated.
    pub exact: bool,
    /// Bytes of its files.
    pub bytes: u64,
    /// Files.
    pub files: u64,
    /// Bytes in memory that are not in a file yet.
    pub memory_bytes: u64,
}

impl From<DivergedStore> for DivergedStats {
    fn from(DivergedStore { path, bytes }: DivergedStore) -> Self {
        let path = path.display().to_string();
        Self { path, bytes }
    }
}

impl Store {
    /// Returns the size of the store.
    pub fn stats(&self) -> Result<Stats, Error> {
        let counters = self.counters()?;
        let identity = self.identity();
        let families = Family::ALL.map(|family| {
            let usage = self.rocks().usage(family)?;
            let counted = match family {
                Family::Reviews | Family::Owners => Some(counters.reviews),
                Family::Newest | Family::Helpful => Some(counters.reviews_visible),
                Family::Summaries => Some(counters.summaries),
                Family::Products => Some(counters.products),
                Family::Styles => Some(counters.styled),
                Family::Related => Some(counters.related),
                Family::Ranks
                | Family::State
                | Family::IdempotencyKeys
                | Family::Moderation
                | Family::Audit
                | Family::Skus => None,
            };
            Ok(FamilyStats {
                family: family.name().to_owned(),
                rows: counted.unwrap_or(usage.rows),
                exact: counted.is_some(),
                bytes: usage.bytes,
                files: usage.files,
                memory_bytes: usage.memtable_bytes,
            })
        });
        Ok(Stats {
            store_id: format!("{:032x}", identity.store_id),
            format: format_of(self.rocks())?,
            made_ms: identity.made_ms,
            saved_as: Some(self.read(|reader| {
                let head = reader.head()?;
                Ok(saved_as(identity.store_id, head))
            })?),
            next_review_id: counters.next_review_id,
            next_photo_id: counters.next_photo_id,
            reviews_visible: counters.reviews_visible,
            reviews_reported: counters.reviews_hidden,
            reviews_pending: counters.reviews_pending,
            reviews_removed: counters.reviews_removed,
            idempotency_keys: counters.idempotency_keys,
            log_bytes: self.rocks().log_bytes()?,
            cache_bytes: self.rocks().cache_bytes()?,
            free_bytes: self.free_space()?,
            families: families.into_iter().collect::<Result<_, Error>>()?,
            kept: kept(self.data().path())?
                .into_iter()
                .map(Into::into)
                .collect(),
        })
    }
}
