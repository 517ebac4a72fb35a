//! Refusals and failures of an import, in one sentence, with the store as it was.

use std::fs;
use std::os::unix::fs::FileTypeExt;
use std::path::Path;
use std::process::{Command, Stdio};

use reviewsd::store::Store;
use rocksdb::{DB, Options};

use super::contents::{contents, identified, opened};
use super::{Csv, Data, Ended, FIXTURE_PRODUCTS, Import};
use crate::support::no_forks;

/// The fixture, imported.
fn filled() -> (Csv, Data) {
    let (csv, data) = (Csv::fixture("v2"), Data::new());
    Import::new(&csv, &data).report();
    (csv, data)
}

/// The import must fail and change nothing but the rejects; returns the sentence.
fn refused(import: Import, data: &Data) -> String {
    let before = identified(&data.path(), FIXTURE_PRODUCTS);
    let sentence = import.refusal();
    data.assert_swept();
    assert_eq!(identified(&data.path(), FIXTURE_PRODUCTS), before);
    sentence
}

#[test]
fn too_many_rejects_leave_the_old_store_and_nothing_else() {
    let (csv, data) = filled();
    for id in 90..95 {
        csv.add("skus.csv", format!("{id},1,\"XS\",none"));
    }
    let import = Import::new(&csv, &data).with(&["--replace", "--max-rejects", "4"]);
    let rejects = data.path().join("rejects.csv");
    assert_eq!(
        refused(import, &data),
        format!(
            "more than 4 rows were rejected, the last one at skus.csv, line 18: quantity is not a whole \
             number; see {}, correct the files or raise --max-rejects",
            rejects.display()
        )
    );
    let rows = String::from_utf8(data.rejects()).unwrap();
    assert_eq!(rows.lines().count(), 5, "the one too many is in it");
    Import::new(&csv, &data)
        .with(&["--replace", "--max-rejects", "5"])
        .report();
    data.assert_swept();
}

#[test]
fn a_thousand_rejects_are_allowed_unless_told_otherwise() {
    let (csv, data) = filled();
    let rows: Vec<_> = (0..1001).map(|_| "0,1,2").collect();
    csv.add("related.csv", rows[1..].join("\n"));
    let report = Import::new(&csv, &data).with(&["--replace"]).report();
    assert_eq!(report.rejected("related.csv")["id is zero"], 1000);
    csv.add("related.csv", rows[0]);
    let sentence = refused(Import::new(&csv, &data).with(&["--replace"]), &data);
    assert!(sentence.starts_with("more than 1000 rows"), "{sentence}");
}

#[test]
fn no_reject_is_allowed_where_none_is() {
    let (csv, data) = filled();
    let strict = ["--replace", "--max-rejects", "0"];
    Import::new(&csv, &data).with(&strict).report();
    csv.add("product.csv", "0,\"a\",\"b\",\"c\",\"d\",1");
    let sentence = refused(Import::new(&csv, &data).with(&strict), &data);
    assert!(sentence.starts_with("more than 0 rows"), "{sentence}");
}

#[test]
fn what_only_the_join_rejects_counts_against_what_is_allowed() {
    let (csv, data) = filled();
    for id in 91..94 {
        csv.add("characteristic_reviews.csv", format!("{id},5,1,1"));
    }
    let allowing = |rejects| {
        let import = Import::new(&csv, &data);
        import.with(&["--replace", "--max-rejects", rejects])
    };
    let sentence = refused(allowing("2"), &data);
    assert!(sentence.starts_with("more than 2 rows"), "{sentence}");
    allowing("3").report();
}

#[test]
fn a_store_is_replaced_only_when_told_to() {
    let (csv, data) = filled();
    let sentence = refused(Import::new(&csv, &data), &data);
    assert_eq!(
        sentence,
        format!(
            "{} already contains a store; add --replace to replace it by this import",
            data.path().display()
        )
    );
    csv.add("product.csv", "11,\"Sock\",\"b\",\"c\",\"d\",1");
    Import::new(&csv, &data).with(&["--replace"]).report();
    data.assert_swept();
    assert!(data.contents().products[10].contains("Sock"));
}

#[test]
fn every_import_has_a_new_store_id_and_reports_it() {
    let (csv, data) = (Csv::fixture("v2"), Data::new());
    let ids = [0, 1].map(|_| {
        let report = Import::new(&csv, &data).with(&["--replace"]).report();
        let id = opened(&data.path(), |store| store.identity().store_id);
        assert_eq!(report.store_id(), id);
        let target = fs::read_link(data.path().join("store")).unwrap();
        assert_eq!(target, Path::new(&format!("store-{id:032x}")));
        id
    });
    assert_ne!(ids[0], ids[1]);
}

#[test]
fn a_directory_with_foreign_files_is_always_rejected() {
    let data = Data::new();
    fs::create_dir(data.path()).unwrap();
    fs::write(data.path().join("thesis.odt"), "years of work").unwrap();
    for replace in [&[][..], &["--replace"]] {
        let sentence = Import::new(&Csv::fixture("v2"), &data)
            .with(replace)
            .refusal();
        assert_eq!(
            sentence,
            format!(
                "{} already contains thesis.odt, which is not reviewsd's; choose a directory of its own \
                 for --data",
                data.path().display()
            )
        );
    }
    assert_eq!(data.names(), ["LOCK", "thesis.odt"]);
}

#[test]
fn a_directory_that_is_in_use_is_refused_and_the_holder_named() {
    let (csv, data) = filled();
    let store = Store::open(&data.path(), "reviewsd serve", 64 << 20, 0).unwrap();
    let sentence = Import::new(&csv, &data).with(&["--replace"]).refusal();
    let pid = std::process::id();
    assert_eq!(
        sentence,
        format!(
            "the data directory {} is in use by reviewsd serve (process {pid}); stop it first, or \
             choose another --data",
            data.path().display()
        )
    );
    drop(store);
    data.assert_swept();
}

#[test]
fn a_data_directory_that_cannot_be_made_is_named() {
    let (csv, data) = (Csv::fixture("v2"), Data::new());
    fs::write(data.path(), "a file").unwrap();
    let sentence = Import::new(&csv, &data).refusal();
    let expected = format!(
        "cannot create the data directory {}: ",
        data.path().display()
    );
    assert!(sentence.starts_with(&expected), "{sentence}");
}

#[test]
fn a_rejects_file_that_cannot_be_written_is_named() {
    let (csv, data) = filled();
    csv.add("skus.csv", "99,1");
    fs::create_dir(csv.path("dir")).unwrap();
    for rejects in [csv.path("dir"), csv.path("nowhere/rejects.csv")] {
        let rejects = rejects.to_str().unwrap();
        let import = Import::new(&csv, &data).with(&["--replace", "--rejects", rejects]);
        let sentence = refused(import, &data);
        let expected = format!("cannot write the rejects file {rejects}: ");
        assert!(sentence.starts_with(&expected), "{sentence}");
        assert!(sentence.ends_with("; choose another with --rejects"));
    }
}

#[test]
fn a_rejects_file_that_is_no_file_is_written_to_and_not_removed() {
    let (csv, data) = filled();
    csv.add("skus.csv", "99,1");
    let dir = tempfile::tempdir().unwrap();
    let fifo = dir.path().join("fifo");
    super::interrupt::make_fifo(&fifo);
    let _reader = super::interrupt::open_both_ways(&fifo);
    let to_fifo = ["--replace", "--rejects", fifo.to_str().unwrap()];
    Import::new(&csv, &data).with(&to_fifo).report();
    assert!(fs::metadata(&fifo).unwrap().file_type().is_fifo());
}

#[test]
fn a_rejects_file_that_is_to_be_imported_is_refused_and_stays() {
    let (csv, data) = filled();
    let before = csv.read("skus.csv");
    let path = csv.path("skus.csv").canonicalize().unwrap();
    let rejects = path.to_str().unwrap();
    let import = Import::new(&csv, &data).with(&["--replace", "--rejects", rejects]);
    assert_eq!(
        refused(import, &data),
        format!(
            "cannot write the rejects file {rejects}: it is one of the files to import; choose another \
             with --rejects"
        )
    );
    assert_eq!(csv.read("skus.csv"), before);
}

#[test]
fn an_import_of_nothing_leaves_the_rejects_of_the_one_before() {
    let (csv, data) = filled();
    csv.add("skus.csv", "99,1");
    Import::new(&csv, &data).with(&["--replace"]).report();
    let rejects = data.rejects();
    let import = Import::new(&Csv::empty(), &data).with(&["--replace"]);
    refused(import, &data);
    assert!(!rejects.is_empty());
    assert_eq!(data.rejects(), rejects);
}

#[test]
fn too_little_memory_is_refused() {
    let (csv, data) = (Csv::fixture("v2"), Data::new());
    let sentence = Import::new(&csv, &data)
        .with(&["--memory", "15MiB"])
        .misuse();
    assert_eq!(sentence, "--memory must be at least 16MiB");
}

#[test]
fn ids_too_scattered_for_the_memory_import_with_more_of_it() {
    let (csv, data) = filled();
    let ids = (1..=40_000_u64).map(|id| format!("\n{},1,2", id << 32));
    csv.write(
        "related.csv",
        "id,current_product_id,related_product_id".to_owned() + &ids.collect::<String>(),
    );
    let with = |memory| Import::new(&csv, &data).with(&["--replace", "--memory", memory]);
    let sentence = refused(with("16MiB"), &data);
    let expected = format!(
        "the ids of {} are so scattered",
        csv.path("related.csv").display()
    );
    assert!(sentence.starts_with(&expected), "{sentence}");
    assert!(sentence.ends_with("; raise --memory"), "{sentence}");
    with("128MiB").report();
    assert_eq!(data.contents().related[&1].len(), 40_000);
}

/// Writes another format into a closed store.
fn set_format(data: &Data, format: u32) {
    let _no_forks = no_forks();
    let path = data.path().join("store");
    let options = Options::default();
    let families = DB::list_cf(&options, &path).unwrap();
    let db = DB::open_cf(&options, &path, families).unwrap();
    let state = db.cf_handle("state").unwrap();
    db.put_cf(state, "format", format.to_be_bytes()).unwrap();
}

fn serve(data: &Data) -> Ended {
    let mut command = Command::new(env!("CARGO_BIN_EXE_reviewsd"));
    command.arg("serve").arg("--data").arg(data.path());
    command.args(["--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"]);
    command.stdin(Stdio::null());
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let child = {
        let _no_forks = no_forks();
        command.spawn().unwrap()
    };
    Ended::of(child)
}

#[test]
fn a_newer_format_is_rejected_with_advice_and_replaceable() {
    let (csv, data) = filled();
    set_format(&data, 3);
    let dir = fs::read_link(data.path().join("store")).unwrap();
    let expected = format!(
        "the store in {} has format 3, and this reviewsd reads format 2; run the newer reviewsd that \
         wrote it, or import what that one exports",
        data.path().join(dir).display()
    );
    let opened = {
        let _no_forks = no_forks();
        Store::open(&data.path(), "a test", 64 << 20, 0)
    };
    assert_eq!(opened.err().unwrap().to_string(), expected);
    let ended = serve(&data);
    assert_eq!(ended.code, Some(1));
    assert!(ended.stderr.contains(&expected), "{}", ended.stderr);
    let sentence = Import::new(&csv, &data).refusal();
    assert!(sentence.contains("add --replace"), "{sentence}");
    let replacing = || Import::new(&csv, &data).with(&["--replace"]);
    assert_eq!(replacing().refusal(), expected);
    replacing().with(&["--discard-posted"]).report();
    assert_eq!(
        contents(&data.path(), FIXTURE_PRODUCTS),
        super::fixture_contents()
    );
}
