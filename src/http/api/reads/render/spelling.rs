//! The spelling of the values of answers: the dialect, and the operator's choices beside it.
//!
//! Must not know routes. Invariant: unless an operator chose otherwise, prices are as the CSV files have
//! them.

use std::borrow::Cow;

use super::super::super::json::JsonWriter;
use super::dialect::Dialect;

/// The choices of an operator about the answers of the catalogue.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct CatalogueSettings {
    /// True if products have `campus`, `created_at` and `updated_at`, as on the hosted service.
    pub hosted_fields: bool,
    /// True if prices have two decimals at least, as on the hosted service.
    pub price_decimals: bool,
}

/// The spelling of all answers of one server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Spelling {
    pub(crate) dialect: Dialect,
    pub(crate) price_decimals: bool,
    /// The time the catalogue was made, which its products report as their own.
    pub(crate) made_ms: i64,
}

impl Spelling {
    /// Writes a price.
    pub(crate) fn price(self, json: &mut JsonWriter, price: &str) {
        if self.price_decimals {
            json.text(&with_decimals(price));
        } else {
            json.text(price);
        }
    }

    /// Writes a price on sale, or that there is none.
    pub(crate) fn sale_price(self, json: &mut JsonWriter, price: Option<&str>) {
        match price {
            Some(price) => self.price(json, price),
            None => self.dialect.no_sale_price(json),
        }
    }
}

/// A price with at least two decimals.
fn with_decimals(price: &str) -> Cow<'_, str> {
    match price.split_once('.') {
        None => format!("{price}.00").into(),
        Some((_, decimals)) if decimals.len() == 1 => format!("{price}0").into(),
        Some(_) => price.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_price_has_two_decimals_at_least() {
        for (price, written) in [
            ("140", "140.00"),
            ("0", "0.00"),
            ("40.5", "40.50"),
            ("40.00", "40.00"),
            ("40.125", "40.125"),
        ] {
            assert_eq!(with_decimals(price), written);
        }
    }
}
