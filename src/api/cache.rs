//! Answers that were rendered before, within a number of bytes.
//!
//! Must not know how answers are made. Invariants: an answer is kept under all that it depends on
//! beside the store; the store is not written while it is served, so what is kept stays right.

use bytes::Bytes;
use quick_cache::Weighter;
use quick_cache::sync::Cache;

use super::question::Question;

/// What a kept answer takes beside its bytes: the entry, the handle, the allocator's rounding.
const ENTRY_BYTES: usize = 256;
/// What answers are taken to weigh when the cache sizes its tables.
const USUAL_ANSWER_BYTES: usize = 2048;

/// Rendered answers by question.
pub(super) struct Answers(Cache<Question, Bytes, Weight>);

impl Answers {
    /// A cache that keeps within `bytes`.
    pub(super) fn new(bytes: u64) -> Self {
        let answers = usize::try_from(bytes).unwrap_or(usize::MAX) / USUAL_ANSWER_BYTES;
        Self(Cache::with_weighter(answers, bytes, Weight))
    }

    /// The answer, if it is here.
    pub(super) fn get(&self, question: &Question) -> Option<Bytes> {
        self.0.get(question)
    }

    /// Keeps an answer, in place of those that were asked for less.
    pub(super) fn keep(&self, question: Question, answer: &Bytes) {
        self.0.insert(question, answer.clone());
    }
}

#[derive(Clone)]
struct Weight;

impl Weighter<Question, Bytes> for Weight {
    fn weight(&self, _: &Question, answer: &Bytes) -> u64 {
        (answer.len() + ENTRY_BYTES) as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::ProductId;

    #[test]
    fn what_is_kept_is_given_back() {
        let answers = Answers::new(1 << 20);
        let question = Question::Meta(ProductId(1));
        assert_eq!(answers.get(&question), None);
        answers.keep(question, &Bytes::from_static(b"{}"));
        assert_eq!(answers.get(&question), Some(Bytes::from_static(b"{}")));
        assert_eq!(answers.get(&Question::Styles(ProductId(1))), None);
    }

    #[test]
    fn the_bytes_kept_stay_within_the_bound() {
        let answers = Answers::new(1 << 20);
        for product in 0..10_000 {
            let answer = Bytes::from(vec![b'x'; 1000]);
            answers.keep(Question::Meta(ProductId(product)), &answer);
        }
        assert!(answers.0.weight() <= 1 << 20, "{}", answers.0.weight());
        assert!(answers.0.len() > 100);
    }
}
