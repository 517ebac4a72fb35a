//! `reviewsd init` as a user runs it.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use tempfile::TempDir;

use crate::replication::front;
use crate::support::no_forks;

const MACHINES: &[&str] = &[
    "--primary",
    "10.0.0.1",
    "--replica",
    "10.0.0.2,10.0.0.3",
    "--nginx",
    "10.0.0.10",
    "--origin",
    "https://shop.example",
    "--backup",
    "s3://backups/shop",
];

fn reviewsd(args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_reviewsd"));
    command.args(args).stdin(Stdio::null());
    let _no_forks = no_forks();
    command.output().unwrap()
}

/// Runs `reviewsd init` for a directory.
fn init(out: &Path, more: &[&str]) -> Output {
    let out = out.to_str().unwrap();
    let args = [
        &["init", "--out", out, "--name", "reviews.shop.example"],
        more,
    ]
    .concat();
    reviewsd(&args)
}

/// The files of an installation; they go away with the directory.
fn written(more: &[&str]) -> (TempDir, PathBuf, String) {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("shop");
    let done = init(&out, more);
    let why = String::from_utf8_lossy(&done.stderr);
    assert!(done.status.success() && why.is_empty(), "{why}");
    (dir, out, String::from_utf8(done.stdout).unwrap())
}

/// The paths of all files below a directory.
fn files(dir: &Path) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let mut waiting = vec![dir.to_owned()];
    while let Some(next) = waiting.pop() {
        for entry in fs::read_dir(next).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                waiting.push(path);
            } else {
                found.insert(path.strip_prefix(dir).unwrap().to_str().unwrap().to_owned());
            }
        }
    }
    found
}

#[test]
fn every_configuration_of_init_passes_check_config() {
    for more in [&[][..], MACHINES, &["--layout", "compose"]] {
        let (_dir, out, _) = written(more);
        let all = files(&out);
        let is_toml = |name: &&String| Path::new(name).extension().is_some_and(|end| end == "toml");
        let configurations = all.iter().filter(is_toml);
        let mut checked = 0;
        for name in configurations {
            let file = out.join(name);
            let done = reviewsd(&["check-config", "--config", file.to_str().unwrap()]);
            assert!(
                done.status.success(),
                "{name}: {}",
                String::from_utf8_lossy(&done.stderr)
            );
            checked += 1;
        }
        assert_eq!(checked, if more.is_empty() { 1 } else { 3 });
    }
}

#[test]
fn commands_of_init_name_every_file() {
    let (_dir, out, steps) = written(MACHINES);
    for name in files(&out) {
        let named = name.split('/').next().unwrap();
        assert!(
            steps.contains(&format!("{}/{named}", out.display())),
            "{name}: {steps}"
        );
    }
    assert!(files(&out).contains("systemd/reviewsd-admin.socket.d/listen.conf"));
    assert!(
        steps.contains("systemctl enable --now reviewsd-replica@2"),
        "{steps}"
    );
}

#[test]
fn nginx_accepts_the_file_of_init() {
    let Some(nginx) = front::program() else {
        crate::chance::say("skipped: there is no nginx (apt-get install nginx-light)");
        return;
    };
    for more in [&[][..], MACHINES, &["--layout", "compose"]] {
        let (dir, out, _) = written(more);
        let text = fs::read_to_string(out.join("nginx.conf")).unwrap();
        assert!(text.contains("server_name reviews.shop.example;"), "{text}");
        // A port below 1024 takes root.
        let socket = format!("listen unix:{}/socket;", dir.path().display());
        let text = text
            .replace("listen 80;", &socket)
            .replace("listen [::]:80;", "");
        fs::write(dir.path().join("reviewsd.conf"), text).unwrap();
        front::write_main(dir.path());
        let mut check = Command::new(nginx);
        check
            .arg(format!("-p{}", dir.path().display()))
            .args(["-cnginx.conf", "-t"]);
        let tested = {
            let _no_forks = no_forks();
            check.stdin(Stdio::null()).output().unwrap()
        };
        let said = String::from_utf8_lossy(&tested.stderr);
        assert!(
            tested.status.success() && !said.contains("[warn]"),
            "{said}"
        );
    }
}

#[test]
fn init_overwrites_nothing() {
    let (_dir, out, _) = written(MACHINES);
    for name in files(&out) {
        let file = out.join(&name);
        let content = fs::read(&file).unwrap();
        let dir = tempfile::tempdir().unwrap();
        let again = dir.path().join(&name);
        fs::create_dir_all(again.parent().unwrap()).unwrap();
        fs::write(&again, "mine").unwrap();
        let done = init(dir.path(), MACHINES);
        let said = String::from_utf8_lossy(&done.stderr);
        assert_eq!(done.status.code(), Some(1), "{said}");
        assert!(
            said.contains(again.to_str().unwrap()) && said.lines().count() == 1,
            "{said}"
        );
        assert_eq!(files(dir.path()), BTreeSet::from([name]));
        assert_eq!(fs::read(&again).unwrap(), b"mine");
        assert_ne!(content, b"mine");
    }
}

#[test]
fn secret_of_init_is_new_and_for_its_owner_alone() {
    let (_dir, one, _) = written(MACHINES);
    let (_other_dir, other, _) = written(MACHINES);
    let read = |out: &Path| {
        let file = out.join("replication.token");
        let mode = file.metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o7777, 0o600);
        fs::read_to_string(file).unwrap()
    };
    let (one, other) = (read(&one), read(&other));
    assert_ne!(one, other);
    assert_eq!((one.trim().len(), one.lines().count()), (64, 1));
}

#[test]
fn data_directories_of_compose_are_for_the_servers_alone() {
    let (_dir, out, _) = written(&["--layout", "compose"]);
    for name in ["primary", "replica-1", "replica-2"] {
        let mode = out.join(name).metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o7777, 0o700, "{name}");
    }
    let environment = fs::read_to_string(out.join(".env")).unwrap();
    let user = environment
        .lines()
        .find_map(|line| line.strip_prefix("REVIEWSD_USER="));
    let (user, _) = user.unwrap().split_once(':').unwrap();
    let user: u32 = user.parse().unwrap();
    for name in ["primary", "replication.token"] {
        let owner = std::os::unix::fs::MetadataExt::uid(&out.join(name).metadata().unwrap());
        assert_eq!(owner, user, "{name}");
    }
    assert_ne!(user, 0, "servers must not run as root");
}

#[test]
fn wrong_answer_is_refused_before_anything_is_written() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("shop");
    for (wrong, named) in [
        (&["--origin", "shop.example"][..], "api.cors_origins"),
        (&["--replica", "10.0.0.2"], "loopback"),
        (
            &["--layout", "compose", "--primary", "10.0.0.1"],
            "--layout compose",
        ),
    ] {
        let done = init(&out, wrong);
        let said = String::from_utf8_lossy(&done.stderr);
        assert_eq!(done.status.code(), Some(2), "{said}");
        assert!(said.contains(named), "{said}");
        assert!(!out.exists());
    }
    let done = reviewsd(&["init", "--name", "reviews.shop.example"]);
    let said = String::from_utf8_lossy(&done.stderr);
    assert!(
        done.status.code() == Some(2) && said.contains("--out DIR"),
        "{said}"
    );
}

#[test]
fn init_asks_a_terminal_for_what_no_flag_gives() {
    use std::io::Write as _;

    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("shop");
    let command = format!(
        "{} init --layout machines --out {}",
        env!("CARGO_BIN_EXE_reviewsd"),
        out.display()
    );
    let mut script = Command::new("script");
    script.args(["--quiet", "--return", "--command", &command, "/dev/null"]);
    script.stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut terminal = {
        let _no_forks = no_forks();
        script.spawn().unwrap()
    };
    let mut answers = terminal.stdin.take().unwrap();
    answers
        .write_all(b"reviews.shop.example\nhttps://shop.example\n\n10.0.0.1\n10.0.0.2\n\n")
        .unwrap();
    let done = terminal.wait_with_output().unwrap();
    let shown = String::from_utf8_lossy(&done.stdout);
    assert!(done.status.success(), "{shown}");
    assert!(
        shown.contains("Host name by which clients reach nginx"),
        "{shown}"
    );
    let primary = fs::read_to_string(out.join("reviewsd.toml")).unwrap();
    assert!(
        primary.contains("cors_origins = [\"https://shop.example\"]\n"),
        "{primary}"
    );
    assert!(out.join("replica-1.toml").exists());
    drop(answers);
}
