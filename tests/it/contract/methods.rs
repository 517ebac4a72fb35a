//! HEAD, OPTIONS, wrong methods, and pages of other origins.

use super::{Server, admin, settings};
use reviewsd::api::Settings;

/// What can be read, and where reviews can be added.
const OPEN: [&str; 2] = ["/reviews?product_id=2", "/reviews/5"];

const READABLE: [&str; 10] = [
    "/reviews/2/list",
    "/reviews/meta?product_id=2",
    "/reviews/2/meta",
    "/products",
    "/products/list",
    "/products/1",
    "/products/1/styles",
    "/products/1/related",
    "/livez",
    "/readyz",
];

const VOTES: [&str; 4] = [
    "/reviews/5/helpful",
    "/reviews/helpful/5",
    "/reviews/5/report",
    "/reviews/report/5/",
];

#[test]
fn head_has_the_headers_of_get_and_no_body() {
    let server = Server::new();
    let others = ["/products/99", "/nowhere", "/reviews"];
    for uri in OPEN.iter().chain(&READABLE).chain(&others) {
        let (get, head) = (server.get(uri), server.send("HEAD", uri, &[]));
        assert_eq!(head.status, get.status, "{uri}");
        assert_eq!(head.body, "", "{uri}");
        let length = get.body.len().to_string();
        assert_eq!(
            head.header("content-length"),
            Some(length.as_str()),
            "{uri}"
        );
        let mut headers = head.headers;
        headers.remove("content-length");
        assert_eq!(headers, get.headers, "{uri}");
    }
}

#[test]
fn a_wrong_method_is_told_the_right_ones() {
    let server = Server::new();
    for method in ["POST", "PUT", "PATCH", "DELETE", "TRACE", "BREW"] {
        for uri in READABLE {
            let answer = server.send(method, uri, &[]);
            assert_eq!(answer.status, 405, "{method} {uri}");
            assert_eq!(answer.header("allow"), Some("GET, HEAD, OPTIONS"), "{uri}");
            let sentence = "Error: this path answers GET, HEAD, OPTIONS only";
            assert_eq!(answer.body, sentence, "{uri}");
        }
    }
    let wrong = |method, uri, allow| {
        let answer = server.send(method, uri, &[]);
        assert_eq!(answer.status, 405, "{method} {uri}");
        assert_eq!(answer.header("allow"), Some(allow), "{uri}");
    };
    for method in ["PUT", "PATCH", "DELETE"] {
        for uri in OPEN {
            wrong(method, uri, "GET, HEAD, POST, OPTIONS");
        }
    }
    for method in ["GET", "HEAD", "POST", "DELETE"] {
        for uri in VOTES {
            wrong(method, uri, "PUT, OPTIONS");
        }
    }
}

#[test]
fn an_unknown_path_is_not_found_whatever_the_method() {
    let server = Server::new();
    for method in ["GET", "HEAD", "POST", "PUT"] {
        for uri in [
            "/",
            "/cart",
            "/qa/questions?product_id=1",
            "/interactions",
            "/reviews/2/list/1",
            "/version",
            "/api",
            "//reviews",
        ] {
            assert_eq!(server.send(method, uri, &[]).status, 404, "{method} {uri}");
        }
    }
    assert_eq!(
        server.get("/cart").body,
        "Error: nothing is served at this path"
    );
}

#[test]
fn options_says_what_a_path_takes() {
    let server = Server::new();
    for (uris, allow) in [
        (&READABLE[..], "GET, HEAD, OPTIONS"),
        (&OPEN, "GET, HEAD, POST, OPTIONS"),
        (&VOTES, "PUT, OPTIONS"),
    ] {
        for uri in uris {
            let answer = server.send("OPTIONS", uri, &[]);
            assert_eq!((answer.status, answer.body.as_str()), (204, ""), "{uri}");
            assert_eq!(answer.header("allow"), Some(allow), "{uri}");
            assert_eq!(answer.header("access-control-allow-methods"), None);
        }
    }
}

#[test]
fn options_is_answered_on_a_path_that_nothing_is_served_at() {
    let server = Server::new();
    let headers = [
        ("Origin", "http://localhost:3000"),
        ("Access-Control-Request-Method", "DELETE"),
        ("Access-Control-Request-Headers", "authorization"),
    ];
    for uri in ["/", "/cart", "/qa/questions/5/answers", "/api", "//reviews"] {
        let answer = server.send("OPTIONS", uri, &headers);
        assert_eq!((answer.status, answer.body.as_str()), (204, ""), "{uri}");
        assert_eq!(answer.header("allow"), None, "{uri}");
        let methods = answer.header("access-control-allow-methods").unwrap();
        assert!(methods.contains("DELETE"), "{methods}");
        let allowed = answer.header("access-control-allow-headers");
        assert_eq!(allowed, Some("authorization"));
        assert_eq!(answer.header("access-control-allow-origin"), Some("*"));
    }
    assert_eq!(admin(&server.health, "OPTIONS", "/cart").status, 404);
}

#[test]
fn a_preflight_allows_whatever_headers_it_asks_for() {
    let server = Server::new();
    let asked = "authorization,content-type,access-control-allow-origin";
    let answer = server.send(
        "OPTIONS",
        "/api/reviews/",
        &[
            ("Origin", "http://localhost:3000"),
            ("Access-Control-Request-Method", "POST"),
            ("Access-Control-Request-Headers", asked),
        ],
    );
    assert_eq!(answer.status, 204);
    assert_eq!(answer.header("access-control-allow-origin"), Some("*"));
    assert_eq!(answer.header("access-control-allow-headers"), Some(asked));
    let methods = Some("GET, HEAD, POST, OPTIONS");
    assert_eq!(answer.header("access-control-allow-methods"), methods);
    assert!(answer.header("access-control-max-age").is_some());
    let plain = server.send("OPTIONS", "/reviews", &[("Origin", "http://a.example")]);
    let headers = plain.header("access-control-allow-headers");
    assert_eq!(headers, Some("Authorization, Content-Type"));
}

#[test]
fn every_answer_is_open_to_every_origin_by_default() {
    let server = Server::new();
    for (method, uri) in [
        ("GET", "/reviews?product_id=2"),
        ("HEAD", "/products"),
        ("GET", "/reviews"),
        ("GET", "/nowhere"),
        ("PUT", "/reviews/999/helpful"),
        ("POST", "/reviews"),
    ] {
        let answer = server.send(method, uri, &[]);
        assert_eq!(
            answer.header("access-control-allow-origin"),
            Some("*"),
            "{uri}"
        );
        assert_eq!(answer.header("vary"), None, "{uri}");
    }
}

#[test]
fn listed_origins_are_echoed_and_others_are_not() {
    let server = Server::with(&Settings {
        cors_origins: vec![
            "https://a.example".to_owned(),
            "https://b.example".to_owned(),
        ],
        ..settings()
    });
    for (origin, allowed) in [
        (Some("https://b.example"), Some("https://b.example")),
        (Some("https://c.example"), None),
        (Some("https://a.example.evil"), None),
        (None, None),
    ] {
        let headers: Vec<_> = origin
            .map(|origin| ("Origin", origin))
            .into_iter()
            .collect();
        for (method, uri) in [
            ("GET", "/products"),
            ("GET", "/nowhere"),
            ("OPTIONS", "/products"),
        ] {
            let answer = server.send(method, uri, &headers);
            assert_eq!(
                answer.header("access-control-allow-origin"),
                allowed,
                "{origin:?}"
            );
            assert_eq!(answer.header("vary"), Some("Origin"), "{origin:?}");
        }
    }
}

#[test]
fn probes_tell_life_from_readiness() {
    let server = Server::new();
    for ready in [true, false] {
        server.health.set_ready(ready);
        let status = if ready { 200 } else { 503 };
        assert_eq!(server.get("/livez").status, 200);
        assert_eq!(server.get("/readyz").status, status);
        assert_eq!(server.get("/products").status, 200);
        assert_eq!(admin(&server.health, "GET", "/livez").status, 200);
        assert_eq!(admin(&server.health, "GET", "/readyz/").status, status);
    }
}

#[test]
fn the_operators_port_tells_the_version_and_nothing_of_the_shop() {
    let server = Server::new();
    let version = admin(&server.health, "GET", "/version");
    let expected = format!(
        r#"{{"name":"reviewsd","version":"{}"}}"#,
        env!("CARGO_PKG_VERSION")
    );
    assert_eq!((version.status, version.body), (200, expected));
    assert_eq!(version.headers.get("access-control-allow-origin"), None);
    assert_eq!(admin(&server.health, "GET", "/reviews/5").status, 404);
    let posted = admin(&server.health, "POST", "/version");
    assert_eq!(
        (posted.status, posted.header("allow")),
        (405, Some("GET, HEAD, OPTIONS"))
    );
}
