//! The files that read what strangers send, to the API and to copies, and what must hold of them.
//!
//! Owns the list of those files. Must not know the store: each of them compiles without it, which
//! nothing else holds them to. Invariant: what is fuzzed is the code that is served.

#![allow(
    dead_code,
    reason = "what answers a request as a whole is not here, and so not all is called"
)]

#[path = "../../src/model.rs"]
mod model;

#[path = "../../src/api"]
mod api {
    mod body;
    mod cors;
    mod document;
    mod draft;
    mod error;
    mod faults;
    mod fields;
    mod journal;
    mod json;
    mod properties;
    mod query;
    mod question;
    mod reply;
    mod request_id;
    mod route;
    mod seen;

    /// Any bytes as a request's body.
    pub fn hold_body(input: &[u8]) {
        properties::body::hold(input);
    }

    /// Any bytes as a path with its parameters.
    pub fn hold_query(input: &[u8]) {
        properties::query::hold(input);
    }

    /// Any bytes as a path.
    pub fn hold_route(input: &[u8]) {
        properties::route::hold(input);
    }
}

#[path = "../../src/store"]
mod store {
    mod batch;
    mod commit;
    mod position;

    use batch::{Batch, HEADER_BYTES, Record};
    use commit::{Commit, FAMILIES};
    use position::{HEAD_KEY, Mark, Position};

    /// Any bytes as a batch: read to its end or refused, and every byte of it belongs to a record.
    /// As the rows of a commit they give a commit, unless they are none or not a commit's.
    pub fn hold_commit(input: &[u8]) {
        let _ = Commit::read(input);
        let Ok(batch) = Batch::open(input) else {
            return;
        };
        let mut records = batch.records(FAMILIES);
        let (mut rows, mut left) = (0, records.bytes_left());
        let end = loop {
            match records.next() {
                Ok(Some(record)) => {
                    rows += u32::from(!matches!(record, Record::LogData(_)));
                    assert!(records.bytes_left() < left, "a record takes no bytes");
                    left = records.bytes_left();
                }
                end => break end,
            }
        };
        if end == Ok(None) {
            assert_eq!((rows, left), (batch.count, 0));
        }
        let read = Commit::read(&committed(batch.records, rows)).map(|commit| commit.after.seq);
        if let Ok(seq) = read {
            assert_eq!(seq, 8 + u64::from(rows));
        }
    }

    /// Records with a mark before them and the head that follows.
    fn committed(rows: &[u8], count: u32) -> Vec<u8> {
        let before = Position {
            epoch: 1,
            seq: 7,
            chain: 3,
        };
        let mut bytes = vec![0; HEADER_BYTES];
        let mark = Mark { epoch: 1, before }.to_bytes();
        bytes.extend([3, mark.len() as u8]);
        bytes.extend(mark);
        bytes.extend(rows);
        let head = before
            .after(1, count + 1, &bytes[HEADER_BYTES..])
            .to_value();
        bytes.extend([5, 10, HEAD_KEY.len() as u8]);
        bytes.extend(HEAD_KEY);
        bytes.push(head.len() as u8);
        bytes.extend(head);
        bytes[..8].copy_from_slice(&8_u64.to_le_bytes());
        bytes[8..HEADER_BYTES].copy_from_slice(&(count + 1).to_le_bytes());
        bytes
    }
}

#[path = "../../src/replication"]
mod replication {
    mod frame;

    use frame::{Decoder, Frame};

    /// Any bytes as frames: the same in one piece and in many, and what is read is written as it was.
    pub fn hold_frame(input: &[u8]) {
        let Some((piece, input)) = input.split_first() else {
            return;
        };
        let whole = read(input, input.len().max(1));
        assert_eq!(whole, read(input, usize::from(*piece).max(1)));
        let (written, _) = &whole;
        assert!(input.starts_with(written));
        // As the content of a frame, whose length and sum are right.
        let frame = Frame::Batch {
            epoch: 1,
            first: 2,
            count: 3,
            chain_before: 4,
            batch: input,
        };
        let mut bytes = Vec::new();
        frame.write(&mut bytes);
        let mut decoder = Decoder::default();
        decoder.push(&bytes);
        assert_eq!(decoder.next(), Ok(Some(frame)));
    }

    /// The frames that bytes give, written again, and how they end.
    fn read(input: &[u8], piece: usize) -> (Vec<u8>, Option<String>) {
        let mut decoder = Decoder::default();
        let mut written = Vec::new();
        for bytes in input.chunks(piece) {
            decoder.push(bytes);
            loop {
                match decoder.next() {
                    Ok(Some(frame)) => frame.write(&mut written),
                    Ok(None) => break,
                    Err(why) => return (written, Some(why.to_string())),
                }
            }
        }
        (written, None)
    }
}

pub use api::{hold_body as body, hold_query as query, hold_route as route};
pub use replication::hold_frame as frame;
pub use store::hold_commit as commit;
