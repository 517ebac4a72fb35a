//! The parts of a store that an export skips because they cannot be read. Owns how they are reported.
//! Invariant: every skipped row is named.

use std::fmt::Write as _;

use crate::store::key::{Family, number_of, review_of_row};
use crate::store::{self, describe_row};

use super::super::figures::counted;
use super::super::manifest::Missing;
use super::super::store_target::{self, PageStart, StoreTarget};
use super::Error;

/// Ids of lost reviews that are shown on a terminal.
const IDS_SHOWN_MAX: usize = 20;

/// The parts that were passed over so far.
#[derive(Default)]
pub(super) struct Skipped {
    pub(super) missing: Vec<Missing>,
}

impl Skipped {
    /// A part of a family that begins where `error` ended a pass; gives the key to go on from, or none
    /// where nothing is behind it.
    pub(super) fn gap(
        &mut self,
        place: &dyn StoreTarget,
        family: Family,
        at: &PageStart,
        error: store_target::Error,
    ) -> Result<Option<Vec<u8>>, Error> {
        let Some(gap) = place.gap(family, at, &error)? else {
            return Err(error.into());
        };
        let lost = place.lost(&gap);
        self.missing.push(Missing {
            family: family.name().to_owned(),
            what: gap.described(),
            reviews: lost.as_ref().map(|lost| lost.count),
            review_ids: lost.map(|lost| lost.ids).unwrap_or_default(),
            why: gap.why,
        });
        Ok(gap.before)
    }

    /// A row whose value cannot be decoded.
    pub(super) fn damaged(&mut self, family: Family, key: &[u8], why: &store::Error) {
        let id = match family {
            Family::Reviews => review_of_row(key).map(|review| review.0),
            _ => None,
        };
        let product = number_of(key).filter(|_| family != Family::Reviews);
        let name = family.name();
        self.missing.push(Missing {
            family: name.to_owned(),
            what: product.map_or_else(
                || describe_row(family, key),
                |product| format!("{name} of product {product}"),
            ),
            reviews: id.map(|_| 1),
            review_ids: id.into_iter().collect(),
            why: why.to_string(),
        });
    }
}

/// A line for people.
pub(super) fn sentence(missing: &Missing) -> String {
    let mut line = format!("reviewsd: not exported: {}", missing.what);
    if let Some(reviews) = missing.reviews {
        let ids = missing.review_ids.iter().take(IDS_SHOWN_MAX);
        let ids: Vec<_> = ids.map(u64::to_string).collect();
        let more = if reviews > ids.len() as u64 {
            ", …"
        } else {
            ""
        };
        let (reviews, ids) = (counted(reviews, "review"), ids.join(", "));
        // Writing to a string cannot fail.
        let _ = write!(line, " ({reviews}: {ids}{more})");
    }
    format!("{line}: {}", missing.why)
}
