//! The drill: a replica becomes the primary, and the old one comes back.

use std::fs;

use serde_json::Value;

use super::node::{Node, Setup, run};
use super::{Cluster, assert_none_lost, assert_same, catches_up, eventually};

fn promote(cluster: &Cluster, name: &str) -> String {
    let promoted = run("promote", &cluster.data(name), &[]);
    assert!(promoted.status.success(), "{promoted:?}");
    String::from_utf8(promoted.stdout).unwrap()
}

fn kept(cluster: &Cluster, name: &str) -> Vec<std::path::PathBuf> {
    let entries = fs::read_dir(cluster.data(name)).unwrap();
    let paths = entries.map(|entry| entry.unwrap().path());
    paths
        .filter(|path| path.to_str().unwrap().contains("/diverged-"))
        .collect()
}

#[test]
fn a_diverged_old_primary_keeps_its_store_and_follows() {
    let cluster = Cluster::new();
    let primary = cluster.start_primary(&cluster.primary("primary"));
    let replica = Node::start(&cluster.replica("one"));
    primary.fill(5);
    catches_up(&replica, &primary);
    // The last commits of the old primary reach no replica.
    cluster.link.lead_to(None);
    let (status, answer) = primary.post("only here");
    assert_eq!(status, 201, "{answer}");
    let at = primary.status().unwrap();
    primary.kill();
    replica.stop();

    let told = promote(&cluster, "one");
    assert!(told.contains("It is a primary now, at 2."), "{told}");
    let new = cluster.start_primary(&Setup {
        follow: None,
        ..cluster.replica("one")
    });
    new.fill(3);

    let old = Node::start(&cluster.replica("primary"));
    old.says("this store diverged after 1.");
    old.says("it is moved to diverged-…");
    old.says("the old store is in");
    catches_up(&old, &new);
    let shown = old.get("/reviews?product_id=2&count=100").1;
    assert!(
        !shown.contains("only here") && shown.contains("review 2"),
        "{shown}"
    );
    let kept = kept(&cluster, "primary");
    assert_eq!(kept.len(), 1, "{kept:?}");
    // It is reported until an operator removes it.
    let path = kept[0].display().to_string();
    old.stop();
    let table = run("stats", &cluster.data("primary"), &[]).stdout;
    let table = String::from_utf8(table).unwrap();
    assert!(table.contains(&format!("rm -r {path}")), "{table}");
    let old = Node::start(&cluster.replica("primary"));
    old.says(&format!("a diverged store is in {path} ("));
    catches_up(&old, &new);
    let name = kept[0].file_name().unwrap().to_str().unwrap();
    assert!(
        name.starts_with(&format!("diverged-1-{}-", at["seq"])),
        "{name}"
    );
    old.stop();
    new.stop();
    assert_same(&[&cluster.data("primary"), &cluster.data("one")]);
    // The diverged store can be opened.
    let rescued = cluster.data("rescued");
    fs::create_dir(&rescued).unwrap();
    fs::rename(
        &kept[0],
        rescued.join("store-00000000000000000000000000000001"),
    )
    .unwrap();
    std::os::unix::fs::symlink(
        "store-00000000000000000000000000000001",
        rescued.join("store"),
    )
    .unwrap();
    let rescued = Node::start(&cluster.primary("rescued"));
    assert!(
        rescued
            .get("/reviews?product_id=2&count=100&sort=newest")
            .1
            .contains("only here")
    );
}

#[test]
fn an_old_primary_that_lost_nothing_follows_without_bootstrap() {
    let cluster = Cluster::new();
    let primary = cluster.start_primary(&cluster.primary("primary"));
    let (one, two) = (cluster.replica("one"), cluster.replica("two"));
    let (first, second) = (Node::start(&one), Node::start(&two));
    primary.fill(5);
    catches_up(&first, &primary);
    catches_up(&second, &primary);
    primary.stop();
    first.stop();
    promote(&cluster, "one");
    let new = cluster.start_primary(&Setup {
        follow: None,
        ..one
    });
    new.fill(3);
    // The other replica goes on by itself; so does the old primary.
    catches_up(&second, &new);
    let old = Node::start(&cluster.replica("primary"));
    catches_up(&old, &new);
    for node in [&second, &old] {
        assert_eq!(node.status().unwrap()["epoch"], Value::from(2));
    }
    // When it began.
    second.says_times("fetching the store at", 1);
    assert_eq!(old.said("fetching the store at"), 0, "{}", old.log());
    assert!(kept(&cluster, "primary").is_empty());
    second.stop();
    old.stop();
    new.stop();
    let stores = ["primary", "one", "two"].map(|name| cluster.data(name));
    assert_same(&stores.each_ref().map(std::path::PathBuf::as_path));
}

#[test]
fn a_primary_of_an_earlier_epoch_is_rejected() {
    let cluster = Cluster::new();
    let primary = cluster.start_primary(&cluster.primary("primary"));
    let (one, two) = (cluster.replica("one"), cluster.replica("two"));
    let (first, second) = (Node::start(&one), Node::start(&two));
    catches_up(&first, &primary);
    catches_up(&second, &primary);
    first.stop();
    promote(&cluster, "one");
    let new = cluster.start_primary(&Setup {
        follow: None,
        ..one
    });
    new.fill(1);
    catches_up(&second, &new);
    // By mistake the replicas are led back to the old primary.
    let before = second.status().unwrap();
    cluster.link.lead_to(Some(primary.admin()));
    second.says("it is a primary of the earlier epoch 1, which has been replaced");
    assert_eq!(second.get("/reviews?product_id=2").0, 200);
    let after = second.status().unwrap();
    assert_eq!(
        (&after["seq"], &after["chain"]),
        (&before["seq"], &before["chain"])
    );
    cluster.link.lead_to(Some(new.admin()));
    new.fill(1);
    catches_up(&second, &new);
}

#[test]
fn two_promoted_replicas_do_not_follow_each_other() {
    let cluster = Cluster::new();
    let primary = cluster.start_primary(&cluster.primary("primary"));
    let (one, two) = (cluster.replica("one"), cluster.replica("two"));
    let (first, second) = (Node::start(&one), Node::start(&two));
    catches_up(&first, &primary);
    catches_up(&second, &primary);
    primary.stop();
    first.stop();
    second.stop();
    promote(&cluster, "one");
    promote(&cluster, "two");
    let new = cluster.start_primary(&Setup {
        follow: None,
        ..one
    });
    let other = Node::start(&cluster.replica("two"));
    other.says("this store has other writes at the same sequence numbers");
    other.says("the old store is in");
    catches_up(&other, &new);
    other.stop();
    new.stop();
    assert_same(&[&cluster.data("one"), &cluster.data("two")]);
}

#[test]
fn what_runs_is_not_promoted_and_neither_is_nothing() {
    let cluster = Cluster::new();
    let primary = cluster.start_primary(&cluster.primary("primary"));
    let replica = Node::start(&cluster.replica("one"));
    catches_up(&replica, &primary);
    for (name, why) in [
        ("one", "is in use by reviewsd serve"),
        ("none", "there is no store in"),
    ] {
        let refused = run("promote", &cluster.data(name), &[]);
        let said = String::from_utf8(refused.stderr).unwrap();
        assert_eq!(refused.status.code(), Some(1));
        assert!(said.contains(why), "{said}");
    }
    eventually("the copy still follows", || {
        replica.status().unwrap()["connected"] == true
    });
}

#[test]
fn with_acks_acknowledged_writes_survive_the_primary() {
    let cluster = Cluster::new();
    let waits = Setup {
        replication: "acks = 1\nack_time_max = \"300ms\"\n".to_owned(),
        ..cluster.primary("primary")
    };
    let primary = cluster.start_primary(&waits);
    let (status, answer) = primary.post("nobody has it");
    assert_eq!(status, 503, "{answer}");
    assert!(
        answer.contains("no replica confirmed it in time"),
        "{answer}"
    );
    let replica = Node::start(&cluster.replica("one"));
    catches_up(&replica, &primary);
    let page = primary.ask("/metrics").unwrap().1;
    assert!(
        !page.contains("reviewsd_write_acks_missed_total 0\n"),
        "{page}"
    );
    assert!(page.contains("reviewsd_write_acks_waiting 0\n"), "{page}");
    let api = primary.api();
    let clients: Vec<_> = (0..8)
        .map(|client| {
            std::thread::spawn(move || {
                let agent = super::node::agent();
                let texts = (0..).map(|number| format!("acked {client}-{number}."));
                let mut acknowledged = Vec::new();
                for text in texts {
                    match super::node::post(&agent, api, &text) {
                        Some((201, _)) => acknowledged.push(text),
                        Some((503, _)) => {}
                        Some(other) => panic!("{other:?}"),
                        None => break,
                    }
                }
                acknowledged
            })
        })
        .collect();
    eventually("there are some writes", || {
        replica
            .status()
            .is_some_and(|status| status["seq"].as_u64() > Some(2000))
    });
    primary.kill();
    let acknowledged: Vec<String> = clients
        .into_iter()
        .flat_map(|client| client.join().unwrap())
        .collect();
    assert!(!acknowledged.is_empty());
    // The replica dies at the same time, and its commits that were not durable are of no use to it.
    replica.kill();
    promote(&cluster, "one");
    let new = Node::start(&Setup {
        follow: None,
        ..cluster.replica("one")
    });
    assert_none_lost(&new, &acknowledged);
}

#[test]
fn after_a_restart_a_write_that_a_replica_has_is_acknowledged() {
    let cluster = Cluster::new();
    let waits = Setup {
        replication: "acks = 1\nack_time_max = \"30s\"\n".to_owned(),
        ..cluster.primary("primary")
    };
    let primary = cluster.start_primary(&waits);
    let _replica = Node::start(&cluster.replica("one"));
    let send = |primary: &Node| {
        let review = serde_json::json!({
            "product_id": 2, "rating": 4, "summary": "Sent again", "body": "once", "recommend": true,
            "name": "pine", "email": "pine@example.org", "photos": [], "characteristics": {"5": 3},
        });
        let request = super::node::agent().post(format!("http://{}/reviews", primary.api()));
        let request = request.header("Idempotency-Key", "the-same");
        request.send(review.to_string()).unwrap().status().as_u16()
    };
    assert_eq!(send(&primary), 201);
    primary.stop();
    // It writes nothing new, so the replica has nothing new to acknowledge.
    let primary = cluster.start_primary(&waits);
    assert_eq!(send(&primary), 201);
}

#[test]
fn what_an_operator_changes_waits_for_a_copy_as_all_writes_do() {
    let cluster = Cluster::new();
    let waits = Setup {
        replication: "acks = 1\nack_time_max = \"300ms\"\n".to_owned(),
        ..cluster.primary("primary")
    };
    let primary = cluster.start_primary(&waits);
    let ask = |method: &str, path: &str, body: &str| {
        let request = ureq::http::Request::builder()
            .method(method)
            .uri(format!("http://{}{path}", primary.admin()))
            .header("Content-Type", "application/json")
            .body(body.to_owned());
        let mut answer = super::node::agent().run(request.unwrap()).unwrap();
        let text = answer.body_mut().read_to_string().unwrap();
        (answer.status().as_u16(), text)
    };
    let email = r#"{"email":"pine@example.org"}"#;
    let all = [
        ("PUT", "/reviews/5/response", r#"{"response":"Thank you!"}"#),
        ("PUT", "/reviews/5/restore", ""),
        ("POST", "/erase", email),
        ("DELETE", "/reviews/6", ""),
    ];
    // No replica confirms them, also not those that were done before or change nothing.
    for (method, path, body) in all.into_iter().take(3).chain(all) {
        let (status, answer) = ask(method, path, body);
        assert_eq!(status, 503, "{method} {path}: {answer}");
        assert!(
            answer.contains("no replica confirmed it in time"),
            "{answer}"
        );
    }
    let replica = Node::start(&cluster.replica("one"));
    catches_up(&replica, &primary);
    eventually("the copy is heard", || primary.post("heard").0 == 201);
    for (method, path, body) in all.into_iter().take(3) {
        eventually("the copy confirms it in time", || {
            let (status, answer) = ask(method, path, body);
            assert!(
                matches!(status, 200 | 204 | 503),
                "{method} {path}: {answer}"
            );
            status != 503
        });
    }
    // A write that was not confirmed in time is done all the same.
    let mut removed = vec![204];
    eventually("the copy confirms that it is removed", || {
        let (status, answer) = ask("DELETE", "/reviews/7", "");
        assert!(status == 503 || removed.contains(&status), "{answer}");
        removed = vec![204, 404];
        status != 503
    });
    // Both are stopped, and the acknowledged writes are on the replica.
    primary.kill();
    replica.kill();
    promote(&cluster, "one");
    let new = Node::start(&Setup {
        follow: None,
        ..cluster.replica("one")
    });
    assert_eq!(new.get("/reviews/7").0, 404);
    assert!(new.get("/reviews/5").1.contains("Thank you!"));
}
