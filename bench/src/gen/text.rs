//! Texts from templates: the word lists, loaded once, and how a line of them is written.
//!
//! Owns the format of `words.txt` and must not know what a text is for. What
//! it writes is the inside of a quoted CSV field: quotes are doubled already.
//! A list uses only lists above it, so every text ends.

use std::collections::HashMap;

use anyhow::{Context, Result, bail};

use crate::r#gen::category::{CATEGORIES, CATEGORY_COUNT, Category};
use crate::rng::Rng;

const WORDS: &str = include_str!("words.txt");

/// The subject of a text: the category chooses the lists, the rest fills slots.
pub(crate) struct Subject {
    pub(crate) category: &'static Category,
    pub(crate) product: Vec<u8>,
    pub(crate) material: Vec<u8>,
    pub(crate) material_title: Vec<u8>,
}

/// A list's name, looked up for every category.
#[derive(Clone, Copy)]
pub(crate) struct Slot([usize; CATEGORY_COUNT]);

pub(crate) struct Phrases {
    lists: Vec<Vec<Line>>,
    names: HashMap<String, usize>,
}

type Line = Vec<Piece>;

enum Piece {
    Text(Box<[u8]>),
    List(Slot),
    Product,
    Material,
    MaterialTitle,
}

impl Phrases {
    pub(crate) fn load() -> Result<Self> {
        Self::parse(WORDS)
    }

    fn parse(words: &str) -> Result<Self> {
        let mut phrases = Self {
            lists: Vec::new(),
            names: HashMap::new(),
        };
        let mut open: Option<(&str, Vec<Line>)> = None;
        for text in words
            .lines()
            .filter(|text| !text.is_empty() && !text.starts_with('#'))
        {
            if let Some(name) = text
                .strip_prefix('[')
                .and_then(|text| text.strip_suffix(']'))
            {
                phrases.close(open.replace((name, Vec::new())))?;
            } else if let Some((_, lines)) = &mut open {
                lines.push(phrases.line(text)?);
            } else {
                bail!("the word lists are wrong: \"{text}\" is in no list");
            }
        }
        phrases.close(open)?;
        Ok(phrases)
    }

    fn close(&mut self, list: Option<(&str, Vec<Line>)>) -> Result<()> {
        let Some((name, lines)) = list else {
            return Ok(());
        };
        if lines.is_empty() {
            bail!("the word lists are wrong: the list {name} is empty");
        }
        if self
            .names
            .insert(name.to_owned(), self.lists.len())
            .is_some()
        {
            bail!("the word lists are wrong: there are two lists {name}");
        }
        self.lists.push(lines);
        Ok(())
    }

    fn line(&self, text: &str) -> Result<Line> {
        let mut pieces = Vec::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once('{') {
            let Some((name, after)) = after.split_once('}') else {
                bail!("the word lists are wrong: a slot is left open in \"{text}\"");
            };
            pieces.push(Piece::Text(escaped(before)));
            match name {
                "" => {}
                "product" => pieces.push(Piece::Product),
                "material" => pieces.push(Piece::Material),
                "Material" => pieces.push(Piece::MaterialTitle),
                name => pieces.push(Piece::List(self.slot(name)?)),
            }
            rest = after;
        }
        pieces.push(Piece::Text(escaped(rest)));
        pieces.retain(|piece| !matches!(piece, Piece::Text(text) if text.is_empty()));
        Ok(pieces)
    }

    /// The list of this name, for every category the most specific there is.
    pub(crate) fn slot(&self, name: &str) -> Result<Slot> {
        let mut slot = Slot([0; CATEGORY_COUNT]);
        for (category, list) in CATEGORIES.iter().zip(&mut slot.0) {
            let tagged = category.tags.iter().map(|tag| format!("{name}:{tag}"));
            *list = tagged
                .chain([name.to_owned()])
                .find_map(|name| self.names.get(&name).copied())
                .with_context(|| {
                    format!(
                        "the word lists are wrong: no list {name} for {}",
                        category.name
                    )
                })?;
        }
        Ok(slot)
    }

    fn lines(&self, slot: Slot, subject: &Subject) -> &[Line] {
        let list = slot.0.get(subject.category.index);
        list.and_then(|&list| self.lists.get(list))
            .map_or(&[], Vec::as_slice)
    }

    pub(crate) fn len(&self, slot: Slot, subject: &Subject) -> usize {
        self.lines(slot, subject).len()
    }

    /// Writes a random line of the list.
    pub(crate) fn write(&self, out: &mut Vec<u8>, rng: &mut Rng, slot: Slot, subject: &Subject) {
        let at = rng.index(self.len(slot, subject));
        self.write_line(out, rng, slot, at, subject);
    }

    /// Writes the line `at` of the list, its slots at random.
    pub(crate) fn write_line(
        &self,
        out: &mut Vec<u8>,
        rng: &mut Rng,
        slot: Slot,
        at: usize,
        subject: &Subject,
    ) {
        for piece in self.lines(slot, subject).get(at).into_iter().flatten() {
            match piece {
                Piece::Text(text) => out.extend_from_slice(text),
                Piece::List(slot) => self.write(out, rng, *slot, subject),
                Piece::Product => out.extend_from_slice(&subject.product),
                Piece::Material => out.extend_from_slice(&subject.material),
                Piece::MaterialTitle => out.extend_from_slice(&subject.material_title),
            }
        }
    }

    /// Writes a random line of the list, beginning with a capital.
    pub(crate) fn write_sentence(
        &self,
        out: &mut Vec<u8>,
        rng: &mut Rng,
        slot: Slot,
        subject: &Subject,
    ) {
        let start = out.len();
        self.write(out, rng, slot, subject);
        if let Some(first) = out.get_mut(start) {
            first.make_ascii_uppercase();
        }
    }
}

fn escaped(text: &str) -> Box<[u8]> {
    text.replace('"', "\"\"").into_bytes().into()
}

/// Every word with a capital, as names have it.
pub(crate) fn title_case(text: &[u8]) -> Vec<u8> {
    let mut title = text.to_vec();
    let mut at_start = true;
    for byte in &mut title {
        if at_start {
            byte.make_ascii_uppercase();
        }
        at_start = *byte == b' ' || *byte == b'-';
    }
    title
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::Purpose;

    #[test]
    fn no_line_of_the_lists_leaves_a_slot_or_a_lone_quote() {
        let phrases = Phrases::load().unwrap();
        let mut rng = Rng::new(1, 1, Purpose::Subject);
        for category in &CATEGORIES {
            let subject = Subject {
                category,
                product: b"Thing".to_vec(),
                material: b"wool".to_vec(),
                material_title: b"Wool".to_vec(),
            };
            for (list, lines) in phrases.lists.iter().enumerate() {
                for at in 0..lines.len() {
                    let mut out = Vec::new();
                    let slot = Slot([list; CATEGORY_COUNT]);
                    phrases.write_line(&mut out, &mut rng, slot, at, &subject);
                    let text = String::from_utf8(out).unwrap();
                    assert!(!text.contains(['{', '}', '\n']), "{text}");
                    assert!(!text.replace("\"\"", "").contains('"'), "{text}");
                }
            }
        }
    }

    #[test]
    fn a_list_that_uses_one_below_it_is_refused() {
        let error = Phrases::parse("[a]\nx {b}\n[b]\ny\n").err().unwrap();
        assert!(error.to_string().contains("no list b"), "{error}");
    }

    #[test]
    fn the_most_specific_list_is_used() {
        let phrases = Phrases::parse("[a]\nx\n[a:hats]\ny\n[b]\n{a}\n").unwrap();
        let mut written = Vec::new();
        for category in &CATEGORIES {
            let subject = Subject {
                category,
                product: Vec::new(),
                material: Vec::new(),
                material_title: Vec::new(),
            };
            let mut rng = Rng::new(1, 1, Purpose::Subject);
            phrases.write(&mut written, &mut rng, phrases.slot("b").unwrap(), &subject);
        }
        assert_eq!(written, b"xxxxxxxxxyx");
    }
}
