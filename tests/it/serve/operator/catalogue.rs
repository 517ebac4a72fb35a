//! The catalogue on the admin port: products put, patched and removed, stock, and many of these at once.

use std::io::Write;
use std::net::TcpStream;

use serde_json::{Value, json};

use super::{reviewsd, send, stop, url};
use crate::serve::{Client, Server};
use crate::support::{open_store, shop_dir};
use reviewsd::store::verify;

/// The status, the `ETag` and the text of an answer.
struct Tagged {
    status: u16,
    etag: String,
    seq: String,
    text: String,
}

fn ask(server: &Server, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Tagged {
    let agent = ureq::Agent::config_builder().http_status_as_error(false);
    let mut request = ureq::http::Request::builder()
        .method(method)
        .uri(format!("{}{path}", url(server)))
        .header("accept", "application/json");
    if !body.is_empty() && !headers.iter().any(|(name, _)| *name == "content-type") {
        request = request.header("content-type", "application/json");
    }
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let agent = agent.build().new_agent();
    let mut answer = agent.run(request.body(body.to_owned()).unwrap()).unwrap();
    let header = |name| {
        let value = answer.headers().get(name);
        value.map_or(String::new(), |value| value.to_str().unwrap().to_owned())
    };
    Tagged {
        status: answer.status().as_u16(),
        etag: header("etag"),
        seq: header("x-seq"),
        text: answer.body_mut().read_to_string().unwrap(),
    }
}

fn public(server: &Server, path: &str) -> (u16, String) {
    let got = send(&format!("http://{}{path}", server.api), "GET", &[], "");
    (got.status, got.text)
}

/// The ids of a page of products.
fn page(server: &Server, page: u64, count: u64) -> Vec<u64> {
    let (status, text) = public(server, &format!("/products?page={page}&count={count}"));
    assert_eq!(status, 200, "{text}");
    let list: Vec<Value> = serde_json::from_str(&text).unwrap();
    list.iter().map(|one| one["id"].as_u64().unwrap()).collect()
}

fn pointers(answer: &Tagged) -> Vec<String> {
    assert_eq!(answer.status, 422, "{}", answer.text);
    let problem: Value = serde_json::from_str(&answer.text).unwrap();
    let errors = problem["errors"].as_array().unwrap().iter();
    errors
        .map(|error| error["pointer"].as_str().unwrap().to_owned())
        .collect()
}

fn coat(id: u64, sku: u64) -> Value {
    json!({
        "id": id, "name": "Coat", "slogan": "", "description": "", "category": "Coats",
        "default_price": "90.00", "features": [],
        "styles": {(id * 100).to_string(): {
            "name": "Grey", "original_price": "90.00", "sale_price": null, "default?": true,
            "photos": [], "skus": {sku.to_string(): {"quantity": 3, "size": "M"}}}},
        "related": [1],
    })
}

#[test]
fn a_product_is_put_read_patched_and_removed() {
    let server = Server::with("");
    let (_, before) = public(&server, "/products/1");
    let shown = ask(&server, "GET", "/products/1", &[], "");
    assert_eq!(shown.status, 200);
    let document: Value = serde_json::from_str(&shown.text).unwrap();
    assert_eq!(document["styles"]["1"]["skus"]["7"]["quantity"], 15);
    assert_eq!(document["related"], json!([2, 3, 8, 7]));
    // The same again is no change.
    let put = ask(&server, "PUT", "/products/1", &[], &shown.text);
    assert_eq!((put.status, &put.etag), (204, &shown.etag));
    assert_eq!(public(&server, "/products/1").1, before);

    assert_eq!(page(&server, 2, 5), [6, 7, 8, 9, 10]);
    let created = ask(
        &server,
        "PUT",
        "/products/15",
        &[],
        &coat(15, 900).to_string(),
    );
    assert_eq!(created.status, 201, "{}", created.text);
    assert!(!created.etag.is_empty() && !created.seq.is_empty());
    assert_eq!(page(&server, 3, 5), [15]);
    let (_, styles) = public(&server, "/products/15/styles");
    assert!(styles.contains(r#""skus":{"900":{"quantity":3,"size":"M"}}"#));
    assert_eq!(public(&server, "/products/15/related").1, "[1]");

    let patch = r#"{"name":"Parka","styles":{"1500":{"sale_price":"70"}}}"#;
    let merge = [("content-type", "application/merge-patch+json")];
    let patched = ask(&server, "PATCH", "/products/15", &merge, patch);
    assert_eq!(patched.status, 204, "{}", patched.text);
    let (_, product) = public(&server, "/products/15");
    assert!(product.contains(r#""name":"Parka""#), "{product}");
    let (_, styles) = public(&server, "/products/15/styles");
    assert!(styles.contains(r#""sale_price":"70""#), "{styles}");
    let (_, list) = public(&server, "/products?page=3");
    assert!(list.contains("Parka"), "{list}");

    let removed = ask(&server, "DELETE", "/products/15", &[], "");
    assert_eq!(removed.status, 204);
    for path in [
        "/products/15",
        "/products/15/styles",
        "/products/15/related",
    ] {
        assert_eq!(public(&server, path).0, 404);
    }
    assert_eq!(page(&server, 3, 5), [0; 0]);
    for method in ["GET", "DELETE"] {
        let gone = ask(&server, method, "/products/15", &[], "");
        assert_eq!(gone.status, 404, "{method}");
    }
    let dir = stop(server);
    let store = open_store(dir.path());
    assert_eq!(verify::differences(&store).unwrap(), [""; 0]);
}

#[test]
fn a_change_of_another_version_is_refused() {
    let server = Server::with("");
    let first = ask(&server, "GET", "/products/1", &[], "").etag;
    let patch = r#"{"slogan":"Once"}"#;
    let second = ask(
        &server,
        "PATCH",
        "/products/1",
        &[("if-match", &first)],
        patch,
    );
    assert_eq!(second.status, 204);
    let stale = [("if-match", first.as_str())];
    let document = ask(&server, "GET", "/products/1", &[], "").text;
    for (method, body) in [("PUT", document.as_str()), ("PATCH", patch), ("DELETE", "")] {
        let refused = ask(&server, method, "/products/1", &stale, body);
        assert_eq!(refused.status, 412, "{method}");
    }
    let any = [("if-match", "*")];
    let missing = ask(
        &server,
        "PUT",
        "/products/15",
        &any,
        &coat(15, 900).to_string(),
    );
    assert_eq!(missing.status, 412);
    let absent = [("if-none-match", "*")];
    let there = ask(&server, "PUT", "/products/1", &absent, &document);
    assert_eq!(there.status, 412);
    let created = ask(
        &server,
        "PUT",
        "/products/15",
        &absent,
        &coat(15, 900).to_string(),
    );
    assert_eq!(created.status, 201);
    let unclear = ask(&server, "DELETE", "/products/1", &[("if-match", "1")], "");
    assert_eq!(unclear.status, 422);
    let now = [("if-match", second.etag.as_str())];
    assert_eq!(ask(&server, "DELETE", "/products/1", &now, "").status, 204);
    stop(server);
}

#[test]
fn a_wrong_document_changes_nothing_and_names_every_fault() {
    let server = Server::with("");
    let before = ask(&server, "GET", "/products/1", &[], "");
    let wrong = r#"{"id":2,"default_price":"free","styles":{"x":{},"1":{"name":"n","original_price":"1",
        "skus":{"37":{"quantity":"many","size":"S"}}}}}"#;
    let refused = ask(&server, "PUT", "/products/1", &[], wrong);
    assert_eq!(
        pointers(&refused),
        [
            "/id",
            "/styles/1/skus/37/quantity",
            "/styles/x",
            "/name",
            "/default_price"
        ]
    );
    // Sku 37 is of product 3.
    let taken = ask(
        &server,
        "PUT",
        "/products/15",
        &[],
        &coat(15, 37).to_string(),
    );
    assert_eq!(pointers(&taken), ["/styles/1500/skus/37"]);
    assert!(taken.text.contains("product 3"), "{}", taken.text);
    let patched = ask(
        &server,
        "PATCH",
        "/products/1",
        &[],
        r#"{"name":null,"colour":1}"#,
    );
    assert_eq!(pointers(&patched), ["/name", "/colour"]);
    for (path, body) in [("/skus/7", "{}"), ("/skus/7", r#"{"quantity":-1}"#)] {
        let refused = ask(&server, "PATCH", path, &[], body);
        assert_eq!(pointers(&refused), ["/quantity"]);
    }
    let after = ask(&server, "GET", "/products/1", &[], "");
    assert_eq!((after.text, after.etag), (before.text, before.etag));
    for (method, path, kind, status) in [
        ("PUT", "/products/1", "text/plain", 415),
        ("POST", "/catalogue", "application/json", 415),
        ("PATCH", "/skus/0", "application/json", 422),
        ("PATCH", "/skus/99", "application/json", 404),
        ("PUT", "/products/x", "application/json", 422),
    ] {
        let refused = ask(
            &server,
            method,
            path,
            &[("content-type", kind)],
            r#"{"quantity":1}"#,
        );
        assert_eq!(refused.status, status, "{method} {path}: {}", refused.text);
    }
    let long = format!(r#"{{"name":"{}"}}"#, "x".repeat(1 << 20));
    let refused = ask(&server, "PATCH", "/products/1", &[], &long);
    assert_eq!(refused.status, 413);
    stop(server);
}

#[test]
fn stock_is_set_unit_by_unit() {
    let server = Server::with("");
    let (_, cached) = public(&server, "/products/1/styles");
    assert!(cached.contains(r#""7":{"quantity":15,"size":"7.5"}"#));
    let set = ask(&server, "PATCH", "/skus/7", &[], r#"{"quantity":0}"#);
    assert_eq!(set.status, 204, "{}", set.text);
    let (_, styles) = public(&server, "/products/1/styles");
    assert!(
        styles.contains(r#""7":{"quantity":0,"size":"7.5"}"#),
        "{styles}"
    );
    let again = ask(&server, "PATCH", "/skus/7", &[], r#"{"quantity":0}"#);
    assert_eq!((again.status, &again.seq), (204, &set.seq));
    let sized = ask(&server, "PATCH", "/skus/37", &[], r#"{"size":"Large"}"#);
    assert_eq!(sized.status, 204);
    let (_, styles) = public(&server, "/products/3/styles");
    assert!(styles.contains(r#""37":{"quantity":0,"size":"Large"}"#));
    stop(server);
}

fn bulk(server: &Server, lines: &str) -> Vec<Value> {
    let kind = [("content-type", "application/x-ndjson")];
    let answer = ask(server, "POST", "/catalogue", &kind, lines);
    assert_eq!(answer.status, 200, "{}", answer.text);
    let lines = answer.text.lines();
    lines
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

fn results(answer: &[Value]) -> Vec<(u64, &str)> {
    let lines = answer.iter().filter(|line| line["line"].is_u64());
    lines
        .map(|line| {
            let result = line["result"].as_str().or(line["error"].as_str());
            (line["line"].as_u64().unwrap(), result.unwrap())
        })
        .collect()
}

#[test]
fn many_lines_are_done_in_their_order_and_a_bad_one_alone_fails() {
    let server = Server::with("");
    let put = json!({"op": "put", "product": coat(15, 900)});
    let lines = format!(
        "{put}\n\n{}\nnot json\n{}\n{}\n{}\n{}\n{}\n{}",
        r#"{"op":"patch","id":15,"product":{"name":"Parka"}}"#,
        r#"{"op":"sku","id":900,"quantity":5}"#,
        r#"{"op":"patch","id":15,"product":{"slogan":"Warm"}}"#,
        r#"{"op":"sku","id":999,"quantity":5}"#,
        r#"{"op":"patch","id":77,"product":{}}"#,
        r#"{"op":"remove","id":10}"#,
        r#"{"op":"put","product":{"id":16,"name":"x"}}"#,
    );
    let answer = bulk(&server, &lines);
    let results = results(&answer);
    assert_eq!(results[0], (1, "created"));
    assert_eq!(results[1], (3, "updated"));
    assert!(results[2].1.starts_with("the line is not valid JSON"));
    assert_eq!(
        results[3..],
        [
            (5, "updated"),
            (6, "updated"),
            (7, "there is no sku 999"),
            (8, "there is no product 77"),
            (9, "removed"),
            (10, "/default_price is missing"),
        ]
    );
    let summary = &answer.last().unwrap()["summary"];
    let counts = [
        "lines",
        "created",
        "updated",
        "unchanged",
        "removed",
        "failed",
    ];
    let counts = counts.map(|name| summary[name].as_u64().unwrap());
    assert_eq!(counts, [9, 1, 3, 0, 1, 4]);
    assert_eq!(summary["stopped"], Value::Null);
    let shown = ask(&server, "GET", "/products/15", &[], "").text;
    let shown: Value = serde_json::from_str(&shown).unwrap();
    assert_eq!(
        (&shown["name"], &shown["slogan"]),
        (&json!("Parka"), &json!("Warm"))
    );
    assert_eq!(shown["styles"]["1500"]["skus"]["900"]["quantity"], 5);
    assert_eq!(page(&server, 2, 5), [6, 7, 8, 9, 15]);
    stop(server);
}

#[test]
fn the_same_lines_again_change_nothing() {
    let server = Server::with("");
    let lines: Vec<String> = (1..=600)
        .map(|n| json!({"op": "put", "product": coat(1000 + n * 7 % 1009, 10_000 + n)}).to_string())
        .collect();
    let lines = lines.join("\n");
    let first = bulk(&server, &lines);
    assert_eq!(first.last().unwrap()["summary"]["created"], 600);
    let again = bulk(&server, &lines);
    let (first, again) = (
        &first.last().unwrap()["summary"],
        &again.last().unwrap()["summary"],
    );
    assert_eq!(
        (&again["unchanged"], &again["failed"]),
        (&json!(600), &json!(0))
    );
    assert_eq!(first["seq"], again["seq"]);
    let mut ids: Vec<u64> = (1..=10)
        .chain((1..=600).map(|n| 1000 + n * 7 % 1009))
        .collect();
    ids.sort_unstable();
    for number in 0..61 {
        let from = number * 10;
        assert_eq!(page(&server, number as u64 + 1, 10), ids[from..from + 10]);
    }
    let dir = stop(server);
    let store = open_store(dir.path());
    assert_eq!(verify::differences(&store).unwrap(), [""; 0]);
    drop(store);
    let server = Server::of(dir, "");
    assert_eq!(page(&server, 61, 10), ids[600..]);
    stop(server);
}

#[test]
fn results_come_while_lines_are_still_sent() {
    let server = Server::with("");
    let mut client = Client::to(server.admin);
    client.send(
        "POST /catalogue HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/x-ndjson\r\n\
         Transfer-Encoding: chunked\r\n\r\n",
    );
    let line = "{\"op\":\"sku\",\"id\":7,\"quantity\":1}\n";
    let chunk = format!("{:x}\r\n{line}\r\n", line.len());
    client.send(&chunk);
    client.until("\"line\":1,\"op\":\"sku\",\"id\":7,\"result\":\"updated\"}");
    client.send(&chunk);
    client.until("\"line\":2,\"op\":\"sku\",\"id\":7,\"result\":\"unchanged\"}");
    client.send("0\r\n\r\n");
    client.until("\"summary\":{\"lines\":2,\"created\":0,\"updated\":1,\"unchanged\":1");
    stop(server);
}

#[test]
fn a_catalogue_begins_in_an_empty_store() {
    let server = Server::of(
        tempfile::tempdir().unwrap(),
        "[writes]\nrules = \"strict\"\n",
    );
    let review = json!({
        "product_id": 7, "rating": 5, "summary": "Warm", "body": "Warm.", "recommend": true,
        "name": "ana", "email": "ana@example.org", "photos": [], "characteristics": {},
    });
    let url = format!("http://{}/reviews", server.api);
    let json_type = [("content-type", "application/json")];
    let post = || send(&url, "POST", &json_type, &review.to_string()).status;
    // Without a catalogue no product is unknown.
    assert_eq!(post(), 201);
    let created = ask(
        &server,
        "PUT",
        "/products/5",
        &[],
        &coat(5, 900).to_string(),
    );
    assert_eq!(created.status, 201, "{}", created.text);
    assert_eq!(page(&server, 1, 5), [5]);
    assert_eq!(post(), 422);
    let created = ask(
        &server,
        "PUT",
        "/products/7",
        &[],
        &coat(7, 901).to_string(),
    );
    assert_eq!(created.status, 201, "{}", created.text);
    assert_eq!(post(), 201);
    stop(server);
}

#[test]
fn an_export_has_the_catalogue_as_it_was_changed() {
    let server = Server::of(shop_dir(), "");
    ask(
        &server,
        "PUT",
        "/products/15",
        &[],
        &coat(15, 900).to_string(),
    );
    ask(&server, "DELETE", "/products/2", &[], "");
    let dir = stop(server);
    let out = tempfile::tempdir().unwrap();
    let out = out.path().join("csv");
    let data = dir.path().to_str().unwrap();
    let done = reviewsd(&["export", "--data", data, "--out", out.to_str().unwrap()]);
    assert!(done.status.success());
    let products = std::fs::read_to_string(out.join("product.csv")).unwrap();
    assert!(
        products.contains("Coat") && !products.contains("Reading Glasses"),
        "{products}"
    );
    let skus = std::fs::read_to_string(out.join("skus.csv")).unwrap();
    assert!(skus.contains("900"), "{skus}");
}

impl Client {
    /// Reads until an answer has these words.
    fn until(&mut self, words: &str) {
        use std::io::BufRead;
        let mut read = String::new();
        while !read.contains(words) {
            let got = self.socket.read_line(&mut read).unwrap();
            assert_ne!(got, 0, "the connection ended in {read:?}");
        }
    }
}

/// A client that sends everything before it reads anything gets all of its results, within bounds.
#[test]
fn a_client_that_reads_late_gets_every_result() {
    let server = Server::with("");
    let line = "{\"op\":\"sku\",\"id\":7,\"quantity\":1}\n";
    let lines = 2000;
    let mut socket = TcpStream::connect(server.admin).unwrap();
    let head = format!(
        "POST /catalogue HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/x-ndjson\r\n\
         Content-Length: {}\r\n\r\n",
        line.len() * lines
    );
    socket.write_all(head.as_bytes()).unwrap();
    socket.write_all(line.repeat(lines).as_bytes()).unwrap();
    let mut client = Client {
        socket: std::io::BufReader::new(socket),
    };
    client.until(&format!("\"line\":{lines},"));
    client.until("\"summary\":{\"lines\":2000,\"created\":0,\"updated\":1,\"unchanged\":1999");
    stop(server);
}
