//! Properties of any bytes read as a batch of another store.
//!
//! Must not know RocksDB. The fuzz target `commit` looks for bytes that break it; the test below holds
//! those that were made by hand or found so far. Invariant: an input either holds or panics.

use super::log::batch::{BatchRecord, CommitBatch, HEADER_BYTES};
use super::log::commit::{FAMILIES, ParsedCommit};
use super::log::position::{CommitHeader, HEAD_KEY, LogPosition};

/// Read to its end or refused, and every byte of it belongs to a record. As the rows of a commit they
/// give a commit, unless they are none or not a commit's.
pub(super) fn hold(input: &[u8]) {
    if let Ok(commit) = ParsedCommit::read(input) {
        let rows = u64::from(commit.batch.count);
        assert_eq!(commit.after.seq, commit.before.seq + rows);
    }
    let Ok(batch) = CommitBatch::open(input) else {
        return;
    };
    let mut records = batch.records(FAMILIES);
    let (mut rows, mut left) = (0, records.bytes_left());
    let end = loop {
        match records.next() {
            Ok(Some(record)) => {
                rows += u32::from(!matches!(record, BatchRecord::LogData(_)));
                assert!(records.bytes_left() < left, "a record takes no bytes");
                left = records.bytes_left();
            }
            end => break end,
        }
    };
    if end == Ok(None) {
        assert_eq!((rows, left), (batch.count, 0));
    }
    let read = ParsedCommit::read(&committed(batch.records, rows)).map(|commit| commit.after.seq);
    if let Ok(seq) = read {
        assert_eq!(seq, 8 + u64::from(rows));
    }
}

/// Records with a commit header before them and the head row that follows.
fn committed(rows: &[u8], count: u32) -> Vec<u8> {
    let before = LogPosition {
        epoch: 1,
        seq: 7,
        chain: 3,
    };
    let length = |text: &[u8]| u8::try_from(text.len()).expect("it is short");
    let mut records = Vec::new();
    let mark = CommitHeader { epoch: 1, before }.to_bytes();
    records.extend([3, length(&mark)]);
    records.extend(mark);
    records.extend(rows);
    let head = before.after(1, count + 1, &records).to_value();
    records.extend([5, 10, length(HEAD_KEY)]);
    records.extend(HEAD_KEY);
    records.push(length(&head));
    records.extend(head);
    let first = 8_u64.to_le_bytes();
    let header = [first.as_slice(), &(count + 1).to_le_bytes()].concat();
    assert_eq!(header.len(), HEADER_BYTES);
    [header, records].concat()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::corpus::replay;

    #[test]
    fn every_batch_of_the_corpus_is_read_whole_or_refused() {
        replay("commit", hold);
    }
}
