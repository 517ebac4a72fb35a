//! Merges of some of the files, with what a store is known to have.

use std::fs;
use std::path::PathBuf;

use tempfile::TempDir;

use super::*;
use crate::RejectsMax;

/// A store that has these products, reviews, characteristics and styles.
#[derive(Default)]
struct Known {
    products: Vec<u64>,
    reviews: Vec<(u64, u64)>,
    characteristics: Vec<u64>,
    styles: Vec<(u64, u64)>,
}

impl KnownRows for Known {
    fn products(&self, each: &mut dyn FnMut(u64) -> Result<(), Error>) -> Result<(), Error> {
        self.products.iter().try_for_each(|id| each(*id))
    }

    fn reviews(&self, each: &mut dyn FnMut(u64, u64) -> Result<(), Error>) -> Result<(), Error> {
        self.reviews.iter().try_for_each(|(id, of)| each(*id, *of))
    }

    fn characteristics(&self, each: &mut dyn FnMut(u64) -> Result<(), Error>) -> Result<(), Error> {
        self.characteristics.iter().try_for_each(|id| each(*id))
    }

    fn styles(&self, each: &mut dyn FnMut(u64, u64) -> Result<(), Error>) -> Result<(), Error> {
        self.styles.iter().try_for_each(|(id, of)| each(*id, *of))
    }
}

/// Notes in a line each what it receives.
#[derive(Default)]
struct Noted(Vec<String>);

impl MergeSink for Noted {
    fn product(&mut self, id: u64, rows: &ProductRows<'_>) -> Result<(), SinkError> {
        let styles = rows.styles.iter().map(|style| {
            let skus: Vec<_> = style.skus.iter().map(|sku| sku.id).collect();
            let (name, photos) = (style.style.map(|row| row.name), style.photos.len());
            format!(" style {} {name:?} {photos} {skus:?}", style.id)
        });
        let styles: String = styles.collect();
        let (name, features) = (rows.product.map(|row| row.name), rows.features.len());
        let related = &rows.related;
        self.0.push(format!(
            "product {id} {name:?} {features} {related:?}{styles}"
        ));
        Ok(())
    }

    fn reviewed(
        &mut self,
        product: u64,
        characteristics: &[CharacteristicRow<'_>],
    ) -> Result<(), SinkError> {
        let names: Vec<_> = characteristics.iter().map(|one| one.name).collect();
        self.0.push(format!("reviewed {product} {names:?}"));
        Ok(())
    }

    fn review(&mut self, product: u64, id: u64, rows: &ReviewRows<'_>) -> Result<(), SinkError> {
        let body = rows.review.map(|review| review.body);
        let photos: Vec<_> = rows.photos.iter().map(|photo| photo.id).collect();
        let ratings: Vec<_> = rows.ratings.iter().map(|(id, _)| *id).collect();
        self.0.push(format!(
            "review {product} {id} {body:?} {photos:?} {ratings:?}"
        ));
        Ok(())
    }
}

struct Csv(TempDir);

impl Csv {
    fn of(files: &[(File, &[&str])]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        for (file, rows) in files {
            let header = file.columns().join(",");
            let text = [&[header.as_str()], *rows].concat().join("\n");
            fs::write(dir.path().join(file.name()), text).unwrap();
        }
        Self(dir)
    }

    fn rejects(&self) -> PathBuf {
        self.0.path().join("rejects.csv")
    }

    fn options(&self) -> Options {
        Options {
            csv: self.0.path().to_owned(),
            shops: None,
            spill_dir: self.0.path().to_owned(),
            memory: crate::MEMORY_BYTES_MIN,
            workers: 2,
            rejects: self.rejects(),
            rejects_max: RejectsMax {
                rows: 100,
                share: 1_000_000,
            },
            allow_empty: File::ALL.to_vec(),
            exported: false,
        }
    }

    fn merged(&self, known: &Known, late: &[LateReject]) -> (Vec<String>, ImportReport) {
        let (options, progress) = (self.options(), ImportProgress::default());
        let files = MergeFiles::read(&options, &progress, known).unwrap();
        let (mut first, mut again) = (Noted::default(), Noted::default());
        files.hand_over(&progress, &mut first).unwrap();
        files.hand_over(&progress, &mut again).unwrap();
        assert_eq!(first.0, again.0);
        (first.0, files.finish(late).unwrap())
    }
}

#[test]
fn all_rows_of_a_product_come_together() {
    let csv = Csv::of(&[
        (File::Products, &["2,b,s,d,c,1", "1,a,s,d,c,1"]),
        (File::Features, &["1,2,f,v"]),
        (File::Related, &["1,1,2", "2,1,3"]),
        (File::Styles, &["9,1,x,null,5,1", "4,2,y,null,5,1"]),
        (File::Skus, &["1,4,S,3", "2,9,S,3", "3,9,M,3"]),
        (File::StylePhotos, &["1,9,u,t"]),
        (
            File::Reviews,
            &["5,2,3,1600000000000,s,b,true,false,n,e,null,0"],
        ),
        (File::Characteristics, &["7,2,Fit", "8,1,Size"]),
        (File::ReviewPhotos, &["1,5,u"]),
        (File::Ratings, &["3,7,5,4"]),
    ]);
    let (noted, report) = csv.merged(&Known::default(), &[]);
    let expected = [
        r#"product 1 Some("a") 0 [2, 3] style 9 Some("x") 1 [2, 3]"#,
        r#"product 2 Some("b") 1 [] style 4 Some("y") 0 [1]"#,
        r#"reviewed 1 ["Size"]"#,
        r#"reviewed 2 ["Fit"]"#,
        r#"review 2 5 Some("b") [1] [3]"#,
    ];
    assert_eq!(noted, expected);
    assert_eq!(report.rows_rejected(), 0);
}

#[test]
fn children_alone_belong_to_rows_of_the_store() {
    let csv = Csv::of(&[
        (File::Skus, &["1,4,S,3", "2,9,S,3", "3,5,M,3"]),
        (File::ReviewPhotos, &["1,5,u", "2,6,u"]),
    ]);
    let known = Known {
        reviews: vec![(5, 2)],
        styles: vec![(9, 1), (4, 2)],
        ..Known::default()
    };
    let (noted, report) = csv.merged(&known, &[]);
    let expected = [
        "product 1 None 0 [] style 9 None 0 [2]",
        "product 2 None 0 [] style 4 None 0 [1]",
        "reviewed 2 []",
        "review 2 5 None [1] []",
    ];
    assert_eq!(noted, expected);
    let rejects = fs::read_to_string(csv.rejects()).unwrap();
    assert!(rejects.contains("skus.csv,4,styleId,is not the id of a style,"));
    assert!(rejects.contains("reviews_photos.csv,3,review_id,is not the id of a review,"));
    assert_eq!(report.rows_rejected(), 2);
}

#[test]
fn rows_of_products_that_nobody_has_are_rejected() {
    let csv = Csv::of(&[(File::Related, &["1,1,2", "2,2,3"])]);
    let known = Known {
        products: vec![1],
        ..Known::default()
    };
    assert_eq!(csv.merged(&known, &[]).0, ["product 1 None 0 [2]"]);
    // Without a catalogue there is nothing to hold them against.
    assert_eq!(csv.merged(&Known::default(), &[]).0.len(), 2);
}

#[test]
fn a_row_rejected_late_is_found_and_counted_once() {
    let csv = Csv::of(&[
        (
            File::Reviews,
            &[
                "5,2,3,1600000000000,s,b,true,false,n,e,null,0",
                "6,2,3,1600000000000,s,b,true,false,n,e,null,0",
                "6,2,3,1600000000000,s,twice,true,false,n,e,null,0",
            ],
        ),
        (File::ReviewPhotos, &["1,6,u", "2,5,u", "3,6,v"]),
    ]);
    let late = |file, rows| LateReject {
        file,
        rows,
        field: "id",
        reason: "is taken",
    };
    let late = [
        late(File::Reviews, RejectedRows::WithId(6)),
        late(File::ReviewPhotos, RejectedRows::Of(6)),
    ];
    let (_, report) = csv.merged(&Known::default(), &late);
    let rejects = fs::read_to_string(csv.rejects()).unwrap();
    let lines: Vec<_> = rejects.lines().skip(1).collect();
    let begins = [
        "reviews.csv,4,id,is that of an earlier row",
        "reviews.csv,3,id,is taken",
        "reviews_photos.csv,2,id,is taken",
        "reviews_photos.csv,4,id,is taken",
    ];
    assert_eq!(lines.len(), begins.len());
    for (line, begin) in lines.iter().zip(begins) {
        assert!(line.starts_with(begin), "{line}");
    }
    let rows = |name: &str| {
        let mut files = report.files.iter();
        let file = files.find(|file| file.file == name).unwrap();
        (file.rows_read, file.rows_stored)
    };
    assert_eq!(
        (rows("reviews.csv"), rows("reviews_photos.csv")),
        ((3, 1), (3, 1))
    );
}
