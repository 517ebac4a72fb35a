//! The ten CSV files of a shop in, clean typed rows in product order out.
//!
//! Must not know the store, or any other receiver of the rows. Invariants: memory stays within
//! [`Options::memory`] however large the files are; no row disappears without being counted by
//! file and reason in the [`Report`].

use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::thread;

mod catalogue;
mod chunk;
mod clean;
mod error;
mod files;
mod join;
mod line;
mod pack;
mod progress;
mod read;
mod rejects;
mod report;
mod reviews;
mod rows;
mod sort;

pub use catalogue::StyleRow;
pub use error::Error;
pub use progress::{Progress, Stage};
pub use report::{FileReport, Reasons, Report, State};
pub use rows::{Characteristic, Feature, Photo, Product, Rating, Review, Sku, Style, StylePhoto};

use catalogue::CatalogueFiles;
use files::File;
use join::Joining;
use read::{Reading, lock};
use rejects::Rejects;
use reviews::ReviewFiles;
use rows::Parents;
use sort::Sorted;

/// An import needs at least this much memory.
pub const MEMORY_BYTES_MIN: usize = 16 << 20;

/// Merges and sorters that are open at a time while joining, on both sides together.
const JOINS_MAX: usize = 16;

const FOREIGN_RATING: &str = "characteristic_id is that of another product than the review's";

/// What to import, and within which limits.
#[derive(Debug, Clone)]
pub struct Options {
    /// The directory of the CSV files.
    pub csv: PathBuf,
    /// Where spill files go.
    pub spill_dir: PathBuf,
    /// Bytes that reading, sorting and joining keep within; at least [`MEMORY_BYTES_MIN`].
    pub memory: usize,
    /// Threads that clean and sort.
    pub workers: usize,
    /// Where rejected rows go.
    pub rejects: PathBuf,
    /// More rejected rows stop the import.
    pub rejects_max: u64,
}

/// Why a sink failed, in its own words.
pub type SinkError = Box<dyn std::error::Error + Send + Sync>;

/// Receives the review side.
pub trait ReviewSink: Send {
    /// A review's product. Reviews ascend, and all come before the first product.
    fn owner(&mut self, review: u64, product: u64) -> Result<(), SinkError>;
    /// A product begins. Products ascend; characteristics ascend by id.
    fn product(
        &mut self,
        product: u64,
        characteristics: &[Characteristic<'_>],
    ) -> Result<(), SinkError>;
    /// A review of that product. Reviews and photos ascend by id.
    fn review(
        &mut self,
        product: u64,
        id: u64,
        review: &Review<'_>,
        photos: &[Photo<'_>],
        ratings: &[Rating],
    ) -> Result<(), SinkError>;
}

/// Receives the catalogue side: three streams one after the other, products ascending in each.
pub trait CatalogueSink: Send {
    /// A product and its features.
    fn product(
        &mut self,
        id: u64,
        product: &Product<'_>,
        features: &[Feature<'_>],
    ) -> Result<(), SinkError>;
    /// The products related to a product.
    fn related(&mut self, product: u64, related: &[u64]) -> Result<(), SinkError>;
    /// The styles of a product, ids ascending.
    fn styles(&mut self, product: u64, styles: Vec<StyleRow<'_>>) -> Result<(), SinkError>;
}

/// Imports what is in a directory: reads all files, then hands the rows to both sinks at once.
pub fn run(
    options: &Options,
    progress: &Progress,
    reviews: &mut dyn ReviewSink,
    catalogue: &mut dyn CatalogueSink,
) -> Result<Report, Error> {
    let rejects = Mutex::new(Rejects::new(&options.rejects, options.rejects_max)?);
    let read = read_all(options, progress, &rejects);
    lock(&rejects).flush()?;
    let mut all = read?;
    progress.writing();
    let joining = Joining {
        spill_dir: &options.spill_dir,
        memory: options.memory / JOINS_MAX,
    };
    let Files {
        review,
        shop,
        report,
    } = &mut all;
    let foreign = thread::scope(|scope| {
        let shop = thread::Builder::new()
            .name("import-catalogue".to_owned())
            .spawn_scoped(scope, || {
                let done = catalogue::put_together(shop, joining, progress, catalogue);
                done.inspect_err(|_| progress.stop())
            })
            .map_err(Error::Thread)?;
        let foreign = reviews::put_together(review, joining, progress, reviews)
            .inspect_err(|_| progress.stop());
        let shop = match shop.join() {
            Ok(result) => result,
            Err(panic) => std::panic::resume_unwind(panic),
        };
        match (foreign, shop) {
            // The side that was only told to stop does not know the reason.
            (Err(Error::Interrupted), Err(reason)) => Err(reason),
            (foreign, shop) => foreign.and_then(|foreign| shop.map(|()| foreign)),
        }
    })?;
    for file in &mut report.files {
        if File::Ratings.names().contains(&file.file.as_str()) {
            file.skip_stored(FOREIGN_RATING, foreign);
        }
    }
    Ok(all.report)
}

/// All files, read.
#[derive(Default)]
struct Files {
    review: ReviewFiles,
    shop: CatalogueFiles,
    report: Report,
}

fn read_all(
    options: &Options,
    progress: &Progress,
    rejects: &Mutex<Rejects>,
) -> Result<Files, Error> {
    let found = find_all(&options.csv)?;
    let sizes = found.iter().flat_map(|(_, path)| path);
    progress.expect(
        sizes
            .map(|path| path.metadata().map_or(0, |data| data.len()))
            .sum(),
    );
    let mut all = Files::default();
    let mut parents = Parents::default();
    let is_there = |wanted| {
        found
            .iter()
            .any(|(file, path)| *file == wanted && path.is_some())
    };
    for (file, path) in &found {
        let Some(path) = path else {
            let report = FileReport::new(file.name(), State::Missing);
            all.report.files.push(report);
            continue;
        };
        if let Some(needed) = file.needs().iter().find(|needed| !is_there(**needed)) {
            let state = State::Needs(needed.name().to_owned());
            all.report.files.push(FileReport::new(file.name(), state));
            continue;
        }
        let reading = Reading {
            spill_dir: &options.spill_dir,
            memory: options.memory.max(MEMORY_BYTES_MIN) / 4 * 3,
            workers: options.workers.max(1),
            progress,
            rejects,
            parents: &parents,
        };
        let read = reading.read(*file, path)?;
        all.report.files.push(read.report);
        all.keep(*file, read.rows, read.owners);
        match file {
            File::Products => parents.products = Some(read.ids),
            File::Reviews => parents.reviews = Some(read.ids),
            File::Characteristics => parents.characteristics = Some(read.ids),
            File::Styles => parents.styles = Some(read.ids),
            _ => {}
        }
    }
    Ok(all)
}

fn find_all(dir: &Path) -> Result<Vec<(File, Option<PathBuf>)>, Error> {
    let found = File::ALL
        .into_iter()
        .map(|file| Ok((file, file.find(dir)?)))
        .collect::<Result<Vec<_>, Error>>()?;
    if found.iter().all(|(_, path)| path.is_none()) {
        return Err(Error::NoFiles {
            dir: dir.to_owned(),
        });
    }
    Ok(found)
}

impl Files {
    fn keep(&mut self, file: File, rows: Sorted, owners: Sorted) {
        let Self { review, shop, .. } = self;
        let place = match file {
            File::Products => &mut shop.products,
            File::Reviews => {
                review.owners = owners;
                &mut review.reviews
            }
            File::Characteristics => &mut review.characteristics,
            File::ReviewPhotos => &mut review.photos,
            File::Ratings => &mut review.ratings,
            File::Styles => {
                shop.style_owners = owners;
                &mut shop.styles
            }
            File::Skus => &mut shop.skus,
            File::StylePhotos => &mut shop.photos,
            File::Features => &mut shop.features,
            File::Related => &mut shop.related,
        };
        *place = rows;
    }
}
