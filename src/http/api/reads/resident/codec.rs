//! Compression of many answers of one kind, with a dictionary that they share.
//!
//! Must not know what the answers are. Invariants: what was compressed decompresses to itself; a context is a
//! thread's own, so that no thread waits for another.

use std::cell::RefCell;

use bytes::Bytes;
use zstd_safe::{CCtx, CDict, DCtx, DDict, get_frame_content_size, train_from_buffer};

/// The bytes that every frame begins with; they are not kept.
const MAGIC: [u8; 4] = [0x28, 0xB5, 0x2F, 0xFD];
/// What answers have in common: the more of it, the smaller they are, and it is there once.
const DICTIONARY_BYTES: usize = 110 << 10;
/// Answers from which a dictionary is made at least.
pub(super) const SAMPLES_MIN: usize = 100;
/// Where a dictionary has the number that frames name it by. Zero is no number, and takes no bytes in a frame.
const NUMBER_BYTES: std::ops::Range<usize> = 4..8;
/// The levels of zstd. From this one on another takes many times as long for the last per cent.
const THOROUGH_LEVEL: i32 = 12;
const QUICK_LEVEL: i32 = 3;
/// An answer larger than this is none that is compressed here.
const ANSWER_BYTES_MAX: u64 = 1 << 20;

thread_local! {
    static COMPRESSION: RefCell<CCtx<'static>> = RefCell::new(CCtx::create());
    static DECOMPRESSION: RefCell<Decompression> = RefCell::new(Decompression {
        context: DCtx::create(),
        frame: MAGIC.to_vec(),
    });
}

/// A context, and a frame that begins as all do.
struct Decompression {
    context: DCtx<'static>,
    frame: Vec<u8>,
}

/// The time that an answer is worth when it is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Effort {
    /// Some microseconds: a client waits.
    Quick,
    /// Some ten of them, for a sixth less.
    Thorough,
}

/// The dictionary of a kind of answers, prepared for both ways.
pub(super) struct Codec {
    quick: CDict<'static>,
    thorough: CDict<'static>,
    decompression: DDict<'static>,
}

impl Codec {
    /// A codec with a dictionary of what these answers have in common. `None` if they are too few, or have
    /// too little.
    pub(super) fn train(samples: &[Bytes]) -> Option<Self> {
        if samples.len() < SAMPLES_MIN {
            return None;
        }
        let lengths: Vec<usize> = samples.iter().map(Bytes::len).collect();
        let mut dictionary = vec![0; DICTIONARY_BYTES];
        let length = train_from_buffer(&mut dictionary[..], &samples.concat(), &lengths).ok()?;
        dictionary.truncate(length);
        dictionary.get_mut(NUMBER_BYTES)?.fill(0);
        Some(Self {
            quick: CDict::try_create(&dictionary, QUICK_LEVEL)?,
            thorough: CDict::try_create(&dictionary, THOROUGH_LEVEL)?,
            decompression: DDict::try_create(&dictionary)?,
        })
    }

    /// Bytes that the dictionary takes.
    pub(super) fn bytes(&self) -> usize {
        self.quick.sizeof() + self.thorough.sizeof() + self.decompression.sizeof()
    }

    /// The compressed answer; `None` if it does not become smaller.
    pub(super) fn compress(&self, answer: &[u8], effort: Effort) -> Option<Vec<u8>> {
        let dictionary = match effort {
            Effort::Quick => &self.quick,
            Effort::Thorough => &self.thorough,
        };
        let mut frame = vec![0; zstd_safe::compress_bound(answer.len())];
        let written = COMPRESSION.with_borrow_mut(|context| {
            context.compress_using_cdict(&mut frame[..], answer, dictionary)
        });
        frame.truncate(written.ok()?);
        frame.drain(..MAGIC.len());
        (frame.len() < answer.len()).then_some(frame)
    }

    /// The answer to whose compressed bytes `find` adds; `None` if it adds none, or others.
    pub(super) fn decompress(
        &self,
        find: impl FnOnce(&mut Vec<u8>) -> Option<()>,
    ) -> Option<Bytes> {
        DECOMPRESSION.with_borrow_mut(|Decompression { context, frame }| {
            frame.truncate(MAGIC.len());
            find(frame)?;
            let length = get_frame_content_size(frame).ok()??;
            if length > ANSWER_BYTES_MAX {
                return None;
            }
            let mut answer = vec![0; usize::try_from(length).ok()?];
            let written =
                context.decompress_using_ddict(&mut answer[..], frame, &self.decompression);
            (written == Ok(answer.len())).then(|| Bytes::from(answer))
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn answer(number: usize) -> Bytes {
        let text = format!(
            r#"{{"product":"{number}","page":0,"count":5,"results":[{{"review_id":{},"rating":{},"body":"{}"}}]}}"#,
            number * 31,
            number % 5 + 1,
            ["fits well", "broke after a week", "as described"]
                .concat()
                .repeat(number % 7),
        );
        Bytes::from(text)
    }

    fn decompressed(codec: &Codec, compressed: &[u8]) -> Option<Bytes> {
        codec.decompress(|frame| {
            frame.extend_from_slice(compressed);
            Some(())
        })
    }

    fn codec() -> Codec {
        let samples: Vec<_> = (0..1000).map(answer).collect();
        Codec::train(&samples).unwrap()
    }

    #[test]
    fn answers_with_much_in_common_become_small() {
        let codec = codec();
        let answer = answer(123_457);
        for effort in [Effort::Quick, Effort::Thorough] {
            let compressed = codec.compress(&answer, effort).unwrap();
            assert!(compressed.len() * 2 < answer.len(), "{}", compressed.len());
            assert_eq!(decompressed(&codec, &compressed), Some(answer.clone()));
        }
        assert_eq!(codec.decompress(|_| None), None);
    }

    #[test]
    fn few_answers_make_no_dictionary() {
        assert!(Codec::train(&[answer(1), answer(2)]).is_none());
    }

    #[test]
    fn an_answer_that_becomes_no_smaller_is_refused() {
        let codec = codec();
        assert_eq!(codec.compress(b"x", Effort::Quick), None);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(16))]
        #[test]
        fn bytes_come_back_and_others_are_refused(body: Vec<u8>, rubbish: Vec<u8>) {
            let codec = codec();
            if let Some(compressed) = codec.compress(&body, Effort::Thorough) {
                let again = decompressed(&codec, &compressed);
                prop_assert_eq!(again.as_deref(), Some(&body[..]));
            }
            let _ = decompressed(&codec, &rubbish);
        }
    }
}
