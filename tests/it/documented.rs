//! Every block of commands in README.md is run in the booted Debian, or `systemd/tests/documented.sh` says
//! why it is not.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

fn file(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(name);
    fs::read_to_string(path).unwrap()
}

/// The blocks of README.md, by heading and number.
fn written() -> BTreeSet<(String, usize)> {
    let readme = file("README.md");
    let (mut blocks, mut heading, mut number, mut is_open) = (BTreeSet::new(), "", 0, false);
    for line in readme.lines() {
        let fence = line.trim_start();
        if let Some(title) = line.strip_prefix("## ").filter(|_| !is_open) {
            (heading, number) = (title, 0);
        } else if let Some(language) = fence.strip_prefix("```") {
            if !is_open && ["sh", "console"].contains(&language) {
                number += 1;
                blocks.insert((heading.to_owned(), number));
            }
            is_open = !is_open;
        }
    }
    assert!(!is_open && blocks.len() > 20, "{blocks:?}");
    blocks
}

#[test]
fn every_command_block_is_run_or_has_a_reason_not_to_be() {
    let script = file("systemd/tests/documented.sh");
    let booted = file("systemd/tests/booted.sh");
    let (_, table) = script.split_once("<<'TABLE'\n").unwrap();
    let (table, _) = table.split_once("\nTABLE\n").unwrap();
    let mut listed = BTreeSet::new();
    for line in table.lines() {
        let fields: Vec<&str> = line.split('|').collect();
        let (heading, number) = (fields[0], fields[1]);
        let key = (heading.to_owned(), number.parse().unwrap());
        assert!(listed.insert(key), "{line} is there twice");
        match fields[2..] {
            ["run"] => {
                let once = format!("documented '{heading}' {number}\n");
                let serving = format!("served '{heading}' {number} ");
                assert!(
                    booted.contains(&once) || booted.contains(&serving),
                    "booted.sh lacks {once}"
                );
            }
            ["not", reason] => assert!(reason.len() > 20, "{line}"),
            _ => panic!("{line}"),
        }
    }
    assert_eq!(listed, written());
}
