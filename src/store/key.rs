//! The schema: which families there are, and how their keys are laid out.
//!
//! ```text
//! family     key                                        value
//! reviews    product_id, review_id                      the review, its photos, its ratings
//! newest     product_id, !date, !review_id              –
//! helpful    product_id, !helpfulness, !date, !review   –
//! summaries  product_id                                 histogram, recommendations, means
//! owners     review_id                                  product_id
//! products   product_id                                 the product and its features
//! styles     product_id                                 its styles, their photos and skus
//! related    product_id                                 related product ids
//! ranks      rank (each 64th)                           product_id that has this rank
//! ranks      1, level, from; or 2                       a node of the tree of ranks
//! state      name                                       format, identity, counters
//! state      "head"                                     the position of the store in its history
//! state      "epoch:", epoch                            where that epoch began
//! state      "predecessors"                             the stores it replaced; optional
//! retries    'n', the client's key                      review_id, hash of the body, when, client
//! retries    't', when, the client's key                –
//! retries    'c', client, when, the client's key        –
//! moderation 's', state, !since, !review_id             – for a review that is not published
//! moderation 'n', !reports, !last, !review_id           – for a review with open reports
//! moderation 'r', review_id, client                     an open report: its reason, and when
//! moderation 'v', review_id, client                     votes that the client may take back
//! moderation 'e', e-mail, product_id, review_id         – for a review that was posted
//! moderation 'u', due, review_id                        – for a removed review
//! moderation 'i', review_id                             – for an id of the shop's files beyond those it gave
//! moderation 'g', review_id                             – for a review of the shop that was erased
//! moderation 'f', 'p', the last of a run of ids         the first: no review, or photo, ever had these
//! audit      number                                     an action: who, when, what, why
//! skus       sku_id, the last of a run                  product_id, how many
//! skus       nine bytes 0xff                            product_id that is to be entered next
//! ```
//!
//! Must not know values or RocksDB. Invariant: every number is fixed-width big-endian (ids and
//! ranks 8 bytes, dates 8 with the sign bit flipped, helpfulness and reports 4, states 1), so bytes
//! sort as the numbers do, and `!` marks a number stored as its complement, so that it sorts
//! descending. Only published reviews have rows in `newest` and `helpful`. The families and their
//! order are part of the format: a change of either is a new format version.

use crate::model::{Order, ProductId, ReviewId};

/// The format this program writes. It reads the stores of every earlier format, and their streams and backups:
/// `tests/fixtures` holds one of each. A store of format 1 gets the families that it lacks when it is opened to
/// be written, and keeps the number.
pub const FORMAT: u32 = 2;

/// The families of format 1, which are the first; a store of format 2 has all.
const FAMILIES_OF_FIRST: usize = 11;

/// Returns true if this program reads a store, a stream or a backup of a format.
#[must_use]
pub const fn is_read(format: u32) -> bool {
    1 <= format && format <= FORMAT
}

/// Every `RANK_STRIDE`th product of the catalogue has a row in `ranks`.
pub const RANK_STRIDE: u64 = 64;

/// A column family.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Family {
    /// Reviews by product.
    Reviews,
    /// Visible reviews by product and date.
    Newest,
    /// Visible reviews by product, helpfulness and date.
    Helpful,
    /// The review summary of a product.
    Summaries,
    /// The product a review belongs to.
    Owners,
    /// The catalogue.
    Products,
    /// A product's styles.
    Styles,
    /// A product's related products.
    Related,
    /// The places of ranks in the catalogue.
    Ranks,
    /// The store's own facts.
    State,
    /// Idempotency records: reviews that clients may send again.
    IdempotencyKeys,
    /// Reviews by state, and what clients said of them.
    Moderation,
    /// The audit log.
    Audit,
    /// The product of a stock keeping unit.
    Skus,
}

impl Family {
    /// All families, in the order in which they are created.
    pub const ALL: [Self; 14] = [
        Self::Reviews,
        Self::Newest,
        Self::Helpful,
        Self::Summaries,
        Self::Owners,
        Self::Products,
        Self::Styles,
        Self::Related,
        Self::Ranks,
        Self::State,
        Self::IdempotencyKeys,
        Self::Moderation,
        Self::Audit,
        Self::Skus,
    ];

    /// Returns true if stores of format 1 lack it.
    #[must_use]
    pub fn is_later(self) -> bool {
        self as usize >= FAMILIES_OF_FIRST
    }

    /// Returns its number in the log: families are numbered as they are created, behind RocksDB's own.
    #[must_use]
    pub fn number(self) -> u32 {
        self as u32 + 1
    }

    /// The family with a number.
    #[must_use]
    pub fn of_number(number: u32) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|family| family.number() == number)
    }

    /// Returns true if its keys begin with a product's id.
    #[must_use]
    pub fn is_by_product(self) -> bool {
        match self {
            Self::Reviews
            | Self::Newest
            | Self::Helpful
            | Self::Summaries
            | Self::Products
            | Self::Styles
            | Self::Related => true,
            Self::Owners
            | Self::Ranks
            | Self::State
            | Self::IdempotencyKeys
            | Self::Moderation
            | Self::Audit
            | Self::Skus => false,
        }
    }

    /// Its name on disk and in messages.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Reviews => "reviews",
            Self::Newest => "newest",
            Self::Helpful => "helpful",
            Self::Summaries => "summaries",
            Self::Owners => "owners",
            Self::Products => "products",
            Self::Styles => "styles",
            Self::Related => "related",
            Self::Ranks => "ranks",
            Self::State => "state",
            Self::IdempotencyKeys => "retries",
            Self::Moderation => "moderation",
            Self::Audit => "audit",
            Self::Skus => "skus",
        }
    }
}

/// The keys of the `state` family.
pub mod state {
    /// The format version, four bytes big-endian whatever the version.
    pub const FORMAT: &[u8] = b"format";
    /// The store's id and when it was made; never changes.
    pub const IDENTITY: &[u8] = b"identity";
    /// Next ids and counts.
    pub const COUNTERS: &[u8] = super::super::log::commit::COUNTERS_KEY;
    /// The counters as they were when the store was made; stores made by earlier versions have none.
    pub const MADE: &[u8] = b"made";
    /// The store's position in its history; there is none before the first write.
    pub const HEAD: &[u8] = super::super::log::position::HEAD_KEY;
    /// The stores that it replaced, and where they were; there is none where it replaced none.
    pub const PREDECESSORS: &[u8] = b"predecessors";
}

/// Big-endian bytes of one number: the key of `summaries`, `owners`, `products`, `styles`,
/// `related` and `ranks`, and the prefix of all rows of a product.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IdKey([u8; 8]);

/// A key of `reviews`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReviewKey([u8; 16]);

/// A key of `newest`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NewestKey([u8; 24]);

/// A key of `helpful`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HelpfulKey([u8; 28]);

macro_rules! bytes_of {
    ($($key:ident),*) => {$(
        impl AsRef<[u8]> for $key {
            fn as_ref(&self) -> &[u8] {
                &self.0
            }
        }
    )*};
}
bytes_of!(IdKey, ReviewKey, NewestKey, HelpfulKey);

impl From<NewestKey> for [u8; 24] {
    fn from(key: NewestKey) -> Self {
        key.0
    }
}

impl From<HelpfulKey> for [u8; 28] {
    fn from(key: HelpfulKey) -> Self {
        key.0
    }
}

impl From<u64> for IdKey {
    fn from(number: u64) -> Self {
        Self(number.to_be_bytes())
    }
}

impl From<ProductId> for IdKey {
    fn from(product: ProductId) -> Self {
        product.0.into()
    }
}

impl From<ReviewId> for IdKey {
    fn from(review: ReviewId) -> Self {
        review.0.into()
    }
}

impl ReviewKey {
    /// The key of a review of a product.
    #[must_use]
    pub fn new(product: ProductId, review: ReviewId) -> Self {
        Self(join(&[&product.0.to_be_bytes(), &review.0.to_be_bytes()]))
    }
}

impl NewestKey {
    /// The row of a review in the order [`Order::Newest`].
    #[must_use]
    pub fn new(product: ProductId, date_ms: i64, review: ReviewId) -> Self {
        Self(join(&[
            &product.0.to_be_bytes(),
            &descending(date_ms),
            &(!review.0).to_be_bytes(),
        ]))
    }
}

impl HelpfulKey {
    /// The row of a review in the order [`Order::Helpful`].
    #[must_use]
    pub fn new(product: ProductId, helpfulness: u32, date_ms: i64, review: ReviewId) -> Self {
        Self(join(&[
            &product.0.to_be_bytes(),
            &(!helpfulness).to_be_bytes(),
            &descending(date_ms),
            &(!review.0).to_be_bytes(),
        ]))
    }
}

/// The family that holds an order's rows.
#[must_use]
pub fn family_of(order: Order) -> Family {
    match order {
        Order::Newest => Family::Newest,
        Order::Helpful => Family::Helpful,
    }
}

/// The review a row of `newest` or `helpful` stands for; `None` when the key is too short.
#[must_use]
pub fn review_of_order_row(key: &[u8]) -> Option<ReviewId> {
    Some(ReviewId(!u64::from_be_bytes(*key.last_chunk()?)))
}

/// The review a row of `reviews` holds; `None` when the key has another length.
#[must_use]
pub fn review_of_row(key: &[u8]) -> Option<ReviewId> {
    let key: &[u8; 16] = key.try_into().ok()?;
    Some(ReviewId(u64::from_be_bytes(*key.last_chunk()?)))
}

/// The number an [`IdKey`] (or a value of `owners` or `ranks`) holds.
#[must_use]
pub fn number_of(bytes: &[u8]) -> Option<u64> {
    Some(u64::from_be_bytes(bytes.try_into().ok()?))
}

/// The first key after all rows of a product; `None` after the last product there can be.
#[must_use]
pub fn after(product: ProductId) -> Option<IdKey> {
    product.0.checked_add(1).map(IdKey::from)
}

/// A time, so that earlier ones sort first: flipping the sign bit makes signed numbers sort as bytes.
pub(super) fn ascending(date_ms: i64) -> [u8; 8] {
    (date_ms.cast_unsigned() ^ (1 << 63)).to_be_bytes()
}

/// A time, so that later ones sort first.
pub(super) fn descending(date_ms: i64) -> [u8; 8] {
    ascending(date_ms).map(|byte| !byte)
}

/// The time that [`ascending`] made these bytes of.
pub(super) fn time_of(bytes: [u8; 8]) -> i64 {
    (u64::from_be_bytes(bytes) ^ (1 << 63)).cast_signed()
}

pub(super) fn join<const N: usize>(parts: &[&[u8]]) -> [u8; N] {
    let mut key = [0; N];
    let mut rest = key.as_mut_slice();
    for part in parts {
        let (head, tail) = rest.split_at_mut(part.len());
        head.copy_from_slice(part);
        rest = tail;
    }
    debug_assert!(rest.is_empty(), "a key has no bytes left over");
    key
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn newest_rows_sort_by_date_then_id_descending(a: (i64, u64), b: (i64, u64)) {
            let key = |(date, id)| NewestKey::new(ProductId(7), date, ReviewId(id));
            prop_assert_eq!(key(a).as_ref().cmp(key(b).as_ref()), b.cmp(&a));
        }

        #[test]
        fn helpful_rows_sort_by_helpfulness_date_and_id_descending(
            a: (u32, i64, u64), b: (u32, i64, u64),
        ) {
            let key = |(votes, date, id)| HelpfulKey::new(ProductId(7), votes, date, ReviewId(id));
            prop_assert_eq!(key(a).as_ref().cmp(key(b).as_ref()), b.cmp(&a));
        }

        #[test]
        fn review_rows_sort_by_product_then_id(a: (u64, u64), b: (u64, u64)) {
            let key = |(product, id)| ReviewKey::new(ProductId(product), ReviewId(id));
            prop_assert_eq!(key(a).as_ref().cmp(key(b).as_ref()), a.cmp(&b));
        }

        #[test]
        fn a_review_is_read_back_from_its_rows(product: u64, votes: u32, date: i64, id: u64) {
            let (product, id) = (ProductId(product), ReviewId(id));
            prop_assert_eq!(review_of_row(ReviewKey::new(product, id).as_ref()), Some(id));
            let newest = NewestKey::new(product, date, id);
            prop_assert_eq!(review_of_order_row(newest.as_ref()), Some(id));
            let helpful = HelpfulKey::new(product, votes, date, id);
            prop_assert_eq!(review_of_order_row(helpful.as_ref()), Some(id));
        }
    }

    #[test]
    fn families_are_numbered_in_the_order_in_which_they_are_created() {
        use super::super::log::commit::{FAMILIES, STATE};
        let numbers = Family::ALL.map(Family::number);
        assert!(numbers.into_iter().eq(1..=FAMILIES));
        assert_eq!(Family::State.number(), STATE);
        assert_eq!(Family::of_number(STATE), Some(Family::State));
        assert_eq!(Family::of_number(FAMILIES + 1), None);
    }

    #[test]
    fn the_rows_of_a_product_end_before_the_next_product() {
        let last = ReviewKey::new(ProductId(7), ReviewId(u64::MAX));
        assert!(last.as_ref() < after(ProductId(7)).unwrap().as_ref());
        assert_eq!(after(ProductId(u64::MAX)), None);
    }
}
