//! Moderation by the admin API: many reviews at once, undone again, and what the audit log says of it.

use serde_json::{Value, json};

use super::{Got, ask, public, said, send, stop};
use crate::serve::Server;
use crate::support::HOT_REVIEW_FIRST;

fn moderate(server: &Server, body: &Value) -> Value {
    let got = ask(server, "POST", "/reviews/moderate", Some(body));
    assert_eq!(got.status, 200, "{body}: {}", got.text);
    got.json()["results"].clone()
}

/// The outcomes of a request, with the numbers of its entries.
fn outcomes(results: &Value) -> (Vec<&str>, Vec<u64>) {
    let all = results.as_array().unwrap();
    let words = all.iter().map(|one| one["outcome"].as_str().unwrap());
    let entries = all.iter().filter_map(|one| one["entry"].as_u64());
    (words.collect(), entries.collect())
}

/// The reviews of a product in the public list, by id.
fn listed(server: &Server, product: u64) -> Vec<u64> {
    let list = public(
        server,
        &format!("/reviews?product_id={product}&count=10000"),
    );
    let all = list["results"].as_array().unwrap().iter();
    let mut ids: Vec<_> = all.map(|one| one["review_id"].as_u64().unwrap()).collect();
    ids.sort_unstable();
    ids
}

fn undo(server: &Server, entry: u64) -> Got {
    ask(server, "POST", &format!("/audit/{entry}/undo"), None)
}

fn audit(server: &Server, query: &str) -> Value {
    let got = ask(server, "GET", &format!("/audit{query}"), None);
    assert_eq!(got.status, 200, "{query}: {}", got.text);
    got.json()
}

#[test]
fn moderated_reviews_leave_the_lists_and_undo_brings_them_back() {
    let server = Server::with("");
    assert_eq!(listed(&server, 7), [13]);
    // The files say that 14 was reported, which is no decision yet.
    let hide = json!({"reviews": [13, 14, 999_999], "to": "hidden", "reason": "spam", "note": "twice the same"});
    let results = moderate(&server, &hide);
    let (words, entries) = outcomes(&results);
    assert_eq!(words, ["changed", "changed", "no_such_review"]);
    assert_eq!(results[1]["review"], 14);
    assert_eq!(listed(&server, 7), [0; 0]);
    let again = moderate(&server, &hide);
    assert_eq!(
        outcomes(&again).0,
        ["unchanged", "unchanged", "no_such_review"]
    );
    let shown = ask(&server, "GET", "/reviews/13", None).json();
    assert_eq!(
        (
            &shown["state"],
            &shown["decided_reason"],
            &shown["decided_by"]
        ),
        (&json!("hidden"), &json!("spam"), &json!("loopback"))
    );

    let undone = undo(&server, entries[0]);
    assert_eq!(undone.status, 200, "{}", undone.text);
    assert_eq!(undone.json()["undone"], true);
    assert_eq!(listed(&server, 7), [13]);
    let changed = undo(&server, entries[0]);
    assert_eq!(changed.status, 409);
    assert!(
        changed.text.contains("was changed after this entry"),
        "{}",
        changed.text
    );
    let none = undo(&server, 999_999);
    assert_eq!(
        (none.status, none.text.as_str()),
        (404, "Error: the audit log has no entry 999999")
    );
    for path in ["/audit/x/undo", "/audit/0/undo"] {
        assert_eq!(ask(&server, "POST", path, None).status, 422, "{path}");
    }

    let publish = json!({"reviews": [13, 14], "to": "published", "reason": "acceptable"});
    assert_eq!(
        outcomes(&moderate(&server, &publish)).0,
        ["unchanged", "changed"]
    );
    assert_eq!(listed(&server, 7), [13, 14]);
    let remove = json!({"reviews": [13], "to": "removed", "reason": "request"});
    let removed = moderate(&server, &remove);
    assert_eq!(listed(&server, 7), [14]);
    let url = format!("http://{}/reviews/13", server.api);
    assert_eq!(send(&url, "GET", &[], "").status, 404);
    assert_eq!(undo(&server, outcomes(&removed).1[0]).status, 200);
    assert_eq!(listed(&server, 7), [13, 14]);
    // An answer is no state of a review, and an erased review is gone.
    let answer = json!({"response": "Thank you!"});
    ask(&server, "PUT", "/reviews/13/response", Some(&answer));
    let items = audit(&server, "?limit=1000")["items"].clone();
    let last = items.as_array().unwrap().last().unwrap();
    assert_eq!(last["action"], "respond");
    let answered = undo(&server, last["entry"].as_u64().unwrap());
    assert_eq!(answered.status, 409);
    assert!(
        answered.text.contains("cannot be undone"),
        "{}",
        answered.text
    );
    assert_eq!(ask(&server, "DELETE", "/reviews/14", None).status, 204);
    assert_eq!(undo(&server, entries[1]).status, 409);
    let dir = stop(server);
    let sound = said(&["verify", "--data", dir.path().to_str().unwrap(), "--quiet"]);
    assert!(sound.contains("is sound"), "{sound}");
}

#[test]
fn a_thousand_reviews_are_moderated_in_one_request() {
    let server = Server::with("");
    let before = listed(&server, 20);
    let ids: Vec<u64> = (HOT_REVIEW_FIRST..HOT_REVIEW_FIRST + 1000).collect();
    let hide = json!({"reviews": ids, "to": "hidden", "reason": "fake"});
    let results = moderate(&server, &hide);
    let (words, entries) = outcomes(&results);
    assert_eq!((words.len(), entries.len()), (1000, 1000));
    assert!(entries.is_sorted_by(|one, other| one < other));
    let left = listed(&server, 20);
    assert!(left.iter().all(|id| !ids.contains(id)));
    let hidden = before.iter().filter(|id| ids.contains(id)).count();
    assert_eq!(left.len(), before.len() - hidden);
    let counts = ask(&server, "GET", "/reviews/counts", None).json();
    let stats = ask(&server, "GET", "/stats", None).json();
    for (state, count) in [
        ("published", "reviews_visible"),
        ("pending", "reviews_pending"),
        ("hidden", "reviews_reported"),
        ("removed", "reviews_removed"),
    ] {
        assert_eq!(counts[state], stats[count], "{state}");
    }
    assert!(counts["hidden"].as_u64() >= Some(1000), "{counts}");
    stop(server);
}

#[test]
fn the_audit_log_lists_who_did_what() {
    let server = Server::with("");
    assert_eq!(audit(&server, "?limit=1000")["items"], json!([]));
    let hide = json!({"reviews": [13, 1], "to": "hidden", "reason": "abuse", "note": "See \"5\""});
    let results = moderate(&server, &hide);
    let (_, entries) = outcomes(&results);
    assert_eq!(undo(&server, entries[1]).status, 200);
    let page = audit(&server, "");
    assert_eq!(page["next"], Value::Null);
    let items = page["items"].as_array().unwrap();
    let told: Vec<_> = items
        .iter()
        .map(|one| {
            assert_eq!(
                (&one["actor"], &one["role"]),
                (&json!("loopback"), &json!("operator"))
            );
            assert!(one["product"].is_null());
            let at = one["at"].as_str().unwrap();
            assert!(at.starts_with("20") && at.ends_with('Z'), "{at}");
            let word = |of: &Value| of.as_str().unwrap().to_owned();
            (
                one["review"].as_u64().unwrap(),
                word(&one["action"]),
                word(&one["reason"]),
                word(&one["before"]["state"]),
                word(&one["after"]["state"]),
            )
        })
        .collect();
    let expected = [
        (13, "moderate", "abuse", "published", "hidden"),
        (1, "moderate", "abuse", "published", "hidden"),
        (1, "undo", "mistake", "hidden", "published"),
    ];
    let expected = expected.map(|(review, action, reason, before, after)| {
        let [action, reason, before, after] = [action, reason, before, after].map(str::to_owned);
        (review, action, reason, before, after)
    });
    assert_eq!(told, expected);
    assert_eq!(items[0]["note"], "See \"5\"");
    assert_eq!(items[0]["entry"], entries[0]);
    assert_eq!(items[0]["after"]["decided_by"], "loopback");

    // Page by page, and as lines.
    let first = audit(&server, "?limit=2");
    assert_eq!(first["items"].as_array().unwrap()[..], items[..2]);
    let rest = audit(&server, &format!("?limit=2&after={}", first["next"]));
    assert_eq!(
        (&rest["items"][0], &rest["next"]),
        (&items[2], &Value::Null)
    );
    let url = format!("http://{}/audit", server.admin);
    let lines = send(&url, "GET", &[("accept", "application/x-ndjson")], "");
    let lines = lines
        .text
        .lines()
        .map(|line| serde_json::from_str(line).unwrap());
    assert_eq!(lines.collect::<Vec<Value>>(), *items);
    for query in ["?limit=0", "?limit=1001", "?after=x", "?after=-1"] {
        let got = ask(&server, "GET", &format!("/audit{query}"), None);
        assert_eq!(got.status, 422, "{query}: {}", got.text);
    }
    stop(server);
}

#[test]
fn a_bad_moderation_request_is_told_every_fault() {
    let server = Server::with("");
    let url = format!("http://{}/reviews/moderate", server.admin);
    let headers = [
        ("content-type", "application/json"),
        ("accept", "application/json"),
    ];
    let body = json!({"reviews": [13, "x"], "to": "gone", "note": 5});
    let got = send(&url, "POST", &headers, &body.to_string());
    assert_eq!(got.status, 422, "{}", got.text);
    let errors = got.json()["errors"].clone();
    let pointers: Vec<_> = errors
        .as_array()
        .unwrap()
        .iter()
        .map(|one| one["pointer"].clone())
        .collect();
    assert_eq!(pointers, ["/reviews/1", "/to", "/reason", "/note"]);
    assert_eq!(
        errors[1]["detail"],
        "to must be one of published, hidden, removed"
    );
    for (body, why) in [
        (
            json!({}),
            "reviews is missing; to is missing; reason is missing",
        ),
        (
            json!({"reviews": [], "to": "hidden", "reason": "spam"}),
            "reviews must not be empty",
        ),
        (
            json!({"reviews": vec![1; 1001], "to": "hidden", "reason": "spam"}),
            "reviews must be at most 1000",
        ),
        (
            json!({"reviews": [13], "to": "pending", "reason": "spam"}),
            "to must be one of",
        ),
        (
            json!({"reviews": [13], "to": "hidden", "reason": "bad"}),
            "reason must be one of",
        ),
    ] {
        let got = ask(&server, "POST", "/reviews/moderate", Some(&body));
        assert_eq!(got.status, 422, "{}", got.text);
        assert!(got.text.contains(why), "{}", got.text);
    }
    assert_eq!(listed(&server, 7), [13]);
    assert_eq!(audit(&server, "")["items"], json!([]));
    for (method, path) in [
        ("POST", "/reviews/moderate"),
        ("POST", "/audit/1/undo"),
        ("GET", "/audit"),
        ("GET", "/reviews/counts"),
    ] {
        let got = send(&format!("http://{}{path}", server.api), method, &[], "");
        assert!(
            [400, 404, 422].contains(&got.status),
            "{method} {path}: {}",
            got.status
        );
    }
    stop(server);
}

/// The ids of all pages of a list, of two reviews each, with the numbers of their reports.
fn queue(server: &Server, query: &str) -> Vec<(u64, u64)> {
    let (mut found, mut cursor) = (Vec::new(), String::new());
    loop {
        let path = format!("/reviews?limit=2&{query}&cursor={cursor}");
        let got = ask(server, "GET", &path, None);
        assert_eq!(got.status, 200, "{path}: {}", got.text);
        let page = got.json();
        let items = page["items"].as_array().unwrap();
        assert!(items.len() <= 2, "{page}");
        let number = |of: &Value| of.as_u64().unwrap();
        let items = items.iter();
        found.extend(items.map(|one| (number(&one["review_id"]), number(&one["reports"]))));
        match page["next"].as_str() {
            Some(next) => next.clone_into(&mut cursor),
            None => return found,
        }
    }
}

#[test]
fn reviews_are_listed_by_state_and_by_open_reports() {
    let server = Server::with("[moderation]\nreports_to_hide = 2\n");
    let report = format!("http://{}/reviews/13/report", server.api);
    assert_eq!(send(&report, "PUT", &[], "").status, 204);
    assert_eq!(queue(&server, "state=reported"), [(13, 1)]);
    assert_eq!(queue(&server, "state=reported&product=8"), []);
    assert_eq!(queue(&server, "state=pending"), []);
    let remove = json!({"reviews": [1, 2, 3], "to": "removed", "reason": "request"});
    moderate(&server, &remove);
    let mut removed = queue(&server, "state=removed");
    removed.sort_unstable();
    assert_eq!(removed, [(1, 0), (2, 0), (3, 0)]);
    assert_eq!(queue(&server, "state=hidden&product=7"), [(14, 0)]);
    assert_eq!(queue(&server, "state=published&product=7"), [(13, 1)]);
    let rating = ask(&server, "GET", "/reviews/13", None).json()["rating"].clone();
    let same = format!("state=published&product=7&rating={rating}");
    assert_eq!(queue(&server, &same), [(13, 1)]);
    let later = "state=published&product=7&since=2100-01-01T00:00:00Z";
    assert_eq!(queue(&server, later), []);
    let page = ask(&server, "GET", "/reviews?state=removed&limit=1", None).json();
    let one = &page["items"][0];
    assert_eq!(
        (&one["state"], &one["decided_by"], &one["reviewer_email"]),
        (
            &json!("removed"),
            &json!("loopback"),
            &json!("walker@example.org")
        )
    );
    let got = ask(&server, "GET", "/reviews?state=gone&limit=0", None);
    assert_eq!(got.status, 422, "{}", got.text);
    stop(server);
}
