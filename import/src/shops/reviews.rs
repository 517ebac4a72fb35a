//! Reviews of other shops' programs: a row becomes a review and its photos.
//!
//! Must not know where rows come from, or products but by their ids. Invariant: a review that goes on is of
//! a product that the files have, if they have any.

use roaring::RoaringTreemap;

use super::columns::{BoundField, BoundMapping, FoundText, RowTexts};
use super::keys::ProductKeys;
use super::ledger::{RowEnd, RowLedger, at};
use super::source::ShopRow;
use crate::clean::Reason;
use crate::error::Error;
use crate::pack::{put, put_text};
use crate::reviews::ReviewFiles;
use crate::sort::Sorter;
use crate::values::ReviewRow;

const UNKNOWN_PRODUCT: Reason = "is not the id of a product";
const UNKNOWN_HANDLE: Reason = "is the handle of no product";

/// The products that files before this one had.
#[derive(Default)]
pub(crate) struct KnownProducts {
    /// `None` where no file has products.
    pub(crate) ids: Option<RoaringTreemap>,
    /// Products that were passed over, whose reviews are as well.
    pub(crate) passed_over: RoaringTreemap,
}

/// Takes reviews in any order.
pub(crate) struct ReviewIntake {
    rows: Sorter,
    owners: Sorter,
    photos: Sorter,
    ids: RoaringTreemap,
    photo_id: u64,
    packed: Vec<u8>,
}

/// The columns of a review.
pub(crate) struct ReviewColumns {
    mapping: BoundMapping,
    id: BoundField,
    product: BoundField,
    product_id: BoundField,
    rating: BoundField,
    date: BoundField,
    summary: BoundField,
    body: BoundField,
    recommend: BoundField,
    reported: BoundField,
    reviewer_name: BoundField,
    reviewer_email: BoundField,
    response: BoundField,
    helpfulness: BoundField,
    photos: BoundField,
}

impl RowTexts for ShopRow<'_> {
    fn text(&self, column: usize) -> &str {
        ShopRow::text(self, column)
    }
}

impl ReviewColumns {
    pub(crate) fn of(mapping: BoundMapping) -> Self {
        Self {
            id: mapping.field("id"),
            product: mapping.field("product"),
            product_id: mapping.field("product_id"),
            rating: mapping.field("rating"),
            date: mapping.field("date"),
            summary: mapping.field("summary"),
            body: mapping.field("body"),
            recommend: mapping.field("recommend"),
            reported: mapping.field("reported"),
            reviewer_name: mapping.field("reviewer_name"),
            reviewer_email: mapping.field("reviewer_email"),
            response: mapping.field("response"),
            helpfulness: mapping.field("helpfulness"),
            photos: mapping.field("photos"),
            mapping,
        }
    }

    fn find<'r>(&self, field: &'r BoundField, row: &'r ShopRow<'_>) -> Option<FoundText<'r>> {
        field.find(row, &self.mapping.forms)
    }

    /// Reads a value of a field that every review has.
    fn read<T>(
        &self,
        field: &BoundField,
        name: &'static str,
        row: &ShopRow<'_>,
        read: impl FnOnce(&str) -> Result<T, Reason>,
    ) -> Result<T, RowEnd> {
        match self.find(field, row) {
            Some(found) => read(&found.text).map_err(at(found.column)),
            None => Err(at(field.column(name))("is empty")),
        }
    }

    /// A handle and a number that a row gives of one product.
    pub(crate) fn pair<'r>(&'r self, row: &'r ShopRow<'_>) -> Option<(FoundText<'r>, u64)> {
        let id = self.find(&self.product_id, row)?;
        let id = self
            .mapping
            .forms
            .number(&id.text)
            .ok()
            .filter(|id| *id > 0)?;
        Some((self.find(&self.product, row)?, id))
    }

    /// Returns true if rows say both.
    pub(crate) fn has_pairs(&self) -> bool {
        self.product.is_bound() && self.product_id.is_bound()
    }

    /// The product of a row.
    fn product(
        &self,
        row: &ShopRow<'_>,
        keys: &mut ProductKeys,
        known: &KnownProducts,
    ) -> Result<u64, RowEnd> {
        let key = self.find(&self.product, row);
        let number = self.find(&self.product_id, row);
        let (id, column, unknown) = match (key, number) {
            (None, None) => {
                let field = if self.product.is_bound() {
                    &self.product
                } else {
                    &self.product_id
                };
                return Err(at(field.column("product"))("is empty"));
            }
            (Some(key), _) if keys.id_of(key.text.trim()).is_some() => {
                let id = keys.id_of(key.text.trim()).unwrap_or_default();
                (id, key.column, UNKNOWN_HANDLE)
            }
            (key, Some(number)) => {
                match self.mapping.forms.number(&number.text) {
                    Ok(0) => return Err(at(number.column)("is zero")),
                    Ok(id) if keys.is_made(id) => {
                        return Err(at(number.column)(
                            "was made for a handle, so it is not known whose number it is; give its \
                             handle by --ids",
                        ));
                    }
                    Ok(id) => {
                        if let Some(key) = key {
                            keys.learn(key.text.trim(), id)?;
                        }
                        keys.take(id);
                        (id, number.column, UNKNOWN_PRODUCT)
                    }
                    // A number that is none is a handle.
                    Err(_) => (of_key(&number, keys, known)?, number.column, UNKNOWN_HANDLE),
                }
            }
            (Some(key), None) => (of_key(&key, keys, known)?, key.column, UNKNOWN_HANDLE),
        };
        if known.passed_over.contains(id) {
            return Err(RowEnd::Skip("its product was skipped".to_owned()));
        }
        match &known.ids {
            Some(ids) if !ids.contains(id) => Err(at(column)(unknown)),
            _ => Ok(id),
        }
    }
}

/// The product that a key names, made where no file has products.
fn of_key(
    key: &FoundText<'_>,
    keys: &mut ProductKeys,
    known: &KnownProducts,
) -> Result<u64, RowEnd> {
    let text = key.text.trim();
    match keys.id_of(text) {
        Some(id) => Ok(id),
        None if known.ids.is_some() => Err(at(key.column)(UNKNOWN_HANDLE)),
        None => Ok(keys.id_or_make(text)?),
    }
}

impl ReviewIntake {
    /// An intake that uses at most `memory` bytes.
    pub(crate) fn new(spill_dir: &std::path::Path, memory: usize) -> Self {
        Self {
            rows: Sorter::new(spill_dir, memory / 4 * 3),
            owners: Sorter::new(spill_dir, memory / 8),
            photos: Sorter::new(spill_dir, memory / 8),
            ids: RoaringTreemap::new(),
            photo_id: 0,
            packed: Vec::new(),
        }
    }

    /// The ids that are given.
    pub(crate) fn ids(&self) -> &RoaringTreemap {
        &self.ids
    }

    /// Stores what a row says.
    pub(crate) fn store(
        &mut self,
        columns: &ReviewColumns,
        row: &ShopRow<'_>,
        keys: &mut ProductKeys,
        known: &KnownProducts,
        ledger: &mut RowLedger<'_>,
    ) -> Result<(), RowEnd> {
        let forms = &columns.mapping.forms;
        if let Some(reason) = columns.mapping.passed_over(row) {
            return Err(RowEnd::Skip(reason));
        }
        let product = columns.product(row, keys, known)?;
        let rating = columns.read(&columns.rating, "rating", row, |text| {
            match forms.number(text)? {
                stars @ 1..=5 => Ok(u8::try_from(stars).unwrap_or(5)),
                _ => Err("is not between 1 and 5"),
            }
        })?;
        let date_ms = columns.read(&columns.date, "date", row, |text| forms.date.read(text))?;
        let recommend = match (columns.recommend.rating_from, columns.recommend.is_bound()) {
            (Some(from), false) => rating >= from,
            (from, _) => match (columns.find(&columns.recommend, row), from) {
                (Some(found), _) if !forms.is_empty(&found.text) => {
                    forms.boolean(&found.text).map_err(at(found.column))?
                }
                (_, Some(from)) => rating >= from,
                (_, None) => true,
            },
        };
        let reported = columns.read(&columns.reported, "reported", row, |text| {
            forms.boolean(text)
        })?;
        let helpfulness = columns.read(&columns.helpfulness, "helpfulness", row, |text| {
            forms.number(text)?.try_into().map_err(|_| "is too large")
        })?;
        let id = self.id(columns, row)?;
        let text = |field| {
            columns
                .find(field, row)
                .map(|found| found.text)
                .unwrap_or_default()
        };
        let response = columns.find(&columns.response, row);
        let (summary, body) = (text(&columns.summary), text(&columns.body));
        let (name, email) = (text(&columns.reviewer_name), text(&columns.reviewer_email));
        let review = ReviewRow {
            rating,
            date_ms,
            recommend,
            reported,
            helpfulness,
            summary: &summary,
            body: &body,
            reviewer_name: name.trim(),
            reviewer_email: email.trim(),
            response: response.as_ref().map(|found| &*found.text),
        };
        self.packed.clear();
        review.pack(&mut self.packed);
        self.rows.push([product, id, 0], &self.packed)?;
        self.packed.clear();
        put(&mut self.packed, product);
        self.owners.push([id, 0, 0], &self.packed)?;
        let photos = columns.find(&columns.photos, row);
        for url in photos.iter().flat_map(|found| forms.list(&found.text)) {
            self.photo_id += 1;
            self.packed.clear();
            put_text(&mut self.packed, url);
            self.photos.push([id, self.photo_id, 0], &self.packed)?;
            ledger.made("photos of reviews", 1);
        }
        ledger.made("reviews", 1);
        Ok(())
    }

    /// The id of a review: its own, or the next.
    fn id(&mut self, columns: &ReviewColumns, row: &ShopRow<'_>) -> Result<u64, RowEnd> {
        if !columns.id.is_bound() {
            let id = self.ids.max().unwrap_or(0) + 1;
            self.ids.insert(id);
            return Ok(id);
        }
        let column = columns.id.column("id");
        let Some(found) = columns.find(&columns.id, row) else {
            return Err(at(column)(
                "is empty; leave fields.id out of the mapping, and ids are made",
            ));
        };
        match columns
            .mapping
            .forms
            .number(&found.text)
            .map_err(at(column))?
        {
            0 => Err(at(column)("is zero")),
            // The next one must be a number as well.
            u64::MAX => Err(at(column)("is too large")),
            id if self.ids.insert(id) => Ok(id),
            _ => Err(at(column)("is that of an earlier row")),
        }
    }

    /// All reviews, sorted.
    pub(crate) fn finish(self) -> Result<ReviewFiles, Error> {
        Ok(ReviewFiles {
            reviews: self.rows.finish()?,
            owners: self.owners.finish()?,
            photos: self.photos.finish()?,
            ..ReviewFiles::default()
        })
    }
}

impl ReviewColumns {
    /// The fields that no column gives.
    pub(crate) fn defaults(&self) -> &[String] {
        &self.mapping.defaults
    }
}
