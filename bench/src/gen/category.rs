//! The shop's categories and all that follows from one: sizes, prices, characteristics.
//!
//! Owns the tables and must not know how rows are written. A category's
//! `tags` are the suffixes its word lists are looked up by, most specific first.

use crate::rng::Rng;

/// The kind of a category's sizes and characteristics.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Class {
    Clothing,
    Shoes,
    Accessories,
}

#[derive(Debug)]
pub(crate) struct Category {
    /// Its place in [`CATEGORIES`].
    pub(crate) index: usize,
    pub(crate) name: &'static str,
    pub(crate) tags: [&'static str; 3],
    pub(crate) class: Class,
    /// Its share of the products, in percent.
    percent: u64,
    price_min: u64,
    price_max: u64,
}

pub(crate) const CATEGORY_COUNT: usize = 11;

const fn category(
    index: usize,
    name: &'static str,
    tags: [&'static str; 3],
    class: Class,
    percent: u64,
    (price_min, price_max): (u64, u64),
) -> Category {
    Category {
        index,
        name,
        tags,
        class,
        percent,
        price_min,
        price_max,
    }
}

#[rustfmt::skip]
pub(crate) static CATEGORIES: [Category; CATEGORY_COUNT] = [
    category(0, "Jackets", ["jackets", "clothing", "one"], Class::Clothing, 13, (80, 420)),
    category(1, "Shirts", ["shirts", "clothing", "one"], Class::Clothing, 15, (20, 95)),
    category(2, "Pants", ["pants", "clothing", "many"], Class::Clothing, 13, (40, 160)),
    category(3, "Dresses", ["dresses", "clothing", "one"], Class::Clothing, 8, (55, 240)),
    category(4, "Sweaters", ["sweaters", "clothing", "one"], Class::Clothing, 8, (45, 190)),
    category(5, "Sneakers", ["sneakers", "shoes", "many"], Class::Shoes, 14, (60, 220)),
    category(6, "Boots", ["boots", "shoes", "many"], Class::Shoes, 9, (90, 360)),
    category(7, "Bags", ["bags", "accessories", "one"], Class::Accessories, 7, (35, 280)),
    category(8, "Sunglasses", ["sunglasses", "accessories", "many"], Class::Accessories, 5, (25, 210)),
    category(9, "Hats", ["hats", "accessories", "one"], Class::Accessories, 4, (15, 90)),
    category(10, "Watches", ["watches", "accessories", "one"], Class::Accessories, 4, (75, 950)),
];

const CLOTHING_SIZES: [&str; 6] = ["XS", "S", "M", "L", "XL", "XXL"];
const SHOE_SIZES: [&str; 15] = [
    "6", "6.5", "7", "7.5", "8", "8.5", "9", "9.5", "10", "10.5", "11", "11.5", "12", "12.5", "13",
];
const ONE_SIZE: [&str; 1] = ["One Size"];

impl Category {
    pub(crate) fn draw(rng: &mut Rng) -> &'static Self {
        let [first, ..] = &CATEGORIES;
        let index = rng.weighted(&CATEGORIES.each_ref().map(|category| category.percent));
        CATEGORIES.get(index).unwrap_or(first)
    }

    /// A price in steps of five, some a unit below, as shops have them.
    pub(crate) fn price(&self, rng: &mut Rng) -> u64 {
        let steps = (self.price_max - self.price_min) / 5 + 1;
        self.price_min + 5 * rng.below(steps) - rng.below(2)
    }
}

impl Class {
    /// Draws the number of sizes of a style.
    pub(crate) fn sku_count(self, rng: &mut Rng) -> u64 {
        match self {
            Self::Clothing => 6 - u64::from(rng.chance(3, 100)),
            Self::Shoes => 8 + rng.below(4),
            Self::Accessories => 1,
        }
    }

    /// `count` sizes from small to large.
    pub(crate) fn sizes(
        self,
        count: u64,
        rng: &mut Rng,
    ) -> impl Iterator<Item = &'static str> + use<> {
        let all: &'static [&'static str] = match self {
            Self::Clothing => &CLOTHING_SIZES,
            Self::Shoes => &SHOE_SIZES,
            Self::Accessories => &ONE_SIZE,
        };
        let count = usize::try_from(count).unwrap_or(all.len());
        let spare = all.len().saturating_sub(count);
        all.iter().skip(rng.index(spare + 1)).take(count).copied()
    }

    /// Draws the number of characteristics that a product's reviews rate: none, one, or three to five.
    pub(crate) fn characteristic_count(self, rng: &mut Rng) -> u64 {
        let weights = match self {
            Self::Accessories => [30, 60, 0, 10, 0, 0],
            Self::Clothing | Self::Shoes => [1, 4, 0, 14, 55, 26],
        };
        rng.weighted(&weights) as u64
    }

    pub(crate) fn characteristics(self, count: u64) -> &'static [&'static str] {
        match (self, count) {
            (_, 0) => &[],
            (_, 1) => &["Quality"],
            (Self::Clothing, 3) => &["Fit", "Comfort", "Quality"],
            (Self::Clothing, 4) => &["Fit", "Length", "Comfort", "Quality"],
            (Self::Clothing, _) => &["Size", "Fit", "Length", "Comfort", "Quality"],
            (Self::Shoes, 4) => &["Size", "Width", "Comfort", "Quality"],
            (Self::Shoes, 5) => &["Size", "Width", "Length", "Comfort", "Quality"],
            (Self::Shoes | Self::Accessories, _) => &["Size", "Comfort", "Quality"],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::Purpose;

    #[test]
    fn the_categories_share_out_a_hundred_and_know_their_place() {
        assert_eq!(CATEGORIES.iter().map(|c| c.percent).sum::<u64>(), 100);
        assert!(CATEGORIES.iter().enumerate().all(|(at, c)| at == c.index));
    }

    #[test]
    fn a_class_has_as_many_sizes_and_characteristics_as_it_counts() {
        let mut rng = Rng::new(1, 1, Purpose::Shape);
        for class in [Class::Clothing, Class::Shoes, Class::Accessories] {
            for _ in 0..1000 {
                let skus = class.sku_count(&mut rng);
                assert_eq!(class.sizes(skus, &mut rng).count() as u64, skus);
                let rated = class.characteristic_count(&mut rng);
                assert_eq!(class.characteristics(rated).len() as u64, rated);
            }
        }
    }
}
