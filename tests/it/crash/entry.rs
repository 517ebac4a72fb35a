//! The known and the unknown state of one review.

use std::ops::RangeInclusive;

use reviewsd::model::Review;

use super::client::{Told, What};
use super::draft::{Draft, thanks};
use super::ledger::Findings;

/// A review that was acknowledged or seen.
pub(super) struct Entry {
    pub(super) product: u64,
    /// The number it was made from; none for those the shop began with.
    pub(super) key: Option<u64>,
    pub(super) rating: u8,
    pub(super) recommend: bool,
    pub(super) ratings: Vec<(u64, u8)>,
    /// Votes: the acknowledged ones, and the attempted ones.
    pub(super) votes: RangeInclusive<u64>,
    pub(super) hidden: Fact,
    answered: Fact,
    /// The answer is none that the shop began with.
    is_answer_ours: bool,
    /// A client tried to erase it.
    pub(super) is_perhaps_gone: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fact {
    No,
    /// A client tried to change it.
    Perhaps,
    Yes,
}

/// The changes that were tried with one review since the last look.
#[derive(Debug, Default)]
pub(super) struct Changes {
    votes: Tries,
    reports: Tries,
    restorations: Tries,
    answers: Tries,
    erasures: Tries,
    /// A client got the answer that there is no such review.
    is_missing: bool,
}

#[derive(Debug, Default)]
struct Tries {
    acknowledged: u64,
    unknown: u64,
}

impl Changes {
    pub(super) fn add(&mut self, what: What, told: Told) {
        let tries = match what {
            What::Vote => &mut self.votes,
            What::Report => &mut self.reports,
            What::Restore => &mut self.restorations,
            What::Respond => &mut self.answers,
            What::Erase => &mut self.erasures,
        };
        match told {
            Told::Done => tries.acknowledged += 1,
            Told::Nothing => tries.unknown += 1,
            Told::Missing => self.is_missing = true,
        }
    }

    /// True if a client got the answer that it is not there, and no client had tried to erase it.
    pub(super) fn deny_it(&self) -> bool {
        self.is_missing && !self.erasures.any()
    }

    /// True if it was erased, and that was acknowledged.
    pub(super) fn erase_it(&self) -> bool {
        self.erasures.acknowledged > 0
    }
}

impl Tries {
    fn any(&self) -> bool {
        self.acknowledged + self.unknown > 0
    }
}

impl Fact {
    fn of(is_so: bool) -> Self {
        if is_so { Self::Yes } else { Self::No }
    }

    /// After attempts to set it, or to unset it; it is unknown which of two attempts was the last.
    fn after(self, yes: &Tries, no: &Tries) -> Self {
        let (to, tries) = match (yes.any(), no.any()) {
            (false, false) => return self,
            (true, true) => return Self::Perhaps,
            (true, false) => (Self::Yes, yes),
            (false, true) => (Self::No, no),
        };
        if tries.acknowledged > 0 || self == to {
            to
        } else {
            Self::Perhaps
        }
    }
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
            hidden: Fact::No,
            answered: Fact::No,
            is_answer_ours: true,
            is_perhaps_gone: false,
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
            hidden: Fact::of(!review.is_published()),
            answered: Fact::of(review.response.is_some()),
            is_answer_ours: review.response.is_none(),
            is_perhaps_gone: false,
        }
    }

    pub(super) fn change(&mut self, changes: &Changes) {
        let votes = &changes.votes;
        let acknowledged = self.votes.start() + votes.acknowledged;
        let tried = self.votes.end() + votes.acknowledged + votes.unknown;
        self.votes = acknowledged..=tried;
        self.hidden = self.hidden.after(&changes.reports, &changes.restorations);
        self.answered = self.answered.after(&changes.answers, &Tries::default());
        self.is_answer_ours |= changes.answers.acknowledged > 0;
        self.is_perhaps_gone |= changes.erasures.any();
    }

    /// From now on it is as it was seen, with these votes and this answer.
    pub(super) fn settle(
        &mut self,
        id: u64,
        votes: u64,
        response: Option<&str>,
        findings: &mut Findings,
    ) {
        self.is_perhaps_gone = false;
        self.settle_votes(id, votes, findings);
        match (self.answered, response) {
            (Fact::Yes, None) => findings.lost.push(format!("the answer to review {id}")),
            (Fact::No, Some(text)) => {
                let text = format!("nobody gave review {id} the answer {text:?}");
                findings.wrong.push(text);
            }
            (_, Some(text)) if self.is_answer_ours && text != thanks(id) => {
                findings
                    .lost
                    .push(format!("the answer to review {id}, which has {text:?}"));
            }
            _ => {}
        }
        self.is_answer_ours = response.is_none_or(|text| text == thanks(id));
        self.answered = Fact::of(response.is_some());
    }

    fn settle_votes(&mut self, id: u64, seen: u64, findings: &mut Findings) {
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

    /// True if the store's review is this one, whole.
    pub(super) fn is(&self, product: u64, review: &Review<'_>) -> bool {
        let ratings = review.ratings.iter();
        let ratings: Vec<(u64, u8)> = ratings.map(|r| (r.characteristic_id, r.value)).collect();
        self.product == product
            && self.rating == review.rating
            && self.recommend == review.recommend
            && self.ratings == ratings
            && self.votes.contains(&u64::from(review.helpfulness))
            && (self.hidden == Fact::Yes) != review.is_published()
            && (self.answered == Fact::Yes) == review.response.is_some()
            && self.key.is_none_or(|key| {
                let draft = Draft::of(key);
                let photos: Vec<&str> = review.photos.iter().map(|photo| photo.url).collect();
                draft.body == review.body
                    && draft.summary == review.summary
                    && draft.name == review.reviewer_name
                    && draft.email == review.reviewer_email
                    && draft.photos == photos
            })
    }
}
