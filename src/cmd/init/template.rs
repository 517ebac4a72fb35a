//! The files of `config/`, filled in.
//!
//! Must not know an installation. Invariant: a text retains all lines of its template but those that are filled
//! in, so that the explanation of a setting stays beside it.

use std::fmt::Write as _;
use std::net::SocketAddr;

use serde_json::Value;

/// A configuration file in TOML, as text.
#[derive(Debug, Clone)]
pub(super) struct ConfigText(String);

impl ConfigText {
    pub(super) fn of(template: &str) -> Self {
        Self(template.to_owned())
    }

    /// Sets a key: in place of its line, also if that is a comment, or else at the end of its section.
    #[must_use]
    pub(super) fn set(self, key: &str, value: impl Into<Value>) -> Self {
        let (section, name) = key.split_once('.').unwrap_or(("", key));
        // A string, a number or a list of these is written alike in JSON and TOML.
        let line = format!("{name} = {}", value.into());
        let mut lines: Vec<&str> = self.0.lines().collect();
        let (begin, end) = section_of(&lines, section).unwrap_or_else(|| {
            lines.push("");
            (lines.len(), lines.len())
        });
        let is_key = |text: &&str| {
            let text = text.strip_prefix("# ").unwrap_or(text);
            text.strip_prefix(name)
                .is_some_and(|rest| rest.starts_with(" = "))
        };
        let header = format!("[{section}]");
        let within = lines.get(begin..end).unwrap_or_default();
        if let Some(at) = within.iter().position(is_key) {
            lines.splice(begin + at..=begin + at, [line.as_str()]);
        } else if begin == lines.len() {
            lines.extend([header.as_str(), &line]);
        } else {
            lines.insert(end, &line);
        }
        Self(lines.join("\n") + "\n")
    }

    /// Makes a comment of a key's line.
    #[must_use]
    pub(super) fn unset(self, key: &str) -> Self {
        let (section, name) = key.split_once('.').unwrap_or(("", key));
        let mut lines: Vec<&str> = self.0.lines().collect();
        let (begin, end) = section_of(&lines, section).unwrap_or_default();
        let start = format!("{name} = ");
        let within = lines.get(begin..end).unwrap_or_default();
        let Some(at) = within.iter().position(|line| line.starts_with(&start)) else {
            return self;
        };
        let comment = lines
            .get(begin + at)
            .map_or(String::new(), |line| format!("# {line}"));
        lines.splice(begin + at..=begin + at, [comment.as_str()]);
        Self(lines.join("\n") + "\n")
    }

    pub(super) fn into_text(self) -> String {
        self.0
    }
}

/// The lines of a section: from the one behind its header to the last one that is not empty.
fn section_of(lines: &[&str], section: &str) -> Option<(usize, usize)> {
    let header = format!("[{section}]");
    let begin = lines.iter().position(|line| *line == header)? + 1;
    let rest = lines.get(begin..)?;
    // A section may be a comment as a whole; "# [SIGHUP]" is none.
    let next = |line: &&str| {
        let header = line.strip_prefix("# ").unwrap_or(line);
        let name = header
            .strip_prefix('[')
            .and_then(|rest| rest.strip_suffix(']'));
        name.is_some_and(|name| name.bytes().all(|byte| byte.is_ascii_lowercase()))
    };
    let length = rest.iter().position(next).unwrap_or(rest.len());
    let used = rest
        .get(..length)?
        .iter()
        .rposition(|line| !line.is_empty());
    Some((begin, begin + used.map_or(0, |last| last + 1)))
}

/// The servers behind nginx.
#[derive(Debug)]
pub(super) struct Upstreams<'a> {
    pub(super) name: &'a str,
    pub(super) primary: SocketAddr,
    pub(super) replicas: &'a [SocketAddr],
}

impl Upstreams<'_> {
    /// nginx's configuration for these servers, from the bundled one.
    pub(super) fn fill(&self, template: &str) -> String {
        let mut filled = String::new();
        let mut is_first = true;
        for line in template.lines() {
            let words = line.trim_start();
            let indent = line.get(..line.len() - words.len()).unwrap_or_default();
            let server = words.strip_prefix("server 10.0.0.");
            match server.and_then(|server| server.split_once(":8080")) {
                Some(("1", _)) if words.ends_with(" backup;") => {
                    // A group of servers cannot consist of a backup.
                    let rest = if self.replicas.is_empty() {
                        ";"
                    } else {
                        " backup;"
                    };
                    let _ = writeln!(filled, "{indent}server {}{rest}", self.primary);
                }
                Some(("1", rest)) => {
                    let _ = writeln!(filled, "{indent}server {}{rest}", self.primary);
                }
                Some((_, rest)) if is_first => {
                    is_first = false;
                    for replica in self.replicas {
                        let _ = writeln!(filled, "{indent}server {replica}{rest}");
                    }
                }
                Some(_) => {}
                None if words.starts_with("server_name ") => {
                    let _ = writeln!(filled, "{indent}server_name {};", self.name);
                }
                None => {
                    let _ = writeln!(filled, "{line}");
                }
            }
        }
        filled
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::config::Config;

    const TEMPLATE: &str =
        "# Head.\n[a]\n# [SIGHUP]\n# one = 1\ntwo = 2\n\n[b]\nthree = 3\n\n# [c]\n# four = 4\n";

    fn set(key: &str, value: &str) -> String {
        ConfigText::of(TEMPLATE).set(key, value).into_text()
    }

    #[test]
    fn a_key_takes_the_place_of_its_line() {
        assert_eq!(
            set("a.one", "x"),
            TEMPLATE.replace("# one = 1", "one = \"x\"")
        );
        assert_eq!(
            set("a.two", "x"),
            TEMPLATE.replace("two = 2", "two = \"x\"")
        );
    }

    #[test]
    fn a_key_without_a_line_ends_its_section() {
        let expected = TEMPLATE.replace("three = 3\n", "three = 3\ntwo = \"x\"\n");
        assert_eq!(set("b.two", "x"), expected);
        let expected = TEMPLATE.replace("two = 2\n", "two = 2\nthree = \"x\"\n");
        assert_eq!(set("a.three", "x"), expected);
    }

    #[test]
    fn a_key_that_is_unset_is_a_comment() {
        let text = ConfigText::of(TEMPLATE)
            .unset("a.two")
            .unset("a.missing")
            .unset("e.two");
        assert_eq!(text.into_text(), TEMPLATE.replace("two = 2", "# two = 2"));
    }

    #[test]
    fn a_section_that_is_missing_is_added() {
        assert_eq!(
            set("d.five", "x"),
            format!("{TEMPLATE}\n[d]\nfive = \"x\"\n")
        );
        let twice = ConfigText::of(TEMPLATE).set("d.five", 5).set("d.six", 6);
        assert_eq!(
            twice.into_text(),
            format!("{TEMPLATE}\n[d]\nfive = 5\nsix = 6\n")
        );
    }

    #[test]
    fn values_are_quoted() {
        let data = "a \"quoted\" \\ path";
        let text = ConfigText::of("").set("store.data", data).into_text();
        let read = Config::of_text(Path::new("reviewsd.toml"), &text).unwrap();
        assert_eq!(read.store.data, Some(data.into()));
    }

    #[test]
    fn nginx_asks_the_servers_that_there_are() {
        let template = include_str!("../../../config/nginx.conf");
        let primary = "10.1.0.1:8080".parse().unwrap();
        let mut upstreams = Upstreams {
            name: "shop.example",
            primary,
            replicas: &[
                "10.1.0.2:8080".parse().unwrap(),
                "10.1.0.2:8090".parse().unwrap(),
            ],
        };
        let servers = |text: &str| {
            let lines = text.lines().map(str::trim);
            let servers = lines.filter(|line| line.starts_with("server ") && line.ends_with(';'));
            servers.map(str::to_owned).collect::<Vec<_>>()
        };
        let filled = upstreams.fill(template);
        let expected = [
            "server 10.1.0.2:8080 max_fails=1 fail_timeout=5s;",
            "server 10.1.0.2:8090 max_fails=1 fail_timeout=5s;",
            "server 10.1.0.1:8080 backup;",
            "server 10.1.0.1:8080;",
        ];
        assert_eq!(servers(&filled), expected);
        assert!(
            filled.contains("    server_name shop.example;\n"),
            "{filled}"
        );
        upstreams.replicas = &[];
        let expected = ["server 10.1.0.1:8080;", "server 10.1.0.1:8080;"];
        assert_eq!(servers(&upstreams.fill(template)), expected);
    }
}
