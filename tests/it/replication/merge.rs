//! Files that are merged into the store of a running primary, and what its replica and its readers get of them.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use super::node::{agent, run_program};
use super::{Cluster, Node, assert_same, catches_up};

/// Writes files of the shop's, in which some rows differ.
fn write_files(dir: &Path, name: &str, stock: u64) {
    let write = |file: &str, text: String| fs::write(dir.join(file), text).unwrap();
    write(
        "product.csv",
        format!(
            "id,name,slogan,description,category,default_price\n1,\"{name}\",\"s\",\"d\",\"Jackets\",140\n\
             900,\"New\",\"s\",\"d\",\"Jackets\",1"
        ),
    );
    write(
        "skus.csv",
        format!("id,styleId,size,quantity\n1,1,\"XS\",{stock}"),
    );
    write(
        "reviews.csv",
        format!(
            "id,product_id,rating,date,summary,body,recommend,reported,reviewer_name,reviewer_email,response,helpfulness\n\
             1,1,1,1596080481467,\"{name}\",\"Other\",false,false,\"n\",\"n@example.org\",null,0"
        ),
    );
}

fn merge(files: &Path, server: &str, more: &[&str]) -> (Option<i32>, String, String) {
    let files = files.to_str().unwrap();
    let args = [
        "import", "--merge", "--csv", files, "--server", server, "--quiet",
    ];
    let args = [
        &args[..],
        &["--report", "json", "--max-rejects", "100%"],
        more,
    ]
    .concat();
    let rejects = format!("{files}/../rejects.csv");
    let output = run_program(&[&args[..], &["--rejects", &rejects]].concat());
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (
        output.status.code(),
        text(output.stdout),
        text(output.stderr),
    )
}

fn merged(files: &Path, server: &str, more: &[&str]) -> Value {
    let (code, said, why) = merge(files, server, more);
    assert_eq!((code, why.as_str()), (Some(0), ""));
    serde_json::from_str(&said).unwrap()
}

#[test]
fn merged_files_reach_readers_and_replicas() {
    let cluster = Cluster::new();
    let setup = cluster.primary("primary");
    let primary = cluster.start_primary(&setup);
    let replica = Node::start(&cluster.replica("one"));
    primary.fill(2);
    catches_up(&replica, &primary);
    let server = primary.admin().to_string();
    let files = tempfile::tempdir().unwrap();
    let csv = files.path().join("csv");
    fs::create_dir(&csv).unwrap();
    write_files(&csv, "Renamed", 77);
    let seq = || primary.status().unwrap()["seq"].clone();
    let read = |node: &Node| {
        [
            "/products/1",
            "/products/1/styles",
            "/products/900",
            "/reviews/meta?product_id=1",
        ]
        .map(|path| node.get(path).1)
    };
    let (before, cached) = (seq(), read(&primary));
    let told = merged(&csv, &server, &["--dry-run"]);
    assert_eq!((seq(), read(&primary)), (before, cached));
    let done = merged(&csv, &server, &[]);
    assert_eq!(told["files"], done["files"]);
    let rows = |name: &str, kind: &str| {
        let mut files = done["files"].as_array().unwrap().iter();
        files.find(|file| file["file"] == name).unwrap()[kind].clone()
    };
    assert_eq!(rows("product.csv", "rows_inserted"), json!(1));
    assert_eq!(rows("product.csv", "rows_changed"), json!(1));
    assert_eq!(rows("skus.csv", "rows_changed"), json!(1));
    assert_eq!(rows("reviews.csv", "rows_changed"), json!(1));
    let after = read(&primary);
    assert!(
        after[0].contains("Renamed") && after[1].contains("77"),
        "{after:?}"
    );
    assert!(after[2].contains("New"), "{after:?}");
    assert!(after[3].contains("\"1\":"), "{after:?}");
    catches_up(&replica, &primary);
    assert_eq!(read(&replica), after);
    let at = seq();
    assert_eq!(merged(&csv, &server, &[])["rows_merged"], json!(0));
    assert_eq!(seq(), at);
    // A replica names the primary, and a directory in use the flag.
    let (code, _, why) = merge(
        &csv,
        &replica.admin().to_string(),
        &["--allow-empty", "skus.csv"],
    );
    assert_eq!(code, Some(0), "there is nothing to change: {why}");
    write_files(&csv, "Again", 78);
    let (code, _, why) = merge(&csv, &replica.admin().to_string(), &[]);
    assert_eq!(code, Some(1));
    assert!(
        why.contains("read-only replica; use the admin port of the primary"),
        "{why}"
    );
    let data = setup.data.to_str().unwrap();
    let args = [
        "import",
        "--merge",
        "--csv",
        csv.to_str().unwrap(),
        "--data",
        data,
        "--quiet",
    ];
    let output = run_program(&args);
    let why = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(why.contains("which --server can ask"), "{why}");
    primary.stop();
    replica.stop();
    assert_same(&[&setup.data, &cluster.data("one")]);
}

#[test]
fn lines_that_cannot_be_read_change_nothing() {
    let cluster = Cluster::new();
    let primary = cluster.start_primary(&cluster.primary("primary"));
    let before = primary.status().unwrap()["seq"].clone();
    let url = format!("http://{}/reviews/merge", primary.admin());
    let good = json!({"remove_review": {"review_id": 1}}).to_string();
    let wrong = json!({"review": {"review_id": 0, "product_id": 1}}).to_string();
    for (line, why) in [
        ("{".to_owned(), "line 2: EOF"),
        (wrong, "line 2: an id must be a positive whole number"),
        (json!({"rename": 1}).to_string(), "line 2: unknown variant"),
    ] {
        let request = agent()
            .post(&url)
            .header("Content-Type", "application/x-ndjson");
        let mut answer = request.send(format!("{good}\n{line}\n")).unwrap();
        let said = answer.body_mut().read_to_string().unwrap();
        assert_eq!(answer.status().as_u16(), 400, "{said}");
        assert!(said.contains(why), "{said}");
    }
    assert_eq!(primary.status().unwrap()["seq"], before);
}
