//! A store that a command works on: in a directory, or behind a server.
//!
//! Must not know how the results are shown. Invariant: a directory without a store is an error, and stays
//! without one.

mod directory;
mod lone_writer;
mod server;
mod server_products;

use std::fmt;

use serde::Deserialize;

use crate::cli::{PersonArgs, ReportedArgs, StoreArgs};
use crate::model::ProductId;
use crate::model::catalogue::{ProductEtag, WholeProduct};
use crate::model::filed::{FiledChange, FiledOutcome};
use crate::model::record::FullReview;
use crate::store::key::Family;
use crate::store::reported::Reported;
use crate::store::scan::EmailAddress;
use crate::store::{self, ExpectedProduct, Gap, LostReviews, OpenOptions, Stats};

use super::Configured;
use super::remote::{self, Remote};
use directory::DirectoryTarget;
use server::ServerTarget;

/// Memory of a store that one command passes over.
pub(super) const MEMORY_BYTES: u64 = 64 << 20;

/// The store that a command works on.
pub(super) trait StoreTarget {
    /// Returns the size of the store.
    fn stats(&self) -> Result<Stats, Error>;

    /// Returns a page of a family's rows; it is empty behind the last row.
    fn page(&self, family: Family, from: &PageStart) -> Result<Vec<u8>, Error>;

    /// Returns the damaged part of a family in which the page from `from` ended with `error`; `None` if the
    /// error has another cause.
    fn gap(&self, family: Family, from: &PageStart, error: &Error) -> Result<Option<Gap>, Error>;

    /// Returns the reviews that are lost with a damaged part, as far as they are known.
    fn lost(&self, gap: &Gap) -> Option<LostReviews>;

    /// Calls `each` with the reviews of an address, until it returns false.
    fn find(
        &self,
        address: &EmailAddress,
        each: &mut dyn FnMut(&FullReview<'_>) -> bool,
    ) -> Result<Unsearched, Error>;

    /// Returns the reviews that would be erased.
    fn erasable(&self, whose: &PersonArgs) -> Result<ErasedReviews, Error>;

    /// Erases the reviews that [`Self::erasable`] returned, and finishes an interrupted erasure.
    fn erase(&self, whose: &PersonArgs, reviews: &[u64]) -> Result<ErasedReviews, Error>;

    /// Counts reported reviews.
    fn reported(&self, which: &ReportedArgs) -> Result<Reported, Error>;

    /// Shows reported reviews in the lists again. Returns their number.
    fn restore_reported(&self, which: &ReportedArgs) -> Result<u64, Error>;

    /// Changes products. Returns the outcome of each.
    fn put_products(&self, changes: Vec<ProductChange>) -> Result<Vec<ProductResult>, Error>;

    /// Makes the changes that files ask for, or says what would come of them. Returns the outcome of each.
    fn file_reviews(
        &self,
        changes: Vec<FiledChange<'static>>,
        is_dry_run: bool,
    ) -> Result<Vec<FiledOutcome>, Error>;
}

/// A change of a product that was read before.
pub(super) enum ProductChange {
    /// Put a product in the place of the one with this hash, or where there was none.
    Put(Box<WholeProduct>, Option<ProductEtag>),
    /// Remove the product with this hash.
    Remove(ProductId, Option<ProductEtag>),
}

impl ProductChange {
    /// The product that is expected there.
    fn expected(&self) -> ExpectedProduct {
        match self {
            Self::Put(_, Some(etag)) | Self::Remove(_, Some(etag)) => {
                ExpectedProduct::OneOf(vec![*etag])
            }
            Self::Put(_, None) | Self::Remove(_, None) => ExpectedProduct::Absent,
        }
    }
}

/// The outcome of a [`ProductChange`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ProductResult {
    /// It is done.
    Done,
    /// Another product is there than was read, or another one has its skus.
    Conflict,
    /// The product is too large to be stored.
    TooLarge,
}

/// The beginning of a page.
pub(super) enum PageStart {
    /// Behind the row with this key.
    After(Vec<u8>),
    /// At the row with this key, of a store in a directory.
    At(Vec<u8>),
}

/// The rows in which more reviews of an address may be.
#[derive(Default)]
pub(super) struct Unsearched {
    /// Reviews that cannot be decoded.
    pub(super) unreadable: u64,
    /// Damaged parts of the store.
    pub(super) gaps: Vec<Gap>,
}

/// The reviews that were, or would be, erased.
#[derive(Debug, Default, Deserialize)]
pub(super) struct ErasedReviews {
    /// Their ids.
    pub(super) reviews: Vec<u64>,
    /// True if there are more of them.
    pub(super) more: bool,
    /// Reviews that cannot be decoded.
    pub(super) unreadable: u64,
    /// Files of the write-ahead log that may still have some of it.
    pub(super) log_segments_left: u64,
}

/// Opens a store to read it, in the name of `who`, or turns to its server.
pub(super) fn open(place: &StoreArgs, who: &str) -> Result<Box<dyn StoreTarget>, Error> {
    open_as(place, who, OpenOptions::to_look(MEMORY_BYTES))
}

/// The same to read what can be read of a store whose files may be damaged.
pub(super) fn open_to_save(place: &StoreArgs, who: &str) -> Result<Box<dyn StoreTarget>, Error> {
    open_as(place, who, OpenOptions::to_save(MEMORY_BYTES))
}

/// The same to change the store, which must not be a replica.
pub(super) fn open_to_change(place: &StoreArgs, who: &str) -> Result<Box<dyn StoreTarget>, Error> {
    open_as(place, who, OpenOptions::own(MEMORY_BYTES))
}

fn open_as(
    place: &StoreArgs,
    who: &str,
    open_options: OpenOptions,
) -> Result<Box<dyn StoreTarget>, Error> {
    if let Some(server) = &place.at.server {
        let remote = Remote::new(server, &place.trust)?;
        return Ok(Box::new(ServerTarget(remote)));
    }
    let data = place.at.data.clone().unwrap_or_default();
    Ok(Box::new(DirectoryTarget::open(&data, who, open_options)?))
}

/// The reason a command cannot work on a store.
#[derive(Debug)]
pub enum Error {
    /// An error of the store in the directory.
    Store(store::Error),
    /// An error of the server, or of the way to it.
    Remote(remote::Error),
    /// The store rejected a change.
    Rejected(String),
}

impl From<store::Error> for Error {
    fn from(error: store::Error) -> Self {
        Self::Store(error)
    }
}

impl From<remote::Error> for Error {
    fn from(error: remote::Error) -> Self {
        Self::Remote(error)
    }
}

impl Configured for Error {
    fn is_misconfigured(&self) -> bool {
        match self {
            Self::Store(_) | Self::Rejected(_) => false,
            Self::Remote(error) => error.is_misconfigured(),
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Store(error) => error.fmt(f),
            Self::Remote(error) => error.fmt(f),
            Self::Rejected(why) => write!(f, "the change was rejected: {why}"),
        }
    }
}

impl std::error::Error for Error {}
