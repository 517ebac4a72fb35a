//! Reading a target back: every object that a backup needs, verified against its hash.
//!
//! Must not change anything. Invariants: a missing or damaged object is reported, one by one, and the check
//! goes on behind it; no more than a part of a file, or one segment, is in memory; a target that fails is
//! an error, and not taken for damage.

use std::collections::{BTreeMap, BTreeSet};

use xxhash_rust::xxh3::Xxh3;

use super::error::Error;
use super::inventory::Inventory;
use super::manifest::StoreFile;
use super::names::{self, ContentsName, SegmentName};
use super::restore::SEGMENT_BYTES_MAX;
use super::target::{BackupTarget, PART_BYTES};
use crate::segment::{InvalidSegment, play};
use crate::store::Inspected;

/// The counts of objects that were read back.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Checked {
    /// Backups, also those that cannot be used.
    pub backups: usize,
    /// Files that they consist of, each once.
    pub files: usize,
    /// Segments of the log.
    pub segments: usize,
    /// Bytes that were read.
    pub bytes: u64,
    /// Objects that are missing, damaged, or of a newer program.
    pub faults: usize,
}

/// Reads everything back. `tell` is called with each fault, which is one sentence.
pub async fn check(target: &BackupTarget, tell: impl FnMut(&Error)) -> Result<Checked, Error> {
    check_all(target, &Inventory::of(target).await?, tell).await
}

async fn check_all(
    target: &BackupTarget,
    inventory: &Inventory,
    mut tell: impl FnMut(&Error),
) -> Result<Checked, Error> {
    let mut checked = Checked::default();
    let mut count = |found: Result<u64, Error>| match found {
        Ok(bytes) => Ok((bytes, 0)),
        Err(fault) if fault.is_of_an_object() => {
            tell(&fault);
            Ok((0, 1))
        }
        Err(error) => Err(error),
    };
    let mut needed: BTreeSet<ContentsName> = BTreeSet::new();
    for id in inventory.snapshots.keys() {
        let found = inventory.find(id, target).map(|(_, snapshot)| {
            needed.extend(snapshot.files.iter().map(StoreFile::contents));
            0
        });
        checked.backups += 1;
        checked.faults += count(found)?.1;
    }
    let there = target.list(names::FILES).await?;
    let there: BTreeMap<&str, u64> = there.iter().map(|e| (e.name.as_str(), e.bytes)).collect();
    for contents in needed {
        let listed = there.get(contents.name().as_str()).copied();
        let (bytes, faults) = count(file(target, contents, listed).await)?;
        checked.files += 1;
        checked.bytes += bytes;
        checked.faults += faults;
    }
    for one in inventory.segments() {
        let read = played(target, one, |_, _| {}).await;
        if matches!(read, Err(Error::Missing { .. })) {
            // Since it was listed it was merged with others, or no backup needs it any more.
            continue;
        }
        let (bytes, faults) = count(read)?;
        checked.segments += 1;
        checked.bytes += bytes;
        checked.faults += faults;
    }
    Ok(checked)
}

/// Reads a file. Returns how many bytes it has.
async fn file(
    target: &BackupTarget,
    contents: ContentsName,
    listed: Option<u64>,
) -> Result<u64, Error> {
    let name = contents.name();
    if let Some(listed) = listed.filter(|listed| *listed != contents.bytes) {
        return Err(target.damaged(&name, format!("it has {listed} bytes")));
    }
    let (mut hash, mut at) = (Xxh3::new(), 0);
    while at < contents.bytes {
        let to = contents.bytes.min(at + PART_BYTES as u64);
        let piece = target.piece(&name, at, to).await?;
        if piece.len() as u64 != to - at {
            return Err(target.damaged(&name, format!("it ends after {at} bytes")));
        }
        hash.update(&piece);
        at = to;
    }
    if listed.is_none() && contents.bytes == 0 {
        // There is nothing to read that would show it.
        target.get(&name, 0).await?;
    }
    if hash.digest128() != contents.hash {
        return Err(target.damaged(&name, "its hash differs"));
    }
    Ok(at)
}

/// Plays a segment to its end; returns its length. `each` is called with every commit before it is known
/// that those behind it are sound.
pub(super) async fn played(
    target: &BackupTarget,
    segment: &SegmentName,
    mut each: impl FnMut(&Inspected, &[u8]),
) -> Result<u64, Error> {
    let name = segment.name();
    let object = target.get(&name, SEGMENT_BYTES_MAX).await?;
    let mut end = None;
    let played = play::<InvalidSegment>(&object, |told, batch| {
        end = Some(told.after);
        each(told, batch);
        Ok(true)
    });
    let recorded = played.map_err(|why| target.unplayable(&name, &why))?;
    let is_its_own = recorded.store == segment.store && recorded.from == segment.from;
    if !is_its_own || end != Some(segment.to) {
        return Err(target.damaged(&name, "it belongs to another object"));
    }
    Ok(object.len() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::segment::SegmentWriter;
    use crate::store::LogPosition;
    use crate::store::memory::CommitBytes;

    #[tokio::test]
    async fn segment_that_goes_after_it_was_listed_is_no_fault() {
        let dir = tempfile::tempdir().unwrap();
        let target = BackupTarget::to_write(dir.path().to_str().unwrap()).unwrap();
        let from = LogPosition::genesis(5);
        let mut segment_writer = SegmentWriter::begin(7, from);
        let to = segment_writer
            .push(&CommitBytes::begin(from, 1).end())
            .unwrap();
        let segment = SegmentName {
            store: 7,
            from,
            to,
            time_ms: 1,
        };
        target
            .put(&segment.name(), segment_writer.ended(1))
            .await
            .unwrap();
        let inventory = Inventory::of(&target).await.unwrap();
        let checked = check_all(&target, &inventory, |_| {}).await.unwrap();
        assert_eq!((checked.segments, checked.faults), (1, 0));
        target.delete(&segment.name()).await.unwrap();
        let checked = check_all(&target, &inventory, |_| {}).await.unwrap();
        assert_eq!((checked.segments, checked.faults), (0, 0));
    }
}
