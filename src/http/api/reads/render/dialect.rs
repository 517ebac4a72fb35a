//! The two spellings of the values that clients in the wild expect.
//!
//! Owns every difference between them, and nothing that is the same in both. Must not know routes.

use crate::model::{Sku, calendar};

use super::super::super::json::JsonWriter;
use super::mean::Decimals;

/// The dialect of the values in the answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dialect {
    /// 2021 and later: booleans, `null`, counts as strings, 16 decimals.
    Atelier,
    /// 2019 and 2020: 1 and 0, empty strings, counts as numbers, 4 decimals.
    Greenfield,
}

impl Dialect {
    /// A yes or no.
    pub(crate) fn flag(self, yes: bool) -> &'static str {
        match (self, yes) {
            (Self::Atelier, true) => "true",
            (Self::Atelier, false) => "false",
            (Self::Greenfield, true) => "1",
            (Self::Greenfield, false) => "0",
        }
    }

    /// A merchant's answer, or that there is none.
    pub(crate) fn response(self, json: &mut JsonWriter, response: Option<&str>) {
        match (self, response) {
            (_, Some(text)) => json.text(text),
            (Self::Atelier, None) => json.raw("null"),
            (Self::Greenfield, None) => json.raw(r#""""#),
        };
    }

    /// A review's date.
    pub(crate) fn date(self, json: &mut JsonWriter, date_ms: i64) {
        let shown_ms = match self {
            Self::Atelier => date_ms,
            Self::Greenfield => calendar::midnight(date_ms),
        };
        json.ascii_text(&calendar::iso8601(shown_ms));
    }

    /// Writes a number of reviews.
    pub(crate) fn count(self, json: &mut JsonWriter, count: u64) {
        match self {
            Self::Atelier => json.number_text(count),
            Self::Greenfield => json.number(count),
        };
    }

    /// Returns the precision of a mean.
    pub(crate) fn mean_decimals(self) -> Decimals {
        match self {
            Self::Atelier => Decimals::Sixteen,
            Self::Greenfield => Decimals::Four,
        }
    }

    /// The price on sale of a style that is not on sale.
    pub(crate) fn no_sale_price(self, json: &mut JsonWriter) {
        json.raw(match self {
            Self::Atelier => "null",
            Self::Greenfield => r#""0""#,
        });
    }

    /// The members of `skus`.
    pub(crate) fn skus(self, json: &mut JsonWriter, skus: &[Sku<'_>]) {
        match (self, skus) {
            (Self::Atelier, []) => {
                json.raw(r#""null":{"quantity":null,"size":null}"#);
            }
            (Self::Atelier, skus) => {
                json.joined(skus, |json, sku| {
                    json.number_text(sku.id)
                        .raw(r#":{"quantity":"#)
                        .number(sku.quantity)
                        .raw(r#","size":"#)
                        .text(sku.size)
                        .raw("}");
                });
            }
            (Self::Greenfield, []) => {
                json.raw(r#""null":null"#);
            }
            (Self::Greenfield, skus) => by_size(json, skus),
        }
    }
}

/// Sizes with their quantities: of two units with one size the first counts.
fn by_size(json: &mut JsonWriter, skus: &[Sku<'_>]) {
    let firsts = skus.iter().enumerate().filter(|(index, sku)| {
        let before = skus.iter().take(*index);
        before.into_iter().all(|other| other.size != sku.size)
    });
    json.joined(firsts, |json, (_, sku)| {
        json.text(sku.size).raw(":").number(sku.quantity);
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_two_units_with_one_size_the_first_counts() {
        let sku = |id, size, quantity| Sku { id, size, quantity };
        let skus = [sku(1, "XS", 8), sku(2, "XL", 15), sku(3, "XS", 4)];
        let mut json = JsonWriter::with_capacity(64);
        Dialect::Greenfield.skus(&mut json, &skus);
        assert_eq!(json.into_bytes(), br#""XS":8,"XL":15"#);
    }
}
