//! The tokens of the admin API: their names, roles and expiry, and the text of the file that lists them.
//!
//! Must not know where the file is, nor the endpoints. Invariants: a token itself is kept nowhere, only its
//! SHA-256; the time of a look-up does not tell how much of a guess is right; a text with one invalid line counts
//! for nothing.

use std::fmt;

use ring::digest::{SHA256, SHA256_OUTPUT_LEN, digest};
use subtle::ConstantTimeEq;

use crate::model::calendar::{parse_rfc3339, timestamp};
use crate::model::moderation::Role;

/// The number of tokens in one file at most: a request is compared with all of them.
const TOKENS_MAX: usize = 1000;
/// The random bytes of a token.
pub const TOKEN_RANDOM_BYTES: usize = 32;
/// The beginning of every token, by which people and scanners of leaked secrets recognise one.
const PREFIX: &str = "rvw_";
const NAME_BYTES_MAX: usize = 64;
/// The word for a token that does not expire.
const NEVER: &str = "never";
const HEAD: &str = "\
# The tokens of reviewsd's admin API, written by `reviewsd token`. A line has a name, a role, the SHA-256 of the
# token, and the time when it expires, or never.
";
/// Names of actors that have no token: no token may pass for one of them.
const RESERVED: [&str; 6] = [
    "loopback",
    "certificate",
    "server",
    "reports",
    "rules",
    "check",
];

/// The SHA-256 of a token.
type TokenHash = [u8; SHA256_OUTPUT_LEN];

/// The tokens that a server accepts.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TokenTable(Vec<TokenRecord>);

/// A token, but for its secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenRecord {
    /// The name of the person or program that has it.
    pub name: String,
    /// What it is for.
    pub role: Role,
    /// The time when it expires, in milliseconds since 1970; `None` is never.
    pub expires_ms: Option<i64>,
    hash: TokenHash,
}

impl TokenRecord {
    /// True if it has expired by `now_ms`.
    #[must_use]
    pub fn is_expired(&self, now_ms: i64) -> bool {
        self.expires_ms.is_some_and(|expires| expires <= now_ms)
    }
}

impl TokenTable {
    /// Reads the text of a file.
    ///
    /// # Errors
    ///
    /// The first line that is no token, or of a name that an earlier line has.
    pub fn parse(text: &str) -> Result<Self, TokenTableError> {
        let mut table = Self::default();
        for (line, text) in (1..).zip(text.lines()) {
            let text = text.trim();
            if text.is_empty() || text.starts_with('#') {
                continue;
            }
            let read = record(text).and_then(|record| table.push(record));
            read.map_err(|what| TokenTableError::Line {
                line,
                what: Box::new(what),
            })?;
        }
        Ok(table)
    }

    /// Adds the token that these random bytes make, and returns it: from then on only its owner has it.
    ///
    /// # Errors
    ///
    /// When the name is invalid or taken, or there are too many tokens.
    pub fn add(
        &mut self,
        name: &str,
        role: Role,
        expires_ms: Option<i64>,
        random: &[u8; TOKEN_RANDOM_BYTES],
    ) -> Result<String, TokenTableError> {
        let token = format!("{PREFIX}{}", base64url(random));
        self.push(TokenRecord {
            name: checked_name(name)?.to_owned(),
            role,
            expires_ms,
            hash: hash(token.as_bytes()),
        })?;
        Ok(token)
    }

    /// Removes the token with a name. Returns whether there was one.
    pub fn remove(&mut self, name: &str) -> bool {
        let before = self.0.len();
        self.0.retain(|record| record.name != name);
        self.0.len() < before
    }

    /// The tokens, in the order of the file.
    pub fn iter(&self) -> impl Iterator<Item = &TokenRecord> {
        self.0.iter()
    }

    /// The record of a token, expired or not. Compares it with every one, whether an earlier one matched or not.
    pub(super) fn find(&self, token: &[u8]) -> Option<&TokenRecord> {
        let guess = hash(token);
        let mut found = None;
        for record in &self.0 {
            if bool::from(record.hash.ct_eq(&guess)) {
                found = Some(record);
            }
        }
        found
    }

    fn push(&mut self, record: TokenRecord) -> Result<(), TokenTableError> {
        if self.0.iter().any(|known| known.name == record.name) {
            return Err(TokenTableError::Taken(record.name));
        }
        if self.0.len() >= TOKENS_MAX {
            return Err(TokenTableError::Full);
        }
        self.0.push(record);
        Ok(())
    }
}

/// The text of the file.
impl fmt::Display for TokenTable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(HEAD)?;
        for record in &self.0 {
            write!(f, "{} {} ", record.name, record.role.word())?;
            for byte in record.hash {
                write!(f, "{byte:02x}")?;
            }
            writeln!(f, " {}", expiry(record.expires_ms))?;
        }
        Ok(())
    }
}

/// Returns the time when a token expires as the file writes it.
#[must_use]
pub fn expiry(expires_ms: Option<i64>) -> String {
    expires_ms.map_or_else(|| NEVER.to_owned(), timestamp)
}

/// The token of a line.
fn record(line: &str) -> Result<TokenRecord, TokenTableError> {
    let mut words = line.split_ascii_whitespace();
    let parts = [words.next(), words.next(), words.next(), words.next()];
    let [Some(name), Some(role), Some(hash), Some(expires)] = parts else {
        return Err(TokenTableError::Incomplete);
    };
    if words.next().is_some() {
        return Err(TokenTableError::Incomplete);
    }
    Ok(TokenRecord {
        name: checked_name(name)?.to_owned(),
        role: Role::of_word(role).ok_or_else(|| TokenTableError::Role(role.to_owned()))?,
        hash: unhex(hash).ok_or(TokenTableError::Hash)?,
        expires_ms: match expires {
            NEVER => None,
            time => Some(parse_rfc3339(time).ok_or(TokenTableError::Time)?),
        },
    })
}

/// A name that a log and a line of the file can hold, and that no actor without a token has.
fn checked_name(name: &str) -> Result<&str, TokenTableError> {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    let begins = name
        .bytes()
        .next()
        .is_some_and(|byte| byte.is_ascii_alphanumeric());
    if !begins || name.len() > NAME_BYTES_MAX || !name.bytes().all(is_plain) {
        return Err(TokenTableError::Name);
    }
    if RESERVED.contains(&name) {
        return Err(TokenTableError::Reserved(name.to_owned()));
    }
    Ok(name)
}

fn hash(token: &[u8]) -> TokenHash {
    let mut hash = TokenHash::default();
    // Both are as long as a SHA-256.
    hash.copy_from_slice(digest(&SHA256, token).as_ref());
    hash
}

fn unhex(text: &str) -> Option<TokenHash> {
    let digits = text.as_bytes();
    if digits.len() != 2 * SHA256_OUTPUT_LEN || !digits.iter().all(u8::is_ascii_hexdigit) {
        return None;
    }
    let mut hash = TokenHash::default();
    for (byte, pair) in hash.iter_mut().zip(digits.chunks_exact(2)) {
        *byte = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
    }
    Some(hash)
}

/// Bytes in the alphabet of base64url, without padding.
fn base64url(bytes: &[u8]) -> String {
    let letter = |six: u32| match u8::try_from(six & 63).unwrap_or(0) {
        value @ 0..26 => char::from(b'A' + value),
        value @ 26..52 => char::from(b'a' + value - 26),
        value @ 52..62 => char::from(b'0' + value - 52),
        62 => '-',
        _ => '_',
    };
    let mut text = String::new();
    for three in bytes.chunks(3) {
        let bits = three
            .iter()
            .fold(0, |bits, byte| (bits << 8) | u32::from(*byte));
        let missing = 3 - three.len();
        let bits = bits << (8 * missing);
        let letters = [bits >> 18, bits >> 12, bits >> 6, bits].map(letter);
        text.extend(letters.iter().take(4 - missing));
    }
    text
}

/// The reason a text lists no tokens, or no more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TokenTableError {
    /// A line is invalid.
    Line {
        /// The line, from 1.
        line: usize,
        /// Its fault.
        what: Box<TokenTableError>,
    },
    /// A line has fewer or more than its four words.
    Incomplete,
    /// A name has other characters than a name may have, or too many.
    Name,
    /// The name is that of an actor without a token.
    Reserved(String),
    /// There is a token with this name.
    Taken(String),
    /// There is no such role.
    Role(String),
    /// The hash is no SHA-256.
    Hash,
    /// The time of expiry is none.
    Time,
    /// There are as many tokens as there may be.
    Full,
}

impl fmt::Display for TokenTableError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Line { line, what } => write!(f, "line {line}: {what}"),
            Self::Incomplete => f.write_str(
                "it must have four words: a name, a role, the SHA-256 of the token, and when it expires, or never",
            ),
            Self::Name => write!(
                f,
                "a name has 1 to {NAME_BYTES_MAX} letters, digits and - _ . and begins with a letter or a digit"
            ),
            Self::Reserved(name) => write!(f, "the name {name} is reserved; choose another one"),
            Self::Taken(name) => write!(
                f,
                "there is a token named {name} already; choose another name, or remove that one first"
            ),
            Self::Role(role) => {
                write!(f, "there is no role {role}; the roles are")?;
                for (index, role) in Role::ALL.iter().enumerate() {
                    f.write_str(if index == 0 { " " } else { ", " })?;
                    f.write_str(role.word())?;
                }
                Ok(())
            }
            Self::Hash => f.write_str("the third word must be a SHA-256, of 64 hexadecimal digits"),
            Self::Time => f.write_str(
                "the fourth word must be a time with its zone, like 2027-03-01T00:00:00Z, or never",
            ),
            Self::Full => write!(f, "there are {TOKENS_MAX} tokens, and cannot be more; remove some"),
        }
    }
}

impl std::error::Error for TokenTableError {}

#[cfg(test)]
mod tests {
    use super::*;

    const RANDOM: [u8; TOKEN_RANDOM_BYTES] = [7; TOKEN_RANDOM_BYTES];

    fn table() -> (TokenTable, Vec<String>) {
        let mut table = TokenTable::default();
        let mut tokens = Vec::new();
        for (number, role) in (0..).zip(Role::ALL) {
            let expires = (number == 1).then_some(1_800_000_000_000);
            let name = format!("{}-1", role.word());
            tokens.push(table.add(&name, *role, expires, &[number; 32]).unwrap());
        }
        (table, tokens)
    }

    #[test]
    fn a_table_is_read_as_it_was_written() {
        let (table, tokens) = table();
        let text = table.to_string();
        assert_eq!(TokenTable::parse(&text).unwrap(), table);
        assert!(
            text.contains(" 2027-01-15T08:00:00.000Z\n") && text.contains(" never\n"),
            "{text}"
        );
        for token in tokens {
            assert!(!text.contains(&token) && !format!("{table:?}").contains(&token));
        }
        assert_eq!(TokenTable::parse("").unwrap(), TokenTable::default());
    }

    #[test]
    fn a_token_is_found_by_all_of_it_alone() {
        let (table, tokens) = table();
        for (token, role) in tokens.iter().zip(Role::ALL) {
            assert_eq!(table.find(token.as_bytes()).unwrap().role, *role);
            let cut = &token[..token.len() - 1];
            let longer = format!("{token}A");
            let other = format!("x{}", &token[1..]);
            for guess in ["", "rvw_", cut, &longer, &other] {
                assert!(table.find(guess.as_bytes()).is_none(), "{guess}");
            }
        }
    }

    #[test]
    fn a_token_has_a_prefix_and_256_random_bits() {
        let token = TokenTable::default()
            .add("a", Role::Reader, None, &RANDOM)
            .unwrap();
        assert_eq!(token.len(), "rvw_".len() + 43);
        assert!(token.starts_with("rvw_Bwc"), "{token}");
        for (bytes, text) in [
            (&[][..], ""),
            (&[0xff], "_w"),
            (&[0xfb, 0xff], "-_8"),
            (b"Man", "TWFu"),
            (b"light work.", "bGlnaHQgd29yay4"),
        ] {
            assert_eq!(base64url(bytes), text);
        }
    }

    #[test]
    fn the_hash_is_the_sha_256_of_the_token() {
        let known = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(unhex(known), Some(hash(b"abc")));
    }

    #[test]
    fn names_that_mislead_are_refused() {
        let mut table = TokenTable::default();
        let mut add = |name: &str| table.add(name, Role::Reader, None, &RANDOM);
        for name in ["ana", "prometheus-2", "A.b_c"] {
            add(name).unwrap();
        }
        assert_eq!(add("ana"), Err(TokenTableError::Taken("ana".to_owned())));
        let long = "x".repeat(65);
        for name in [
            "",
            "-ana",
            "ana b",
            "aña",
            "a\nb",
            "#a",
            "ana@shop.example",
            &long,
        ] {
            assert_eq!(add(name), Err(TokenTableError::Name), "{name}");
        }
        for name in RESERVED {
            assert_eq!(add(name), Err(TokenTableError::Reserved(name.to_owned())));
        }
        assert!(table.remove("ana") && !table.remove("ana"));
    }

    #[test]
    fn a_damaged_line_is_named_with_its_fault() {
        let hash = "0".repeat(64);
        for (line, what) in [
            ("ana".to_owned(), "four words"),
            (format!("ana reader {hash}"), "four words"),
            (format!("ana reader {hash} never more"), "four words"),
            (format!("-a reader {hash} never"), "a name has"),
            (format!("loopback reader {hash} never"), "reserved"),
            (
                format!("ana admin {hash} never"),
                "the roles are reader, moderator, catalogue",
            ),
            (format!("ana reader {} never", &hash[1..]), "a SHA-256"),
            (format!("ana reader +{} never", &hash[1..]), "a SHA-256"),
            (
                format!("ana reader {hash} tomorrow"),
                "a time with its zone",
            ),
            (format!("bob moderator {hash} never"), "named bob already"),
        ] {
            let text = format!("# tokens\n\nbob reader {hash} never\n{line}\n");
            let said = TokenTable::parse(&text).unwrap_err().to_string();
            assert!(
                said.starts_with("line 4: ") && said.contains(what),
                "{said}"
            );
        }
    }

    #[test]
    fn a_file_has_a_bounded_number_of_tokens() {
        let mut table = TokenTable::default();
        for number in 0..TOKENS_MAX {
            table
                .add(&format!("t{number}"), Role::Reader, None, &RANDOM)
                .unwrap();
        }
        let more = table.add("more", Role::Reader, None, &RANDOM);
        assert_eq!(more, Err(TokenTableError::Full));
    }

    #[test]
    fn a_token_expires_at_its_time_and_not_before() {
        let mut record = TokenTable::default();
        record.add("a", Role::Reader, Some(1000), &RANDOM).unwrap();
        record.add("b", Role::Reader, None, &RANDOM).unwrap();
        let expired = |now| {
            record
                .iter()
                .map(|one| one.is_expired(now))
                .collect::<Vec<_>>()
        };
        assert_eq!(expired(999), [false, false]);
        assert_eq!(expired(1000), [true, false]);
    }
}
