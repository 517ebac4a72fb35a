//! The bytes of a RocksDB write batch, read without RocksDB.
//!
//! ```text
//! batch    first sequence number, 8 bytes little-endian; rows, 4 bytes little-endian; records
//! record   0x03, text                          log data, which is no row
//!          0x04, family, text                  a row is removed
//!          0x05, family, text, text            a row is written
//! family   a varint; 0 is RocksDB's default family, which a store does not use
//! text     a varint, so many bytes
//! ```
//!
//! RocksDB refuses to work on after one bad batch, so nothing reaches it that was not read here.
//! Must not know RocksDB, nor any other file, so that it can be fuzzed alone. Invariants: any bytes
//! give records or an error, never a panic; a batch that is read to its end holds no other records
//! than these, as many rows as it says, and no byte that belongs to none.

use std::fmt;

/// Bytes before the first record.
pub(crate) const HEADER_BYTES: usize = 12;

const LOG_DATA: u8 = 0x03;
const DELETE: u8 = 0x04;
const PUT: u8 = 0x05;

/// The reason for which bytes are no batch that a store could have written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum MalformedBatch {
    /// It ends before its header does.
    Header,
    /// A record is cut off.
    Cut,
    /// A record is of a kind that no store writes.
    Kind(u8),
    /// A number is longer than it has to be, or too large.
    Number,
    /// A family that no store has.
    Family(u32),
    /// The number of rows differs from the one that the header declares.
    Count {
        /// The number of rows that it declares.
        says: u32,
        /// The number of rows that it has.
        has: u32,
    },
    /// It does not begin with the log data that every commit begins with.
    NoMark,
    /// It does not end with the row that every commit ends with.
    NoHead,
    /// A row of the store's own facts that no commit changes.
    Fact,
    /// Its own figures do not follow from its bytes.
    Inconsistent,
}

impl fmt::Display for MalformedBatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Header => f.write_str("it ends within its header"),
            Self::Cut => f.write_str("it ends within a record"),
            Self::Kind(kind) => write!(f, "a record is of the unknown kind {kind:#04x}"),
            Self::Number => f.write_str("a length in it is not a number"),
            Self::Family(family) => write!(f, "it has rows of the unknown family {family}"),
            Self::Count { says, has } => write!(f, "its header says {says} rows, and it has {has}"),
            Self::NoMark => f.write_str("it does not begin with a commit header"),
            Self::NoHead => f.write_str("it does not end with a head"),
            Self::Fact => f.write_str("it changes the identity of the store"),
            Self::Inconsistent => f.write_str("its head does not follow from its rows"),
        }
    }
}

impl std::error::Error for MalformedBatch {}

/// One record of a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum BatchRecord<'b> {
    /// A row is written.
    Put {
        /// The family's number.
        family: u32,
        /// The row's key.
        key: &'b [u8],
        /// The row's value.
        value: &'b [u8],
    },
    /// A row is removed.
    Delete {
        /// The family's number.
        family: u32,
        /// The row's key.
        key: &'b [u8],
    },
    /// A note in the log that belongs to no family.
    LogData(&'b [u8]),
}

/// A batch, of which the header is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct CommitBatch<'b> {
    /// The number of its first row; 0 where RocksDB has not given it one yet.
    pub first: u64,
    /// The number of rows that it declares.
    pub count: u32,
    /// The bytes of its records.
    pub records: &'b [u8],
}

impl<'b> CommitBatch<'b> {
    /// Reads the header.
    pub(crate) fn open(bytes: &'b [u8]) -> Result<Self, MalformedBatch> {
        let (first, rest) = bytes.split_first_chunk().ok_or(MalformedBatch::Header)?;
        let (count, records) = rest.split_first_chunk().ok_or(MalformedBatch::Header)?;
        Ok(Self {
            first: u64::from_le_bytes(*first),
            count: u32::from_le_bytes(*count),
            records,
        })
    }

    /// The records, one after the other. `families` is the number of families.
    #[must_use]
    pub(crate) fn records(&self, families: u32) -> BatchRecords<'b> {
        BatchRecords {
            left: self.records,
            families,
            rows: 0,
            count: self.count,
        }
    }
}

/// Reads the records of a batch.
#[derive(Debug, Clone)]
pub(crate) struct BatchRecords<'b> {
    left: &'b [u8],
    families: u32,
    rows: u32,
    count: u32,
}

impl<'b> BatchRecords<'b> {
    /// Bytes of the records that were not read yet.
    #[must_use]
    pub(crate) fn bytes_left(&self) -> usize {
        self.left.len()
    }

    /// The next record; `None` after the last, where the rows are as many as the header says. No
    /// iterator: nothing is read on after an error.
    pub(crate) fn next(&mut self) -> Result<Option<BatchRecord<'b>>, MalformedBatch> {
        let Some((kind, rest)) = self.left.split_first() else {
            let (says, has) = (self.count, self.rows);
            return if says == has {
                Ok(None)
            } else {
                Err(MalformedBatch::Count { says, has })
            };
        };
        self.left = rest;
        let record = match *kind {
            LOG_DATA => BatchRecord::LogData(self.text()?),
            DELETE => BatchRecord::Delete {
                family: self.family()?,
                key: self.text()?,
            },
            PUT => BatchRecord::Put {
                family: self.family()?,
                key: self.text()?,
                value: self.text()?,
            },
            kind => return Err(MalformedBatch::Kind(kind)),
        };
        if !matches!(record, BatchRecord::LogData(_)) {
            self.rows = self.rows.saturating_add(1);
        }
        Ok(Some(record))
    }

    fn family(&mut self) -> Result<u32, MalformedBatch> {
        let family = self.number()?;
        if (1..=self.families).contains(&family) {
            Ok(family)
        } else {
            Err(MalformedBatch::Family(family))
        }
    }

    fn text(&mut self) -> Result<&'b [u8], MalformedBatch> {
        let bytes = usize::try_from(self.number()?).map_err(|_| MalformedBatch::Number)?;
        let (text, rest) = self
            .left
            .split_at_checked(bytes)
            .ok_or(MalformedBatch::Cut)?;
        self.left = rest;
        Ok(text)
    }

    /// A varint as RocksDB writes it: seven bits a byte, the lowest first, in as few as will do.
    fn number(&mut self) -> Result<u32, MalformedBatch> {
        let mut number = 0_u64;
        for shift in [0, 7, 14, 21, 28] {
            let (byte, rest) = self.left.split_first().ok_or(MalformedBatch::Cut)?;
            self.left = rest;
            number |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                let is_shortest = *byte != 0 || shift == 0;
                let number = u32::try_from(number).ok().filter(|_| is_shortest);
                return number.ok_or(MalformedBatch::Number);
            }
        }
        Err(MalformedBatch::Number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn varint(mut number: usize, out: &mut Vec<u8>) {
        while number >= 0x80 {
            out.push(u8::try_from(number & 0x7f).unwrap() | 0x80);
            number >>= 7;
        }
        out.push(u8::try_from(number).unwrap());
    }

    fn write(records: &[OwnedRecord]) -> Vec<u8> {
        let mut out = vec![0; HEADER_BYTES];
        let mut rows = 0_u32;
        for record in records {
            let texts: &[&Vec<u8>] = match record {
                OwnedRecord::Log(data) => {
                    out.push(3);
                    &[data]
                }
                OwnedRecord::Delete(family, key) => {
                    out.extend([4, *family]);
                    &[key]
                }
                OwnedRecord::Put(family, key, value) => {
                    out.extend([5, *family]);
                    &[key, value]
                }
            };
            rows += u32::from(!matches!(record, OwnedRecord::Log(_)));
            for text in texts {
                varint(text.len(), &mut out);
                out.extend_from_slice(text);
            }
        }
        out[8..12].copy_from_slice(&rows.to_le_bytes());
        out
    }

    #[derive(Debug, Clone, PartialEq)]
    enum OwnedRecord {
        Log(Vec<u8>),
        Delete(u8, Vec<u8>),
        Put(u8, Vec<u8>, Vec<u8>),
    }

    fn records() -> impl Strategy<Value = Vec<OwnedRecord>> {
        let text = || prop::collection::vec(any::<u8>(), 0..300);
        let record = prop_oneof![
            text().prop_map(OwnedRecord::Log),
            (1_u8..=11, text()).prop_map(|(family, key)| OwnedRecord::Delete(family, key)),
            (1_u8..=11, text(), text())
                .prop_map(|(family, key, value)| OwnedRecord::Put(family, key, value)),
        ];
        prop::collection::vec(record, 0..20)
    }

    fn read(bytes: &[u8]) -> Result<Vec<OwnedRecord>, MalformedBatch> {
        let mut records = CommitBatch::open(bytes)?.records(11);
        let mut read = Vec::new();
        while let Some(record) = records.next()? {
            read.push(match record {
                BatchRecord::LogData(data) => OwnedRecord::Log(data.to_vec()),
                BatchRecord::Delete { family, key } => {
                    OwnedRecord::Delete(u8::try_from(family).unwrap(), key.to_vec())
                }
                BatchRecord::Put { family, key, value } => {
                    OwnedRecord::Put(u8::try_from(family).unwrap(), key.to_vec(), value.to_vec())
                }
            });
        }
        Ok(read)
    }

    proptest! {
        #[test]
        fn what_was_written_is_read(records in records()) {
            prop_assert_eq!(read(&write(&records)), Ok(records));
        }

        #[test]
        fn any_bytes_are_read_or_refused(bytes: Vec<u8>) {
            if let Ok(records) = read(&bytes) {
                // There is one way to write a batch, so what is read is all that it holds.
                prop_assert_eq!(&write(&records)[8..], &bytes[8..]);
            }
        }

        #[test]
        fn a_batch_that_is_cut_is_refused(records in records(), cut in 1_usize..50) {
            let bytes = write(&records);
            let end = bytes.len().saturating_sub(cut);
            let kept = read(&bytes[..end]);
            // Only log data may go missing unnoticed here: it is not counted.
            let is_log = |r: &OwnedRecord| matches!(r, OwnedRecord::Log(_));
            prop_assert!(kept.is_err() || records[kept.unwrap().len()..].iter().all(is_log));
        }
    }

    #[test]
    fn what_no_store_writes_is_refused_by_name() {
        let batch = |count: u8, records: &[u8]| {
            let mut bytes = vec![0; HEADER_BYTES];
            bytes[8] = count;
            bytes.extend_from_slice(records);
            read(&bytes)
        };
        assert_eq!(read(&[0; 11]), Err(MalformedBatch::Header));
        // Merge, single delete, delete range, a row of the default family.
        for kind in [0, 1, 2, 6, 7, 8, 0x0d, 0x0e, 0x0f, 0xff] {
            assert_eq!(batch(1, &[kind, 1, 0, 0]), Err(MalformedBatch::Kind(kind)));
        }
        assert_eq!(batch(1, &[5, 0, 0, 0]), Err(MalformedBatch::Family(0)));
        assert_eq!(batch(1, &[5, 12, 0, 0]), Err(MalformedBatch::Family(12)));
        assert_eq!(batch(1, &[5, 1, 2, 0]), Err(MalformedBatch::Cut));
        assert_eq!(batch(1, &[5, 0x81, 0, 0, 0]), Err(MalformedBatch::Number));
        let huge = [5, 1, 0xff, 0xff, 0xff, 0xff, 0x1f];
        assert_eq!(batch(1, &huge), Err(MalformedBatch::Number));
        let many = Err(MalformedBatch::Count { says: 2, has: 1 });
        assert_eq!(batch(2, &[5, 1, 0, 0]), many);
    }
}
