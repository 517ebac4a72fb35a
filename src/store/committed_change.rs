//! The parts of a store that a commit changed, as caches of answers tell them apart.
//!
//! Must not know what is cached. Invariant: every answer that a commit changes is about a part that is named.

use super::key::Family;
use crate::model::ProductId;

/// A part of a store that a commit changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum CommittedChange {
    /// The reviews of a product, or their summary.
    ReviewsOf(ProductId),
    /// A product of the catalogue: itself, its styles or its relations.
    Product(ProductId),
    /// The list of products.
    ProductList,
}

impl CommittedChange {
    /// Returns the parts that a row of a family belongs to; none where no answer is made of it.
    #[must_use]
    pub fn of_row(family: Family, product: ProductId) -> [Option<Self>; 2] {
        match family {
            Family::Products => [Some(Self::Product(product)), Some(Self::ProductList)],
            Family::Styles | Family::Related => [Some(Self::Product(product)), None],
            family if family.is_by_product() => [Some(Self::ReviewsOf(product)), None],
            _ => [None, None],
        }
    }
}
