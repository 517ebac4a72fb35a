//! The command from its words to its files.

use std::fs;
use std::path::Path;
use std::process::ExitCode;

use clap::Parser;

use super::*;
use crate::cli::{Cli, Command};
use crate::load::command;

/// Returns the exit code and the output of the command with these words; the workload is in the file
/// `w.toml` of `dir`.
fn run_with(dir: &Path, words: &[&str], server: &Server) -> Result<(ExitCode, String), String> {
    let workload = dir.join("w.toml");
    let text = "about = \"a test\"\nwarm_up = \"0s\"\nplan = { rate = 50, duration = \"200ms\" }\n\
                products = { set = [2] }\n\
                request = [{ kind = \"list\" }, { kind = \"list\", old = true }]";
    fs::write(&workload, text).unwrap();
    let url = format!("http://{}", server.address());
    let fixed = [
        "reviewsd-bench",
        "load",
        "--quiet",
        "--workload",
        workload.to_str().unwrap(),
        &url,
    ];
    let words = fixed.into_iter().chain(words.iter().copied());
    let cli = Cli::try_parse_from(words).map_err(|error| error.to_string())?;
    let Command::Load(args) = cli.command else {
        panic!("another command");
    };
    let mut written = Vec::new();
    let code =
        command::run_on(server.time(), &args, &mut written).map_err(|error| error.to_string())?;
    Ok((code, String::from_utf8(written).unwrap()))
}

/// Exit codes do not compare.
fn is(code: ExitCode, expected: ExitCode) -> bool {
    format!("{code:?}") == format!("{expected:?}")
}

#[test]
fn a_run_leaves_its_figures_and_its_plots() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::new(|_, _| Reply::list());
    let (json, svg) = (dir.path().join("o.json"), dir.path().join("plots"));
    let words = [
        "--json",
        json.to_str().unwrap(),
        "--svg",
        svg.to_str().unwrap(),
        "--steps",
        "50,100",
    ];
    let (code, table) = run_with(dir.path(), &words, &server).unwrap();
    assert!(is(code, ExitCode::SUCCESS));
    for line in [
        "w on http://127.0.0.1:",
        "50/s ",
        "100/s ",
        "all steps ",
        "latency, from being due ",
        "list, old spelling ",
    ] {
        assert!(
            table.lines().any(|found| found.starts_with(line)),
            "no {line} in {table}"
        );
    }
    assert!(
        table.contains("\nrequests   30 sent, 30 right; "),
        "{table}"
    );
    assert!(table.contains("\nerrors     none\n"), "{table}");
    let outcome: Outcome = serde_json::from_slice(&fs::read(json).unwrap()).unwrap();
    assert_eq!((outcome.workload.as_str(), outcome.total.ok), ("w", 30));
    let mut plots: Vec<String> = fs::read_dir(svg)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    plots.sort();
    assert_eq!(
        plots,
        [
            "w-kinds.svg",
            "w-knee.svg",
            "w-latency.svg",
            "w-seconds.svg"
        ]
    );
}

#[test]
fn json_on_standard_output_stands_alone() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::new(|_, _| Reply::list());
    let (_, written) = run_with(dir.path(), &["--json", "-"], &server).unwrap();
    let outcome: Outcome = serde_json::from_str(&written).unwrap();
    assert_eq!(outcome.total.ok, 10);
}

#[test]
fn errors_end_with_1_only_when_asked_so() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::new(|_, _| Reply::ok("wrong"));
    let words = ["--check-one-in", "1"];
    let (code, table) = run_with(dir.path(), &words, &server).unwrap();
    assert!(is(code, ExitCode::SUCCESS));
    assert!(table.contains("\nerrors     10 wrong bodies\n"), "{table}");
    assert!(
        table.contains("\nbodies     10 checked, 10 wrong\n"),
        "{table}"
    );
    let words = ["--check-one-in", "1", "--fail-on-errors"];
    let (code, _) = run_with(dir.path(), &words, &server).unwrap();
    assert!(is(code, ExitCode::FAILURE));
}

#[test]
fn words_that_do_not_fit_are_one_sentence() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::new(|_, _| Reply::list());
    for (words, expected) in [
        (
            &["--rate", "0"][..],
            "the workload w: a rate is from 0.01 to 10000000 requests a second, not 0",
        ),
        (
            &["--connections", "0"],
            "the workload w: connections is from 1 to 60000, not 0",
        ),
        (
            &["--threads", "65"],
            "the workload w: threads is from 1 to 64, not 65",
        ),
        (
            &["--connections", "2", "--threads", "3"],
            "the workload w: threads: each needs a connection of its own at least",
        ),
        (
            &["--duration", "1ms"],
            "the workload w: plan.step or plan.duration is from 100ms to 86400s, not 1ms",
        ),
        (
            &["--products", "1"],
            "the workload w: the number of ids in products.set is from 1 to 1000000, not 0",
        ),
        (
            &["--duration", "5"],
            "error: invalid value '5' for '--duration <TIME>': a time is a whole number with a unit, like 500ms, 10s or 5m, not \"5\"",
        ),
        (
            &["--rate", "5", "--closed"],
            "error: the argument '--rate <N>' cannot be used with '--closed'",
        ),
    ] {
        let said = run_with(dir.path(), words, &server).unwrap_err();
        assert_eq!(said.lines().next().unwrap(), expected);
    }
}

#[test]
fn a_target_is_checked_before_anything_is_sent() {
    for (text, expected) in [
        (
            "https://example.org",
            "only http:// can be loaded, not https://",
        ),
        (
            "http://",
            "a target is http://HOST:PORT, and perhaps a path before those of the API",
        ),
        (
            "http://a b",
            "a target is http://HOST:PORT, and perhaps a path before those of the API",
        ),
        (
            "http://127.0.0.1:1/?x",
            "a target is http://HOST:PORT, and perhaps a path before those of the API",
        ),
    ] {
        assert_eq!(text.parse::<Target>().unwrap_err(), expected);
    }
    for (text, shown) in [
        ("127.0.0.1:8080", "http://127.0.0.1:8080"),
        ("http://[::1]:80/api/", "http://[::1]:80/api"),
        ("http://127.0.0.1", "http://127.0.0.1"),
    ] {
        assert_eq!(text.parse::<Target>().unwrap().to_string(), shown);
    }
    assert_eq!("127.0.0.1".parse::<Target>().unwrap().address.port(), 80);
}
