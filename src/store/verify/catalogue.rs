//! The catalogue: whether it decodes, how much there is of it, and the ranks of its products.
//!
//! Must not know reviews. Invariant: nothing of a catalogue is derived but its ranks and its counts.

use super::super::error::Error;
use super::super::key::{Family, RANK_STRIDE, number_of};
use super::super::value::{Related, Styles, decode};
use super::order::FamilyRows;
use super::{ALL, Verifier, hex};
use crate::model::{Product, ProductId};

impl Verifier<'_, '_> {
    /// The counts of products, styles, relations and ranks.
    pub(super) fn catalogue(&mut self) -> Result<(), Error> {
        self.counted.products = self.products()?;
        self.counted.styled = self.decoded(Family::Styles, |value| {
            decode::<Styles<'_>>(value).map(drop)
        })?;
        self.counted.related =
            self.decoded(Family::Related, |value| decode::<Related>(value).map(drop))?;
        Ok(())
    }

    /// The products, and the ranks read along with them.
    fn products(&mut self) -> Result<u64, Error> {
        let mut ranks = FamilyRows::of(self.view, Family::Ranks, &self.gaps)?;
        let mut rows = FamilyRows::of(self.view, Family::Products, &self.gaps)?;
        let mut rank = 0;
        while let Some((key, value)) = rows.take_until(ALL)? {
            self.count(Family::Products);
            let decoded = decode::<Product<'_>>(&value).map(drop);
            let Some(product) = self.sound(Family::Products, &key, &value, decoded)? else {
                continue;
            };
            if u64::is_multiple_of(rank, RANK_STRIDE) {
                self.rank(rank, product, &mut ranks)?;
            }
            rank += 1;
        }
        while let Some((key, _)) = ranks.take_until(ALL)? {
            self.count(Family::Ranks);
            self.stray_rank(&key);
        }
        Ok(rank)
    }

    /// Compares the ranks up to this one with the one there should be.
    fn rank(
        &mut self,
        rank: u64,
        product: u64,
        ranks: &mut FamilyRows<'_, '_>,
    ) -> Result<(), Error> {
        let mut found = None;
        while let Some((key, value)) = ranks.take_until(ProductId(rank))? {
            self.count(Family::Ranks);
            if number_of(&key) == Some(rank) {
                found = Some(number_of(&value));
            } else {
                self.stray_rank(&key);
            }
        }
        // Ranks count all products before theirs.
        if self.gaps.any_of(Family::Products) || self.gaps.touch(Family::Ranks, ProductId(rank)) {
            return Ok(());
        }
        let sentence = match found {
            Some(Some(of)) if of == product => return Ok(()),
            Some(Some(of)) => {
                format!("the product of rank {rank} is {product}, and ranks has {of}")
            }
            Some(None) => format!("the product of rank {rank} is not eight bytes"),
            None => format!("ranks lacks rank {rank}"),
        };
        self.found.derived(Family::Ranks, sentence);
        Ok(())
    }

    fn stray_rank(&mut self, key: &[u8]) {
        if self.gaps.any_of(Family::Products) {
            return;
        }
        let sentence = format!("ranks has the row {} without a product", hex(key));
        self.found.derived(Family::Ranks, sentence);
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
