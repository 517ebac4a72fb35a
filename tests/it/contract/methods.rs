//! HEAD, OPTIONS, wrong methods, and pages of other origins.

use super::{Server, admin, admin_under, settings};
use reviewsd::api::Settings;

/// A path that can be read, and one that reviews are added to.
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
fn pages_of_other_origins_do_not_write_where_origins_are_listed() {
    let origins = |origins: &[&str]| Settings {
        cors_origins: origins.iter().map(|&origin| origin.to_owned()).collect(),
        ..settings()
    };
    let foreign = [("Origin", "https://evil.example")];
    let writes = [("POST", "/reviews"), ("PUT", "/reviews/999999/helpful")];
    for listed in [&["https://shop.example"][..], &[]] {
        let server = Server::with(&origins(listed));
        for (method, uri) in writes {
            let answer = server.send(method, uri, &foreign);
            assert_eq!(answer.status, 403, "{uri}");
            let sentence = "Error: pages of this origin may not write; api.cors_origins names those \
                            that may";
            assert_eq!(answer.body, sentence);
            assert_eq!(answer.header("access-control-allow-origin"), None);
        }
        // A request that is no page's, of the host itself, or passed on by a replica is handled as ever.
        for headers in [
            &[][..],
            &[("Origin", "https://reviews.example")],
            &[foreign[0], ("Via", "1.1 reviewsd-copy")],
        ] {
            for (method, uri) in writes {
                let status = server.send(method, uri, headers).status;
                assert!([400, 404].contains(&status), "{status} {uri}");
            }
        }
        assert_eq!(server.send("GET", "/products", &foreign).status, 200);
    }
    let server = Server::with(&origins(&["https://shop.example"]));
    let listed = [("Origin", "https://shop.example")];
    assert_eq!(server.send("POST", "/reviews", &listed).status, 400);
    assert_eq!(Server::new().send("POST", "/reviews", &foreign).status, 400);
}

#[test]
fn a_request_without_a_host_or_with_two_is_refused() {
    let server = Server::new();
    for hosts in [&["shop", "shop"][..], &["a/b"]] {
        let headers: Vec<_> = hosts.iter().map(|host| ("Host", *host)).collect();
        for (method, uri) in [("GET", "/products"), ("PUT", "/reviews/5/report")] {
            let answer = server.send(method, uri, &headers);
            assert_eq!(answer.status, 400, "{hosts:?} {uri}");
            let sentence = "Error: a request must have one Host header, with a host in it";
            assert_eq!(answer.body, sentence);
            assert_eq!(answer.header("connection"), Some("close"));
        }
    }
    assert_eq!(server.get("/reviews/5").status, 200);
}

#[test]
fn a_transfer_coding_but_chunked_is_not_implemented() {
    let server = Server::new();
    let headers = [("Transfer-Encoding", "gzip, chunked")];
    let answer = server.send("POST", "/reviews", &headers);
    assert_eq!(answer.status, 501);
    assert_eq!(answer.header("connection"), Some("close"));
    // As every 5xx.
    assert!(answer.header("x-request-id").is_some());
    let chunked = [("Transfer-Encoding", "chunked")];
    assert_eq!(server.send("POST", "/reviews", &chunked).status, 400);
}

#[test]
fn no_answer_may_be_taken_for_something_else() {
    let server = Server::new();
    for (method, uri) in [
        ("GET", "/products"),
        ("HEAD", "/products"),
        ("GET", "/nowhere"),
        ("OPTIONS", "/reviews"),
        ("POST", "/reviews"),
    ] {
        let answer = server.send(method, uri, &[]);
        let header = answer.header("x-content-type-options");
        assert_eq!(header, Some("nosniff"), "{method} {uri}");
    }
    for uri in ["/metrics", "/nowhere"] {
        let answer = admin(&server.health, "GET", uri);
        let header = answer.header("x-content-type-options");
        assert_eq!(header, Some("nosniff"), "{uri}");
    }
}

#[test]
fn the_admin_port_answers_under_no_name_of_a_stranger() {
    let server = Server::new();
    let paths = ["/metrics", "/version", "/livez", "/nowhere"];
    for host in [
        "evil.example:8081",
        "localhost.evil.example",
        "db.shop.example.evil",
    ] {
        for uri in paths {
            let answer = admin_under(host, &server.health, "GET", uri);
            assert_eq!(answer.status, 421, "{host} {uri}");
            let names_key = answer.body.ends_with("add the name to net.admin_hosts");
            assert!(names_key, "{}", answer.body);
        }
    }
    for host in [
        "10.0.0.7",
        "[fd00::1]:8081",
        "localhost:8081",
        "reviewsd",
        "db.shop.example:8081",
    ] {
        let answer = admin_under(host, &server.health, "GET", "/metrics");
        assert_eq!(answer.status, 200, "{host}");
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
