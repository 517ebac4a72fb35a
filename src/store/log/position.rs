//! The position of a store in the history of its writes, and how it is written into every commit.
//!
//! Must not know RocksDB, nor any other file, so that it can be fuzzed alone. Invariant: the bytes
//! never change (golden bytes below). Two stores with the same id and the same position hold the
//! same rows: the history hash (`chain`) is taken over every commit since the store was made.

use std::fmt;

use xxhash_rust::xxh3::Xxh3;

/// The key, in the state family, of the row that ends every commit.
pub(crate) const HEAD_KEY: &[u8] = b"head";
/// The prefix of the keys, in the state family, of the rows that name where each epoch began; the epoch
/// follows.
pub(crate) const EPOCH_KEY_PREFIX: &[u8] = b"epoch:";

/// The beginning of the commit header, as log data.
const MARK_MAGIC: [u8; 3] = *b"rv1";
/// The beginning of log data with the time of a commit; milliseconds since 1970 follow.
const TIME_MAGIC: [u8; 3] = *b"rt1";
/// The kind and version bytes of a position as a value.
const VALUE_HEAD: [u8; 2] = [9, 1];
const POSITION_BYTES: usize = 24;

/// A point in the history of a store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct LogPosition {
    /// The number of promotions; 1 at first.
    pub epoch: u64,
    /// RocksDB's number of the last row written.
    pub seq: u64,
    /// The history hash: over all commits so far; 0 before the first.
    pub chain: u64,
}

impl LogPosition {
    /// Returns the position of a store that was never written to since it was made.
    #[must_use]
    pub const fn genesis(seq: u64) -> Self {
        Self {
            epoch: 1,
            seq,
            chain: 0,
        }
    }

    /// Returns the position behind a commit of `count` rows. `chained` are the bytes of its records but for
    /// the last, which holds the position that this returns.
    #[must_use]
    pub fn after(self, epoch: u64, count: u32, chained: &[u8]) -> Self {
        let mut hash = Xxh3::new();
        hash.update(&self.chain.to_be_bytes());
        hash.update(chained);
        Self {
            epoch,
            seq: self.seq.saturating_add(u64::from(count)),
            chain: hash.digest(),
        }
    }

    /// Returns the position as the value of a row.
    #[must_use]
    pub fn to_value(self) -> Vec<u8> {
        [&VALUE_HEAD, self.to_bytes().as_slice()].concat()
    }

    /// Reads a row's value; `None` when it is none.
    #[must_use]
    pub fn from_value(value: &[u8]) -> Option<Self> {
        Self::from_bytes(value.strip_prefix(&VALUE_HEAD)?)
    }

    /// Returns the position as bytes of one length.
    #[must_use]
    pub fn to_bytes(self) -> [u8; POSITION_BYTES] {
        let mut bytes = [0; POSITION_BYTES];
        let numbers = [self.epoch, self.seq, self.chain];
        for (place, number) in bytes.chunks_exact_mut(8).zip(numbers) {
            place.copy_from_slice(&number.to_be_bytes());
        }
        bytes
    }

    /// Reads the bytes that [`Self::to_bytes`] returned; `None` for any other length.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (epoch, rest) = bytes.split_first_chunk()?;
        let (seq, rest) = rest.split_first_chunk()?;
        Some(Self {
            epoch: u64::from_be_bytes(*epoch),
            seq: u64::from_be_bytes(*seq),
            chain: u64::from_be_bytes(rest.try_into().ok()?),
        })
    }
}

/// `1.345 (chain 89abcdef01234567)`
impl fmt::Display for LogPosition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { epoch, seq, chain } = self;
        write!(f, "{epoch}.{seq} (chain {chain:016x})")
    }
}

/// The commit header: the log data at the beginning of every commit, which names the position before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct CommitHeader {
    /// The epoch of the commit.
    pub epoch: u64,
    /// The position before it.
    pub before: LogPosition,
}

impl CommitHeader {
    /// Returns the header as log data.
    #[must_use]
    pub(crate) fn to_bytes(self) -> Vec<u8> {
        let epoch = self.epoch.to_be_bytes();
        [&MARK_MAGIC, epoch.as_slice(), &self.before.to_bytes()].concat()
    }

    /// Reads log data; `None` when it is no commit header.
    #[must_use]
    pub(crate) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (epoch, before) = bytes.strip_prefix(&MARK_MAGIC)?.split_first_chunk()?;
        Some(Self {
            epoch: u64::from_be_bytes(*epoch),
            before: LogPosition::from_bytes(before)?,
        })
    }
}

/// Returns the time of a commit as log data.
#[must_use]
pub(crate) fn time_note(now_ms: i64) -> Vec<u8> {
    [&TIME_MAGIC, now_ms.to_be_bytes().as_slice()].concat()
}

/// Reads log data; `None` when it holds no time.
#[must_use]
pub(crate) fn time_of_note(bytes: &[u8]) -> Option<i64> {
    let time = bytes.strip_prefix(&TIME_MAGIC)?;
    Some(i64::from_be_bytes(time.try_into().ok()?))
}

/// Returns the key of the row that names where an epoch began.
#[must_use]
pub(crate) fn epoch_key(epoch: u64) -> Vec<u8> {
    [EPOCH_KEY_PREFIX, &epoch.to_be_bytes()].concat()
}

/// Returns the epoch that such a key is about; `None` for any other key.
#[must_use]
pub(crate) fn epoch_of_key(key: &[u8]) -> Option<u64> {
    let epoch = key.strip_prefix(EPOCH_KEY_PREFIX)?;
    Some(u64::from_be_bytes(epoch.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SOME: LogPosition = LogPosition {
        epoch: 2,
        seq: 0x0304,
        chain: 0x0506_0708,
    };

    #[test]
    fn the_bytes_never_change() {
        let bytes = [
            0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 3, 4, 0, 0, 0, 0, 5, 6, 7, 8,
        ];
        assert_eq!(SOME.to_bytes(), bytes);
        assert_eq!(SOME.to_value(), [[9, 1].as_slice(), &bytes].concat());
        let commit_header = CommitHeader {
            epoch: 7,
            before: SOME,
        };
        let expected = [b"rv1".as_slice(), &[0, 0, 0, 0, 0, 0, 0, 7], &bytes].concat();
        assert_eq!(commit_header.to_bytes(), expected);
        assert_eq!(epoch_key(7), b"epoch:\0\0\0\0\0\0\0\x07");
        assert_eq!(time_note(0x0203), b"rt1\0\0\0\0\0\0\x02\x03");
        let after = SOME.after(2, 3, b"records");
        assert_eq!((after.epoch, after.seq), (2, 0x0307));
        assert_eq!(after.chain, 0x85bd_c794_6781_c818, "{:016x}", after.chain);
    }

    #[test]
    fn the_chain_depends_on_what_was_before_and_on_every_byte() {
        let other = LogPosition { chain: 1, ..SOME };
        let chain = SOME.after(2, 1, b"records").chain;
        assert_ne!(chain, other.after(2, 1, b"records").chain);
        assert_ne!(chain, SOME.after(2, 1, b"recordz").chain);
    }

    proptest! {
        #[test]
        fn what_was_written_is_read(epoch: u64, seq: u64, chain: u64, of: u64) {
            let before = LogPosition { epoch, seq, chain };
            prop_assert_eq!(LogPosition::from_value(&before.to_value()), Some(before));
            let commit_header = CommitHeader { epoch: of, before };
            prop_assert_eq!(CommitHeader::from_bytes(&commit_header.to_bytes()), Some(commit_header));
            prop_assert_eq!(epoch_of_key(&epoch_key(epoch)), Some(epoch));
            let time = epoch.cast_signed();
            prop_assert_eq!(time_of_note(&time_note(time)), Some(time));
        }

        #[test]
        fn other_bytes_are_nothing(bytes: Vec<u8>) {
            if let Some(position) = LogPosition::from_value(&bytes) {
                prop_assert_eq!(position.to_value(), &bytes[..]);
            }
            if let Some(commit_header) = CommitHeader::from_bytes(&bytes) {
                prop_assert_eq!(commit_header.to_bytes(), bytes);
            }
        }
    }
}
