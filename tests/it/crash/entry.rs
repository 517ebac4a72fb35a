//! What is known of one review, and what is not.

use std::ops::RangeInclusive;

use reviewsd::model::Review;

use super::draft::Draft;
use super::ledger::Findings;

/// A review that was acknowledged or seen.
pub(super) struct Entry {
    pub(super) product: u64,
    /// The number it was made from; none for those the shop began with.
    pub(super) key: Option<u64>,
    pub(super) rating: u8,
    pub(super) recommend: bool,
    pub(super) ratings: Vec<(u64, u8)>,
    /// Votes: what was acknowledged, and what was tried.
    pub(super) votes: RangeInclusive<u64>,
    pub(super) hidden: Hidden,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Hidden {
    No,
    /// Somebody tried to report it.
    Perhaps,
    Yes,
}

impl Entry {
    pub(super) fn of(key: u64) -> Self {
        let draft = Draft::of(key);
        Self {
            product: draft.product,
            key: Some(key),
            rating: draft.rating,
            recommend: draft.recommend,
            ratings: draft.ratings,
            votes: 0..=0,
            hidden: Hidden::No,
        }
    }

    pub(super) fn of_the_shop(product: u64, review: &Review<'_>) -> Self {
        let votes = u64::from(review.helpfulness);
        let ratings = review.ratings.iter();
        Self {
            product,
            key: None,
            rating: review.rating,
            recommend: review.recommend,
            ratings: ratings.map(|r| (r.characteristic_id, r.value)).collect(),
            votes: votes..=votes,
            hidden: if review.reported {
                Hidden::Yes
            } else {
                Hidden::No
            },
        }
    }

    /// From now on it has as many votes as were seen.
    pub(super) fn settle_votes(&mut self, id: u64, seen: u64, findings: &mut Findings) {
        let (acknowledged, tried) = (*self.votes.start(), *self.votes.end());
        for _ in seen..acknowledged {
            findings.lost.push(format!("a vote for review {id}"));
        }
        if seen > tried {
            let text = format!("review {id} has {seen} votes of {tried} that were sent");
            findings.wrong.push(text);
        }
        self.votes = seen..=seen;
    }

    /// Whether the store's review is this one, whole.
    pub(super) fn is(&self, product: u64, review: &Review<'_>) -> bool {
        let ratings = review.ratings.iter();
        let ratings: Vec<(u64, u8)> = ratings.map(|r| (r.characteristic_id, r.value)).collect();
        self.product == product
            && self.rating == review.rating
            && self.recommend == review.recommend
            && self.ratings == ratings
            && self.votes.contains(&u64::from(review.helpfulness))
            && (self.hidden == Hidden::Yes) == review.reported
            && self.key.is_none_or(|key| {
                let draft = Draft::of(key);
                let photos: Vec<&str> = review.photos.iter().map(|photo| photo.url).collect();
                draft.body == review.body
                    && draft.summary == review.summary
                    && draft.name == review.reviewer_name
                    && draft.email == review.reviewer_email
                    && draft.photos == photos
                    && review.response.is_none()
            })
    }
}
