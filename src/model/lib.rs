//! The plain values every layer speaks of: ids, reviews, summaries, products.
//!
//! Owns no behaviour beyond properties of a single value, and must not know how a value is stored, rendered or
//! imported. Invariant: text is borrowed wherever it was read from, so passing a value on never copies it.

pub mod calendar;
pub mod catalogue;
pub mod clock;
pub mod customer;
pub mod filed;
pub mod moderation;
pub mod record;

use std::fmt;
use std::str::FromStr;

use moderation::{Decision, ReviewState};

/// A product's id; never zero where it was parsed from a client.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ProductId(pub u64);

/// A review's id; never zero where it was parsed from a client.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ReviewId(pub u64);

impl fmt::Display for ProductId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for ReviewId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The order in which a list of reviews is read. Every order ends with the review id descending,
/// so it is total.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Order {
    /// Date descending.
    Newest,
    /// Helpfulness descending, then date descending.
    Helpful,
}

/// A window onto an ordered list: how many rows to pass over, and how many to give.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Page {
    /// Rows passed over before the first one given.
    pub skip: u64,
    /// Rows given at most.
    pub rows: usize,
}

/// One review, as a reader or an importer holds it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Review<'a> {
    /// 1 to 5.
    pub rating: u8,
    /// Milliseconds since 1970-01-01T00:00:00Z.
    pub date_ms: i64,
    /// True if the reviewer recommends the product.
    pub recommend: bool,
    /// Its state; only a published review is in lists.
    pub state: ReviewState,
    /// The report that hid it; `None` if there is none, or one from before reports were recorded.
    pub report: Option<Report>,
    /// The decision that gave it its state; `None` if it was published when it came, or reports alone hid it.
    pub decision: Option<Decision<'a>>,
    /// The number of votes that it is helpful.
    pub helpfulness: u32,
    /// The headline.
    pub summary: &'a str,
    /// The text.
    pub body: &'a str,
    /// The name the reviewer shows.
    pub reviewer_name: &'a str,
    /// The reviewer's address; never shown.
    pub reviewer_email: &'a str,
    /// The merchant's answer.
    pub response: Option<&'a str>,
    /// Photos, ids ascending.
    pub photos: Vec<ReviewPhoto<'a>>,
    /// The reviewer's ratings of the product's characteristics.
    pub ratings: Vec<CharacteristicRating>,
}

impl Review<'_> {
    /// Returns true if it is in the lists of everybody.
    #[must_use]
    pub fn is_published(&self) -> bool {
        self.state == ReviewState::Published
    }

    /// When it came into its state, as far as that is known, in milliseconds since 1970.
    #[must_use]
    pub fn since_ms(&self) -> i64 {
        let reported = self.report.map(|report| report.at_ms);
        let decided = self.decision.map(|decision| decision.at_ms);
        decided.or(reported).unwrap_or(self.date_ms)
    }

    /// Returns true if reports hid it, and nobody has decided since.
    #[must_use]
    pub fn is_hidden_by_reports(&self) -> bool {
        self.state == ReviewState::Hidden && self.decision.is_none()
    }
}

/// The report that hid a review.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Report {
    /// Milliseconds since 1970-01-01T00:00:00Z.
    pub at_ms: i64,
    /// The client that sent it.
    pub reporter: ClientHash,
}

/// A client's address as a store has it: a hash that is salted with the store's id, and written as 16
/// hexadecimal digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ClientHash(pub u64);

impl fmt::Display for ClientHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl FromStr for ClientHash {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        // Rust would also take a sign.
        let is_hex = text.len() == 16 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        let hash = u64::from_str_radix(text, 16).ok().filter(|_| is_hex);
        hash.map(Self)
            .ok_or("the hash of a client has 16 hexadecimal digits")
    }
}

/// A photo of a review.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReviewPhoto<'a> {
    /// The photo's id.
    pub id: u64,
    /// Its address.
    pub url: &'a str,
}

/// One value given to one characteristic by one review.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CharacteristicRating {
    /// The characteristic's id.
    pub characteristic_id: u64,
    /// 1 to 5.
    pub value: u8,
}

/// The review summary of a product (`meta`): of its published and its hidden reviews.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Summary<'a> {
    /// The numbers of reviews that gave 1, 2, 3, 4 and 5.
    pub ratings: [u64; 5],
    /// The number of reviews that do not recommend it.
    pub recommended_false: u64,
    /// The number of reviews that recommend it.
    pub recommended_true: u64,
    /// The product's characteristics, ids ascending.
    pub characteristics: Vec<Characteristic<'a>>,
}

impl Summary<'_> {
    /// Counts a review in. Ratings of characteristics the product does not have are not counted.
    pub fn add(&mut self, review: &Review<'_>) {
        let star = usize::from(review.rating).checked_sub(1);
        if let Some(count) = star.and_then(|star| self.ratings.get_mut(star)) {
            *count += 1;
        }
        if review.recommend {
            self.recommended_true += 1;
        } else {
            self.recommended_false += 1;
        }
        for rating in &review.ratings {
            let mut of = self.characteristics.iter_mut();
            if let Some(one) = of.find(|one| one.id == rating.characteristic_id) {
                one.sum += u64::from(rating.value);
                one.count += 1;
            }
        }
    }

    /// Counts a review out that was counted in. `None` when the summary counts less than it, which
    /// is then of no use any more.
    #[must_use]
    pub fn without(mut self, review: &Review<'_>) -> Option<Self> {
        let star = usize::from(review.rating).checked_sub(1);
        if let Some(count) = star.and_then(|star| self.ratings.get_mut(star)) {
            *count = count.checked_sub(1)?;
        }
        let recommended = if review.recommend {
            &mut self.recommended_true
        } else {
            &mut self.recommended_false
        };
        *recommended = recommended.checked_sub(1)?;
        for rating in &review.ratings {
            let mut of = self.characteristics.iter_mut();
            if let Some(one) = of.find(|one| one.id == rating.characteristic_id) {
                one.sum = one.sum.checked_sub(rating.value.into())?;
                one.count = one.count.checked_sub(1)?;
            }
        }
        Some(self)
    }

    /// Returns true if there is no review, and no characteristic to rate.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// A characteristic of a product, and its ratings by reviews.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Characteristic<'a> {
    /// The characteristic's id.
    pub id: u64,
    /// `Fit`, `Quality`, …
    pub name: &'a str,
    /// The sum of the values given.
    pub sum: u64,
    /// The number of values that were given.
    pub count: u64,
}

/// A product of the catalogue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Product<'a> {
    /// Its name.
    pub name: &'a str,
    /// Its slogan.
    pub slogan: &'a str,
    /// Its description.
    pub description: &'a str,
    /// Its category.
    pub category: &'a str,
    /// Its price, as the catalogue writes it.
    pub default_price: &'a str,
    /// Its features, in order of their ids.
    pub features: Vec<Feature<'a>>,
}

/// A feature of a product.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Feature<'a> {
    /// The feature's name.
    pub feature: &'a str,
    /// Its value; some have none.
    pub value: Option<&'a str>,
}

/// A style of a product.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Style<'a> {
    /// The style's id.
    pub id: u64,
    /// Its name.
    pub name: &'a str,
    /// Its price, as the catalogue writes it.
    pub original_price: &'a str,
    /// Its price while it is on sale.
    pub sale_price: Option<&'a str>,
    /// True if it is the style shown first.
    pub default: bool,
    /// Photos, in the file's order.
    pub photos: Vec<StylePhoto<'a>>,
    /// Stock keeping units, ids ascending.
    pub skus: Vec<Sku<'a>>,
}

/// A photo of a style.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StylePhoto<'a> {
    /// The picture.
    pub url: &'a str,
    /// A small one.
    pub thumbnail_url: &'a str,
}

/// A stock keeping unit: one size of one style.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sku<'a> {
    /// The unit's id.
    pub id: u64,
    /// `XS`, `7.5`, `One Size`, …
    pub size: &'a str,
    /// The number of pieces in stock.
    pub quantity: u64,
}

/// A review as a client gives it, checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewReview {
    /// The product it is about.
    pub product: ProductId,
    /// 1 to 5.
    pub rating: u8,
    /// True if the reviewer recommends the product.
    pub recommend: bool,
    /// The headline.
    pub summary: String,
    /// The text.
    pub body: String,
    /// The name the reviewer shows.
    pub reviewer_name: String,
    /// The reviewer's address.
    pub reviewer_email: String,
    /// The addresses of its photos.
    pub photos: Vec<String>,
    /// Its ratings of characteristics, each of which the product has.
    pub ratings: Vec<CharacteristicRating>,
}
