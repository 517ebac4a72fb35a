//! The catalogue: whether it decodes, how much there is of it, and the ranks of its products.
//!
//! Must not know reviews. Invariant: nothing of a catalogue is derived but its ranks and its counts.

use super::super::error::Error;
use super::super::key::{Family, IdKey, RANK_STRIDE, number_of};
use super::super::value::{Related, Styles, decode};
use super::Check;
use super::findings::Fix;
use super::order::Rows;
use crate::model::{Product, ProductId};

const ALL: ProductId = ProductId(u64::MAX);

impl Check<'_, '_> {
    /// Products, styles, relations and ranks.
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
        let mut ranks = Rows::of(self.view, Family::Ranks)?;
        let mut rows = Rows::of(self.view, Family::Products)?;
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
            self.stray_rank(key)?;
        }
        Ok(rank)
    }

    /// Compares the ranks up to this one with the one there should be.
    fn rank(&mut self, rank: u64, product: u64, ranks: &mut Rows<'_>) -> Result<(), Error> {
        let mut found = None;
        while let Some((key, value)) = ranks.take_until(ProductId(rank))? {
            self.count(Family::Ranks);
            if number_of(&key) == Some(rank) {
                found = Some(number_of(&value));
            } else {
                self.stray_rank(key)?;
            }
        }
        let sentence = match found {
            Some(Some(of)) if of == product => return Ok(()),
            Some(Some(of)) => {
                format!("the product of rank {rank} is {product}, and ranks says {of}")
            }
            Some(None) => format!("the product of rank {rank} is not eight bytes"),
            None => format!("ranks lacks rank {rank}"),
        };
        let key = IdKey::from(rank).as_ref().to_vec();
        let value = IdKey::from(product).as_ref().to_vec();
        self.found
            .derived(sentence, Fix::Put(Family::Ranks, key, value))
    }

    fn stray_rank(&mut self, key: Vec<u8>) -> Result<(), Error> {
        let sentence = format!("ranks has the row {key:02x?}, which no product gives");
        self.found
            .derived(sentence, Fix::Delete(Family::Ranks, key))
    }

    /// How many rows of a family decode.
    fn decoded(
        &mut self,
        family: Family,
        decode: impl Fn(&[u8]) -> Result<(), String>,
    ) -> Result<u64, Error> {
        let mut rows = Rows::of(self.view, family)?;
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
                let what = id.map_or_else(|| format!("{key:02x?}"), |id| id.to_string());
                self.found.damaged(family, key, value, what, &why)?;
                Ok(None)
            }
        }
    }
}
