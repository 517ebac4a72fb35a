//! A catalogue that changes while a replica follows.

use serde_json::{Value, json};

use super::{Cluster, Node, assert_same, catches_up, eventually};

fn ask(node: &Node, method: &str, path: &str, kind: &str, body: &str) -> (u16, String) {
    let request = ureq::http::Request::builder()
        .method(method)
        .uri(format!("http://{}{path}", node.admin()))
        .header("Content-Type", kind)
        .body(body.to_owned());
    let mut answer = super::node::agent().run(request.unwrap()).unwrap();
    let text = answer.body_mut().read_to_string().unwrap();
    (answer.status().as_u16(), text)
}

fn put_line(id: u64) -> String {
    let product = json!({
        "id": id, "name": format!("Coat {id}"), "default_price": "9",
        "styles": {id.to_string(): {"name": "Grey", "original_price": "9",
            "skus": {id.to_string(): {"quantity": 1, "size": "M"}}}},
    });
    json!({"op": "put", "product": product}).to_string()
}

fn ids(node: &Node, page: u64) -> Vec<u64> {
    let (status, text) = node.get(&format!("/products?page={page}&count=100"));
    assert_eq!(status, 200, "{text}");
    let list: Vec<Value> = serde_json::from_str(&text).unwrap();
    list.iter().map(|one| one["id"].as_u64().unwrap()).collect()
}

const JSON: &str = "application/json";
const LINES: &str = "application/x-ndjson";

#[test]
fn replica_follows_a_catalogue_that_changes() {
    let cluster = Cluster::new();
    let primary = cluster.start_primary(&cluster.primary("primary"));
    let replica = Node::start(&cluster.replica("one"));
    catches_up(&replica, &primary);
    let before = ids(&replica, 1);
    let lines: Vec<String> = (0..500).map(|n| put_line(5000 + n * 7 % 503)).collect();
    let (status, text) = ask(&primary, "POST", "/catalogue", LINES, &lines.join("\n"));
    assert_eq!(status, 200);
    assert!(text.contains(r#""created":500"#), "{text}");
    catches_up(&replica, &primary);
    let mut expected: Vec<u64> = (0..500).map(|n| 5000 + n * 7 % 503).collect();
    expected.extend(&before);
    expected.sort_unstable();
    for page in 1..=6 {
        let from = (page - 1) * 100;
        let rows: Vec<u64> = expected.iter().skip(from).take(100).copied().collect();
        assert_eq!(ids(&replica, page as u64), rows, "page {page}");
    }
    // What the replica answered before from its cache, it answers anew.
    let styles = "/products/5000/styles";
    assert!(replica.get(styles).1.contains(r#""quantity":1,"#));
    let (status, text) = ask(&primary, "PATCH", "/skus/5000", JSON, r#"{"quantity":77}"#);
    assert_eq!(status, 204, "{text}");
    eventually("the replica has the new stock", || {
        replica.get(styles).1.contains(r#""quantity":77,"#)
    });
    assert_eq!(ask(&primary, "DELETE", "/products/5000", JSON, "").0, 204);
    eventually("the product is gone on the replica", || {
        replica.get("/products/5000").0 == 404 && !ids(&replica, 1).contains(&5000)
    });
    for (method, path, body) in [
        ("PUT", "/products/1", "{}"),
        ("PATCH", "/products/1", "{}"),
        ("DELETE", "/products/1", ""),
        ("PATCH", "/skus/1", r#"{"quantity":1}"#),
        ("POST", "/catalogue", ""),
    ] {
        assert_eq!(
            ask(&replica, method, path, JSON, body).0,
            421,
            "{method} {path}"
        );
    }
    let on_both = [&primary, &replica].map(|node| node.ask("/products/5001"));
    assert_eq!(on_both[0].as_ref().unwrap().0, 200);
    assert_eq!(on_both[0], on_both[1]);
    catches_up(&replica, &primary);
    replica.stop();
    primary.stop();
    let stores = ["primary", "one"].map(|name| cluster.data(name));
    assert_same(&stores.each_ref().map(std::path::PathBuf::as_path));
}

#[test]
fn whole_products_are_left_when_the_primary_is_killed() {
    let cluster = Cluster::new();
    let primary = cluster.start_primary(&cluster.primary("primary"));
    let address = primary.admin();
    let lines: Vec<String> = (0..20_000).map(|n| put_line(5000 + n)).collect();
    let lines = lines.join("\n");
    let sending = std::thread::spawn({
        let lines = lines.clone();
        move || {
            let request = ureq::http::Request::builder()
                .method("POST")
                .uri(format!("http://{address}/catalogue"))
                .header("Content-Type", LINES)
                .body(lines);
            // It breaks off.
            drop(super::node::agent().run(request.unwrap()));
        }
    });
    eventually("some are there", || primary.get("/products/5010").0 == 200);
    primary.kill();
    sending.join().unwrap();
    let data = cluster.data("primary");
    {
        let store = crate::support::open_store(&data);
        let differences = reviewsd::store::verify::differences(&store).unwrap();
        assert_eq!(differences, [""; 0]);
    }
    let primary = cluster.start_primary(&cluster.primary("primary"));
    let (_, text) = ask(&primary, "POST", "/catalogue", LINES, &lines);
    let summary: Value = serde_json::from_str(text.lines().last().unwrap()).unwrap();
    let count = |name| summary["summary"][name].as_u64().unwrap();
    assert_eq!(count("created") + count("unchanged"), 20_000, "{summary}");
    assert!(count("unchanged") > 10, "{summary}");
    primary.stop();
}
