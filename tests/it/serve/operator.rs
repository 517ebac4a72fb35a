//! The work of an operator: finds, erases, moderates and verifies, by commands or by the admin port.

mod catalogue;
mod moderate;
mod privacy;
mod reports;
mod upkeep;

use std::process::{Command, Output, Stdio};

use rustix::process::Signal;
use serde_json::{Value, json};
use tempfile::TempDir;
use ureq::Agent;

use super::Server;
use crate::support::{HOT_REVIEWS, no_forks};

/// An address in letters that no other review has.
const ADDRESS: &str = "Wanda.Q@Example.org";

/// An answer.
struct Got {
    status: u16,
    text: String,
}

impl Got {
    fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|_| panic!("{}", self.text))
    }
}

/// Sends a request to the admin port, as curl does.
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

/// Runs the program, which must succeed without any error output.
fn said(arguments: &[&str]) -> String {
    let output = reviewsd(arguments);
    let complaint = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!((output.status.code(), complaint.as_str()), (Some(0), ""));
    String::from_utf8(output.stdout).unwrap()
}

/// Runs the program, which must fail; gives why.
fn refused(arguments: &[&str]) -> String {
    fails_with(1, arguments)
}

/// Runs the program with a wrong command line; returns its error.
fn misused(arguments: &[&str]) -> String {
    fails_with(2, arguments)
}

fn fails_with(code: i32, arguments: &[&str]) -> String {
    let output = reviewsd(arguments);
    assert_eq!(output.status.code(), Some(code));
    String::from_utf8(output.stderr).unwrap()
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
fn reported_reviews_are_listed_restored_and_removed() {
    let server = Server::with("");
    let mut seen = Vec::new();
    let mut path = "/reviews/reported?count=200&after=".to_owned();
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
    // One that is in no list.
    assert_eq!(ask(&server, "DELETE", "/reviews/1010", None).status, 204);
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
            "review cannot be combined with email",
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
        ("/rows/newest", 404),
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
        ("POST", "/reviews/reported/restore"),
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
            let status = if header.0 == "host" { 421 } else { 403 };
            assert_eq!(got.status, status, "{method} {path} {header:?}");
        }
    }
    // Requests that a form of another site can send.
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
    // A preflight gets no permission.
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
