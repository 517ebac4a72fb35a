//! The boundaries that no crate draws, as a table, and the head that every file owes its reader.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// A word, and the beginnings of the paths of files that may hold it.
struct Boundary {
    needle: &'static str,
    allowed: &'static [&'static str],
}

/// A needle never stands whole in this table's own file, which is not looked at.
const BOUNDARIES: &[Boundary] = &[
    Boundary {
        needle: "rocksdb::",
        allowed: &[
            "src/store/rocks",
            "tests/it/rocks_assumptions.rs",
            "tests/it/import",
            "tests/it/serve/operator/upkeep.rs",
        ],
    },
    Boundary {
        needle: "bincode::",
        allowed: &["src/store/value"],
    },
    Boundary {
        needle: "reviewsd_import",
        allowed: &["src/cmd/import/", "src/cmd/export/", "import/"],
    },
    Boundary {
        needle: "ureq::",
        allowed: &["tests/"],
    },
    Boundary {
        needle: "object_store",
        allowed: &["src/backup/target"],
    },
    Boundary {
        needle: "chrono::",
        allowed: &["src/model/calendar.rs"],
    },
    Boundary {
        needle: "crate::cli::",
        allowed: &["bench/", "src/cmd/", "src/main.rs"],
    },
    Boundary {
        needle: "crate::config",
        allowed: &[
            "src/cmd/",
            "src/node",
            "src/cli",
            "src/main.rs",
            "src/config",
        ],
    },
    Boundary {
        needle: "crate::cmd",
        allowed: &[],
    },
    Boundary {
        needle: "rustls::",
        allowed: &[
            "src/backup/target.rs",
            "src/http/net/dial.rs",
            "src/http/net/secure.rs",
            "src/http/net/tls.rs",
            "src/http/net/trouble.rs",
        ],
    },
    Boundary {
        needle: "rcgen::",
        allowed: &["tests/it/replication/"],
    },
    Boundary {
        needle: "crate::signals",
        allowed: &["src/cmd/", "src/node"],
    },
    Boundary {
        needle: "hyper::",
        allowed: &[
            "tests/",
            "src/http/api/",
            "src/http/net/",
            "bench/",
            "benches/",
            "src/replication/",
            "src/backup/backup_source.rs",
            "src/cmd/remote.rs",
            "src/node/admin_port.rs",
        ],
    },
    Boundary {
        needle: "tokio::",
        allowed: &[
            "src/http/api/",
            "src/http/net/",
            "src/node",
            "src/signals.rs",
            "bench/",
            "tests/",
            "src/replication/",
            "src/backup/",
            "src/cmd/backup.rs",
            "src/cmd/remote.rs",
            "src/store/log/commit_feed.rs",
            "src/store/writer/disk_space.rs",
        ],
    },
    Boundary {
        needle: "clap::",
        allowed: &[
            "src/cli",
            "src/cmd/describe.rs",
            "src/main.rs",
            "src/config",
            "bench/",
        ],
    },
    Boundary {
        needle: "clap_complete::",
        allowed: &["src/cmd/describe.rs"],
    },
    Boundary {
        needle: "clap_mangen::",
        allowed: &["src/cmd/describe.rs"],
    },
    Boundary {
        needle: "strsim::",
        allowed: &["src/config/keys.rs"],
    },
    Boundary {
        needle: "toml::",
        allowed: &[
            "import/src/shops/mapping.rs",
            "src/config",
            "bench/src/load/workload.rs",
            "bench/src/scenario/claims.rs",
            "import/src/shops/mapping.rs",
        ],
    },
    Boundary {
        needle: "rustix::event",
        allowed: &["bench/src/load/poll.rs"],
    },
    Boundary {
        needle: "httparse",
        allowed: &["bench/src/load/response.rs"],
    },
    Boundary {
        needle: "hdrhistogram",
        allowed: &["bench/src/load/"],
    },
    Boundary {
        needle: "minijinja",
        allowed: &["bench/src/scenario/plot.rs", "bench/src/scenario/report.rs"],
    },
    Boundary {
        needle: "anyhow::",
        allowed: &["bench/"],
    },
    Boundary {
        needle: "csv::",
        allowed: &["import/", "src/cmd/import/", "src/cmd/export/mod.rs"],
    },
    Boundary {
        needle: "quick_cache",
        allowed: &["src/http/api/reads/cache.rs"],
    },
    Boundary {
        needle: "xxhash_rust",
        allowed: &[
            "src/http/api/writes.rs",
            "src/replication/wire/frame.rs",
            "tests/it/backup/vintages.rs",
            "src/backup/",
            "src/store/log/position.rs",
            "src/store/content.rs",
            "src/store/stored_product.rs",
            "src/store/checkpoint.rs",
            "src/store/clients.rs",
            "src/store/memory.rs",
            "src/store/log/watermark.rs",
        ],
    },
    Boundary {
        needle: "ipnet::",
        allowed: &[
            "src/http/api/client.rs",
            "src/http/api/writes.rs",
            "src/config/network.rs",
            "src/http/net/table.rs",
        ],
    },
    Boundary {
        needle: "tracing::",
        allowed: &[
            "src/http/api/",
            "src/http/net/",
            "src/cmd/",
            "src/node",
            "src/replication/",
            // Background clean-up has no caller to report to.
            "src/store/writer/writer_loop",
            // Nor has a client's line any client that reads it.
            "src/store/writer/bursts.rs",
        ],
    },
    Boundary {
        needle: "criterion::",
        allowed: &["benches/"],
    },
    Boundary {
        needle: "libfuzzer_sys",
        allowed: &["fuzz/"],
    },
    Boundary {
        needle: "tracing_subscriber",
        allowed: &["src/node/log"],
    },
    Boundary {
        needle: "crate::systemd",
        allowed: &["src/node"],
    },
    Boundary {
        needle: "unsafe ",
        allowed: &["src/systemd/passed.rs"],
    },
];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Every Rust file but this one, with its text, by its path from the root.
fn files() -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut dirs: Vec<PathBuf> = [
        "src",
        "import",
        "bench",
        "fuzz/src",
        "fuzz/fuzz_targets",
        "tests",
        "benches",
    ]
    .map(|dir| root().join(dir))
    .into();
    while let Some(dir) = dirs.pop() {
        for entry in fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                dirs.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let name = path
                    .strip_prefix(root())
                    .unwrap()
                    .to_str()
                    .unwrap()
                    .to_owned();
                if !name.ends_with("tidy.rs") {
                    found.push((name, fs::read_to_string(path).unwrap()));
                }
            }
        }
    }
    found
}

/// A file's lines that are code.
fn code(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let lines = (1..).zip(text.lines());
    lines.filter(|(_, line)| !line.trim_start().starts_with("//"))
}

#[test]
fn no_file_names_what_is_behind_a_boundary() {
    let files = files();
    assert!(files.len() > 40, "the files were not found");
    let mut broken = Vec::new();
    for (name, text) in &files {
        for Boundary { needle, allowed } in BOUNDARIES {
            if allowed.iter().any(|path| name.starts_with(path)) {
                continue;
            }
            for (line, text) in code(text).filter(|(_, text)| text.contains(needle)) {
                broken.push(format!("{name}:{line} names `{needle}`: {}", text.trim()));
            }
        }
    }
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

/// Files that are fuzzed alone: they may name what stands beside them there, and hashes.
const ALONE: &[(&str, &[&str])] = &[
    ("src/replication/wire/frame.rs", &[]),
    ("src/store/log/batch.rs", &[]),
    ("src/store/log/position.rs", &[]),
    ("src/store/fence.rs", &["super::log::position"]),
    (
        "src/store/log/commit.rs",
        &["super::batch", "super::position"],
    ),
];

#[test]
fn what_is_fuzzed_alone_stands_alone() {
    let files = files();
    for (alone, beside) in ALONE {
        let (_, text) = files.iter().find(|(name, _)| name == alone).unwrap();
        let (text, _tests) = text.split_once("#[cfg(test)]\nmod tests").unwrap();
        for (line, text) in code(text).filter(|(_, line)| line.starts_with("use ")) {
            let may = ["use std::", "use xxhash_rust::"];
            let is_beside = beside.iter().any(|file| text.contains(file));
            let fits = is_beside || may.iter().any(|start| text.starts_with(start));
            assert!(fits, "{alone}:{line}: {text}");
        }
        assert!(!text.contains("crate::"), "{alone}");
    }
}

#[test]
fn every_boundary_names_something_that_is_there() {
    let files = files();
    for Boundary { needle, allowed } in BOUNDARIES {
        for path in *allowed {
            let mut of_path = files.iter().filter(|(name, _)| name.starts_with(path));
            assert!(of_path.next().is_some(), "`{needle}`: there is no {path}");
        }
        let used = files
            .iter()
            .any(|(_, text)| code(text).any(|(_, line)| line.contains(needle)));
        assert!(used || allowed.is_empty(), "`{needle}` is named nowhere");
    }
}

#[test]
fn every_file_opens_with_what_it_owns() {
    let silent = files()
        .into_iter()
        .filter(|(_, text)| !text.starts_with("//!"));
    let silent: Vec<String> = silent.map(|(name, _)| name).collect();
    assert!(silent.is_empty(), "no `//!` at the head of {silent:?}");
}

/// Words that open a riddle: the first line of a doc comment says what an item is, or what it does.
const RIDDLES: [&str; 10] = [
    "What", "Whoever", "Who", "Where", "That", "Those", "How", "Whether", "Which", "Of",
];

#[test]
fn fewer_than_one_doc_line_in_fifty_is_a_riddle() {
    let mut lines = 0;
    let mut riddles = Vec::new();
    for (name, text) in files() {
        for (number, line) in (1..).zip(text.lines()) {
            let Some(line) = line.trim_start().strip_prefix("/// ") else {
                continue;
            };
            lines += 1;
            let first = line.split(|letter: char| !letter.is_alphabetic()).next();
            if first.is_some_and(|first| RIDDLES.contains(&first)) {
                riddles.push(format!("{name}:{number}: {line}"));
            }
        }
    }
    assert!(lines > 4000, "the comments were not found");
    assert!(riddles.len() * 50 < lines, "{}", riddles.join("\n"));
}

/// The name that a line declares after one of these keywords, at the level of its module.
fn declared<'t>(line: &'t str, keywords: &[&str]) -> Option<&'t str> {
    if line.starts_with(' ') {
        return None;
    }
    let line = line.strip_prefix("pub").unwrap_or(line);
    let line = match line.strip_prefix('(') {
        Some(visibility) => visibility.split_once(')')?.1,
        None => line,
    };
    let (keyword, rest) = line.trim_start().split_once(' ')?;
    let name = rest
        .split(|letter: char| !letter.is_alphanumeric() && letter != '_')
        .next()?;
    keywords.contains(&keyword).then_some(name)
}

#[test]
fn no_two_types_have_one_name() {
    let mut places: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (path, text) in files() {
        if !path.starts_with("src/") && !path.starts_with("import/") {
            continue;
        }
        for (line, text) in code(&text) {
            if let Some(name) = declared(text, &["struct", "enum", "trait", "type"]) {
                let place = format!("{path}:{line}");
                places.entry(name.to_owned()).or_default().push(place);
            }
        }
    }
    assert!(places.len() > 400, "the types were not found");
    assert!(places["Error"].len() > 10, "the errors were not found");
    places.remove("Error");
    places.retain(|_, places| places.len() > 1);
    assert!(places.is_empty(), "{places:#?}");
}

#[test]
fn test_names_have_at_most_60_characters() {
    let mut tests = 0;
    let mut long = Vec::new();
    for (path, text) in files() {
        let mut is_test = false;
        for (line, text) in code(&text) {
            let text = text.trim_start();
            let name = text
                .strip_prefix("async ")
                .unwrap_or(text)
                .strip_prefix("fn ");
            if let Some(name) = name.and_then(|rest| rest.split('(').next()) {
                tests += usize::from(is_test);
                if is_test && name.len() > 60 {
                    long.push(format!("{path}:{line}: {name}"));
                }
                is_test = false;
            } else if ["#[test]", "#[tokio::test"]
                .iter()
                .any(|mark| text.starts_with(mark))
            {
                is_test = true;
            }
        }
    }
    assert!(tests > 900, "the tests were not found");
    assert!(long.is_empty(), "{}", long.join("\n"));
}
