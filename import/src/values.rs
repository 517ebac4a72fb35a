//! The output of an import: the rows of the ten files as plain values.
//!
//! Owns no behaviour, and must not know files, packing or sorting. Invariant: text is borrowed from
//! where the row was unpacked, so handing a row over copies nothing.

/// A review, without the fields that other files have about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReviewRow<'a> {
    /// 1 to 5.
    pub rating: u8,
    /// Milliseconds since 1970, within the years 0000 to 9999.
    pub date_ms: i64,
    /// True if the reviewer recommends the product.
    pub recommend: bool,
    /// True if it was reported.
    pub reported: bool,
    /// The number of votes that it is helpful.
    pub helpfulness: u32,
    /// The headline.
    pub summary: &'a str,
    /// The text.
    pub body: &'a str,
    /// The reviewer's name.
    pub reviewer_name: &'a str,
    /// The reviewer's address.
    pub reviewer_email: &'a str,
    /// The merchant's answer.
    pub response: Option<&'a str>,
}

/// A photo of a review.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PhotoRow<'a> {
    /// Its id.
    pub id: u64,
    /// Its address.
    pub url: &'a str,
}

/// The value that a review gave to a characteristic.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RatingRow {
    /// The characteristic's id.
    pub characteristic_id: u64,
    /// 1 to 5.
    pub value: u8,
}

/// A characteristic of a product.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CharacteristicRow<'a> {
    /// Its id.
    pub id: u64,
    /// Its name.
    pub name: &'a str,
}

/// A product, without its features.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProductRow<'a> {
    /// Its name.
    pub name: &'a str,
    /// Its slogan.
    pub slogan: &'a str,
    /// Its description.
    pub description: &'a str,
    /// Its category.
    pub category: &'a str,
    /// Its price, as the file writes it.
    pub default_price: &'a str,
}

/// A feature of a product.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FeatureRow<'a> {
    /// The feature's name.
    pub feature: &'a str,
    /// Its value.
    pub value: Option<&'a str>,
}

/// A style of a product, without its photos and skus.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StyleRow<'a> {
    /// Its name.
    pub name: &'a str,
    /// Its price, as the file writes it.
    pub original_price: &'a str,
    /// Its price while on sale.
    pub sale_price: Option<&'a str>,
    /// True if it is the style shown first.
    pub default: bool,
}

/// A photo of a style.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StylePhotoRow<'a> {
    /// The picture.
    pub url: &'a str,
    /// A small one.
    pub thumbnail_url: &'a str,
}

/// A size of a style.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SkuRow<'a> {
    /// Its id.
    pub id: u64,
    /// The size.
    pub size: &'a str,
    /// The number of pieces in stock.
    pub quantity: u64,
}
