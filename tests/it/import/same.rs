//! Inputs that must not change the store: the order of the rows, and the available memory.

use super::contents::contents;
use super::made::Made;
use super::{Csv, Data, Import};
use crate::chance::Random;

const SMALL: Made = Made {
    products: 400,
    reviews: 4000,
    body_bytes: 40,
    grouped: false,
};

#[test]
fn rows_in_random_order_make_the_same_store_as_rows_in_order() {
    for grouped in [true, false] {
        let made = Made { grouped, ..SMALL };
        let (csv, data) = (Csv::empty(), Data::new());
        made.write(&csv);
        Import::new(&csv, &data).report();
        let in_order = contents(&data.path(), made.products_end());
        for seed in 0..3 {
            let mut random = Random::new(seed);
            for mut file in made.files() {
                file.shuffle(&mut random);
                file.write(&csv);
            }
            Import::new(&csv, &data).with(&["--replace"]).report();
            let shuffled = contents(&data.path(), made.products_end());
            shuffled.assert_same(&in_order);
        }
    }
}

#[test]
fn related_products_and_style_photos_keep_the_files_order() {
    let (csv, data) = (Csv::empty(), Data::new());
    SMALL.write(&csv);
    Import::new(&csv, &data).report();
    let before = contents(&data.path(), SMALL.products_end());
    for file in ["related.csv", "photos.csv"] {
        let text = String::from_utf8(csv.read(file)).unwrap();
        let mut lines: Vec<_> = text.lines().collect();
        lines[1..].reverse();
        csv.write(file, lines.join("\n"));
    }
    Import::new(&csv, &data).with(&["--replace"]).report();
    let mut after = contents(&data.path(), SMALL.products_end());
    assert_ne!(after.styles, before.styles);
    for related in after.related.values_mut() {
        related.reverse();
    }
    assert_eq!(after.related, before.related);
}

#[test]
fn an_import_that_spills_makes_the_same_store() {
    for grouped in [true, false] {
        let made = Made {
            products: 5000,
            reviews: 50_000,
            body_bytes: 500,
            grouped,
        };
        let (csv, data) = (Csv::empty(), Data::new());
        made.write(&csv);
        let read = [["--memory", "256MiB"], ["--memory", "16MiB"]].map(|memory| {
            let import = Import::new(&csv, &data).with(&memory);
            let report = import.with(&["--replace"]).report();
            assert_eq!(
                report.rows("characteristic_reviews.csv"),
                (200_000, 200_000)
            );
            contents(&data.path(), made.products_end())
        });
        read[0].assert_same(&read[1]);
    }
}
