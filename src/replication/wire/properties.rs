//! Properties of any bytes read as what comes over the wire.
//!
//! Must not know sockets. The fuzz target `frame` looks for bytes that break it; the test below holds
//! those that were made by hand or found so far. Invariant: an input either holds or panics.

use super::frame::{Decoder, Frame};

/// The same frames in one piece and in many, of as many bytes as the first says, and what is read is
/// written as it was.
pub(crate) fn hold(input: &[u8]) {
    let Some((piece, input)) = input.split_first() else {
        return;
    };
    let whole = read(input, input.len().max(1));
    assert_eq!(whole, read(input, usize::from(*piece).max(1)));
    let (written, _) = &whole;
    assert!(input.starts_with(written));
    // As the content of a frame, whose length and sum are right.
    let frame = Frame::Batch {
        store: 5,
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
    assert_eq!(decoder.next_frame(), Ok(Some(frame)));
}

/// The frames that bytes give, written again, and how they end.
fn read(input: &[u8], piece: usize) -> (Vec<u8>, Option<String>) {
    let mut decoder = Decoder::default();
    let mut written = Vec::new();
    for bytes in input.chunks(piece) {
        decoder.push(bytes);
        loop {
            match decoder.next_frame() {
                Ok(Some(frame)) => frame.write(&mut written),
                Ok(None) => break,
                Err(why) => return (written, Some(why.to_string())),
            }
        }
    }
    (written, None)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::corpus::replay;

    #[test]
    fn corpus_streams_decode_alike_however_they_are_split() {
        replay("frame", hold);
    }
}
