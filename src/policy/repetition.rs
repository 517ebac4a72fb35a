//! Texts that say the same again and again.
//!
//! Must not know the limits. Invariant: a text is read twice at most, and nothing of it is stored but one word's
//! hash.

use std::hash::{DefaultHasher, Hash, Hasher};

use super::fold::{any_word, folded};

/// Returns how many times one character stands in a row at most. Case and accents do not tell characters apart,
/// and white space does not count.
pub(crate) fn longest_run(text: &str) -> u64 {
    let (mut longest, mut run, mut last) = (0, 0, None);
    for one in folded(text) {
        if one.is_whitespace() {
            last = None;
            continue;
        }
        run = if last == Some(one) { run + 1 } else { 1 };
        last = Some(one);
        longest = longest.max(run);
    }
    longest
}

/// Returns true if the text has at least `words_min` words, and one of them is more than half of them.
pub(crate) fn has_dominant_word(text: &str, words_min: u64) -> bool {
    // A word that is more than half of them outlasts all others together (Boyer and Moore).
    let (mut words, mut candidate, mut lead) = (0_u64, 0_u64, 0_u64);
    hashes(text, |hash| {
        words += 1;
        if lead == 0 {
            (candidate, lead) = (hash, 1);
        } else if candidate == hash {
            lead += 1;
        } else {
            lead -= 1;
        }
    });
    if words < words_min || lead == 0 {
        return false;
    }
    let mut count = 0_u64;
    hashes(text, |hash| count += u64::from(hash == candidate));
    count * 2 > words
}

/// Calls `each` with a hash of every word that is not too long to be one.
fn hashes(text: &str, mut each: impl FnMut(u64)) {
    any_word(text, |word| {
        let mut hasher = DefaultHasher::new();
        word.letters().hash(&mut hasher);
        each(hasher.finish());
        false
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_is_of_one_character_without_its_case() {
        for (text, run) in [
            ("", 0),
            ("abc", 1),
            ("good", 2),
            ("soooo goooooood", 7),
            ("AaAá", 4),
            ("! ! !", 1),
            ("x!!!!\n\n\n\n\n\n\n", 4),
            ("          ", 0),
        ] {
            assert_eq!(longest_run(text), run, "{text}");
        }
    }

    #[test]
    fn a_word_dominates_if_it_is_more_than_half() {
        for (text, is_dominated) in [
            ("buy buy buy", true),
            ("buy Buy, now", true),
            ("buy now buy now", false),
            ("a b buy c buy d buy buy buy", true),
            ("buy", false),
            ("", false),
        ] {
            assert_eq!(has_dominant_word(text, 3), is_dominated, "{text}");
        }
        assert!(!has_dominant_word("buy buy buy", 4));
    }
}
