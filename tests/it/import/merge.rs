//! `reviewsd import --merge`: files into a store that customers use, once, twice, in part, and cut off.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use reviewsd::model::ReviewId;
use reviewsd::model::moderation::Actor;
use reviewsd::store::{Change, Store, verify};
use rustix::process::Signal;
use serde_json::Value;

use super::contents::{Contents, identified, opened};
use super::export::{awkward, write};
use super::interrupt::{signal, wait};
use super::made::{Made, MadeFile};
use super::{Csv, Data, Ended, Import, number};
use crate::chance::{Random, number_from_environment, seed};
use crate::support::report;

/// The shop that the tests change.
const SHOP: Made = Made {
    products: 40,
    reviews: 300,
    body_bytes: 30,
    grouped: false,
};
/// Files whose rows are counted.
const FILES: [&str; 10] = reviewsd::cli::FILES;

fn shop() -> (Csv, Data) {
    let (csv, data) = (Csv::empty(), Data::new());
    SHOP.write(&csv);
    Import::new(&csv, &data).report();
    (csv, data)
}

fn merging(csv: &Csv, data: &Data, more: &[&str]) -> Import {
    let limit = ["--max-rejects", "100000"];
    Import::new(csv, data)
        .with(&["--merge"])
        .with(&limit)
        .with(more)
}

/// What became of the rows of each file: inserted, changed, removed, unchanged, rejected.
type Rows = BTreeMap<String, [u64; 5]>;

/// Merges, which must succeed.
fn merged(csv: &Csv, data: &Data, more: &[&str]) -> Rows {
    rows_of(&merging(csv, data, more).with(&["--report", "json"]).run())
}

fn rows_of(ended: &Ended) -> Rows {
    assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), ""));
    let report: Value = serde_json::from_str(&ended.stdout).unwrap();
    let files = report["files"].as_array().unwrap().iter();
    let files: Rows = files
        .map(|file| {
            let rows = |kind: &str| number(&file[format!("rows_{kind}")]);
            let rejected = file["rows_rejected"].as_object().unwrap();
            let rejected: u64 = rejected.values().map(number).sum();
            let skipped = file["rows_skipped"].as_object().unwrap();
            let skipped: u64 = skipped.values().map(number).sum();
            let [inserted, changed, removed, unchanged] =
                ["inserted", "changed", "removed", "unchanged"].map(rows);
            let counted = inserted + changed + unchanged + rejected + skipped;
            assert_eq!(counted, rows("read"), "{file}");
            let name = file["file"].as_str().unwrap().to_owned();
            (name, [inserted, changed, removed, unchanged, rejected])
        })
        .collect();
    assert!(files.keys().all(|name| FILES.contains(&name.as_str())));
    files
}

/// The rows of the files of which any changed.
fn changes(rows: &Rows) -> BTreeMap<&str, [u64; 3]> {
    let changes = rows.iter().map(|(name, [inserted, changed, removed, ..])| {
        (name.as_str(), [*inserted, *changed, *removed])
    });
    changes.filter(|(_, rows)| *rows != [0; 3]).collect()
}

fn contents_of(data: &Data) -> Contents {
    identified(&data.path(), SHOP.products_end() + 10).1
}

/// The store, and its position in its history.
fn position(data: &Data) -> Option<String> {
    opened(&data.path(), |store| store.stats().unwrap().saved_as)
}

fn assert_sound(data: &Data) {
    opened(&data.path(), |store| {
        assert_eq!(verify::differences(store).unwrap(), Vec::<String>::new());
    });
}

/// Replaces the lines of a file of which `edit` makes others, or none.
fn edit(csv: &Csv, file: &str, edit: impl Fn(&str) -> Option<String>) {
    let text = String::from_utf8(csv.read(file)).unwrap();
    let mut lines = text.lines();
    let header = lines.next().unwrap().to_owned();
    let lines = lines.filter_map(edit);
    let lines: Vec<_> = [header].into_iter().chain(lines).collect();
    csv.write(file, lines.join("\n"));
}

/// The first field of a line.
fn id(line: &str) -> u64 {
    line.split(',').next().unwrap().parse().unwrap()
}

/// A line with another text in the place of one.
fn replaced(line: &str, of: u64, from: &str, to: &str) -> String {
    if id(line) == of {
        line.replace(from, to)
    } else {
        line.to_owned()
    }
}

/// Lets customers write reviews, vote and report; returns the ids of their reviews.
fn use_shop(data: &Data) -> Vec<u64> {
    opened(&data.path(), |store| {
        let first = store.counters().unwrap().next_review_id;
        for (product, text) in [(2, "one"), (3, "two"), (40, "three")] {
            post(store, product, text);
        }
        write(store, Change::Helpful(ReviewId(first)));
        write(store, Change::Helpful(ReviewId(4)));
        write(store, report(ReviewId(5)));
        let review = ReviewId(6);
        let response = Some("Sorry!".to_owned());
        let by = Actor::operator();
        write(
            store,
            Change::Respond {
                review,
                response,
                by,
            },
        );
        (first..first + 3).collect()
    })
}

fn post(store: &Store, product: u64, text: &str) {
    let change = Change::Post {
        review: awkward(product, text),
        retry: None,
        held: None,
    };
    write(store, change);
}

#[test]
fn files_that_the_store_has_change_nothing() {
    let (csv, data) = shop();
    use_shop(&data);
    let before = (position(&data), contents_of(&data));
    let rows = merged(&csv, &data, &["--prune"]);
    assert_eq!(changes(&rows), BTreeMap::new());
    assert_eq!(rows["reviews.csv"], [0, 0, 0, SHOP.reviews, 0]);
    assert_eq!((position(&data), contents_of(&data)), before);
}

#[test]
fn a_merge_changes_what_differs_and_a_second_one_nothing() {
    let (csv, data) = shop();
    let customers = use_shop(&data);
    let before = contents_of(&data);
    edit(&csv, "product.csv", |line| {
        Some(replaced(line, 7, "\"P7\"", "\"Boots\""))
    });
    edit(&csv, "skus.csv", |line| {
        Some(replaced(line, 1, "\"XS\"", "\"XXS\""))
    });
    edit(&csv, "reviews.csv", |line| {
        Some(replaced(line, 4, "Review 4", "Edited"))
    });
    csv.add("product.csv", "41,\"New\",\"S\",\"D\",\"C\",41");
    csv.add("styles.csv", "1000,41,\"Only\",null,10,1");
    csv.add("skus.csv", "5000,1000,\"M\",3");
    csv.add(
        "reviews.csv",
        "900,41,5,1600000000000,\"New\",\"New\",true,false,\"n\",\"n@post.example\",null,2",
    );
    csv.add("reviews_photos.csv", "9000,900,\"https://img.example/900\"");
    let rows = merged(&csv, &data, &[]);
    let expected = [
        ("product.csv", [1, 1, 0]),
        ("reviews.csv", [1, 1, 0]),
        ("reviews_photos.csv", [1, 0, 0]),
        ("skus.csv", [1, 1, 0]),
        ("styles.csv", [1, 0, 0]),
    ];
    assert_eq!(changes(&rows), BTreeMap::from(expected));
    let after = contents_of(&data);
    for review in customers {
        assert_eq!(after.reviews[&review], before.reviews[&review]);
    }
    assert!(after.products[6].contains("Boots") && after.products.len() == 41);
    assert!(after.reviews[&4].contains("Edited") && after.reviews[&6].contains("Sorry!"));
    assert_eq!(after.counters.next_review_id, 901);
    assert!(after.counters.next_photo_id > 9000);
    assert_sound(&data);
    let at = position(&data);
    assert_eq!(changes(&merged(&csv, &data, &[])), BTreeMap::new());
    assert_eq!(position(&data), at);
    // The next customer's review goes on behind it.
    opened(&data.path(), |store| post(store, 1, "next"));
    assert!(contents_of(&data).reviews[&901].contains("next"));
}

#[test]
fn some_of_the_files_change_their_rows_alone() {
    let (csv, data) = shop();
    let before = contents_of(&data);
    let some = Csv::empty();
    some.write(
        "skus.csv",
        "id,styleId,size,quantity\n1,1,\"XS\",99\n9999,2,\"XL\",1",
    );
    let rows = merged(&some, &data, &[]);
    assert_eq!(changes(&rows), BTreeMap::from([("skus.csv", [1, 1, 0])]));
    some.remove("skus.csv");
    some.write(
        "reviews_photos.csv",
        "id,review_id,url\n8000,3,\"https://img.example/x\"",
    );
    merged(&some, &data, &[]);
    some.remove("reviews_photos.csv");
    some.write(
        "characteristics.csv",
        "id,product_id,name\n1,1,\"Size\"\n7777,9,\"Warmth\"",
    );
    let rows = merged(&some, &data, &[]);
    assert_eq!(
        changes(&rows),
        BTreeMap::from([("characteristics.csv", [1, 1, 0])])
    );
    let after = contents_of(&data);
    assert_eq!(after.products, before.products);
    assert_eq!(after.related, before.related);
    assert!(after.reviews[&3].contains("https://img.example/x"));
    assert!(after.summaries[&1].contains("Size") && after.summaries[&9].contains("Warmth"));
    assert_eq!(after.newest, before.newest);
    assert_sound(&data);
    // All of it goes back, and what was added stays without --prune.
    merged(&csv, &data, &[]);
    let back = contents_of(&data);
    assert!(back.summaries[&1].contains("Fit") && back.summaries[&9].contains("Warmth"));
    merged(&csv, &data, &["--prune"]);
    let mut pruned = contents_of(&data);
    pruned.counters.next_photo_id = before.counters.next_photo_id;
    pruned.counters.next_audit_entry = before.counters.next_audit_entry;
    pruned.assert_same(&before);
}

#[test]
fn rows_go_with_prune_alone_and_a_large_part_only_if_meant() {
    let (csv, data) = shop();
    let customers = use_shop(&data);
    edit(&csv, "product.csv", |line| {
        (id(line) != 40).then(|| line.to_owned())
    });
    edit(&csv, "reviews.csv", |line| {
        (id(line) != 10).then(|| line.to_owned())
    });
    assert_eq!(changes(&merged(&csv, &data, &[])), BTreeMap::new());
    let rows = merged(&csv, &data, &["--prune"]);
    assert_eq!(rows["product.csv"][2], 1);
    assert!(rows["reviews.csv"][2] > 0);
    let after = contents_of(&data);
    assert_eq!(after.products.len(), 39);
    assert!(!after.reviews.contains_key(&10));
    assert!(customers.iter().all(|id| after.reviews.contains_key(id)));
    assert_sound(&data);
    let at = position(&data);
    edit(&csv, "product.csv", |line| {
        (id(line) <= 10).then(|| line.to_owned())
    });
    let refused = merging(&csv, &data, &["--prune"]).refusal();
    assert!(
        refused.starts_with("the files no longer have 29 of the 39 rows of product.csv, "),
        "{refused}"
    );
    assert!(
        refused.contains("nothing was changed") && refused.contains("--yes"),
        "{refused}"
    );
    assert_eq!(position(&data), at);
    let rows = merged(&csv, &data, &["--prune", "--yes"]);
    assert_eq!(rows["product.csv"][2], 29);
    let after = contents_of(&data);
    assert_eq!(after.products.len(), 10);
    assert!(customers.iter().all(|id| after.reviews.contains_key(id)));
    assert_sound(&data);
}

#[test]
fn a_dry_run_says_what_a_merge_does_and_writes_nothing() {
    let (csv, data) = shop();
    use_shop(&data);
    change(&csv, &mut Random::new(5));
    let at = position(&data);
    let told = merged(&csv, &data, &["--prune", "--dry-run"]);
    assert_eq!(position(&data), at);
    let done = merged(&csv, &data, &["--prune", "--yes"]);
    for (file, rows) in &done {
        let mut told = told[file];
        if file == "characteristics.csv" {
            // Ratings of some of them go in the same merge.
            assert!(told[2] <= rows[2]);
            told[2] = rows[2];
        }
        assert_eq!(told, *rows, "{file}");
    }
    assert!(!changes(&done).is_empty() && position(&data) != at);
}

#[test]
fn a_customers_review_is_not_merged_but_rejected() {
    let (csv, data) = shop();
    let customers = use_shop(&data);
    let before = contents_of(&data);
    let row = |id: u64, text: &str| {
        format!(
            "{id},1,5,1600000000000,\"{text}\",\"b\",true,false,\"n\",\"n@post.example\",null,2"
        )
    };
    let line = csv.add("reviews.csv", row(customers[1], "ours"));
    csv.add("reviews_photos.csv", format!("9000,{},\"u\"", customers[1]));
    csv.add("reviews.csv", row(customers[2] + 1, "free"));
    let rows = merged(&csv, &data, &[]);
    assert_eq!(rows["reviews.csv"], [1, 0, 0, SHOP.reviews, 1]);
    assert_eq!(rows["reviews_photos.csv"][4], 1);
    let rejects = String::from_utf8(data.rejects()).unwrap();
    let expected = format!("reviews.csv,{line},id,is that of a review that a customer posted,");
    assert!(rejects.contains(&expected), "{rejects}");
    let after = contents_of(&data);
    assert_eq!(after.reviews[&customers[1]], before.reviews[&customers[1]]);
    assert!(after.reviews[&(customers[2] + 1)].contains("free"));
    // It is the shop's from now on, and no longer new.
    edit(&csv, "reviews.csv", |line| {
        Some(replaced(line, customers[2] + 1, "free", "again"))
    });
    assert_eq!(merged(&csv, &data, &[])["reviews.csv"][1], 1);
    assert!(contents_of(&data).reviews[&(customers[2] + 1)].contains("again"));
}

#[test]
fn an_erased_review_does_not_come_back_and_a_pruned_one_does() {
    let (csv, data) = shop();
    opened(&data.path(), |store| {
        let gone = BTreeSet::from([ReviewId(8)]);
        for (_, change) in store
            .traces(&gone)
            .unwrap()
            .take_changes(&Actor::operator())
        {
            write(store, change);
        }
    });
    let rows = merged(&csv, &data, &[]);
    assert_eq!(rows["reviews.csv"], [0, 0, 0, SHOP.reviews - 1, 1]);
    let rejects = String::from_utf8(data.rejects()).unwrap();
    let expected = "reviews.csv,9,id,is that of a review that was erased,";
    assert!(rejects.starts_with(expected), "{rejects}");
    let whole = csv.read("reviews.csv");
    edit(&csv, "reviews.csv", |line| {
        (id(line) != 9).then(|| line.to_owned())
    });
    merged(&csv, &data, &["--prune"]);
    assert!(!contents_of(&data).reviews.contains_key(&9));
    csv.write("reviews.csv", whole);
    assert_eq!(merged(&csv, &data, &[])["reviews.csv"][0], 1);
    assert!(contents_of(&data).reviews.contains_key(&9));
    assert_sound(&data);
}

/// Changes the rows of the files at random: some go, some are others, some are of other parents, some are new.
fn change(csv: &Csv, random: &mut Random) {
    let files = Made {
        products: SHOP.products + random.below(5),
        reviews: SHOP.reviews + random.below(60),
        ..SHOP
    };
    let others: BTreeMap<_, _> = files
        .files()
        .into_iter()
        .map(MadeFile::named_rows)
        .collect();
    for file in FILES {
        let text = String::from_utf8(csv.read(file)).unwrap();
        let mut lines = text.lines();
        let header = lines.next().unwrap().to_owned();
        let mut rows: BTreeMap<u64, String> =
            lines.map(|line| (id(line), line.to_owned())).collect();
        for row in &others[file] {
            if random.one_in(8) || !rows.contains_key(&id(row)) {
                rows.insert(id(row), row.clone());
            }
        }
        rows.retain(|_, _| !random.one_in(20));
        let lines: Vec<_> = [header].into_iter().chain(rows.into_values()).collect();
        csv.write(file, lines.join("\n"));
    }
}

/// Gives the reviews of a file the votes, answers and reports that they had in another one: a store keeps its own.
fn keep_what_a_store_keeps(csv: &Csv, before: &[u8]) {
    let before = String::from_utf8(before.to_vec()).unwrap();
    let before: BTreeMap<u64, &str> = before
        .lines()
        .skip(1)
        .map(|line| (id(line), line))
        .collect();
    edit(csv, "reviews.csv", |line| {
        let Some(before) = before.get(&id(line)) else {
            return Some(line.to_owned());
        };
        // An answer may have commas, and nothing before it has.
        let [new, old] = [line, before].map(|line| line.splitn(11, ',').collect::<Vec<_>>());
        let fields = [&new[..7], &old[7..8], &new[8..10], &old[10..]].concat();
        Some(fields.join(","))
    });
}

/// Number of rounds, each with other files.
const ROUNDS: u64 = 4;

#[test]
fn a_pruned_merge_makes_the_store_that_an_import_makes() {
    let seed = seed("REVIEWSD_MERGE_SEED");
    for round in 0..number_from_environment("REVIEWSD_MERGE_ROUNDS").unwrap_or(ROUNDS) {
        let (csv, data) = shop();
        let (customers, photos) = opened(&data.path(), |store| {
            let before = store.counters().unwrap();
            for product in [2, 3, 40] {
                post(store, product, "mine");
            }
            let after = store.counters().unwrap();
            let photos = before.next_photo_id..after.next_photo_id;
            (before.next_review_id..after.next_review_id, photos)
        });
        let posted = contents_of(&data);
        let mut random = Random::new(seed.wrapping_add(round));
        let reviews = csv.read("reviews.csv");
        change(&csv, &mut random);
        keep_what_a_store_keeps(&csv, &reviews);
        // Ids of the files that are the customers' mean something in one store and not in the other.
        for (file, ids) in [("reviews.csv", &customers), ("reviews_photos.csv", &photos)] {
            edit(&csv, file, |line| {
                (!ids.contains(&id(line))).then(|| line.to_owned())
            });
        }
        merged(&csv, &data, &["--prune", "--yes"]);
        assert_sound(&data);
        let after = contents_of(&data);
        for review in customers.clone() {
            assert_eq!(after.reviews[&review], posted.reviews[&review]);
        }
        assert_eq!(
            changes(&merged(&csv, &data, &["--prune", "--yes"])),
            BTreeMap::new()
        );
        let fresh = Data::new();
        Import::new(&csv, &fresh).report();
        opened(&data.path(), |store| {
            let gone: BTreeSet<_> = customers.map(ReviewId).collect();
            for (_, change) in store
                .traces(&gone)
                .unwrap()
                .take_changes(&Actor::operator())
            {
                write(store, change);
            }
        });
        let (mut after, expected) = (contents_of(&data), contents_of(&fresh));
        after.counters = expected.counters;
        after.assert_same(&expected);
    }
}

#[test]
fn a_killed_merge_leaves_whole_products_and_the_next_finishes() {
    const LARGE: Made = Made {
        products: 600,
        reviews: 3000,
        body_bytes: 400,
        grouped: false,
    };
    let (csv, data) = (Csv::empty(), Data::new());
    LARGE.write(&csv);
    Import::new(&csv, &data).report();
    let others = Csv::empty();
    LARGE.write(&others);
    let each = |line: &str| Some(line.replace("\"S\"", "\"T\"").replace("\"XS\"", "\"S\""));
    for file in ["product.csv", "skus.csv"] {
        edit(&others, file, each);
    }
    edit(&others, "reviews.csv", |line| {
        Some(line.replace("\"Review ", "\"Edited "))
    });
    let products = LARGE.products_end();
    let old = identified(&data.path(), products).1;
    let fresh = Data::new();
    Import::new(&others, &fresh).report();
    let new = identified(&fresh.path(), products).1;
    let mut random = Random::new(11);
    for round in 0..8 {
        let (data, (target, there)) = (
            data.copy(),
            if round % 2 == 0 {
                (&others, &new)
            } else {
                (&csv, &old)
            },
        );
        if round % 2 == 1 {
            merged(&others, &data, &[]);
        }
        let child = merging(target, &data, &[]).start();
        wait(Duration::from_millis(random.below(400)));
        signal(&child, Signal::KILL);
        Ended::of(child);
        let found = identified(&data.path(), products).1;
        for (at, product) in found.products.iter().enumerate() {
            let id = at as u64 + 1;
            let whole = |of: &Contents| {
                of.products[at] == *product && of.styles.get(&id) == found.styles.get(&id)
            };
            assert!(whole(&old) || whole(&new), "{product}");
        }
        assert_sound(&data);
        merged(target, &data, &[]);
        let mut done = identified(&data.path(), products).1;
        done.counters = there.counters;
        done.assert_same(there);
    }
}

#[test]
fn a_merge_into_nothing_or_of_other_programs_files_is_refused() {
    let (csv, data) = (Csv::fixture("v2"), Data::new());
    let refused = merging(&csv, &data, &[]).refusal();
    assert!(refused.contains("there is no store"), "{refused}");
    for more in [&["--replace"][..], &["--from", "shopify"], &["--yes"]] {
        let ended = merging(&csv, &data, more).run();
        assert_eq!(ended.code, Some(2), "{}", ended.stderr);
    }
}
