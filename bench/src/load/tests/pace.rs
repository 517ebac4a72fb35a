//! Requests start when they are to, and what waits is counted as waiting.

use std::collections::BTreeSet;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::server::{LIST, answer};
use super::*;
use crate::load::Mode;
use crate::load::outcome::Limit;

fn list() -> Vec<u8> {
    answer("200 OK", LIST)
}

#[test]
fn a_stall_shows_in_all_requests_that_were_due_meanwhile() {
    let server = Server::new(|number, _| match number {
        100 => Reply::Late(Duration::from_millis(400), list()),
        _ => Reply::list(),
    });
    let plan = "rate = 200, duration = \"2s\"";
    let outcome = loaded(&workload("connections = 1", plan), &server);
    assert_eq!(outcome.total.ok, 400);
    // Eighty requests, a fifth of all, were due while the server stalled: those of the middle waited
    // half of it. A generator that waits for answers would have seen one slow request.
    let total = &outcome.total;
    assert!(
        total.latency.p95_us > 200_000.0,
        "{:?}",
        total.latency.p95_us
    );
    assert!(
        total.latency.p99_us > 300_000.0,
        "{:?}",
        total.latency.p99_us
    );
    assert!(
        total.service.p95_us < 100_000.0,
        "{:?}",
        total.service.p95_us
    );
    // It was not the generator that was late.
    assert!(
        total.lateness.p95_us < 100_000.0,
        "{:?}",
        total.lateness.p95_us
    );
    assert_eq!((total.held, total.limit), (Some(true), Limit::Plan));
}

#[test]
fn a_server_that_is_too_slow_is_named_as_the_limit() {
    let server = Server::new(|_, _| Reply::Late(Duration::from_millis(10), list()));
    let plan = "rate = 1000, duration = \"1s\"";
    let outcome = loaded(&workload("connections = 2", plan), &server);
    let total = &outcome.total;
    assert_eq!(total.planned, Some(1000));
    assert!(
        total.sent <= 210 && total.not_sent >= 790,
        "{} sent",
        total.sent
    );
    assert!(total.achieved_per_second <= 210.0);
    assert_eq!((total.held, total.limit), (Some(false), Limit::Server));
    let [remark] = outcome.remarks.as_slice() else {
        panic!("{:?}", outcome.remarks);
    };
    assert!(remark.starts_with("1000/s was not held: "), "{remark}");
    assert!(
        remark.ends_with("the server was the limit, with all 2 connections waiting for it."),
        "{remark}"
    );
}

#[test]
fn what_waits_longer_than_the_timeout_is_not_sent() {
    let server = Server::new(|number, _| match number {
        0 | 1 => Reply::Silence,
        _ => Reply::list(),
    });
    // Each silence keeps the only connection for 200 ms; after the second one, those that were due
    // in the first half of that time have waited for too long.
    let keys = "connections = 1\ntimeout = \"200ms\"";
    let plan = "rate = 100, duration = \"1s\"";
    let outcome = loaded(&workload(keys, plan), &server);
    let total = &outcome.total;
    assert_eq!(total.errors.timeout, 2);
    assert!(
        (10..=60).contains(&total.not_sent),
        "{} not sent",
        total.not_sent
    );
    assert!(total.latency.max_us < 600_000.0, "{:?}", total.latency);
}

#[test]
fn one_step_does_not_suffer_from_the_one_before() {
    let server = Server::new(|_, _| Reply::Late(Duration::from_millis(10), list()));
    let plan = "rates = [20, 1000, 20], step = \"1s\"";
    let outcome = loaded(&workload("connections = 1", plan), &server);
    let held: Vec<_> = outcome
        .steps
        .iter()
        .map(|step| step.measured.held)
        .collect();
    assert_eq!(held, [Some(true), Some(false), Some(true)]);
    let labels: Vec<_> = outcome
        .steps
        .iter()
        .map(|step| step.label.as_str())
        .collect();
    assert_eq!(labels, ["20/s", "1000/s", "20/s"]);
    let [first, second, third] = outcome.steps.as_slice() else {
        panic!("{:?}", outcome.steps);
    };
    assert!(second.measured.latency.p50_us > 10.0 * first.measured.latency.p50_us);
    assert!(third.measured.latency.p50_us < second.measured.latency.p50_us / 10.0);
    assert_eq!(third.measured.not_sent, 0);
}

#[test]
fn a_closed_loop_asks_again_when_it_is_answered() {
    let server = Server::new(|_, _| Reply::Late(Duration::from_millis(5), list()));
    let outcome = loaded(
        &workload("connections = 3", "closed = true, duration = \"1s\""),
        &server,
    );
    let total = &outcome.total;
    assert_eq!(outcome.mode, Mode::Closed);
    assert_eq!((total.planned, total.held), (None, None));
    assert!(
        total.sent <= 603,
        "{} in a second of 5 ms each, on 3 connections",
        total.sent
    );
    assert!(total.sent >= 100, "{}", total.sent);
    assert_eq!(total.limit, Limit::Server);
}

#[test]
fn the_warm_up_is_not_in_the_figures_but_its_errors_are_told() {
    let server = Server::new(|number, _| match number {
        0..10 => Reply::Bytes(answer("500 Oh", "")),
        _ => Reply::list(),
    });
    let mut workload = workload("connections = 4", "rate = 100, duration = \"500ms\"");
    workload.warm_up = Duration::from_millis(300);
    let outcome = loaded(&workload, &server);
    assert_eq!((outcome.total.sent, outcome.total.ok), (50, 50));
    assert_eq!(server.seen().len(), 80);
    assert!(outcome.total.errors.examples.is_empty());
    let expected = "There were 10 errors while it warmed up, which are not in the figures; the first: \
                    GET /reviews?product_id=2: 500 instead of the right status.";
    assert_eq!(outcome.remarks, [expected]);
}

#[test]
fn whoever_stops_it_gets_what_was_measured_until_then() {
    struct Stopper<'a>(&'a AtomicBool, Vec<Second>);
    impl Watch for Stopper<'_> {
        fn second(&mut self, second: &Second) {
            self.0.store(true, Ordering::Relaxed);
            self.1.push(second.clone());
        }
    }
    let server = Server::new(|_, _| Reply::list());
    let stop = AtomicBool::new(false);
    let mut stopper = Stopper(&stop, Vec::new());
    let target = Target::from(server.address());
    let workload = workload(
        "threads = 2\nconnections = 4\ntimeout = \"60s\"",
        "rates = [100, 200], step = \"1h\"",
    );
    let outcome = run(&workload, &target, &stop, &mut stopper).unwrap();
    assert_sums(&outcome);
    assert!(outcome.interrupted);
    let total = &outcome.total;
    // The first step takes an hour.
    assert!((1.0..3600.0).contains(&total.seconds), "{}", total.seconds);
    assert_eq!(total.ok, total.sent);
    assert_eq!(outcome.steps.len(), 1);
    // A machine that is busy with other things may add that the generator was late.
    assert!(outcome.remarks[0].starts_with("It was ended early"));
    let Stopper(_, seconds) = stopper;
    assert_eq!(seconds, outcome.seconds);
    assert_eq!(seconds[0].planned_per_second, Some(100.0));
    // How many of the first second's requests are answered within it is up to the machine.
    assert!(seconds[0].ok <= 101, "{seconds:?}");
}

#[test]
fn the_same_seed_sends_the_same_requests_however_many_threads_there_are() {
    let sent = |seed: u64, threads: usize| {
        let server = Server::new(|_, _| Reply::list());
        let kinds = "{ kind = \"list\", page = { first = 1, last = 1000 } }, { kind = \"meta\" }";
        let mut workload = requests("connections = 6", "rate = 400, duration = \"500ms\"", kinds);
        workload.seed = seed;
        workload.threads = threads;
        workload.check_one_in = 0;
        assert_eq!(loaded(&workload, &server).total.ok, 200);
        let mut lines: Vec<String> = server.seen().into_iter().map(|(line, _)| line).collect();
        lines.sort();
        lines
    };
    let one = sent(7, 1);
    assert_eq!(sent(7, 3), one);
    assert_ne!(sent(8, 1), one);
    assert!(one.iter().collect::<BTreeSet<_>>().len() > 50);
}

#[test]
fn an_outcome_comes_back_from_its_json() {
    let server = Server::new(|number, _| match number {
        3 => Reply::Bytes(answer("500 Oh", "")),
        _ => Reply::list(),
    });
    let outcome = loaded(
        &workload("", "rates = [50, 100], step = \"300ms\""),
        &server,
    );
    let text = serde_json::to_string(&outcome).unwrap();
    let back: Outcome = serde_json::from_str(&text).unwrap();
    assert_eq!(
        back.total.latency.histogram(),
        outcome.total.latency.histogram()
    );
    let (value, again) = (serde_json::to_value(&outcome), serde_json::to_value(&back));
    assert_alike(&value.unwrap(), &again.unwrap());
}

/// The same but for the last digit of a number that is not whole.
fn assert_alike(one: &serde_json::Value, other: &serde_json::Value) {
    use serde_json::Value::{Array, Number, Object};
    match (one, other) {
        (Number(one), Number(other)) => {
            let (one, other) = (one.as_f64().unwrap(), other.as_f64().unwrap());
            assert!((one - other).abs() <= one.abs() * 1e-12, "{one} {other}");
        }
        (Array(one), Array(other)) => {
            assert_eq!(one.len(), other.len());
            one.iter()
                .zip(other)
                .for_each(|(one, other)| assert_alike(one, other));
        }
        (Object(one), Object(other)) => {
            assert!(one.keys().eq(other.keys()));
            one.values()
                .zip(other.values())
                .for_each(|(one, other)| assert_alike(one, other));
        }
        (one, other) => assert_eq!(one, other),
    }
}
