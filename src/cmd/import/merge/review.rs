//! A review of the store with what the files have of it.
//!
//! Must not know how rows are read or changes sent. Invariant: a file that is not given changes nothing of its
//! rows.

use std::collections::BTreeMap;

use reviewsd_import::{File, RatingRow, ReviewRow, ReviewRows};

use crate::model::Review;
use crate::model::filed::{FiledReview, FiledText, NONE_TAKEN};
use crate::model::record::{RecordPhoto, RecordRating};

use super::tally::{GivenFiles, Tallies};

/// What the files have of a review, of whose ratings these fit its product.
pub(super) fn filed<'a>(
    given: GivenFiles,
    (product, id): (u64, u64),
    rows: &ReviewRows<'a>,
    ratings: &[RatingRow],
) -> FiledReview<'a> {
    let photos = rows.photos.iter().map(|row| RecordPhoto {
        id: row.id,
        url: row.url.into(),
    });
    let ratings = ratings.iter().map(|row| RecordRating {
        id: row.characteristic_id,
        value: row.value,
    });
    let (photos, ratings): (Vec<_>, Vec<_>) = (photos.collect(), ratings.collect());
    FiledReview {
        review_id: id,
        product_id: product,
        text: rows.review.map(text),
        photos: given
            .replaces(File::ReviewPhotos, &photos)
            .then_some(photos),
        characteristics: given.replaces(File::Ratings, &ratings).then_some(ratings),
    }
}

fn text(row: ReviewRow<'_>) -> FiledText<'_> {
    FiledText {
        rating: row.rating,
        date_ms: row.date_ms,
        summary: row.summary.into(),
        body: row.body.into(),
        recommend: row.recommend,
        reported: row.reported,
        reviewer_name: row.reviewer_name.into(),
        reviewer_email: row.reviewer_email.into(),
        response: row.response.map(Into::into),
        helpfulness: row.helpfulness,
    }
}

/// What becomes of the rows of the files if the review is merged.
pub(super) fn tally(stored: Option<&Review<'_>>, filed: &FiledReview<'_>) -> Tallies {
    let mut tallies = Tallies::default();
    let merged = match stored {
        Some(stored) => Some(filed.over(stored, &NONE_TAKEN)),
        None => filed.alone(),
    };
    let Some(merged) = merged else {
        return tallies;
    };
    if filed.text.is_some() {
        let before = stored.map(without_lists);
        tallies.row(File::Reviews, before, Some(without_lists(&merged)));
    }
    if filed.photos.is_some() {
        let before = stored.map_or_else(Vec::new, addresses);
        each_kind(
            &mut tallies,
            File::ReviewPhotos,
            &before,
            &addresses(&merged),
        );
    }
    if filed.characteristics.is_some() {
        let (before, after) = (stored.map(rated).unwrap_or_default(), rated(&merged));
        for (id, value) in &after {
            tallies.row(File::Ratings, before.get(id), Some(value));
        }
        for (id, value) in &before {
            if !after.contains_key(id) {
                tallies.row(File::Ratings, Some(value), None);
            }
        }
    }
    tallies
}

/// What becomes of the rows of the files if the review is removed.
pub(super) fn tally_removed(stored: &Review<'_>) -> Tallies {
    let mut tallies = Tallies::default();
    tallies.row(File::Reviews, Some(()), None);
    tallies.list(File::ReviewPhotos, &stored.photos, &[]);
    tallies.list(File::Ratings, &stored.ratings, &[]);
    tallies
}

fn without_lists<'a>(review: &Review<'a>) -> Review<'a> {
    Review {
        photos: Vec::new(),
        ratings: Vec::new(),
        ..*review
    }
}

fn addresses<'a>(review: &Review<'a>) -> Vec<&'a str> {
    let mut addresses: Vec<_> = review.photos.iter().map(|photo| photo.url).collect();
    addresses.sort_unstable();
    addresses
}

fn rated(review: &Review<'_>) -> BTreeMap<u64, u8> {
    let ratings = review.ratings.iter();
    ratings
        .map(|rating| (rating.characteristic_id, rating.value))
        .collect()
}

/// Counts the texts of two sorted lists, of which equal ones are pairs.
fn each_kind(tallies: &mut Tallies, file: File, before: &[&str], after: &[&str]) {
    let (mut before, mut after) = (before.iter().peekable(), after.iter().peekable());
    loop {
        match (before.peek().copied(), after.peek().copied()) {
            (None, None) => return,
            (Some(old), Some(new)) if old == new => {
                tallies.row(file, Some(old), Some(new));
                before.next();
                after.next();
            }
            (Some(old), new) if new.is_none_or(|new| old < new) => {
                tallies.row(file, Some(old), None);
                before.next();
            }
            (_, new) => {
                tallies.row(file, None, new);
                after.next();
            }
        }
    }
}

#[cfg(test)]
mod tests;
