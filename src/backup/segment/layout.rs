//! The bytes of segments: of the version that is written, and of all earlier ones.
//!
//! ```text
//! line       `reviewsd-segment 4` and a line feed
//! record     length of kind and content, 4 bytes; XXH3 of length, kind and content, 8 bytes; kind, 1 byte;
//!            content
//! 1 begin    format of the store, 4; store, 16; position, 24
//! 2 batch    the batch as RocksDB writes it
//! 3 end      position, 24; time in milliseconds, 8
//! ```
//!
//! Versions 1 to 3 had no line: they were the frames of the replication protocol of the same number. Their
//! layouts are written down here and stay as they were, whatever becomes of the protocol:
//!
//! ```text
//! record     length of kind and content, 4; in version 3 the low half of XXH3 of these four bytes, 4;
//!            XXH3 of kind and content, 8; kind, 1; content
//! 1 hello    protocol, 2; format, 4; 0 or 1, 1; session, 8; store, 16; position, 24
//! 2 batch    from version 2 on store, 16; epoch, 8; first, 8; count, 4; chain before, 8; the batch
//! 3 beat     position, 24; time in milliseconds, 8
//! ```
//!
//! Must not know what is in a batch. Invariant: any bytes give records or an error, never a panic.

use xxhash_rust::xxh3::xxh3_64;

use super::InvalidSegment;
use crate::store::LogPosition;

/// The version that is written.
pub(super) const VERSION: u32 = 4;
/// The beginning of a segment of its own version, up to the number.
const MAGIC: &[u8] = b"reviewsd-segment ";
const BEGIN: u8 = 1;
const BATCH: u8 = 2;
const END: u8 = 3;
const LENGTH_BYTES: usize = 4;
const SUM_BYTES: usize = 8;
/// Before the batch in a frame: epoch, first, count and chain before.
const FRAME_FIELDS_BYTES: usize = 28;

/// A part of a segment.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum SegmentRecord<'b> {
    /// The first record: the store, and the position it begins at.
    Begin {
        format: u32,
        store: u128,
        from: LogPosition,
    },
    /// A commit. Version 1 did not name the store.
    Batch {
        store: Option<u128>,
        batch: &'b [u8],
    },
    /// The last record: the position it leads to.
    End { to: LogPosition },
}

/// Appends the line that a segment begins with, and its first record.
pub(super) fn write_begin(format: u32, store: u128, from: LogPosition, out: &mut Vec<u8>) {
    out.extend_from_slice(MAGIC);
    out.extend_from_slice(format!("{VERSION}\n").as_bytes());
    let (format, store, from) = (format.to_be_bytes(), store.to_be_bytes(), point(from));
    write(BEGIN, &[&format, &store, &from], out);
}

/// Appends a batch.
pub(super) fn write_batch(batch: &[u8], out: &mut Vec<u8>) {
    write(BATCH, &[batch], out);
}

/// Appends the end.
pub(super) fn write_end(to: LogPosition, time_ms: i64, out: &mut Vec<u8>) {
    write(END, &[&point(to), &time_ms.to_be_bytes()], out);
}

fn write(kind: u8, parts: &[&[u8]], out: &mut Vec<u8>) {
    let bytes = 1 + parts.iter().map(|part| part.len()).sum::<usize>();
    let length = u32::try_from(bytes).unwrap_or(u32::MAX).to_be_bytes();
    let mut summed = Vec::with_capacity(LENGTH_BYTES + bytes);
    summed.extend_from_slice(&length);
    summed.push(kind);
    for part in parts {
        summed.extend_from_slice(part);
    }
    let (_, content) = summed.split_at(LENGTH_BYTES);
    out.extend_from_slice(&length);
    out.extend_from_slice(&xxh3_64(&summed).to_be_bytes());
    out.extend_from_slice(content);
}

fn point(LogPosition { epoch, seq, chain }: LogPosition) -> [u8; 24] {
    let mut point = [0; 24];
    for (to, number) in point.chunks_mut(8).zip([epoch, seq, chain]) {
        to.copy_from_slice(&number.to_be_bytes());
    }
    point
}

/// The layouts of all versions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum SegmentLayout {
    /// The one that is written.
    Own,
    /// Frames of the replication protocol.
    Frames {
        /// True if the length has a checksum of its own.
        has_check: bool,
        /// True if each batch names its store.
        names_store: bool,
    },
}

/// The records of a segment, one after the other.
pub(super) struct SegmentRecords<'b> {
    left: Bytes<'b>,
    layout: SegmentLayout,
}

impl<'b> SegmentRecords<'b> {
    /// Determines the version of the bytes.
    pub(super) fn of(bytes: &'b [u8]) -> Result<Self, InvalidSegment> {
        if let Some(rest) = bytes.strip_prefix(MAGIC) {
            let end = memchr::memchr(b'\n', rest).ok_or(InvalidSegment::Order("is cut"))?;
            let (number, rest) = rest.split_at(end);
            let number = str::from_utf8(number)
                .ok()
                .and_then(|text| text.parse().ok());
            return match number {
                Some(VERSION) => Ok(Self {
                    left: Bytes(rest.get(1..).unwrap_or_default()),
                    layout: SegmentLayout::Own,
                }),
                Some(newer) if newer > VERSION => Err(InvalidSegment::Newer(newer)),
                _ => Err(InvalidSegment::Order("does not begin as a segment")),
            };
        }
        let [length, check] = [bytes.get(..4), bytes.get(4..8)].map(Option::unwrap_or_default);
        let has_check = xxh3_64(length).to_be_bytes().get(4..) == Some(check);
        let mut records = Self {
            left: Bytes(bytes),
            layout: SegmentLayout::Frames {
                has_check,
                names_store: true,
            },
        };
        // The first record names the protocol, and its layout was always the same.
        let protocol = match records.next_content()? {
            Some((BEGIN, mut content)) => content.number(2).ok_or_else(cut)?,
            _ => return Err(InvalidSegment::Order("does not begin as a segment")),
        };
        let names_store = match (protocol, has_check) {
            (1, false) => false,
            (2, _) | (3, true) => true,
            _ => return Err(InvalidSegment::Order("does not begin as a segment")),
        };
        Ok(Self {
            left: Bytes(bytes),
            layout: SegmentLayout::Frames {
                has_check,
                names_store,
            },
        })
    }

    /// True if all was read.
    pub(super) fn is_empty(&self) -> bool {
        self.left.0.is_empty()
    }

    /// The next record; `None` at the end of the bytes. No iterator, since the first error is the last.
    pub(super) fn next(&mut self) -> Result<Option<SegmentRecord<'b>>, InvalidSegment> {
        let Some((kind, mut content)) = self.next_content()? else {
            return Ok(None);
        };
        let record = match (kind, self.layout) {
            (BEGIN, SegmentLayout::Own) => content.begin(),
            (BEGIN, SegmentLayout::Frames { .. }) => content.hello(),
            (BATCH, SegmentLayout::Own) => Some(SegmentRecord::Batch {
                store: None,
                batch: std::mem::take(&mut content.0),
            }),
            (BATCH, SegmentLayout::Frames { names_store, .. }) => content.framed_batch(names_store),
            (END, _) => content.end(),
            (kind, _) => {
                let why = format!("a record is of the unknown kind {kind}");
                return Err(InvalidSegment::Frame(why));
            }
        };
        let record = record.filter(|_| content.0.is_empty());
        record.map(Some).ok_or_else(|| {
            InvalidSegment::Frame("a record does not have the contents of its kind".to_owned())
        })
    }

    fn next_content(&mut self) -> Result<Option<(u8, Bytes<'b>)>, InvalidSegment> {
        if self.left.0.is_empty() {
            return Ok(None);
        }
        let length = self.left.take(LENGTH_BYTES).ok_or_else(cut)?;
        if matches!(
            self.layout,
            SegmentLayout::Frames {
                has_check: true,
                ..
            }
        ) {
            let check = self.left.take(4).ok_or_else(cut)?;
            if xxh3_64(length).to_be_bytes().get(4..) != Some(check) {
                return Err(damaged());
            }
        }
        let sum = self.left.take(SUM_BYTES).ok_or_else(cut)?;
        let bytes = Bytes(length).number(LENGTH_BYTES).unwrap_or_default();
        let content = usize::try_from(bytes).ok();
        let content = content
            .and_then(|bytes| self.left.take(bytes))
            .ok_or_else(cut)?;
        let found = match self.layout {
            SegmentLayout::Own => xxh3_64(&[length, content].concat()),
            SegmentLayout::Frames { .. } => xxh3_64(content),
        };
        if found.to_be_bytes() != *sum {
            return Err(damaged());
        }
        let (kind, content) = content.split_first().ok_or_else(cut)?;
        Ok(Some((*kind, Bytes(content))))
    }
}

fn cut() -> InvalidSegment {
    InvalidSegment::Order("is cut")
}

fn damaged() -> InvalidSegment {
    InvalidSegment::Frame("the checksum of a record differs".to_owned())
}

/// Bytes that were not read.
struct Bytes<'b>(&'b [u8]);

impl<'b> Bytes<'b> {
    fn take(&mut self, bytes: usize) -> Option<&'b [u8]> {
        let (taken, left) = self.0.split_at_checked(bytes)?;
        self.0 = left;
        Some(taken)
    }

    /// A number of at most 16 bytes.
    fn wide(&mut self, bytes: usize) -> Option<u128> {
        let taken = self.take(bytes)?;
        Some(
            taken
                .iter()
                .fold(0, |number, byte| number << 8 | u128::from(*byte)),
        )
    }

    fn number(&mut self, bytes: usize) -> Option<u64> {
        self.wide(bytes)
            .and_then(|number| u64::try_from(number).ok())
    }

    fn position(&mut self) -> Option<LogPosition> {
        Some(LogPosition {
            epoch: self.number(8)?,
            seq: self.number(8)?,
            chain: self.number(8)?,
        })
    }

    fn begin(&mut self) -> Option<SegmentRecord<'b>> {
        Some(SegmentRecord::Begin {
            format: u32::try_from(self.number(4)?).ok()?,
            store: self.wide(16)?,
            from: self.position()?,
        })
    }

    fn hello(&mut self) -> Option<SegmentRecord<'b>> {
        let _protocol = self.take(2)?;
        let format = u32::try_from(self.number(4)?).ok()?;
        let (_waits, _session) = (self.take(1)?, self.take(8)?);
        Some(SegmentRecord::Begin {
            format,
            store: self.wide(16)?,
            from: self.position()?,
        })
    }

    fn framed_batch(&mut self, names_store: bool) -> Option<SegmentRecord<'b>> {
        let store = if names_store {
            Some(self.wide(16)?)
        } else {
            None
        };
        // The batch has all of that, too, and is verified against the one before it.
        self.take(FRAME_FIELDS_BYTES)?;
        let batch = std::mem::take(&mut self.0);
        Some(SegmentRecord::Batch { store, batch })
    }

    fn end(&mut self) -> Option<SegmentRecord<'b>> {
        let to = self.position()?;
        let _time_ms = self.take(8)?;
        Some(SegmentRecord::End { to })
    }
}
