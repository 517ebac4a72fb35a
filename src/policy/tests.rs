//! The rules together: which of them decides, and on what ground.

use super::*;

fn texts(body: &str) -> ReviewTexts<'_> {
    ReviewTexts {
        summary: "Good",
        body,
        name: "walker",
    }
}

fn words(entries: &[&str]) -> WordList {
    let mut words = WordList::default();
    for entry in entries {
        words.add(entry).unwrap();
    }
    words
}

fn judged(rules: &ContentRules, body: &str) -> (Verdict, ReasonCode) {
    let Judgement { verdict, reason } = rules.judge(&texts(body));
    (verdict, reason)
}

const PUBLISHED: (Verdict, ReasonCode) = (Verdict::Publish, ReasonCode::Unstated);

#[test]
fn without_rules_everything_is_published() {
    let rules = ContentRules::default();
    assert!(rules.is_empty());
    let body = "http://spam.com ".repeat(500);
    assert_eq!(judged(&rules, &body), PUBLISHED);
    assert_eq!(judged(&rules, ""), PUBLISHED);
}

#[test]
fn each_rule_has_its_reason() {
    let rules = ContentRules {
        words: words(&["casino"]),
        links_max: Some(0),
        body_chars_min: 3,
        body_chars_max: Some(40),
        repeated_chars_max: 5,
        repeated_words_min: 3,
        ..ContentRules::default()
    };
    for (body, reason) in [
        ("A casino!", ReasonCode::Words),
        ("see spam.com", ReasonCode::Links),
        ("  ab  ", ReasonCode::Length),
        (
            "It is as it should be, every single day and night",
            ReasonCode::Length,
        ),
        ("goooooood", ReasonCode::Repetition),
        ("buy buy it", ReasonCode::Repetition),
    ] {
        assert_eq!(judged(&rules, body), (Verdict::Hold, reason), "{body}");
    }
    assert_eq!(judged(&rules, "It is as it should be."), PUBLISHED);
}

#[test]
fn every_text_that_is_shown_is_judged() {
    let rules = ContentRules {
        words: words(&["casino"]),
        ..ContentRules::default()
    };
    let fine = texts("fine");
    for texts in [
        ReviewTexts {
            summary: "casino",
            ..fine
        },
        ReviewTexts {
            name: "Casino",
            ..fine
        },
    ] {
        assert_eq!(rules.judge(&texts).reason, ReasonCode::Words);
    }
}

#[test]
fn links_of_all_texts_count_together() {
    let rules = ContentRules {
        links_max: Some(1),
        ..ContentRules::default()
    };
    let two = ReviewTexts {
        summary: "a.com",
        body: "b.com",
        name: "n",
    };
    assert_eq!(rules.judge(&two).reason, ReasonCode::Links);
    assert_eq!(judged(&rules, "b.com"), PUBLISHED);
}

#[test]
fn the_strictest_verdict_decides_and_then_the_first_rule() {
    let mut rules = ContentRules {
        words: words(&["casino"]),
        links_max: Some(0),
        ..ContentRules::default()
    };
    let body = "casino.com casino";
    assert_eq!(judged(&rules, body), (Verdict::Hold, ReasonCode::Words));
    rules.links_verdict = Verdict::Refuse;
    assert_eq!(judged(&rules, body), (Verdict::Refuse, ReasonCode::Links));
    rules.words_verdict = Verdict::Publish;
    rules.links_verdict = Verdict::Publish;
    assert_eq!(judged(&rules, body), PUBLISHED);
}

#[test]
fn every_word_leads_back_to_its_verdict() {
    for verdict in Verdict::ALL {
        assert_eq!(Verdict::of_word(verdict.word()), Some(verdict));
    }
    assert_eq!(Verdict::of_word("maybe"), None);
}
