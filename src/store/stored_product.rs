//! A product as a store has it: one value in each of three families.
//!
//! Must not know how it is changed or served. Invariant: two products with the same values have the same etag,
//! and any two others, but for one chance in 2^128, have not.

use xxhash_rust::xxh3::Xxh3;

use super::decoding::read;
use super::error::Error;
use super::key::{Family, IdKey};
use super::rocks::{RocksView, ViewError};
use super::value::{Related, StoredValue, Styles, encode};
use crate::model::catalogue::{ProductEtag, WholeProduct};
use crate::model::{Product, ProductId};

/// The families that have a part of a product.
pub(super) const PARTS: [Family; 3] = [Family::Products, Family::Styles, Family::Related];

/// The values of a product.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct StoredProduct {
    pub(super) product: Option<Vec<u8>>,
    pub(super) styles: Option<Vec<u8>>,
    pub(super) related: Option<Vec<u8>>,
}

impl StoredProduct {
    /// Reads the values of a product; the view must stand still, unless nothing else writes.
    pub(super) fn read<E: ViewError>(view: &RocksView<'_, E>, id: ProductId) -> Result<Self, E> {
        let value = |family| -> Result<Option<Vec<u8>>, E> {
            let value = view.get(family, IdKey::from(id))?;
            Ok(value.map(|value| value.to_vec()))
        };
        Ok(Self {
            product: value(Family::Products)?,
            styles: value(Family::Styles)?,
            related: value(Family::Related)?,
        })
    }

    /// Encodes a product, in the order in which an import stores it; `None` if a value would be too large. As
    /// in an import, no styles and no relations are no value.
    pub(super) fn of(product: WholeProduct) -> Option<Self> {
        let product = product.in_order();
        let (styles, related) = (product.styles(), product.related.clone());
        let styles = match styles.as_slice() {
            [] => None,
            _ => Some(value_of(&Styles(styles))?),
        };
        let related = match related.as_slice() {
            [] => None,
            _ => Some(value_of(&Related(related))?),
        };
        Some(Self {
            product: Some(value_of(&product.product())?),
            styles,
            related,
        })
    }

    /// Decodes the product; `None` if the catalogue does not have it.
    pub(super) fn whole(&self, id: ProductId) -> Result<Option<WholeProduct>, Error> {
        let Some(product) = &self.product else {
            return Ok(None);
        };
        let product: Product<'_> = read(Family::Products, id, product)?;
        let styles = match &self.styles {
            Some(styles) => read(Family::Styles, id, styles)?,
            None => Styles(Vec::new()),
        };
        let related = match &self.related {
            Some(related) => read(Family::Related, id, related)?,
            None => Related(Vec::new()),
        };
        let whole = WholeProduct::of(id, &product, &styles.0, &related.0);
        Ok(Some(whole))
    }

    /// Returns true if the catalogue has the product.
    pub(super) fn is_there(&self) -> bool {
        self.product.is_some()
    }

    /// Returns the hash of its values; `None` if the catalogue does not have it.
    pub(super) fn etag(&self) -> Option<ProductEtag> {
        product_etag(self.values())
    }

    /// Returns its values, in the order of [`PARTS`].
    pub(super) fn values(&self) -> [Option<&[u8]>; PARTS.len()] {
        [
            self.product.as_deref(),
            self.styles.as_deref(),
            self.related.as_deref(),
        ]
    }

    /// Returns the bytes of its values.
    pub(super) fn bytes(&self) -> usize {
        self.values().into_iter().flatten().map(<[u8]>::len).sum()
    }
}

/// Returns the hash that a product has once it is stored; `None` if it is too large for that.
#[must_use]
pub fn etag_of(product: WholeProduct) -> Option<ProductEtag> {
    StoredProduct::of(product)?.etag()
}

/// Returns the hash of the values of a product, in the order of the families `products`, `styles` and `related`;
/// `None` without the first.
#[must_use]
pub fn product_etag(values: [Option<&[u8]>; PARTS.len()]) -> Option<ProductEtag> {
    let [Some(_), ..] = values else {
        return None;
    };
    let mut hash = Xxh3::new();
    for value in values {
        // With its length, so that no byte can move from one value to the next.
        let length = value.map_or(u64::MAX, |value| value.len() as u64);
        hash.update(&length.to_be_bytes());
        hash.update(value.unwrap_or_default());
    }
    Some(ProductEtag(hash.digest128()))
}

/// The value of a record; `None` if it would be too large to be read back.
pub(super) fn value_of<'v, R: StoredValue<'v>>(record: &R) -> Option<Vec<u8>> {
    let mut value = Vec::new();
    encode(record, &mut value).ok()?;
    Some(value)
}
