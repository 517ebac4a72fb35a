//! The program's own descriptions: help, version, manual pages and completions.

use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use crate::support::{no_forks, shop_dir};

fn run(args: &[&str]) -> Output {
    let _no_forks = no_forks();
    let mut command = Command::new(env!("CARGO_BIN_EXE_reviewsd"));
    command.args(args).stdin(Stdio::null()).output().unwrap()
}

fn said(args: &[&str]) -> String {
    let output = run(args);
    assert!(output.status.success(), "{args:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// The commands that the program's own help lists.
fn commands() -> Vec<String> {
    let help = said(&["--help"]);
    let (_, listed) = help.split_once("Commands:\n").unwrap();
    let listed = listed.lines().take_while(|line| !line.is_empty());
    // Further lines of a long description are indented more.
    let begun = listed.filter(|line| !line.starts_with("   "));
    let names = begun.filter_map(|line| line.split_whitespace().next());
    let names: Vec<_> = names
        .filter(|name| *name != "help")
        .map(str::to_owned)
        .collect();
    assert!(names.len() >= 5, "{help}");
    names
}

#[test]
fn every_command_has_help_with_examples() {
    assert!(said(&["--help"]).contains("Exit codes:"));
    for command in commands() {
        let help = said(&[&command, "--help"]);
        let example = format!("Examples:\n  reviewsd {command}");
        assert!(help.contains(&example), "{help}");
    }
}

#[test]
fn the_version_names_the_commit_and_the_rocksdb_version() {
    let version = said(&["--version"]);
    let rest = version.strip_prefix(concat!("reviewsd ", env!("CARGO_PKG_VERSION"), " (commit "));
    let (commit, rest) = rest.unwrap().split_once(", RocksDB ").unwrap();
    assert!(
        commit == "unknown"
            || (commit.len() >= 12 && commit.bytes().all(|b| b.is_ascii_hexdigit())),
        "{version}"
    );
    // Every store has a file in which RocksDB writes its own version.
    let shop = shop_dir();
    let files = fs::read_dir(shop.path().join("store")).unwrap();
    let files = files.map(|file| file.unwrap().path());
    let mut options = files.filter(|path| path.to_str().unwrap().contains("OPTIONS-"));
    let options = fs::read_to_string(options.next().unwrap()).unwrap();
    let rocksdb = rest.strip_suffix(")\n").unwrap();
    assert!(
        options.contains(&format!("rocksdb_version={rocksdb}\n")),
        "{version}"
    );
}

#[test]
fn there_is_a_manual_page_for_every_command() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("man1");
    said(&["man", "--out", out.to_str().unwrap()]);
    let program = fs::read_to_string(out.join("reviewsd.1")).unwrap();
    assert!(program.contains(".SH EXAMPLES\n.nf\n"), "{program}");
    assert!(program.contains(".SH \"EXIT CODES\"\n"), "{program}");
    for command in commands() {
        let page = fs::read_to_string(out.join(format!("reviewsd-{command}.1"))).unwrap();
        assert!(page.contains(".SH EXAMPLES\n.nf\n"), "{page}");
        let name = command.replace('-', "\\-");
        assert!(
            program.contains(&format!("reviewsd\\-{name}(1)")),
            "{program}"
        );
    }
    let serve = fs::read_to_string(out.join("reviewsd-serve.1")).unwrap();
    assert!(serve.contains("SIGHUP"), "{serve}");
    let refused = run(&["man", "--out", out.join("reviewsd.1").to_str().unwrap()]);
    let complaint = String::from_utf8(refused.stderr).unwrap();
    assert_eq!(refused.status.code(), Some(1));
    assert!(
        complaint.starts_with("reviewsd: cannot write "),
        "{complaint}"
    );
}

#[test]
fn completions_know_every_command_and_are_sound() {
    for shell in ["bash", "zsh", "fish"] {
        let script = said(&["completions", shell]);
        for word in commands()
            .iter()
            .map(String::as_str)
            .chain(["dialect", "greenfield"])
        {
            assert!(script.contains(word), "{shell} does not know {word}");
        }
        let mut check = Command::new(shell);
        check.arg("-n").stdin(Stdio::piped()).stderr(Stdio::piped());
        let check = {
            let _no_forks = no_forks();
            check.spawn()
        };
        // Not every machine has every shell; bash is everywhere.
        let Ok(mut check) = check else {
            assert_ne!(shell, "bash");
            continue;
        };
        check
            .stdin
            .take()
            .unwrap()
            .write_all(script.as_bytes())
            .unwrap();
        let checked = check.wait_with_output().unwrap();
        let complaint = String::from_utf8_lossy(&checked.stderr).into_owned();
        assert!(checked.status.success(), "{shell}: {complaint}");
    }
    assert_eq!(run(&["completions", "powershell"]).status.code(), Some(2));
}

/// Runs a command whose output is not read. Returns its exit code and its standard error.
fn unread(args: &[&str]) -> (Option<i32>, String) {
    let _no_forks = no_forks();
    let mut command = Command::new(env!("CARGO_BIN_EXE_reviewsd"));
    command.args(args).stdin(Stdio::null());
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    drop(child.stdout.take());
    let ended = child.wait_with_output().unwrap();
    let said = String::from_utf8(ended.stderr).unwrap();
    (ended.status.code(), said)
}

#[test]
fn a_command_whose_output_nobody_reads_ends_quietly() {
    let shop = shop_dir();
    let data = shop.path().to_str().unwrap();
    let scratch = tempfile::tempdir().unwrap();
    let path = |name: &str| scratch.path().join(name).to_str().unwrap().to_owned();
    let (out, backups, restored) = (path("out"), path("backups"), path("restored"));
    let made = said(&["backup", "--data", data, "--to", &backups]);
    assert!(!made.is_empty());
    let email = "walker@example.org";
    for args in [
        &["verify", "--data", data, "--quiet"][..],
        &["stats", "--data", data],
        &["position", "--data", data],
        &["find", "--data", data, "--email", email],
        &["find", "--data", data, "--email", email, "--json"],
        &["export", "--data", data, "--out", &out, "--quiet"],
        &["import", "--csv", &out, "--data", &path("copy"), "--quiet"],
        &["backup", "--data", data, "--to", &backups],
        &["backups", "--in", &backups],
        &[
            "restore", "--from", &backups, "--data", &restored, "--quiet",
        ],
        &["erase", "--data", data, "--email", email, "--dry-run"],
        &["check-config", "--config", "/dev/null", "--data", data],
        &["completions", "bash"],
        &["promote", "--data", data],
    ] {
        let (code, said) = unread(args);
        assert_eq!((code, said.as_str()), (Some(141), ""), "{args:?}");
    }
    // Completed work is not undone.
    assert!(Path::new(&out).join("export.json").exists());
}
