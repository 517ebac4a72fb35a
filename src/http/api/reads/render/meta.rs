//! The review summary of a product (`meta`).
//!
//! Must not know HTTP. Invariant: a value that no review has is absent, not zero.

use crate::model::{Characteristic, ProductId, Summary};
use crate::store::{ReadError, Reader};

use super::super::super::json::JsonWriter;
use super::dialect::Dialect;
use super::mean;

const BODY_BYTES: usize = 512;

/// `GET /reviews/meta`: an unknown product has an empty summary.
pub(crate) fn of(
    reader: &Reader<'_>,
    dialect: Dialect,
    product: ProductId,
) -> Result<Vec<u8>, ReadError> {
    let known = reader.summary(product, |summary| render(dialect, product, summary))?;
    Ok(known.unwrap_or_else(|| render(dialect, product, &Summary::default())))
}

fn render(dialect: Dialect, product: ProductId, summary: &Summary<'_>) -> Vec<u8> {
    let mut json = JsonWriter::with_capacity(BODY_BYTES);
    json.raw(r#"{"product_id":"#)
        .number_text(product.0)
        .raw(r#","ratings":{"#)
        .joined(given(&summary.ratings), |json, (index, count)| {
            json.number_text(index + 1).raw(":");
            dialect.count(json, count);
        })
        .raw(r#"},"recommended":{"#);
    let recommended = [summary.recommended_false, summary.recommended_true];
    json.joined(given(&recommended), |json, (index, count)| {
        json.raw("\"").raw(dialect.flag(index == 1)).raw("\":");
        dialect.count(json, count);
    })
    .raw(r#"},"characteristics":{"#)
    .joined(by_name(&summary.characteristics), |json, characteristic| {
        write(json, dialect, characteristic);
    })
    .raw("}}");
    json.into_bytes()
}

/// The counts that are not zero, each with its index.
fn given(counts: &[u64]) -> impl Iterator<Item = (u64, u64)> {
    (0..)
        .zip(counts.iter().copied())
        .filter(|(_, count)| *count > 0)
}

/// The characteristics, one a name: of two that share one the last counts, since an object has no
/// key twice.
fn by_name<'a, 's>(all: &'s [Characteristic<'a>]) -> impl Iterator<Item = &'s Characteristic<'a>> {
    all.iter().enumerate().filter_map(|(index, one)| {
        let mut later = all.iter().skip(index + 1);
        later.all(|other| other.name != one.name).then_some(one)
    })
}

fn write(json: &mut JsonWriter, dialect: Dialect, characteristic: &Characteristic<'_>) {
    json.text(characteristic.name)
        .raw(r#":{"id":"#)
        .number(characteristic.id)
        .raw(r#","value":"#);
    if characteristic.count == 0 {
        json.raw("null}");
        return;
    }
    json.raw("\"");
    let (sum, count) = (characteristic.sum, characteristic.count);
    mean::write(json, sum, count, dialect.mean_decimals());
    json.raw("\"}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_two_characteristics_with_one_name_the_last_counts() {
        let characteristic = |id, name| Characteristic {
            id,
            name,
            sum: 4,
            count: 1,
        };
        let summary = Summary {
            characteristics: vec![
                characteristic(1, "Fit"),
                characteristic(2, "Length"),
                characteristic(3, "Fit"),
            ],
            ..Summary::default()
        };
        let body = render(Dialect::Greenfield, ProductId(7), &summary);
        let expected = r#"{"product_id":"7","ratings":{},"recommended":{},"characteristics":{"Length":{"id":2,"value":"4.0000"},"Fit":{"id":3,"value":"4.0000"}}}"#;
        assert_eq!(String::from_utf8(body).unwrap(), expected);
    }
}
