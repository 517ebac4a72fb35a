//! A list of blocked words and phrases, and whether a text has one.
//!
//! Must not know where a list comes from. Invariants: a word is found whole and in every spelling that is folded
//! alike; the time to look for a list does not depend on its length.

use std::collections::{HashSet, VecDeque};
use std::fmt;

use super::fold::{WORD_BYTES_MAX, any_word};

/// Words of a phrase at most; in a script without spaces, its characters.
const PHRASE_WORDS_MAX: usize = 16;

/// Blocked words and phrases.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct WordList {
    /// Folded, with a space between the words of a phrase.
    phrases: HashSet<String>,
    /// For each number of words, from 1 on, whether a phrase has so many.
    lengths: [bool; PHRASE_WORDS_MAX],
}

impl WordList {
    /// Returns true if nothing is blocked.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.phrases.is_empty()
    }

    /// Adds a word or a phrase.
    ///
    /// # Errors
    ///
    /// When a text could never have it.
    pub fn add(&mut self, entry: &str) -> Result<(), InvalidWord> {
        let mut phrase = String::new();
        let (mut words, mut is_long) = (0, false);
        any_word(entry, |word| {
            if words > 0 {
                phrase.push(' ');
            }
            words += 1;
            is_long = word.letters().is_none() || words > PHRASE_WORDS_MAX;
            phrase.push_str(word.letters().unwrap_or_default());
            is_long
        });
        if is_long {
            return Err(InvalidWord::Long);
        }
        let place = words.checked_sub(1).ok_or(InvalidWord::Empty)?;
        if let Some(length) = self.lengths.get_mut(place) {
            *length = true;
        }
        self.phrases.insert(phrase);
        Ok(())
    }

    /// Adds each line of a text; empty lines, and those that begin with `#`, are passed over.
    ///
    /// # Errors
    ///
    /// The number of the first line that is no word, from 1.
    pub fn add_lines(&mut self, text: &str) -> Result<(), (usize, InvalidWord)> {
        for (number, line) in (1..).zip(text.trim_start_matches('\u{feff}').lines()) {
            let line = line.trim();
            if !line.is_empty() && !line.starts_with('#') {
                self.add(line).map_err(|why| (number, why))?;
            }
        }
        Ok(())
    }

    /// Returns true if one of them is in `text`.
    pub(crate) fn is_in(&self, text: &str) -> bool {
        if self.is_empty() {
            return false;
        }
        let mut last: VecDeque<String> = VecDeque::with_capacity(PHRASE_WORDS_MAX);
        let mut phrase = String::new();
        any_word(text, |word| {
            let Some(letters) = word.letters() else {
                // No phrase has such a word in it.
                last.clear();
                return false;
            };
            let mut room = if last.len() == PHRASE_WORDS_MAX {
                last.pop_back().unwrap_or_default()
            } else {
                String::new()
            };
            room.clear();
            room.push_str(letters);
            last.push_front(room);
            self.ends_in_phrase(&last, &mut phrase)
        })
    }

    /// Returns true if the latest words, the last one first, end in a phrase.
    fn ends_in_phrase(&self, last: &VecDeque<String>, phrase: &mut String) -> bool {
        let lengths = (1..=last.len()).zip(&self.lengths);
        lengths
            .filter(|(_, is_there)| **is_there)
            .any(|(length, _)| {
                phrase.clear();
                for (place, word) in last.iter().take(length).rev().enumerate() {
                    if place > 0 {
                        phrase.push(' ');
                    }
                    phrase.push_str(word);
                }
                self.phrases.contains(phrase.as_str())
            })
    }
}

/// The reason a text is no blocked word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InvalidWord {
    /// It has neither a letter nor a digit.
    Empty,
    /// It is longer than a word or a phrase may be.
    Long,
}

impl fmt::Display for InvalidWord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("a word must have a letter or a digit"),
            Self::Long => write!(
                f,
                "a phrase must have at most {PHRASE_WORDS_MAX} words, of at most {WORD_BYTES_MAX} bytes each"
            ),
        }
    }
}

impl std::error::Error for InvalidWord {}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(entries: &[&str]) -> WordList {
        let mut list = WordList::default();
        for entry in entries {
            list.add(entry).unwrap();
        }
        list
    }

    #[test]
    fn a_word_is_found_whole_and_in_every_spelling() {
        let list = list(&["Viagra", "café"]);
        for text in [
            "buy VIAGRA now",
            "vi\u{200b}agra",
            "(viagra)",
            "ＶＩＡＧＲＡ!",
            "the CAFE",
        ] {
            assert!(list.is_in(text), "{text}");
        }
        for text in ["viagras", "xviagra", "cafeteria", "via gra", ""] {
            assert!(!list.is_in(text), "{text}");
        }
    }

    #[test]
    fn a_phrase_is_found_whatever_stands_between_its_words() {
        let list = list(&["click here", "one two three four"]);
        for text in [
            "Click here!",
            "so click - HERE",
            "click\nhere",
            "zero one two, three four five",
        ] {
            assert!(list.is_in(text), "{text}");
        }
        for text in ["click", "here click", "click it here", "one two three"] {
            assert!(!list.is_in(text), "{text}");
        }
    }

    #[test]
    fn a_word_without_spaces_around_it_is_found_in_chinese() {
        assert!(list(&["买药"]).is_in("我要买药吗"));
        assert!(!list(&["买药"]).is_in("我要买中药"));
    }

    #[test]
    fn a_long_word_ends_a_phrase() {
        let long = "x".repeat(10_000);
        assert!(!list(&["a b"]).is_in(&format!("a {long} b")));
        assert!(list(&["a b"]).is_in(&format!("{long} a b")));
    }

    #[test]
    fn lines_are_words_but_for_comments() {
        let mut list = WordList::default();
        list.add_lines("\u{feff}# Advertising\n\n  casino \r\nbuy now\n")
            .unwrap();
        assert_eq!(list, super::tests::list(&["buy now", "casino"]));
        assert_eq!(list.add_lines("a\n--\n"), Err((2, InvalidWord::Empty)));
        let long = "a ".repeat(PHRASE_WORDS_MAX + 1);
        assert_eq!(list.add_lines(&long), Err((1, InvalidWord::Long)));
    }
}
