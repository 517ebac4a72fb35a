//! A whole product of the catalogue, with texts of its own: itself, its styles, and the products related to it.
//!
//! Owns what may stand in one, as an import takes it. Must not know files, JSON or the store. Invariant: a
//! product without faults can be stored, and is served as it is.

use std::collections::BTreeSet;
use std::fmt;

use crate::{Feature, Product, ProductId, Sku, Style, StylePhoto};

/// A product with all that the catalogue has of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WholeProduct {
    /// Its id.
    pub id: ProductId,
    /// Its name.
    pub name: String,
    /// Its slogan.
    pub slogan: String,
    /// Its description.
    pub description: String,
    /// Its category.
    pub category: String,
    /// Its price, as the catalogue writes it.
    pub default_price: String,
    /// Its features, in the order in which they are shown.
    pub features: Vec<WholeFeature>,
    /// Its styles.
    pub styles: Vec<WholeStyle>,
    /// The related products, in the order in which they are shown.
    pub related: Vec<ProductId>,
}

/// A feature of a whole product.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WholeFeature {
    /// The feature's name.
    pub feature: String,
    /// Its value; some have none.
    pub value: Option<String>,
}

/// A style of a whole product.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WholeStyle {
    /// The style's id.
    pub id: u64,
    /// Its name.
    pub name: String,
    /// Its price, as the catalogue writes it.
    pub original_price: String,
    /// Its price while it is on sale.
    pub sale_price: Option<String>,
    /// True if it is the style shown first.
    pub default: bool,
    /// Its photos, in the order in which they are shown.
    pub photos: Vec<WholePhoto>,
    /// Its stock keeping units.
    pub skus: Vec<WholeSku>,
}

/// A photo of a style of a whole product.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WholePhoto {
    /// The picture.
    pub url: String,
    /// A small one.
    pub thumbnail_url: String,
}

/// A stock keeping unit of a whole product.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WholeSku {
    /// The unit's id.
    pub id: u64,
    /// `XS`, `7.5`, `One Size`, …
    pub size: String,
    /// The number of pieces in stock.
    pub quantity: u64,
}

/// A part of a whole product, by indices into its lists.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CataloguePart {
    /// The product's id.
    Id,
    /// The product's price.
    DefaultPrice,
    /// An entry of the related products.
    Related(usize),
    /// The id of a style.
    StyleId(usize),
    /// The price of a style.
    OriginalPrice(usize),
    /// The price of a style on sale.
    SalePrice(usize),
    /// The id of a unit of a style.
    SkuId(usize, usize),
}

/// A thing that is wrong with a whole product.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CatalogueFault {
    /// The part that is wrong.
    pub part: CataloguePart,
    /// The reason, in words that follow the name of the part.
    pub reason: &'static str,
}

const ZERO: &str = "must be a positive whole number";
const NO_PRICE: &str = "must be a price such as 140 or 140.00";

/// Returns true if a text is a price as a catalogue writes it: digits, perhaps with decimals.
#[must_use]
pub fn is_price(text: &str) -> bool {
    let (whole, decimals) = text.split_once('.').unwrap_or((text, "0"));
    let digits = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    digits(whole) && digits(decimals)
}

impl WholeProduct {
    /// Puts a product together with what other files and values have of it.
    #[must_use]
    pub fn of(
        id: ProductId,
        product: &Product<'_>,
        styles: &[Style<'_>],
        related: &[ProductId],
    ) -> Self {
        let features = product.features.iter().map(|one| WholeFeature {
            feature: one.feature.to_owned(),
            value: one.value.map(str::to_owned),
        });
        Self {
            id,
            name: product.name.to_owned(),
            slogan: product.slogan.to_owned(),
            description: product.description.to_owned(),
            category: product.category.to_owned(),
            default_price: product.default_price.to_owned(),
            features: features.collect(),
            styles: styles.iter().map(WholeStyle::of).collect(),
            related: related.to_vec(),
        }
    }

    /// Brings the lists into the order in which an import stores them: styles and units by their ids.
    #[must_use]
    pub fn in_order(mut self) -> Self {
        self.styles.sort_by_key(|style| style.id);
        for style in &mut self.styles {
            style.skus.sort_by_key(|sku| sku.id);
        }
        self
    }

    /// Returns all that is wrong with it.
    #[must_use]
    pub fn faults(&self) -> Vec<CatalogueFault> {
        let mut faults = Vec::new();
        let mut expect = |is_right: bool, part: CataloguePart, reason: &'static str| {
            if !is_right {
                faults.push(CatalogueFault { part, reason });
            }
        };
        expect(self.id.0 > 0, CataloguePart::Id, ZERO);
        let price = CataloguePart::DefaultPrice;
        expect(is_price(&self.default_price), price, NO_PRICE);
        for (at, related) in self.related.iter().enumerate() {
            expect(related.0 > 0, CataloguePart::Related(at), ZERO);
        }
        let (mut styles, mut skus) = (BTreeSet::new(), BTreeSet::new());
        for (at, style) in self.styles.iter().enumerate() {
            let part = CataloguePart::StyleId(at);
            expect(style.id > 0, part, ZERO);
            expect(styles.insert(style.id), part, "has another style already");
            let part = CataloguePart::OriginalPrice(at);
            expect(is_price(&style.original_price), part, NO_PRICE);
            let on_sale = style.sale_price.as_deref();
            let part = CataloguePart::SalePrice(at);
            expect(on_sale.is_none_or(is_price), part, NO_PRICE);
            for (index, sku) in style.skus.iter().enumerate() {
                let part = CataloguePart::SkuId(at, index);
                expect(sku.id > 0, part, ZERO);
                expect(skus.insert(sku.id), part, "has another sku already");
            }
        }
        faults
    }

    /// Returns the product without its styles and relations.
    #[must_use]
    pub fn product(&self) -> Product<'_> {
        let features = self.features.iter().map(|one| Feature {
            feature: &one.feature,
            value: one.value.as_deref(),
        });
        Product {
            name: &self.name,
            slogan: &self.slogan,
            description: &self.description,
            category: &self.category,
            default_price: &self.default_price,
            features: features.collect(),
        }
    }

    /// Returns its styles.
    #[must_use]
    pub fn styles(&self) -> Vec<Style<'_>> {
        self.styles.iter().map(WholeStyle::style).collect()
    }
}

impl WholeStyle {
    fn of(style: &Style<'_>) -> Self {
        let photos = style.photos.iter().map(|photo| WholePhoto {
            url: photo.url.to_owned(),
            thumbnail_url: photo.thumbnail_url.to_owned(),
        });
        let skus = style.skus.iter().map(|sku| WholeSku {
            id: sku.id,
            size: sku.size.to_owned(),
            quantity: sku.quantity,
        });
        Self {
            id: style.id,
            name: style.name.to_owned(),
            original_price: style.original_price.to_owned(),
            sale_price: style.sale_price.map(str::to_owned),
            default: style.default,
            photos: photos.collect(),
            skus: skus.collect(),
        }
    }

    fn style(&self) -> Style<'_> {
        let photos = self.photos.iter().map(|photo| StylePhoto {
            url: &photo.url,
            thumbnail_url: &photo.thumbnail_url,
        });
        let skus = self.skus.iter().map(|sku| Sku {
            id: sku.id,
            size: &sku.size,
            quantity: sku.quantity,
        });
        Style {
            id: self.id,
            name: &self.name,
            original_price: &self.original_price,
            sale_price: self.sale_price.as_deref(),
            default: self.default,
            photos: photos.collect(),
            skus: skus.collect(),
        }
    }
}

/// The hash of the stored values of a product, which changes whenever one of them does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct ProductEtag(pub u128);

impl ProductEtag {
    /// The hash that a text of 32 hexadecimal digits spells.
    #[must_use]
    pub fn read(text: &str) -> Option<Self> {
        // Rust would also take a sign.
        let is_hex = text.len() == 32 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        let hash = u128::from_str_radix(text, 16).ok();
        hash.filter(|_| is_hex).map(Self)
    }
}

impl fmt::Display for ProductEtag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sku(id: u64) -> WholeSku {
        WholeSku {
            id,
            size: "XS".to_owned(),
            quantity: 8,
        }
    }

    fn style(id: u64, skus: &[u64]) -> WholeStyle {
        WholeStyle {
            id,
            name: "Olive".to_owned(),
            original_price: "140.00".to_owned(),
            sale_price: Some("99".to_owned()),
            default: true,
            photos: vec![WholePhoto {
                url: "u".to_owned(),
                thumbnail_url: "t".to_owned(),
            }],
            skus: skus.iter().copied().map(sku).collect(),
        }
    }

    fn product() -> WholeProduct {
        WholeProduct {
            id: ProductId(7),
            name: "Coat".to_owned(),
            slogan: String::new(),
            description: String::new(),
            category: "Jackets".to_owned(),
            default_price: "140".to_owned(),
            features: vec![WholeFeature {
                feature: "Fabric".to_owned(),
                value: None,
            }],
            styles: vec![style(2, &[5, 4]), style(1, &[9])],
            related: vec![ProductId(3), ProductId(3)],
        }
    }

    #[test]
    fn a_product_is_put_together_from_its_parts() {
        let whole = product().in_order();
        let again = WholeProduct::of(whole.id, &whole.product(), &whole.styles(), &whole.related);
        assert_eq!(again, whole);
        let ids: Vec<u64> = whole.styles.iter().map(|style| style.id).collect();
        assert_eq!(ids, [1, 2]);
        assert_eq!(whole.styles[1].skus[0].id, 4);
    }

    #[test]
    fn every_fault_is_named_with_its_part() {
        assert_eq!(product().faults(), []);
        let mut wrong = product();
        wrong.id = ProductId(0);
        wrong.default_price = "free".to_owned();
        wrong.related.push(ProductId(0));
        wrong.styles[0].original_price = "1.".to_owned();
        wrong.styles[0].sale_price = Some(".5".to_owned());
        wrong.styles.push(style(1, &[4, 0]));
        let parts: Vec<_> = wrong.faults().iter().map(|fault| fault.part).collect();
        assert_eq!(
            parts,
            [
                CataloguePart::Id,
                CataloguePart::DefaultPrice,
                CataloguePart::Related(2),
                CataloguePart::OriginalPrice(0),
                CataloguePart::SalePrice(0),
                CataloguePart::StyleId(2),
                CataloguePart::SkuId(2, 0),
                CataloguePart::SkuId(2, 1),
            ]
        );
    }

    #[test]
    fn prices_are_digits_perhaps_with_decimals() {
        for price in ["140", "40.00", "0"] {
            assert!(is_price(price), "{price}");
        }
        for other in ["", "free", "-3", "1.", ".5", "1e3", "1.2.3", " 1"] {
            assert!(!is_price(other), "{other}");
        }
    }
}
