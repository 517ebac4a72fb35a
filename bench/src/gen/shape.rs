//! How many rows each product has in each file, and so which ids they get.
//!
//! Owns the proportions and the skew of the real set and must not know what
//! is in a row. A shape depends on (plan, product) alone: the counting pass
//! and the rendering pass see the same one, so ids can be given out before a
//! single row exists.

use crate::r#gen::category::{CATEGORIES, Category};
use crate::rng::{Purpose, Rng};

/// Reviews and products of the real set, whose quotient every size keeps.
const REAL_REVIEWS: u64 = 5_774_952;
const REAL_PRODUCTS: u64 = 1_000_011;

/// Review counts of the first famous product: three for every twenty products, within these.
const HOTTEST_MIN: u64 = 20;
const HOTTEST_MAX: u64 = 100_000;
/// The least a famous product has, where there are enough products for any fame.
const FAMOUS_REVIEWS_MIN: u64 = 100;

/// Ordinary products: this many in a hundred have 13 to 207 reviews, 41.1 on
/// average; the others none to twelve.
const TAIL_PERCENT: u64 = 2;
const TAIL_MEAN_TENTHS: u64 = 411;
const ORDINARY_MAX: u64 = 12;

pub(crate) const STYLES_MAX: usize = 6;
const STYLE_WEIGHTS: [u64; STYLES_MAX + 1] = [6, 39, 27, 16, 7, 3, 2];
const PHOTO_WEIGHTS: [u64; 8] = [4, 15, 24, 26, 16, 8, 5, 2];
const FEATURE_WEIGHTS: [u64; 5] = [4, 21, 36, 27, 12];
const RELATED_WEIGHTS: [u64; 10] = [2, 6, 9, 14, 18, 19, 15, 9, 6, 2];
const REVIEW_PHOTO_WEIGHTS: [u64; 6] = [742, 129, 69, 41, 10, 9];

/// The whole shop: its size, its seed and who is famous in it.
///
/// The n-th famous product has 1/n of the hottest's reviews and the id
/// n × `stride`, a round number.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) products: u64,
    pub(crate) seed: u64,
    hottest: u64,
    famous: u64,
    stride: u64,
    /// Twice an ordinary product's mean chance of each of its twelve reviews, in 2^-32.
    popularity: u64,
}

/// The numbers of one product's rows.
#[derive(Clone, Debug)]
pub(crate) struct Shape {
    pub(crate) category: &'static Category,
    pub(crate) reviews: u64,
    pub(crate) review_photos: u64,
    pub(crate) characteristics: u64,
    pub(crate) features: u64,
    pub(crate) related: u64,
    /// Review ids and style ids left out before this product's.
    pub(crate) review_gap: u64,
    pub(crate) style_gap: u64,
    style_count: usize,
    styles: [StyleShape; STYLES_MAX],
}

#[derive(Clone, Copy, Default, Debug)]
pub(crate) struct StyleShape {
    pub(crate) skus: u64,
    pub(crate) photos: u64,
}

/// The next free id of every file that has ids of its own.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub(crate) struct Ids {
    pub(crate) review: u64,
    pub(crate) review_photo: u64,
    pub(crate) characteristic: u64,
    pub(crate) rating: u64,
    pub(crate) style: u64,
    pub(crate) sku: u64,
    pub(crate) photo: u64,
    pub(crate) feature: u64,
    pub(crate) related: u64,
}

impl Plan {
    pub(crate) fn new(products: u64, seed: u64) -> Self {
        let hottest = (products * 3 / 20).clamp(HOTTEST_MIN, HOTTEST_MAX);
        let famous = (hottest / FAMOUS_REVIEWS_MIN).max(1);
        let famous_reviews: u64 = (1..=famous).map(|rank| hottest / rank).sum();
        let ordinary = (products - famous).max(1);
        let reviews = products * REAL_REVIEWS / REAL_PRODUCTS;
        let mean_milli = reviews.saturating_sub(famous_reviews) * 1000 / ordinary;
        let tail_milli = TAIL_MEAN_TENTHS * TAIL_PERCENT;
        let few_milli = mean_milli.saturating_sub(tail_milli) * 100 / (100 - TAIL_PERCENT);
        Self {
            products,
            seed,
            hottest,
            famous,
            stride: round_down(products / famous),
            popularity: ((2 * few_milli) << 32) / (ORDINARY_MAX * 1000),
        }
    }

    /// The most reviewed products and their reviews, hottest first.
    pub(crate) fn hot_products(&self) -> impl Iterator<Item = (u64, u64)> {
        (1..=self.famous).map(|rank| (rank * self.stride, self.hottest / rank))
    }

    /// True if this is the product with the most reviews.
    pub(crate) fn is_hottest(&self, product: u64) -> bool {
        product == self.stride
    }

    pub(crate) fn rng(&self, product: u64, purpose: Purpose) -> Rng {
        Rng::new(self.seed, product, purpose)
    }

    pub(crate) fn shape(&self, product: u64) -> Shape {
        let mut rng = self.rng(product, Purpose::Shape);
        let mut category = Category::draw(&mut rng);
        let mut characteristics = category.class.characteristic_count(&mut rng);
        if self.is_hottest(product) {
            // It has a sixtieth of all reviews: its ratings must not skew the file's size.
            [category, ..] = CATEGORIES.each_ref();
            characteristics = 4;
        }
        let reviews = self.review_count(product, &mut rng);
        let style_count = rng.weighted(&STYLE_WEIGHTS);
        let mut styles = [StyleShape::default(); STYLES_MAX];
        for style in styles.iter_mut().take(style_count) {
            style.skus = category.class.sku_count(&mut rng);
            style.photos = rng.weighted(&PHOTO_WEIGHTS) as u64;
        }
        let mut photo_rng = self.rng(product, Purpose::ReviewPhotos);
        Shape {
            category,
            reviews,
            review_photos: (0..reviews).map(|_| review_photos(&mut photo_rng)).sum(),
            characteristics,
            features: rng.weighted(&FEATURE_WEIGHTS) as u64,
            related: rng.weighted(&RELATED_WEIGHTS) as u64,
            review_gap: gap(&mut rng),
            style_gap: gap(&mut rng),
            style_count,
            styles,
        }
    }

    fn review_count(&self, product: u64, rng: &mut Rng) -> u64 {
        let rank = product / self.stride;
        if product.is_multiple_of(self.stride) && rank <= self.famous {
            return self.hottest / rank;
        }
        if rng.chance(TAIL_PERCENT, 100) {
            let least = (ORDINARY_MAX + 1) << rng.weighted(&[8, 4, 2, 1]);
            return least + rng.below(least);
        }
        let chance = rng.below(self.popularity.min(1 << 32));
        (0..ORDINARY_MAX)
            .map(|_| u64::from(rng.next() >> 32 < chance))
            .sum()
    }
}

/// Draws the number of photos of the next review, from [`Purpose::ReviewPhotos`].
pub(crate) fn review_photos(rng: &mut Rng) -> u64 {
    rng.weighted(&REVIEW_PHOTO_WEIGHTS) as u64
}

/// One product in fifty is preceded by one to three ids that no row has.
fn gap(rng: &mut Rng) -> u64 {
    if rng.chance(1, 50) {
        1 + rng.below(3)
    } else {
        0
    }
}

/// The largest of 1, 2, 5, 10, 20, 50 … that is not above `value`.
fn round_down(value: u64) -> u64 {
    let mut power = 1;
    while power * 10 <= value {
        power *= 10;
    }
    match value / power {
        5.. => 5 * power,
        2..5 => 2 * power,
        _ => power,
    }
}

impl Shape {
    pub(crate) fn styles(&self) -> impl Iterator<Item = StyleShape> {
        self.styles.iter().take(self.style_count).copied()
    }
}

impl Ids {
    /// The start of every file.
    pub(crate) const FIRST: Self = Self {
        review: 1,
        review_photo: 1,
        characteristic: 1,
        rating: 1,
        style: 1,
        sku: 1,
        photo: 1,
        feature: 1,
        related: 1,
    };

    /// The ids a product takes, gaps included.
    pub(crate) fn taken_by(shape: &Shape) -> Self {
        Self {
            review: shape.review_gap + shape.reviews,
            review_photo: shape.review_photos,
            characteristic: shape.characteristics,
            rating: shape.reviews * shape.characteristics,
            style: shape.style_gap + shape.style_count as u64,
            sku: shape.styles().map(|style| style.skus).sum(),
            photo: shape.styles().map(|style| style.photos).sum(),
            feature: shape.features,
            related: shape.related,
        }
    }

    pub(crate) fn plus(self, more: Self) -> Self {
        Self {
            review: self.review + more.review,
            review_photo: self.review_photo + more.review_photo,
            characteristic: self.characteristic + more.characteristic,
            rating: self.rating + more.rating,
            style: self.style + more.style,
            sku: self.sku + more.sku,
            photo: self.photo + more.photo,
            feature: self.feature + more.feature,
            related: self.related + more.related,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fame_grows_with_the_shop_and_sits_at_round_ids() {
        let hottest = |products| Plan::new(products, 1).hot_products().next();
        assert_eq!(hottest(1), Some((1, 20)));
        assert_eq!(hottest(10_000), Some((500, 1500)));
        assert_eq!(hottest(1_000_011), Some((1000, 100_000)));
        assert_eq!(hottest(10_000_000), Some((10_000, 100_000)));
        let plan = Plan::new(1_000_011, 1);
        let above = |least| plan.hot_products().filter(|hot| hot.1 >= least).count();
        assert_eq!((above(100_000), above(10_000), above(1000)), (1, 10, 100));
    }

    #[test]
    fn a_hot_product_has_the_reviews_that_are_announced() {
        let plan = Plan::new(10_000, 7);
        assert!(
            plan.hot_products()
                .all(|(id, count)| plan.shape(id).reviews == count)
        );
    }

    #[test]
    fn most_products_have_few_reviews_and_some_over_a_hundred() {
        let plan = Plan::new(20_000, 1);
        let counts: Vec<u64> = (1..=20_000).map(|id| plan.shape(id).reviews).collect();
        let share = |test: fn(&&u64) -> bool| counts.iter().filter(test).count();
        assert!((19_000..19_800).contains(&share(|&&count| count <= 12)));
        assert!((1_000..4_000).contains(&share(|&&count| count == 0)));
        assert!((40..200).contains(&share(|&&count| count > 100)));
    }

    #[test]
    fn round_numbers_are_one_two_or_five_times_a_power_of_ten() {
        assert_eq!(
            [1, 4, 9, 10, 666, 1000].map(round_down),
            [1, 2, 5, 10, 500, 1000]
        );
    }
}
