//! Verification of a whole store: what is derived must follow from what is not; and its repair.
//!
//! Reviews, the names of characteristics and the catalogue are what a store is made of; order rows, counts,
//! owners, ranks and counters are derived from them. Must not know its callers. Invariants: memory is
//! bounded by the reviews of one product and by `DIFFERENCES_MAX`, however large or broken the store is;
//! nothing is changed without `repair`; a repair that was cut off leaves what the next one finds and
//! finishes; no value that cannot be decoded is removed before it is durable in the quarantine file; a pass
//! goes on behind damaged parts of the disk, and nothing is concluded from what could not be read.

mod catalogue;
mod idempotency;
mod issues;
mod moderation;
mod order;
mod owners;
mod quarantine;
mod ranks;
mod rebuild;
mod reviews;
mod skus;

use std::fmt::Write as _;

use super::clients::Salt;
use super::error::Error;
use super::key::{Family, state};
use super::rocks::{Rocks, RocksView};
use super::store::Store;
use super::value::{Counters, encode};
use super::writer::housekeeping::unindexed;
use crate::model::ProductId;

use issues::{Issues, RowFix};
use order::Gaps;
pub use quarantine::FILE as ASIDE_FILE;

/// Families whose rows cannot be derived from others.
const PRIMARY: [Family; 8] = [
    Family::Reviews,
    Family::Summaries,
    Family::Products,
    Family::Styles,
    Family::Related,
    Family::IdempotencyKeys,
    Family::Moderation,
    Family::Audit,
];
/// Behind every product.
const ALL: ProductId = ProductId(u64::MAX);
/// The number of rows between two reports of progress.
const TELL_ROWS: u64 = 4096;

/// The result of a verification.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verification {
    /// The differences, as sentences; the first thousand.
    pub differences: Vec<String>,
    /// The number of differences.
    pub total: u64,
    /// The number of differences that were repaired.
    pub mended: u64,
    /// The number of values that cannot be decoded and were quarantined.
    pub quarantined: u64,
    /// The counters that follow from the rows.
    pub counted: Counters,
    /// Rows that were read, of each family.
    pub rows: Vec<(&'static str, u64)>,
}

impl Verification {
    /// Returns true if the store is sound now.
    #[must_use]
    pub fn is_sound(&self) -> bool {
        self.total == self.mended + self.quarantined
    }
}

/// Returns the differences between the rows of a store and those that follow from its reviews, as
/// sentences; a value that does not decode is one too. The store must not be written meanwhile.
pub fn differences(store: &Store) -> Result<Vec<String>, Error> {
    run(store, false, &|_| ()).map(|verification| verification.differences)
}

/// Verifies a store, which must not be written meanwhile, and repairs it if `repair` is true. `tell` is
/// called with the number of rows read so far.
pub fn run(store: &Store, repair: bool, tell: &dyn Fn(u64)) -> Result<Verification, Error> {
    let view = store.rocks().view();
    let mut check = Verifier {
        view: &view,
        counted: Counters::NONE,
        found: Issues::new(store, repair),
        rows: Family::ALL.map(|family| (family, 0)),
        read: 0,
        tell,
        gaps: Gaps::default(),
        gaps_told: 0,
        lists_all_states: unindexed(store.rocks())?.is_none(),
        salt: store.salt(),
    };
    check.run(store.rocks())?;
    check.finish(store)
}

/// A verification under way.
struct Verifier<'v, 'r> {
    view: &'v RocksView<'r>,
    counted: Counters,
    found: Issues<'r>,
    rows: [(Family, u64); Family::ALL.len()],
    read: u64,
    tell: &'v dyn Fn(u64),
    /// The parts of families that could not be read, and how many of them were reported.
    gaps: Gaps,
    gaps_told: usize,
    /// False in a store of format 1 until its writer has given rows by state to the reviews that were hidden before it
    /// had the family.
    lists_all_states: bool,
    salt: Salt,
}

/// A pass over a family.
type VerifyPass<'v, 'r> = fn(&mut Verifier<'v, 'r>) -> Result<(), Error>;

impl<'v, 'r> Verifier<'v, 'r> {
    fn run(&mut self, rocks: &Rocks) -> Result<(), Error> {
        let passes: [VerifyPass<'v, 'r>; 5] = [
            Self::reviews,
            Self::catalogue,
            Self::idempotency_keys,
            Self::moderation,
            Self::audit,
        ];
        for pass in passes {
            pass(self)?;
            self.tell_of_gaps();
            // The next pass looks up rows that this one repaired.
            self.found.settle()?;
            self.rebuild(rocks)?;
        }
        // What they hold follows from all of the others.
        if PRIMARY.iter().all(|family| !self.gaps.any_of(*family)) {
            self.counters()?;
        }
        Ok(())
    }

    /// Adds an issue for each part that cannot be read: families that follow from others can be rebuilt.
    fn tell_of_gaps(&mut self) {
        let gaps = self.gaps.after(self.gaps_told);
        self.gaps_told += gaps.len();
        for gap in gaps {
            let (what, why) = (gap.described(), &gap.why);
            if PRIMARY.contains(&gap.family) {
                self.found.lost(format!(
                    "cannot read {what} ({why}); only a backup or the CSV files have it, and `reviewsd \
                     export --skip-damaged` saves the rest"
                ));
            } else {
                let sentence = format!("cannot read {what} ({why})");
                self.found.derived(gap.family, sentence);
            }
        }
    }

    /// Notes that a row was read.
    fn count(&mut self, family: Family) {
        if let Some((_, rows)) = self.rows.iter_mut().find(|(of, _)| *of == family) {
            *rows += 1;
        }
        self.read += 1;
        if self.read.is_multiple_of(TELL_ROWS) {
            (self.tell)(self.read);
        }
    }

    fn counters(&mut self) -> Result<(), Error> {
        let value = self.view.get(Family::State, state::COUNTERS)?;
        let value = value.as_deref().unwrap_or_default();
        let stored = match super::value::decode::<Counters>(value) {
            Ok(stored) => stored,
            Err(why) => {
                let (of, key) = (Family::State, state::COUNTERS);
                self.found.damaged(of, key, value, "counters", &why)?;
                Counters::NONE
            }
        };
        let counted = Counters {
            // Ids are never reused, so those of deleted rows still count.
            next_review_id: self.counted.next_review_id.max(stored.next_review_id),
            next_photo_id: self.counted.next_photo_id.max(stored.next_photo_id),
            next_audit_entry: self.counted.next_audit_entry.max(stored.next_audit_entry),
            ..self.counted
        };
        self.counted = counted;
        if counted == stored {
            return Ok(());
        }
        let mut value = Vec::new();
        encode(&counted, &mut value)
            .map_err(|why| super::decoding::damaged(Family::State, "counters", &why))?;
        let fix = RowFix::Put(Family::State, state::COUNTERS.to_vec(), value);
        let differ = fields(&stored).into_iter().zip(fields(&counted));
        let differ: Vec<_> = differ.filter(|(one, other)| one != other).collect();
        let told = |all: Vec<(&str, u64)>| {
            let all = all.iter().map(|(name, number)| format!("{name} {number}"));
            all.collect::<Vec<_>>().join(", ")
        };
        let (found, given) = differ.into_iter().unzip();
        let (found, given) = (told(found), told(given));
        let sentence = format!("the counters are {found}, and the rows give {given}");
        self.found.row(sentence, fix)
    }

    fn finish(self, store: &Store) -> Result<Verification, Error> {
        (self.tell)(self.read);
        let rows = self.rows.into_iter();
        let rows = rows.map(|(family, rows)| (family.name(), rows)).collect();
        let counted = self.counted;
        let mut verification = self.found.finish(counted, store)?;
        verification.rows = rows;
        Ok(verification)
    }
}

/// The counters by their names.
fn fields(counters: &Counters) -> [(&'static str, u64); 13] {
    let Counters {
        next_review_id,
        next_photo_id,
        reviews,
        reviews_visible,
        reviews_pending,
        reviews_hidden,
        reviews_removed,
        summaries,
        products,
        styled,
        related,
        idempotency_keys,
        next_audit_entry,
    } = *counters;
    [
        ("next review", next_review_id),
        ("next photo", next_photo_id),
        ("reviews", reviews),
        ("visible reviews", reviews_visible),
        ("pending reviews", reviews_pending),
        ("hidden reviews", reviews_hidden),
        ("removed reviews", reviews_removed),
        ("summaries", summaries),
        ("products", products),
        ("products with styles", styled),
        ("products with relations", related),
        ("idempotency keys", idempotency_keys),
        ("next audit entry", next_audit_entry),
    ]
}

/// Bytes for people: `0a1b`.
fn hex(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(2 * bytes.len());
    for byte in bytes {
        // A write to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
    }
    text
}

#[cfg(test)]
mod tests;
