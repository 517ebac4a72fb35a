//! Streams as they went over the wire, kept in `tests/fixtures/wire/`: the bytes of a protocol never change
//! without its number. `backup::vintages::make_backups_to_keep` of `tests/it` makes the one of a new number.

use std::fs;
use std::path::Path;

use super::primary::stream_writer::{beat, hello};
use super::segment::{InvalidSegment, play};
use super::wire::frame::{Decoder, Frame};
use super::wire::protocol::{PROTOCOL, position};
use crate::store::inspect;
use crate::store::key::FORMAT;

fn captured(protocol: u16) -> Vec<u8> {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures/wire");
    fs::read(fixtures.join(format!("protocol-{protocol}"))).unwrap()
}

#[test]
fn recordings_were_the_frames_of_protocol_3() {
    let captured = captured(3);
    let mut decoder = Decoder::default();
    decoder.push(&captured);
    let (mut store_id, mut span, mut frames, mut batches) = (0, None, Vec::new(), 0);
    while let Some(frame) = decoder.next().unwrap() {
        if let Frame::Batch { store, batch, .. } = frame {
            let told = inspect(batch).unwrap();
            let (from, _) = *span.get_or_insert((told.before, told.after));
            (store_id, span) = (store, Some((from, told.after)));
            frame.write(&mut frames);
            batches += 1;
        }
    }
    let (from, to) = span.unwrap();
    let segment_writer = [hello(0, false, store_id, from), frames, beat(to, 7)].concat();
    let mut played = 0;
    let recorded = play::<InvalidSegment>(&segment_writer, |_, _| {
        played += 1;
        Ok(true)
    });
    let recorded = recorded.unwrap();
    assert_eq!((recorded.store, recorded.from), (store_id, from));
    assert_eq!(played, batches);
    for at in 0..segment_writer.len() {
        let mut damaged = segment_writer.clone();
        damaged[at] ^= 1;
        let played = play::<InvalidSegment>(&damaged, |_, _| Ok(true));
        assert!(played.is_err(), "byte {at}");
    }
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
        while let Some(frame) = decoder.next().unwrap() {
            frame.write(&mut written);
            match frame {
                Frame::Hello {
                    protocol, format, ..
                } => {
                    assert!(written.len() < 100, "it is not the first");
                    assert_eq!((protocol, format), (PROTOCOL, FORMAT));
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
