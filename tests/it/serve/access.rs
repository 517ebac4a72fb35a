//! The tokens of the admin API: made, listed and removed by the command, and accepted by a running server.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use rustix::process::Signal;
use serde_json::Value;
use tempfile::TempDir;
use ureq::Agent;

use super::{Server, output};
use crate::replication::eventually;
use crate::support::{no_forks, shop_dir};

/// The roles, in the order of their numbers.
const ROLES: [&str; 5] = ["reader", "moderator", "catalogue", "operator", "replica"];

/// A file of tokens.
struct Tokens {
    dir: TempDir,
}

impl Tokens {
    fn new() -> Self {
        Self {
            dir: tempfile::tempdir().unwrap(),
        }
    }

    fn path(&self) -> PathBuf {
        self.dir.path().join("tokens")
    }

    /// `[admin]` with this file, and more.
    fn section(&self, more: &str) -> String {
        format!(
            "[admin]\ntokens_file = \"{}\"\n{more}",
            self.path().display()
        )
    }

    /// Runs `reviewsd token`; gives the exit code, standard output and standard error.
    fn run(&self, args: &[&str]) -> (Option<i32>, String, String) {
        let path = self.path();
        let mut command = Command::new(env!("CARGO_BIN_EXE_reviewsd"));
        command.arg("token").args(args).arg("--file").arg(path);
        command.env("REVIEWSD_CONFIG", "/dev/null");
        let done = {
            let _no_forks = no_forks();
            command.output().unwrap()
        };
        let text = |bytes| String::from_utf8(bytes).unwrap();
        (done.status.code(), text(done.stdout), text(done.stderr))
    }

    fn add(&self, name: &str, role: &str) -> String {
        self.added(name, role, &[])
    }

    fn added(&self, name: &str, role: &str, more: &[&str]) -> String {
        let args = [&["add", "--name", name, "--role", role][..], more].concat();
        let (code, token, said) = self.run(&args);
        assert_eq!(code, Some(0), "{said}");
        assert!(
            said.contains("not shown again") && !said.contains(token.trim()),
            "{said}"
        );
        token.trim().to_owned()
    }
}

/// Sends a request to the admin port with a token; gives the status and the answer.
fn ask(server: &Server, method: &str, path: &str, token: Option<&str>) -> (u16, String) {
    let config = Agent::config_builder().http_status_as_error(false);
    let agent = config.build().new_agent();
    let url = format!("http://{}{path}", server.admin);
    let mut request = ureq::http::Request::builder().method(method).uri(url);
    if let Some(token) = token {
        request = request.header("Authorization", format!("Bearer {token}"));
    }
    let is_json = matches!(method, "POST" | "PUT");
    let body = if is_json {
        "{\"dry_run\":true,\"all\":true,\"review\":1,\"response\":\"x\"}"
    } else {
        ""
    };
    request = request.header("Content-Type", "application/json");
    let mut answer = agent.run(request.body(body.to_owned()).unwrap()).unwrap();
    // Rows are no text.
    let bytes = answer.body_mut().read_to_vec().unwrap();
    (
        answer.status().as_u16(),
        String::from_utf8_lossy(&bytes).into_owned(),
    )
}

#[test]
fn each_role_may_use_its_endpoints_and_no_others() {
    let tokens = Tokens::new();
    let of_role = ROLES.map(|role| tokens.add(role, role));
    let server = Server::with(&tokens.section(""));
    let all = &ROLES[..];
    let readers = &["reader", "moderator", "catalogue", "operator"][..];
    let merchants = &["catalogue", "operator"][..];
    let (moderators, operators) = (&["moderator", "operator"][..], &["operator"][..]);
    for (method, path, allowed) in [
        ("GET", "/version", all),
        ("GET", "/metrics", all),
        ("GET", "/replication", all),
        ("GET", "/stats", readers),
        ("GET", "/reviews/reported", readers),
        ("GET", "/reviews/5", readers),
        ("GET", "/reviews?state=hidden", readers),
        ("GET", "/reviews/counts", readers),
        ("GET", "/audit", readers),
        ("POST", "/reviews/moderate", moderators),
        ("POST", "/audit/999999/undo", moderators),
        ("POST", "/find", moderators),
        ("POST", "/reviews/reported/restore", moderators),
        ("PUT", "/reviews/5/restore", moderators),
        ("PUT", "/reviews/5/response", moderators),
        ("DELETE", "/reviews/5/response", moderators),
        ("DELETE", "/reviews/999999", moderators),
        ("GET", "/products/1", readers),
        ("PUT", "/products/1", merchants),
        ("PATCH", "/products/1", merchants),
        ("DELETE", "/products/999999", merchants),
        ("PATCH", "/skus/999999", merchants),
        ("POST", "/catalogue", merchants),
        ("GET", "/rows/reviews", operators),
        ("POST", "/erase", operators),
        (
            "GET",
            "/internal/repl/v1/checkpoint/none/none",
            &["operator", "replica"],
        ),
    ] {
        for (role, token) in ROLES.iter().zip(&of_role) {
            let (status, text) = ask(&server, method, path, Some(token));
            let is_refused = [401, 403].contains(&status);
            assert_eq!(
                is_refused,
                !allowed.contains(role),
                "{role} {method} {path}: {status} {text}"
            );
            if status == 403 {
                assert!(
                    text.contains("with the role ") && text.contains(allowed[0]),
                    "{text}"
                );
            }
        }
        let (status, _) = ask(&server, method, path, None);
        let expected = if path == "/replication" { 200 } else { 401 };
        assert_eq!(status, expected, "{method} {path}");
    }
    for path in ["/livez", "/readyz"] {
        assert_eq!(ask(&server, "GET", path, None).0, 200);
    }
    let page = ask(&server, "GET", "/metrics", Some(&of_role[0])).1;
    for sample in ["{reason=\"missing\"} 24", "{reason=\"role\"} "] {
        let sample = format!("reviewsd_admin_refused_total{sample}");
        assert!(page.contains(&sample), "{page}");
    }
}

#[test]
fn a_reader_sees_no_e_mail_address() {
    let tokens = Tokens::new();
    let (reader, moderator) = (tokens.add("r", "reader"), tokens.add("m", "moderator"));
    let server = Server::with(&tokens.section(""));
    for path in [
        "/reviews/5",
        "/reviews/reported?count=1000",
        "/reviews?state=hidden&limit=100",
    ] {
        let (status, whole) = ask(&server, "GET", path, Some(&moderator));
        assert!(
            status == 200 && whole.contains("walker@example.org"),
            "{whole}"
        );
        let (status, shown) = ask(&server, "GET", path, Some(&reader));
        assert!(status == 200 && !shown.contains('@'), "{shown}");
        assert_eq!(whole.replace("walker@example.org", ""), shown);
    }
}

#[test]
fn tokens_change_without_a_restart() {
    let tokens = Tokens::new();
    let ana = tokens.add("ana", "reader");
    let mut server = Server::with(&tokens.section(""));
    let status = |server: &Server, token: &str| ask(server, "GET", "/version", Some(token)).0;
    assert_eq!(status(&server, &ana), 200);
    let bob = tokens.add("bob", "reader");
    server.told(&["tokens changed: 2 tokens in effect"]);
    assert_eq!((status(&server, &ana), status(&server, &bob)), (200, 200));
    assert_eq!(tokens.run(&["remove", "ana"]).0, Some(0));
    server.told(&["tokens changed: 1 token in effect"]);
    assert_eq!((status(&server, &ana), status(&server, &bob)), (401, 200));
    // A file that is damaged changes nothing.
    let mut text = fs::read_to_string(tokens.path()).unwrap();
    text.push_str("cleo reader\n");
    fs::write(tokens.path(), &text).unwrap();
    let said = server.told(&["ERROR", "stay as they were"]);
    assert!(
        said.contains("is damaged: line 4: it must have four words"),
        "{said}"
    );
    assert_eq!((status(&server, &ana), status(&server, &bob)), (401, 200));
    let page = ask(&server, "GET", "/metrics", Some(&bob)).1;
    assert!(
        page.contains("\nreviewsd_admin_tokens_unreadable 1\n"),
        "{page}"
    );
    // SIGHUP reads it at once, and so does the next look.
    fs::write(tokens.path(), text.replace("cleo reader\n", "")).unwrap();
    server.signal(Signal::HUP);
    server.told(&["tokens changed: 1 token in effect"]);
    assert_eq!(status(&server, &bob), 200);
}

#[test]
fn a_token_is_refused_once_it_has_expired() {
    let tokens = Tokens::new();
    let (short, long) = (
        tokens.added("short", "reader", &["--expires", "1ms"]),
        tokens.added("long", "reader", &["--expires", "90d"]),
    );
    let server = Server::with(&tokens.section(""));
    eventually("the token has expired", || {
        let (status, text) = ask(&server, "GET", "/version", Some(&short));
        status == 401 && text.contains("has expired")
    });
    assert_eq!(ask(&server, "GET", "/version", Some(&long)).0, 200);
    let (_, listed, _) = tokens.run(&["list"]);
    assert!(listed.contains("(expired)"), "{listed}");
}

#[test]
fn no_token_gets_into_the_log() {
    let tokens = Tokens::new();
    let (reader, operator) = (tokens.add("r", "reader"), tokens.add("o", "operator"));
    let config =
        tokens.section("[log]\nlevel = \"trace\"\naccess = true\nslow_request_time = \"1ms\"\n");
    let server = Server::with(&config);
    let wrong = operator.replace("rvw_", "rvw-");
    for token in [&reader, &operator, &wrong] {
        for (method, path) in [
            ("GET", "/stats"),
            ("GET", "/nothing"),
            ("POST", "/erase"),
            ("PUT", "/reviews/5/restore"),
            ("GET", "/internal/repl/v1/checkpoint"),
        ] {
            ask(&server, method, path, Some(token));
        }
    }
    server.signal(Signal::TERM);
    let (code, log) = server.ended();
    assert_eq!(code, Some(0), "{log}");
    assert!(log.contains("unknown token to the admin API"), "{log}");
    assert!(log.contains("review 5 is shown again, by o"), "{log}");
    for token in [&reader, &operator, &wrong] {
        assert!(
            !log.contains(token.as_str()) && !log.contains(&token[4..]),
            "{log}"
        );
    }
}

#[test]
fn commands_send_the_token_of_a_file_or_the_environment() {
    let tokens = Tokens::new();
    let (reader, operator) = (tokens.add("r", "reader"), tokens.add("o", "operator"));
    let server = Server::with(&tokens.section(""));
    let url = format!("http://{}", server.admin);
    let run = |args: &[&str], file: Option<&Path>, variable: Option<&str>| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_reviewsd"));
        command.args(args).args(["--server", &url]);
        if let Some(file) = file {
            command.arg("--token-file").arg(file);
        }
        if let Some(token) = variable {
            command.env("REVIEWSD_TOKEN", token);
        }
        let done = output(&mut command);
        (done.status.code(), String::from_utf8(done.stderr).unwrap())
    };
    let file = |name: &str, token: &str| {
        let path = tokens.dir.path().join(name);
        crate::support::write_secret(&path, &format!("{token}\n"));
        path
    };
    let (reader_file, operator_file) = (file("reader", &reader), file("operator", &operator));
    let stats = &["stats"][..];
    let find = &["find", "--email", "walker@example.org"][..];
    let (code, said) = run(stats, None, None);
    assert_eq!(code, Some(1));
    assert!(said.contains("(401): this needs a token"), "{said}");
    assert!(
        said.contains("give --token-file FILE, or REVIEWSD_TOKEN"),
        "{said}"
    );
    for (file, variable) in [
        (Some(&*reader_file), None),
        (None, Some(&*reader)),
        // The flag counts more.
        (Some(&*reader_file), Some("rvw_of-nobody-at-all")),
    ] {
        assert_eq!(run(stats, file, variable), (Some(0), String::new()));
    }
    let (code, said) = run(find, Some(&reader_file), None);
    assert_eq!(code, Some(1));
    assert!(
        said.contains("(403): this needs a token with the role moderator or operator"),
        "{said}"
    );
    let out = tokens.dir.path().join("out");
    let export = [
        "export",
        "--format",
        "jsonl",
        "--out",
        out.to_str().unwrap(),
        "--quiet",
    ];
    let reported = ["restore-reported", "--all", "--dry-run"];
    let erase = ["erase", "--review", "5", "--dry-run"];
    for args in [find, &export, &reported, &erase] {
        let (code, said) = run(args, Some(&operator_file), None);
        assert_eq!(code, Some(0), "{args:?}: {said}");
    }
    let backups = tokens.dir.path().join("backups");
    let backup = ["backup", "--to", backups.to_str().unwrap()];
    let (code, said) = run(&backup, Some(&reader_file), None);
    assert!(code == Some(1) && said.contains("another token"), "{said}");
    let (code, said) = run(&backup, Some(&operator_file), None);
    assert_eq!(code, Some(0), "{said}");
    // A file that others can read is refused, as is a variable that holds no token.
    let (code, said) = run(stats, None, Some("short"));
    assert!(
        code == Some(2) && said.contains("REVIEWSD_TOKEN must be"),
        "{said}"
    );
}

#[test]
fn the_command_makes_lists_and_removes_tokens() {
    let tokens = Tokens::new();
    let token = tokens.add("ana", "moderator");
    assert!(token.starts_with("rvw_") && token.len() == 47, "{token}");
    tokens.added("bob", "reader", &["--expires", "90d"]);
    let (code, listed, _) = tokens.run(&["list"]);
    assert_eq!(code, Some(0));
    let mut lines = listed.lines();
    assert_eq!(lines.next(), Some("ana  moderator  never"));
    assert!(
        lines.next().unwrap().starts_with("bob  reader     20"),
        "{listed}"
    );
    let (_, listed, _) = tokens.run(&["list", "--json"]);
    let listed: Value = serde_json::from_str(&listed).unwrap();
    assert_eq!(
        (&listed[0]["name"], &listed[0]["expires"]),
        (&"ana".into(), &Value::Null)
    );
    assert_eq!(
        (&listed[1]["role"], &listed[1]["expired"]),
        (&"reader".into(), &false.into())
    );
    for (args, code, what) in [
        (
            &["add", "--name", "ana", "--role", "reader"][..],
            2,
            "named ana already",
        ),
        (
            &["add", "--name", "cleo", "--role", "admin"],
            2,
            "the roles are reader,",
        ),
        (
            &["add", "--name", "a b", "--role", "reader"],
            2,
            "a name has 1 to 64",
        ),
        (
            &["add", "--name", "loopback", "--role", "reader"],
            2,
            "reserved",
        ),
        (&["remove", "cleo"], 1, "there is no token named cleo"),
    ] {
        let (ended, out, said) = tokens.run(args);
        assert_eq!((ended, out.as_str()), (Some(code), ""), "{args:?}: {said}");
        assert!(said.contains(what), "{said}");
    }
    assert_eq!(tokens.run(&["remove", "ana"]).0, Some(0));
    assert_eq!(tokens.run(&["list"]).1.lines().count(), 1);
}

#[test]
fn a_wrong_file_of_tokens_is_named_at_the_start() {
    let tokens = Tokens::new();
    let dir = shop_dir();
    let start = || {
        let file = format!("admin.tokens_file={}", tokens.path().display());
        let mut command = super::command(dir.path());
        let done = output(command.args(["--listen", "127.0.0.1:0", "--set", &file]));
        (done.status.code(), String::from_utf8(done.stderr).unwrap())
    };
    let (code, said) = start();
    assert!(
        code == Some(2) && said.contains("is missing; `reviewsd token add` makes it"),
        "{said}"
    );
    tokens.add("ana", "reader");
    fs::set_permissions(
        tokens.path(),
        std::os::unix::fs::PermissionsExt::from_mode(0o644),
    )
    .unwrap();
    let (code, said) = start();
    assert!(
        code == Some(2) && said.contains("(mode 644); chmod 600 "),
        "{said}"
    );
}
