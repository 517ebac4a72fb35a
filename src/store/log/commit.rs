//! A commit: a batch that names the position before it and the position after it.
//!
//! ```text
//! log data   the commit header: epoch of the commit, and the position before it
//! log data   when it was made; there is none in commits of the first versions
//! …          the rows
//! put        state, "epoch:" and the epoch   where it began; in the first commit of an epoch only
//! put        state, "head"                   the position of the store afterwards
//! ```
//!
//! Must not know RocksDB, nor more files than the two it reads with, so that it can be fuzzed.
//! Invariant: what [`ParsedCommit::read`] gives is consistent in itself, every byte of it: first number,
//! count, chain and epoch follow from each other, and every row is one that a store may have.

use super::batch::{BatchRecord, CommitBatch, MalformedBatch};
use super::position::{
    CommitHeader, EPOCH_KEY_PREFIX, HEAD_KEY, LogPosition, epoch_of_key, time_of_note,
};

/// Families are numbered from 1 to this, in the order in which they are created.
pub(crate) const FAMILIES: u32 = 14;
/// The number of the family with the store's own facts.
pub(crate) const STATE: u32 = 10;
/// The row of those facts that commits change, besides their own.
pub(crate) const COUNTERS_KEY: &[u8] = b"counters";

/// A batch that was read and found to be a commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ParsedCommit<'b> {
    /// The position before it.
    pub before: LogPosition,
    /// The position after it.
    pub after: LogPosition,
    /// The time at which it was made, by the clock of the server that made it, if it says so.
    pub time_ms: Option<i64>,
    /// The batch.
    pub batch: CommitBatch<'b>,
}

impl<'b> ParsedCommit<'b> {
    /// Reads a batch that was given its number.
    pub(crate) fn read(bytes: &'b [u8]) -> Result<Self, MalformedBatch> {
        let batch = CommitBatch::open(bytes)?;
        let mut records = batch.records(FAMILIES);
        let Some(BatchRecord::LogData(commit_header)) = records.next()? else {
            return Err(MalformedBatch::NoMark);
        };
        let commit_header =
            CommitHeader::from_bytes(commit_header).ok_or(MalformedBatch::NoMark)?;
        let (mut began, mut time_ms) = (None, None);
        let (head, head_bytes) = loop {
            let bytes_left = records.bytes_left();
            match records.next()? {
                Some(BatchRecord::Put {
                    family: STATE,
                    key: HEAD_KEY,
                    value,
                }) => {
                    break (LogPosition::from_value(value), bytes_left);
                }
                Some(BatchRecord::Put {
                    family: STATE,
                    key,
                    value,
                }) if key.starts_with(EPOCH_KEY_PREFIX) && began.is_none() => {
                    began = Some((epoch_of_key(key), LogPosition::from_value(value)));
                }
                Some(
                    BatchRecord::Put { family, key, .. } | BatchRecord::Delete { family, key },
                ) => {
                    if family == STATE && key != COUNTERS_KEY {
                        return Err(MalformedBatch::Fact);
                    }
                }
                // Other notes only enter the history hash.
                Some(BatchRecord::LogData(note)) => time_ms = time_ms.or(time_of_note(note)),
                None => return Err(MalformedBatch::NoHead),
            }
        };
        // The head row is the last record, and only then the rows are as many as they should be.
        if records.next()?.is_some() {
            return Err(MalformedBatch::NoHead);
        }
        let before = commit_header.before;
        let chained = batch
            .records
            .split_at_checked(batch.records.len() - head_bytes);
        let (chained, _) = chained.ok_or(MalformedBatch::NoHead)?;
        let after = before.after(commit_header.epoch, batch.count, chained);
        let begins = commit_header.epoch == before.epoch.saturating_add(1);
        let expected = begins.then_some((Some(commit_header.epoch), Some(before)));
        let is_consistent = head == Some(after)
            && before.seq.checked_add(1) == Some(batch.first)
            && before.seq.checked_add(u64::from(batch.count)) == Some(after.seq)
            && (begins || commit_header.epoch == before.epoch)
            && began == expected;
        if !is_consistent {
            return Err(MalformedBatch::Inconsistent);
        }
        Ok(Self {
            before,
            after,
            time_ms,
            batch,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// A commit of some rows, as a store writes it.
    fn commit(before: LogPosition, epoch: u64, rows: &[(u8, Vec<u8>, Vec<u8>)]) -> Vec<u8> {
        let mut records = Vec::new();
        let put = |family: u8, key: &[u8], value: &[u8], out: &mut Vec<u8>| {
            out.extend([5, family, u8::try_from(key.len()).unwrap()]);
            out.extend_from_slice(key);
            out.push(u8::try_from(value.len()).unwrap());
            out.extend_from_slice(value);
        };
        let commit_header = CommitHeader { epoch, before }.to_bytes();
        records.extend([3, u8::try_from(commit_header.len()).unwrap()]);
        records.extend(commit_header);
        for (family, key, value) in rows {
            put(*family, key, value, &mut records);
        }
        let count = u32::try_from(rows.len()).unwrap() + 1;
        let after = before.after(epoch, count, &records);
        put(10, HEAD_KEY, &after.to_value(), &mut records);
        let first = (before.seq + 1).to_le_bytes();
        [first.as_slice(), &count.to_le_bytes(), &records].concat()
    }

    /// A family other than that of the store's own facts.
    fn family() -> impl Strategy<Value = u8> {
        prop_oneof![1_u8..=9, 11_u8..=14]
    }

    fn rows() -> impl Strategy<Value = Vec<(u8, Vec<u8>, Vec<u8>)>> {
        let text = || prop::collection::vec(any::<u8>(), 0..40);
        prop::collection::vec((family(), text(), text()), 0..8)
    }

    fn before() -> impl Strategy<Value = LogPosition> {
        (1_u64..9, 0_u64..1 << 40, any::<u64>()).prop_map(|(epoch, seq, chain)| LogPosition {
            epoch,
            seq,
            chain,
        })
    }

    proptest! {
        #[test]
        fn what_a_store_writes_is_read(before in before(), rows in rows()) {
            let bytes = commit(before, before.epoch, &rows);
            let read = ParsedCommit::read(&bytes).unwrap();
            prop_assert_eq!(read.before, before);
            prop_assert_eq!(read.after.seq, before.seq + rows.len() as u64 + 1);
        }

        #[test]
        fn no_byte_of_it_can_be_another(
            before in before(), rows in rows(), at: prop::sample::Index, flip in 1_u8..=255,
        ) {
            let mut bytes = commit(before, before.epoch, &rows);
            *at.get_mut(&mut bytes) ^= flip;
            // A value of the head row has one spelling, and all before it is in the history hash.
            prop_assert!(ParsedCommit::read(&bytes).is_err());
        }

        #[test]
        fn any_bytes_are_refused(bytes: Vec<u8>) {
            prop_assert!(ParsedCommit::read(&bytes).is_err());
        }
    }

    const BEFORE: LogPosition = LogPosition {
        epoch: 3,
        seq: 7,
        chain: 9,
    };

    #[test]
    fn an_epoch_begins_with_its_row_and_no_other_commit_has_one() {
        let row =
            |epoch, at: LogPosition| (10, super::super::position::epoch_key(epoch), at.to_value());
        assert!(ParsedCommit::read(&commit(BEFORE, 4, &[row(4, BEFORE)])).is_ok());
        for (epoch, rows) in [
            (4, vec![]),
            (3, vec![row(4, BEFORE)]),
            (4, vec![row(5, BEFORE)]),
            (4, vec![row(4, LogPosition { seq: 6, ..BEFORE })]),
            (5, vec![row(5, BEFORE)]),
            (2, vec![row(2, BEFORE)]),
        ] {
            let bytes = commit(BEFORE, epoch, &rows);
            let read = ParsedCommit::read(&bytes);
            assert_eq!(read, Err(MalformedBatch::Inconsistent), "{rows:?}");
        }
        let twice = commit(BEFORE, 4, &[row(4, BEFORE), row(4, BEFORE)]);
        assert_eq!(ParsedCommit::read(&twice), Err(MalformedBatch::Fact));
    }

    #[test]
    fn what_never_changes_of_a_store_is_in_no_commit() {
        for key in ["identity", "format", "counter", ""] {
            let rows = [(10, key.into(), vec![])];
            assert_eq!(
                ParsedCommit::read(&commit(BEFORE, 3, &rows)),
                Err(MalformedBatch::Fact)
            );
        }
        let rows = [(10, COUNTERS_KEY.to_vec(), vec![])];
        assert!(ParsedCommit::read(&commit(BEFORE, 3, &rows)).is_ok());
    }

    #[test]
    fn a_batch_without_mark_or_head_is_no_commit() {
        let bytes = commit(BEFORE, 3, &[]);
        let read = |records: &[u8], count: u8| {
            let header = [8, 0, 0, 0, 0, 0, 0, 0, count, 0, 0, 0];
            ParsedCommit::read(&[&header, records].concat()).map(|_| ())
        };
        let mark_bytes = 2 + 3 + 32;
        assert_eq!(
            read(&bytes[12 + mark_bytes..], 1),
            Err(MalformedBatch::NoMark)
        );
        assert_eq!(
            read(&bytes[12..12 + mark_bytes], 0),
            Err(MalformedBatch::NoHead)
        );
        let behind = [&bytes[12..], &[5, 1, 0, 0]].concat();
        assert_eq!(read(&behind, 2), Err(MalformedBatch::NoHead));
    }
}
