//! What a change of the catalogue expects, and its outcomes.
//!
//! Must not know how a change is made. Invariant: an outcome says all that its client needs to go on.

use super::change::ChangeOutcome;
use crate::model::ProductId;
use crate::model::catalogue::ProductEtag;

/// The product that a change expects to find, as it was read before.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum ExpectedProduct {
    /// Any, or none.
    #[default]
    Any,
    /// None.
    Absent,
    /// One, whatever it is.
    Present,
    /// One with one of these hashes.
    OneOf(Vec<ProductEtag>),
}

impl ExpectedProduct {
    /// Returns true if a product with this hash is expected; `None` is none.
    #[must_use]
    pub fn admits(&self, found: Option<ProductEtag>) -> bool {
        match (self, found) {
            (Self::Any, _) | (Self::Absent, None) | (Self::Present, Some(_)) => true,
            (Self::OneOf(expected), Some(found)) => expected.contains(&found),
            (Self::Absent | Self::Present | Self::OneOf(_), _) => false,
        }
    }
}

/// New values for a stock keeping unit; those that are not given stay.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SkuUpdate {
    /// The number of pieces in stock.
    pub quantity: Option<u64>,
    /// The size.
    pub size: Option<String>,
}

/// The outcome of a change of the catalogue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProductOutcome {
    /// The product is there, and was not before.
    Created(ProductEtag),
    /// The product is there in place of another version of it.
    Updated(ProductId, ProductEtag),
    /// The product was the same before.
    Unchanged(ProductId, ProductEtag),
    /// The product is no longer there.
    Removed,
    /// There is no such product.
    NoSuchProduct,
    /// There is no such stock keeping unit.
    NoSuchSku,
    /// The product is not the expected one; its hash, if there is one.
    Differs(Option<ProductEtag>),
    /// Another product has a stock keeping unit with this id.
    SkuTaken {
        /// The id.
        sku: u64,
        /// The product that has it.
        product: ProductId,
    },
    /// The product is too large to be stored.
    TooLarge,
    /// The skus of the store are not entered yet: first [`super::change::Change::EnterSkus`], until it says
    /// that all are.
    SkusNotEntered,
    /// The skus of some products were entered, or of all.
    SkusEntered {
        /// True if all are.
        all: bool,
    },
}

impl From<ProductOutcome> for ChangeOutcome {
    fn from(outcome: ProductOutcome) -> Self {
        Self::Product(outcome)
    }
}

#[cfg(test)]
mod tests;
