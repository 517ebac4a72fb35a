//! The rows of the files beside those of the store, both in the order of their keys.
//!
//! Must not know files, or how a change is made. Invariants: what the store has already asks for no change; rows
//! of the store that no file has are looked at only where they may be removed.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use reviewsd_import::{
    CharacteristicRow, File, LateReject, MergeFiles, MergeSink, ProductRows, RejectedRows,
    ReviewRows, SinkError,
};

use crate::model::catalogue::WholeProduct;
use crate::model::filed::{FiledChange, FiledCharacteristics, FiledName, NONE_TAKEN};
use crate::model::{ProductId, ReviewId};
use crate::store::key::{Family, IdKey, ReviewKey};
use crate::store::product_etag;
use crate::store::rows::Row;

use super::super::super::store_target::{Error, ProductChange, StoreTarget};
use super::product::{MergeRules, MergedProduct, ProductInStore, merge};
use super::review::{filed, tally, tally_removed};
use super::sender::{Conflicts, FiledProduct, Sender, SentRows, rows_of_product};
use super::store_rows::StoreRows;
use super::tally::{GivenFiles, Tallies};

/// The part of the files and of the store that is compared.
#[derive(Clone, Copy)]
pub(super) enum Pass<'t> {
    /// Everything.
    All,
    /// These products of the catalogue, so that no product has a sku any more that another one gets.
    Freeing(&'t Conflicts),
    /// These products of the catalogue.
    Only(&'t Conflicts),
}

impl Pass<'_> {
    fn has(self, product: u64) -> bool {
        match self {
            Self::All => true,
            Self::Freeing(only) | Self::Only(only) => only.contains_key(&product),
        }
    }

    fn is_all(self) -> bool {
        matches!(self, Self::All)
    }
}

/// Compares the files with a store, and sends what differs.
pub(super) struct Comparison<'t> {
    files: &'t MergeFiles<'t>,
    target: &'t dyn StoreTarget,
    given: GivenFiles,
    sender: Sender<'t>,
    pass: Pass<'t>,
    products: StoreRows<'t>,
    styles: StoreRows<'t>,
    related: StoreRows<'t>,
    summaries: StoreRows<'t>,
    reviews: StoreRows<'t>,
    /// The characteristics of the product whose reviews are at hand.
    characteristics: BTreeSet<u64>,
    /// Characteristics of that product that are another one's in the files.
    moved: Vec<(u64, u64)>,
}

impl<'t> Comparison<'t> {
    /// Compares with `target`.
    pub(super) fn new(
        files: &'t MergeFiles<'t>,
        target: &'t dyn StoreTarget,
        given: GivenFiles,
        sender: Sender<'t>,
        pass: Pass<'t>,
    ) -> Self {
        let rows = |family| StoreRows::new(target, family);
        Self {
            files,
            target,
            given,
            sender,
            pass,
            products: rows(Family::Products),
            styles: rows(Family::Styles),
            related: rows(Family::Related),
            summaries: rows(Family::Summaries),
            reviews: rows(Family::Reviews),
            characteristics: BTreeSet::new(),
            moved: Vec::new(),
        }
    }

    /// Ends the comparison behind the last row of the files.
    pub(super) fn finish(mut self) -> Result<SentRows, Error> {
        self.pass_products(None)?;
        if !self.pass.is_all() {
            return self.sender.finish();
        }
        self.end_reviewed()?;
        self.pass_reviews(None)?;
        self.pass_characteristics()?;
        self.sender.finish()
    }

    /// Ends the comparison where it is, and sends what is left.
    pub(super) fn give_up(self) -> Result<SentRows, Error> {
        self.sender.finish()
    }

    /// Takes the products of the store before one that a file has, or all that are left.
    fn pass_products(&mut self, before: Option<u64>) -> Result<(), Error> {
        if !self.given.prune {
            return Ok(());
        }
        loop {
            let from = IdKey::from(0_u64);
            for rows in [&mut self.products, &mut self.styles, &mut self.related] {
                rows.seek(from.as_ref())?;
            }
            let firsts = [
                self.products.first()?,
                self.styles.first()?,
                self.related.first()?,
            ];
            let next = firsts.into_iter().flatten().min();
            let Some(next) = next.filter(|next| before.is_none_or(|before| *next < before)) else {
                return Ok(());
            };
            self.merge_product(next, &ProductRows::default())?;
        }
    }

    fn merge_product(&mut self, id: u64, rows: &ProductRows<'_>) -> Result<(), Error> {
        let key = IdKey::from(id);
        let key = key.as_ref();
        for stored in [&mut self.products, &mut self.styles, &mut self.related] {
            stored.seek(key)?;
        }
        if self.pass.has(id) {
            let stored = stored_product([&self.products, &self.styles, &self.related], key)?;
            let rules = MergeRules {
                given: self.given,
                has_style: &|style| self.files.has_row(File::Styles, style),
            };
            let (mut merged, tallies) = merge(rules, rows, &stored);
            if let (MergedProduct::There(product), Pass::Freeing(_)) = (&mut merged, self.pass) {
                product.keep_skus_of(&stored);
            }
            let filed_rows = || FiledProduct {
                id,
                styles: rows.styles.iter().map(|style| style.id).collect(),
            };
            let etag = || {
                let stored = [&self.products, &self.styles, &self.related];
                let [product, styles, related] = stored.map(|rows| rows.value_of(key));
                Ok::<_, Error>(product_etag([product?, styles?, related?]))
            };
            match merged {
                MergedProduct::There(merged) if merged == stored => self.sender.count(&tallies),
                MergedProduct::There(merged) => {
                    if let Some(product) = &merged.product {
                        let (styles, related) = (&merged.styles, &merged.related);
                        let whole = WholeProduct::of(ProductId(id), product, styles, related);
                        let change = ProductChange::Put(Box::new(whole), etag()?);
                        self.sender.product(change, filed_rows(), &tallies)?;
                    }
                }
                MergedProduct::Gone => {
                    let change = ProductChange::Remove(ProductId(id), etag()?);
                    self.sender.product(change, filed_rows(), &tallies)?;
                }
                MergedProduct::Orphaned => {
                    let reason = "is not the id of a product";
                    for late in rows_of_product(&filed_rows(), "product_id", reason) {
                        self.sender.reject(late);
                    }
                }
            }
        }
        for stored in [&mut self.products, &mut self.styles, &mut self.related] {
            if stored.key()? == Some(key) {
                stored.advance()?;
            }
        }
        Ok(())
    }

    /// Begins the reviews of a product, whose characteristics the file has.
    fn begin_reviewed(
        &mut self,
        product: u64,
        names: &[CharacteristicRow<'_>],
    ) -> Result<(), Error> {
        let key = IdKey::from(product);
        self.summaries.seek(key.as_ref())?;
        let row = self.summaries.row_of(key.as_ref())?;
        let stored = match &row {
            Some(Row::Summary(_, summary)) => summary.characteristics.as_slice(),
            _ => &[],
        };
        let before: BTreeMap<u64, &str> = stored.iter().map(|one| (one.id, one.name)).collect();
        self.characteristics = before.keys().copied().collect();
        let mut tallies = Tallies::default();
        for row in names {
            let before = before.get(&row.id).copied();
            tallies.row(File::Characteristics, before, Some(row.name));
            self.characteristics.insert(row.id);
        }
        if tallies.is_unchanged() {
            self.sender.count(&tallies);
        } else {
            let names = names.iter().map(|row| FiledName {
                id: row.id,
                name: row.name.to_owned().into(),
            });
            let filed = FiledCharacteristics {
                product_id: product,
                names: names.collect(),
            };
            self.sender
                .review(FiledChange::Characteristics(filed), &tallies)?;
        }
        let files = self.files;
        let moved = stored.iter().filter(|one| {
            let is_here = names.iter().any(|row| row.id == one.id);
            !is_here && files.has_row(File::Characteristics, one.id)
        });
        self.moved = moved.map(|one| (product, one.id)).collect();
        if row.is_some() {
            self.summaries.advance()?;
        }
        Ok(())
    }

    /// Ends the reviews of a product: characteristics that are another one's go, unless they are rated.
    fn end_reviewed(&mut self) -> Result<(), Error> {
        for (product, id) in std::mem::take(&mut self.moved) {
            self.remove_characteristic(product, id)?;
        }
        Ok(())
    }

    fn remove_characteristic(&mut self, product_id: u64, id: u64) -> Result<(), Error> {
        let mut tallies = Tallies::default();
        tallies.row(File::Characteristics, Some(id), None);
        let change = FiledChange::RemoveCharacteristic { product_id, id };
        self.sender.review(change, &tallies)
    }

    /// Takes all characteristics that no file has: last, because one stays while a review has rated it.
    fn pass_characteristics(&mut self) -> Result<(), Error> {
        if !self.given.prunes(File::Characteristics) {
            return Ok(());
        }
        let mut summaries = StoreRows::new(self.target, Family::Summaries);
        summaries.seek(&[])?;
        while let Some(Row::Summary(product, summary)) = summaries.row()? {
            let ids = summary.characteristics.iter().map(|one| one.id);
            let gone = ids.filter(|id| !self.files.has_row(File::Characteristics, *id));
            let gone: Vec<_> = gone.collect();
            summaries.advance()?;
            for id in gone {
                self.remove_characteristic(product.0, id)?;
            }
        }
        Ok(())
    }

    /// Takes the reviews that no file has of the store before one that a file has, or all that are left.
    fn pass_reviews(&mut self, before: Option<(u64, u64)>) -> Result<(), Error> {
        if !self.given.prunes(File::Reviews) {
            return Ok(());
        }
        self.reviews.seek(&[0; 16])?;
        loop {
            let Some(Row::Review(product, id, review)) = self.reviews.row()? else {
                return Ok(());
            };
            if before.is_some_and(|before| (product.0, id.0) >= before) {
                return Ok(());
            }
            let tallies = tally_removed(&review);
            let review_id = id.0;
            self.reviews.advance()?;
            // One of another product than before is yet to come, or has come.
            if !self.files.has_row(File::Reviews, review_id) {
                let change = FiledChange::RemoveReview { review_id };
                self.sender.review(change, &tallies)?;
            }
        }
    }

    fn merge_review(&mut self, product: u64, id: u64, rows: &ReviewRows<'_>) -> Result<(), Error> {
        self.pass_reviews(Some((product, id)))?;
        let mut ratings = Vec::with_capacity(rows.ratings.len());
        for (rating, row) in &rows.ratings {
            if self.characteristics.contains(&row.characteristic_id) {
                ratings.push(*row);
                continue;
            }
            self.sender.reject(LateReject {
                file: File::Ratings,
                rows: RejectedRows::WithId(*rating),
                field: "characteristic_id",
                reason: "is of another product than the review",
            });
        }
        let filed = filed(self.given, (product, id), rows, &ratings);
        let key = ReviewKey::new(ProductId(product), ReviewId(id));
        self.reviews.seek(key.as_ref())?;
        let row = self.reviews.row_of(key.as_ref())?;
        let stored = match &row {
            Some(Row::Review(.., stored)) => Some(stored),
            _ => None,
        };
        if stored.is_some_and(|stored| filed.over(stored, &NONE_TAKEN) == *stored) {
            let mut tallies = Tallies::default();
            tallies.same(File::Reviews, usize::from(rows.review.is_some()));
            tallies.same(File::ReviewPhotos, rows.photos.len());
            tallies.same(File::Ratings, ratings.len());
            self.sender.count(&tallies);
        } else {
            let tallies = tally(stored, &filed);
            let change = FiledChange::Review(filed.into_owned());
            self.sender.review(change, &tallies)?;
        }
        if row.is_some() {
            self.reviews.advance()?;
        }
        Ok(())
    }

    /// An error where too many rows do not fit the store.
    fn check(&self) -> Result<(), SinkError> {
        if self.sender.is_over() {
            return Err(Box::new(TooManyRejected));
        }
        Ok(())
    }
}

/// The values of a product that the store has, in the order in which they are hashed.
fn stored_product<'r>(
    [products, styles, related]: [&'r StoreRows<'_>; 3],
    key: &[u8],
) -> Result<ProductInStore<'r>, Error> {
    let mut stored = ProductInStore::default();
    if let Some(Row::Product(_, product)) = products.row_of(key)? {
        stored.product = Some(product);
    }
    if let Some(Row::Styles(_, styles)) = styles.row_of(key)? {
        stored.styles = styles;
    }
    if let Some(Row::Related(_, related)) = related.row_of(key)? {
        stored.related = related;
    }
    Ok(stored)
}

impl MergeSink for Comparison<'_> {
    fn product(&mut self, id: u64, rows: &ProductRows<'_>) -> Result<(), SinkError> {
        self.pass_products(Some(id))?;
        self.merge_product(id, rows)?;
        self.check()
    }

    fn reviewed(
        &mut self,
        product: u64,
        characteristics: &[CharacteristicRow<'_>],
    ) -> Result<(), SinkError> {
        if self.pass.is_all() {
            self.end_reviewed()?;
            self.begin_reviewed(product, characteristics)?;
        }
        Ok(())
    }

    fn review(&mut self, product: u64, id: u64, rows: &ReviewRows<'_>) -> Result<(), SinkError> {
        if self.pass.is_all() {
            self.merge_review(product, id, rows)?;
        }
        self.check()
    }
}

/// More rows do not fit the store than may be rejected; the caller that rejects them says so.
#[derive(Debug)]
pub(super) struct TooManyRejected;

impl fmt::Display for TooManyRejected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("too many rows were rejected")
    }
}

impl std::error::Error for TooManyRejected {}
