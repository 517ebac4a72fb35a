//! What a client asks, once it has been understood.
//!
//! Owns the list of things that can be asked. Must not know HTTP or the store. Invariant: a question
//! and a dialect are all that an answer depends on beside the store, so two equal questions have one
//! answer as long as the store does not change.

use std::fmt;

use crate::model::{Order, Page, ProductId, ReviewId};

use super::campus::Campus;

/// A page of a list: its number, as the client counts, and its rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct PageWindow {
    /// Counts from 1.
    pub(crate) page: u64,
    /// Rows of a page.
    pub(crate) count: usize,
}

impl PageWindow {
    /// The page as an answer names it: counted from 0.
    pub(crate) fn page_from_zero(self) -> u64 {
        self.page.saturating_sub(1)
    }

    /// The rows to pass over and to give.
    pub(crate) fn rows(self) -> Page {
        Page {
            skip: self.page_from_zero().saturating_mul(self.count as u64),
            rows: self.count,
        }
    }
}

/// Something a client wants to read. Products may be asked for as those of a campus.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum ReadQuery {
    Reviews {
        product: ProductId,
        order: Order,
        window: PageWindow,
    },
    Meta(ProductId),
    Review(ReviewId),
    Products(PageWindow, Option<Campus>),
    Product(ProductId, Option<Campus>),
    Styles(ProductId),
    Related(ProductId),
}

impl ReadQuery {
    /// The same question about the products of a campus.
    pub(crate) fn of_campus(self, campus: Campus) -> Self {
        match self {
            Self::Products(window, _) => Self::Products(window, Some(campus)),
            Self::Product(id, _) => Self::Product(id, Some(campus)),
            other => other,
        }
    }

    /// The rows that its answer may have.
    pub(crate) fn rows_max(self) -> usize {
        match self {
            Self::Reviews { window, .. } | Self::Products(window, _) => window.count,
            Self::Meta(_)
            | Self::Review(_)
            | Self::Product(..)
            | Self::Styles(_)
            | Self::Related(_) => 1,
        }
    }
}

/// The request, as a sentence names it.
impl fmt::Display for ReadQuery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Reviews { product, .. } => write!(f, "list of reviews of product {product}"),
            Self::Meta(product) => write!(f, "summary of product {product}"),
            Self::Review(id) => write!(f, "review {id}"),
            Self::Products(..) => f.write_str("list of products"),
            Self::Product(id, _) | Self::Styles(id) | Self::Related(id) => {
                write!(f, "product {id}")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_passes_over_the_pages_before_it_and_never_overflows() {
        let rows = |page, count| PageWindow { page, count }.rows();
        assert_eq!(rows(1, 5), Page { skip: 0, rows: 5 });
        assert_eq!(rows(3, 5), Page { skip: 10, rows: 5 });
        assert_eq!(rows(u64::MAX, 5).skip, u64::MAX);
    }
}
