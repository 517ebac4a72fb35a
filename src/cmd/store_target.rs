//! A store in a directory, or behind a server: both are asked alike.
//!
//! Must not know what for. Invariant: a directory without a store is an error, and stays without one.

use std::fmt;
use std::fmt::Write as _;

use crate::cli;
use crate::store::key::Family;
use crate::store::{self, OpenOptions, Stats, Store};

use super::Configured;
use super::as_owner_of;
use super::remote::{self, Remote};

/// Memory of a store that one command passes over.
pub(super) const MEMORY_BYTES: u64 = 64 << 20;

/// The place of a store: a directory or a server.
pub(super) enum StoreTarget {
    Here(Store),
    There(Remote),
}

/// The beginning of a page.
pub(super) enum Begin {
    /// Behind the row with this key.
    After(Vec<u8>),
    /// At the row with this key, of a store that is here.
    At(Vec<u8>),
}

/// Why a store cannot be asked.
#[derive(Debug)]
pub enum Error {
    /// The store here.
    Store(store::Error),
    /// The server there.
    Remote(remote::Error),
}

impl StoreTarget {
    /// Opens the store in the name of `who`, or turns to its server.
    pub(super) fn open(place: &cli::StoreArgs, who: &str) -> Result<Self, Error> {
        Self::open_as(place, who, OpenOptions::to_look(MEMORY_BYTES))
    }

    /// The same, of a store whose files may be damaged, of which what can be read is wanted.
    pub(super) fn open_to_save(place: &cli::StoreArgs, who: &str) -> Result<Self, Error> {
        Self::open_as(place, who, OpenOptions::to_save(MEMORY_BYTES))
    }

    /// The same, to change it, which a copy of another store is not for.
    pub(super) fn open_to_change(place: &cli::StoreArgs, who: &str) -> Result<Self, Error> {
        Self::open_as(place, who, OpenOptions::own(MEMORY_BYTES))
    }

    fn open_as(
        place: &cli::StoreArgs,
        who: &str,
        open_options: OpenOptions,
    ) -> Result<Self, Error> {
        if let Some(server) = &place.at.server {
            return Ok(Self::There(Remote::new(server, &place.trust)?));
        }
        let data = place.at.data.clone().unwrap_or_default();
        as_owner_of(&data)?;
        let opened = Store::open_existing(&data, who, open_options);
        opened.map(Self::Here).map_err(|error| match error {
            store::Error::InUse { dir, by } => Error::Store(store::Error::InUse {
                dir,
                by: format!("{by}, which --server can ask"),
            }),
            other => Error::Store(other),
        })
    }

    /// Returns the size of the store.
    pub(super) fn stats(&self) -> Result<Stats, Error> {
        match self {
            Self::Here(store) => Ok(store.stats()?),
            Self::There(remote) => Ok(remote.get_json("/stats")?),
        }
    }

    /// A page of a family's rows; empty behind the last.
    pub(super) fn page(&self, family: Family, from: &Begin) -> Result<Vec<u8>, Error> {
        match (self, from) {
            (Self::Here(store), Begin::After(key)) => Ok(store.row_page(family, key)?),
            (Self::Here(store), Begin::At(key)) => Ok(store.row_page_from(family, key)?),
            (Self::There(remote), Begin::After(after) | Begin::At(after)) => {
                let mut path = format!("/rows/{}?after=", family.name());
                for byte in after {
                    // A string takes whatever is written to it.
                    let _ = write!(path, "{byte:02x}");
                }
                Ok(remote.get(&path)?)
            }
        }
    }
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
            Self::Store(_) => false,
            Self::Remote(error) => error.is_misconfigured(),
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Store(error) => error.fmt(f),
            Self::Remote(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for Error {}
