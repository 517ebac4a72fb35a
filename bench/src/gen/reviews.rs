//! The review files' rows of one product: reviews, their photos, characteristics, ratings.
//!
//! Owns what customers say and how they vote. It must not know the catalogue
//! beyond the product's subject. It writes exactly as many rows as the shape
//! says; every review rates every characteristic of its product.

use anyhow::Result;

use crate::r#gen::catalogue::Photo;
use crate::r#gen::files::{Rows, Sheets, push_int};
use crate::r#gen::shape::{Ids, Plan, Shape, review_photos};
use crate::r#gen::text::{Phrases, Slot, Subject};
use crate::rng::{Purpose, Rng};

/// Reviews are dated 2019-01-01 to 2021-12-31; the clock is never asked.
const DATE_FIRST_MS: u64 = 1_546_300_800_000;
const DATE_SPAN_S: u64 = 1096 * 86_400;

/// The weights of the qualities of products: some are good and some are not.
const QUALITY_WEIGHTS: [u64; 4] = [35, 40, 18, 7];
const RATING_WEIGHTS: [[u64; 5]; 4] = [
    [2, 3, 8, 27, 60],
    [4, 6, 14, 36, 40],
    [12, 14, 24, 28, 22],
    [30, 22, 20, 16, 12],
];

/// The weights of one to five sentences.
const SENTENCE_WEIGHTS: [u64; 5] = [6, 14, 24, 28, 28];

/// A vote has at most this many doublings, so at most 4,095.
const HELPFUL_DOUBLINGS_MAX: u32 = 12;

/// The lists customers and the shop draw from.
pub(crate) struct Reviews {
    loving: Voice,
    fair: Voice,
    hating: Voice,
    thanks: Slot,
    sorry: Slot,
    nick: [Slot; 2],
    person: [Slot; 2],
}

/// The lists of one sentiment.
struct Voice {
    summary: Slot,
    opening: Slot,
    /// Sentences in the middle, one of a theme.
    themes: [Slot; 4],
    closing: Slot,
}

impl Voice {
    fn new(phrases: &Phrases, name: &str) -> Result<Self> {
        let slot = |list: &str| phrases.slot(&format!("{list}.{name}"));
        Ok(Self {
            summary: slot("summary")?,
            opening: slot("opening")?,
            themes: [slot("fit")?, slot("make")?, slot("story")?, slot("shop")?],
            closing: slot("closing")?,
        })
    }
}

/// Everything one review is rendered from.
struct Desk<'a> {
    phrases: &'a Phrases,
    subject: &'a Subject,
    product: u64,
    /// The weights of the five ratings.
    ratings: &'static [u64; 5],
    /// Its response is the quoted word "null", of which the set has one.
    null_response: bool,
}

impl Reviews {
    pub(crate) fn new(phrases: &Phrases) -> Result<Self> {
        Ok(Self {
            loving: Voice::new(phrases, "love")?,
            fair: Voice::new(phrases, "fine")?,
            hating: Voice::new(phrases, "hate")?,
            thanks: phrases.slot("response.thanks")?,
            sorry: phrases.slot("response.sorry")?,
            nick: [phrases.slot("nick.first")?, phrases.slot("nick.last")?],
            person: [phrases.slot("first")?, phrases.slot("last")?],
        })
    }

    pub(crate) fn render(
        &self,
        sheets: &mut Sheets,
        mut ids: Ids,
        plan: &Plan,
        product: u64,
        shape: &Shape,
        (phrases, subject): (&Phrases, &Subject),
    ) {
        let characteristics = ids.characteristic..ids.characteristic + shape.characteristics;
        let names = shape.category.class.characteristics(shape.characteristics);
        for (id, name) in characteristics.clone().zip(names) {
            sheets.characteristics.begin(id).int(product).text(name);
        }

        let mut rng = plan.rng(product, Purpose::Reviews);
        let mut photo_rng = plan.rng(product, Purpose::ReviewPhotos);
        let [best, ..] = &RATING_WEIGHTS;
        let mut desk = Desk {
            phrases,
            subject,
            product,
            ratings: RATING_WEIGHTS
                .get(rng.weighted(&QUALITY_WEIGHTS))
                .unwrap_or(best),
            null_response: plan.is_hottest(product),
        };
        ids.review += shape.review_gap;
        for review in ids.review..ids.review + shape.reviews {
            let rating = self.review(&mut sheets.reviews, review, &mut rng, &desk);
            desk.null_response = false;
            for characteristic in characteristics.clone() {
                let value = (rating + rng.below(3)).saturating_sub(1).clamp(1, 5);
                sheets
                    .ratings
                    .begin(ids.rating)
                    .int(characteristic)
                    .int(review)
                    .int(value);
                ids.rating += 1;
            }
            for _ in 0..review_photos(&mut photo_rng) {
                let photo = Photo::draw(&mut rng);
                let row = sheets.review_photos.begin(ids.review_photo).int(review);
                row.quoted(|out| photo.write_short(out));
                ids.review_photo += 1;
            }
        }
    }

    /// Writes a review and returns its rating.
    fn review(&self, rows: &mut Rows, id: u64, rng: &mut Rng, desk: &Desk<'_>) -> u64 {
        let rating = 1 + rng.weighted(desk.ratings) as u64;
        let (voice, recommends_percent) = match rating {
            4.. => (&self.loving, 95),
            3 => (&self.fair, 60),
            _ => (&self.hating, 8),
        };
        let date = DATE_FIRST_MS + rng.below(DATE_SPAN_S) * 1000 + rng.below(1000);
        let (phrases, subject) = (desk.phrases, desk.subject);
        rows.begin(id)
            .int(desk.product)
            .int(rating)
            .int(date)
            .quoted(|out| phrases.write_sentence(out, rng, voice.summary, subject))
            .quoted(|out| body(out, rng, voice, desk))
            .bool(rng.chance(recommends_percent, 100))
            .bool(rng.chance(3, 100));
        self.reviewer(rows, rng, desk);
        self.response(rows, rng, desk, rating);
        rows.int(rng.skewed(HELPFUL_DOUBLINGS_MAX));
        rating
    }

    /// Name and address of the customer.
    fn reviewer(&self, rows: &mut Rows, rng: &mut Rng, desk: &Desk<'_>) {
        let (phrases, subject) = (desk.phrases, desk.subject);
        let number = if rng.chance(1, 2) {
            Some(rng.below(2000))
        } else {
            None
        };
        rows.quoted(|out| {
            for slot in self.nick {
                phrases.write(out, rng, slot, subject);
            }
            if let Some(number) = number {
                push_int(out, number);
            }
        });
        rows.quoted(|out| {
            let [first, last] = self.person;
            phrases.write(out, rng, first, subject);
            out.push(b'.');
            phrases.write(out, rng, last, subject);
            if let Some(number) = number {
                push_int(out, number % 100);
            }
            let host = if rng.chance(2, 3) {
                "@example.com"
            } else {
                "@example.org"
            };
            out.extend_from_slice(host.as_bytes());
        });
    }

    /// The shop answers complaints more often than praise.
    fn response(&self, rows: &mut Rows, rng: &mut Rng, desk: &Desk<'_>, rating: u64) {
        let (slot, percent) = if rating > 2 {
            (self.thanks, 12)
        } else {
            (self.sorry, 45)
        };
        if desk.null_response {
            rows.text("null");
        } else if rng.chance(percent, 100) {
            rows.quoted(|out| desk.phrases.write_sentence(out, rng, slot, desk.subject));
        } else {
            rows.word("null");
        }
    }
}

/// One to five sentences: an opening, themes in turn, and perhaps a closing.
fn body(out: &mut Vec<u8>, rng: &mut Rng, voice: &Voice, desk: &Desk<'_>) {
    let sentences = 1 + rng.weighted(&SENTENCE_WEIGHTS);
    let closes = sentences > 1 && rng.chance(1, 2);
    let (phrases, subject) = (desk.phrases, desk.subject);
    phrases.write_sentence(out, rng, voice.opening, subject);
    let first_theme = rng.index(voice.themes.len());
    let themes = voice.themes.iter().cycle().skip(first_theme);
    for &theme in themes.take((sentences - 1).saturating_sub(usize::from(closes))) {
        out.push(b' ');
        phrases.write_sentence(out, rng, theme, subject);
    }
    if closes {
        out.push(b' ');
        phrases.write_sentence(out, rng, voice.closing, subject);
    }
}
