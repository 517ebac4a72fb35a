//! A hash of each family: two stores with the same hashes hold the same rows.
//!
//! Must not change anything. Invariant: all families are read at one instant.

use xxhash_rust::xxh3::Xxh3;

use super::error::Error;
use super::key::{Family, IdKey};
use super::store::Store;

/// The contents of a family.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Content {
    /// The family's name.
    pub family: &'static str,
    /// The number of rows.
    pub rows: u64,
    /// A hash of all keys and values in order.
    pub hash: u128,
}

/// Returns the contents of every family of a store; a family that stores of earlier formats lack only where it has
/// rows, so that a store says the same before and after it gets one.
pub fn contents(store: &Store) -> Result<Vec<Content>, Error> {
    let view = store.rocks().view().still();
    let of = |family: Family| {
        let mut rows = view.scan(family, [], None::<IdKey>)?;
        let (mut count, mut hash) = (0, Xxh3::new());
        while let Some((key, value)) = rows.next()? {
            count += 1;
            // With its length, so that no byte can move from a key to its value.
            for part in [key, value] {
                hash.update(&(part.len() as u64).to_be_bytes());
                hash.update(part);
            }
        }
        Ok::<_, Error>(Content {
            family: family.name(),
            rows: count,
            hash: hash.digest128(),
        })
    };
    let mut contents = Vec::new();
    for family in Family::ALL {
        let content = of(family)?;
        if content.rows > 0 || !family.is_later() {
            contents.push(content);
        }
    }
    Ok(contents)
}
