//! Any texts: judged without a panic, alike every time, and in time that grows with the text alone.

use std::time::{Duration, Instant};

use proptest::prelude::*;

use super::*;

/// Rules of every kind, with a phrase of every length.
fn rules() -> ContentRules {
    let mut words = WordList::default();
    for length in 1..=16 {
        words.add(&"ab ".repeat(length)).unwrap();
    }
    words.add("casino").unwrap();
    ContentRules {
        words,
        links_max: Some(3),
        body_chars_min: 1,
        body_chars_max: Some(10_000),
        repeated_chars_max: 8,
        repeated_words_min: 4,
        ..ContentRules::default()
    }
}

fn of_body(body: &str) -> ReviewTexts<'_> {
    ReviewTexts {
        summary: "",
        body,
        name: "",
    }
}

proptest! {
    #[test]
    fn any_text_is_judged_and_always_alike(summary in ".{0,40}", body in "\\PC{0,400}", name in any::<String>()) {
        let rules = rules();
        let texts = ReviewTexts { summary: &summary, body: &body, name: &name };
        prop_assert_eq!(rules.judge(&texts), rules.judge(&texts));
    }

    #[test]
    fn a_blocked_word_is_found_wherever_it_stands(before in "[a-z ]{0,60}", after in "[a-z ]{0,60}") {
        let text = format!("{before} cAsInó {after}");
        prop_assert!(rules().words.is_in(&text));
    }

    #[test]
    fn urls_are_counted_one_by_one(count in 0_u64..50) {
        let text = "https://a.example/b ".repeat(usize::try_from(count).unwrap());
        prop_assert_eq!(links::count(&text), count);
    }

    #[test]
    fn a_run_is_as_long_as_it_was_made(length in 1_usize..300) {
        let text = format!("ab{}ba", "c".repeat(length));
        prop_assert_eq!(repetition::longest_run(&text), length as u64);
    }
}

/// The time to judge a body, the least of a few tries.
fn time_of(rules: &ContentRules, body: &str) -> Duration {
    let once = || {
        let begun = Instant::now();
        std::hint::black_box(rules.judge(&of_body(body)));
        begun.elapsed()
    };
    (0..2).map(|_| once()).min().unwrap()
}

#[test]
fn time_grows_with_the_text_and_no_faster() {
    let mut rules = rules();
    // Nothing ends the search early.
    rules.words.add("zzz").unwrap();
    let pieces = [
        "x", "a b ", "ac ", "://", "a.com ", "a.", "\u{301}", "e\u{301}", "买", "ﷺ", "\u{200b}",
        "aC c9 ", "\n",
    ];
    for piece in pieces {
        let body = |bytes: usize| piece.repeat(bytes / piece.len());
        let (small, large) = (
            time_of(&rules, &body(8 << 10)),
            time_of(&rules, &body(128 << 10)),
        );
        // 16 times as much, and eight times that for a busy machine; a quadratic rule takes 256 times as long.
        let bound = (small + Duration::from_millis(1)) * 128;
        assert!(large < bound, "{piece:?}: {small:?}, then {large:?}");
    }
}
