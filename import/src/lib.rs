//! The ten CSV files of a shop, or the files of other shops' programs, in; clean typed rows in product
//! order out.
//!
//! Must not know the store, or any other receiver of the rows. Invariants: memory stays within
//! [`Options::memory`] however large the files are; no row disappears without being counted by
//! file and reason in the [`ImportReport`].

use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::thread;
use std::{fs, io};

mod catalogue;
mod chunk;
mod clean;
mod error;
mod escape;
mod files;
mod join;
mod line;
mod merge;
mod pack;
mod progress;
mod read;
mod rejects;
mod report;
mod reviews;
mod rows;
mod shops;
mod sort;
mod turn;
mod values;

pub use catalogue::FullStyle;
pub use error::Error;
pub use escape::escape;
pub use files::File;
pub use merge::{
    KnownRows, LateReject, MergeFiles, MergeSink, ProductRows, RejectedRows, ReviewRows, StyleRows,
};
pub use progress::{ImportProgress, Stage};
pub use report::{FileReport, FileState, IdsReport, ImportReport, Reasons};
pub use shops::{Inspection, Mapping, ShopOptions, Vendor, handles, inspect};
pub use values::{
    CharacteristicRow, FeatureRow, PhotoRow, ProductRow, RatingRow, ReviewRow, SkuRow,
    StylePhotoRow, StyleRow,
};

use catalogue::CatalogueFiles;
use chunk::Chunks;
use join::JoinContext;
use read::{ReadContext, lock};
use rejects::{Reject, Rejects};
use reviews::{Foreign, ReviewFiles};
use rows::Parents;
use shops::{ProductKeys, ShopFile, ShopReading};
use sort::Sorted;

/// An import needs at least this much memory.
pub const MEMORY_BYTES_MIN: usize = 16 << 20;

/// Merges and sorters that are open at a time while joining, on both sides together.
const JOINS_MAX: usize = 16;

const FOREIGN_RATING: &str = "is of another product than the review";

/// The files to import, and the limits.
#[derive(Debug, Clone)]
pub struct Options {
    /// The directory of the CSV files; one of them where they are of other shops' programs.
    pub csv: PathBuf,
    /// The way to read files of other shops' programs; without it only the ten files are read.
    pub shops: Option<ShopOptions>,
    /// The directory of spill files.
    pub spill_dir: PathBuf,
    /// The bytes of memory that reading, sorting and joining may use; at least [`MEMORY_BYTES_MIN`].
    pub memory: usize,
    /// Threads that clean and sort.
    pub workers: usize,
    /// The file for rejected rows.
    pub rejects: PathBuf,
    /// More rejected rows stop the import.
    pub rejects_max: RejectsMax,
    /// Files none of whose rows need be stored.
    pub allow_empty: Vec<File>,
    /// True if the files are an export: texts are escaped, and reviews, characteristics, styles and
    /// relations of products that are not in the catalogue are taken.
    pub exported: bool,
}

/// The limits on rejected rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RejectsMax {
    /// The number of rejected rows of all files together.
    pub rows: u64,
    /// The share of each file, in millionths of its rows, rounded up to a whole row.
    pub share: u32,
}

impl RejectsMax {
    /// Rows of a file that may be rejected.
    fn of(self, rows: u64) -> u64 {
        let most = u128::from(rows) * u128::from(self.share);
        u64::try_from(most.div_ceil(1_000_000)).unwrap_or(u64::MAX)
    }
}

/// The reason a sink failed, in its own words.
pub type SinkError = Box<dyn std::error::Error + Send + Sync>;

/// Receives the review side.
pub trait ReviewSink: Send {
    /// A review's product. Reviews ascend, and all come before the first product.
    fn owner(&mut self, review: u64, product: u64) -> Result<(), SinkError>;
    /// A product begins. Products ascend; characteristics ascend by id.
    fn product(
        &mut self,
        product: u64,
        characteristics: &[CharacteristicRow<'_>],
    ) -> Result<(), SinkError>;
    /// A review of that product. Reviews and photos ascend by id.
    fn review(
        &mut self,
        product: u64,
        id: u64,
        review: &ReviewRow<'_>,
        photos: &[PhotoRow<'_>],
        ratings: &[RatingRow],
    ) -> Result<(), SinkError>;
}

/// Receives the catalogue side: three streams one after the other, products ascending in each.
pub trait CatalogueSink: Send {
    /// A product and its features.
    fn product(
        &mut self,
        id: u64,
        product: &ProductRow<'_>,
        features: &[FeatureRow<'_>],
    ) -> Result<(), SinkError>;
    /// The products related to a product.
    fn related(&mut self, product: u64, related: &[u64]) -> Result<(), SinkError>;
    /// The styles of a product, ids ascending.
    fn styles(&mut self, product: u64, styles: Vec<FullStyle<'_>>) -> Result<(), SinkError>;
}

/// Imports the files: reads all of them, then hands the rows to both sinks at once.
pub fn run(
    options: &Options,
    progress: &ImportProgress,
    reviews: &mut dyn ReviewSink,
    catalogue: &mut dyn CatalogueSink,
) -> Result<ImportReport, Error> {
    let (found, shop_files) = match &options.shops {
        None => (find_all(&options.csv)?, Vec::new()),
        Some(shops) => shops::find(options, shops)?,
    };
    spare_inputs(&found, &options.rejects)?;
    let rejects = Mutex::new(Rejects::new(&options.rejects, options.rejects_max.rows)?);
    let reading = Reading {
        options,
        found: &found,
        progress,
        rejects: &rejects,
        known: None,
    };
    let read = read_all(&reading, &shop_files);
    lock(&rejects).flush()?;
    let (mut all, keys) = read?;
    progress.writing();
    let joining = JoinContext {
        spill_dir: &options.spill_dir,
        memory: options.memory / JOINS_MAX,
    };
    let mut foreign = Foreign {
        offsets: Vec::new(),
        max: options.rejects_max.rows,
    };
    let joined = join(&all, joining, progress, &mut foreign, reviews, catalogue);
    reject_foreign(&found, foreign, &mut lock(&rejects), &mut all.report)?;
    lock(&rejects).flush()?;
    joined?;
    for ((file, _), report) in found.iter().zip(&all.report.files) {
        options.refuse_few(*file, report)?;
    }
    if let Some(keys) = keys {
        all.report
            .files
            .retain(|file| file.state != FileState::Missing);
        all.report.ids = keys.save()?;
    }
    Ok(all.report)
}

impl Options {
    /// An error where too few rows of a file were stored.
    fn refuse_few(&self, file: File, report: &FileReport) -> Result<(), Error> {
        let rejected = report.rows_rejected.values().sum();
        let is_empty = report.rows_stored == 0;
        if rejected == 0 || is_empty && self.allow_empty.contains(&file) {
            return Ok(());
        }
        let (name, rejects) = (report.file.clone(), self.rejects.clone());
        if is_empty {
            return Err(Error::NothingStored {
                name,
                flag: file.name(),
                rejected,
                rejects,
            });
        }
        if rejected > self.rejects_max.of(report.rows_read) {
            return Err(Error::LargeShare {
                name,
                rejected,
                rows: report.rows_read,
                rejects,
            });
        }
        Ok(())
    }
}

/// Puts both sides together, each in a thread of its own.
fn join(
    files: &ReadFiles,
    joining: JoinContext<'_>,
    progress: &ImportProgress,
    foreign: &mut Foreign,
    reviews: &mut dyn ReviewSink,
    catalogue: &mut dyn CatalogueSink,
) -> Result<(), Error> {
    let ReadFiles { review, shop, .. } = files;
    thread::scope(|scope| {
        let shop = thread::Builder::new()
            .name("import-catalogue".to_owned())
            .spawn_scoped(scope, || {
                let done = catalogue::put_together(shop, joining, progress, catalogue);
                done.inspect_err(|_| progress.fail())
            })
            .map_err(Error::Thread)?;
        let reviews = reviews::put_together(review, joining, progress, foreign, reviews)
            .inspect_err(|_| progress.fail());
        let shop = match shop.join() {
            Ok(result) => result,
            Err(panic) => std::panic::resume_unwind(panic),
        };
        match (reviews, shop) {
            // The side that was only stopped does not know the reason.
            (Err(Error::Interrupted), Err(reason)) => Err(reason),
            (reviews, shop) => reviews.and(shop),
        }
    })
}

/// Rejects the ratings that turned out to be of another product's characteristic, in the order of
/// the file.
fn reject_foreign(
    found: &[FoundFile],
    mut foreign: Foreign,
    rejects: &mut Rejects,
    report: &mut ImportReport,
) -> Result<(), Error> {
    foreign.offsets.sort_unstable();
    let mut offsets = foreign.offsets.into_iter().peekable();
    let path = found.iter().find(|(file, _)| *file == File::Ratings);
    let (Some((_, Some(path))), Some(_)) = (path, offsets.peek()) else {
        return Ok(());
    };
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let file = report.files.iter_mut().find(|file| file.file == name);
    let file = file.ok_or(Error::Logic("a file that was read is not in the report"))?;
    let opened = fs::File::open(path).map_err(Error::read(path))?;
    let mut chunks = Chunks::new(opened);
    while let Some(chunk) = chunks.next().map_err(Error::read(path))? {
        while let Some(offset) = offsets.next_if(|offset| chunk.contains(*offset)) {
            let (line, row) = chunk.line_at(offset);
            rejects.add(&Reject {
                file: &name,
                line,
                field: "characteristic_id",
                reason: FOREIGN_RATING,
                row,
            })?;
            file.reject_stored(&format!("characteristic_id {FOREIGN_RATING}"));
        }
    }
    Ok(())
}

/// All files, read.
#[derive(Default)]
struct ReadFiles {
    review: ReviewFiles,
    shop: CatalogueFiles,
    report: ImportReport,
}

/// The files to read, and the context of reading them.
struct Reading<'a> {
    options: &'a Options,
    found: &'a [FoundFile],
    progress: &'a ImportProgress,
    rejects: &'a Mutex<Rejects>,
    /// The rows of a store that the rows of the files may belong to, in a merge.
    known: Option<&'a dyn KnownRows>,
}

impl Reading<'_> {
    fn is_there(&self, wanted: File) -> bool {
        let mut found = self.found.iter();
        found.any(|(file, path)| *file == wanted && path.is_some())
    }

    /// The first file that is missing, and without which a file's rows would all be orphans.
    fn missing(&self, file: File) -> Option<File> {
        let mut needs = file.needs().iter().copied();
        needs.find(|needed| self.known.is_none() && !self.is_there(*needed))
    }

    /// Returns true if rows of a file that is there belong to rows of this one.
    fn is_parent(&self, file: File) -> bool {
        let mut given = self.found.iter().filter(|(_, path)| path.is_some());
        given.any(|(child, _)| child.parents().contains(&file))
    }

    fn memory(&self) -> usize {
        self.options.memory.max(MEMORY_BYTES_MIN)
    }

    fn expect(&self, shop_files: &[ShopFile]) {
        let read = self.found.iter();
        let read = read.filter(|(file, _)| self.missing(*file).is_none());
        let paths = read.filter_map(|(_, path)| path.as_ref());
        let paths = paths.chain(shop_files.iter().map(|file| &file.path));
        let sizes = paths.filter_map(|path| path.metadata().ok());
        self.progress.expect(sizes.map(|data| data.len()).sum());
    }

    fn context<'p>(&'p self, parents: &'p Parents) -> ReadContext<'p> {
        let memory = self.memory();
        ReadContext {
            spill_dir: &self.options.spill_dir,
            memory: memory / 4 * 3,
            ids_memory: memory / 4,
            workers: (memory / MEMORY_BYTES_MIN).clamp(1, self.options.workers.max(1)),
            progress: self.progress,
            rejects: self.rejects,
            parents,
            exported: self.options.exported,
        }
    }

    /// Reads the ten files, as far as they are there.
    fn read(&self, parents: &mut Parents) -> Result<ReadFiles, Error> {
        let mut all = ReadFiles::default();
        for (file, path) in self.found {
            let Some(path) = path else {
                let report = FileReport::new(file.name(), FileState::Missing);
                all.report.files.push(report);
                if let Some(known) = self.known.filter(|_| self.is_parent(*file)) {
                    let rows = merge::known_rows(*file, known, &self.context(parents))?;
                    all.keep(*file, Sorted::default(), rows.owners);
                    parents.set(*file, rows.ids);
                }
                continue;
            };
            if let Some(needed) = self.missing(*file) {
                let state = FileState::Needs(needed.name().to_owned());
                all.report.files.push(FileReport::new(file.name(), state));
                continue;
            }
            let read = self.context(parents).read(*file, path)?;
            self.options.refuse_few(*file, &read.report)?;
            all.report.files.push(read.report);
            all.keep(*file, read.rows, read.owners);
            parents.set(*file, Some(read.ids));
        }
        Ok(all)
    }
}

fn read_all(
    reading: &Reading<'_>,
    shop_files: &[ShopFile],
) -> Result<(ReadFiles, Option<ProductKeys>), Error> {
    reading.expect(shop_files);
    let mut parents = Parents::default();
    let mut all = reading.read(&mut parents)?;
    let Some(shops) = &reading.options.shops else {
        return Ok((all, None));
    };
    let shop_reading = ShopReading {
        options: reading.options,
        memory: reading.memory(),
        progress: reading.progress,
        rejects: reading.rejects,
    };
    let keys = shop_reading.read(shops, shop_files, parents.products, &mut all)?;
    Ok((all, Some(keys)))
}

/// A file, and where it is if it is there.
type FoundFile = (File, Option<PathBuf>);

fn find_all(dir: &Path) -> Result<Vec<FoundFile>, Error> {
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

/// Writing the rejects must not overwrite a file that is to be read.
fn spare_inputs(found: &[FoundFile], rejects: &Path) -> Result<(), Error> {
    let Ok(rejects) = rejects.canonicalize() else {
        // The file does not exist yet.
        return Ok(());
    };
    let mut inputs = found.iter().flat_map(|(_, path)| path);
    if inputs.any(|path| path.canonicalize().is_ok_and(|path| path == rejects)) {
        return Err(Error::Rejects {
            path: rejects,
            source: io::Error::other("it is one of the files to import"),
        });
    }
    Ok(())
}

impl ReadFiles {
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
