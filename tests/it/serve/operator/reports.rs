//! Reports in bad faith: the clients that sent them, and that the selected reviews come back, exactly those.

use std::collections::{BTreeMap, BTreeSet};

use reviewsd::model::calendar::timestamp;
use serde_json::{Value, json};

use super::{ask, misused, public, refused, said, send, stop, url};
use crate::serve::Server;
use crate::serve::metrics::Metrics;
use crate::support::{HOT_PRODUCT, HOT_REVIEW_FIRST, HOT_REVIEWS, shop_dir};

const BEHIND_PROXY: &str = "[net]\ntrusted_proxies = [\"127.0.0.1\"]\n";
/// Reviews that are reported in the shop's files, without a time and a client.
const IMPORTED: u64 = 1 + HOT_REVIEWS / 10;
const HOT_LIST: &str = "/reviews?product_id=20&count=5000";
const NONE: &str = "no reported review matches\n";

/// A report, and its client.
type Reported = BTreeMap<u64, (i64, String)>;

fn report(server: &Server, client: &str, reviews: impl IntoIterator<Item = u64>) {
    for id in reviews {
        let path = format!("http://{}/reviews/{id}/report", server.api);
        let got = send(&path, "PUT", &[("x-forwarded-for", client)], "");
        assert_eq!(got.status, 204, "{}", got.text);
    }
}

/// The reviews with the client of their report, and the number of those without.
fn reported(server: &Server) -> (Reported, u64) {
    let (mut by, mut unknown) = (Reported::new(), 0);
    let page = ask(server, "GET", "/reviews/reported?count=1000", None).json();
    assert_eq!(page["next"], Value::Null);
    for one in page["results"].as_array().unwrap() {
        assert_eq!(one["reported"], true);
        match (one["reported_ms"].as_i64(), one["reporter"].as_str()) {
            (Some(at_ms), Some(reporter)) => {
                let id = one["review_id"].as_u64().unwrap();
                by.insert(id, (at_ms, reporter.to_owned()));
            }
            (None, None) => unknown += 1,
            _ => panic!("{one}"),
        }
    }
    (by, unknown)
}

/// The hot product's reviews from its `n`th on that are not reported in the files.
fn hot(n: u64, count: usize) -> impl Iterator<Item = u64> {
    let all = (HOT_REVIEW_FIRST + n..).filter(|id| !id.is_multiple_of(10));
    all.take(count)
}

fn listed(server: &Server) -> BTreeSet<u64> {
    let list = public(server, HOT_LIST);
    let all = list["results"].as_array().unwrap().iter();
    all.map(|one| one["review_id"].as_u64().unwrap()).collect()
}

fn reporter_of(server: &Server, review: u64) -> String {
    reported(server).0[&review].1.clone()
}

#[test]
fn reviews_come_back_by_client_and_by_time_and_all() {
    let server = Server::with(BEHIND_PROXY);
    let at = url(&server);
    let meta = format!("/reviews/meta?product_id={HOT_PRODUCT}");
    let before = (listed(&server), public(&server, &meta));
    report(&server, "192.0.2.1", hot(1, 20));
    // One client has many addresses of IPv6, and reports some of the other's as well.
    report(&server, "2001:db8::1", hot(101, 10));
    report(&server, "2001:db8::ffff", hot(201, 10).chain(hot(1, 5)));
    let (by, unknown) = reported(&server);
    assert_eq!((by.len(), unknown), (40, IMPORTED));
    let [one, two] = [HOT_REVIEW_FIRST + 1, HOT_REVIEW_FIRST + 101].map(|id| by[&id].1.clone());
    assert!(
        by.range(..HOT_REVIEW_FIRST + 100)
            .all(|(_, (_, who))| *who == one)
    );
    assert!(
        by.range(HOT_REVIEW_FIRST + 100..)
            .all(|(_, (_, who))| *who == two)
    );
    assert_ne!(one, two);
    assert_eq!(
        Metrics::of(&server).count("reviewsd_reports_total", &[]),
        40
    );

    let run = |words: &[&str]| said(&[&["restore-reported", "--server", &at][..], words].concat());
    let all = run(&["--all", "--dry-run"]);
    let lines: Vec<_> = all.lines().map(str::trim).collect();
    let count = IMPORTED + 40;
    assert_eq!(
        lines[0],
        format!("{count} reviews of 2 products would be shown in the lists again")
    );
    assert!(lines[1].starts_with("reported from 20"), "{all}");
    let frequent: BTreeSet<_> = lines[2..4].iter().copied().collect();
    let expected = [format!("{one}  20"), format!("{two}  20")];
    assert_eq!(frequent, expected.iter().map(String::as_str).collect());
    assert_eq!(lines[4], format!("time and reporter unknown  {IMPORTED}"));
    assert_eq!(
        reported(&server),
        (by.clone(), IMPORTED),
        "nothing was changed"
    );

    // By the client's address; by its hash, a part by time; and the reports in the files.
    let shown = run(&["--reporter", "192.0.2.1", "--yes"]);
    assert!(
        shown.ends_with("20 reviews shown in the lists again\n"),
        "{shown}"
    );
    assert_eq!(run(&["--reporter", &one, "--yes"]), NONE);
    let (left, unknown) = reported(&server);
    let of_two: Reported = by.into_iter().filter(|(_, (_, who))| *who == two).collect();
    assert_eq!((&left, unknown), (&of_two, IMPORTED));
    let cut = left.values().map(|(at_ms, _)| *at_ms).max().unwrap();
    let time = timestamp(cut);
    run(&["--reporter", &two, "--since", &time, "--yes"]);
    let (left, _) = reported(&server);
    let earlier: Reported = of_two
        .into_iter()
        .filter(|(_, (at, _))| *at < cut)
        .collect();
    assert!(!earlier.is_empty());
    assert_eq!(left, earlier);
    run(&["--until", &time, "--yes"]);
    assert_eq!(reported(&server), (Reported::new(), IMPORTED));
    assert_eq!((listed(&server), public(&server, &meta)), before);
    let shown = run(&["--all", "--yes"]);
    assert!(
        shown.ends_with(&format!("\n{IMPORTED} reviews shown in the lists again\n")),
        "{shown}"
    );
    assert_eq!(run(&["--all", "--yes"]), NONE);
    assert_eq!(listed(&server).len() as u64, HOT_REVIEWS);
    assert_eq!(public(&server, &meta), before.1);
    let dir = stop(server);
    let sound = said(&["verify", "--data", dir.path().to_str().unwrap(), "--quiet"]);
    assert!(sound.contains("is sound"), "{sound}");
}

#[test]
fn a_store_without_a_server_shows_its_reviews_again() {
    let server = Server::with(BEHIND_PROXY);
    report(&server, "192.0.2.1", hot(1, 3));
    report(&server, "192.0.2.2", hot(11, 2));
    let (one, two) = (hot(1, 1).next().unwrap(), hot(11, 1).next().unwrap());
    let [one, two] = [one, two].map(|id| reporter_of(&server, id));
    let dir = stop(server);
    let data = dir.path().to_str().unwrap();
    let run = |words: &[&str]| {
        let command = [&["restore-reported", "--data", data][..], words].concat();
        said(&command)
    };
    let dry = run(&["--reporter", &one, "--dry-run"]);
    assert!(dry.starts_with("3 reviews of 1 product would"), "{dry}");
    let shown = run(&["--reporter", &one, "--yes"]);
    assert!(
        shown.ends_with("3 reviews shown in the lists again\n"),
        "{shown}"
    );
    let sound = said(&["verify", "--data", data, "--quiet"]);
    assert!(sound.contains("is sound"), "{sound}");
    let server = Server::of(dir, "");
    let (left, unknown) = reported(&server);
    assert_eq!((left.len(), unknown), (2, IMPORTED));
    assert!(left.values().all(|(_, who)| *who == two));
}

#[test]
fn a_restore_says_which_reviews_or_all() {
    let dir = shop_dir();
    let data = dir.path().to_str().unwrap();
    let place = ["restore-reported", "--data", data];
    for (words, why) in [
        (&["--yes"][..], "--all"),
        (&["--all", "--reporter", "192.0.2.1"], "--reporter"),
        (&["--all", "--since", "2026-11-21T09:30:00Z"], "--since"),
        (&["--since", "yesterday"], "a time with its zone"),
        (&["--reporter", "5"], "16 hexadecimal digits"),
        (&["--all"], "add --yes"),
    ] {
        let said = misused(&[&place[..], words].concat());
        assert!(said.contains(why), "{words:?}: {said}");
    }
    let gone = ["restore-reported", "--data", "/proc/none", "--all", "--yes"];
    refused(&gone);
    let server = Server::of(dir, "");
    let url = "/reviews/reported/restore";
    for (body, why) in [
        (json!({}), "all is missing"),
        (json!({"all": false, "dry_run": true}), "all is missing"),
        (
            json!({"all": true, "since_ms": 1}),
            "all cannot be combined with",
        ),
        (json!({"since_ms": -1}), "since_ms must be a time"),
        (json!({"until_ms": "now"}), "until_ms must be a time"),
        (json!({"reporter": "x"}), "reporter must be the hash"),
        (json!({"all": 1}), "all must be true or false"),
        (json!({"all": true, "after": "x"}), "invalid after"),
    ] {
        let got = ask(&server, "POST", url, Some(&body));
        assert_eq!(got.status, 422, "{body}: {}", got.text);
        assert!(got.text.contains(why), "{body}: {}", got.text);
    }
    assert_eq!(reported(&server), (Reported::new(), IMPORTED));
}

#[test]
fn the_log_names_a_client_that_reports_many() {
    let mut server = Server::with(BEHIND_PROXY);
    report(&server, "192.0.2.7", hot(1, 99));
    report(&server, "192.0.2.8", hot(1001, 99));
    report(&server, "192.0.2.7", hot(501, 1));
    let many = reporter_of(&server, hot(501, 1).next().unwrap());
    let line = server.told(&["reported"]);
    let expected = format!("client {many} reported 100 reviews within 60 s");
    assert!(line.contains(&expected) && line.contains("WARN"), "{line}");
    let dir = stop(server);
    drop(dir);
}
