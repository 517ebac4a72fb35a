//! The packing of rows between sorting and joining: varints and length-prefixed text.
//!
//! Must not know rows. Invariant: what was put is taken in the same order; packed rows live in
//! memory and unnamed spill files of one process only, so there is no version and no damage to
//! expect, yet taking past the end gives zeros and empty texts, never a panic.

/// Appends a number, seven bits a byte, lowest first.
pub(crate) fn put(out: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        out.push(number.to_le_bytes()[0] | 0x80);
        number >>= 7;
    }
    out.push(number.to_le_bytes()[0]);
}

/// Appends a text.
pub(crate) fn put_text(out: &mut Vec<u8>, text: &str) {
    put(out, text.len() as u64);
    out.extend_from_slice(text.as_bytes());
}

/// Appends a text that may be null.
pub(crate) fn put_nullable(out: &mut Vec<u8>, text: Option<&str>) {
    match text {
        Some(text) => {
            put(out, text.len() as u64 + 1);
            out.extend_from_slice(text.as_bytes());
        }
        None => put(out, 0),
    }
}

/// Takes values from the front of packed bytes.
pub(crate) struct Taker<'a>(pub(crate) &'a [u8]);

impl<'a> Taker<'a> {
    /// The next number.
    pub(crate) fn number(&mut self) -> u64 {
        let (mut number, mut shift) = (0, 0);
        while let Some((byte, rest)) = self.0.split_first() {
            self.0 = rest;
            number |= u64::from(byte & 0x7f) << shift;
            shift += 7;
            if *byte < 0x80 || shift > 63 {
                break;
            }
        }
        number
    }

    /// The next byte.
    pub(crate) fn byte(&mut self) -> u8 {
        match self.0.split_first() {
            Some((byte, rest)) => {
                self.0 = rest;
                *byte
            }
            None => 0,
        }
    }

    /// The next text.
    pub(crate) fn text(&mut self) -> &'a str {
        let length = self.number();
        self.text_of(length)
    }

    /// The next text that may be null.
    pub(crate) fn nullable(&mut self) -> Option<&'a str> {
        let length = self.number().checked_sub(1)?;
        Some(self.text_of(length))
    }

    fn text_of(&mut self, length: u64) -> &'a str {
        let length = usize::try_from(length).unwrap_or(usize::MAX);
        let (text, rest) = self.0.split_at_checked(length).unwrap_or_default();
        self.0 = rest;
        std::str::from_utf8(text).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn what_was_put_is_taken(number: u64, text in ".*", nullable in prop::option::of(".*")) {
            let mut out = Vec::new();
            put(&mut out, number);
            put_text(&mut out, &text);
            put_nullable(&mut out, nullable.as_deref());
            out.push(7);
            let mut taker = Taker(&out);
            prop_assert_eq!(taker.number(), number);
            prop_assert_eq!(taker.text(), text);
            prop_assert_eq!(taker.nullable(), nullable.as_deref());
            prop_assert_eq!(taker.byte(), 7);
            prop_assert!(taker.0.is_empty());
        }

        #[test]
        fn taking_past_the_end_is_harmless(bytes: Vec<u8>) {
            let mut taker = Taker(&bytes);
            for _ in 0..bytes.len() + 3 {
                let _ = (taker.number(), taker.text(), taker.nullable(), taker.byte());
            }
        }
    }
}
