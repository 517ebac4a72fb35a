//! Builds a whole store at once: typed rows in, sorted files per family, one swap at the end.
//!
//! Must not know where rows come from. Invariants: the current store is not touched before
//! [`Bulk::publish`], which is one rename; until then whatever happens leaves at most a directory that the
//! next process removes; the published store holds exactly the rows that were given.

pub(crate) mod family_writer;
mod review_loader;

use std::path::{Path, PathBuf};

use super::datadir::DataDir;
use super::datadir::predecessors;
use super::datadir::taken_writes::StoreToReplace;
use super::error::Error;
use super::key::{Family, IdKey, RANK_STRIDE};
use super::log::commit_log::CommitLog;
use super::log::position::LogPosition;
use super::log::recovery::refuse_lossy;
use super::log::watermark::{Watermark, WatermarkFile};
use super::rocks::Rocks;
use super::state::{new_store_id, write_state};
use super::value::{Counters, Identity, Related, Styles, encode};
use crate::model::{Product, ProductId, Style};
use family_writer::{FamilyWriter, WrittenFamily};
pub use review_loader::{LoadedReviews, ReviewLoader};

/// Memory of the database while it takes the files in: only their metadata passes through it.
const INGEST_MEMORY_BYTES: usize = 8 << 20;

/// The rule for whether the existing store may be replaced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Replace<'a> {
    /// It stays: a new one is refused.
    Never,
    /// It is replaced if that loses no write.
    Saved {
        /// The store that the new one is made of an export of, and its position in its history then, as
        /// [`saved_as`] writes both.
        exported: Option<&'a str>,
    },
    /// It is replaced, whatever it took since it was made, and whether it can be read or not.
    Always,
}

/// Returns the text by which an export names its store and the position up to which it has all writes.
#[must_use]
pub fn saved_as(store_id: u128, head: Option<LogPosition>) -> String {
    let head = head.map_or_else(|| "unwritten".to_owned(), |head| head.to_string());
    format!("{store_id:032x} {head}")
}

/// A new store that is being built beside the current one.
pub struct Bulk {
    data: DataDir,
    /// The counters of the store that it replaces, where there is one that can be read.
    old: Option<Counters>,
    place: PathBuf,
    store_id: u128,
    published: bool,
}

/// The contents of a finished build.
#[derive(Debug, Clone, Copy)]
pub struct Built {
    /// The new store's id.
    pub store_id: u128,
    /// Its counts and next ids.
    pub counters: Counters,
    /// Bytes of its files.
    pub bytes: u64,
}

impl Bulk {
    /// Locks the data directory, clears leftovers and starts a new store in it. A directory with a
    /// store is refused unless `replace` allows it, and one that holds other files always.
    pub fn begin(data_dir: &Path, who: &str, replace: Replace<'_>) -> Result<Self, Error> {
        let data = DataDir::lock(data_dir, who)?;
        data.refuse_foreign()?;
        let old = match data.current()? {
            Some(store) => replaced(data_dir, &store, replace)?,
            None => None,
        };
        data.sweep_bootstrap()?;
        let store_id = new_store_id()?;
        let place = data.begin_store(store_id)?;
        std::fs::create_dir(&place).map_err(Error::io(format!("make {}", place.display())))?;
        Ok(Self {
            data,
            old,
            place,
            store_id,
            published: false,
        })
    }

    /// Returns the counters of the store that is to be replaced, where there is one that can be read.
    #[must_use]
    pub fn old(&self) -> Option<Counters> {
        self.old
    }

    /// The new store's directory: on the disk that has to hold it, and removed with it.
    #[must_use]
    pub fn place(&self) -> &Path {
        &self.place
    }

    /// Starts the writers of the review families.
    pub fn reviews(&self) -> Result<ReviewLoader, Error> {
        ReviewLoader::start(&self.place)
    }

    /// Starts the writers of the catalogue families.
    pub fn catalogue(&self) -> Result<CatalogueLoader, Error> {
        let start = |family| FamilyWriter::start(family, &self.place);
        Ok(CatalogueLoader {
            products: start(Family::Products)?,
            styles: start(Family::Styles)?,
            related: start(Family::Related)?,
            ranks: start(Family::Ranks)?,
            rank: 0,
        })
    }

    /// Takes all files in, verifies the counts and writes the store's own facts.
    pub fn assemble(
        &self,
        reviews: &LoadedReviews,
        catalogue: &LoadedCatalogue,
        now_ms: i64,
    ) -> Result<Built, Error> {
        let rocks = Rocks::create(&self.place, INGEST_MEMORY_BYTES)?;
        let mut counters = reviews.counters;
        // Ids are never reused, also if the rows that had them are not in the new store.
        if let Some(old) = self.old {
            counters.next_review_id = counters.next_review_id.max(old.next_review_id);
            counters.next_photo_id = counters.next_photo_id.max(old.next_photo_id);
        }
        for written in reviews.written.iter().chain(&catalogue.written) {
            for segment in &written.segments {
                rocks.ingest(written.family, segment.clone())?;
            }
            expect_rows(&rocks, written.family, written.rows)?;
            match written.family {
                Family::Summaries => counters.summaries = written.rows,
                Family::Products => counters.products = written.rows,
                Family::Styles => counters.styled = written.rows,
                Family::Related => counters.related = written.rows,
                _ => {}
            }
        }
        let expected = [
            (Family::Reviews, counters.reviews),
            (Family::Owners, counters.reviews),
            (Family::Newest, counters.reviews_visible),
            (Family::Helpful, counters.reviews_visible),
        ];
        for (family, written) in expected {
            expect_rows(&rocks, family, written)?;
        }
        let identity = Identity {
            store_id: self.store_id,
            made_ms: now_ms,
        };
        write_state(&rocks, identity, counters)?;
        predecessors::write(
            &rocks,
            &predecessors::before(self.data.current()?.as_deref()),
        )?;
        rocks.flush()?;
        let at = CommitLog::position_of(&rocks)?;
        WatermarkFile::create(&self.place, Watermark::new(at, &counters, false))?;
        Ok(Built {
            store_id: self.store_id,
            counters,
            bytes: rocks.file_bytes()?,
        })
    }

    /// Makes the assembled store the current one.
    pub fn publish(mut self) -> Result<(), Error> {
        let before = self.data.publish(&self.place)?;
        // From here on the new store is the current one, whatever fails.
        self.published = true;
        before.remove()
    }
}

/// Returns the counters of the closed store in `store`, if it may be replaced.
fn replaced(
    data_dir: &Path,
    store: &Path,
    replace: Replace<'_>,
) -> Result<Option<Counters>, Error> {
    let exported = match replace {
        Replace::Never => {
            return Err(Error::Occupied {
                dir: data_dir.to_owned(),
                what: "a store".to_owned(),
                advice: "add --replace to replace it by this import",
            });
        }
        // A store that cannot be read may be lost as well.
        Replace::Always => return Ok(StoreToReplace::read(store).ok().map(|old| old.counters)),
        Replace::Saved { exported } => exported,
    };
    // Writes that its log lost would not count as written.
    refuse_lossy(store, data_dir)?;
    let old = StoreToReplace::read(store)?;
    let is_exported = exported == Some(saved_as(old.identity.store_id, old.head).as_str());
    match old.written {
        Some(written) if !is_exported => Err(Error::Unsaved {
            dir: data_dir.to_owned(),
            written,
        }),
        _ => Ok(Some(old.counters)),
    }
}

impl Drop for Bulk {
    fn drop(&mut self) {
        if !self.published {
            // A file that cannot be removed now is swept by the next process.
            let _ = self.data.give_up(&self.place);
        }
    }
}

/// Returns an error unless the files of a family hold as many rows as were written to it.
fn expect_rows(rocks: &Rocks, family: Family, written: u64) -> Result<(), Error> {
    let found = rocks.rows_in_files(family)?;
    if found == written {
        return Ok(());
    }
    Err(Error::Miscount {
        family: family.name(),
        written,
        found,
    })
}

/// Takes products, styles and relations, each in order of product.
pub struct CatalogueLoader {
    products: FamilyWriter,
    styles: FamilyWriter,
    related: FamilyWriter,
    ranks: FamilyWriter,
    rank: u64,
}

/// The catalogue families' files, durable.
pub struct LoadedCatalogue {
    written: Vec<WrittenFamily>,
}

impl CatalogueLoader {
    /// Adds a product.
    pub fn product(&mut self, id: ProductId, product: &Product<'_>) -> Result<(), Error> {
        self.products
            .put(IdKey::from(id), |out| encode(product, out))?;
        if self.rank.is_multiple_of(RANK_STRIDE) {
            self.ranks.put(IdKey::from(self.rank), |out| {
                out.extend_from_slice(IdKey::from(id).as_ref());
                Ok(())
            })?;
        }
        self.rank += 1;
        Ok(())
    }

    /// Adds a product's styles.
    pub fn styles(&mut self, product: ProductId, styles: Vec<Style<'_>>) -> Result<(), Error> {
        let styles = Styles(styles);
        self.styles
            .put(IdKey::from(product), |out| encode(&styles, out))
    }

    /// Adds the products related to a product.
    pub fn related(&mut self, product: ProductId, related: Vec<ProductId>) -> Result<(), Error> {
        let related = Related(related);
        self.related
            .put(IdKey::from(product), |out| encode(&related, out))
    }

    /// Waits until everything is in durable files.
    pub fn finish(self) -> Result<LoadedCatalogue, Error> {
        let written = finish([self.products, self.styles, self.related, self.ranks])?;
        Ok(LoadedCatalogue { written })
    }
}

fn finish<const N: usize>(writers: [FamilyWriter; N]) -> Result<Vec<WrittenFamily>, Error> {
    writers.into_iter().map(FamilyWriter::finish).collect()
}
