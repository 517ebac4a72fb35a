//! Runs against servers that behave, and against servers that do not, in simulated time.

mod server;

use std::collections::BTreeSet;
use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use clap::Parser;

use crate::cli::{Cli, Command};
use crate::load::{Limit, Outcome, Second, Target, Workload, command, run, run_on};
use server::{LIST, Reply, Server, answer};

const PLAN: &str = "rate = 100, duration = \"500ms\"";

/// A workload of lists of product 2, with these keys before its tables and this plan.
fn workload(keys: &str, plan: &str) -> Workload {
    requests(keys, plan, "{ kind = \"list\" }")
}

fn requests(keys: &str, plan: &str, requests: &str) -> Workload {
    let text = format!(
        "about = \"a test\"\nwarm_up = \"0s\"\ncheck_one_in = 1\n{keys}\nplan = {{ {plan} }}\n\
         products = {{ set = [2] }}\nreviews = {{ set = [5] }}\nrequest = [{requests}]\n"
    );
    Workload::parse("test", &text).unwrap()
}

/// Measures a workload in simulated time.
fn loaded(workload: &Workload, server: &Server) -> Outcome {
    let target = Target::from(server.address());
    let stop = AtomicBool::new(false);
    let outcome = run_on(server.time(), workload, &target, &stop, &mut |_| ()).unwrap();
    assert_sums(&outcome);
    outcome
}

/// Asserts what must hold of every outcome.
fn assert_sums(outcome: &Outcome) {
    for measured in outcome.steps.iter().chain([&outcome.total]) {
        assert_eq!(measured.sent, measured.ok + measured.errors, "{measured:?}");
        assert_eq!(measured.errors, measured.faults.values().sum::<u64>());
        if let Some(planned) = measured.planned {
            assert_eq!(planned, measured.sent + measured.not_sent, "{measured:?}");
        }
        let timed = measured.ok + measured.wrong_bodies + fault(measured, "timed out");
        assert_eq!(measured.latency.count, timed);
    }
    let sent: u64 = outcome.kinds.iter().map(|kind| kind.sent).sum();
    assert_eq!(sent, outcome.total.sent);
}

fn fault(measured: &crate::load::Measured, name: &str) -> u64 {
    measured.faults.get(name).copied().unwrap_or(0)
}

fn list() -> Vec<u8> {
    answer("200 OK", LIST)
}

#[test]
fn a_stall_shows_in_all_requests_due_meanwhile() {
    let server = Server::new(|number, _| match number {
        100 => Reply::Late(Duration::from_millis(400), list()),
        _ => Reply::list(),
    });
    let plan = "rate = 200, duration = \"2s\"";
    let outcome = loaded(&workload("connections = 1", plan), &server);
    let total = &outcome.total;
    assert_eq!(total.ok, 400);
    // Eighty requests, a fifth of all, were due while the server stalled: those of the middle waited
    // half of it. A generator that waits for answers would have seen one slow request.
    assert!(total.latency.p90_us > 150_000.0, "{:?}", total.latency);
    assert!(total.latency.p99_us > 300_000.0, "{:?}", total.latency);
    assert!(total.service.p99_us < 100_000.0, "{:?}", total.service);
    // It was not the generator that was late.
    assert!(total.lateness.p99_us < 100_000.0, "{:?}", total.lateness);
    assert_eq!((total.held, total.limit), (Some(true), Limit::Plan));
}

#[test]
fn a_slow_server_is_the_limit_and_requests_are_not_sent() {
    let server = Server::new(|_, _| Reply::Late(Duration::from_millis(10), list()));
    let plan = "rate = 1000, duration = \"1s\"";
    let outcome = loaded(&workload("connections = 2", plan), &server);
    let total = &outcome.total;
    assert!(total.sent <= 210 && total.not_sent >= 790, "{total:?}");
    assert!(total.achieved_per_second <= 210.0);
    assert_eq!((total.held, total.limit), (Some(false), Limit::Server));
    let [remark] = outcome.remarks.as_slice() else {
        panic!("{:?}", outcome.remarks);
    };
    assert!(remark.starts_with("1000/s was not held: "), "{remark}");
    let end = "the server was the limit, with all 2 connections waiting for it.";
    assert!(remark.ends_with(end), "{remark}");
}

#[test]
fn requests_that_wait_longer_than_the_timeout_are_not_sent() {
    let server = Server::new(|number, _| match number {
        0 | 1 => Reply::Silence,
        _ => Reply::list(),
    });
    // Each silence keeps the only connection for 200 ms; after the second one, those that were due
    // in the first half of that time have waited for too long.
    let keys = "connections = 1\ntimeout = \"200ms\"";
    let outcome = loaded(&workload(keys, "rate = 100, duration = \"1s\""), &server);
    let total = &outcome.total;
    assert_eq!(fault(total, "timed out"), 2);
    assert!((10..=60).contains(&total.not_sent), "{total:?}");
    // A request that timed out counts with the time that it had.
    assert!(
        (200_000.0..600_000.0).contains(&total.latency.max_us),
        "{total:?}"
    );
    assert_eq!(outcome.generator.reconnects, 2);
}

#[test]
fn a_step_does_not_suffer_from_the_one_before() {
    let server = Server::new(|_, _| Reply::Late(Duration::from_millis(10), list()));
    let plan = "rates = [20, 1000, 20], step = \"1s\"";
    let outcome = loaded(&workload("connections = 1", plan), &server);
    let held: Vec<_> = outcome.steps.iter().map(|step| step.held).collect();
    assert_eq!(held, [Some(true), Some(false), Some(true)]);
    let [first, second, third] = outcome.steps.as_slice() else {
        panic!("{:?}", outcome.steps);
    };
    assert_eq!(
        [&first.label, &second.label, &third.label],
        ["20/s", "1000/s", "20/s"]
    );
    assert!(second.latency.p50_us > 10.0 * first.latency.p50_us);
    assert!(third.latency.p50_us < second.latency.p50_us / 10.0);
    assert_eq!(third.not_sent, 0);
}

#[test]
fn a_closed_loop_asks_again_when_it_is_answered() {
    let server = Server::new(|_, _| Reply::Late(Duration::from_millis(5), list()));
    let plan = "closed = true, duration = \"1s\"";
    let outcome = loaded(&workload("connections = 3", plan), &server);
    let total = &outcome.total;
    assert!(outcome.closed);
    assert_eq!(
        (total.planned, total.held, total.limit),
        (None, None, Limit::Server)
    );
    // In a second of 5 ms each, on 3 connections.
    assert!((100..=603).contains(&total.sent), "{}", total.sent);
}

#[test]
fn the_warm_up_is_not_measured_but_its_errors_are_reported() {
    let server = Server::new(|number, _| match number {
        0..10 => Reply::Bytes(answer("500 Oh", "")),
        _ => Reply::list(),
    });
    let mut workload = workload("connections = 4", PLAN);
    workload.warm_up = Duration::from_millis(300);
    let outcome = loaded(&workload, &server);
    assert_eq!((outcome.total.sent, outcome.total.ok), (50, 50));
    assert_eq!(server.seen().len(), 80);
    assert!(outcome.examples.is_empty());
    let expected = "There were 10 errors while it warmed up, which are not in the figures; the first: \
                    GET /reviews?product_id=2: 500 instead of the right status.";
    assert_eq!(outcome.remarks, [expected]);
}

#[test]
fn a_run_that_is_stopped_reports_what_it_measured() {
    let server = Server::new(|_, _| Reply::list());
    let stop = AtomicBool::new(false);
    let target = Target::from(server.address());
    let workload = workload("connections = 4", "rates = [100, 200], step = \"1h\"");
    let mut seconds = Vec::new();
    let outcome = run(&workload, &target, &stop, &mut |second: &Second| {
        stop.store(true, Ordering::Relaxed);
        seconds.push(second.clone());
    });
    let outcome = outcome.unwrap();
    assert_sums(&outcome);
    assert!(outcome.interrupted && outcome.remarks[0].starts_with("It was ended early"));
    let total = &outcome.total;
    // The first step takes an hour.
    assert!((1.0..3600.0).contains(&total.seconds), "{}", total.seconds);
    assert_eq!((total.ok, outcome.steps.len()), (total.sent, 1));
    assert_eq!(
        (seconds[0].second, seconds[0].planned_per_second),
        (0, Some(100.0))
    );
    assert!(seconds[0].ok <= 101, "{seconds:?}");
}

#[test]
fn the_same_seed_sends_the_same_requests() {
    let sent = |seed: u64| {
        let server = Server::new(|_, _| Reply::list());
        let kinds = "{ kind = \"list\", page = { first = 1, last = 1000 } }, { kind = \"meta\" }";
        let mut workload = requests("connections = 6", PLAN, kinds);
        workload.seed = seed;
        workload.check_one_in = 0;
        assert_eq!(loaded(&workload, &server).total.ok, 50);
        let lines = server.seen().into_iter().map(|(line, _)| line);
        lines.collect::<BTreeSet<String>>()
    };
    let one = sent(7);
    assert_eq!(sent(7), one);
    assert_ne!(sent(8), one);
    assert!(one.len() > 10);
}

#[test]
fn another_status_is_an_error_and_is_shown() {
    let server = Server::new(|number, _| match number % 5 {
        0 => Reply::Bytes(answer("500 Internal Server Error", "Error: no luck")),
        1 => Reply::Bytes(answer("404 Not Found", "")),
        _ => Reply::list(),
    });
    let outcome = loaded(&workload("", PLAN), &server);
    let total = &outcome.total;
    assert_eq!((total.ok, total.errors), (30, 20));
    assert_eq!(fault(total, "answered with 404"), 10);
    let expected = "GET /reviews?product_id=2: 500 instead of the right status (Error: no luck)";
    assert_eq!(outcome.examples["answered with 500"], expected);
    assert_eq!(
        (outcome.bodies_checked, outcome.generator.reconnects),
        (30, 0)
    );
}

#[test]
fn a_status_that_the_workload_names_is_right() {
    let server = Server::new(|_, _| Reply::Bytes(answer("404 Not Found", "Error: no such review")));
    let votes = requests("", PLAN, "{ kind = \"helpful\", also_right = [404] }");
    let outcome = loaded(&votes, &server);
    // Its body is not judged.
    assert_eq!((outcome.total.ok, outcome.bodies_checked), (50, 0));
}

#[test]
fn a_connection_closed_within_an_answer_is_an_error() {
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
        assert_eq!(
            (outcome.total.ok, fault(&outcome.total, "closed early")),
            (45, 5)
        );
        // The last one may not have been needed again.
        assert!((4..=5).contains(&outcome.generator.reconnects));
    }
}

#[test]
fn a_server_may_close_after_each_answer() {
    let heads = [
        "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 47\r\n\r\n",
        // Without a word, and with an end that is the end of the body.
        "HTTP/1.1 200 OK\r\ncontent-length: 47\r\n\r\n",
        "HTTP/1.0 200 OK\r\n\r\n",
    ];
    for head in heads {
        let server = Server::new(move |_, _| Reply::Last([head, LIST].concat().into_bytes()));
        // Far enough apart that the end is seen before the next request.
        let plan = "rate = 20, duration = \"500ms\"";
        let outcome = loaded(&workload("connections = 1", plan), &server);
        let found = (
            outcome.total.ok,
            outcome.total.errors,
            outcome.generator.reconnects,
        );
        assert_eq!(found, (10, 0, 9), "{head}");
    }
}

#[test]
fn a_server_that_has_ended_refuses() {
    for plan in [
        "rate = 20, duration = \"500ms\"",
        "closed = true, duration = \"200ms\"",
    ] {
        // One connection is taken and answered once; by then there is no listener any more.
        let last = Reply::Last(list());
        let server = Server::taking(1, move |_, _| last.clone());
        let outcome = loaded(&workload("connections = 1", plan), &server);
        let (sent, refused) = (outcome.total.sent, fault(&outcome.total, "refused"));
        assert_eq!(outcome.total.ok, 1);
        // A closed loop may ask again before it notices the end, but not as fast as it is refused.
        assert!(
            refused >= sent - 2 && refused > 3 && sent <= 22,
            "{:?}",
            outcome.total
        );
    }
}

#[test]
fn a_server_that_cannot_be_reached_is_an_error() {
    let server = Server::taking(1, |_, _| Reply::list());
    let target = Target::from(server.address());
    let first = TcpStream::connect(server.address()).unwrap();
    // The listener closes when this connection is taken, and taken it is when it is answered.
    (&first)
        .write_all(b"GET / HTTP/1.1\r\nconnection: close\r\n\r\n")
        .unwrap();
    (&first).read_exact(&mut [0; 10]).unwrap();
    let stop = AtomicBool::new(false);
    let error = run(&workload("", PLAN), &target, &stop, &mut |_| ()).unwrap_err();
    let expected = format!(
        "cannot reach http://{}; is the server running?",
        server.address()
    );
    assert_eq!(error.to_string(), expected);
}

#[test]
fn malformed_answers_are_counted_as_such() {
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
        assert_eq!(
            (outcome.total.ok, fault(&outcome.total, "malformed")),
            (45, 5)
        );
    }
}

#[test]
fn chunked_bodies_are_checked_and_wrong_ones_counted() {
    let server = Server::new(move |number, _| {
        let list = if number % 25 == 7 {
            LIST.replace("\"2\"", "\"3\"")
        } else {
            LIST.to_owned()
        };
        let (first, second) = list.split_at(20);
        let (one, other) = (first.len(), second.len());
        let head = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked";
        Reply::Bytes(
            format!("{head}\r\n\r\n{one:x}\r\n{first}\r\n{other:x}\r\n{second}\r\n0\r\n\r\n")
                .into(),
        )
    });
    let outcome = loaded(&workload("", PLAN), &server);
    let found = (
        outcome.total.ok,
        outcome.total.wrong_bodies,
        outcome.bodies_checked,
    );
    assert_eq!(found, (48, 2, 50));
    let example = &outcome.examples["wrong body"];
    let expected = "GET /reviews?product_id=2: product is \"3\" where \"2\" was asked for ({";
    assert!(example.starts_with(expected), "{example}");
}

#[test]
fn reviews_have_the_characteristics_that_were_learned() {
    let server = Server::new(|_, line| {
        if line.starts_with("GET /reviews/meta?product_id=2 ") {
            return Reply::ok(
                r#"{"product_id":"2","characteristics":{"Fit":{"id":14,"value":null}}}"#,
            );
        }
        Reply::Bytes(answer("201 Created", "Created"))
    });
    let posts = requests("", PLAN, "{ kind = \"post\", learn = 3 }");
    assert_eq!(loaded(&posts, &server).total.ok, 50);
    let seen = server.seen();
    let (asked, posted): (Vec<_>, Vec<_>) =
        seen.iter().partition(|(line, _)| line.starts_with("GET"));
    // There is only one product to learn of.
    assert_eq!((asked.len(), posted.len()), (1, 50));
    for (line, body) in posted {
        assert_eq!(line, "POST /reviews HTTP/1.1");
        assert!(body.starts_with("{\"product_id\":2,"), "{body}");
        assert!(body.contains("\"characteristics\":{\"14\":"), "{body}");
    }

    let server = Server::new(|_, _| Reply::Bytes(answer("503 Busy", "")));
    let (target, stop) = (Target::from(server.address()), AtomicBool::new(false));
    let error = run(&posts, &target, &stop, &mut |_| ())
        .unwrap_err()
        .to_string();
    assert!(
        error.ends_with("what reviews may rate: it was answered with 503"),
        "{error}"
    );
}

/// The exit code and the output of the command with these words, or its first line of complaint.
fn commanded(words: &[&str], server: &Server) -> Result<(String, String), String> {
    let dir = tempfile::tempdir().unwrap();
    let (workload, json) = (dir.path().join("w.toml"), dir.path().join("o.json"));
    let text = "about = \"a test\"\nwarm_up = \"0s\"\ncheck_one_in = 1\n\
                plan = { rate = 50, duration = \"200ms\" }\nproducts = { set = [2] }\n\
                request = [{ kind = \"list\" }, { kind = \"list\", old = true }]";
    fs::write(&workload, text).unwrap();
    let url = format!("http://{}", server.address());
    let (workload, json) = (workload.to_str().unwrap(), json.to_str().unwrap());
    let fixed = [
        "reviewsd-bench",
        "load",
        "--workload",
        workload,
        "--json",
        json,
        &url,
    ];
    let cli = Cli::try_parse_from(fixed.iter().chain(words)).map_err(|error| error.to_string())?;
    let Command::Load(args) = cli.command else {
        panic!("another command");
    };
    let mut table = Vec::new();
    let code = command::run_on(server.time(), &args, &mut table);
    let code = code.map_err(|error| error.to_string())?;
    // Exit codes do not compare.
    let success = format!("{code:?}") == format!("{:?}", ExitCode::SUCCESS);
    let outcome: serde_json::Value = serde_json::from_slice(&fs::read(json).unwrap()).unwrap();
    let summary = format!(
        "{success} {} {}",
        outcome["total"]["ok"], outcome["total"]["errors"]
    );
    Ok((summary, String::from_utf8(table).unwrap()))
}

#[test]
fn the_command_writes_a_table_and_json() {
    let server = Server::new(|_, _| Reply::list());
    let (summary, table) = commanded(&["--rate", "50,100"], &server).unwrap();
    assert_eq!(summary, "true 30 0");
    for line in [
        "w on http://127.0.0.1:",
        "50/s ",
        "100/s ",
        "all steps ",
        "latency, from being due ",
        "list, old spelling ",
        "requests   30 sent, 30 right",
        "errors     none",
    ] {
        assert!(
            table.lines().any(|found| found.starts_with(line)),
            "no {line} in {table}"
        );
    }
}

#[test]
fn errors_end_with_1_only_if_that_is_wanted() {
    let server = Server::new(|_, _| Reply::ok("wrong"));
    let (summary, table) = commanded(&[], &server).unwrap();
    assert_eq!(summary, "true 0 10");
    assert!(table.contains("\nerrors     10 wrong body\n"), "{table}");
    assert!(
        table.contains("\nbodies     10 checked, 10 wrong\n"),
        "{table}"
    );
    assert_eq!(
        commanded(&["--fail-on-errors"], &server).unwrap().0,
        "false 0 10"
    );
}

#[test]
fn faulty_arguments_are_refused_with_their_bounds() {
    let server = Server::new(|_, _| Reply::list());
    for (words, expected) in [
        (
            &["--rate", "0"][..],
            "the workload w: a rate is from 0.01 to 10000000, not 0",
        ),
        (
            &["--connections", "0"],
            "the workload w: connections is from 1 to 60000, not 0",
        ),
        (
            &["--rate", "5", "--closed"],
            "error: the argument '--rate <N,N,…>' cannot be used with '--closed'",
        ),
    ] {
        let error = commanded(words, &server).unwrap_err();
        assert_eq!(error.lines().next().unwrap(), expected);
    }
}
