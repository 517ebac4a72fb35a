//! The data held about a person, and that they are deleted from the disk.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::{ADDRESS, ask, misused, post, public, refused, said, send, stop};
use crate::serve::Server;
use crate::support::{HOT_REVIEWS, shop_dir};

/// Files below a directory whose bytes hold a text, in any case.
fn holding(dir: &Path, text: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_symlink() {
            continue;
        }
        if path.is_dir() {
            found.extend(holding(&path, text));
        } else {
            // A live database removes files meanwhile.
            let bytes = fs::read(&path).unwrap_or_default().to_ascii_lowercase();
            let text = text.to_ascii_lowercase();
            if bytes
                .windows(text.len())
                .any(|window| window == text.as_bytes())
            {
                found.push(path);
            }
        }
    }
    found
}

#[test]
fn erasing_an_address_removes_its_bytes_from_a_live_store() {
    let config = "[writes]\nunknown_products = \"accept\"\n";
    let server = Server::with(config);
    let before = [
        "/reviews/meta?product_id=2",
        "/reviews?product_id=2&count=100",
    ]
    .map(|path| public(&server, path));
    let hot = public(&server, "/reviews/meta?product_id=20");
    // Words unlike any text near them, so that they stay readable when they are compressed.
    let words = [(2, "Qzx7vwkJ"), (20, "yB4hpfUt"), (8, "m9RdcgEo")];
    let address = |word: &str| format!("{word}.wanda@example.org");
    let mut ids = Vec::new();
    for ((product, word), email) in
        words
            .into_iter()
            .zip([ADDRESS, "wanda.q@example.org", "WANDA.Q@EXAMPLE.ORG"])
    {
        ids.push(post(&server, product, email, word));
    }
    let other = post(&server, 2, &address("T6nLsAxi"), "another");
    let is_in = |server: &Server, word: &str, extension: &str| {
        let held = holding(server.dir.path(), word);
        held.iter()
            .any(|path| path.extension().is_some_and(|of| of == extension))
    };
    for (_, word) in words {
        assert!(is_in(&server, word, "log"), "{word}");
    }
    // From the log into files, and the next changes into the log.
    let server = Server::of(stop(server), config);
    for (_, word) in words {
        assert!(is_in(&server, word, "sst"), "{word}");
    }
    // A review with votes and a report is erased as well.
    let vote = format!("http://{}/reviews/{}/helpful", server.api, ids[0]);
    assert_eq!(send(&vote, "PUT", &[], "").status, 204);
    let report = format!("http://{}/reviews/{}/report", server.api, ids[1]);
    assert_eq!(send(&report, "PUT", &[], "").status, 204);

    let body = json!({"email": " wanda.q@example.org "});
    let found = ask(&server, "POST", "/find", Some(&body)).json();
    let found_ids: Vec<_> = found["results"].as_array().unwrap().iter().collect();
    // In order of product: 2, 8, 20.
    let expected = [ids[0], ids[2], ids[1]];
    let named: Vec<_> = found_ids
        .iter()
        .map(|one| one["review_id"].as_u64().unwrap())
        .collect();
    assert_eq!(named, expected);
    assert_eq!(found["next"], Value::Null);
    assert_eq!(found_ids[0]["reviewer_email"], ADDRESS);

    let dry = json!({"email": ADDRESS, "dry_run": true});
    let dry = ask(&server, "POST", "/erase", Some(&dry)).json();
    assert_eq!(
        (&dry["reviews"], &dry["dry_run"]),
        (&json!(ids), &json!(true))
    );
    assert_eq!(
        public(&server, "/reviews/meta?product_id=8")["ratings"],
        json!({"2": "1"})
    );

    let erased = ask(&server, "POST", "/erase", Some(&body)).json();
    assert_eq!(erased["reviews"], json!(ids));
    assert_eq!(erased["log_segments_left"], 0);
    assert_eq!(erased["unreadable"], 0);
    for text in ["wanda.q", "Qzx7vwkJ", "yB4hpfUt", "m9RdcgEo"] {
        assert_eq!(
            holding(server.dir.path(), text),
            Vec::<PathBuf>::new(),
            "{text}"
        );
    }
    assert!(is_in(&server, "T6nLsAxi", "sst"), "what others wrote stays");
    let mine = json!({"review": other});
    assert_eq!(
        ask(&server, "POST", "/erase", Some(&mine)).json()["reviews"],
        json!([other])
    );
    let after = [
        "/reviews/meta?product_id=2",
        "/reviews?product_id=2&count=100",
    ]
    .map(|path| public(&server, path));
    assert_eq!(after, before);
    assert_eq!(public(&server, "/reviews/meta?product_id=20"), hot);
    assert_eq!(
        public(&server, "/reviews/meta?product_id=8")["ratings"],
        json!({})
    );
    assert_eq!(
        ask(&server, "POST", "/erase", Some(&body)).json()["reviews"],
        json!([])
    );
    assert_eq!(ask(&server, "POST", "/erase", Some(&mine)).status, 404);
    // The same request again is a new review, under a new id.
    assert_eq!(post(&server, 2, "oak@example.org", "Qzx7vwkJ"), other + 1);
    let dir = stop(server);
    let data = dir.path().to_str().unwrap();
    assert!(said(&["verify", "--data", data]).contains("the store is sound"));
}

#[test]
fn an_imported_address_is_erased_from_an_offline_store() {
    let dir = shop_dir();
    let data = dir.path().to_str().unwrap();
    // Of the shop's every review; one is left to the other.
    let text = said(&["find", "--data", data, "--email", "WALKER@example.org"]);
    let all = HOT_REVIEWS + 12;
    assert!(
        text.ends_with(&format!("{},{:03} reviews\n", all / 1000, all % 1000)),
        "{}",
        &text[text.len() - 60..]
    );
    assert!(text.contains("review 5 of product 2, 2021-03-17T13:28:37.620Z\n"));
    assert!(
        text.contains("Line one ⏎ line two"),
        "no byte of a text moves the cursor"
    );
    assert!(!holding(dir.path(), "漢字").is_empty());
    let one = said(&["erase", "--data", data, "--review", "5", "--yes"]);
    assert_eq!(one, "erased 1 review: 5\n");
    assert!(holding(dir.path(), "漢字").is_empty());
    let why = refused(&["erase", "--data", data, "--review", "5", "--yes"]);
    assert_eq!(why, "reviewsd: there is no review 5\n");
    let email = ["--email", "walker@example.org"];
    let why = misused(&[["erase", "--data", data].as_slice(), &email].concat());
    assert!(why.contains("add --yes"), "{why}");
    let dry = said(&[
        "erase",
        "--data",
        data,
        "--email",
        "walker@example.org",
        "--dry-run",
    ]);
    assert!(
        dry.starts_with("5,011 reviews would be erased: 1, 2, 3, 4, 6, "),
        "{dry}"
    );
    let erased = said(&[
        "erase",
        "--data",
        data,
        "--email",
        "walker@example.org",
        "--yes",
    ]);
    assert!(
        erased.starts_with("erased 5,011 reviews: 1, 2, 3,"),
        "{erased}"
    );
    assert!(said(&["verify", "--data", data]).contains("the store is sound"));
    // Files beside the store are reported, if they have the address.
    let rejected = "reviews.csv,5,rating,,9,Walker@Example.org";
    fs::write(dir.path().join("rejects.csv"), rejected).unwrap();
    let email = ["--email", "nobody@example.org", "--yes"];
    let other = said(&[["erase", "--data", data].as_slice(), &email].concat());
    assert_eq!(other, "no review has this address\n");
    let none = said(&[
        "erase",
        "--data",
        data,
        "--email",
        "walker@example.org",
        "--yes",
    ]);
    assert!(none.starts_with("no review has this address\n"), "{none}");
    assert!(
        none.contains("rejects.csv is not part of the store"),
        "{none}"
    );
    let stats: Value = serde_json::from_str(&said(&["stats", "--data", data, "--json"])).unwrap();
    assert_eq!(stats["next_review_id"], 1000 + HOT_REVIEWS);
    for family in stats["families"].as_array().unwrap() {
        if ["reviews", "newest", "helpful", "owners"].contains(&family["family"].as_str().unwrap())
        {
            assert_eq!(
                (&family["rows"], &family["bytes"]),
                (&json!(0), &json!(0)),
                "{family}"
            );
        }
    }
}
