//! Texts as they are compared: without case, accents, invisible characters and forms that look alike.
//!
//! Must not know what is looked for. Invariants: a text is read once, from its beginning to its end, and never
//! copied as a whole, however many marks a letter has; two spellings of one word are folded alike, in a list of words as in a review.

use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::is_combining_mark;

/// Bytes of a folded word at most. A longer one is in no list.
pub(crate) const WORD_BYTES_MAX: usize = 128;

/// Letters that Unicode does not take apart, and the letters that people write instead.
const SPELLINGS: [(char, &str); 9] = [
    ('ß', "ss"),
    ('æ', "ae"),
    ('œ', "oe"),
    ('ø', "o"),
    ('đ', "d"),
    ('ð', "d"),
    ('ł', "l"),
    ('ħ', "h"),
    ('ı', "i"),
];

/// The characters of a text in their plainest form, with their case: compatible forms are made one (`ﬁ` is `fi`,
/// `𝐚` is `a`), and accents and invisible characters are left out.
pub(crate) fn plain(text: &str) -> impl Iterator<Item = char> + '_ {
    text.stream_safe()
        .nfkd()
        .filter(|one| !is_accent(*one) && !is_invisible(*one))
}

/// The same without case.
pub(crate) fn folded(text: &str) -> impl Iterator<Item = char> + '_ {
    plain(text)
        .flat_map(char::to_lowercase)
        // The lower case of some letters is a letter with an accent.
        .filter(|one| !is_accent(*one))
        .flat_map(|one| {
            let spelling = SPELLINGS.iter().find(|(letter, _)| *letter == one);
            let alone = spelling.is_none().then_some(one);
            let spelling = spelling.map_or("", |(_, spelling)| spelling);
            alone.into_iter().chain(spelling.chars())
        })
}

/// A folded word of a text: its letters, unless it is too long to be stored.
#[derive(Debug, Default)]
pub(crate) struct Word {
    letters: String,
    is_long: bool,
}

impl Word {
    /// The letters; `None` of a word that is longer than any of a list.
    pub(crate) fn letters(&self) -> Option<&str> {
        (!self.is_long).then_some(self.letters.as_str())
    }

    fn push(&mut self, one: char) {
        if self.letters.len() + one.len_utf8() > WORD_BYTES_MAX {
            self.is_long = true;
        } else {
            self.letters.push(one);
        }
    }

    fn is_empty(&self) -> bool {
        self.letters.is_empty()
    }

    fn clear(&mut self) {
        self.letters.clear();
        self.is_long = false;
    }
}

/// Calls `each` with every word of a text: a run of letters, digits and marks, and in scripts that have no spaces
/// between words each character alone. Ends early when `each` returns true, and returns whether it did.
pub(crate) fn any_word(text: &str, mut each: impl FnMut(&Word) -> bool) -> bool {
    let mut word = Word::default();
    let mut end = |word: &mut Word| {
        let is_found = !word.is_empty() && each(word);
        word.clear();
        is_found
    };
    for one in folded(text) {
        let stands_alone = is_unspaced(one);
        let is_letter = one.is_alphanumeric() || is_combining_mark(one);
        if (stands_alone || !is_letter) && end(&mut word) {
            return true;
        }
        if stands_alone || is_letter {
            word.push(one);
        }
        if stands_alone && end(&mut word) {
            return true;
        }
    }
    end(&mut word)
}

/// True for an accent of a letter that is read without it, too. Marks of other scripts make another letter.
fn is_accent(one: char) -> bool {
    matches!(
        u32::from(one),
        0x0300..=0x036F | 0x1AB0..=0x1AFF | 0x1DC0..=0x1DFF | 0x20D0..=0x20FF | 0xFE00..=0xFE0F | 0xFE20..=0xFE2F
    )
}

/// True for a character that takes no place in a line, and so could hide a word.
fn is_invisible(one: char) -> bool {
    matches!(
        u32::from(one),
        0x00AD | 0x034F | 0x061C | 0x115F | 0x1160 | 0x17B4 | 0x17B5 | 0x180B..=0x180F
            | 0x200B..=0x200F | 0x202A..=0x202E | 0x2060..=0x206F | 0x3164 | 0xFEFF | 0xFFA0
            | 0xE0000..=0xE0FFF
    )
}

/// True for a character of a script that is written without spaces between words: Thai, Lao, Burmese, Khmer,
/// Chinese and Japanese.
fn is_unspaced(one: char) -> bool {
    matches!(
        u32::from(one),
        0x0E00..=0x0EFF | 0x1000..=0x109F | 0x1780..=0x17FF | 0x3041..=0x30FF | 0x31F0..=0x31FF
            | 0x3400..=0x4DBF | 0x4E00..=0x9FFF | 0xF900..=0xFAFF | 0x20000..=0x3FFFF
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<String> {
        let mut words = Vec::new();
        any_word(text, |word| {
            words.push(word.letters().unwrap_or("…").to_owned());
            false
        });
        words
    }

    #[test]
    fn spellings_of_one_word_are_folded_alike() {
        for spelling in [
            "strasse",
            "STRASSE",
            "Straße",
            "ＳＴＲＡＳＳＥ",
            "𝐬𝐭𝐫𝐚𝐬𝐬𝐞",
            "stra\u{ad}sse",
            "s\u{200b}trasse",
            "stra\u{301}sse",
        ] {
            assert_eq!(words(spelling), ["strasse"], "{spelling}");
        }
        assert_eq!(words("ÉCOLE école e\u{301}cole"), ["ecole"; 3]);
        assert_eq!(words("İstanbul ISTANBUL"), ["istanbul"; 2]);
        assert_eq!(words("ﬁne œuvre"), ["fine", "oeuvre"]);
    }

    #[test]
    fn words_are_whole_and_stand_between_other_characters() {
        assert_eq!(
            words("It's 100% (really) good.So"),
            ["it", "s", "100", "really", "good", "so"]
        );
        assert_eq!(words(" -- "), Vec::<String>::new());
    }

    #[test]
    fn scripts_without_spaces_have_a_word_for_each_character() {
        assert_eq!(words("买药x"), ["买", "药", "x"]);
        assert_eq!(words("ครีม").len(), 4);
    }

    #[test]
    fn a_vowel_sign_of_another_script_is_no_accent() {
        assert_ne!(words("कि"), words("का"));
    }

    #[test]
    fn a_word_that_is_too_long_has_no_letters() {
        let long = "x".repeat(WORD_BYTES_MAX + 1);
        assert_eq!(words(&format!("{long} y")), ["…", "y"]);
    }
}
