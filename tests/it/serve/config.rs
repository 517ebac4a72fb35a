//! The configuration as a user gives it: in flags, the environment and a file.

use std::fs;
use std::process::{Command, Stdio};

use super::startup::in_own_mounts;
use crate::support::no_forks;

/// Runs `reviewsd check-config`; returns the exit code, its output, and its errors.
fn check(variables: &[(&str, &str)], args: &[&str]) -> (Option<i32>, String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_reviewsd"));
    command.env("REVIEWSD_CONFIG", "/dev/null");
    command.envs(variables.iter().copied());
    command.arg("check-config").args(args).stdin(Stdio::null());
    let ended = {
        let _no_forks = no_forks();
        command.output().unwrap()
    };
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (ended.status.code(), text(ended.stdout), text(ended.stderr))
}

/// The line for a key in the output, with single spaces.
fn line(shown: &str, key: &str) -> String {
    let start = format!("{key} = ");
    let line = shown.lines().find(|line| line.starts_with(&start));
    let words: Vec<_> = line.unwrap_or_default().split_whitespace().collect();
    words.join(" ")
}

#[test]
fn a_flag_counts_more_than_the_environment_than_the_file() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("r.toml");
    let text = "[net]\nlisten = \"127.0.0.1:1\"\nadmin = \"127.0.0.1:1\"\nidle_time_max = \"1s\"\n";
    fs::write(&file, text).unwrap();
    let file = file.to_str().unwrap();
    let variables = [
        ("REVIEWSD_NET_LISTEN", "127.0.0.1:2"),
        ("REVIEWSD_NET_ADMIN", "127.0.0.1:2"),
        ("REVIEWSD_CONFIG", file),
        ("REVIEWSD_CRASH_ROUNDS", "5"),
    ];
    let args = [
        "--data",
        "x",
        "--listen",
        "127.0.0.1:3",
        "--set",
        "api.page_rows_max=3",
    ];
    let (code, shown, complaint) = check(&variables, &args);
    assert_eq!((code, complaint.as_str()), (Some(0), ""));
    for (key, expected) in [
        ("listen", "listen = \"127.0.0.1:3\" # --listen".to_owned()),
        (
            "admin",
            "admin = \"127.0.0.1:2\" # REVIEWSD_NET_ADMIN".to_owned(),
        ),
        (
            "idle_time_max",
            format!("idle_time_max = \"1s\" # {file}, line 4"),
        ),
        (
            "page_rows_max",
            "page_rows_max = 3 # --set api.page_rows_max".to_owned(),
        ),
        (
            "head_time_max",
            "head_time_max = \"10s\" # default".to_owned(),
        ),
        ("data", "data = \"x\" # --data".to_owned()),
    ] {
        assert_eq!(line(&shown, key), expected, "{shown}");
    }
}

#[test]
fn what_the_rules_decide_is_shown_with_what_decides_it() {
    let keys = ["unknown_characteristics", "unknown_products", "photos"];
    let shown = |args: &[&str]| {
        let (code, shown, complaint) = check(&[], &[&["--data", "x"], args].concat());
        assert_eq!((code, complaint.as_str()), (Some(0), ""));
        let rules = line(&shown, "rules");
        let keys = keys.map(|key| line(&shown.replace("# ", ""), key));
        (rules, keys)
    };
    let by_rules = |values: [&str; 3]| {
        let lines = keys.iter().zip(values);
        let lines =
            lines.map(|(key, value)| format!("{key} = \"{value}\", by writes.rules default"));
        lines.collect::<Vec<_>>()
    };
    let (rules, values) = shown(&[]);
    assert_eq!(rules, "rules = \"hosted\" # default");
    assert_eq!(values.to_vec(), by_rules(["ignore", "accept", "any"]));
    let (rules, values) = shown(&["--set", "writes.rules=strict"]);
    assert_eq!(rules, "rules = \"strict\" # --set writes.rules");
    assert_eq!(values.to_vec(), by_rules(["refuse", "refuse", "url"]));
    let (_, values) = shown(&["--set", "writes.rules=strict", "--set", "writes.photos=any"]);
    assert_eq!(values[2], "photos = \"any\" --set writes.photos");
}

#[test]
fn what_is_printed_is_a_file_that_says_the_same() {
    let variables = [("REVIEWSD_NET_TRUSTED_PROXIES", "127.0.0.1,10.0.0.0/8")];
    let (_, first, _) = check(&variables, &["--data", "a \"quoted\" \\ path"]);
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("r.toml");
    fs::write(&file, &first).unwrap();
    let (code, second, complaint) = check(&[], &["--config", file.to_str().unwrap()]);
    assert_eq!((code, complaint.as_str()), (Some(0), ""));
    let values = |shown: &str| -> Vec<String> {
        let lines = shown.lines().filter(|line| !line.starts_with('#'));
        lines
            .map(|line| line.split(" # ").next().unwrap().trim_end().to_owned())
            .collect()
    };
    assert_eq!(values(&first), values(&second));
}

#[test]
fn what_is_wrong_is_one_sentence_that_names_who_said_it() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("r.toml");
    fs::write(&file, "[net]\n\nlisen = \"127.0.0.1:1\"\n").unwrap();
    let file = file.to_str().unwrap();
    for (variables, args, expected) in [
        (
            vec![],
            vec!["--config", file],
            format!("{file}, line 3, net.lisen: unknown key; did you mean net.listen?"),
        ),
        (
            vec![("REVIEWSD_NET_LISTN", "127.0.0.1:1")],
            vec![],
            "REVIEWSD_NET_LISTN: unknown key; did you mean REVIEWSD_NET_LISTEN?".to_owned(),
        ),
        (
            vec![("REVIEWSD_NET_IDLE_TIME_MAX", "90")],
            vec![],
            "REVIEWSD_NET_IDLE_TIME_MAX: a time is a whole number with a unit, like 500ms, 10s, 5m or 30d"
                .to_owned(),
        ),
        (
            vec![],
            vec!["--set", "api.dialekt=atelier"],
            "--set api.dialekt: unknown key; did you mean api.dialect?".to_owned(),
        ),
        (
            vec![("REVIEWSD_NET_CONNECTIONS_MAX", "0")],
            vec!["--data", "x"],
            "net.connections_max must be from 1 to 1000000 (REVIEWSD_NET_CONNECTIONS_MAX)".to_owned(),
        ),
        (
            vec![],
            vec!["--config", "/nonexistent/r.toml"],
            "cannot read /nonexistent/r.toml: No such file or directory (os error 2)".to_owned(),
        ),
        (
            vec![],
            vec![],
            "no data directory is configured; give --data DIR, REVIEWSD_STORE_DATA, or data in [store] of the configuration file"
                .to_owned(),
        ),
    ] {
        let (code, shown, complaint) = check(&variables, &args);
        assert_eq!(code, Some(2), "{complaint}");
        assert_eq!(shown, "");
        assert_eq!(complaint, format!("reviewsd: {expected}\n"));
    }
    let (code, _, complaint) = check(&[], &["--set", "api.dialect"]);
    assert_eq!(code, Some(2));
    assert!(complaint.contains("KEY=VALUE"), "{complaint}");
}

#[test]
fn the_configuration_of_a_copy_that_is_shipped_is_one() {
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/");
    let file = format!("{root}config/replica.toml");
    let (code, shown, complaint) = check(&[], &["--config", &file, "--data", "x"]);
    assert_eq!((code, complaint.as_str()), (Some(0), ""));
    let follow = line(&shown, "follow");
    assert!(
        follow.starts_with("follow = \"http://10.0.0.1:8081\" #"),
        "{shown}"
    );
    // Each of its keys is one that is explained with all others, too.
    let all = fs::read_to_string(format!("{root}config/reviewsd.toml")).unwrap();
    let text = fs::read_to_string(&file).unwrap();
    for key in text.lines().filter_map(|line| line.split_once(" = ")) {
        let name = key.0.trim_start_matches("# ");
        assert!(all.contains(&format!("{name} = ")), "{name}");
    }
    let unit = fs::read_to_string(format!("{root}systemd/reviewsd-replica@.service")).unwrap();
    assert!(
        unit.contains("--config /etc/reviewsd/replica-%i.toml\n"),
        "{unit}"
    );
}

#[test]
fn the_file_in_etc_is_read_where_it_exists_and_none_is_named() {
    let bin = env!("CARGO_BIN_EXE_reviewsd");
    let text = "[store]\\ndata = \\\"from etc\\\"\\n";
    let shown = in_own_mounts(&format!(
        "unset REVIEWSD_CONFIG; mount -t tmpfs none /etc
         {bin} check-config --data x
         mkdir /etc/reviewsd && printf \"{text}\" >/etc/reviewsd/reviewsd.toml
         {bin} check-config"
    ));
    let Some(shown) = shown else {
        return;
    };
    let said = String::from_utf8(shown.stdout).unwrap();
    let (without, with) = said.split_at(said.rfind("[store]").unwrap());
    assert_eq!(line(without, "data"), "data = \"x\" # --data");
    assert_eq!(
        line(with, "data"),
        "data = \"from etc\" # /etc/reviewsd/reviewsd.toml, line 2"
    );
    assert_eq!(shown.status.code(), Some(0));
}
