//! Frames: the messages that go over the wire, as bytes.
//!
//! ```text
//! frame      length of kind and content, 4 bytes; the low half of XXH3 of these four bytes, 4 bytes;
//!            XXH3 of kind and content, 8 bytes; kind, 1 byte; content
//! 1 hello    protocol, 2; format, 4; whether acknowledgements are waited for, 1; session, 8;
//!            store, 16; position, 24
//! 2 batch    store, 16; epoch, 8; first, 8; count, 4; chain before, 8; the batch as RocksDB
//!            writes it
//! 3 beat     position, 24; milliseconds since 1970, 8
//! position   epoch, 8; sequence number, 8; chain, 8
//! ```
//!
//! All numbers are big-endian but those within a batch. Must not know RocksDB, sockets, nor any
//! other file, so that it can be fuzzed alone. Invariants: any bytes, in whatever pieces they come,
//! give frames, a wait for more, or an error, never a panic; a length that was damaged is an error at
//! once, and not waited on; no memory is taken for bytes that have only been announced; after an error
//! nothing more is read.

use std::fmt;

use xxhash_rust::xxh3::xxh3_64;

/// Kind and content of one frame at most: far more than one commit can have.
pub(crate) const FRAME_BYTES_MAX: usize = 64 << 20;

const HEADER_BYTES: usize = 16;
const HELLO: u8 = 1;
const BATCH: u8 = 2;
const BEAT: u8 = 3;

/// A position in the history of a store: epoch, sequence number and chain.
pub type WirePosition = [u64; 3];

/// A message from one side to the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Frame<'b> {
    /// The handshake: the first frame of a stream, which says who sends it.
    Hello {
        /// The version of the protocol.
        protocol: u16,
        /// The format of the store.
        format: u32,
        /// True if a write waits until the applied commits are durable.
        waits: bool,
        /// The stream's name, for acknowledgements.
        session: u64,
        /// The store.
        store: u128,
        /// Its durable position.
        at: WirePosition,
    },
    /// A commit.
    Batch {
        /// The store.
        store: u128,
        /// Its epoch.
        epoch: u64,
        /// The number of its first row.
        first: u64,
        /// The number of its rows.
        count: u32,
        /// The history hash that it belongs behind.
        chain_before: u64,
        /// Its bytes.
        batch: &'b [u8],
    },
    /// A heartbeat.
    Beat {
        /// The durable position of the primary.
        at: WirePosition,
        /// The primary's clock.
        now_ms: i64,
    },
}

/// The reason for which bytes are no frames.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MalformedFrame {
    /// The length is greater than that of any frame.
    Length(u32),
    /// The checksum does not match: the bytes were damaged on the way.
    Checksum,
    /// The kind is unknown.
    Kind(u8),
    /// The content does not fit the kind.
    Content,
}

impl fmt::Display for MalformedFrame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Length(bytes) => write!(f, "a frame of {bytes} bytes is announced"),
            Self::Checksum => f.write_str("a frame was damaged in transfer"),
            Self::Kind(kind) => write!(f, "a frame is of the unknown kind {kind}"),
            Self::Content => f.write_str("a frame does not have the contents of its kind"),
        }
    }
}

impl std::error::Error for MalformedFrame {}

impl Frame<'_> {
    /// Appends the frame's bytes.
    pub fn write(&self, out: &mut Vec<u8>) {
        let start = out.len();
        out.extend_from_slice(&[0; HEADER_BYTES]);
        match self {
            Self::Hello {
                protocol,
                format,
                waits,
                session,
                store,
                at,
            } => {
                out.push(HELLO);
                out.extend_from_slice(&protocol.to_be_bytes());
                out.extend_from_slice(&format.to_be_bytes());
                out.push(u8::from(*waits));
                out.extend_from_slice(&session.to_be_bytes());
                out.extend_from_slice(&store.to_be_bytes());
                write_point(*at, out);
            }
            Self::Batch {
                store,
                epoch,
                first,
                count,
                chain_before,
                batch,
            } => {
                out.push(BATCH);
                out.extend_from_slice(&store.to_be_bytes());
                out.extend_from_slice(&epoch.to_be_bytes());
                out.extend_from_slice(&first.to_be_bytes());
                out.extend_from_slice(&count.to_be_bytes());
                out.extend_from_slice(&chain_before.to_be_bytes());
                out.extend_from_slice(batch);
            }
            Self::Beat { at, now_ms } => {
                out.push(BEAT);
                write_point(*at, out);
                out.extend_from_slice(&now_ms.to_be_bytes());
            }
        }
        let (_, frame) = out.split_at_mut(start);
        if let Some((header, content)) = frame.split_at_mut_checked(HEADER_BYTES) {
            let bytes = u32::try_from(content.len()).unwrap_or(u32::MAX);
            let (length, rest) = header.split_at_mut(4);
            let (check, sum) = rest.split_at_mut(4);
            length.copy_from_slice(&bytes.to_be_bytes());
            check.copy_from_slice(&check_of(bytes.to_be_bytes()));
            sum.copy_from_slice(&xxh3_64(content).to_be_bytes());
        }
    }
}

/// Returns the check by which a damaged length is known.
fn check_of(length: [u8; 4]) -> [u8; 4] {
    let [.., a, b, c, d] = xxh3_64(&length).to_be_bytes();
    [a, b, c, d]
}

fn write_point(point: WirePosition, out: &mut Vec<u8>) {
    for number in point {
        out.extend_from_slice(&number.to_be_bytes());
    }
}

/// Makes frames of bytes as they come.
#[derive(Debug, Default)]
pub struct Decoder {
    bytes: Vec<u8>,
    /// So many of them were read.
    read: usize,
    failed: Option<MalformedFrame>,
}

impl Decoder {
    /// Adds bytes that came.
    pub fn push(&mut self, bytes: &[u8]) {
        // Bytes that were read are removed when more comes, so a frame can be lent out in between.
        self.bytes.drain(..self.read);
        self.read = 0;
        self.bytes.extend_from_slice(bytes);
    }

    /// Bytes that are no whole frame yet.
    #[cfg(test)]
    pub(crate) fn waiting(&self) -> usize {
        self.bytes.len() - self.read
    }

    /// The next frame; `None` until more bytes come. No iterator: a frame is lent.
    pub fn next_frame(&mut self) -> Result<Option<Frame<'_>>, MalformedFrame> {
        if let Some(failed) = self.failed {
            return Err(failed);
        }
        let left = self.bytes.get(self.read..).unwrap_or_default();
        match cut(left) {
            Ok(None) => Ok(None),
            Err(malformed) => {
                self.failed = Some(malformed);
                Err(malformed)
            }
            Ok(Some((frame, bytes))) => {
                self.read += bytes;
                Ok(Some(frame))
            }
        }
    }
}

/// The frame that bytes begin with, and how many it takes.
fn cut(bytes: &[u8]) -> Result<Option<(Frame<'_>, usize)>, MalformedFrame> {
    let Some((length, rest)) = bytes.split_first_chunk() else {
        return Ok(None);
    };
    let Some((check, rest)) = rest.split_first_chunk() else {
        return Ok(None);
    };
    if *check != check_of(*length) {
        return Err(MalformedFrame::Checksum);
    }
    let length = u32::from_be_bytes(*length);
    let bytes = usize::try_from(length).unwrap_or(usize::MAX);
    if !(1..=FRAME_BYTES_MAX).contains(&bytes) {
        return Err(MalformedFrame::Length(length));
    }
    let Some((sum, rest)) = rest.split_first_chunk() else {
        return Ok(None);
    };
    let Some(content) = rest.get(..bytes) else {
        return Ok(None);
    };
    if xxh3_64(content) != u64::from_be_bytes(*sum) {
        return Err(MalformedFrame::Checksum);
    }
    let (kind, content) = content.split_first().ok_or(MalformedFrame::Content)?;
    let mut fields = FrameFields(content);
    let frame = match *kind {
        HELLO => fields.hello(),
        BATCH => fields.batch(),
        BEAT => fields.beat(),
        kind => return Err(MalformedFrame::Kind(kind)),
    };
    let frame = frame.filter(|_| fields.0.is_empty());
    let frame = frame.ok_or(MalformedFrame::Content)?;
    Ok(Some((frame, HEADER_BYTES + bytes)))
}

/// The rest of a content.
struct FrameFields<'b>(&'b [u8]);

impl<'b> FrameFields<'b> {
    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (field, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*field)
    }

    fn number(&mut self) -> Option<u64> {
        self.take().map(u64::from_be_bytes)
    }

    fn store(&mut self) -> Option<u128> {
        self.take().map(u128::from_be_bytes)
    }

    fn point(&mut self) -> Option<WirePosition> {
        Some([self.number()?, self.number()?, self.number()?])
    }

    fn hello(&mut self) -> Option<Frame<'b>> {
        Some(Frame::Hello {
            protocol: u16::from_be_bytes(self.take()?),
            format: u32::from_be_bytes(self.take()?),
            waits: match self.take()? {
                [0] => false,
                [1] => true,
                [_] => return None,
            },
            session: self.number()?,
            store: self.store()?,
            at: self.point()?,
        })
    }

    fn batch(&mut self) -> Option<Frame<'b>> {
        Some(Frame::Batch {
            store: self.store()?,
            epoch: self.number()?,
            first: self.number()?,
            count: u32::from_be_bytes(self.take()?),
            chain_before: self.number()?,
            batch: std::mem::take(&mut self.0),
        })
    }

    fn beat(&mut self) -> Option<Frame<'b>> {
        Some(Frame::Beat {
            at: self.point()?,
            now_ms: i64::from_be_bytes(self.take()?),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[derive(Debug, Clone)]
    enum OwnedFrame {
        Hello(u16, u32, bool, u64, u128, WirePosition),
        Batch(u128, u64, u64, u32, u64, Vec<u8>),
        Beat(WirePosition, i64),
    }

    impl OwnedFrame {
        fn frame(&self) -> Frame<'_> {
            match self {
                Self::Hello(protocol, format, waits, session, store, at) => Frame::Hello {
                    protocol: *protocol,
                    format: *format,
                    waits: *waits,
                    session: *session,
                    store: *store,
                    at: *at,
                },
                Self::Batch(store, epoch, first, count, chain_before, batch) => Frame::Batch {
                    store: *store,
                    epoch: *epoch,
                    first: *first,
                    count: *count,
                    chain_before: *chain_before,
                    batch,
                },
                Self::Beat(at, now_ms) => Frame::Beat {
                    at: *at,
                    now_ms: *now_ms,
                },
            }
        }
    }

    fn frames() -> impl Strategy<Value = Vec<OwnedFrame>> {
        let frame = prop_oneof![
            any::<(u16, u32, bool, u64, u128, WirePosition)>()
                .prop_map(|(a, b, c, d, e, f)| OwnedFrame::Hello(a, b, c, d, e, f)),
            any::<(u128, u64, u64, u32, u64, Vec<u8>)>()
                .prop_map(|(a, b, c, d, e, f)| OwnedFrame::Batch(a, b, c, d, e, f)),
            any::<(WirePosition, i64)>().prop_map(|(at, now_ms)| OwnedFrame::Beat(at, now_ms)),
        ];
        prop::collection::vec(frame, 0..12)
    }

    fn written(frames: &[OwnedFrame]) -> Vec<u8> {
        let mut bytes = Vec::new();
        for frame in frames {
            frame.frame().write(&mut bytes);
        }
        bytes
    }

    proptest! {
        #[test]
        fn what_was_written_is_read_in_whatever_pieces_it_comes(
            frames in frames(), piece in 1_usize..100,
        ) {
            let mut decoder = Decoder::default();
            let mut read = 0;
            for bytes in written(&frames).chunks(piece) {
                decoder.push(bytes);
                while let Some(frame) = decoder.next_frame().unwrap() {
                    prop_assert_eq!(frame, frames[read].frame());
                    read += 1;
                }
            }
            prop_assert_eq!(read, frames.len());
            prop_assert_eq!(decoder.waiting(), 0);
        }

        #[test]
        fn a_byte_that_changed_on_the_way_never_becomes_another_frame(
            frames in frames(), at: prop::sample::Index, flip in 1_u8..=255,
        ) {
            let mut bytes = written(&frames);
            prop_assume!(!bytes.is_empty());
            *at.get_mut(&mut bytes) ^= flip;
            let mut decoder = Decoder::default();
            decoder.push(&bytes);
            let mut read = 0;
            while let Ok(Some(frame)) = decoder.next_frame() {
                prop_assert_eq!(frame, frames[read].frame());
                read += 1;
            }
            prop_assert!(read < frames.len());
            prop_assert!(decoder.next_frame().is_err(), "more is waited for");
        }

        #[test]
        fn any_bytes_are_read_or_refused(pieces: Vec<Vec<u8>>) {
            let mut decoder = Decoder::default();
            for piece in &pieces {
                decoder.push(piece);
                while let Ok(Some(_)) = decoder.next_frame() {}
            }
        }
    }

    #[test]
    fn the_bytes_never_change() {
        let mut bytes = Vec::new();
        let frame = Frame::Batch {
            store: 5,
            epoch: 1,
            first: 2,
            count: 3,
            chain_before: 4,
            batch: b"batch",
        };
        frame.write(&mut bytes);
        let content = [
            &[2][..],
            &[0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 5],
            &[0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 2],
            &[0, 0, 0, 3, 0, 0, 0, 0, 0, 0, 0, 4],
            b"batch",
        ]
        .concat();
        let sum = xxh3_64(&content).to_be_bytes();
        let length = [0, 0, 0, 50, 0x41, 0x72, 0x46, 0x40];
        assert_eq!(bytes, [&length, &sum[..], &content].concat());
    }

    #[test]
    fn what_is_no_frame_is_refused_by_name_and_for_good() {
        let announced = |length: u32| {
            let length = length.to_be_bytes();
            [length, check_of(length)].concat()
        };
        let sealed = |content: &[u8]| {
            let length = u32::try_from(content.len()).unwrap();
            let sum = xxh3_64(content).to_be_bytes();
            [&announced(length), &sum[..], content].concat()
        };
        for (bytes, expected) in [
            (announced(0), MalformedFrame::Length(0)),
            (announced(u32::MAX), MalformedFrame::Length(u32::MAX)),
            (vec![0, 0, 0, 33, 1, 2, 3, 4], MalformedFrame::Checksum),
            (sealed(&[9, 1]), MalformedFrame::Kind(9)),
            (sealed(&[BEAT, 1]), MalformedFrame::Content),
            (
                sealed(&[[BEAT].as_slice(), &[0; 33]].concat()),
                MalformedFrame::Content,
            ),
            (sealed(&[BATCH, 1]), MalformedFrame::Content),
        ] {
            let mut decoder = Decoder::default();
            decoder.push(&bytes);
            assert_eq!(decoder.next_frame(), Err(expected));
            decoder.push(&sealed(&[[BEAT].as_slice(), &[0; 32]].concat()));
            assert_eq!(decoder.next_frame(), Err(expected));
        }
    }
}
