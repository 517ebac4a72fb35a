//! `reviewsd export`: out again, whole or not at all, and in again to an equal store.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::channel;

use reviewsd::model::moderation::Actor;
use reviewsd::model::{CharacteristicRating, NewReview, ProductId, ReviewId};
use reviewsd::store::key::Family;
use reviewsd::store::{
    Change, IDEMPOTENCY_KEYS_MAX, IdempotencyKey, ModerationSettings, Store, Writer, WriterOptions,
    verify,
};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use super::contents::opened;
use super::made::Made;
use super::{Csv, Data, Ended, Import};
use crate::support::{no_forks, report, shop_dir};

/// All rows of all families but the store's id, and the idempotency keys of a day.
type AllRows = BTreeMap<(&'static str, Vec<u8>), Vec<u8>>;

fn all_rows(data: &Path) -> AllRows {
    opened(data, |store| {
        assert_eq!(verify::differences(store).unwrap(), Vec::<String>::new());
        let mut all = AllRows::new();
        for family in Family::ALL {
            if family == Family::IdempotencyKeys {
                continue;
            }
            let mut after = Vec::new();
            loop {
                let page = store.row_page(family, &after).unwrap();
                let rows = cut(&page);
                let Some((last, _)) = rows.last() else {
                    break;
                };
                after.clone_from(last);
                for (key, value) in rows {
                    all.insert((family.name(), key), value);
                }
            }
        }
        all.remove(&("state", b"identity".to_vec())).unwrap();
        // The state at the time it was made, which later writes do not change.
        all.remove(&("state", b"made".to_vec())).unwrap();
        all
    })
}

fn cut(mut page: &[u8]) -> Vec<(Vec<u8>, Vec<u8>)> {
    let mut rows = Vec::new();
    while !page.is_empty() {
        let length = |at: usize| u32::from_be_bytes(page[at..at + 4].try_into().unwrap()) as usize;
        let (key, value) = (length(0), length(4));
        let rest = &page[8..];
        rows.push((rest[..key].to_vec(), rest[key..key + value].to_vec()));
        page = &rest[key + value..];
    }
    rows
}

fn export(place: [&str; 2], out: &Path, more: &[&str]) -> Child {
    let mut command = Command::new(env!("CARGO_BIN_EXE_reviewsd"));
    command
        .arg("export")
        .args(place)
        .arg("--out")
        .arg(out)
        .args(more);
    command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let _no_forks = no_forks();
    command.spawn().unwrap()
}

pub(super) fn exported(data: &Path, out: &Path, more: &[&str]) -> Ended {
    let ended = Ended::of(export(["--data", data.to_str().unwrap()], out, more));
    assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), ""));
    ended
}

/// Exports, imports what was exported, and exports that: all stores and files must be the same.
fn assert_comes_back(data: &Path) -> PathBuf {
    let scratch = tempfile::tempdir().unwrap().keep();
    let (first, second) = (scratch.join("first"), scratch.join("second"));
    let copy = scratch.join("data");
    let before = all_rows(data);
    exported(data, &first, &[]);
    Import::of(&first, &copy).report();
    let after = all_rows(&copy);
    let differ = |one: &AllRows, other: &AllRows| {
        let mut rows = one.iter();
        rows.find(|(key, value)| other.get(*key) != Some(value))
            .map(|(key, value)| (key.clone(), String::from_utf8_lossy(value).into_owned()))
    };
    assert_eq!(differ(&before, &after), None);
    assert_eq!(differ(&after, &before), None);
    exported(&copy, &second, &[]);
    for file in fs::read_dir(&first).unwrap() {
        let file = file.unwrap();
        if file.file_name() != "export.json" {
            let again = fs::read(second.join(file.file_name())).unwrap();
            assert!(
                fs::read(file.path()).unwrap() == again,
                "{}",
                file.path().display()
            );
        }
    }
    scratch
}

#[test]
fn what_was_imported_comes_back() {
    for vintage in ["v1", "v2"] {
        let data = Data::new();
        Import::new(&Csv::fixture(vintage), &data).report();
        fs::remove_dir_all(assert_comes_back(&data.path())).unwrap();
    }
    for grouped in [true, false] {
        let made = Made {
            products: 500,
            reviews: 5000,
            body_bytes: 60,
            grouped,
        };
        let (csv, data) = (Csv::empty(), Data::new());
        made.write(&csv);
        Import::new(&csv, &data).report();
        fs::remove_dir_all(assert_comes_back(&data.path())).unwrap();
    }
}

pub(super) fn awkward(product: u64, text: &str) -> NewReview {
    NewReview {
        product: ProductId(product),
        rating: 3,
        recommend: false,
        summary: text.to_owned(),
        body: format!("{text}\n{text}\r\n␊␍␛ \u{1} \\n \\\\ , \" ' null \u{feff}"),
        reviewer_name: " pine ".to_owned(),
        reviewer_email: "pine@example.org".to_owned(),
        photos: vec!["https://img.example/a,b\"c".to_owned(); 2],
        ratings: if product == 1 {
            vec![CharacteristicRating {
                characteristic_id: 1,
                value: 2,
            }]
        } else {
            Vec::new()
        },
    }
}

#[test]
fn an_export_brings_back_all_changes_and_the_ids_in_use() {
    let dir = shop_dir();
    opened(dir.path(), |store| {
        let ids = store.counters().unwrap();
        let mut next = ids.next_review_id;
        for text in ["", "null", "\n", "␊", "␛n", "a\rb", "\"", "é漢🦀"] {
            for product in [1, 8, 77] {
                let retry = IdempotencyKey {
                    key: format!("{next}").into_bytes(),
                    body: 1,
                    client: Ipv4Addr::LOCALHOST.into(),
                };
                let mut review = awkward(product, text);
                review.photos.push(text.to_owned());
                if product == 8 {
                    review.body = text.to_owned();
                    review.reviewer_name = text.to_owned();
                    review.reviewer_email = text.to_owned();
                }
                write(
                    store,
                    Change::Post {
                        review,
                        retry: Some(retry),
                        held: None,
                    },
                );
                next += 1;
            }
        }
        write(store, report(ReviewId(2)));
        let review = ReviewId(14);
        let by = Actor::operator();
        write(store, Change::Restore { review, by });
        for (id, response) in [(1, ""), (2, "null"), (4, "Thank you,\n\"all\"␊")] {
            let response = Some(response.to_owned());
            write(
                store,
                Change::Respond {
                    review: ReviewId(id),
                    response,
                    by: Actor::operator(),
                },
            );
        }
        // The highest id among them, whose number no row has any more.
        let gone = [next - 1, next - 2, 5].map(ReviewId).into();
        let mut traces = store.traces(&gone).unwrap();
        for (_, change) in traces.take_changes(&Actor::operator()) {
            write(store, change);
        }
        assert_eq!(store.counters().unwrap().next_review_id, next);
    });
    // Idempotency keys are for a day and are not exported, so they do not count in the copy.
    opened(dir.path(), |store| {
        assert!(store.counters().unwrap().idempotency_keys > 0);
    });
    let scratch = tempfile::tempdir().unwrap();
    let (out, copy) = (scratch.path().join("csv"), scratch.path().join("data"));
    let mut before = all_rows(dir.path());
    exported(dir.path(), &out, &[]);
    Import::of(&out, &copy).report();
    let mut after = all_rows(&copy);
    let counters = ("state", b"counters".to_vec());
    before.remove(&counters).unwrap();
    after.remove(&counters).unwrap();
    // An import begins a history of its own.
    before.remove(&("state", b"head".to_vec())).unwrap();
    // No file has the time and the client of a report: it is stored in the first layout again.
    let key = ("reviews", [1_u64, 2].map(u64::to_be_bytes).concat());
    let reported = before.get_mut(&key).unwrap();
    let report = 9 + 9;
    let version_and_report = (reported[1], reported.len() - report);
    let imported = &after[&key];
    assert_eq!(version_and_report, (2, imported.len()));
    *reported = imported.clone();
    // Nor who showed a review again, and when.
    let key = ("reviews", [7_u64, 14].map(u64::to_be_bytes).concat());
    let restored = before.get_mut(&key).unwrap();
    assert_eq!([restored[1], after[&key][1]], [3, 1]);
    restored.clone_from(&after[&key]);
    // Nor what the rows of moderation follow from; `all_rows` has verified them.
    for rows in [&mut before, &mut after] {
        rows.retain(|(family, _), _| !["moderation", "audit"].contains(family));
    }
    assert!(before == after);
    let counters = [dir.path(), &copy].map(|data| opened(data, |store| store.counters().unwrap()));
    let mut expected = counters[0];
    expected.idempotency_keys = 0;
    // The audit log begins anew as well.
    expected.next_audit_entry = 1;
    assert_eq!(counters[1], expected);
}

pub(super) fn write(store: &Store, change: Change) {
    let options = WriterOptions {
        loss_time_max: None,
        queue_max: 1,
        free_space_min: 0,
        idempotency_keys_per_client_max: IDEMPOTENCY_KEYS_MAX,
        moderation: ModerationSettings::DEFAULT,
    };
    let failed = |error| panic!("{error}");
    let writer = Writer::start(store, options, || 1_700_000_000_000, |_| {}, failed).unwrap();
    let (tell, told) = channel();
    writer.submit(change, move |outcome| tell.send(outcome).unwrap());
    told.recv().unwrap().unwrap();
}

#[test]
fn an_empty_store_and_one_without_a_catalogue_come_back() {
    let data = Data::new();
    fs::create_dir(data.path()).unwrap();
    opened(&data.path(), |_| ());
    fs::remove_dir_all(assert_comes_back(&data.path())).unwrap();
    let (csv, data) = (Csv::fixture("v2"), Data::new());
    for file in ["product.csv", "features.csv"] {
        csv.remove(file);
    }
    Import::new(&csv, &data).report();
    let scratch = assert_comes_back(&data.path());
    assert!(!scratch.join("first/product.csv").exists());
    fs::remove_dir_all(scratch).unwrap();
}

#[test]
fn exported_files_are_those_of_real_exports_and_private() {
    let scratch = tempfile::tempdir().unwrap();
    let (csv, data) = (Csv::fixture("v2"), Data::new());
    Import::new(&csv, &data).report();
    let out = scratch.path().join("csv");
    let said = exported(&data.path(), &out, &["--format", "csv"]).stdout;
    assert!(said.contains("e-mail addresses are among them"), "{said}");
    for name in csv.files() {
        let lines = |bytes: Vec<u8>| {
            let text = String::from_utf8(bytes).unwrap();
            let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
            lines[1..].sort();
            lines
        };
        let (given, got) = (
            lines(csv.read(&name)),
            lines(fs::read(out.join(&name)).unwrap()),
        );
        assert_eq!(given[0], got[0], "{name}");
        if ["reviews.csv", "reviews_photos.csv", "characteristics.csv"].contains(&name.as_str()) {
            assert_eq!(given, got, "{name}");
        }
    }
    let mode = fs::metadata(&out).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o700);
}

#[test]
fn a_row_that_is_added_behind_an_export_is_imported() {
    let (data, out, copy) = (Data::new(), Csv::empty(), Data::new());
    Import::new(&Csv::fixture("v2"), &data).report();
    exported(&data.path(), &out.path("csv"), &[]);
    let related = out.path("csv/related.csv");
    let text = fs::read_to_string(&related).unwrap() + "1000,1,2\n";
    fs::write(&related, text).unwrap();
    let report = Import::of(&out.path("csv"), &copy.path()).report();
    let rows = report.rows("related.csv");
    assert_eq!(rows.0, rows.1);
    assert_eq!(rows.0, 18);
}

#[test]
fn an_export_writes_over_nothing() {
    let (scratch, data) = (tempfile::tempdir().unwrap(), Data::new());
    Import::new(&Csv::fixture("v2"), &data).report();
    let out = scratch.path().join("out");
    let place = data.path();
    let place = ["--data", place.to_str().unwrap()];
    let refused = |expected: &str| {
        let why = Ended::of(export(place, &out, &[])).refusal();
        assert!(why.contains(expected), "{why}");
    };
    fs::create_dir(&out).unwrap();
    fs::write(out.join("thesis.odt"), "").unwrap();
    refused("out exists");
    fs::remove_dir_all(&out).unwrap();
    fs::write(&out, "").unwrap();
    refused("out exists");
    fs::remove_file(&out).unwrap();
    let partial = scratch.path().join("out.partial");
    fs::create_dir(&partial).unwrap();
    refused("out.partial exists");
    fs::remove_dir(&partial).unwrap();
    // An empty directory is as good as none.
    fs::create_dir(&out).unwrap();
    exported(&data.path(), &out, &[]);
    assert!(out.join("reviews.csv").exists() && !partial.exists());
}

#[test]
fn a_directory_without_a_store_is_an_error_and_stays_as_it_is() {
    let scratch = tempfile::tempdir().unwrap();
    let none = scratch.path().join("none");
    let out = scratch.path().join("out");
    let place = ["--data", none.to_str().unwrap()];
    let why = Ended::of(export(place, &out, &[])).refusal();
    assert!(why.contains("there is no store in"), "{why}");
    assert_eq!(super::names(scratch.path()), Vec::<String>::new());
}

#[test]
fn a_damaged_value_ends_an_export_and_leaves_nothing() {
    let (scratch, data) = (tempfile::tempdir().unwrap(), Data::new());
    Import::new(&Csv::fixture("v2"), &data).report();
    {
        let dir = fs::read_link(data.path().join("store")).unwrap();
        let (options, dir) = (rocksdb::Options::default(), data.path().join(dir));
        let names = rocksdb::DB::list_cf(&options, &dir).unwrap();
        let db = rocksdb::DB::open_cf(&options, &dir, names).unwrap();
        let key = [1_u64.to_be_bytes(), 1_u64.to_be_bytes()].concat();
        db.put_cf(db.cf_handle("reviews").unwrap(), key, b"?")
            .unwrap();
    }
    let out = scratch.path().join("out");
    let place = data.path();
    let why = Ended::of(export(["--data", place.to_str().unwrap()], &out, &[])).refusal();
    assert!(why.contains("the value of reviews 1 is damaged"), "{why}");
    assert_eq!(super::names(scratch.path()), Vec::<String>::new());
}

#[test]
fn an_export_that_is_interrupted_leaves_nothing() {
    let scratch = tempfile::tempdir().unwrap();
    let out = scratch.path().join("out");
    let server = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = server.local_addr().unwrap().to_string();
    let child = export(["--server", &address], &out, &[]);
    let (socket, _) = server.accept().unwrap();
    let mut socket = BufReader::new(socket);
    let mut asked = |body: &str, before: &dyn Fn()| {
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            assert_ne!(socket.read_line(&mut head).unwrap(), 0);
        }
        before();
        let length = body.len();
        let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n{body}");
        socket.get_mut().write_all(answer.as_bytes()).unwrap();
        head
    };
    let stats = r#"{"store_id":"0","format":1,"made_ms":0,"next_review_id":1,"next_photo_id":1,
        "reviews_visible":0,"reviews_reported":0,"retries":0,"log_bytes":0,"cache_bytes":0,
        "free_bytes":0,"families":[]}"#;
    assert!(asked(stats, &|| ()).starts_with("GET /stats "));
    let pid = Pid::from_raw(i32::try_from(child.id()).unwrap()).unwrap();
    let interrupt = || {
        assert_eq!(super::names(scratch.path()), ["out.partial"]);
        kill_process(pid, Signal::INT).unwrap();
    };
    assert!(asked("", &interrupt).starts_with("GET /rows/reviews?after= "));
    let ended = Ended::of(child);
    assert_eq!((ended.code, ended.stdout.as_str()), (Some(130), ""));
    assert_eq!(super::names(scratch.path()), Vec::<String>::new());
}

#[test]
fn json_lines_say_all_that_the_csv_files_do() {
    let (scratch, data) = (tempfile::tempdir().unwrap(), Data::new());
    Import::new(&Csv::fixture("v2"), &data).report();
    let (json, csv) = (scratch.path().join("json"), scratch.path().join("csv"));
    exported(&data.path(), &json, &["--format", "jsonl"]);
    exported(&data.path(), &csv, &[]);
    let objects = |file: &str| -> Vec<Value> {
        let text = fs::read_to_string(json.join(file)).unwrap();
        text.lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    };
    let rows = |dir: &Path| -> Value {
        let text = fs::read_to_string(dir.join("export.json")).unwrap();
        serde_json::from_str::<Value>(&text).unwrap()["rows"].clone()
    };
    let reviews = objects("reviews.jsonl");
    assert_eq!(rows(&csv)["reviews.csv"], reviews.len());
    let inner = |objects: &[Value], member: &str| -> usize {
        objects
            .iter()
            .map(|one| one[member].as_array().unwrap().len())
            .sum()
    };
    assert_eq!(rows(&csv)["reviews_photos.csv"], inner(&reviews, "photos"));
    let ratings = inner(&reviews, "characteristics");
    assert_eq!(rows(&csv)["characteristic_reviews.csv"], ratings);
    let five = reviews.iter().find(|one| one["review_id"] == 5).unwrap();
    assert_eq!(five["date_ms"], 1_615_987_717_620_i64);
    assert!(five["reviewer_email"].as_str().unwrap().contains('@'));
    assert_eq!(rows(&csv)["product.csv"], objects("products.jsonl").len());
    let styles = objects("styles.jsonl");
    assert_eq!(rows(&csv)["styles.csv"], inner(&styles, "styles"));
    assert_eq!(
        rows(&csv)["related.csv"],
        inner(&objects("related.jsonl"), "related")
    );
    let why = Import::of(&json, &scratch.path().join("data")).refusal();
    assert!(why.contains("export with --format csv"), "{why}");
}

#[test]
fn rejects_are_not_written_into_the_csv_directory() {
    let (csv, data) = (Csv::fixture("v2"), Data::new());
    let other = data.path().join("bad.csv");
    let why = Import::new(&csv, &data)
        .with(&["--rejects", other.to_str().unwrap()])
        .misuse();
    assert!(why.contains("bad.csv is in the data directory"), "{why}");
    let own = data.path().join("rejects.csv");
    csv.add("reviews.csv", "x");
    for _ in 0..2 {
        let import = Import::new(&csv, &data).with(&["--replace", "--rejects"]);
        import.with(&[own.to_str().unwrap()]).report();
    }
    data.assert_swept();
}
