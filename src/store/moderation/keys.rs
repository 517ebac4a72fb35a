//! The keys of the `moderation` family: one kind for each first byte.
//!
//! Must not know values or `RocksDB`. Invariant: the bytes of a key never change; a review and a time are read
//! back from every key that has them.

use crate::key::{ascending, descending, join, time_of};
use crate::model::moderation::ReviewState;
use crate::model::{ClientHash, ProductId, ReviewId};

/// The first byte of [`StateKey`].
pub(crate) const BY_STATE: u8 = b's';
/// The first byte of [`ReportsKey`].
pub(crate) const BY_REPORTS: u8 = b'n';
/// The first byte of [`ReportKey`].
pub(crate) const REPORT: u8 = b'r';
/// The first byte of [`VoteKey`].
pub(crate) const VOTE: u8 = b'v';
/// The first byte of [`EmailKey`].
pub(crate) const BY_EMAIL: u8 = b'e';
/// The first byte of [`DueKey`].
pub(crate) const DUE: u8 = b'u';
/// The row of a store of format 1 that says behind which review rows by state may be missing; an empty value says that
/// there are all.
pub(crate) const INDEXED: &[u8] = b"m";

/// The row of a review that is not published: newest first within its state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct StateKey([u8; 18]);

/// The row of a review with open reports: most first, and then those that were reported last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ReportsKey([u8; 21]);

/// The row of an open report: one for each client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ReportKey([u8; 17]);

/// The row of the votes of a client for a review.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct VoteKey([u8; 17]);

/// The row of a review that was posted: its e-mail address, as a hash, and its product.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct EmailKey([u8; 25]);

/// The row of a removed review: the first to be erased first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct DueKey([u8; 17]);

macro_rules! bytes_of {
    ($($key:ident),*) => {$(
        impl AsRef<[u8]> for $key {
            fn as_ref(&self) -> &[u8] {
                &self.0
            }
        }
    )*};
}
bytes_of!(StateKey, ReportsKey, ReportKey, VoteKey, EmailKey, DueKey);

impl StateKey {
    /// The row of a review that came into a state at a time.
    pub(crate) fn new(state: ReviewState, since_ms: i64, review: ReviewId) -> Self {
        Self(join(&[
            &[BY_STATE, state.number()],
            &descending(since_ms),
            &(!review.0).to_be_bytes(),
        ]))
    }

    /// The state, the time and the review of a key.
    pub(crate) fn read(key: &[u8]) -> Option<(ReviewState, i64, ReviewId)> {
        let [BY_STATE, state, rest @ ..] = key else {
            return None;
        };
        let (since, review) = rest.split_first_chunk()?;
        let state = ReviewState::of_number(*state)?;
        Some((state, time_descending(*since), review_descending(review)?))
    }
}

impl ReportsKey {
    /// The row of a review with so many open reports, the last of which came at a time.
    pub(crate) fn new(reports: u32, last_ms: i64, review: ReviewId) -> Self {
        Self(join(&[
            &[BY_REPORTS],
            &(!reports).to_be_bytes(),
            &descending(last_ms),
            &(!review.0).to_be_bytes(),
        ]))
    }

    /// The number of reports, the time and the review of a key.
    pub(crate) fn read(key: &[u8]) -> Option<(u32, i64, ReviewId)> {
        let rest = key.strip_prefix(&[BY_REPORTS])?;
        let (reports, rest) = rest.split_first_chunk()?;
        let (last, review) = rest.split_first_chunk()?;
        let reports = !u32::from_be_bytes(*reports);
        Some((reports, time_descending(*last), review_descending(review)?))
    }
}

impl ReportKey {
    /// The row of a client's report of a review.
    pub(crate) fn new(review: ReviewId, client: ClientHash) -> Self {
        Self(of_client(REPORT, review, client))
    }

    /// The review and the client of a key.
    pub(crate) fn read(key: &[u8]) -> Option<(ReviewId, ClientHash)> {
        read_of_client(REPORT, key)
    }

    /// What the keys of a review begin with.
    pub(crate) fn prefix(review: ReviewId) -> [u8; 9] {
        join(&[&[REPORT], &review.0.to_be_bytes()])
    }

    /// Behind all keys of a review.
    pub(crate) fn end(review: ReviewId) -> Vec<u8> {
        end_of(&Self::new(review, ClientHash(u64::MAX)).0)
    }
}

impl VoteKey {
    /// The row of a client's votes for a review.
    pub(crate) fn new(review: ReviewId, client: ClientHash) -> Self {
        Self(of_client(VOTE, review, client))
    }

    /// The review and the client of a key.
    pub(crate) fn read(key: &[u8]) -> Option<(ReviewId, ClientHash)> {
        read_of_client(VOTE, key)
    }

    /// What the keys of a review begin with.
    pub(crate) fn prefix(review: ReviewId) -> [u8; 9] {
        join(&[&[VOTE], &review.0.to_be_bytes()])
    }

    /// Behind all keys of a review.
    pub(crate) fn end(review: ReviewId) -> Vec<u8> {
        end_of(&Self::new(review, ClientHash(u64::MAX)).0)
    }
}

impl EmailKey {
    /// The row of a review of a product that was posted with an address that has this hash.
    pub(crate) fn new(email: u64, product: ProductId, review: ReviewId) -> Self {
        Self(join(&[
            &[BY_EMAIL],
            &email.to_be_bytes(),
            &product.0.to_be_bytes(),
            &review.0.to_be_bytes(),
        ]))
    }

    /// The hash, the product and the review of a key.
    pub(crate) fn read(key: &[u8]) -> Option<(u64, ProductId, ReviewId)> {
        let rest = key.strip_prefix(&[BY_EMAIL])?;
        let (email, rest) = rest.split_first_chunk()?;
        let (product, review) = rest.split_first_chunk()?;
        let review: &[u8; 8] = review.try_into().ok()?;
        let number = |bytes: &[u8; 8]| u64::from_be_bytes(*bytes);
        Some((
            number(email),
            ProductId(number(product)),
            ReviewId(number(review)),
        ))
    }

    /// The first key of an address and a product, and what is behind the last.
    pub(crate) fn range(email: u64, product: ProductId) -> (Self, Vec<u8>) {
        let last = Self::new(email, product, ReviewId(u64::MAX));
        (Self::new(email, product, ReviewId(0)), end_of(&last.0))
    }

    /// The first key of an address, and what is behind the last.
    pub(crate) fn range_of(email: u64) -> (Self, Vec<u8>) {
        let last = Self::new(email, ProductId(u64::MAX), ReviewId(u64::MAX));
        (Self::new(email, ProductId(0), ReviewId(0)), end_of(&last.0))
    }
}

impl DueKey {
    /// The row of a removed review that is to be erased at a time.
    pub(crate) fn new(due_ms: i64, review: ReviewId) -> Self {
        Self(join(&[&[DUE], &ascending(due_ms), &review.0.to_be_bytes()]))
    }

    /// The time and the review of a key.
    pub(crate) fn read(key: &[u8]) -> Option<(i64, ReviewId)> {
        let rest = key.strip_prefix(&[DUE])?;
        let (due, review) = rest.split_first_chunk()?;
        let review: &[u8; 8] = review.try_into().ok()?;
        Some((time_of(*due), ReviewId(u64::from_be_bytes(*review))))
    }
}

/// The least key that is behind this one.
fn end_of(key: &[u8]) -> Vec<u8> {
    [key, &[0]].concat()
}

fn of_client(kind: u8, review: ReviewId, client: ClientHash) -> [u8; 17] {
    join(&[&[kind], &review.0.to_be_bytes(), &client.0.to_be_bytes()])
}

fn read_of_client(kind: u8, key: &[u8]) -> Option<(ReviewId, ClientHash)> {
    let rest = key.strip_prefix(&[kind])?;
    let (review, client) = rest.split_first_chunk()?;
    let client: &[u8; 8] = client.try_into().ok()?;
    Some((
        ReviewId(u64::from_be_bytes(*review)),
        ClientHash(u64::from_be_bytes(*client)),
    ))
}

fn time_descending(bytes: [u8; 8]) -> i64 {
    time_of(bytes.map(|byte| !byte))
}

fn review_descending(bytes: &[u8]) -> Option<ReviewId> {
    let bytes: &[u8; 8] = bytes.try_into().ok()?;
    Some(ReviewId(!u64::from_be_bytes(*bytes)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const REVIEW: ReviewId = ReviewId(0x0102);

    /// They are on disks: a change of this table is a new format.
    #[test]
    fn the_keys_of_moderation_have_the_bytes_they_always_had() {
        let state = StateKey::new(ReviewState::Pending, 5, REVIEW);
        let golden = b"s\x01\x7f\xff\xff\xff\xff\xff\xff\xfa\xff\xff\xff\xff\xff\xff\xfe\xfd";
        assert_eq!(state.as_ref(), golden);
        let reports = ReportsKey::new(3, 5, REVIEW);
        let golden =
            b"n\xff\xff\xff\xfc\x7f\xff\xff\xff\xff\xff\xff\xfa\xff\xff\xff\xff\xff\xff\xfe\xfd";
        assert_eq!(reports.as_ref(), golden);
        let report = ReportKey::new(REVIEW, ClientHash(7));
        assert_eq!(report.as_ref(), b"r\0\0\0\0\0\0\x01\x02\0\0\0\0\0\0\0\x07");
        let vote = VoteKey::new(REVIEW, ClientHash(7));
        assert_eq!(vote.as_ref(), b"v\0\0\0\0\0\0\x01\x02\0\0\0\0\0\0\0\x07");
        let email = EmailKey::new(9, ProductId(8), REVIEW);
        let golden = b"e\0\0\0\0\0\0\0\x09\0\0\0\0\0\0\0\x08\0\0\0\0\0\0\x01\x02";
        assert_eq!(email.as_ref(), golden);
        let due = DueKey::new(5, REVIEW);
        assert_eq!(due.as_ref(), b"u\x80\0\0\0\0\0\0\x05\0\0\0\0\0\0\x01\x02");
    }

    proptest! {
        #[test]
        fn what_a_key_is_made_of_is_read_back(a: u64, b: u64, c: u64, ms: i64, reports: u32) {
            let (product, review) = (ProductId(b), ReviewId(a));
            for state in ReviewState::ALL.iter().copied() {
                let key = StateKey::new(state, ms, review);
                prop_assert_eq!(StateKey::read(key.as_ref()), Some((state, ms, review)));
            }
            let key = ReportsKey::new(reports, ms, review);
            prop_assert_eq!(ReportsKey::read(key.as_ref()), Some((reports, ms, review)));
            let key = ReportKey::new(review, ClientHash(c));
            prop_assert_eq!(ReportKey::read(key.as_ref()), Some((review, ClientHash(c))));
            let key = VoteKey::new(review, ClientHash(c));
            prop_assert_eq!(VoteKey::read(key.as_ref()), Some((review, ClientHash(c))));
            let key = EmailKey::new(c, product, review);
            prop_assert_eq!(EmailKey::read(key.as_ref()), Some((c, product, review)));
            let key = DueKey::new(ms, review);
            prop_assert_eq!(DueKey::read(key.as_ref()), Some((ms, review)));
        }

        #[test]
        fn a_queue_begins_with_the_latest_and_the_most_reported(a: (u32, i64, u64), b: (u32, i64, u64)) {
            let key = |(_, ms, id)| StateKey::new(ReviewState::Hidden, ms, ReviewId(id));
            let order = (b.1, b.2).cmp(&(a.1, a.2));
            prop_assert_eq!(key(a).as_ref().cmp(key(b).as_ref()), order);
            let key = |(reports, ms, id)| ReportsKey::new(reports, ms, ReviewId(id));
            prop_assert_eq!(key(a).as_ref().cmp(key(b).as_ref()), b.cmp(&a));
            let key = |(_, ms, id)| DueKey::new(ms, ReviewId(id));
            let order = (a.1, a.2).cmp(&(b.1, b.2));
            prop_assert_eq!(key(a).as_ref().cmp(key(b).as_ref()), order);
        }
    }
}
