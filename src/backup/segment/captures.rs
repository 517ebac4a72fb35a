//! Captures: segments of earlier versions were frames of the replication protocol: a stream as it went over
//! the wire, stored in `tests/fixtures/wire/`, is played as the segment that was made of it.

use std::fs;
use std::path::Path;

use super::{InvalidSegment, play};
use crate::replication::wire::frame::{Decoder, Frame};
use crate::store::inspect;

#[test]
fn recordings_were_the_frames_of_protocol_3() {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures/wire");
    let captured = fs::read(fixtures.join("protocol-3")).unwrap();
    let mut decoder = Decoder::default();
    decoder.push(&captured);
    let (mut store_id, mut span, mut frames, mut batches) = (0, None, Vec::new(), 0);
    while let Some(frame) = decoder.next_frame().unwrap() {
        if let Frame::Batch { store, batch, .. } = frame {
            let told = inspect(batch).unwrap();
            let (from, _) = *span.get_or_insert((told.before, told.after));
            (store_id, span) = (store, Some((from, told.after)));
            frame.write(&mut frames);
            batches += 1;
        }
    }
    let (from, to) = span.unwrap();
    let mut segment = Vec::new();
    let hello = Frame::Hello {
        protocol: 3,
        format: 1,
        waits: false,
        session: 0,
        store: store_id,
        at: [from.epoch, from.seq, from.chain],
    };
    hello.write(&mut segment);
    segment.extend(frames);
    let at = [to.epoch, to.seq, to.chain];
    Frame::Beat { at, now_ms: 7 }.write(&mut segment);
    let mut played = 0;
    let recorded = play::<InvalidSegment>(&segment, |_, _| {
        played += 1;
        Ok(true)
    });
    let recorded = recorded.unwrap();
    assert_eq!((recorded.store, recorded.from), (store_id, from));
    assert_eq!(played, batches);
    for at in 0..segment.len() {
        let mut damaged = segment.clone();
        damaged[at] ^= 1;
        let played = play::<InvalidSegment>(&damaged, |_, _| Ok(true));
        assert!(played.is_err(), "byte {at}");
    }
}
