//! The page of the documents that lists every key, made from the keys and from the file that is shipped.
//!
//! Must not name a single key. Invariants: a key's default and the time at which it takes effect are those
//! of the code; its description is the comment above it in `config/reviewsd.toml`.

use std::fmt::Write;

use serde_json::Value;

use super::keys::{ConfigKey, Keys};
use super::resolve::LIVE;

/// The file that is shipped.
const SHIPPED: &str = include_str!("../../config/reviewsd.toml");
/// The mark of a key that takes effect without a restart.
const MARK: &str = "[SIGHUP]";
const HEAD: &str = "# Configuration

For operators who look up a key: its default, when a change takes effect, and what it does.

This page is generated from the program and from [config/reviewsd.toml](../../config/reviewsd.toml);
`make reference` writes it. [Configuration](../operating/configuration.md) says where values come from.

Every key is `--set KEY=VALUE` as a flag, and a variable of the environment: `net.listen` is `REVIEWSD_NET_LISTEN`.
A change of a key with *SIGHUP* takes effect with `systemctl reload reviewsd`, of any other key at the next start.
";

/// Returns the page.
fn page() -> String {
    let keys = Keys::all();
    let mut page = HEAD.to_owned();
    for section in keys.sections() {
        let _ = write!(
            page,
            "\n## {section}\n\n| key | default | takes effect | |\n|---|---|---|---|\n"
        );
        for key in keys.iter().filter(|key| key.section == section) {
            let effect = if LIVE.contains(&key.to_string().as_str()) {
                "SIGHUP"
            } else {
                "start"
            };
            let (default, description) = (default(key), description(key));
            let _ = writeln!(page, "| `{key}` | {default} | {effect} | {description} |");
        }
    }
    page
}

/// The default of a key, as it is written in a file.
fn default(key: &ConfigKey) -> String {
    match &key.default {
        Value::Null => "none".to_owned(),
        value => format!("`{value}`"),
    }
}

/// The comment above a key, or above the keys before it where several share one.
fn description(key: &ConfigKey) -> String {
    let (_, section) = SHIPPED
        .split_once(&format!("\n[{}]\n", key.section))
        .expect("the file has every section");
    let mut comment: Vec<&str> = Vec::new();
    let mut is_whole = false;
    for line in section.lines() {
        let text = line.strip_prefix('#').map(str::trim);
        let setting = text.unwrap_or(line).split_once(" = ");
        if setting.is_some_and(|(name, _)| name == key.name) {
            break;
        }
        // Another key's own line ends the comment above it.
        if setting.is_some_and(|(name, _)| is_name(name)) || line.is_empty() {
            is_whole = true;
        } else if let Some(text) = text {
            if is_whole {
                comment.clear();
                is_whole = false;
            }
            comment.push(text);
        }
    }
    let comment = comment.join(" ").replace(MARK, "");
    assert!(!comment.is_empty(), "{key} has no comment");
    escaped(comment.trim_end())
}

fn is_name(text: &str) -> bool {
    text.bytes().all(|b| b.is_ascii_lowercase() || b == b'_')
}

/// The text of a cell: no character outside of backquotes is a mark of Markdown.
fn escaped(text: &str) -> String {
    let mut escaped = String::new();
    let mut is_code = false;
    for c in text.chars() {
        is_code ^= c == '`';
        if c == '|' || !is_code && "*_<[".contains(c) {
            escaped.push('\\');
        }
        escaped.push(c);
    }
    escaped
}

#[test]
fn the_reference_of_the_configuration_is_generated() {
    let path = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/docs/reference/configuration.md"
    );
    let page = page();
    if std::env::var_os("REVIEWSD_GOLDEN").is_some_and(|value| value == "write") {
        std::fs::write(path, &page).unwrap();
    }
    let written = std::fs::read_to_string(path).unwrap();
    assert!(page == written, "`make reference` writes {path} anew");
}
