//! Reads that go no further than memory.

use super::tuning::BLOCK_BYTES;
use super::*;
use crate::error::ReadError;
use crate::key::ReviewKey;
use crate::model::{ProductId, ReviewId};

const MEMORY: usize = 32 << 20;

fn open(dir: &Path) -> Rocks {
    Rocks::open(dir, MEMORY, Duration::ZERO, LogCheck::Whole).unwrap()
}

#[test]
fn values_from_memory_are_whole_and_read_from_no_file() {
    let dir = tempfile::tempdir().unwrap();
    let key = |(product, review)| ReviewKey::new(ProductId(product), ReviewId(review));
    let rocks = Rocks::create(dir.path(), MEMORY).unwrap();
    // Each two values fill a block of the second file. The row of the first one is behind the last of a
    // block there, and before the next block.
    for rows in [&[(20, 3)][..], &[(20, 1), (20, 2), (21, 1), (21, 2)]] {
        let mut batch = rocks.batch();
        for row in rows {
            let value = vec![7; BLOCK_BYTES / 2 + 1000];
            batch.put(Family::Reviews, key(*row), &value).unwrap();
        }
        batch.commit(true).unwrap();
        rocks.flush().unwrap();
    }
    drop(rocks);
    let rocks = open(dir.path());
    let read = |row, tier| -> Result<Vec<_>, ReadError> {
        let keys = [key(row)].into_iter();
        let values = rocks.view_within(tier).get_all(Family::Reviews, keys)?;
        let bytes = values.iter().map(|value| value.as_ref().map(|it| it.len()));
        Ok(bytes.collect())
    };
    // The block in which the second one would be is in memory after the first one, and the next is not.
    for row in [(20, 1), (20, 3)] {
        let value = Some(BLOCK_BYTES / 2 + 1000);
        // Twice: the first read does not bring it there.
        for _ in 0..2 {
            let from_memory = read(row, ReadTier::Memory);
            let is_refused = matches!(from_memory, Err(ReadError::Incomplete));
            assert!(is_refused, "{row:?}: {from_memory:?}");
        }
        assert_eq!(read(row, ReadTier::Disk).unwrap(), [value]);
        assert_eq!(read(row, ReadTier::Memory).unwrap(), [value], "{row:?}");
    }
}
