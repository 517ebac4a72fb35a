//! A segment: a recorded stretch of a stream, in which a backup stores commits.
//!
//! Its bytes have a version of their own (`segment/layout.rs`), so that a recorded segment is played
//! whatever the replication protocol is by then. Must not know where it is stored. Invariants: the played
//! batches were recorded, byte for byte, and all of them; each batch extends the one before, and the first
//! one the position that the segment begins with; segments of every earlier version are played.

#[cfg(test)]
mod captures;
mod layout;

use std::fmt;

use layout::{SegmentRecord, SegmentRecords};

use crate::store::key::{FORMAT, is_read};
use crate::store::{self, Inspected, LogPosition, inspect};

/// A segment that is still being recorded.
#[derive(Debug)]
pub(crate) struct SegmentWriter {
    bytes: Vec<u8>,
    from: LogPosition,
    to: LogPosition,
    time_ms: Option<i64>,
}

/// The store of a segment, and the position before its first commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SegmentSummary {
    /// The store.
    pub(crate) store: u128,
    /// The position before its first commit.
    pub(crate) from: LogPosition,
}

/// The reason for which bytes are no segment.
#[derive(Debug)]
pub(crate) enum InvalidSegment {
    /// A frame is damaged.
    Frame(String),
    /// Frames are missing, or out of order.
    Order(&'static str),
    /// A newer program recorded it, in this version.
    Newer(u32),
    /// It is of a store of another format.
    Format(u32),
    /// A batch is malformed, or does not extend the one before.
    Batch(String),
}

impl fmt::Display for InvalidSegment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Frame(why) | Self::Batch(why) => f.write_str(why),
            Self::Order(what) => write!(f, "it {what}"),
            Self::Newer(version) => write!(
                f,
                "it is of version {version} of segments, and this reviewsd reads up to {}",
                layout::VERSION
            ),
            Self::Format(format) => write!(
                f,
                "it is of a store of format {format}, and this reviewsd reads up to {FORMAT}"
            ),
        }
    }
}

impl SegmentWriter {
    /// Begins with the commits behind a position.
    pub(crate) fn begin(store: u128, from: LogPosition) -> Self {
        let mut bytes = Vec::new();
        layout::write_begin(FORMAT, store, from, &mut bytes);
        Self {
            bytes,
            from,
            to: from,
            time_ms: None,
        }
    }

    /// Adds a batch, which must extend the ones before.
    pub(crate) fn push(&mut self, batch: &[u8]) -> Result<LogPosition, store::Error> {
        let told = inspect(batch)?;
        if told.before != self.to {
            let why = format!("it continues {}, and this is {}", told.before, self.to);
            return Err(store::Error::Unfit { why });
        }
        layout::write_batch(batch, &mut self.bytes);
        self.to = told.after;
        self.time_ms = told.time_ms.or(self.time_ms);
        Ok(self.to)
    }

    /// Returns true if nothing was recorded.
    pub(crate) fn is_empty(&self) -> bool {
        self.from == self.to
    }

    /// Returns its length.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes.len()
    }

    /// Returns the positions at its beginning and at its end.
    pub(crate) fn span(&self) -> (LogPosition, LogPosition) {
        (self.from, self.to)
    }

    /// Returns the time of its last commit, where one says so.
    pub(crate) fn time_ms(&self) -> Option<i64> {
        self.time_ms
    }

    /// Returns the whole of it, with its end.
    pub(crate) fn ended(&self, time_ms: i64) -> Vec<u8> {
        let mut bytes = self.bytes.clone();
        layout::write_end(self.to, time_ms, &mut bytes);
        bytes
    }
}

/// Plays a segment to its end, or until `each` returns `false`, which says that it has had enough. A batch
/// that does not extend the one before is never passed to it.
pub(crate) fn play<E: From<InvalidSegment>>(
    bytes: &[u8],
    mut each: impl FnMut(&Inspected, &[u8]) -> Result<bool, E>,
) -> Result<SegmentSummary, E> {
    let mut records = SegmentRecords::of(bytes)?;
    let recorded = match records.next()? {
        Some(SegmentRecord::Begin { format, .. }) if !is_read(format) => {
            return Err(InvalidSegment::Format(format).into());
        }
        Some(SegmentRecord::Begin { store, from, .. }) => SegmentSummary { store, from },
        _ => return Err(InvalidSegment::Order("does not begin as a segment").into()),
    };
    let mut at = recorded.from;
    loop {
        match records.next()? {
            Some(SegmentRecord::Batch { store, batch }) => {
                if store.is_some_and(|store| store != recorded.store) {
                    return Err(InvalidSegment::Order("has a batch of another store").into());
                }
                let told = inspect(batch).map_err(|e| InvalidSegment::Batch(e.to_string()))?;
                if told.before != at {
                    return Err(InvalidSegment::Order("has a gap").into());
                }
                at = told.after;
                if !each(&told, batch)? {
                    return Ok(recorded);
                }
            }
            Some(SegmentRecord::End { to }) if to == at => break,
            Some(SegmentRecord::End { .. }) => {
                return Err(InvalidSegment::Order("ends elsewhere").into());
            }
            Some(SegmentRecord::Begin { .. }) => {
                return Err(InvalidSegment::Order("begins twice").into());
            }
            None => return Err(InvalidSegment::Order("is cut").into()),
        }
    }
    if records.is_empty() {
        Ok(recorded)
    } else {
        Err(InvalidSegment::Order("continues after its end").into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FROM: LogPosition = LogPosition {
        epoch: 1,
        seq: 7,
        chain: 9,
    };

    fn played(bytes: &[u8]) -> Result<(SegmentSummary, usize), String> {
        let mut batches = 0;
        let recorded = play::<InvalidSegment>(bytes, |_, _| {
            batches += 1;
            Ok(true)
        });
        recorded
            .map(|recorded| (recorded, batches))
            .map_err(|why| why.to_string())
    }

    #[test]
    fn what_was_recorded_is_played_and_nothing_else() {
        let segment_writer = SegmentWriter::begin(5, FROM);
        assert!(segment_writer.is_empty());
        let bytes = segment_writer.ended(3);
        let expected = SegmentSummary {
            store: 5,
            from: FROM,
        };
        assert_eq!(played(&bytes), Ok((expected, 0)));
        for at in 0..bytes.len() {
            let mut damaged = bytes.clone();
            damaged[at] ^= 1;
            assert!(played(&damaged).is_err(), "byte {at}");
            assert!(played(&bytes[..at]).is_err(), "cut at {at}");
        }
        assert!(played(&[bytes.as_slice(), &[0]].concat()).is_err());
        assert!(played(&[bytes.as_slice(), bytes.as_slice()].concat()).is_err());
    }

    #[test]
    fn bytes_of_this_version_never_change() {
        let bytes = SegmentWriter::begin(5, FROM).ended(3);
        let record = |content: &[u8]| {
            let length = u32::try_from(content.len()).unwrap().to_be_bytes();
            let sum = xxhash_rust::xxh3::xxh3_64(&[&length[..], content].concat());
            [&length[..], &sum.to_be_bytes(), content].concat()
        };
        let number = |number: u64| number.to_be_bytes();
        let at = [number(1), number(7), number(9)].concat();
        let store = [number(0), number(5)].concat();
        let of_format = |format: u32| {
            let begin = [&[1][..], &format.to_be_bytes(), &store, &at].concat();
            let end = [&[3][..], &at, &number(3)].concat();
            [&b"reviewsd-segment 4\n"[..], &record(&begin), &record(&end)].concat()
        };
        assert_eq!(bytes, of_format(2));
        let played = |format| play::<InvalidSegment>(&of_format(format), |_, _| Ok(true));
        assert!(played(1).is_ok(), "it is of an earlier format");
        assert!(matches!(played(3), Err(InvalidSegment::Format(3))));
    }

    #[test]
    fn newer_version_is_told_from_damage() {
        let bytes = SegmentWriter::begin(5, FROM).ended(3);
        let newer = [&b"reviewsd-segment 5"[..], &bytes[18..]].concat();
        let why = play::<InvalidSegment>(&newer, |_, _| Ok(true)).unwrap_err();
        assert!(matches!(why, InvalidSegment::Newer(5)), "{why}");
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_are_played_or_refused(bytes: Vec<u8>) {
            let _ = played(&bytes);
            let _ = played(&[b"reviewsd-segment 4\n", &bytes[..]].concat());
        }
    }

    #[test]
    fn what_is_no_commit_is_not_recorded() {
        let mut segment_writer = SegmentWriter::begin(5, FROM);
        assert!(segment_writer.push(b"no commit").is_err());
        assert!(segment_writer.is_empty());
    }
}
