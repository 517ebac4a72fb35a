//! The note of the answers that are requested most, by which a server that starts again makes them first.
//!
//! Must not know where it is stored. Invariants: a note that is damaged, cut short or of another version is read
//! as far as it makes sense, and never an error: it decides what is made first, and never what an answer says;
//! it has a bounded number of lines.

use std::fmt::Write;

use super::super::super::endpoints::ReadQuery;
use super::super::cache::Answers;
use super::ResidentKind;
use crate::model::ProductId;

/// The first line.
const VERSION: &str = "hot answers 1";
/// Answers that are noted at most.
const ANSWERS_MAX: usize = 100_000;

/// The note of the answers that are cached as they are sent.
pub(super) fn note(answers: &Answers) -> String {
    let mut note = format!("{VERSION}\n");
    let named = answers.requested_most().filter_map(ResidentKind::of);
    for (kind, product) in named.take(ANSWERS_MAX) {
        // A String takes every write.
        let _ = writeln!(note, "{} {product}", kind.name());
    }
    note
}

/// The queries of a note.
pub(super) fn read(note: &str) -> impl Iterator<Item = ReadQuery> {
    let mut lines = note.lines();
    let is_known = lines.next() == Some(VERSION);
    let lines = lines.take(if is_known { ANSWERS_MAX } else { 0 });
    lines.filter_map(|line| {
        let (name, product) = line.split_once(' ')?;
        let kind = ResidentKind::ALL
            .into_iter()
            .find(|kind| kind.name() == name)?;
        Some(kind.query(ProductId(product.parse().ok()?)))
    })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use bytes::Bytes;
    use proptest::prelude::*;

    use super::super::super::cache::{Cached, Generations};
    use super::*;
    use crate::model::ReviewId;

    #[test]
    fn what_is_cached_is_noted_and_read_back() {
        let answers = Answers::new(1 << 20, 0, Arc::new(Generations::default()));
        let queries = ResidentKind::ALL.map(|kind| kind.query(ProductId(u64::MAX)));
        for read_query in queries {
            let (body, permit) = (Bytes::from_static(b"{}"), None);
            answers.keep(answers.key(read_query).unwrap(), Cached { body, permit });
        }
        let note = note(&answers);
        let mut again: Vec<_> = read(&note).collect();
        again.sort_unstable_by_key(|query| queries.iter().position(|other| other == query));
        assert_eq!(again, queries);
    }

    #[test]
    fn a_line_that_makes_no_sense_is_passed_over() {
        let note = format!("{VERSION}\nlist 7\nlist\nmeta x\nother 3\nmeta 8\nlist 9");
        let expected = [
            (ResidentKind::List, 7),
            (ResidentKind::Meta, 8),
            (ResidentKind::List, 9),
        ];
        let expected = expected.map(|(kind, product)| kind.query(ProductId(product)));
        assert!(read(&note).eq(expected));
        assert_eq!(read("hot answers 2\nlist 7\n").count(), 0);
        assert_eq!(ResidentKind::of(ReadQuery::Review(ReviewId(1))), None);
    }

    proptest! {
        #[test]
        fn any_text_is_read(note: String) {
            prop_assert!(read(&note).count() <= note.len());
        }
    }
}
