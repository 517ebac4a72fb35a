//! Texts of an export: what a line of CSV cannot hold, and its way there and back.
//!
//! A line is a row, so a line break inside a text travels as the symbol that shows it: `␊` for a line
//! feed, `␍` for a carriage return. Where a text holds one of these symbols itself, `␛` stands before
//! it. All other texts are as they are. Must not know files. Invariant: what was escaped is read back
//! to itself, and holds neither a line break nor a single quote mark.

use std::borrow::Cow;

use memchr::{memchr, memchr3};

const FEED: char = '␊';
const RETURN: char = '␍';
const ESCAPE: char = '␛';
/// The first byte of all three.
const LEAD: u8 = 0xe2;

/// Appends a text as it stands between the quotes of a field.
pub fn escape(text: &str, out: &mut Vec<u8>) {
    let bytes = text.as_bytes();
    if memchr3(b'"', b'\n', b'\r', bytes).is_none() && memchr(LEAD, bytes).is_none() {
        out.extend_from_slice(bytes);
        return;
    }
    let mut buffer = [0; 4];
    for one in text.chars() {
        let spelled: &[u8] = match one {
            '"' => b"\"\"",
            '\n' => FEED.encode_utf8(&mut buffer).as_bytes(),
            '\r' => RETURN.encode_utf8(&mut buffer).as_bytes(),
            FEED | RETURN | ESCAPE => {
                out.extend_from_slice(ESCAPE.encode_utf8(&mut buffer).as_bytes());
                one.encode_utf8(&mut buffer).as_bytes()
            }
            _ => one.encode_utf8(&mut buffer).as_bytes(),
        };
        out.extend_from_slice(spelled);
    }
}

/// The text that was escaped, of a field whose quotes are single again.
pub(crate) fn unescape(text: Cow<'_, str>) -> Cow<'_, str> {
    if memchr(LEAD, text.as_bytes()).is_none() || !text.contains([FEED, RETURN, ESCAPE]) {
        return text;
    }
    let mut plain = String::with_capacity(text.len());
    let mut chars = text.chars();
    while let Some(one) = chars.next() {
        plain.push(match one {
            FEED => '\n',
            RETURN => '\r',
            ESCAPE => chars.next().unwrap_or(ESCAPE),
            other => other,
        });
    }
    Cow::Owned(plain)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::line::split;
    use proptest::prelude::*;

    fn there_and_back(text: &str) -> String {
        let mut line = b"1,\"".to_vec();
        escape(text, &mut line);
        line.push(b'"');
        assert!(!line.contains(&b'\n') && !line.contains(&b'\r'));
        let line = String::from_utf8(line).unwrap();
        let line = split(&line).unwrap();
        assert_eq!((line.count, line.repaired), (2, false));
        unescape(line.field(1).text()).into_owned()
    }

    #[test]
    fn line_breaks_are_shown_and_what_shows_them_is_marked() {
        let mut out = Vec::new();
        escape("a\r\nb ␊ \"c\" ’", &mut out);
        assert_eq!(std::str::from_utf8(&out), Ok("a␍␊b ␛␊ \"\"c\"\" ’"));
    }

    proptest! {
        #[test]
        fn every_text_comes_back(text in "[␊␍␛\n\r\",a’é🦀\\\\ ]{0,40}|.{0,40}") {
            prop_assert_eq!(there_and_back(&text), text);
        }
    }
}
