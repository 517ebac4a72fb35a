//! A strict reader of the text format of Prometheus: promtool accepts every page that it accepts.

#![expect(clippy::float_cmp, reason = "counts are whole, and so equal or not")]

use std::collections::{BTreeMap, BTreeSet};

type Labels = BTreeMap<String, String>;

/// A page that was read.
pub(in crate::serve) struct Metrics {
    /// By name of a sample, which has a suffix for histograms.
    samples: BTreeMap<String, Vec<(Labels, f64)>>,
}

impl Metrics {
    /// Reads a page, or panics with its faults.
    pub(super) fn read(text: &str) -> Self {
        assert!(text.ends_with('\n'), "the last line does not end");
        let mut samples = BTreeMap::<String, Vec<(Labels, f64)>>::new();
        let mut families = BTreeSet::new();
        let mut lines = text.lines().peekable();
        while let Some(line) = lines.next() {
            let help = line
                .strip_prefix("# HELP ")
                .unwrap_or_else(|| panic!("no help: {line}"));
            let (name, help) = help.split_once(' ').unwrap();
            assert!(is_name(name), "{line}");
            assert!(help.len() > 5 && help.ends_with('.'), "{line}");
            assert!(families.insert(name.to_owned()), "{name} comes twice");
            let kind = lines.next().unwrap();
            let kind = kind.strip_prefix(&format!("# TYPE {name} ")).unwrap();
            let mut family = Vec::new();
            while let Some(line) = lines.next_if(|line| !line.starts_with('#')) {
                family.push(sample(line));
            }
            check(name, kind, &family);
            for (name, labels, value) in family {
                let known = samples.entry(name.clone()).or_default();
                let is_new = known.iter().all(|(other, _)| *other != labels);
                assert!(is_new, "{name}{labels:?} comes twice");
                known.push((labels, value));
            }
        }
        Self { samples }
    }

    /// The value of the sample with exactly these labels.
    pub(in crate::serve) fn value(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        let value = self.find(name, labels);
        value.unwrap_or_else(|| panic!("there is no {name}{labels:?}"))
    }

    /// The same of a counter.
    pub(in crate::serve) fn count(&self, name: &str, labels: &[(&str, &str)]) -> u64 {
        whole(self.value(name, labels))
    }

    /// The same; a series that is not there yet is 0.
    pub(super) fn count_or_0(&self, name: &str, labels: &[(&str, &str)]) -> u64 {
        self.find(name, labels).map_or(0, whole)
    }

    /// All counts of a name.
    pub(super) fn counts(&self, name: &str) -> impl Iterator<Item = u64> {
        self.samples[name].iter().map(|(_, value)| whole(*value))
    }

    /// The labels of every sample of a name; none when there is none.
    pub(super) fn labels(&self, name: &str) -> impl Iterator<Item = &Labels> {
        let samples = self.samples.get(name).map_or(&[][..], Vec::as_slice);
        samples.iter().map(|(labels, _)| labels)
    }

    fn find(&self, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
        let owned = labels
            .iter()
            .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()));
        let labels: Labels = owned.collect();
        let samples = self.samples.get(name)?;
        samples
            .iter()
            .find(|(of, _)| *of == labels)
            .map(|(_, value)| *value)
    }
}

fn whole(value: f64) -> u64 {
    assert!(
        value.fract() == 0.0 && (0.0..1e15).contains(&value),
        "{value} is no count"
    );
    format!("{value}").parse().unwrap()
}

fn is_name(name: &str) -> bool {
    let is_word = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_';
    name.starts_with(|c: char| c.is_ascii_lowercase()) && name.bytes().all(is_word)
}

fn sample(line: &str) -> (String, Labels, f64) {
    let end = line
        .find(['{', ' '])
        .unwrap_or_else(|| panic!("no value: {line}"));
    let (name, mut rest) = line.split_at(end);
    assert!(is_name(name), "{line}");
    let mut labels = Labels::new();
    if let Some(inner) = rest.strip_prefix('{') {
        rest = inner;
        loop {
            let (label, after) = rest.split_once("=\"").unwrap();
            assert!(is_name(label), "{line}");
            let (value, after) = quoted(after);
            assert!(labels.insert(label.to_owned(), value).is_none(), "{line}");
            if let Some(after) = after.strip_prefix('}') {
                rest = after;
                break;
            }
            rest = after.strip_prefix(',').unwrap_or_else(|| panic!("{line}"));
        }
    }
    let value = rest.strip_prefix(' ').unwrap_or_else(|| panic!("{line}"));
    (name.to_owned(), labels, number(value))
}

/// A value up to its closing quote, and what follows that.
fn quoted(text: &str) -> (String, &str) {
    let mut value = String::new();
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return (value, &text[at + 1..]),
            '\\' => value.push(match chars.next().unwrap().1 {
                'n' => '\n',
                c @ ('\\' | '"') => c,
                c => panic!("\\{c}"),
            }),
            c => value.push(c),
        }
    }
    panic!("no closing quote: {text}")
}

fn number(text: &str) -> f64 {
    if text == "+Inf" {
        return f64::INFINITY;
    }
    let is_plain = |b: u8| b.is_ascii_digit() || b"+-.e".contains(&b);
    assert!(text.bytes().all(is_plain), "{text}");
    text.parse().unwrap()
}

fn check(name: &str, kind: &str, family: &[(String, Labels, f64)]) {
    let units = ["_seconds", "_bytes"];
    let wrong = ["_ms", "_kb", "_mib", "_milliseconds"];
    assert!(!wrong.iter().any(|unit| name.contains(unit)), "{name}");
    if name.contains("duration") {
        assert!(name.ends_with(units[0]), "{name}");
    }
    assert_eq!(
        kind == "counter",
        name.ends_with("_total"),
        "{name} is a {kind}"
    );
    match kind {
        "counter" | "gauge" => {
            for (sample, labels, value) in family {
                assert_eq!(sample, name);
                assert!(!labels.contains_key("le"), "{name}");
                assert!(value.is_finite() && *value >= 0.0, "{name} {value}");
            }
        }
        "histogram" => check_histogram(name, family),
        other => panic!("{name} is a {other}"),
    }
}

fn check_histogram(name: &str, family: &[(String, Labels, f64)]) {
    let mut left = family;
    while let Some((_, first, _)) = left.first() {
        let mut own = first.clone();
        own.remove("le");
        let buckets = left
            .iter()
            .take_while(|(n, ..)| *n == format!("{name}_bucket"));
        let (mut bound_before, mut count_before) = (f64::NEG_INFINITY, 0.0);
        let mut read = 0;
        for (_, labels, count) in buckets {
            let bound = number(&labels["le"]);
            let mut labels = labels.clone();
            labels.remove("le");
            assert_eq!(labels, own, "{name}");
            assert!(
                bound > bound_before && *count >= count_before,
                "{name} {own:?} {bound}"
            );
            (bound_before, count_before) = (bound, *count);
            read += 1;
        }
        assert_eq!(bound_before, f64::INFINITY, "{name} {own:?}");
        let [sum, count] = [&left[read], &left[read + 1]];
        assert_eq!((&sum.0, &sum.1), (&format!("{name}_sum"), &own));
        assert_eq!((&count.0, &count.1), (&format!("{name}_count"), &own));
        assert_eq!(count.2, count_before, "{name} {own:?}");
        assert!(
            sum.2 >= 0.0 && (count.2 > 0.0 || sum.2 == 0.0),
            "{name} {own:?}"
        );
        left = &left[read + 2..];
    }
}
