//! A stretch of a stream, recorded: what a backup keeps of what was committed.
//!
//! ```text
//! hello      the store, and where it was before the first batch
//! batch      …
//! beat       where it is behind the last one, and when that was made
//! ```
//!
//! These are the frames that go over the wire, checksums and all. Must not know where it is kept.
//! Invariants: what is played was recorded, byte for byte, and all of it; each batch extends the one
//! before, and the first one the position that the recording begins with.

use std::fmt;

use super::frame::{self, Decoder, Frame};
use super::outflow::{beat, hello, write_batch};
use super::protocol::{PROTOCOL, position};
use crate::store::key::FORMAT;
use crate::store::{self, Inspected, Position, inspect};

/// A recording that goes on.
#[derive(Debug)]
pub struct Recording {
    store: u128,
    bytes: Vec<u8>,
    from: Position,
    to: Position,
    time_ms: Option<i64>,
}

/// What was recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Recorded {
    /// The store.
    pub store: u128,
    /// Where it was before.
    pub from: Position,
}

/// Why bytes are no recording.
#[derive(Debug)]
pub enum Unplayable {
    /// A frame is damaged.
    Frame(String),
    /// Frames are missing, or there are others.
    Order(&'static str),
    /// A newer program recorded it: its protocol, and the format of the store.
    Newer(u16, u32),
    /// A batch is none, or does not extend the one before.
    Batch(String),
}

impl fmt::Display for Unplayable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Frame(why) | Self::Batch(why) => f.write_str(why),
            Self::Order(what) => write!(f, "it {what}"),
            Self::Newer(protocol, format) => write!(
                f,
                "it is of protocol {protocol} and format {format}, and this reviewsd reads \
                 {PROTOCOL} and {FORMAT}"
            ),
        }
    }
}

impl From<frame::Malformed> for Unplayable {
    fn from(why: frame::Malformed) -> Self {
        Self::Frame(why.to_string())
    }
}

impl Recording {
    /// Begins with what follows a position.
    #[must_use]
    pub fn begin(store: u128, from: Position) -> Self {
        Self {
            store,
            bytes: hello(0, false, store, from),
            from,
            to: from,
            time_ms: None,
        }
    }

    /// Adds a batch, which must extend what there is.
    pub fn push(&mut self, batch: &[u8]) -> Result<Position, store::Error> {
        let told = inspect(batch)?;
        if told.before != self.to {
            let why = format!("it belongs behind {}, and this is {}", told.before, self.to);
            return Err(store::Error::Unfit { why });
        }
        let (before, after) = (told.before, told.after);
        write_batch(self.store, before, after, batch, &mut self.bytes);
        self.to = told.after;
        self.time_ms = told.time_ms.or(self.time_ms);
        Ok(self.to)
    }

    /// Whether nothing was recorded.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.from == self.to
    }

    /// How long it is.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.bytes.len()
    }

    /// From where to where it leads.
    #[must_use]
    pub fn span(&self) -> (Position, Position) {
        (self.from, self.to)
    }

    /// When the last commit of it was made, where one tells.
    #[must_use]
    pub fn time_ms(&self) -> Option<i64> {
        self.time_ms
    }

    /// The whole of it, with its end.
    #[must_use]
    pub fn ended(&self, time_ms: i64) -> Vec<u8> {
        let mut bytes = self.bytes.clone();
        bytes.extend(beat(self.to, time_ms));
        bytes
    }
}

/// Plays a recording to its end, or until `each` has had enough, which then says so with `false`.
/// Nothing is handed to it that does not extend what was before.
pub fn play<E: From<Unplayable>>(
    bytes: &[u8],
    mut each: impl FnMut(&Inspected, &[u8]) -> Result<bool, E>,
) -> Result<Recorded, E> {
    let mut decoder = Decoder::default();
    decoder.push(bytes);
    let recorded = match decoder.next().map_err(Unplayable::from)? {
        Some(Frame::Hello {
            protocol,
            format,
            store,
            at,
            ..
        }) => {
            if (protocol, format) != (PROTOCOL, FORMAT) {
                return Err(Unplayable::Newer(protocol, format).into());
            }
            let from = position(at);
            Recorded { store, from }
        }
        _ => return Err(Unplayable::Order("does not begin as one").into()),
    };
    let mut at = recorded.from;
    loop {
        match decoder.next().map_err(Unplayable::from)? {
            Some(Frame::Batch { store, batch, .. }) => {
                if store != recorded.store {
                    return Err(Unplayable::Order("has a batch of another store").into());
                }
                let told = inspect(batch).map_err(|e| Unplayable::Batch(e.to_string()))?;
                if told.before != at {
                    return Err(Unplayable::Order("has a gap").into());
                }
                at = told.after;
                if !each(&told, batch)? {
                    return Ok(recorded);
                }
            }
            Some(Frame::Beat { at: end, .. }) if position(end) == at => break,
            Some(Frame::Beat { .. }) => return Err(Unplayable::Order("ends elsewhere").into()),
            Some(Frame::Hello { .. }) => return Err(Unplayable::Order("begins twice").into()),
            None => return Err(Unplayable::Order("is cut").into()),
        }
    }
    let is_end = matches!(decoder.next(), Ok(None));
    if is_end && decoder.is_empty() {
        Ok(recorded)
    } else {
        Err(Unplayable::Order("goes on after its end").into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FROM: Position = Position {
        epoch: 1,
        seq: 7,
        chain: 9,
    };

    fn played(bytes: &[u8]) -> Result<(Recorded, usize), String> {
        let mut batches = 0;
        let recorded = play::<Unplayable>(bytes, |_, _| {
            batches += 1;
            Ok(true)
        });
        recorded
            .map(|recorded| (recorded, batches))
            .map_err(|why| why.to_string())
    }

    #[test]
    fn what_was_recorded_is_played_and_nothing_else() {
        let recording = Recording::begin(5, FROM);
        assert!(recording.is_empty());
        let bytes = recording.ended(3);
        let expected = Recorded {
            store: 5,
            from: FROM,
        };
        assert_eq!(played(&bytes), Ok((expected, 0)));
        for at in 0..bytes.len() {
            let mut damaged = bytes.clone();
            damaged[at] ^= 1;
            assert!(played(&damaged).is_err(), "byte {at}");
            assert!(played(&bytes[..at]).is_err(), "cut at {at}");
        }
        assert!(played(&[bytes.as_slice(), &[0]].concat()).is_err());
        assert!(played(&[bytes.as_slice(), bytes.as_slice()].concat()).is_err());
    }

    #[test]
    fn what_is_no_commit_is_not_recorded() {
        let mut recording = Recording::begin(5, FROM);
        assert!(recording.push(b"no commit").is_err());
        assert!(recording.is_empty());
    }
}
