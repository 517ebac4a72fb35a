//! The bytes of values, and bytes that are none.

use super::super::moderation::audit::ReviewStanding;
use super::*;
use crate::model::moderation::{AuditAction, Decision, Role};
use crate::model::{
    Characteristic, CharacteristicRating, ClientHash, Feature, ReviewPhoto, Sku, StylePhoto,
};
use proptest::prelude::*;

fn bytes<'de, R: StoredValue<'de>>(record: &R) -> Vec<u8> {
    let mut out = Vec::new();
    encode(record, &mut out).unwrap();
    out
}

fn review() -> Review<'static> {
    Review {
        rating: 4,
        date_ms: 1_615_987_717_620,
        recommend: true,
        state: ReviewState::Published,
        report: None,
        decision: None,
        helpfulness: 300,
        summary: "Warm",
        body: "Wore it.",
        reviewer_name: "pine",
        reviewer_email: "p@x.org",
        response: Some("Thanks"),
        photos: vec![ReviewPhoto {
            id: 70_000,
            url: "u",
        }],
        ratings: vec![CharacteristicRating {
            characteristic_id: 9,
            value: 5,
        }],
    }
}

fn style() -> Style<'static> {
    Style {
        id: 7,
        name: "Red",
        original_price: "140",
        sale_price: None,
        default: true,
        photos: vec![StylePhoto {
            url: "u",
            thumbnail_url: "t",
        }],
        skus: vec![Sku {
            id: 8,
            size: "XS",
            quantity: 251,
        }],
    }
}

/// The bytes of version 1. They are on disks: a change of this table is a new version.
#[test]
fn version_one_has_the_bytes_it_always_had() {
    let mut golden = vec![
        1, 1, 251, 44, 1, 253, 232, 107, 191, 128, 240, 2, 0, 0, 0, 4, 1,
    ];
    golden.extend(b"\x04Warm\x08Wore it.\x04pine\x07p@x.org\x01\x06Thanks");
    golden.extend([1, 252, 112, 17, 1, 0, 1, b'u', 1, 9, 5]);
    assert_eq!(bytes(&review()), golden);

    let summary = Summary {
        ratings: [0, 1, 250, 251, 65_536],
        recommended_false: 1,
        recommended_true: 2,
        characteristics: vec![Characteristic {
            id: 5,
            name: "Fit",
            sum: 21,
            count: 5,
        }],
    };
    let mut golden = vec![2, 1, 0, 1, 250, 251, 251, 0, 252, 0, 0, 1, 0, 1, 2, 1, 5];
    golden.extend(b"\x03Fit\x15\x05");
    assert_eq!(bytes(&summary), golden);

    let product = Product {
        name: "a",
        slogan: "b",
        description: "c",
        category: "d",
        default_price: "140",
        features: vec![Feature {
            feature: "UV",
            value: None,
        }],
    };
    assert_eq!(
        bytes(&product),
        b"\x03\x01\x01a\x01b\x01c\x01d\x03140\x01\x02UV\x00"
    );
    assert_eq!(
        bytes(&Styles(vec![style()])),
        b"\x04\x01\x01\x07\x03Red\x03140\x00\x01\x01\x01u\x01t\x01\x08\x02XS\xfb\xfb\x00"
    );
    assert_eq!(
        bytes(&Related(vec![ProductId(2), ProductId(3)])),
        [5, 1, 2, 2, 3]
    );

    let identity = Identity {
        store_id: 3,
        made_ms: -1,
    };
    assert_eq!(bytes(&identity), [6, 1, 3, 1]);
    let counters = Counters {
        reviews: 9,
        reviews_hidden: 9,
        ..Counters::NONE
    };
    assert_eq!(bytes(&counters), [7, 1, 1, 1, 9, 0, 0, 0, 0, 0, 0]);
    let predecessors = Predecessors(vec![Predecessor {
        store_id: 3,
        epoch: 2,
        seq: 300,
    }]);
    assert_eq!(bytes(&predecessors), [10, 1, 1, 3, 2, 251, 44, 1]);
}

/// A promise as the table above: version 1 is read, version 2 is written.
#[test]
fn a_record_of_a_retry_without_a_client_is_still_read() {
    let mut retried = IdempotencyRecord {
        review: 9,
        body: 1,
        made_ms: 1,
        client: Some(300),
    };
    let golden = [8, 2, 9, 1, 2, 1, 251, 44, 1];
    assert_eq!(bytes(&retried), golden);
    assert_eq!(decode(&golden), Ok(retried));
    retried.client = None;
    assert_eq!(decode(&[8, 1, 9, 1, 2]), Ok(retried));
    let refused = [&[8, 1, 9, 1][..], &[8, 1, 9, 1, 2, 0], &[8, 3, 9, 1, 2]];
    for value in refused {
        assert!(decode::<IdempotencyRecord>(value).is_err(), "{value:?}");
    }
}

fn reported() -> Review<'static> {
    Review {
        state: ReviewState::Hidden,
        report: Some(Report {
            at_ms: 1_700_000_000_000,
            reporter: ClientHash(0x0102_0304_0506_0708),
        }),
        ..review()
    }
}

/// The bytes of version 2 of a review. They are on disks: a change of them is a new version.
#[test]
fn a_reported_review_has_the_bytes_of_version_two() {
    let mut golden = vec![1, 2, 251, 44, 1, 253, 232, 107, 191, 128, 240, 2, 0, 0, 1];
    golden.extend([253, 0, 208, 202, 159, 23, 3, 0, 0]);
    golden.extend([253, 8, 7, 6, 5, 4, 3, 2, 1, 4, 1]);
    golden.extend(&bytes(&review())[17..]);
    assert_eq!(bytes(&reported()), golden);
    assert_eq!(decode::<Review<'_>>(&golden), Ok(reported()));
    // Reviews that were reported before reports were stored.
    let unknown = Review {
        report: None,
        ..reported()
    };
    assert_eq!(bytes(&unknown)[1], 1);
    assert_eq!(decode::<Review<'_>>(&bytes(&unknown)), Ok(unknown));
}

#[test]
fn the_head_of_a_review_is_read_without_the_rest() {
    let head = ReviewHead {
        helpfulness: 300,
        date_ms: 1_615_987_717_620,
        state: ReviewState::Published,
        report: None,
        decided: None,
    };
    assert_eq!(decode_head(&bytes(&review())), Ok(head));
    let head = ReviewHead {
        state: ReviewState::Hidden,
        report: reported().report,
        ..head
    };
    assert_eq!(decode_head(&bytes(&reported())), Ok(head));
    assert_eq!(head.since_ms(), 1_700_000_000_000);
    let head = ReviewHead {
        state: ReviewState::Removed,
        report: None,
        decided: Some(Decided {
            at_ms: 1_800_000_000_000,
            reason: ReasonCode::Illegal,
        }),
        ..head
    };
    assert_eq!(decode_head(&bytes(&removed())), Ok(head));
    assert_eq!(head.since_ms(), 1_800_000_000_000);
}

/// They are on disks as well: a change of them is a new version.
#[test]
fn the_rows_of_moderation_have_the_bytes_they_always_had() {
    let report = OpenReport {
        at_ms: 3,
        reason: ReasonCode::Spam,
    };
    assert_eq!(bytes(&report), [11, 1, 6, 1]);
    assert_eq!(decode(&[11, 1, 6, 1]), Ok(report));
    let votes = VoteRecord { votes: 2, at_ms: 3 };
    assert_eq!(bytes(&votes), [12, 1, 2, 6]);
    assert_eq!(decode(&[12, 1, 2, 6]), Ok(votes));
    let decision = removed().decision;
    let entry = AuditEntry {
        at_ms: 3,
        actor: "ana",
        role: Role::Moderator,
        action: AuditAction::Moderate,
        subject: 300,
        reason: ReasonCode::Illegal,
        note: Some("n"),
        before: Some(ReviewStanding {
            state: ReviewState::Hidden,
            report: reported().report,
            decision: None,
        }),
        after: Some(ReviewStanding {
            state: ReviewState::Removed,
            report: None,
            decision,
        }),
    };
    let mut golden = b"\x0d\x01\x06\x03ana\x01\x01\xfb\x2c\x01\x06\x01\x01n".to_vec();
    golden.extend([1, 2, 1, 253, 0, 208, 202, 159, 23, 3, 0, 0]);
    golden.extend([253, 8, 7, 6, 5, 4, 3, 2, 1, 0]);
    golden.extend([1, 3, 0, 1, 253, 0, 160, 184, 48, 70, 3, 0, 0, 6]);
    golden.extend(b"\x03ana");
    assert_eq!(bytes(&entry), golden);
    assert_eq!(decode(&golden), Ok(entry));
    for at in 0..golden.len() {
        assert!(decode::<AuditEntry<'_>>(&golden[..at]).is_err(), "{at}");
    }
}

fn removed() -> Review<'static> {
    Review {
        state: ReviewState::Removed,
        decision: Some(Decision {
            at_ms: 1_800_000_000_000,
            reason: ReasonCode::Illegal,
            by: "ana",
        }),
        ..review()
    }
}

/// The bytes of version 3 of a review. They are on disks: a change of them is a new version.
#[test]
fn a_review_with_a_decision_has_the_bytes_of_version_three() {
    let mut golden = vec![
        1, 3, 251, 44, 1, 253, 232, 107, 191, 128, 240, 2, 0, 0, 3, 0,
    ];
    golden.extend([253, 0, 160, 184, 48, 70, 3, 0, 0, 6]);
    golden.extend(b"\x03ana\x04\x01");
    golden.extend(&bytes(&review())[17..]);
    assert_eq!(bytes(&removed()), golden);
    assert_eq!(decode::<Review<'_>>(&golden), Ok(removed()));
    for (at, wrong) in [(14, 4), (25, 200)] {
        let mut damaged = golden.clone();
        damaged[at] = wrong;
        assert!(decode::<Review<'_>>(&damaged).is_err(), "{at}");
    }
    let undecided = Review {
        decision: None,
        ..removed()
    };
    assert!(encode(&undecided, &mut Vec::new()).is_err());
}

/// The same of counters: version 1 as long as it holds all of them.
#[test]
fn counters_of_other_states_have_the_bytes_of_version_two() {
    let counters = Counters {
        reviews: 9,
        reviews_visible: 7,
        reviews_hidden: 2,
        ..Counters::NONE
    };
    let golden = [7, 1, 1, 1, 9, 7, 0, 0, 0, 0, 0];
    assert_eq!(bytes(&counters), golden);
    assert_eq!(decode(&golden), Ok(counters));
    let counters = Counters {
        reviews_visible: 4,
        reviews_pending: 2,
        reviews_removed: 1,
        next_audit_entry: 300,
        ..counters
    };
    let golden = [7, 2, 1, 1, 9, 4, 0, 0, 0, 0, 0, 2, 2, 1, 251, 44, 1];
    assert_eq!(bytes(&counters), golden);
    assert_eq!(decode(&golden), Ok(counters));
}

#[test]
fn a_value_of_another_kind_version_or_length_is_rejected() {
    let good = bytes(&review());
    let mut kind = good.clone();
    kind[0] = 2;
    assert!(decode::<Review<'_>>(&kind).unwrap_err().contains("kind 2"));
    let mut version = good.clone();
    version[1] = 9;
    assert!(
        decode::<Review<'_>>(&version)
            .unwrap_err()
            .contains("version 9")
    );
    let mut more = good;
    more.push(0);
    assert_eq!(decode::<Review<'_>>(&more).unwrap_err(), "1 bytes too many");
}

#[test]
fn a_value_that_could_not_be_read_back_is_not_written() {
    let text = "x".repeat(VALUE_BYTES_MAX / 2);
    let photo = StylePhoto {
        url: &text,
        thumbnail_url: "",
    };
    let with_photos = |count| {
        let mut style = style();
        style.photos = vec![photo; count];
        Styles(vec![style])
    };
    let value = bytes(&with_photos(1));
    assert_eq!(decode::<Styles<'_>>(&value), Ok(with_photos(1)));
    assert!(encode(&with_photos(2), &mut Vec::new()).is_err());
    let many = Related(vec![ProductId(1); VALUE_BYTES_MAX - 8]);
    assert_eq!(decode::<Related>(&bytes(&many)), Ok(many));
}

#[test]
fn a_length_of_gigabytes_is_rejected_before_allocation() {
    // A list of 2^40 related products, of which none follows.
    let value = [5, 1, 253, 0, 0, 0, 0, 0, 1, 0, 0];
    assert!(decode::<Related>(&value).is_err());
    let value = [1, 1, 0, 0, 0, 4, 1, 253, 0, 0, 0, 0, 0, 1, 0, 0];
    assert!(decode::<Review<'_>>(&value).is_err());
}

proptest! {
    #[test]
    fn reviews_decode_to_what_was_encoded(
        rating in 1_u8..=5, date_ms: i64, recommend: bool, helpfulness: u32,
        report: Option<(i64, u64)>, state in 0_u8..4, decided: Option<(i64, u8)>, by in ".{0,20}",
        texts in prop::array::uniform4(".{0,40}"), response in prop::option::of(".{0,40}"),
        photos in prop::collection::vec((any::<u64>(), ".{0,20}"), 0..4),
        ratings in prop::collection::vec((any::<u64>(), 1_u8..=5), 0..4),
    ) {
        let [summary, body, reviewer_name, reviewer_email] = &texts;
        let decision = decided.map(|(at_ms, reason)| Decision {
            at_ms,
            reason: ReasonCode::of_number(reason % 20).unwrap(),
            by: &by,
        });
        let state = ReviewState::of_number(state).unwrap();
        let state = if decision.is_none() && !state.is_counted() {
            ReviewState::Published
        } else {
            state
        };
        let photos = photos.iter().map(|(id, url)| ReviewPhoto { id: *id, url });
        let ratings = ratings.iter().map(|(characteristic_id, value)| CharacteristicRating {
            characteristic_id: *characteristic_id,
            value: *value,
        });
        let review = Review {
            rating, date_ms, helpfulness, summary, body, reviewer_name, reviewer_email,
            recommend,
            state,
            decision,
            report: report.map(|(at_ms, reporter)| Report {
                at_ms,
                reporter: ClientHash(reporter),
            }),
            response: response.as_deref(),
            photos: photos.collect(),
            ratings: ratings.collect(),
        };
        let value = bytes(&review);
        prop_assert_eq!(decode::<Review<'_>>(&value), Ok(review));
    }

    #[test]
    fn a_truncated_value_is_an_error(cut in 0_usize..40) {
        for value in [
            bytes(&review()),
            bytes(&reported()),
            bytes(&removed()),
            bytes(&Styles(vec![style(), style()])),
        ] {
            let cut = cut.min(value.len() - 1);
            prop_assert!(decode::<Review<'_>>(&value[..cut]).is_err());
            prop_assert!(decode::<Styles<'_>>(&value[..cut]).is_err());
        }
    }

    #[test]
    fn a_damaged_value_never_panics(
        bit in 0_usize..8, at in any::<prop::sample::Index>(),
    ) {
        for mut value in [
            bytes(&review()),
            bytes(&reported()),
            bytes(&removed()),
            bytes(&Styles(vec![style(); 3])),
        ] {
            let at = at.index(value.len());
            value[at] ^= 1 << bit;
            let _ = (decode::<Review<'_>>(&value), decode_head(&value));
            let _ = (decode::<Styles<'_>>(&value), decode::<Summary<'_>>(&value));
        }
    }

    #[test]
    fn random_bytes_never_panic(
        mut value: Vec<u8>, kind in 1_u8..=13, version in 1_u8..=3,
    ) {
        value.splice(0..0, [kind, version]);
        let _ = (decode::<Review<'_>>(&value), decode::<Summary<'_>>(&value));
        let _ = (decode::<Product<'_>>(&value), decode::<Styles<'_>>(&value));
        let _ = (decode::<Related>(&value), decode::<Identity>(&value));
        let _ = (decode::<Counters>(&value), decode::<Predecessors>(&value));
        let _ = (decode::<OpenReport>(&value), decode::<VoteRecord>(&value));
        let _ = decode::<AuditEntry<'_>>(&value);
    }
}
