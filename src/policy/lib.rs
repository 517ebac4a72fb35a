//! The content rules of moderation: whether the texts of a posted review are published, held or refused, and
//! on what ground.
//!
//! Must not know the store, HTTP or the configuration. Invariants: a verdict depends on the texts and the rules
//! alone; it takes time in proportion to the texts and memory of a fixed size, whatever the texts are.

mod fold;
mod links;
mod repetition;
mod words;

use model::moderation::ReasonCode;

pub use words::{InvalidWord, WordList};

/// The decision on a posted review, from the mildest to the strictest.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Verdict {
    /// It is in the lists at once.
    #[default]
    Publish,
    /// It waits for a moderator.
    Hold,
    /// It is not stored, and its client learns why.
    Refuse,
}

impl Verdict {
    /// All verdicts, from the mildest to the strictest.
    pub const ALL: [Self; 3] = [Self::Publish, Self::Hold, Self::Refuse];

    /// The word in answers of a check, in configuration and in metrics.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Publish => "publish",
            Self::Hold => "hold",
            Self::Refuse => "refuse",
        }
    }

    /// The verdict with a word.
    #[must_use]
    pub fn of_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|verdict| verdict.word() == word)
    }
}

/// A verdict with its ground.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Judgement {
    /// The verdict.
    pub verdict: Verdict,
    /// The ground.
    pub reason: ReasonCode,
}

impl Judgement {
    /// The judgement on a review that no rule has anything against.
    pub const PUBLISH: Self = Self {
        verdict: Verdict::Publish,
        reason: ReasonCode::Unstated,
    };

    /// A verdict on this ground.
    #[must_use]
    pub const fn new(verdict: Verdict, reason: ReasonCode) -> Self {
        Self { verdict, reason }
    }

    /// Returns the stricter of two judgements, and the first of two that are equally strict.
    #[must_use]
    pub fn or_stricter(self, other: Self) -> Self {
        if other.verdict > self.verdict {
            other
        } else {
            self
        }
    }
}

/// The texts of a review that everybody would read.
#[derive(Debug, Clone, Copy)]
pub struct ReviewTexts<'a> {
    /// The headline.
    pub summary: &'a str,
    /// The text.
    pub body: &'a str,
    /// The name that the reviewer shows.
    pub name: &'a str,
}

/// The content rules, each with the verdict on a review that breaks it. The default has no rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContentRules {
    /// The words that no text may have.
    pub words: WordList,
    /// The verdict on a review with one of them.
    pub words_verdict: Verdict,
    /// Links that all texts together may have; `None` is any number.
    pub links_max: Option<u32>,
    /// The verdict on a review with more.
    pub links_verdict: Verdict,
    /// Characters that a body must have; white space around it does not count.
    pub body_chars_min: usize,
    /// Characters that a body may have, the same; `None` is any number.
    pub body_chars_max: Option<usize>,
    /// The verdict on a review with fewer or more.
    pub length_verdict: Verdict,
    /// The number of times that one character may stand in a row; 0 is any.
    pub repeated_chars_max: usize,
    /// The number of words from which on no word may be more than half of a body; 0 is never.
    pub repeated_words_min: usize,
    /// The verdict on a review that repeats more.
    pub repetition_verdict: Verdict,
}

impl Default for ContentRules {
    fn default() -> Self {
        Self {
            words: WordList::default(),
            words_verdict: Verdict::Hold,
            links_max: None,
            links_verdict: Verdict::Hold,
            body_chars_min: 0,
            body_chars_max: None,
            length_verdict: Verdict::Hold,
            repeated_chars_max: 0,
            repeated_words_min: 0,
            repetition_verdict: Verdict::Hold,
        }
    }
}

impl ContentRules {
    /// Returns true if there is no rule that a review could break.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.words.is_empty()
            && self.links_max.is_none()
            && self.body_chars_min == 0
            && self.body_chars_max.is_none()
            && self.repeated_chars_max == 0
            && self.repeated_words_min == 0
    }

    /// Judges the texts of a review: by the strictest verdict of the rules that they break, and of equally strict
    /// ones by the first.
    #[must_use]
    pub fn judge(&self, texts: &ReviewTexts<'_>) -> Judgement {
        let broken = [
            (
                self.has_blocked_word(texts),
                self.words_verdict,
                ReasonCode::Words,
            ),
            (
                self.has_many_links(texts),
                self.links_verdict,
                ReasonCode::Links,
            ),
            (
                self.is_short_or_long(texts),
                self.length_verdict,
                ReasonCode::Length,
            ),
            (
                self.is_repetitive(texts),
                self.repetition_verdict,
                ReasonCode::Repetition,
            ),
        ];
        let broken = broken.into_iter().filter(|(is_broken, ..)| *is_broken);
        broken
            .map(|(_, verdict, reason)| Judgement::new(verdict, reason))
            .fold(Judgement::PUBLISH, Judgement::or_stricter)
    }

    fn has_blocked_word(&self, texts: &ReviewTexts<'_>) -> bool {
        all(texts).any(|text| self.words.is_in(text))
    }

    fn has_many_links(&self, texts: &ReviewTexts<'_>) -> bool {
        let Some(links_max) = self.links_max else {
            return false;
        };
        let links: u64 = all(texts).map(links::count).sum();
        links > u64::from(links_max)
    }

    fn is_short_or_long(&self, texts: &ReviewTexts<'_>) -> bool {
        let chars = texts.body.trim().chars().count();
        chars < self.body_chars_min || self.body_chars_max.is_some_and(|max| chars > max)
    }

    fn is_repetitive(&self, texts: &ReviewTexts<'_>) -> bool {
        let repeats_chars = |text| {
            self.repeated_chars_max > 0
                && repetition::longest_run(text) > self.repeated_chars_max as u64
        };
        let repeats_words = self.repeated_words_min > 0
            && repetition::has_dominant_word(texts.body, self.repeated_words_min as u64);
        repeats_words || all(texts).any(repeats_chars)
    }
}

fn all<'a>(texts: &ReviewTexts<'a>) -> impl Iterator<Item = &'a str> {
    [texts.summary, texts.body, texts.name].into_iter()
}

#[cfg(test)]
mod properties;
#[cfg(test)]
mod tests;
