//! A store inspected, exported and repaired.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::{ADDRESS, post, public, refused, reviewsd, said, stop, url};
use crate::replication::eventually;
use crate::replication::node::{Node, Setup, contents};
use crate::serve::Server;
use crate::support::{shop_dir, write_secret};

#[test]
fn a_live_store_is_asked_through_its_server() {
    let server = Server::with("");
    let at = url(&server);
    let data = server.dir.path().to_str().unwrap();
    let why = refused(&["find", "--data", data, "--email", "x@example.org"]);
    assert!(
        why.contains("in use by reviewsd serve") && why.contains("--server"),
        "{why}"
    );
    let table = said(&["stats", "--server", &at]);
    let words: Vec<_> = table.split_whitespace().collect();
    let table = words.join(" ");
    for line in [
        "format 2 made",
        "reviews 5,012",
        "next ids review 6,000, photo 5",
    ] {
        assert!(table.contains(line), "{table}");
    }
    let live: Value = serde_json::from_str(&said(&["stats", "--server", &at, "--json"])).unwrap();
    let id = post(&server, 2, ADDRESS, "by the server");
    let one = said(&[
        "find",
        "--server",
        &at,
        "--email",
        "wanda.q@example.org",
        "--json",
    ]);
    let one: Value = serde_json::from_str(&one).unwrap();
    assert_eq!(
        (one["review_id"].as_u64(), &one["body"]),
        (Some(id), &json!("by the server"))
    );
    let scratch = tempfile::tempdir().unwrap();
    let (there, here) = (scratch.path().join("there"), scratch.path().join("here"));
    let export = |place: [&str; 2], out: &Path| {
        said(&["export", place[0], place[1], "--out", out.to_str().unwrap()])
    };
    // 5,000 texts of a thousand bytes: several pages.
    export(["--server", &at], &there);
    let erased = said(&["erase", "--server", &at, "--email", ADDRESS, "--yes"]);
    assert_eq!(erased, format!("erased 1 review: {id}\n"));
    let dir = stop(server);
    let data = dir.path().to_str().unwrap();
    export(["--data", data], &here);
    for file in fs::read_dir(&here).unwrap() {
        let file = file.unwrap().file_name();
        let texts = [&there, &here].map(|dir| fs::read_to_string(dir.join(&file)).unwrap());
        let lines = |text: &str| text.lines().count();
        if file == "reviews.csv" || file == "reviews_photos.csv" {
            assert_eq!(lines(&texts[0]), lines(&texts[1]) + 1, "{file:?}");
        } else if file != "export.json" {
            assert!(texts[0] == texts[1], "{file:?}");
        }
    }
    let stats: Value = serde_json::from_str(&said(&["stats", "--data", data, "--json"])).unwrap();
    assert_eq!(stats["store_id"], live["store_id"]);
    let rows = |stats: &Value| {
        let all = stats["families"].as_array().unwrap().clone();
        all.iter()
            .filter(|one| one["exact"] == true)
            .map(|one| one["rows"].clone())
            .collect::<Vec<_>>()
    };
    assert_eq!(rows(&stats), rows(&live));
}

/// Makes a review unreadable, and removes another one's owner.
fn damage(data: &Path) {
    let store = data.join(fs::read_link(data.join("store")).unwrap());
    let options = rocksdb::Options::default();
    let names = rocksdb::DB::list_cf(&options, &store).unwrap();
    let db = rocksdb::DB::open_cf(&options, &store, names).unwrap();
    let family = |name| db.cf_handle(name).unwrap();
    let key = [1_u64.to_be_bytes(), 1_u64.to_be_bytes()].concat();
    db.put_cf(family("reviews"), key, b"?").unwrap();
    db.delete_cf(family("owners"), 2_u64.to_be_bytes()).unwrap();
}

/// A repair writes rows that are no commits, so no replica can have been where the store is then.
#[test]
fn replica_of_a_repaired_primary_fetches_its_store() {
    let (shop, dir) = (shop_dir(), tempfile::tempdir().unwrap());
    let (token, data) = (dir.path().join("token"), dir.path().join("replica"));
    write_secret(&token, "a-token-of-24-characters\n");
    let setup = Setup {
        data: shop.path().to_owned(),
        token: Some(token),
        other: "[writes]\nfree_space_min = \"1B\"\n".to_owned(),
        ..Setup::default()
    };
    let follow = |primary: &Node| {
        let replica = Node::start(&Setup {
            data: data.clone(),
            follow: Some(primary.admin()),
            ..setup.clone()
        });
        let at = |node: &Node| {
            let status = node.status()?;
            Some((
                status["epoch"].clone(),
                status["seq"].clone(),
                status["chain"].clone(),
            ))
        };
        eventually("the replica has everything", || at(&replica) == at(primary));
        replica
    };
    let primary = Node::start(&setup);
    primary.fill(3);
    follow(&primary).stop();
    primary.stop();
    damage(shop.path());
    let shop_data = shop.path().to_str().unwrap();
    let mended = said(&["verify", "--data", shop_data, "--repair"]);
    assert!(mended.contains("its replicas fetch it again"), "{mended}");
    let primary = Node::start(&setup);
    let replica = follow(&primary);
    replica.says("fetching the store");
    replica.stop();
    primary.stop();
    assert_eq!(contents(&data), contents(shop.path()));
}

#[test]
fn a_damaged_store_is_told_of_and_mended() {
    let dir = shop_dir();
    let data = dir.path().to_str().unwrap();
    let sound = said(&["verify", "--data", data]);
    assert!(
        sound.contains("reviews            5,012 rows") && sound.ends_with("the store is sound\n"),
        "{sound}"
    );
    damage(dir.path());
    let output = reviewsd(&["verify", "--data", data]);
    let told = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(1));
    for sentence in [
        "the value of reviews 1 is damaged",
        "review 2 of product 1 has no owner",
        "--repair` repairs what can be repaired",
    ] {
        assert!(told.contains(sentence), "{told}");
    }
    let mended = said(&["verify", "--data", data, "--repair", "--report", "json"]);
    let mended: Value = serde_json::from_str(&mended).unwrap();
    assert_eq!(
        (&mended["sound"], &mended["set_aside"]),
        (&json!(true), &json!(1))
    );
    assert_eq!(mended["reviews"], 5011);
    let aside = fs::read_to_string(dir.path().join("set-aside.txt")).unwrap();
    assert!(
        aside.starts_with("reviews 00000000000000010000000000000001 3f "),
        "{aside}"
    );
    assert!(said(&["verify", "--data", data]).ends_with("the store is sound\n"));
    let server = Server::of(dir, "");
    assert_eq!(
        public(&server, "/reviews?product_id=1")["results"][0]["review_id"],
        2
    );
}

#[test]
fn an_unreadable_file_is_reported_and_not_taken_as_empty() {
    let dir = shop_dir();
    let data = dir.path().to_str().unwrap();
    let store = dir
        .path()
        .join(fs::read_link(dir.path().join("store")).unwrap());
    let largest = fs::read_dir(&store)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let is_sorted = |path: &PathBuf| path.extension().is_some_and(|extension| extension == "sst");
    let size = |path: &PathBuf| fs::metadata(path).unwrap().len();
    let largest = largest.filter(is_sorted).max_by_key(size).unwrap();
    let mut bytes = fs::read(&largest).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle..middle + 64].fill(0xa5);
    fs::write(&largest, bytes).unwrap();
    for repair in [[].as_slice(), &["--repair"]] {
        let output = reviewsd(&[["verify", "--data", data].as_slice(), repair].concat());
        let told = String::from_utf8(output.stdout).unwrap();
        assert_eq!(output.status.code(), Some(1));
        assert!(
            told.contains("only a backup or the CSV files have it"),
            "{told}"
        );
        assert!(!told.contains("the counters are"), "{told}");
    }
}
