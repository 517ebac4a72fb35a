//! The answers to a real HTTP client.

use ureq::Agent;
use ureq::http::Response;

use super::{Client, Server};
use crate::support::HOT_REVIEWS;

fn agent() -> Agent {
    let config = Agent::config_builder().http_status_as_error(false);
    config.build().new_agent()
}

fn text(response: &mut Response<ureq::Body>) -> String {
    response.body_mut().read_to_string().unwrap()
}

#[test]
fn every_route_answers_over_one_connection() {
    let server = Server::with("");
    let agent = agent();
    for (path, status) in [
        ("/reviews?product_id=2", 200),
        ("/reviews/2/list", 200),
        ("/reviews/meta?product_id=2", 200),
        ("/reviews/2/meta/", 200),
        ("/reviews/5", 200),
        ("/api/fec2/hr-rfp/products", 200),
        ("/products/1", 200),
        ("/products/1/styles", 200),
        ("/products/1/related", 200),
        ("/livez", 200),
        ("/readyz", 200),
        ("/version", 404),
        ("/products/99", 404),
        ("/reviews", 422),
        ("/reviews/5/helpful", 405),
    ] {
        let url = format!("http://{}{path}", server.api);
        let mut response = agent.get(&url).call().unwrap();
        assert_eq!(response.status(), status, "{path}");
        assert_eq!(response.headers()["access-control-allow-origin"], "*");
        assert!(!text(&mut response).is_empty(), "{path}");
    }
}

#[test]
fn the_bodies_are_those_of_the_contract() {
    let server = Server::with("[api]\ndialect = \"greenfield\"\n");
    let url = format!("http://{}/reviews/2/meta", server.api);
    let mut response = agent().get(&url).call().unwrap();
    assert_eq!(
        response.headers()["content-type"],
        "application/json; charset=utf-8"
    );
    assert_eq!(
        text(&mut response),
        r#"{"product_id":"2","ratings":{"2":1,"3":1,"4":2,"5":1},"recommended":{"0":2,"1":3},"characteristics":{"Quality":{"id":5,"value":"4.2000"}}}"#
    );
}

#[test]
fn head_and_options_have_no_body_on_the_wire() {
    let server = Server::with("");
    let mut client = server.connect();
    let get = client.ask("/products/1");
    client.send("HEAD /products/1 HTTP/1.1\r\nHost: shop\r\n\r\n");
    client.send("OPTIONS /products/1 HTTP/1.1\r\nHost: shop\r\n\r\n");
    let mut head = String::new();
    while !head.contains("\r\n\r\nhttp/1.1 204") {
        let mut line = String::new();
        assert_ne!(
            std::io::BufRead::read_line(&mut client.socket, &mut line).unwrap(),
            0
        );
        head.push_str(&line.to_ascii_lowercase());
    }
    let length = format!("content-length: {}\r\n", get.body.len());
    assert!(
        head.starts_with("http/1.1 200") && head.contains(&length),
        "{head}"
    );
}

#[test]
fn a_large_page_comes_whole() {
    let server = Server::with("");
    let answer = server.connect().ask("/reviews?product_id=20&count=5000");
    let list: serde_json::Value = serde_json::from_slice(&answer.body).unwrap();
    let visible = HOT_REVIEWS - HOT_REVIEWS / 10;
    let rows = list["results"].as_array().unwrap().len();
    assert_eq!(rows as u64, visible);
}

#[test]
fn requests_that_are_sent_ahead_are_answered_in_turn() {
    let server = Server::with("");
    let mut client = server.connect();
    let request = |path| format!("GET {path} HTTP/1.1\r\nHost: shop\r\n\r\n");
    let paths = [
        "/products/1/related",
        "/products/5/related",
        "/reviews?product_id=x",
    ];
    client.send(&paths.map(request).concat());
    assert_eq!(client.answer().body, b"[2,3,8,7]");
    assert_eq!(client.answer().body, b"[6,6,8,9,1,3]");
    assert_eq!(client.answer().status, 422);
}

#[test]
fn the_body_of_a_get_is_ignored() {
    let server = Server::with("");
    let mut client = server.connect();
    client.send("GET /products/1/related HTTP/1.1\r\nHost: shop\r\nContent-Length: 4\r\n\r\nbody");
    assert_eq!(client.answer().body, b"[2,3,8,7]");
    assert_eq!(client.ask("/products/7/related").body, b"[7]");
    // A body that is announced and does not come is not waited for.
    client
        .send("GET /products/7/related HTTP/1.1\r\nHost: shop\r\nContent-Length: 9999999\r\n\r\n");
    assert_eq!(client.answer().body, b"[7]");
    assert!(client.is_closed());
}

#[test]
fn both_ports_hold_requests_to_http_1_1() {
    let server = Server::with("");
    for (port, path) in [
        (server.api, "/livez"),
        (server.admin, "/livez"),
        (server.admin, "/replication"),
        (server.admin, "/internal/repl/stream"),
    ] {
        for (headers, status) in [
            ("", 400),
            ("Host: shop\r\nHost: shop\r\n", 400),
            ("Host: shop\r\nTransfer-Encoding: gzip, chunked\r\n", 501),
        ] {
            let mut client = Client::to(port);
            client.send(&format!("GET {path} HTTP/1.1\r\n{headers}\r\n"));
            let answer = client.answer();
            assert_eq!(answer.status, status, "{path} {headers}");
            let head = answer.head;
            assert!(
                head.contains("x-content-type-options: nosniff\r\n"),
                "{head}"
            );
            assert!(client.is_closed(), "{path} {headers}");
        }
    }
    // A program of before there were hosts.
    let mut client = server.connect();
    client.send("GET /livez HTTP/1.0\r\n\r\n");
    assert_eq!(client.answer().status, 200);
}

#[test]
fn the_replication_status_is_not_told_under_a_strangers_name() {
    let server = Server::with("[net]\nadmin_hosts = [\"db.shop.example\"]\n");
    let own = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap();
    let ask = |path: &str, host: &str| {
        let mut client = Client::to(server.admin);
        client.send(&format!("GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n"));
        client.answer().status
    };
    for path in ["/replication", "/metrics", "/stats"] {
        assert_eq!(ask(path, "evil.example:8081"), 421, "{path}");
        for host in ["127.0.0.1:8081", "db.shop.example", own.trim_end()] {
            assert_eq!(ask(path, host), 200, "{path} {host}");
        }
    }
}

#[test]
fn the_operators_port_tells_the_version() {
    let server = Server::with("");
    let mut client = Client::to(server.admin);
    let version = client.ask("/version");
    assert_eq!(version.status, 200);
    assert_eq!(client.ask("/readyz").status, 200);
    assert_eq!(client.ask("/products").status, 404);
}

#[test]
fn an_empty_data_directory_is_an_empty_store() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::of(dir, "");
    let mut client = server.connect();
    assert_eq!(client.ask("/products").body, b"[]");
    let list = client.ask("/reviews?product_id=1").body;
    assert_eq!(list, br#"{"product":"1","page":0,"count":5,"results":[]}"#);
    assert_eq!(client.ask("/products/1").status, 404);
    assert_eq!(client.ask("/readyz").status, 200);
}
