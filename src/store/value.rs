//! The bytes of values: one kind byte, one version byte, then bincode.
//!
//! This file and the one below it alone name bincode. Must not know keys or RocksDB. Invariants: what was
//! encoded decodes to itself, and any other bytes to an error or another value, never to a panic;
//! every byte is consumed; no length read from a damaged value makes it allocate more than
//! `DECODED_BYTES_MAX`; the bytes of a version never change (golden bytes below), a new layout is a
//! new version.

mod layout;

use bincode::config::{self, Configuration, Limit, LittleEndian, Varint};
use bincode::de::BorrowDecode;

pub(super) use super::counters::Counters;
use super::moderation::audit::AuditEntry;
use super::moderation::rows::{OpenReport, VoteRecord};
use crate::model::moderation::{ReasonCode, ReviewState};
use crate::model::{Product, ProductId, Report, Review, Style, Summary};
use layout::{BincodeValue, FieldLayout};

/// No value is larger: a product whose styles have some twenty thousand photos.
const VALUE_BYTES_MAX: usize = 4 << 20;
/// Decoding counts what lists and numbers take in memory, which is at most so many times their
/// bytes: an empty text is one byte on the disk and sixteen in memory.
const DECODED_PER_ENCODED: usize = 24;
const DECODED_BYTES_MAX: usize = VALUE_BYTES_MAX * DECODED_PER_ENCODED;

/// The version of the layout of a value, as its second byte.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Version(u8);

/// The first layout of every kind.
const FIRST: Version = Version(1);
/// The layout of a review that has the report which hid it, of an idempotency record that has its client, and
/// of counters of every state.
const SECOND: Version = Version(2);
/// The layout of a review that has its state, and the decision that gave it.
const THIRD: Version = Version(3);

type Bincode = Configuration<LittleEndian, Varint, Limit<DECODED_BYTES_MAX>>;
const BINCODE: Bincode = config::standard().with_limit();

/// The kind of a value, as its first byte.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ValueKind {
    Review = 1,
    Summary = 2,
    Product = 3,
    Styles = 4,
    Related = 5,
    Identity = 6,
    Counters = 7,
    Retried = 8,
    // 9 is a position, 20 a node of the tree of ranks, 21 a run of skus.
    Predecessors = 10,
    OpenReport = 11,
    VoteRecord = 12,
    AuditEntry = 13,
}

/// A value that a family holds: encodes itself, and decodes borrowing from the bytes.
pub(super) trait StoredValue<'de>: FieldLayout + BorrowDecode<'de, Version> {
    /// The kind byte.
    const KIND: u8;
    /// The latest layout that is read.
    const LATEST: Version = FIRST;

    /// The layout that it is written in: the earliest that holds all of it, so that earlier programs read
    /// what they can.
    fn version(&self) -> Version {
        FIRST
    }
}

/// The part of a review that decides where it stands in a list; the first fields of its value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ReviewHead {
    pub(super) helpfulness: u32,
    pub(super) date_ms: i64,
    pub(super) state: ReviewState,
    pub(super) report: Option<Report>,
    pub(super) decided: Option<Decided>,
}

/// When a review was given its state, and on what ground.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Decided {
    pub(super) at_ms: i64,
    pub(super) reason: ReasonCode,
}

impl ReviewHead {
    pub(super) fn is_published(&self) -> bool {
        self.state == ReviewState::Published
    }

    /// When it came into its state, as far as that is known.
    pub(super) fn since_ms(&self) -> i64 {
        let reported = self.report.map(|report| report.at_ms);
        let decided = self.decided.map(|decided| decided.at_ms);
        decided.or(reported).unwrap_or(self.date_ms)
    }
}

/// The store's id and when it was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Identity {
    /// Random, new for every import and every empty store.
    pub store_id: u128,
    /// When it was made, in milliseconds since 1970.
    pub made_ms: i64,
}

/// The outcome of a review that its client may send again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct IdempotencyRecord {
    pub(super) review: u64,
    /// A hash of the request's body.
    pub(super) body: u128,
    pub(super) made_ms: i64,
    /// A salted hash of the client's address; `None` in values of version 1, which do not have it.
    pub(super) client: Option<u64>,
}

/// A store that another one replaced, and the position of the old one then.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Predecessor {
    /// Its id.
    pub store_id: u128,
    /// Its epoch.
    pub epoch: u64,
    /// The number of its last row.
    pub seq: u64,
}

/// The stores before a store, newest first, as one value.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Predecessors(pub(super) Vec<Predecessor>);

/// The styles of a product, as one value.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Styles<'a>(pub(super) Vec<Style<'a>>);

/// The products related to a product, as one value.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Related(pub(super) Vec<ProductId>);

/// Appends `record` as a value.
pub(super) fn encode<'de, R: StoredValue<'de>>(
    record: &R,
    out: &mut Vec<u8>,
) -> Result<(), String> {
    out.extend_from_slice(&[R::KIND, record.version().0]);
    let bytes = bincode::encode_into_std_write(BincodeValue(record), out, BINCODE);
    let bytes = bytes.map_err(|e| e.to_string())?;
    // A value that could not be read back is not written.
    if bytes > VALUE_BYTES_MAX {
        return Err(format!(
            "its {bytes} bytes exceed the limit of {VALUE_BYTES_MAX}"
        ));
    }
    Ok(())
}

/// Decodes a value whole; the error says what is wrong with it.
pub(super) fn decode<'de, R: StoredValue<'de>>(value: &'de [u8]) -> Result<R, String> {
    let (version, rest) = open::<R>(value)?;
    let (record, read) = bincode::borrow_decode_from_slice_with_context(rest, BINCODE, version)
        .map_err(|e| e.to_string())?;
    match rest.len() - read {
        0 => Ok(record),
        left => Err(format!("{left} bytes too many")),
    }
}

/// Decodes only the head of a review.
pub(super) fn decode_head(value: &[u8]) -> Result<ReviewHead, String> {
    let (version, rest) = open::<Review<'_>>(value)?;
    bincode::borrow_decode_from_slice_with_context(rest, BINCODE, version)
        .map(|(head, _)| head)
        .map_err(|e| e.to_string())
}

fn open<'de, R: StoredValue<'de>>(value: &'de [u8]) -> Result<(Version, &'de [u8]), String> {
    match value {
        [kind, _, ..] if *kind != R::KIND => Err(format!("kind {kind} instead of {}", R::KIND)),
        [_, version, rest @ ..] if (FIRST..=R::LATEST).contains(&Version(*version)) => {
            Ok((Version(*version), rest))
        }
        [_, version, ..] => Err(format!("version {version} is not known")),
        _ => Err("shorter than its two leading bytes".to_owned()),
    }
}

impl<'a> StoredValue<'a> for Review<'a> {
    const KIND: u8 = ValueKind::Review as u8;
    const LATEST: Version = THIRD;

    fn version(&self) -> Version {
        match (self.decision, self.report) {
            (Some(_), _) => THIRD,
            (None, Some(_)) => SECOND,
            (None, None) => FIRST,
        }
    }
}

impl StoredValue<'_> for Counters {
    const KIND: u8 = ValueKind::Counters as u8;
    const LATEST: Version = SECOND;

    fn version(&self) -> Version {
        let of_first = Self {
            reviews_pending: 0,
            reviews_hidden: self.reviews.saturating_sub(self.reviews_visible),
            reviews_removed: 0,
            next_audit_entry: Self::NONE.next_audit_entry,
            ..*self
        };
        if *self == of_first { FIRST } else { SECOND }
    }
}

macro_rules! records {
    ($($name:ty => $kind:ident),* $(,)?) => {$(
        impl<'a> StoredValue<'a> for $name {
            const KIND: u8 = ValueKind::$kind as u8;
        }
    )*};
}
records! {
    Summary<'a> => Summary,
    Product<'a> => Product,
    Styles<'a> => Styles,
    Related => Related,
    Identity => Identity,
    Predecessors => Predecessors,
    OpenReport => OpenReport,
    VoteRecord => VoteRecord,
    AuditEntry<'a> => AuditEntry,
}

impl StoredValue<'_> for IdempotencyRecord {
    const KIND: u8 = ValueKind::Retried as u8;
    const LATEST: Version = SECOND;

    fn version(&self) -> Version {
        SECOND
    }
}

#[cfg(test)]
mod tests;
