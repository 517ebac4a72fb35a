//! What an operator does: looks, finds, erases, moderates and verifies, by hand or by the port.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use rustix::process::Signal;
use serde_json::{Value, json};
use tempfile::TempDir;
use ureq::Agent;

use super::Server;
use crate::support::{HOT_REVIEWS, no_forks, shop_dir};

/// An address in letters that no other review has.
const ADDRESS: &str = "Wanda.Q@Example.org";

/// What came back.
struct Got {
    status: u16,
    text: String,
}

impl Got {
    fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|_| panic!("{}", self.text))
    }
}

/// Asks the operator's port, as curl does.
fn ask(server: &Server, method: &str, path: &str, body: Option<&Value>) -> Got {
    let json = [("content-type", "application/json")];
    let headers: &[_] = if body.is_some() { &json } else { &[] };
    let body = body.map(ToString::to_string).unwrap_or_default();
    send(
        &format!("http://{}{path}", server.admin),
        method,
        headers,
        &body,
    )
}

fn send(url: &str, method: &str, headers: &[(&str, &str)], body: &str) -> Got {
    let agent = Agent::config_builder().http_status_as_error(false).build();
    let mut request = ureq::http::Request::builder().method(method).uri(url);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let agent = agent.new_agent();
    let mut answer = agent.run(request.body(body.to_owned()).unwrap()).unwrap();
    Got {
        status: answer.status().as_u16(),
        text: answer.body_mut().read_to_string().unwrap(),
    }
}

fn post(server: &Server, product: u64, email: &str, body: &str) -> u64 {
    let review = json!({
        "product_id": product, "rating": 2, "summary": "Loud", "body": body, "recommend": false,
        "name": "wanda", "email": email, "photos": ["https://img.example/wanda.jpg"],
    });
    let url = format!("http://{}/reviews", server.api);
    // Not the text: RocksDB's manifest names the first and last keys of files until it is rewritten.
    let key = format!("key-{product}-{}", body.len());
    let headers = [
        ("idempotency-key", key.as_str()),
        ("content-type", "application/json"),
    ];
    let got = send(&url, "POST", &headers, &review.to_string());
    assert_eq!((got.status, got.text.as_str()), (201, "Created"));
    let list = public(
        server,
        &format!("/reviews?product_id={product}&count=1&sort=newest"),
    );
    list["results"][0]["review_id"].as_u64().unwrap()
}

fn public(server: &Server, path: &str) -> Value {
    let got = send(&format!("http://{}{path}", server.api), "GET", &[], "");
    assert_eq!(got.status, 200, "{path}: {}", got.text);
    got.json()
}

/// Runs the program to its end.
fn reviewsd(arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_reviewsd"));
    command.args(arguments).stdin(Stdio::null());
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let child = {
        let _no_forks = no_forks();
        command.spawn().unwrap()
    };
    child.wait_with_output().unwrap()
}

/// Runs the program, which must succeed without a word of complaint.
fn said(arguments: &[&str]) -> String {
    let output = reviewsd(arguments);
    let complaint = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!((output.status.code(), complaint.as_str()), (Some(0), ""));
    String::from_utf8(output.stdout).unwrap()
}

/// Runs the program, which must fail; gives why.
fn refused(arguments: &[&str]) -> String {
    let output = reviewsd(arguments);
    assert_eq!(output.status.code(), Some(1));
    String::from_utf8(output.stderr).unwrap()
}

/// Files below a directory whose bytes hold a text, in any case.
fn holding(dir: &Path, text: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_symlink() {
            continue;
        }
        if path.is_dir() {
            found.extend(holding(&path, text));
        } else {
            // A live database removes files meanwhile.
            let bytes = fs::read(&path).unwrap_or_default().to_ascii_lowercase();
            let text = text.to_ascii_lowercase();
            if bytes
                .windows(text.len())
                .any(|window| window == text.as_bytes())
            {
                found.push(path);
            }
        }
    }
    found
}

fn stop(server: Server) -> TempDir {
    server.signal(Signal::TERM);
    let mut server = server;
    let dir = std::mem::replace(&mut server.dir, tempfile::tempdir().unwrap());
    let (code, log) = server.ended();
    assert_eq!(code, Some(0), "{log}");
    assert!(
        !log.to_lowercase().contains(&ADDRESS.to_lowercase()),
        "{log}"
    );
    dir
}

fn url(server: &Server) -> String {
    format!("http://{}", server.admin)
}

#[test]
fn erasing_an_address_takes_its_bytes_from_the_disk_of_a_live_server() {
    let config = "[writes]\nunknown_products = \"accept\"\n";
    let server = Server::with(config);
    let before = [
        "/reviews/meta?product_id=2",
        "/reviews?product_id=2&count=100",
    ]
    .map(|path| public(&server, path));
    let hot = public(&server, "/reviews/meta?product_id=20");
    // Words that nothing near them is like, so that they stay readable when they are compressed.
    let words = [(2, "Qzx7vwkJ"), (20, "yB4hpfUt"), (8, "m9RdcgEo")];
    let address = |word: &str| format!("{word}.wanda@example.org");
    let mut ids = Vec::new();
    for ((product, word), email) in
        words
            .into_iter()
            .zip([ADDRESS, "wanda.q@example.org", "WANDA.Q@EXAMPLE.ORG"])
    {
        ids.push(post(&server, product, email, word));
    }
    let other = post(&server, 2, &address("T6nLsAxi"), "another");
    let is_in = |server: &Server, word: &str, extension: &str| {
        let held = holding(server.dir.path(), word);
        held.iter()
            .any(|path| path.extension().is_some_and(|of| of == extension))
    };
    for (_, word) in words {
        assert!(is_in(&server, word, "log"), "{word}");
    }
    // From the log into files, and the next changes into the log.
    let server = Server::of(stop(server), config);
    for (_, word) in words {
        assert!(is_in(&server, word, "sst"), "{word}");
    }
    // What was voted for and reported is erased as well.
    let vote = format!("http://{}/reviews/{}/helpful", server.api, ids[0]);
    assert_eq!(send(&vote, "PUT", &[], "").status, 204);
    let report = format!("http://{}/reviews/{}/report", server.api, ids[1]);
    assert_eq!(send(&report, "PUT", &[], "").status, 204);

    let body = json!({"email": " wanda.q@example.org "});
    let found = ask(&server, "POST", "/find", Some(&body)).json();
    let found_ids: Vec<_> = found["results"].as_array().unwrap().iter().collect();
    let mut expected = ids.clone();
    expected.sort_by_key(|id| {
        if *id == ids[2] {
            8
        } else if *id == ids[0] {
            2
        } else {
            20
        }
    });
    let named: Vec<_> = found_ids
        .iter()
        .map(|one| one["review_id"].as_u64().unwrap())
        .collect();
    assert_eq!(named, expected);
    assert_eq!(found["next"], Value::Null);
    assert_eq!(found_ids[0]["reviewer_email"], ADDRESS);

    let dry = json!({"email": ADDRESS, "dry_run": true});
    let dry = ask(&server, "POST", "/erase", Some(&dry)).json();
    assert_eq!(
        (&dry["reviews"], &dry["dry_run"]),
        (&json!(ids), &json!(true))
    );
    assert_eq!(
        public(&server, "/reviews/meta?product_id=8")["ratings"],
        json!({"2": "1"})
    );

    let erased = ask(&server, "POST", "/erase", Some(&body)).json();
    assert_eq!(erased["reviews"], json!(ids));
    assert_eq!(erased["log_segments_left"], 0);
    assert_eq!(erased["unreadable"], 0);
    for text in ["wanda.q", "Qzx7vwkJ", "yB4hpfUt", "m9RdcgEo"] {
        assert_eq!(
            holding(server.dir.path(), text),
            Vec::<PathBuf>::new(),
            "{text}"
        );
    }
    assert!(is_in(&server, "T6nLsAxi", "sst"), "what others wrote stays");
    let mine = json!({"review": other});
    assert_eq!(
        ask(&server, "POST", "/erase", Some(&mine)).json()["reviews"],
        json!([other])
    );
    let after = [
        "/reviews/meta?product_id=2",
        "/reviews?product_id=2&count=100",
    ]
    .map(|path| public(&server, path));
    assert_eq!(after, before);
    assert_eq!(public(&server, "/reviews/meta?product_id=20"), hot);
    assert_eq!(
        public(&server, "/reviews/meta?product_id=8")["ratings"],
        json!({})
    );
    assert_eq!(
        ask(&server, "POST", "/erase", Some(&body)).json()["reviews"],
        json!([])
    );
    assert_eq!(ask(&server, "POST", "/erase", Some(&mine)).status, 404);
    // The same request again is a new review, under a new id.
    assert_eq!(post(&server, 2, "oak@example.org", "Qzx7vwkJ"), other + 1);
    let dir = stop(server);
    let data = dir.path().to_str().unwrap();
    assert!(said(&["verify", "--data", data]).contains("the store is sound"));
}

#[test]
fn an_address_that_was_imported_is_erased_from_a_store_that_nobody_serves() {
    let dir = shop_dir();
    let data = dir.path().to_str().unwrap();
    // Of the shop's every review; one is left to the other.
    let text = said(&["find", "--data", data, "--email", "WALKER@example.org"]);
    let all = HOT_REVIEWS + 12;
    assert!(
        text.ends_with(&format!("{},{:03} reviews\n", all / 1000, all % 1000)),
        "{}",
        &text[text.len() - 60..]
    );
    assert!(text.contains("review 5 of product 2, 2021-03-17T13:28:37.620Z\n"));
    assert!(
        text.contains("Line one ⏎ line two"),
        "no byte of a text moves the cursor"
    );
    assert!(!holding(dir.path(), "漢字").is_empty());
    let one = said(&["erase", "--data", data, "--review", "5", "--yes"]);
    assert_eq!(one, "erased 1 reviews: 5\n");
    assert!(holding(dir.path(), "漢字").is_empty());
    let why = refused(&["erase", "--data", data, "--review", "5", "--yes"]);
    assert_eq!(why, "reviewsd: there is no review 5\n");
    let email = ["--email", "walker@example.org"];
    let why = refused(&[["erase", "--data", data].as_slice(), &email].concat());
    assert!(why.contains("add --yes"), "{why}");
    let dry = said(&[
        "erase",
        "--data",
        data,
        "--email",
        "walker@example.org",
        "--dry-run",
    ]);
    assert!(
        dry.starts_with("5,011 reviews would be erased: 1, 2, 3, 4, 6, "),
        "{dry}"
    );
    let erased = said(&[
        "erase",
        "--data",
        data,
        "--email",
        "walker@example.org",
        "--yes",
    ]);
    assert!(
        erased.starts_with("erased 5,011 reviews: 1, 2, 3,"),
        "{erased}"
    );
    assert!(said(&["verify", "--data", data]).contains("the store is sound"));
    let none = said(&[
        "erase",
        "--data",
        data,
        "--email",
        "walker@example.org",
        "--yes",
    ]);
    assert!(none.starts_with("no review has this address\n"), "{none}");
    assert!(
        none.contains("rejects.csv is no part of the store"),
        "{none}"
    );
    let stats: Value = serde_json::from_str(&said(&["stats", "--data", data, "--json"])).unwrap();
    assert_eq!(stats["next_review_id"], 1000 + HOT_REVIEWS);
    for family in stats["families"].as_array().unwrap() {
        if ["reviews", "newest", "helpful", "owners"].contains(&family["family"].as_str().unwrap())
        {
            assert_eq!(
                (&family["rows"], &family["bytes"]),
                (&json!(0), &json!(0)),
                "{family}"
            );
        }
    }
}

#[test]
fn a_live_store_is_asked_through_its_server() {
    let server = Server::with("");
    let at = url(&server);
    let data = server.dir.path().to_str().unwrap();
    let why = refused(&["find", "--data", data, "--email", "x@example.org"]);
    assert!(
        why.contains("in use by reviewsd serve") && why.contains("--server"),
        "{why}"
    );
    let table = said(&["stats", "--server", &at]);
    let words: Vec<_> = table.split_whitespace().collect();
    let table = words.join(" ");
    for line in [
        "format 1 made",
        "reviews 5,012",
        "next ids review 6,000, photo 5",
    ] {
        assert!(table.contains(line), "{table}");
    }
    let live: Value = serde_json::from_str(&said(&["stats", "--server", &at, "--json"])).unwrap();
    let id = post(&server, 2, ADDRESS, "by the server");
    let one = said(&[
        "find",
        "--server",
        &at,
        "--email",
        "wanda.q@example.org",
        "--json",
    ]);
    let one: Value = serde_json::from_str(&one).unwrap();
    assert_eq!(
        (one["review_id"].as_u64(), &one["body"]),
        (Some(id), &json!("by the server"))
    );
    let scratch = tempfile::tempdir().unwrap();
    let (there, here) = (scratch.path().join("there"), scratch.path().join("here"));
    let export = |place: [&str; 2], out: &Path| {
        said(&["export", place[0], place[1], "--out", out.to_str().unwrap()])
    };
    // 5,000 texts of a thousand bytes: several pages.
    export(["--server", &at], &there);
    let erased = said(&["erase", "--server", &at, "--email", ADDRESS, "--yes"]);
    assert_eq!(erased, format!("erased 1 reviews: {id}\n"));
    let dir = stop(server);
    let data = dir.path().to_str().unwrap();
    export(["--data", data], &here);
    for file in fs::read_dir(&here).unwrap() {
        let file = file.unwrap().file_name();
        let texts = [&there, &here].map(|dir| fs::read_to_string(dir.join(&file)).unwrap());
        let lines = |text: &str| text.lines().count();
        if file == "reviews.csv" || file == "reviews_photos.csv" {
            assert_eq!(lines(&texts[0]), lines(&texts[1]) + 1, "{file:?}");
        } else if file != "export.json" {
            assert!(texts[0] == texts[1], "{file:?}");
        }
    }
    let stats: Value = serde_json::from_str(&said(&["stats", "--data", data, "--json"])).unwrap();
    assert_eq!(stats["store_id"], live["store_id"]);
    let rows = |stats: &Value| {
        let all = stats["families"].as_array().unwrap().clone();
        all.iter()
            .filter(|one| one["exact"] == true)
            .map(|one| one["rows"].clone())
            .collect::<Vec<_>>()
    };
    assert_eq!(rows(&stats), rows(&live));
}

#[test]
fn reported_reviews_are_listed_by_the_page_shown_again_and_removed() {
    let server = Server::with("");
    let mut seen = Vec::new();
    let mut path = "/reviews/reported?count=200".to_owned();
    loop {
        let page = ask(&server, "GET", &path, None).json();
        let results = page["results"].as_array().unwrap();
        assert!(results.len() <= 200);
        seen.extend(results.iter().map(|one| {
            assert_eq!(one["reported"], true);
            one["review_id"].as_u64().unwrap()
        }));
        let Some(next) = page["next"].as_str() else {
            break;
        };
        path = format!("/reviews/reported?count=200&after={next}");
    }
    let hot = (0..HOT_REVIEWS)
        .filter(|n| n.is_multiple_of(10))
        .map(|n| 1000 + n);
    assert_eq!(seen, std::iter::once(14).chain(hot).collect::<Vec<_>>());
    let list = || {
        let list = public(&server, "/reviews?product_id=7");
        let ids = list["results"].as_array().unwrap().iter();
        ids.map(|one| one["review_id"].as_u64().unwrap())
            .collect::<Vec<_>>()
    };
    assert_eq!(list(), [13]);
    for _ in 0..2 {
        assert_eq!(ask(&server, "PUT", "/reviews/14/restore", None).status, 204);
        assert_eq!(list(), [14, 13]);
    }
    let shown = ask(&server, "GET", "/reviews/14", None).json();
    assert_eq!(
        (&shown["reported"], &shown["reviewer_email"]),
        (&json!(false), &json!("walker@example.org"))
    );
    assert_eq!(ask(&server, "DELETE", "/reviews/14", None).status, 204);
    assert_eq!(list(), [13]);
    assert_eq!(
        public(&server, "/reviews/meta?product_id=7")["ratings"],
        json!({"5": "1"})
    );
    for (method, path) in [
        ("DELETE", "/reviews/14"),
        ("GET", "/reviews/14"),
        ("PUT", "/reviews/14/restore"),
    ] {
        let got = ask(&server, method, path, None);
        assert_eq!(
            (got.status, got.text.as_str()),
            (404, "Error: there is no review 14")
        );
    }
    for path in [
        "/reviews/reported?count=x",
        "/reviews/reported?after=x",
        "/reviews/x",
    ] {
        assert_eq!(ask(&server, "GET", path, None).status, 422, "{path}");
    }
    stop(server);
}

#[test]
fn a_merchant_answers_and_is_told_what_is_wrong_with_the_answer() {
    let server = Server::with("");
    let shown = || public(&server, "/reviews/1")["response"].clone();
    let respond = |body: &Value| ask(&server, "PUT", "/reviews/1/response", Some(body));
    assert_eq!(shown(), Value::Null);
    for _ in 0..2 {
        assert_eq!(
            respond(&json!({"response": "Thank you,\n\"Wanda\""})).status,
            204
        );
        assert_eq!(shown(), "Thank you,\n\"Wanda\"");
    }
    assert_eq!(respond(&json!({"response": "é".repeat(1000)})).status, 204);
    let list = public(&server, "/reviews?product_id=1");
    assert_eq!(list["results"][0]["response"], json!("é".repeat(1000)));
    let url = format!("http://{}/reviews/1/response", server.admin);
    for (body, what) in [
        (
            json!({"response": "é".repeat(1001)}),
            "must have at most 1000 characters",
        ),
        (json!({"response": ""}), "must not be empty"),
        (json!({"response": 5}), "must be a text"),
        (json!({"response": null}), "is missing"),
        (json!({}), "is missing"),
    ] {
        let headers = [
            ("content-type", "application/json"),
            ("accept", "application/json"),
        ];
        let got = send(&url, "PUT", &headers, &body.to_string());
        assert_eq!(got.status, 422);
        let fault = json!([{"detail": format!("response {what}"), "pointer": "/response"}]);
        assert_eq!(got.json()["errors"], fault);
    }
    assert_eq!(respond(&json!([])).status, 400);
    for _ in 0..2 {
        assert_eq!(
            ask(&server, "DELETE", "/reviews/1/response", None).status,
            204
        );
        assert_eq!(shown(), Value::Null);
    }
    assert_eq!(respond(&json!({"response": "Kept"})).status, 204);
    let dir = stop(server);
    let server = Server::of(dir, "");
    assert_eq!(public(&server, "/reviews/1")["response"], "Kept");
}

#[test]
fn what_is_asked_must_be_clear() {
    let server = Server::with("");
    for (path, body, status, sentence) in [
        ("/find", json!({}), 422, "email is missing"),
        (
            "/find",
            json!({"email": " "}),
            422,
            "email must not be empty",
        ),
        ("/find", json!({"email": 1}), 422, "email must be a text"),
        (
            "/find",
            json!({"email": "a@b", "after": "x"}),
            422,
            "invalid after",
        ),
        (
            "/erase",
            json!({}),
            422,
            "email is missing, and so is review",
        ),
        (
            "/erase",
            json!({"email": "a@b", "review": 1}),
            422,
            "review is given beside email",
        ),
        (
            "/erase",
            json!({"review": "all"}),
            422,
            "review must be the id",
        ),
        (
            "/erase",
            json!({"review": 1, "dry_run": "no"}),
            422,
            "dry_run must be true or false",
        ),
        (
            "/erase",
            json!({"review": 999_999}),
            404,
            "there is no review 999999",
        ),
    ] {
        let got = ask(&server, "POST", path, Some(&body));
        assert_eq!(got.status, status, "{path} {body}");
        assert!(got.text.contains(sentence), "{path} {body}: {}", got.text);
    }
    for (path, status) in [
        ("/rows/owners", 404),
        ("/rows/retries", 404),
        ("/rows/reviews?after=0", 422),
        ("/rows/reviews?after=zz", 422),
        ("/find", 405),
    ] {
        assert_eq!(ask(&server, "GET", path, None).status, status, "{path}");
    }
    assert_eq!(public(&server, "/reviews/1")["review_id"], 1);
    // The public port has none of it.
    for (method, path) in [
        ("POST", "/erase"),
        ("POST", "/find"),
        ("GET", "/stats"),
        ("GET", "/rows/reviews"),
        ("GET", "/reviews/reported"),
        ("DELETE", "/reviews/1"),
        ("PUT", "/reviews/1/restore"),
        ("PUT", "/reviews/1/response"),
    ] {
        let got = send(&format!("http://{}{path}", server.api), method, &[], "");
        assert!(
            [404, 405, 422].contains(&got.status),
            "{method} {path}: {}",
            got.status
        );
    }
}

#[test]
fn a_page_in_a_browser_is_not_answered() {
    let server = Server::with("");
    let at = url(&server);
    let body = json!({"review": 1}).to_string();
    let json_type = ("content-type", "application/json");
    for header in [
        ("origin", "https://shop.example"),
        ("origin", "null"),
        ("sec-fetch-site", "cross-site"),
        ("sec-fetch-site", "same-origin"),
        ("host", "rebound.example"),
    ] {
        for (method, path) in [
            ("POST", "/erase"),
            ("GET", "/reviews/1"),
            ("DELETE", "/reviews/1"),
        ] {
            let body = if method == "POST" { body.as_str() } else { "" };
            let got = send(&format!("{at}{path}"), method, &[header, json_type], body);
            assert_eq!(got.status, 403, "{method} {path} {header:?}");
        }
    }
    // What a form of another site can send.
    for form in [
        "text/plain",
        "application/x-www-form-urlencoded",
        "multipart/form-data",
    ] {
        let got = send(
            &format!("{at}/erase"),
            "POST",
            &[("content-type", form)],
            &body,
        );
        assert_eq!(got.status, 415, "{form}");
    }
    // What asks before is given no leave.
    let preflight = [
        ("origin", "https://shop.example"),
        ("access-control-request-method", "DELETE"),
    ];
    let got = Agent::new_with_defaults();
    let request = ureq::http::Request::builder()
        .method("OPTIONS")
        .uri(format!("{at}/reviews/1"));
    let request = preflight.iter().fold(request, |request, (name, value)| {
        request.header(*name, *value)
    });
    let answer = got.run(request.body(()).unwrap()).unwrap();
    assert!(
        answer
            .headers()
            .get("access-control-allow-origin")
            .is_none()
    );
    assert_eq!(public(&server, "/reviews/1")["review_id"], 1);
}

#[test]
fn a_damaged_store_is_told_of_and_mended() {
    let dir = shop_dir();
    let data = dir.path().to_str().unwrap();
    let sound = said(&["verify", "--data", data]);
    assert!(
        sound.contains("reviews            5,012 rows") && sound.ends_with("the store is sound\n"),
        "{sound}"
    );
    {
        let store = dir
            .path()
            .join(fs::read_link(dir.path().join("store")).unwrap());
        let options = rocksdb::Options::default();
        let names = rocksdb::DB::list_cf(&options, &store).unwrap();
        let db = rocksdb::DB::open_cf(&options, &store, names).unwrap();
        let family = |name| db.cf_handle(name).unwrap();
        let key = [1_u64.to_be_bytes(), 1_u64.to_be_bytes()].concat();
        db.put_cf(family("reviews"), key, b"?").unwrap();
        db.delete_cf(family("owners"), 2_u64.to_be_bytes()).unwrap();
    }
    let output = reviewsd(&["verify", "--data", data]);
    let told = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(1));
    for sentence in [
        "the value of reviews 1 is damaged",
        "review 2 of product 1 has no owner",
        "--repair` mends what can be",
    ] {
        assert!(told.contains(sentence), "{told}");
    }
    let mended = said(&["verify", "--data", data, "--repair", "--report", "json"]);
    let mended: Value = serde_json::from_str(&mended).unwrap();
    assert_eq!(
        (&mended["sound"], &mended["set_aside"]),
        (&json!(true), &json!(1))
    );
    assert_eq!(mended["reviews"], 5011);
    let aside = fs::read_to_string(dir.path().join("set-aside.txt")).unwrap();
    assert!(
        aside.starts_with("reviews 00000000000000010000000000000001 3f "),
        "{aside}"
    );
    assert!(said(&["verify", "--data", data]).ends_with("the store is sound\n"));
    let server = Server::of(dir, "");
    assert_eq!(
        public(&server, "/reviews?product_id=1")["results"][0]["review_id"],
        2
    );
}

#[test]
fn a_file_that_cannot_be_read_is_told_of_and_not_taken_for_an_empty_one() {
    let dir = shop_dir();
    let data = dir.path().to_str().unwrap();
    let store = dir
        .path()
        .join(fs::read_link(dir.path().join("store")).unwrap());
    let largest = fs::read_dir(&store)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let is_sorted = |path: &PathBuf| path.extension().is_some_and(|extension| extension == "sst");
    let size = |path: &PathBuf| fs::metadata(path).unwrap().len();
    let largest = largest.filter(is_sorted).max_by_key(size).unwrap();
    let mut bytes = fs::read(&largest).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle..middle + 64].fill(0xa5);
    fs::write(&largest, bytes).unwrap();
    for repair in [[].as_slice(), &["--repair"]] {
        let output = reviewsd(&[["verify", "--data", data].as_slice(), repair].concat());
        let told = String::from_utf8(output.stdout).unwrap();
        assert_eq!(output.status.code(), Some(1));
        assert!(
            told.contains("what is behind it was not looked at"),
            "{told}"
        );
        assert!(!told.contains("the counters are"), "{told}");
    }
}
