//! The error of a wrong command line or configuration, and its exit code.

use std::process::Command;

use super::{command, output};

fn reviewsd(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_reviewsd"));
    command.args(args);
    command
}

#[test]
fn every_wrong_command_line_ends_with_2() {
    let dir = tempfile::tempdir().unwrap();
    let (data, out) = (dir.path().join("data"), dir.path().join("out"));
    let rejects = data.join("r.csv");
    let rejects = rejects.to_str().unwrap();
    let data = ["--data", data.to_str().unwrap()];
    for wrong in [
        &["serve", "--set", "net.listn=1"][..],
        &["serve", "--set", "net.listen=here"],
        &["serve", "--listen", "8080"],
        &["serve", "--follow", "10.0.0.1"],
        &["backup", "--to", "/nonexistent/x", "--set", "backup.kep=1"],
        &["import", "--csv", "x", "--memory", "1MiB"],
        &["import", "--csv", "x", "--rejects", rejects],
        &["find", "--email", ""],
        &["erase", "--email", " ", "--yes"],
        &["restore-reported", "--yes"],
    ] {
        let ended = output(reviewsd(wrong).args(data));
        assert_eq!(ended.status.code(), Some(2), "{wrong:?}: {ended:?}");
    }
    for (server, command) in [
        ("http://", &["stats"][..]),
        ("https://127.0.0.1:1", &["stats"]),
        (
            "ftp://127.0.0.1:1",
            &["export", "--out", out.to_str().unwrap()],
        ),
        ("127.0.0.1:1", &["find", "--email", " "]),
        ("127.0.0.1:1", &["erase", "--email", " ", "--yes"]),
        ("127.0.0.1:1", &["restore-reported"]),
    ] {
        let ended = output(reviewsd(command).args(["--server", server]));
        assert_eq!(ended.status.code(), Some(2), "{command:?}: {ended:?}");
    }
}

#[test]
fn place_that_is_not_there_ends_with_1() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let data = data.to_str().unwrap();
    let id = "4d1b0a5f0f3c4e6e9a2b7c8d9e0f1a2b";
    for right in [
        &["stats", "--data", "/proc/none"][..],
        &["stats", "--server", "127.0.0.1:1"],
        &["backup", "--to", "/proc/none"],
        &["backup", "--to", "/proc/none", "--follow"],
        &["backup", "--to", "/proc/none", "--data", data],
        &["backup", "--to", "/dev/null"],
        &["backup", "--to", data, "--server", "http://127.0.0.1:1"],
        &["backups", "--in", "/proc/none"],
        &["restore", "--from", "/proc/none", "--data", data],
        &["export", "--data", data, "--out", "/proc/none"],
        &["restore-reported", "--data", "/proc/none", "--all"],
        &["restore-reported", "--server", "127.0.0.1:1", "--all"],
        &["import", "--csv", "/proc/none", "--data", data],
        &["import", "--csv", "/proc", "--data", "/proc/none"],
        &["verify", "--data", "/proc/none"],
        &["position", "--data", "/proc/none"],
        &["promote", "--data", "/proc/none"],
        &["follow", "--data", "/proc/none", "--accept-store", id],
    ] {
        let ended = output(&mut reviewsd(right));
        assert_eq!(ended.status.code(), Some(1), "{right:?}: {ended:?}");
    }
}

#[test]
fn an_address_that_is_none_is_told_with_examples() {
    for (args, what) in [
        (
            ["--listen", "8080"],
            "error: invalid value '8080' for '--listen <ADDRESS>'",
        ),
        (
            ["--admin", "localhost:1"],
            "error: invalid value 'localhost:1' for '--admin <ADDRESS>'",
        ),
        (["--set", "net.listen=here"], "reviewsd: --set net.listen"),
    ] {
        let check = ["check-config", "--config", "/dev/null"];
        let ended = output(reviewsd(&check).args(args));
        let said = String::from_utf8(ended.stderr).unwrap();
        let example = "an address is an IP address and a port, such as 127.0.0.1:8080";
        assert!(said.starts_with(&format!("{what}: {example}")), "{said}");
        assert_eq!(ended.status.code(), Some(2), "{said}");
    }
}

#[test]
fn an_unknown_variable_with_our_prefix_is_refused() {
    let mut command = reviewsd(&["check-config", "--config", "/dev/null", "--data", "x"]);
    // Those that Kubernetes makes for a service are its own.
    command.env("REVIEWSD_SERVICE_HOST", "10.0.0.1");
    assert_eq!(output(&mut command).status.code(), Some(0));
    command.env("REVIEWSD_LISTEN_ADDRESS", "x");
    let ended = output(&mut command);
    let said = String::from_utf8(ended.stderr).unwrap();
    assert_eq!(ended.status.code(), Some(2), "{said}");
    let sentence = "reviewsd: REVIEWSD_LISTEN_ADDRESS: unknown key; did you mean REVIEWSD_";
    assert!(said.starts_with(sentence), "{said}");
}

#[test]
fn all_faults_of_a_configuration_are_reported_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("r.toml");
    std::fs::write(&file, "[net]\nheadtime = \"1s\"\nlisten = 1\n[logs]\n").unwrap();
    let ended = output(command(dir.path()).arg("--config").arg(&file));
    let said = String::from_utf8(ended.stderr).unwrap();
    assert_eq!(ended.status.code(), Some(2), "{said}");
    let lines: Vec<&str> = said.lines().collect();
    assert_eq!(lines[0], "reviewsd: the configuration has 3 faults:");
    for (line, what) in [(1, "net.headtime"), (2, "net.listen"), (3, "logs")] {
        let start = format!("  {}, line {}, {what}: ", file.display(), line + 1);
        assert!(lines[line].starts_with(&start), "{said}");
    }
    assert_eq!(lines.len(), 4, "{said}");
}

#[test]
fn an_import_of_a_file_instead_of_a_directory_is_told_so() {
    let dir = tempfile::tempdir().unwrap();
    let csv = dir.path().join("reviews.csv");
    std::fs::write(&csv, "id\n").unwrap();
    let data = dir.path().join("data");
    let mut command = reviewsd(&["import"]);
    let ended = output(command.arg("--csv").arg(&csv).arg("--data").arg(&data));
    let said = String::from_utf8(ended.stderr).unwrap();
    assert_eq!(ended.status.code(), Some(1), "{said}");
    let sentence = format!(
        "reviewsd: {} is a file; give --csv the directory that the CSV files are in\n",
        csv.display()
    );
    assert_eq!(said, sentence);
}
