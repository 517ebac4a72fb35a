//! The names of objects.
//!
//! ```text
//! snapshots/20261121T120059.123Z-1a2b3c4d.json     a snapshot: what files it consists of
//! pending/20261121T120059.123Z-1a2b3c4d            a snapshot that is being taken
//! files/89abcdef…-67890-1a2b3c4d                   the contents of a file: hash, length, and who wrote it
//! log/STORE/FROM-TO-MILLISECONDS.seg               commits that lead from one position to another
//! FROM, TO                                         SEQ.EPOCH.CHAIN
//! ```
//!
//! Must not know what is in them. Invariants: every name that is written here is read here, and any other
//! name belongs to no backup; the name of a file's contents depends on them alone and on the backup that
//! wrote them first, not on stores and epochs; a name that one backup removes is never written again by
//! another.

use crate::model::calendar::timestamp;
use crate::store::LogPosition;

pub(super) const SNAPSHOTS: &str = "snapshots";
pub(super) const PENDING: &str = "pending";
pub(super) const FILES: &str = "files";
pub(super) const LOG: &str = "log";
/// The entries at the top of a target.
pub(super) const PARTS: [&str; 4] = [SNAPSHOTS, PENDING, FILES, LOG];

const SNAPSHOT_END: &str = ".json";
const SEGMENT_END: &str = ".seg";

/// The fields of a segment's name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct SegmentName {
    /// The store.
    pub(super) store: u128,
    /// The position before its first commit.
    pub(super) from: LogPosition,
    /// The position after its last commit.
    pub(super) to: LogPosition,
    /// The time of that position.
    pub(super) time_ms: i64,
}

/// The contents of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct ContentsName {
    /// Their hash.
    pub(super) hash: u128,
    /// Their length.
    pub(super) bytes: u64,
    /// The last part of the id of the snapshot that they were first written for.
    pub(super) by: u32,
}

impl ContentsName {
    /// Their name.
    pub(super) fn name(&self) -> String {
        let Self { hash, bytes, by } = self;
        format!("{FILES}/{hash:032x}-{bytes}-{by:08x}")
    }

    /// Parses a name; `None` for one that is of no file's contents.
    pub(super) fn read(name: &str) -> Option<Self> {
        let rest = name.strip_prefix(FILES)?.strip_prefix('/')?;
        let mut parts = rest.split('-');
        let contents = Self {
            hash: u128::from_str_radix(parts.next()?, 16).ok()?,
            bytes: parts.next()?.parse().ok()?,
            by: u32::from_str_radix(parts.next()?, 16).ok()?,
        };
        (contents.name() == name).then_some(contents)
    }
}

/// Returns the id of a snapshot that is taken at a moment.
pub(super) fn snapshot_id(taken_ms: i64, random: u32) -> String {
    let taken = timestamp(taken_ms).replace(['-', ':'], "");
    format!("{taken}-{random:08x}")
}

/// Returns the name of a snapshot.
pub(super) fn snapshot(id: &str) -> String {
    format!("{SNAPSHOTS}/{id}{SNAPSHOT_END}")
}

/// Returns the name of the note that it is being taken.
pub(super) fn pending(id: &str) -> String {
    format!("{PENDING}/{id}")
}

/// Returns the id of the snapshot of this name.
pub(super) fn id_of_snapshot(name: &str) -> Option<&str> {
    let id = name.strip_prefix(SNAPSHOTS)?.strip_prefix('/')?;
    let id = id.strip_suffix(SNAPSHOT_END)?;
    let fits = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'.';
    (!id.is_empty() && id.bytes().all(fits)).then_some(id)
}

impl SegmentName {
    /// Its name.
    pub(super) fn name(&self) -> String {
        let Self {
            store,
            from,
            to,
            time_ms,
        } = self;
        let (from, to) = (position(*from), position(*to));
        format!("{LOG}/{store:032x}/{from}-{to}-{time_ms}{SEGMENT_END}")
    }

    /// Parses a name; `None` for one that is no segment's.
    pub(super) fn read(name: &str) -> Option<Self> {
        let rest = name.strip_prefix(LOG)?.strip_prefix('/')?;
        let (store, rest) = rest.split_once('/')?;
        let mut parts = rest.strip_suffix(SEGMENT_END)?.splitn(3, '-');
        let segment = Self {
            store: u128::from_str_radix(store, 16).ok()?,
            from: read_position(parts.next()?)?,
            to: read_position(parts.next()?)?,
            time_ms: parts.next()?.parse().ok()?,
        };
        (segment.name() == name).then_some(segment)
    }
}

fn position(LogPosition { epoch, seq, chain }: LogPosition) -> String {
    format!("{seq:020}.{epoch}.{chain:016x}")
}

fn read_position(text: &str) -> Option<LogPosition> {
    let mut parts = text.split('.');
    let position = LogPosition {
        seq: parts.next()?.parse().ok()?,
        epoch: parts.next()?.parse().ok()?,
        chain: u64::from_str_radix(parts.next()?, 16).ok()?,
    };
    parts.next().is_none().then_some(position)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn positions() -> impl Strategy<Value = LogPosition> {
        any::<[u64; 3]>().prop_map(|[epoch, seq, chain]| LogPosition { epoch, seq, chain })
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(store: u128, from in positions(), to in positions(), time_ms: i64) {
            let segment = SegmentName { store, from, to, time_ms };
            prop_assert_eq!(SegmentName::read(&segment.name()), Some(segment));
            let contents = ContentsName { hash: store, bytes: from.seq, by: 7 };
            prop_assert_eq!(ContentsName::read(&contents.name()), Some(contents));
        }

        #[test]
        fn any_name_is_read_or_nobody_s(name: String) {
            prop_assert_eq!(SegmentName::read(&name), None);
            prop_assert_eq!(ContentsName::read(&name), None);
            prop_assert_eq!(id_of_snapshot(&name), None);
        }
    }

    #[test]
    fn the_names_never_change() {
        let at = |seq| LogPosition {
            epoch: 2,
            seq,
            chain: 0xab,
        };
        let segment = SegmentName {
            store: 7,
            from: at(5),
            to: at(70),
            time_ms: 1_700_000_000_123,
        };
        assert_eq!(
            segment.name(),
            "log/00000000000000000000000000000007/00000000000000000005.2.00000000000000ab-\
             00000000000000000070.2.00000000000000ab-1700000000123.seg"
        );
        let id = snapshot_id(1_700_000_000_123, 0x1a2b);
        assert_eq!(id, "20231114T221320.123Z-00001a2b");
        assert_eq!(id_of_snapshot(&snapshot(&id)), Some(id.as_str()));
        let contents = ContentsName {
            hash: 0xff,
            bytes: 12,
            by: 0xa,
        };
        assert_eq!(
            contents.name(),
            "files/000000000000000000000000000000ff-12-0000000a"
        );
    }
}
