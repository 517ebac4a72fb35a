//! JSON, written by hand: the hot path of every answer.
//!
//! Owns the escaping of text and the spelling of numbers. Must not know what it writes. Invariant:
//! text comes out as JavaScript's `JSON.stringify` spells it, byte for byte; whether the brackets
//! match is the caller's business.

/// A body under construction.
pub(super) struct JsonWriter(Vec<u8>);

impl JsonWriter {
    /// A writer with space for `bytes`.
    pub(super) fn with_capacity(bytes: usize) -> Self {
        Self(Vec::with_capacity(bytes))
    }

    /// The bytes that were written.
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// Removes everything written behind the first `bytes`.
    pub(super) fn truncate(&mut self, bytes: usize) {
        self.0.truncate(bytes);
    }

    /// Returns the bytes.
    pub(super) fn into_bytes(self) -> Vec<u8> {
        self.0
    }

    /// Writes `json` as it is: brackets, keys, literals.
    pub(super) fn raw(&mut self, json: &str) -> &mut Self {
        self.0.extend_from_slice(json.as_bytes());
        self
    }

    /// Writes a number.
    pub(super) fn number(&mut self, number: u64) -> &mut Self {
        let mut digits = itoa::Buffer::new();
        self.raw(digits.format(number))
    }

    /// Writes a number as a string.
    pub(super) fn number_text(&mut self, number: u64) -> &mut Self {
        self.raw("\"").number(number).raw("\"")
    }

    /// Writes a string.
    pub(super) fn text(&mut self, text: &str) -> &mut Self {
        let mut rest = text.as_bytes();
        self.0.reserve(rest.len() + 2);
        self.0.push(b'"');
        while let Some(at) = first_escaped(rest) {
            let (clean, escaped) = rest.split_at(at);
            self.0.extend_from_slice(clean);
            let Some((&byte, behind)) = escaped.split_first() else {
                break;
            };
            self.escape(byte);
            rest = behind;
        }
        self.0.extend_from_slice(rest);
        self.0.push(b'"');
        self
    }

    /// Writes a string of bytes that need no escaping.
    pub(super) fn ascii_text(&mut self, text: &[u8]) -> &mut Self {
        debug_assert!(text.is_ascii() && first_escaped(text).is_none());
        self.0.push(b'"');
        self.0.extend_from_slice(text);
        self.0.push(b'"');
        self
    }

    /// Writes a string, or `null`.
    pub(super) fn text_or_null(&mut self, text: Option<&str>) -> &mut Self {
        match text {
            Some(text) => self.text(text),
            None => self.raw("null"),
        }
    }

    /// Writes the items between commas.
    pub(super) fn joined<T>(
        &mut self,
        items: impl IntoIterator<Item = T>,
        mut write: impl FnMut(&mut Self, T),
    ) -> &mut Self {
        for (index, item) in items.into_iter().enumerate() {
            if index > 0 {
                self.raw(",");
            }
            write(self, item);
        }
        self
    }

    #[cold]
    fn escape(&mut self, byte: u8) {
        const HEX: &[u8; 16] = b"0123456789abcdef";
        let short = match byte {
            b'"' => b'"',
            b'\\' => b'\\',
            b'\n' => b'n',
            b'\r' => b'r',
            b'\t' => b't',
            0x08 => b'b',
            0x0c => b'f',
            _ => {
                let digit = |nibble: u8| HEX.get(usize::from(nibble)).copied().unwrap_or(b'0');
                let escaped = [b'\\', b'u', b'0', b'0', digit(byte >> 4), digit(byte & 15)];
                self.0.extend_from_slice(&escaped);
                return;
            }
        };
        self.0.extend_from_slice(&[b'\\', short]);
    }
}

/// Returns the index of the first byte that must not stand in a string as it is.
///
/// Most blocks have none, which the compiler finds out of all their bytes at once.
fn first_escaped(bytes: &[u8]) -> Option<usize> {
    let (blocks, tail) = bytes.as_chunks::<32>();
    for (index, block) in blocks.iter().enumerate() {
        if block.iter().fold(0, |any, byte| any | is_escaped(*byte)) != 0 {
            return first_escaped_of_few(block).map(|at| index * 32 + at);
        }
    }
    first_escaped_of_few(tail).map(|at| blocks.len() * 32 + at)
}

/// 1 for a byte that must not stand in a string as it is, without a jump.
fn is_escaped(byte: u8) -> u8 {
    u8::from(byte < 0x20) | u8::from(byte == b'"') | u8::from(byte == b'\\')
}

fn first_escaped_of_few(bytes: &[u8]) -> Option<usize> {
    let (words, tail) = bytes.as_chunks::<8>();
    for (index, word) in words.iter().enumerate() {
        if let Some(at) = first_escaped_in(u64::from_le_bytes(*word)) {
            return Some(index * 8 + at);
        }
    }
    let mut last = [b' '; 8];
    for (to, from) in last.iter_mut().zip(tail) {
        *to = *from;
    }
    first_escaped_in(u64::from_le_bytes(last)).map(|at| words.len() * 8 + at)
}

/// Returns its index within eight bytes at once, the first byte lowest.
///
/// The top bit of a byte of `x - ONES * n` tells `byte < n` as long as nothing was borrowed from
/// below, and what borrows is itself a hit; so the lowest hit is always a true one.
fn first_escaped_in(word: u64) -> Option<usize> {
    const ONES: u64 = 0x0101_0101_0101_0101;
    const TOPS: u64 = 0x8080_8080_8080_8080;
    let zero = |x: u64| x.wrapping_sub(ONES) & !x;
    let control = word.wrapping_sub(ONES * 0x20) & !word;
    let quote = zero(word ^ (ONES * u64::from(b'"')));
    let backslash = zero(word ^ (ONES * u64::from(b'\\')));
    let hits = (control | quote | backslash) & TOPS;
    (hits != 0).then_some(hits.trailing_zeros() as usize / 8)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn stringified(text: &str) -> String {
        let mut json = JsonWriter::with_capacity(0);
        json.text(text);
        String::from_utf8(json.into_bytes()).unwrap()
    }

    #[test]
    fn short_escapes_are_used_where_there_are_any() {
        assert_eq!(stringified("\u{8}\u{c}\n\r\t\"\\"), r#""\b\f\n\r\t\"\\""#);
    }

    #[test]
    fn other_control_characters_are_hexadecimal_in_lower_case() {
        assert_eq!(stringified("\0\u{1f}\u{b}"), r#""\u0000\u001f\u000b""#);
    }

    #[test]
    fn nothing_else_is_escaped() {
        let text = "</script> \u{7f}\u{80}\u{2028}\u{2029} é 漢 🦀 '`/";
        assert_eq!(stringified(text), format!("\"{text}\""));
    }

    #[test]
    fn a_byte_is_found_wherever_it_stands() {
        for length in 0..80 {
            for at in 0..length {
                for byte in 0..0x80_u8 {
                    let mut bytes = vec![b'x'; length];
                    bytes[at] = byte;
                    let escaped = byte < 0x20 || byte == b'"' || byte == b'\\';
                    assert_eq!(first_escaped(&bytes), escaped.then_some(at));
                }
            }
        }
    }

    #[test]
    fn numbers_are_plain_digits() {
        let mut json = JsonWriter::with_capacity(0);
        json.number(0)
            .raw(",")
            .number(u64::MAX)
            .raw(",")
            .number_text(7);
        assert_eq!(json.into_bytes(), b"0,18446744073709551615,\"7\"");
    }

    proptest! {
        #[test]
        fn text_is_spelled_as_a_json_library_spells_it(text in "[\\x00-\\x7f\"\\\\é\u{10ffff}]{0,64}") {
            prop_assert_eq!(stringified(&text), serde_json::to_string(&text).unwrap());
        }
    }
}
