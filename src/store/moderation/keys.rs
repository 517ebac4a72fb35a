//! The keys of the `moderation` family: one kind for each first byte.
//!
//! Must not know values or `RocksDB`. Invariant: the bytes of a key never change; a review and a time are read
//! back from every key that has them.

use crate::key::{descending, join, time_of};
use crate::model::ReviewId;
use crate::model::moderation::ReviewState;

/// The first byte of [`StateKey`].
pub(crate) const BY_STATE: u8 = b's';
/// The row of a review that is not published: newest first within its state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct StateKey([u8; 18]);

impl AsRef<[u8]> for StateKey {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

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

    /// They are on disks: a change of this table is a new format.
    #[test]
    fn the_keys_of_moderation_have_the_bytes_they_always_had() {
        let state = StateKey::new(ReviewState::Pending, 5, ReviewId(0x0102));
        let golden = b"s\x01\x7f\xff\xff\xff\xff\xff\xff\xfa\xff\xff\xff\xff\xff\xff\xfe\xfd";
        assert_eq!(state.as_ref(), golden);
    }

    proptest! {
        #[test]
        fn what_a_key_is_made_of_is_read_back(id: u64, ms: i64) {
            for state in ReviewState::ALL.iter().copied() {
                let key = StateKey::new(state, ms, ReviewId(id));
                prop_assert_eq!(StateKey::read(key.as_ref()), Some((state, ms, ReviewId(id))));
            }
        }

        #[test]
        fn a_state_is_listed_from_the_latest_on(a: (i64, u64), b: (i64, u64)) {
            let key = |(ms, id)| StateKey::new(ReviewState::Hidden, ms, ReviewId(id));
            prop_assert_eq!(key(a).as_ref().cmp(key(b).as_ref()), b.cmp(&a));
        }
    }
}
