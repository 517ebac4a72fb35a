//! Stores that earlier versions wrote, opened by this one: every former format can still be read, and every
//! answer from it stays the same.
//!
//! A store is in `tests/fixtures/format-N/`, or `format-N-WHAT/` where it shows a change within a format,
//! beside the answers that it gave when it was made. It was imported, then written to, and then killed, so
//! that opening it replays a log. `format-1-clients` has idempotency records of version 2, with their
//! clients, and `format-1` of version 1; `format-1-reports` has a review that says when and by whom it was
//! reported, which the others of format 1 do not say. To add the store of a new format, or of a change that the old ones
//! cannot show, name it in `LATEST` and run this before the change is taken:
//!
//! ```sh
//! cargo test --release --workspace --test it formats::make_a_store_to_keep -- --ignored
//! ```

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use reviewsd::store::key::FORMAT;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::replication::node::{self, Node, Setup};
use crate::support::no_forks;

/// The name of the store that was made last.
const LATEST: &str = "format-2";
/// The store, as tar writes a data directory.
pub(crate) const STORE: &str = "store.tar.gz";
/// The file with its answers.
const ANSWERS: &str = "answers.json";

/// All requests to a store, and its answers.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Kept {
    /// `reviewsd --version` of the program that wrote it.
    written_by: String,
    /// The output of `reviewsd position --contents`.
    contents: Vec<String>,
    /// Paths of the API, and what is answered.
    answers: Vec<(String, u16, String)>,
}

pub(crate) fn kept() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures")
}

fn server(data: &Path) -> Setup {
    Setup {
        data: data.to_owned(),
        other: "[writes]\nfree_space_min = \"1B\"\n".to_owned(),
        ..Setup::default()
    }
}

/// All paths that can be requested of the shop of `tests/fixtures/csv/v2`.
fn paths() -> Vec<String> {
    let mut paths = vec![];
    for product in 1..=11 {
        for sort in ["newest", "helpful", "relevant"] {
            let path = format!("/reviews?product_id={product}&count=50&sort={sort}");
            paths.push(path);
        }
        paths.push(format!("/reviews/meta?product_id={product}"));
        for what in ["", "/styles", "/related"] {
            paths.push(format!("/products/{product}{what}"));
        }
    }
    paths.extend((1..=20).map(|review| format!("/reviews/{review}")));
    paths.extend((1..=3).map(|page| format!("/products?page={page}&count=4")));
    paths
}

fn answers(data: &Path) -> Vec<(String, u16, String)> {
    let server = Node::start(&server(data));
    let answer = |path: String| {
        let (status, body) = server.get(&path);
        (path, status, body)
    };
    let answers = paths().into_iter().map(answer).collect();
    server.stop();
    answers
}

pub(crate) fn tar(args: &[&str], dir: &Path, archive: &Path) {
    let mut command = Command::new("tar");
    command.arg("--directory").arg(dir).args(args);
    let (from, to) = if args.contains(&"--create") {
        (
            Stdio::null(),
            Stdio::from(File::create_new(archive).unwrap()),
        )
    } else {
        (Stdio::from(File::open(archive).unwrap()), Stdio::null())
    };
    let _no_forks = no_forks();
    assert!(command.stdin(from).stdout(to).status().unwrap().success());
}

fn contents(data: &Path) -> Vec<String> {
    node::contents(data).lines().map(str::to_owned).collect()
}

#[test]
fn stores_of_all_old_formats_are_read_and_answer_as_before() {
    let mut formats = vec![];
    for entry in fs::read_dir(kept()).unwrap() {
        let dir = entry.unwrap().path();
        let name = dir.file_name().unwrap().to_str().unwrap().to_owned();
        let Some(format) = name.strip_prefix("format-") else {
            continue;
        };
        let number = format.split('-').next().unwrap();
        formats.push(number.parse::<u32>().unwrap());
        let kept: Kept = serde_json::from_slice(&fs::read(dir.join(ANSWERS)).unwrap()).unwrap();
        let data = tempfile::tempdir().unwrap();
        tar(&["--extract", "--gzip"], data.path(), &dir.join(STORE));
        assert_eq!(contents(data.path()), kept.contents, "{name}");
        let recount = node::run("verify", data.path(), &["--quiet"]);
        let said = String::from_utf8_lossy(&recount.stdout);
        assert!(
            recount.status.success() && said.contains("is sound"),
            "{name}: {said}"
        );
        assert!(kept.answers.len() >= 100, "{name}");
        for (now, then) in answers(data.path()).iter().zip(&kept.answers) {
            assert_eq!(now, then, "{name}");
        }
        // It is not only read.
        let words = ["--reporter", "127.0.0.1", "--dry-run"];
        let found = node::run("restore-reported", data.path(), &words).stdout;
        let says_by_whom = found.starts_with(b"1 review of 1 product would");
        let is_recorded = number != "1" || name.ends_with("-reports");
        assert_eq!(says_by_whom, is_recorded, "{name}");
        let words = ["--all", "--yes"];
        let restored = node::run("restore-reported", data.path(), &words);
        let said = String::from_utf8_lossy(&restored.stdout);
        assert!(
            said.ends_with("shown in the lists again\n"),
            "{name}: {said}"
        );
        let server = Node::start(&server(data.path()));
        assert_eq!(server.get("/reviews/12").0, 200, "{name}");
        let (_, reported) = server.ask("/reviews/reported").unwrap();
        assert!(!reported.contains("review_id"), "{name}: {reported}");
        server.fill(1);
        // A day after the store was made this is another review, and the old record leaves no row.
        post(&server, 1, 1, "kept-1");
        let (_, list) = server.get("/reviews?product_id=2&sort=newest");
        assert!(list.contains("review 0"), "{list}");
        change_catalogue(&server);
        server.stop();
        let recount = node::run("verify", data.path(), &["--quiet"]);
        assert!(recount.status.success(), "{name}");
    }
    assert!(
        formats.contains(&FORMAT),
        "no store of format {FORMAT} is kept"
    );
}

/// Changes the stock of a unit, and adds a product behind all others.
fn change_catalogue(server: &Node) {
    let lines = [
        json!({"op": "sku", "id": 1, "quantity": 1_234_567}),
        json!({"op": "put", "product": {"id": 1_000_000, "name": "Late", "default_price": "9"}}),
    ];
    let request = ureq::http::Request::builder()
        .method("POST")
        .uri(format!("http://{}/catalogue", server.admin()))
        .header("content-type", "application/x-ndjson")
        .body(lines.map(|line| line.to_string()).join("\n"));
    let mut answer = node::agent().run(request.unwrap()).unwrap();
    let text = answer.body_mut().read_to_string().unwrap();
    assert!(text.contains(r#""created":1,"updated":1"#), "{text}");
    let (_, list) = server.get("/products?count=1000");
    let list: serde_json::Value = serde_json::from_str(&list).unwrap();
    let products = list.as_array().unwrap();
    assert_eq!(products.last().unwrap()["id"], 1_000_000);
    let (_, page) = server.get(&format!("/products?count=1&page={}", products.len()));
    assert!(page.contains("Late"), "{page}");
    let mut styles = products
        .iter()
        .map(|product| server.get(&format!("/products/{}/styles", product["id"])).1);
    assert!(styles.any(|styles| styles.contains("1234567")));
}

#[test]
#[ignore = "makes a store to keep, once for each format"]
fn make_a_store_to_keep() {
    let out = kept().join(LATEST);
    fs::create_dir(&out).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let csv = kept().join("csv/v2");
    let imported = node::run(
        "import",
        &data,
        &["--quiet", "--csv", csv.to_str().unwrap()],
    );
    assert!(imported.status.success());
    let server = Node::start(&server(&data));
    write(&server);
    server.kill();
    // Files that only people read.
    for entry in fs::read_dir(data.join("store")).unwrap() {
        let path = entry.unwrap().path();
        if path
            .file_name()
            .unwrap()
            .to_str()
            .unwrap()
            .starts_with("LOG")
        {
            fs::remove_file(path).unwrap();
        }
    }
    tar(
        &["--create", "--gzip", "--owner=0", "--group=0", "."],
        &data,
        &out.join(STORE),
    );
    let version = node::run_program(&["--version"]);
    let kept = Kept {
        written_by: String::from_utf8(version.stdout).unwrap().trim().to_owned(),
        contents: contents(&data),
        answers: answers(&data),
    };
    let text = serde_json::to_string_pretty(&kept).unwrap();
    fs::write(out.join(ANSWERS), text + "\n").unwrap();
}

/// One of each write that there is.
fn write(server: &Node) {
    let agent = node::agent();
    let (api, admin) = (server.api(), server.admin());
    for (product, characteristic) in [(1, 1), (2, 5), (4, 10), (5, 14), (7, 22)] {
        post(server, product, characteristic, &format!("kept-{product}"));
    }
    let change = |path: String| {
        let answer = agent.put(format!("http://{api}{path}")).send_empty();
        assert_eq!(answer.unwrap().status(), 204, "{path}");
    };
    for review in [1, 1, 5, 16, 16, 16] {
        change(format!("/reviews/{review}/helpful"));
    }
    change("/reviews/12/report".to_owned());
    let respond = agent.put(format!("http://{admin}/reviews/7/response"));
    let respond = respond.header("Content-Type", "application/json");
    let answer = respond.send(json!({"response": "We are sorry."}).to_string());
    assert!(answer.unwrap().status().is_success());
    let erase = agent.post(format!("http://{admin}/erase"));
    let erase = erase.header("Content-Type", "application/json");
    let answer = erase.send(json!({"review": 10, "dry_run": false}).to_string());
    assert!(answer.unwrap().status().is_success());
    // After the erasure, which rewrites files: these are in the log alone.
    change("/reviews/9/helpful".to_owned());
    change("/reviews/18/helpful".to_owned());
}

fn post(server: &Node, product: u64, characteristic: u64, key: &str) {
    let review = json!({
        "product_id": product, "rating": 1 + product % 5, "summary": "Kept — 保存",
        "body": format!("What was written of product {product}, 🧳 and all."),
        "recommend": product.is_multiple_of(2), "name": "keeper", "email": "keeper@post.example",
        "photos": ["https://img.example/kept.jpg"],
        "characteristics": {characteristic.to_string(): 4},
    });
    let request = node::agent().post(format!("http://{}/reviews", server.api()));
    let request = request.header("Idempotency-Key", key);
    assert_eq!(request.send(review.to_string()).unwrap().status(), 201);
}
