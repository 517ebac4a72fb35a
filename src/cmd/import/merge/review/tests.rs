//! One review in the combinations of files and of what the store has.

use reviewsd_import::PhotoRow;

use super::*;
use crate::model::moderation::ReviewState;
use crate::model::{CharacteristicRating, ReviewPhoto};

const ROW: ReviewRow<'_> = ReviewRow {
    rating: 4,
    date_ms: 5,
    recommend: true,
    reported: false,
    helpfulness: 3,
    summary: "s",
    body: "b",
    reviewer_name: "n",
    reviewer_email: "e",
    response: None,
};

fn all() -> GivenFiles {
    GivenFiles::new(false, |_| true)
}

fn rows(review: Option<ReviewRow<'static>>, urls: &[&'static str]) -> ReviewRows<'static> {
    let photos = (10..).zip(urls).map(|(id, url)| PhotoRow { id, url });
    ReviewRows {
        review,
        photos: photos.collect(),
        ratings: Vec::new(),
    }
}

fn stored(filed: &FiledReview<'static>) -> Review<'static> {
    // It is for ever, since texts of the test are.
    let filed: &'static FiledReview<'static> = Box::leak(Box::new(filed.clone()));
    filed.alone().unwrap()
}

fn counts(tallies: &Tallies, file: File) -> [u64; 4] {
    let tally = tallies.of(file);
    [
        tally.inserted,
        tally.changed,
        tally.removed,
        tally.unchanged,
    ]
}

#[test]
fn a_review_that_the_store_has_asks_for_no_change() {
    let filed = filed(all(), (1, 2), &rows(Some(ROW), &["x", "y"]), &[]);
    let stored = stored(&filed);
    assert_eq!(filed.over(&stored, &NONE_TAKEN), stored);
    assert!(tally(Some(&stored), &filed).is_unchanged());
    assert_eq!(
        counts(&tally(None, &filed), File::ReviewPhotos),
        [2, 0, 0, 0]
    );
}

#[test]
fn votes_states_and_answers_of_the_store_stay() {
    let row = ReviewRow {
        body: "other",
        helpfulness: 1,
        reported: true,
        response: Some("the file's"),
        ..ROW
    };
    let before = stored(&filed(all(), (1, 2), &rows(Some(ROW), &[]), &[]));
    let change = filed(all(), (1, 2), &rows(Some(row), &[]), &[]);
    let merged = change.over(&before, &NONE_TAKEN);
    assert_eq!((merged.body, merged.helpfulness), ("other", 3));
    assert_eq!(merged.state, ReviewState::Published);
    assert_eq!(merged.response, Some("the file's"));
    let answered = Review {
        response: Some("ours"),
        helpfulness: 0,
        ..before
    };
    let merged = change.over(&answered, &NONE_TAKEN);
    assert_eq!((merged.response, merged.helpfulness), (Some("ours"), 1));
    let new = change.alone().unwrap();
    assert_eq!(new.state, ReviewState::Hidden);
}

#[test]
fn a_photo_has_the_files_id_unless_that_may_be_taken() {
    let mut before = stored(&filed(all(), (1, 2), &rows(Some(ROW), &[]), &[]));
    before.photos = vec![
        ReviewPhoto { id: 3, url: "y" },
        ReviewPhoto { id: 90, url: "x" },
    ];
    let ids = |urls: &[&'static str], taken| -> Vec<u64> {
        let filed = filed(all(), (1, 2), &rows(None, urls), &[]);
        let merged = filed.over(&before, &taken);
        merged.photos.iter().map(|one| one.id).collect()
    };
    assert_eq!(ids(&["x", "y"], NONE_TAKEN), [10, 11]);
    assert_eq!(ids(&["x", "y"], 5..100), [11, 90]);
    assert_eq!(ids(&["x", "y"], 2..100), [3, 90]);
    assert_eq!(ids(&["z", "x", "x"], 5..100), [10, 12, 90]);
    let other = filed(all(), (1, 2), &rows(None, &["x", "z"]), &[]);
    let tallies = tally(Some(&before), &other);
    assert_eq!(counts(&tallies, File::ReviewPhotos), [1, 0, 1, 1]);
}

#[test]
fn parts_that_no_file_has_stay() {
    let mut before = stored(&filed(all(), (1, 2), &rows(Some(ROW), &["x"]), &[]));
    before.ratings = vec![CharacteristicRating {
        characteristic_id: 7,
        value: 2,
    }];
    let nothing = filed(all(), (1, 2), &rows(None, &[]), &[]);
    assert_eq!(nothing.over(&before, &NONE_TAKEN), before);
    assert_eq!(nothing.alone(), None);
    let pruning = GivenFiles::new(true, |_| true);
    let emptied = filed(pruning, (1, 2), &rows(Some(ROW), &[]), &[]);
    let merged = emptied.over(&before, &NONE_TAKEN);
    assert!(merged.photos.is_empty() && merged.ratings.is_empty());
    assert_eq!(
        counts(&tally(Some(&before), &emptied), File::Ratings),
        [0, 0, 1, 0]
    );
}
