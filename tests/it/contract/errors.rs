//! The two formats of an error.

use serde_json::json;

use super::{Answer, Server};

fn problem(server: &Server, method: &str, uri: &str) -> Answer {
    let accept = [("Accept", "application/json, text/plain, */*")];
    let answer = server.send(method, uri, &accept);
    let content_type = answer.header("content-type");
    assert_eq!(content_type, Some("application/problem+json"), "{uri}");
    answer
}

#[test]
fn the_text_is_one_sentence_and_names_the_first_fault() {
    let server = Server::new();
    for accept in [
        &[][..],
        &[("Accept", "*/*")],
        &[("Accept", "text/html, text/plain")],
    ] {
        let answer = server.send("GET", "/reviews?page=x&count=y", accept);
        assert_eq!(answer.status, 422);
        assert_eq!(answer.body, "Error: invalid product_id provided");
        let content_type = answer.header("content-type");
        assert_eq!(content_type, Some("text/plain; charset=utf-8"));
    }
}

#[test]
fn a_problem_names_every_fault() {
    let answer = problem(&Server::new(), "GET", "/reviews?page=x&count=y");
    assert_eq!(answer.status, 422);
    assert_eq!(
        answer.json(),
        json!({
            "type": "about:blank",
            "title": "Unprocessable Entity",
            "status": 422,
            "detail": "invalid product_id provided",
            "errors": [
                {"detail": "invalid product_id provided", "parameter": "product_id"},
                {"detail": "invalid page provided", "parameter": "page"},
                {"detail": "invalid count provided", "parameter": "count"},
            ],
        })
    );
}

#[test]
fn whatever_is_not_found_or_not_allowed_is_a_problem_too() {
    let server = Server::new();
    for (method, uri, status, title, detail) in [
        (
            "GET",
            "/products/99",
            404,
            "Not Found",
            "there is no product 99",
        ),
        (
            "GET",
            "/cart",
            404,
            "Not Found",
            "nothing is served at this path",
        ),
        (
            "POST",
            "/reviews/1/report",
            405,
            "Method Not Allowed",
            "this path answers PUT, OPTIONS only",
        ),
    ] {
        let answer = problem(&server, method, uri);
        assert_eq!(answer.status, status);
        assert_eq!(
            answer.json(),
            json!({
                "type": "about:blank",
                "title": title,
                "status": status,
                "detail": detail,
                "errors": [{"detail": detail}],
            })
        );
    }
}

#[test]
fn a_failure_of_the_server_carries_the_id_that_the_log_has() {
    let server = Server::new();
    server.health.set_ready(false);
    let text = server.get("/readyz");
    let id = text.header("x-request-id").unwrap().to_owned();
    let sentence = format!("Error: the server is not taking requests (request {id})");
    assert_eq!((text.status, text.body), (503, sentence));
    let problem = problem(&server, "GET", "/readyz");
    let other = problem.header("x-request-id").unwrap();
    assert_ne!(other, id);
    assert_eq!(problem.json()["request_id"], other);
}
