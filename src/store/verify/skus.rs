//! Verification of the skus: each run in the styles that are entered has its row, and there are no others.
//!
//! Must not know how they are used. Invariant: memory is bounded by the skus of one product.

use super::super::error::Error;
use super::super::key::{Family, IdKey, number_of};
use super::super::skus::{ENTERED, runs_in};
use super::order::FamilyRows;
use super::{ALL, Verifier};

/// The skus, compared with the styles.
pub(super) struct SkuCheck {
    /// Products whose skus are entered have lower ids.
    entered: u64,
    /// Runs in their styles.
    runs: u64,
}

impl SkuCheck {
    /// Begins with no product.
    pub(super) fn begin(check: &mut Verifier<'_, '_>) -> Result<Self, Error> {
        let entered = check.view.get(Family::Skus, ENTERED)?;
        let entered = entered.map_or(Some(0), |value| number_of(&value));
        if entered.is_none() {
            let sentence = "skus does not say how far the styles are entered".to_owned();
            check.found.derived(Family::Skus, sentence);
        }
        let entered = entered.unwrap_or(0);
        Ok(Self { entered, runs: 0 })
    }

    /// Compares the rows of a product with its styles, which decode.
    pub(super) fn product(
        &mut self,
        check: &mut Verifier<'_, '_>,
        product: u64,
        styles: &[u8],
    ) -> Result<(), Error> {
        if product >= self.entered {
            return Ok(());
        }
        for run in runs_in(product, Some(styles))? {
            self.runs += 1;
            let found = check.view.get(Family::Skus, IdKey::from(run.last))?;
            if found.as_deref() != Some(run.to_value(product).as_slice()) {
                let (first, last) = (run.first, run.last);
                let sentence =
                    format!("skus lacks the units {first} to {last} of product {product}");
                check.found.derived(Family::Skus, sentence);
            }
        }
        Ok(())
    }

    /// Compares the number of rows with that of the runs.
    pub(super) fn finish(self, check: &mut Verifier<'_, '_>) -> Result<(), Error> {
        let mut rows = FamilyRows::of(check.view, Family::Skus, &check.gaps)?;
        let mut found = 0;
        while let Some((key, _)) = rows.take_until(ALL)? {
            check.count(Family::Skus);
            found += u64::from(key != ENTERED);
        }
        let runs = self.runs;
        if found != runs && !check.gaps.any_of(Family::Styles) {
            let sentence = format!("skus has {found} rows, and the styles give {runs}");
            check.found.derived(Family::Skus, sentence);
        }
        Ok(())
    }
}
