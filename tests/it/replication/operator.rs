//! Operators' requests to a replica: it answers reads, and names the primary for changes.

use std::process::{Command, Output, Stdio};

use super::{Cluster, Node, assert_same, catches_up, eventually};
use crate::support::no_forks;

fn run(args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_reviewsd"));
    command.args(args).stdin(Stdio::null());
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let child = {
        let _no_forks = no_forks();
        command.spawn().unwrap()
    };
    child.wait_with_output().unwrap()
}

/// Returns the standard output of a command that succeeds.
fn said(args: &[&str]) -> String {
    let output = run(args);
    let why = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{args:?}: {why}");
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn replica_answers_what_an_operator_reads_as_its_primary_does() {
    let cluster = Cluster::new();
    let primary = cluster.start_primary(&cluster.primary("primary"));
    let replica = Node::start(&cluster.replica("one"));
    primary.fill(3);
    catches_up(&replica, &primary);
    let [on_primary, on_replica] = [&primary, &replica].map(|node| node.admin().to_string());
    let dir = tempfile::tempdir().unwrap();
    let export = |server: &str, name: &str| {
        let out = dir.path().join(name);
        said(&["export", "--server", server, "--out", out.to_str().unwrap()]);
        std::fs::read_to_string(out.join("reviews.csv")).unwrap()
    };
    let exported = export(&on_primary, "primary");
    assert!(exported.contains("review 2"), "{exported}");
    assert_eq!(export(&on_replica, "replica"), exported);
    let find = |server: &str| said(&["find", "--server", server, "--email", "pine@example.org"]);
    let found = find(&on_primary);
    assert!(found.contains("review 2"), "{found}");
    assert_eq!(find(&on_replica), found);
    let reviews = |server: &str| {
        let text = said(&["stats", "--server", server, "--json"]);
        let stats: serde_json::Value = serde_json::from_str(&text).unwrap();
        (stats["store_id"].clone(), stats["reviews"].clone())
    };
    assert_eq!(reviews(&on_replica), reviews(&on_primary));
    for path in ["/reviews/reported", "/reviews/5"] {
        assert_eq!(replica.ask(path), primary.ask(path), "{path}");
    }
}

#[test]
fn replica_refuses_an_operators_changes_and_names_the_primary() {
    let cluster = Cluster::new();
    let primary = cluster.start_primary(&cluster.primary("primary"));
    let replica = Node::start(&cluster.replica("one"));
    catches_up(&replica, &primary);
    let before = replica.status().unwrap()["seq"].clone();
    let sentence = format!(
        "this server is a read-only replica; use the admin port of the primary, http://{}",
        cluster.link.address()
    );
    let agent = super::node::agent();
    for (method, path, body) in [
        ("POST", "/erase", r#"{"review":5}"#),
        ("POST", "/erase", r#"{"review":5,"dry_run":true}"#),
        ("DELETE", "/reviews/5", ""),
        ("PUT", "/reviews/5/restore", ""),
        ("POST", "/reviews/reported/restore", r#"{"all":true}"#),
        (
            "POST",
            "/reviews/reported/restore",
            r#"{"all":true,"dry_run":true}"#,
        ),
        ("PUT", "/reviews/5/response", r#"{"response":"Thank you!"}"#),
        ("DELETE", "/reviews/5/response", ""),
    ] {
        let request = ureq::http::Request::builder()
            .method(method)
            .uri(format!("http://{}{path}", replica.admin()))
            .header("Content-Type", "application/json")
            .body(body.to_owned());
        let mut answer = agent.run(request.unwrap()).unwrap();
        let text = answer.body_mut().read_to_string().unwrap();
        assert_eq!(answer.status().as_u16(), 421, "{method} {path}: {text}");
        assert_eq!(text, format!("Error: {sentence}"), "{method} {path}");
    }
    let server = replica.admin().to_string();
    for change in [
        &["erase", "--review", "5", "--yes"][..],
        &["restore-reported", "--all", "--yes"],
    ] {
        let refused = run(&[change, &["--server", &server]].concat());
        let why = String::from_utf8(refused.stderr).unwrap();
        assert_eq!(refused.status.code(), Some(1), "{why}");
        assert_eq!(
            why,
            format!("reviewsd: the server rejected the request (421): {sentence}\n")
        );
    }
    assert_eq!(replica.status().unwrap()["seq"], before);
    assert_eq!(primary.get("/reviews/5").0, 200);
}

#[test]
fn replica_has_the_same_rows_after_reviews_come_back() {
    let cluster = Cluster::new();
    let setup = cluster.primary("primary");
    let primary = cluster.start_primary(&setup);
    let replica = Node::start(&cluster.replica("one"));
    for review in [1, 3, 5] {
        let url = format!("http://{}/reviews/{review}/report", primary.api());
        let answer = super::node::agent().put(url).send_empty().unwrap();
        assert_eq!(answer.status(), 204);
    }
    catches_up(&replica, &primary);
    let reported = "/reviews/reported?count=1000";
    let hidden = replica.ask(reported).unwrap().1;
    assert_eq!(hidden.matches("\"reporter\":\"").count(), 3, "{hidden}");
    let server = primary.admin().to_string();
    let words = ["restore-reported", "--server", &server, "--yes"];
    let shown = said(&[&words[..], &["--reporter", "127.0.0.1"]].concat());
    assert!(
        shown.ends_with("3 reviews shown in the lists again\n"),
        "{shown}"
    );
    catches_up(&replica, &primary);
    let left = replica.ask(reported).unwrap().1;
    assert_eq!(left.matches("\"reporter\":null").count(), 501, "{left}");
    assert_eq!(left, primary.ask(reported).unwrap().1);
    said(&[&words[..], &["--all"]].concat());
    catches_up(&replica, &primary);
    assert_eq!(
        replica.ask(reported).unwrap().1,
        r#"{"results":[],"next":null,"unreadable":0}"#
    );
    for node in [primary, replica] {
        node.stop();
    }
    assert_same(&[&cluster.data("primary"), &cluster.data("one")]);
}

#[test]
fn replica_without_a_store_says_so_to_its_operator() {
    let cluster = Cluster::new();
    let replica = Node::start(&cluster.replica("one"));
    eventually("it waits for its primary", || {
        ["/stats", "/replication"].into_iter().all(|path| {
            let (status, why) = replica.ask(path).unwrap();
            assert_eq!(status, 503, "{path}: {why}");
            why.starts_with("Error: the server is not taking requests: ")
        })
    });
}
