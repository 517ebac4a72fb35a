//! The catalogue: whether it decodes, and how much there is of it.
//!
//! Must not know reviews. Invariant: nothing of a catalogue is derived but its ranks, its skus and its counts.

use super::super::error::Error;
use super::super::key::{Family, number_of};
use super::super::value::{Related, Styles, decode};
use super::order::FamilyRows;
use super::ranks::RankCheck;
use super::skus::SkuCheck;
use super::{ALL, Verifier, hex};
use crate::model::Product;

impl Verifier<'_, '_> {
    /// The counts of products, styles, relations and ranks.
    pub(super) fn catalogue(&mut self) -> Result<(), Error> {
        self.counted.products = self.products()?;
        self.counted.styled = self.styles()?;
        self.counted.related =
            self.decoded(Family::Related, |value| decode::<Related>(value).map(drop))?;
        Ok(())
    }

    /// The products, and their ranks along with them.
    fn products(&mut self) -> Result<u64, Error> {
        let mut ranks = RankCheck::begin(self)?;
        let mut rows = FamilyRows::of(self.view, Family::Products, &self.gaps)?;
        let mut count = 0;
        while let Some((key, value)) = rows.take_until(ALL)? {
            self.count(Family::Products);
            let decoded = decode::<Product<'_>>(&value).map(drop);
            let Some(product) = self.sound(Family::Products, &key, &value, decoded)? else {
                continue;
            };
            ranks.product(self, product)?;
            count += 1;
        }
        ranks.finish(self)?;
        Ok(count)
    }

    /// The styles, and the skus in them.
    fn styles(&mut self) -> Result<u64, Error> {
        let mut skus = SkuCheck::begin(self)?;
        let mut rows = FamilyRows::of(self.view, Family::Styles, &self.gaps)?;
        let mut count = 0;
        while let Some((key, value)) = rows.take_until(ALL)? {
            self.count(Family::Styles);
            let decoded = decode::<Styles<'_>>(&value).map(drop);
            if let Some(product) = self.sound(Family::Styles, &key, &value, decoded)? {
                skus.product(self, product, &value)?;
                count += 1;
            }
        }
        skus.finish(self)?;
        Ok(count)
    }

    /// Counts the rows of a family that decode.
    fn decoded(
        &mut self,
        family: Family,
        decode: impl Fn(&[u8]) -> Result<(), String>,
    ) -> Result<u64, Error> {
        let mut rows = FamilyRows::of(self.view, family, &self.gaps)?;
        let mut count = 0;
        while let Some((key, value)) = rows.take_until(ALL)? {
            self.count(family);
            let sound = self.sound(family, &key, &value, decode(&value))?;
            count += u64::from(sound.is_some());
        }
        Ok(count)
    }

    /// The id of a row whose value decodes.
    fn sound(
        &mut self,
        family: Family,
        key: &[u8],
        value: &[u8],
        decoded: Result<(), String>,
    ) -> Result<Option<u64>, Error> {
        let id = number_of(key);
        let is_key = id.ok_or_else(|| "its key is not eight bytes".to_owned());
        match is_key.and(decoded) {
            Ok(()) => Ok(id),
            Err(why) => {
                let what = id.map_or_else(|| hex(key), |id| id.to_string());
                self.found.damaged(family, key, value, what, &why)?;
                Ok(None)
            }
        }
    }
}
