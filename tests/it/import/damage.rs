//! Blocks that the disk has damaged: the rows behind them are exported and found, and the rows in them named.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use reviewsd::store::Counters;
use serde_json::Value;

use super::contents::opened;
use super::made::Made;
use super::{Csv, Data, Ended, Import};
use crate::support::no_forks;

const MADE: Made = Made {
    products: 300,
    reviews: 4000,
    body_bytes: 500,
    grouped: false,
};

/// A store whose reviews are in one file of many blocks.
fn made() -> Data {
    let (csv, data) = (Csv::empty(), Data::new());
    MADE.write(&csv);
    Import::new(&csv, &data).report();
    data
}

/// The largest file of sorted rows of a family.
fn file_of(data: &Data, family: &str) -> PathBuf {
    let _no_forks = no_forks();
    let dir = data.path().join("store").canonicalize().unwrap();
    let options = rocksdb::Options::default();
    let names = rocksdb::DB::list_cf(&options, &dir).unwrap();
    let db = rocksdb::DB::open_cf_for_read_only(&options, &dir, names, false).unwrap();
    let files = db.live_files().unwrap().into_iter();
    let of_family = files.filter(|file| file.column_family_name == family);
    let largest = of_family.max_by_key(|file| file.size).unwrap();
    dir.join(largest.name.trim_start_matches('/'))
}

/// Changes some bytes at one place in a hundred of a file.
fn damage(file: &Path, percent: u64) {
    let size = fs::metadata(file).unwrap().len();
    damage_at(file, size * percent / 100);
}

/// Changes some bytes of a file.
fn damage_at(file: &Path, at: u64) {
    let mut bytes = fs::read(file).unwrap();
    let at = usize::try_from(at).unwrap();
    for byte in &mut bytes[at..at + 8] {
        *byte ^= 0x5a;
    }
    fs::write(file, bytes).unwrap();
}

fn run(args: &[&str]) -> Ended {
    let mut command = Command::new(env!("CARGO_BIN_EXE_reviewsd"));
    command.args(args).stdin(Stdio::null());
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let child = {
        let _no_forks = no_forks();
        command.spawn().unwrap()
    };
    Ended::of(child)
}

/// The ids of the rows of a CSV file.
fn ids(file: &Path) -> BTreeSet<u64> {
    let text = fs::read_to_string(file).unwrap();
    let ids = text.lines().skip(1).filter_map(|row| row.split(',').next());
    ids.map(|id| id.parse().unwrap()).collect()
}

#[test]
fn an_export_skips_damaged_blocks_and_names_what_is_missing() {
    for places in [&[40][..], &[1], &[20, 60]] {
        let data = made();
        let file = file_of(&data, "reviews");
        for place in places {
            damage(&file, *place);
        }
        let out = Data::new();
        let (dir, to) = (data.path(), out.path());
        let (dir, to) = (dir.to_str().unwrap(), to.to_str().unwrap());
        let strict = ["export", "--data", dir, "--out", to, "--quiet"];
        let refused = run(&strict).refusal();
        assert!(refused.contains("read from reviews"), "{refused}");
        let ended = run(&[&strict[..], &["--skip-damaged"]].concat());
        assert_eq!(ended.code, Some(3), "{}", ended.stderr);
        let told: Value =
            serde_json::from_slice(&fs::read(out.path().join("export.json")).unwrap()).unwrap();
        let missing = told["missing"].as_array().unwrap();
        assert_eq!(missing.len(), places.len(), "{missing:?}");
        assert_eq!(
            ended.stderr.lines().count(),
            places.len(),
            "{}",
            ended.stderr
        );
        assert_eq!(told["saved_as"], Value::Null);
        let mut all = ids(&out.path().join("reviews.csv"));
        for part in missing {
            let lost = part["review_ids"].as_array().unwrap();
            assert_eq!(part["reviews"], lost.len());
            // A block has some of 8 KiB.
            assert!((1..200).contains(&lost.len()), "{part}");
            for id in lost {
                assert!(all.insert(id.as_u64().unwrap()), "{id} is not missing");
            }
            let what = part["what"].as_str().unwrap();
            assert!(ended.stderr.contains(what), "{}", ended.stderr);
        }
        assert!(all.into_iter().eq(1..=MADE.reviews));
        // The saved rows are imported.
        let copy = Data::new();
        let report = Import::of(&out.path(), &copy.path()).report();
        let (read, stored) = report.rows("reviews.csv");
        assert_eq!(read, stored);
        let Counters { next_review_id, .. } =
            opened(&copy.path(), |store| store.counters().unwrap());
        assert_eq!(next_review_id, MADE.reviews + 1);
    }
}

/// A file's own description stands at its end: damage there prevents the store from opening.
#[test]
fn export_saves_the_other_files_of_a_store_that_does_not_open() {
    for (family, lost) in [("reviews", MADE.reviews), ("newest", 0)] {
        let data = made();
        let file = file_of(&data, family);
        damage_at(&file, fs::metadata(&file).unwrap().len() - 100);
        let out = Data::new();
        let (dir, to) = (data.path(), out.path());
        let (dir, to) = (dir.to_str().unwrap(), to.to_str().unwrap());
        let name = file.file_name().unwrap().to_str().unwrap();
        let strict = ["export", "--data", dir, "--out", to, "--quiet"];
        for refused in [&strict[..], &["verify", "--data", dir]] {
            let refused = run(refused).refusal();
            assert!(refused.contains("does not open"), "{refused}");
            assert!(refused.contains(name), "{refused}");
            assert!(refused.contains("export --skip-damaged"), "{refused}");
        }
        let ended = run(&[&strict[..], &["--skip-damaged"]].concat());
        let code = if lost == 0 { 0 } else { 3 };
        assert_eq!(ended.code, Some(code), "{}", ended.stderr);
        let told: Value =
            serde_json::from_slice(&fs::read(out.path().join("export.json")).unwrap()).unwrap();
        // An export with everything in it says of nothing that it is missing.
        let missing = told["missing"].as_array().into_iter().flatten();
        let missing = missing.map(|part| part["reviews"].as_u64().unwrap());
        assert_eq!(missing.sum::<u64>(), lost, "{told}");
        let reviews = ids(&out.path().join("reviews.csv")).len() as u64;
        assert_eq!(reviews, MADE.reviews - lost);
        assert_eq!(
            ids(&out.path().join("product.csv")).len() as u64,
            MADE.products
        );
    }
}

#[test]
fn a_value_that_cannot_be_decoded_is_skipped_and_named() {
    let data = made();
    {
        let _no_forks = no_forks();
        let dir = data.path().join("store").canonicalize().unwrap();
        let options = rocksdb::Options::default();
        let names = rocksdb::DB::list_cf(&options, &dir).unwrap();
        let db = rocksdb::DB::open_cf(&options, &dir, names).unwrap();
        let family = db.cf_handle("reviews").unwrap();
        let (key, _) = db
            .iterator_cf(family, rocksdb::IteratorMode::Start)
            .next()
            .unwrap()
            .unwrap();
        db.put_cf(family, key, b"?").unwrap();
    }
    let out = Data::new();
    let (dir, to) = (data.path(), out.path());
    let (dir, to) = (dir.to_str().unwrap(), to.to_str().unwrap());
    let ended = run(&[
        "export",
        "--data",
        dir,
        "--out",
        to,
        "--quiet",
        "--skip-damaged",
    ]);
    assert_eq!(ended.code, Some(3));
    let expected = "reviewsd: not exported: review ";
    assert!(ended.stderr.starts_with(expected), "{}", ended.stderr);
    assert!(ended.stderr.contains("(1 review: "), "{}", ended.stderr);
    let exported = ids(&out.path().join("reviews.csv"));
    assert_eq!(exported.len() as u64, MADE.reviews - 1);
}

#[test]
fn an_address_is_found_behind_a_damaged_block() {
    let data = made();
    damage(&file_of(&data, "reviews"), 30);
    let dir = data.path();
    let dir = dir.to_str().unwrap();
    let find = |email: &str| run(&["find", "--data", dir, "--email", email]);
    let found = (1..=MADE.reviews)
        .step_by(400)
        .map(|id| find(&format!("n{id}@post.example")));
    let found: Vec<_> = found.collect();
    for ended in &found {
        assert_eq!(ended.code, Some(3));
        let expected = "reviewsd: not searched: reviews after review ";
        assert!(ended.stderr.starts_with(expected), "{}", ended.stderr);
    }
    let is_found = |ended: &&Ended| ended.stdout.ends_with("1 review\n");
    assert!(found.iter().filter(is_found).count() >= found.len() - 1);
}

/// The report of a recount.
fn verified(data: &Data, more: &[&str]) -> (Option<i32>, Value) {
    let dir = data.path();
    let args = [
        "verify",
        "--data",
        dir.to_str().unwrap(),
        "--quiet",
        "--report",
        "json",
    ];
    let ended = run(&[&args[..], more].concat());
    assert_eq!(ended.stderr, "");
    (ended.code, serde_json::from_str(&ended.stdout).unwrap())
}

fn differences(report: &Value) -> Vec<&str> {
    let all = report["differences"].as_array().unwrap();
    all.iter().map(|one| one.as_str().unwrap()).collect()
}

#[test]
fn a_recount_skips_a_damaged_block_and_infers_nothing_from_it() {
    let data = made();
    let sound = verified(&data, &[]).1;
    damage(&file_of(&data, "reviews"), 20);
    damage(&file_of(&data, "reviews"), 70);
    for repair in [&[][..], &["--repair"]] {
        let (code, report) = verified(&data, repair);
        assert_eq!(code, Some(1));
        let told = differences(&report);
        assert_eq!(told.len(), 2, "{told:?}");
        for one in told {
            assert!(
                one.starts_with("cannot read reviews after review "),
                "{one}"
            );
            assert!(
                one.contains("`reviewsd export --skip-damaged` saves"),
                "{one}"
            );
        }
        assert_eq!(report["mended"], 0);
        let (read, all) = (&report["rows"], &sound["rows"]);
        let reviews = read["reviews"].as_u64().unwrap();
        assert!(
            reviews < MADE.reviews && reviews + 400 > MADE.reviews,
            "{reviews}"
        );
        for family in [
            "newest",
            "helpful",
            "owners",
            "summaries",
            "products",
            "styles",
        ] {
            assert_eq!(read[family], all[family], "{family}");
        }
    }
}

#[test]
fn a_damaged_block_of_a_derived_family_is_mended() {
    let data = made();
    let sound = verified(&data, &[]).1;
    for family in ["newest", "helpful", "owners", "ranks"] {
        if family == "ranks" {
            // A block of five rows, and all else of the file behind it.
            damage_at(&file_of(&data, family), 20);
        } else {
            damage(&file_of(&data, family), 30);
        }
        let (code, report) = verified(&data, &[]);
        assert_eq!(code, Some(1), "{family}");
        let told = differences(&report);
        assert_eq!(told.len(), 1, "{told:?}");
        assert!(
            told[0].starts_with(&format!("cannot read {family} ")) || told[0].contains("all of"),
            "{told:?}"
        );
        let (code, report) = verified(&data, &["--repair"]);
        assert_eq!(
            (code, &report["mended"]),
            (Some(0), &Value::from(1)),
            "{report}"
        );
        let (code, report) = verified(&data, &[]);
        assert_eq!(
            (code, &report["rows"]),
            (Some(0), &sound["rows"]),
            "{family}"
        );
    }
}
