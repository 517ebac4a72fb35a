//! Decoding of a row; an error names the row.
//!
//! Must not know its callers. Invariant: damaged bytes are an error that says which row has them.

use std::fmt;

use super::error::Error;
use super::key::{self, Family};
use super::value::{StoredValue, decode};

pub(super) fn read<'v, R: StoredValue<'v>>(
    family: Family,
    id: impl fmt::Display,
    value: &'v [u8],
) -> Result<R, Error> {
    decode(value).map_err(|why| damaged(family, id, &why))
}

pub(super) fn number(family: Family, bytes: &[u8]) -> Result<u64, Error> {
    key::number_of(bytes).ok_or_else(|| damaged(family, "a row", "not eight bytes"))
}

pub(super) fn damaged(family: Family, row: impl fmt::Display, why: &str) -> Error {
    Error::Damaged {
        what: format!("{} {row}", family.name()),
        why: why.to_owned(),
    }
}
