//! The counters of a store: next ids, and how many rows there are of a kind.
//!
//! Must not know how they are stored. Invariant: reviews are as many as those of all states together.

use crate::model::moderation::ReviewState;

/// The counters of a store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Counters {
    /// The id the next review gets.
    pub next_review_id: u64,
    /// The id the next photo of a review gets.
    pub next_photo_id: u64,
    /// Reviews, in whatever state.
    pub reviews: u64,
    /// Reviews that are in lists: those that are published.
    pub reviews_visible: u64,
    /// Reviews that are held.
    pub reviews_pending: u64,
    /// Reviews that reports or a moderator hid.
    pub reviews_hidden: u64,
    /// Reviews that are removed, and not yet erased.
    pub reviews_removed: u64,
    /// Products with counted reviews or characteristics.
    pub summaries: u64,
    /// Products of the catalogue.
    pub products: u64,
    /// Products that have styles.
    pub styled: u64,
    /// Products that have related products.
    pub related: u64,
    /// Idempotency records: reviews that clients may send again.
    pub idempotency_keys: u64,
    /// The number the next entry of the audit log gets.
    pub next_audit_entry: u64,
}

impl Counters {
    /// The counters of an empty store.
    pub const NONE: Self = Self {
        next_review_id: 1,
        next_photo_id: 1,
        reviews: 0,
        reviews_visible: 0,
        reviews_pending: 0,
        reviews_hidden: 0,
        reviews_removed: 0,
        summaries: 0,
        products: 0,
        styled: 0,
        related: 0,
        idempotency_keys: 0,
        next_audit_entry: 1,
    };

    /// The number of reviews in a state.
    #[must_use]
    pub const fn in_state(&self, state: ReviewState) -> u64 {
        match state {
            ReviewState::Published => self.reviews_visible,
            ReviewState::Pending => self.reviews_pending,
            ReviewState::Hidden => self.reviews_hidden,
            ReviewState::Removed => self.reviews_removed,
        }
    }

    /// The number of reviews in a state, to be changed.
    pub(super) const fn of_state(&mut self, state: ReviewState) -> &mut u64 {
        match state {
            ReviewState::Published => &mut self.reviews_visible,
            ReviewState::Pending => &mut self.reviews_pending,
            ReviewState::Hidden => &mut self.reviews_hidden,
            ReviewState::Removed => &mut self.reviews_removed,
        }
    }

    /// Counts a review in another state than before. A count that is wrong is for `verify` to find, and no
    /// reason to take no changes.
    pub(super) const fn move_review(&mut self, from: ReviewState, to: ReviewState) {
        let count = self.of_state(from);
        *count = count.saturating_sub(1);
        *self.of_state(to) += 1;
    }
}
