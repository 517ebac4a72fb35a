//! Each way in which a server can fail is counted as what it is.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use super::server::{LIST, answer};
use super::*;

const PLAN: &str = "rate = 100, duration = \"500ms\"";

#[test]
fn a_server_that_is_right_has_no_errors() {
    let server = Server::new(|_, _| Reply::list());
    let outcome = loaded(&workload("connections = 4", PLAN), &server);
    assert_eq!(outcome.total.ok, 50);
    assert_eq!(outcome.total.errors.sum(), 0);
    assert_eq!((outcome.checks.bodies, outcome.checks.wrong), (50, 0));
    let answered = 50 * answer("200 OK", LIST).len() as u64;
    assert_eq!(outcome.total.bytes_received, answered);
    assert_eq!(outcome.generator.reconnects, 0);
    assert!(outcome.total.errors.examples.is_empty());
}

#[test]
fn another_status_is_an_error_and_is_shown() {
    let server = Server::new(|number, _| match number % 5 {
        0 => Reply::Bytes(answer("500 Internal Server Error", "Error: no luck")),
        1 => Reply::Bytes(answer("404 Not Found", "")),
        _ => Reply::list(),
    });
    let outcome = loaded(&workload("", PLAN), &server);
    let errors = &outcome.total.errors;
    assert_eq!(
        (outcome.total.ok, errors.status, errors.sum()),
        (30, 20, 20)
    );
    assert_eq!(errors.statuses, [(404, 10), (500, 10)].into());
    let example = &errors.examples["status"];
    assert_eq!(
        example,
        "GET /reviews?product_id=2: 500 instead of the right status (Error: no luck)"
    );
    assert_eq!(outcome.generator.reconnects, 0);
}

#[test]
fn a_status_that_the_workload_takes_is_right_and_its_body_is_not_judged() {
    let server = Server::new(|_, _| Reply::Bytes(answer("404 Not Found", "Error: no such review")));
    let votes = requests("", PLAN, "{ kind = \"helpful\", also_right = [404] }");
    let outcome = loaded(&votes, &server);
    assert_eq!((outcome.total.ok, outcome.checks.bodies), (50, 0));
}

#[test]
fn silence_is_a_timeout_that_counts_with_the_time_it_had() {
    let server = Server::new(|number, _| match number {
        10 => Reply::Silence,
        _ => Reply::list(),
    });
    let plan = "rate = 25, duration = \"2s\"";
    let keys = "timeout = \"1s\"\nconnections = 4";
    let outcome = loaded(&workload(keys, plan), &server);
    assert_eq!((outcome.total.ok, outcome.total.errors.timeout), (49, 1));
    assert!(
        outcome.total.latency.max_us >= 1_000_000.0,
        "{:?}",
        outcome.total.latency
    );
    assert_eq!(outcome.generator.reconnects, 1);
}

#[test]
fn a_connection_that_is_closed_within_an_answer_is_an_error() {
    for part in [
        &b""[..],
        b"HTTP/1.1 200",
        b"HTTP/1.1 200 OK\r\ncontent-length: 50\r\n\r\nhalf",
    ] {
        let server = Server::new(move |number, _| match number % 10 {
            3 => Reply::Last(part.to_vec()),
            _ => Reply::list(),
        });
        let outcome = loaded(&workload("connections = 2", PLAN), &server);
        assert_eq!((outcome.total.ok, outcome.total.errors.closed), (45, 5));
        // The last one may not have been needed again.
        assert!((4..=5).contains(&outcome.generator.reconnects));
    }
}

#[test]
fn a_server_that_closes_after_an_answer_is_right_and_connected_to_again() {
    let heads = [
        "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 47\r\n\r\n",
        // Without a word, and with an end that is the end of the body.
        "HTTP/1.1 200 OK\r\ncontent-length: 47\r\n\r\n",
        "HTTP/1.0 200 OK\r\n\r\n",
    ];
    assert_eq!(LIST.len(), 47);
    for head in heads {
        let server = Server::new(move |_, _| Reply::Last([head, LIST].concat().into_bytes()));
        // Far enough apart that the end is seen before the next request.
        let plan = "rate = 20, duration = \"500ms\"";
        let outcome = loaded(&workload("connections = 1", plan), &server);
        assert_eq!(
            (outcome.total.ok, outcome.total.errors.sum()),
            (10, 0),
            "{head}"
        );
        assert_eq!(outcome.generator.reconnects, 9, "{head}");
    }
}

#[test]
fn a_server_that_is_gone_refuses() {
    for plan in [
        "rate = 20, duration = \"500ms\"",
        "closed = true, duration = \"200ms\"",
    ] {
        // One connection is taken and answered once; by then there is no listener any more.
        let last = Reply::Last(answer("200 OK", LIST));
        let server = Server::taking(1, move |_, _| last.clone());
        let outcome = loaded(&workload("connections = 1", plan), &server);
        let (sent, errors) = (outcome.total.sent, &outcome.total.errors);
        assert_eq!(outcome.total.ok, 1);
        // A closed loop may ask again before it notices the end.
        assert!(
            errors.refused >= sent - 2 && errors.refused > 3,
            "{errors:?}"
        );
        assert!(errors.examples["refused"].contains("refused"), "{errors:?}");
        // It does not ask as fast as it is refused.
        assert!(sent <= 22, "{sent}");
    }
}

#[test]
fn a_server_that_is_not_there_is_an_error() {
    let server = Server::taking(1, |_, _| Reply::list());
    let target = Target::from(server.address());
    let first = TcpStream::connect(server.address()).unwrap();
    // The listener closes when this connection is taken, and taken it is when it is answered.
    (&first)
        .write_all(b"GET / HTTP/1.1\r\nconnection: close\r\n\r\n")
        .unwrap();
    (&first).read_exact(&mut [0; 10]).unwrap();
    let workload = workload("", PLAN);
    let error = run(&workload, &target, &AtomicBool::new(false), &mut Nobody).unwrap_err();
    let said = error.to_string();
    let expected = format!("cannot reach http://{}: ", server.address());
    assert!(said.starts_with(&expected), "{said}");
    assert!(said.ends_with("; is the server running?"), "{said}");
}

#[test]
fn what_is_not_http_is_malformed() {
    for bytes in [
        &b"it works\r\n\r\n"[..],
        b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\nmore",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nno chunk\r\n",
    ] {
        let server = Server::new(move |number, _| match number % 10 {
            3 => Reply::Bytes(bytes.to_vec()),
            _ => Reply::list(),
        });
        let outcome = loaded(&workload("", PLAN), &server);
        assert_eq!((outcome.total.ok, outcome.total.errors.malformed), (45, 5));
    }
}

#[test]
fn a_wrong_body_is_an_error_of_its_own() {
    let server = Server::new(|number, _| match number {
        7 | 8 => Reply::ok(&LIST.replace("\"2\"", "\"3\"")),
        _ => Reply::list(),
    });
    let outcome = loaded(&workload("", PLAN), &server);
    let errors = &outcome.total.errors;
    assert_eq!((outcome.total.ok, errors.wrong_body), (48, 2));
    assert_eq!((outcome.checks.bodies, outcome.checks.wrong), (50, 2));
    let example = &errors.examples["wrong_body"];
    let expected =
        "GET /reviews?product_id=2: product is 3 where 2 was asked for ({\"product\":\"3\"";
    assert!(example.starts_with(expected), "{example}");
}

#[test]
fn only_a_sample_is_checked_when_asked_so() {
    let server = Server::new(|_, _| Reply::ok("no list at all"));
    let mut workload = workload("", PLAN);
    workload.check_one_in = 10;
    assert_eq!(loaded(&workload, &server).total.errors.wrong_body, 5);
    workload.check_one_in = 0;
    assert_eq!(loaded(&workload, &server).total.errors.sum(), 0);
}

#[test]
fn chunked_answers_are_read_and_checked() {
    let (first, second) = LIST.split_at(20);
    let chunked = format!(
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n{:x}\r\n{first}\r\n{:x}\r\n{second}\r\n0\r\n\r\n",
        first.len(),
        second.len()
    );
    let server = Server::new(move |_, _| Reply::Bytes(chunked.clone().into_bytes()));
    let outcome = loaded(&workload("", PLAN), &server);
    assert_eq!((outcome.total.ok, outcome.checks.bodies), (50, 50));
}

#[test]
fn reviews_have_the_characteristics_that_were_learned() {
    let server = Server::new(|_, line| {
        if line.starts_with("GET /reviews/meta?product_id=2 ") {
            return Reply::ok(
                r#"{"product_id":"2","ratings":{},"recommended":{},"characteristics":{"Fit":{"id":14,"value":null}}}"#,
            );
        }
        Reply::Late(Duration::ZERO, answer("201 Created", "Created"))
    });
    let posts = requests("", PLAN, "{ kind = \"post\", learn = 3 }");
    let outcome = loaded(&posts, &server);
    assert_eq!(outcome.total.ok, 50);
    let seen = server.seen();
    // There is only one product to learn of.
    assert_eq!(
        seen.iter()
            .filter(|(line, _)| line.starts_with("GET"))
            .count(),
        1
    );
    let posted: Vec<_> = seen
        .iter()
        .filter(|(line, _)| line.starts_with("POST"))
        .collect();
    assert_eq!(posted.len(), 50);
    for (line, body) in posted {
        assert_eq!(line, "POST /reviews HTTP/1.1");
        assert!(body.starts_with("{\"product_id\":2,"), "{body}");
        assert!(body.contains("\"characteristics\":{\"14\":"), "{body}");
    }
}

#[test]
fn what_cannot_be_learned_is_said_before_anything_is_measured() {
    let server = Server::new(|_, _| Reply::Bytes(answer("503 Busy", "")));
    let posts = requests("", PLAN, "{ kind = \"post\", learn = 3 }");
    let target = Target::from(server.address());
    let error = run(&posts, &target, &AtomicBool::new(false), &mut Nobody).unwrap_err();
    assert_eq!(
        error.to_string(),
        "cannot learn from /reviews/meta?product_id=2 what the load needs to know: it was answered with 503"
    );
}
