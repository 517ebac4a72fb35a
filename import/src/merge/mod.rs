//! The ten files, or some of them, on their way into a store that is there already: read once, then handed
//! over product by product, as often as wanted.
//!
//! Must not know the store, nor what is done with a row. Invariants: rows are cleaned and counted as for a new
//! store; a row whose parent's file is not given belongs to a row of the store, or is rejected; products
//! ascend, and all that the files have of one comes together.

mod catalogue;
mod late;
mod reviews;

use std::path::Path;
use std::sync::Mutex;

use roaring::RoaringTreemap;

use crate::error::Error;
use crate::files::File;
use crate::join::JoinContext;
use crate::pack::put;
use crate::progress::ImportProgress;
use crate::read::{ReadContext, ids_bytes, lock};
use crate::rejects::Rejects;
use crate::report::ImportReport;
use crate::rows::Parents;
use crate::sort::{Sorted, Sorter};
use crate::values::{
    CharacteristicRow, FeatureRow, PhotoRow, ProductRow, RatingRow, ReviewRow, SkuRow,
    StylePhotoRow, StyleRow,
};
use crate::{FoundFile, JOINS_MAX, Options, ReadFiles, Reading, SinkError, find_all, spare_inputs};

pub use late::{LateReject, RejectedRows};

/// Rows of a store that rows of the files may belong to, in any order.
pub trait KnownRows {
    /// The products of the catalogue; none if there is no catalogue.
    fn products(&self, each: &mut dyn FnMut(u64) -> Result<(), Error>) -> Result<(), Error>;
    /// The reviews, each with its product.
    fn reviews(&self, each: &mut dyn FnMut(u64, u64) -> Result<(), Error>) -> Result<(), Error>;
    /// The characteristics.
    fn characteristics(&self, each: &mut dyn FnMut(u64) -> Result<(), Error>) -> Result<(), Error>;
    /// The styles, each with its product.
    fn styles(&self, each: &mut dyn FnMut(u64, u64) -> Result<(), Error>) -> Result<(), Error>;
}

/// Receives the rows of a merge: the catalogue first, products ascending, and the reviews then.
pub trait MergeSink {
    /// All that the catalogue's files have of a product.
    fn product(&mut self, id: u64, rows: &ProductRows<'_>) -> Result<(), SinkError>;
    /// A product of the review files begins. Products ascend; characteristics ascend by id.
    fn reviewed(
        &mut self,
        product: u64,
        characteristics: &[CharacteristicRow<'_>],
    ) -> Result<(), SinkError>;
    /// All that the files have of a review of that product. Reviews ascend by id.
    fn review(&mut self, product: u64, id: u64, rows: &ReviewRows<'_>) -> Result<(), SinkError>;
}

/// The rows of the catalogue's files that belong to one product.
#[derive(Debug, Default)]
pub struct ProductRows<'a> {
    /// The row of product.csv.
    pub product: Option<ProductRow<'a>>,
    /// The rows of features.csv, ids ascending.
    pub features: Vec<FeatureRow<'a>>,
    /// The related products, in the file's order.
    pub related: Vec<u64>,
    /// Styles that any file has rows of, ids ascending.
    pub styles: Vec<StyleRows<'a>>,
}

/// The rows of files that belong to one style.
#[derive(Debug)]
pub struct StyleRows<'a> {
    /// The id of the style.
    pub id: u64,
    /// The row of styles.csv.
    pub style: Option<StyleRow<'a>>,
    /// The rows of photos.csv, in the file's order.
    pub photos: Vec<StylePhotoRow<'a>>,
    /// The rows of skus.csv, ids ascending.
    pub skus: Vec<SkuRow<'a>>,
}

/// The rows of files that belong to one review.
#[derive(Debug, Default)]
pub struct ReviewRows<'a> {
    /// The row of reviews.csv.
    pub review: Option<ReviewRow<'a>>,
    /// The rows of `reviews_photos.csv`, ids ascending.
    pub photos: Vec<PhotoRow<'a>>,
    /// The rows of `characteristic_reviews.csv`, each with its id, by which they ascend.
    pub ratings: Vec<(u64, RatingRow)>,
}

/// The files of a merge, read and sorted.
pub struct MergeFiles<'o> {
    options: &'o Options,
    found: Vec<FoundFile>,
    parents: Parents,
    rejects: Mutex<Rejects>,
    all: ReadFiles,
}

impl<'o> MergeFiles<'o> {
    /// Reads the files that are there.
    pub fn read(
        options: &'o Options,
        progress: &ImportProgress,
        known: &dyn KnownRows,
    ) -> Result<Self, Error> {
        let found = find_all(&options.csv)?;
        spare_inputs(&found, &options.rejects)?;
        let rejects = Mutex::new(Rejects::new(&options.rejects, options.rejects_max.rows)?);
        let reading = Reading {
            options,
            found: &found,
            progress,
            rejects: &rejects,
            known: Some(known),
        };
        reading.expect(&[]);
        let mut parents = Parents::default();
        let read = reading.read(&mut parents);
        lock(&rejects).flush()?;
        let all = read?;
        progress.writing();
        Ok(Self {
            options,
            found,
            parents,
            rejects,
            all,
        })
    }

    /// Returns true if a file is given.
    #[must_use]
    pub fn has(&self, file: File) -> bool {
        self.path(file).is_some()
    }

    /// Returns true if a file that rows of others belong to is given and has a row with this id.
    #[must_use]
    pub fn has_row(&self, file: File, id: u64) -> bool {
        let ids = match file {
            File::Products => &self.parents.products,
            File::Reviews => &self.parents.reviews,
            File::Characteristics => &self.parents.characteristics,
            File::Styles => &self.parents.styles,
            _ => &None,
        };
        self.has(file) && ids.as_ref().is_some_and(|ids| ids.contains(id))
    }

    fn path(&self, file: File) -> Option<&Path> {
        let mut found = self.found.iter();
        let found = found.find(|(of, _)| *of == file)?;
        found.1.as_deref()
    }

    /// Hands all rows over.
    pub fn hand_over(
        &self,
        progress: &ImportProgress,
        sink: &mut dyn MergeSink,
    ) -> Result<(), Error> {
        let joining = JoinContext {
            spill_dir: &self.options.spill_dir,
            memory: self.options.memory / JOINS_MAX,
        };
        catalogue::hand_over(&self.all.shop, joining, progress, sink)?;
        reviews::hand_over(&self.all.review, joining, progress, sink)
    }

    /// Rejects the rows that turned out not to fit the store, and returns the report.
    pub fn finish(mut self, late: &[LateReject]) -> Result<ImportReport, Error> {
        let rejected = late::reject(&mut self, late);
        lock(&self.rejects).flush()?;
        rejected?;
        for ((file, _), report) in self.found.iter().zip(&self.all.report.files) {
            self.options.refuse_few(*file, report)?;
        }
        Ok(self.all.report)
    }
}

/// The ids of a file's rows that a store has, and the product of each.
pub(crate) struct KnownIds {
    /// `None` if the file's rows are not checked.
    pub(crate) ids: Option<RoaringTreemap>,
    pub(crate) owners: Sorted,
}

/// Collects the rows of a store that take the place of a file that is not given.
pub(crate) fn known_rows(
    file: File,
    known: &dyn KnownRows,
    reading: &ReadContext<'_>,
) -> Result<KnownIds, Error> {
    let mut ids = RoaringTreemap::new();
    let mut owners = Sorter::new(reading.spill_dir, reading.memory / 4);
    let mut packed = Vec::new();
    let mut own = |id: u64, product: u64| {
        packed.clear();
        put(&mut packed, product);
        ids.insert(id);
        owners.push([id, 0, 0], &packed)
    };
    match file {
        File::Products => known.products(&mut |id| own(id, id))?,
        File::Reviews => known.reviews(&mut own)?,
        File::Characteristics => known.characteristics(&mut |id| own(id, 0))?,
        File::Styles => known.styles(&mut own)?,
        _ => return Err(Error::Logic("no row belongs to a row of this file")),
    }
    let memory_max = reading.ids_bytes_max();
    if ids_bytes(&ids) > memory_max {
        let path = file.name().into();
        return Err(Error::ScatteredIds { path, memory_max });
    }
    // Without a catalogue reviews are of whatever products they name.
    let is_checked = file != File::Products || !ids.is_empty();
    Ok(KnownIds {
        ids: is_checked.then_some(ids),
        owners: owners.finish()?,
    })
}

#[cfg(test)]
mod tests;
