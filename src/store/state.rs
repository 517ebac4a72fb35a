//! The facts that a store holds about itself: its format, its identity and its counters.
//!
//! Must not know its callers. Invariant: another format is reported before anything else is read.

use std::path::Path;

use super::decoding::damaged;
use super::error::Error;
use super::key::{FORMAT, Family, is_read, state};
use super::rocks::Rocks;
use super::value::{Counters, Identity, StoredValue, decode, encode};

/// Read before anything else is opened: another format may have other families.
pub(super) fn check_format(dir: &Path) -> Result<(), Error> {
    expect_format(dir, Rocks::peek_state(dir, state::FORMAT)?.as_deref())
}

/// Returns an error unless a store's row says that it is of a format that this program reads.
pub(super) fn expect_format(dir: &Path, row: Option<&[u8]>) -> Result<(), Error> {
    let found = row.and_then(|value| value.as_array().copied().map(u32::from_be_bytes));
    match found {
        Some(format) if is_read(format) => Ok(()),
        found => Err(Error::Format {
            dir: dir.to_owned(),
            found: found.unwrap_or(0),
            known: FORMAT,
        }),
    }
}

/// Returns the format that an open store says it is of; 0 where it says none.
pub(super) fn format_of(rocks: &Rocks) -> Result<u32, Error> {
    let row = rocks.view().get(Family::State, state::FORMAT)?;
    let format = row.and_then(|value| value.as_array().copied());
    Ok(format.map_or(0, u32::from_be_bytes))
}

pub(super) fn read_state<R: for<'v> StoredValue<'v>>(
    rocks: &Rocks,
    name: &[u8],
) -> Result<R, Error> {
    let what = || String::from_utf8_lossy(name).into_owned();
    let value = rocks.view().get(Family::State, name)?;
    let value = value.ok_or_else(|| damaged(Family::State, what(), "it is missing"))?;
    decode(&value).map_err(|why| damaged(Family::State, what(), &why))
}

/// A random id for a new store.
pub(super) fn new_store_id() -> Result<u128, Error> {
    let mut id = [0; 16];
    getrandom::fill(&mut id).map_err(|e| Error::io("get random bytes")(e.into()))?;
    Ok(u128::from_be_bytes(id))
}

/// Writes a store's own facts, durably.
pub(super) fn write_state(
    rocks: &Rocks,
    identity: Identity,
    counters: Counters,
) -> Result<(), Error> {
    let damaged = |why| Error::Damaged {
        what: "the store's own facts".to_owned(),
        why,
    };
    let (mut who, mut counts) = (Vec::new(), Vec::new());
    encode(&identity, &mut who).map_err(damaged)?;
    encode(&counters, &mut counts).map_err(damaged)?;
    let mut batch = rocks.batch();
    batch.put(Family::State, state::FORMAT, &FORMAT.to_be_bytes())?;
    batch.put(Family::State, state::IDENTITY, &who)?;
    batch.put(Family::State, state::COUNTERS, &counts)?;
    batch.put(Family::State, state::MADE, &counts)?;
    batch.commit(true)
}
