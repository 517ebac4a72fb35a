//! Streams as they went over the wire, stored in `tests/fixtures/wire/`: the bytes of a protocol never change
//! without its number. `backup::vintages::make_backups_to_keep` of `tests/it` makes the one of a new number.

use std::fs;
use std::path::Path;

use super::wire::frame::{Decoder, Frame};
use super::wire::protocol::{PROTOCOL, position};
use crate::store::inspect;
use crate::store::key::is_read;

fn captured(protocol: u16) -> Vec<u8> {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures/wire");
    fs::read(fixtures.join(format!("protocol-{protocol}"))).unwrap()
}

#[test]
fn stream_that_was_captured_is_read_and_written_the_same() {
    let captured = captured(PROTOCOL);
    let mut decoder = Decoder::default();
    let (mut written, mut at, mut batches, mut beats) = (Vec::new(), None, 0, 0);
    // In two pieces, the first of which ends within a frame.
    let (first, second) = captured.split_at(captured.len() / 2);
    for piece in [first, second] {
        decoder.push(piece);
        while let Some(frame) = decoder.next_frame().unwrap() {
            frame.write(&mut written);
            match frame {
                Frame::Hello {
                    protocol, format, ..
                } => {
                    assert!(written.len() < 100, "it is not the first");
                    assert!(protocol == PROTOCOL && is_read(format), "format {format}");
                }
                Frame::Batch { batch, .. } => {
                    let told = inspect(batch).unwrap();
                    assert!(at.is_none_or(|at| at == told.before));
                    at = Some(told.after);
                    batches += 1;
                }
                Frame::Beat { at: beat, .. } => {
                    beats += 1;
                    assert!(at.is_none_or(|at| at.seq <= position(beat).seq));
                }
            }
        }
    }
    assert!(batches >= 3 && beats >= 1);
    assert_eq!(written, captured);
}
