//! The configuration file, and what to say of one that is wrong: one sentence with file, line and
//! key.

use std::fs;
use std::path::Path;

use super::{Config, Error};

pub(super) fn read(path: &Path) -> Result<Config, Error> {
    let text = fs::read_to_string(path).map_err(|cause| Error::Read {
        path: path.to_owned(),
        cause,
    })?;
    parse(path, &text)
}

fn parse(path: &Path, text: &str) -> Result<Config, Error> {
    toml::from_str(text).map_err(|error| {
        let before = error.span().and_then(|span| text.get(..span.start));
        Error::Parse {
            path: path.to_owned(),
            line: before.map(|before| before.matches('\n').count() + 1),
            key: before.and_then(|before| key_at(text, before.len())),
            // A message may go on about what else would do; it is made one line.
            what: error.message().replace('\n', ", "),
        }
    })
}

/// The key, with its section, on the line that the byte at `offset` is on.
fn key_at(text: &str, offset: usize) -> Option<String> {
    let start = text.get(..offset)?.rfind('\n').map_or(0, |end| end + 1);
    let (before, line) = (text.get(..start)?, text.get(start..)?.lines().next()?);
    let (key, _) = line.split_once('=')?;
    let key = key.trim();
    let headers = before.lines().rev().map(str::trim);
    let section = headers
        .filter_map(|line| line.strip_prefix('[')?.split_once(']'))
        .map(|(section, _)| section.trim())
        .next();
    Some(match section {
        Some(section) => format!("{section}.{key}"),
        None => key.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{
        ByteSize, Dialect, Durability, LogFormat, Time, UnknownCharacteristics, UnknownProducts,
    };

    const SHIPPED: &str = include_str!("../../config/reviewsd.toml");

    fn parsed(text: &str) -> Result<Config, String> {
        parse(Path::new("r.toml"), text).map_err(|error| error.to_string())
    }

    #[test]
    fn the_file_that_is_shipped_says_the_defaults() {
        assert_eq!(parsed(SHIPPED), Ok(Config::default()));
    }

    #[test]
    fn the_file_that_is_shipped_has_every_key() {
        // A line `# key = value` is a key that has no default to show.
        let is_key = |line: &&str| {
            let name = line.split_once(" = ").map(|(name, _)| name);
            name.is_some_and(|name| name.bytes().all(|b| b.is_ascii_lowercase() || b == b'_'))
        };
        let lines = SHIPPED.lines().map(|line| {
            let shown = line.strip_prefix("# ").filter(is_key);
            shown.unwrap_or(line)
        });
        let all: Vec<&str> = lines.collect();
        parsed(&all.join("\n")).unwrap();
        let shown: Vec<&str> = all.into_iter().filter(is_key).collect();
        let debug = format!("{:?}", Config::default());
        let fields = debug.matches(": ").count();
        let sections = [
            "store",
            "api",
            "net",
            "writes",
            "log",
            "replication",
            "replica",
        ]
        .len();
        // The one field more is the milliseconds within each of the times.
        let times = debug.matches("Time { ms: ").count();
        assert_eq!(shown.len(), fields - sections - times, "{shown:?}");
    }

    #[test]
    fn what_is_said_replaces_the_default_and_nothing_else() {
        let config = parsed(
            "[store]\nmemory = \"64MiB\"\n[api]\ndialect = \"greenfield\"\n\
             [net]\nidle_time_max = \"500ms\"\nlisten = \"[::1]:80\"\n\
             trusted_proxies = [\"127.0.0.1\", \"10.0.0.0/8\"]\n\
             [writes]\ndurability = \"interval\"\nunknown_products = \"accept\"\n\
             unknown_characteristics = \"ignore\"\n\
             [log]\nformat = \"json\"\nlevel = \"warn,reviewsd::net=debug\"\n",
        )
        .unwrap();
        let mut expected = Config::default();
        expected.store.memory = Some(ByteSize(64 << 20));
        expected.api.dialect = Dialect::Greenfield;
        expected.net.idle_time_max = "500ms".parse::<Time>().unwrap();
        expected.net.listen = "[::1]:80".parse().unwrap();
        expected.net.trusted_proxies = ["127.0.0.1/32", "10.0.0.0/8"]
            .map(|network| network.parse().unwrap())
            .into();
        expected.writes.durability = Durability::Interval;
        expected.writes.unknown_products = UnknownProducts::Accept;
        expected.writes.unknown_characteristics = UnknownCharacteristics::Ignore;
        expected.log.format = LogFormat::Json;
        expected.log.level = "warn,reviewsd::net=debug".parse().unwrap();
        assert_eq!(config, expected);
    }

    #[test]
    fn what_is_wrong_is_one_sentence_with_file_line_and_key() {
        for (text, expected) in [
            (
                "[net]\n\nidle_time = \"1s\"",
                "r.toml, line 3, net.idle_time: unknown field",
            ),
            ("[nett]\n", "r.toml, line 1: unknown field"),
            (
                "[store]\nmemory = 12",
                "r.toml, line 2, store.memory: invalid type",
            ),
            (
                "[store]\nmemory = \"x\"",
                "r.toml, line 2, store.memory: a size is",
            ),
            (
                "[net]\nhead_time_max = \"9\"",
                "r.toml, line 2, net.head_time_max: a time is",
            ),
            (
                "[net]\nlisten = \"here\"",
                "r.toml, line 2, net.listen: invalid socket address",
            ),
            (
                "[api]\ndialect = \"klingon\"",
                "r.toml, line 2, api.dialect: unknown variant",
            ),
            (
                "[api]\npage_rows_max = -1",
                "r.toml, line 2, api.page_rows_max: invalid value",
            ),
            (
                "[net]\ntrusted_proxies = [\"nginx\"]",
                "r.toml, line 2, net.trusted_proxies: a network is",
            ),
            (
                "[writes]\ndurability = \"maybe\"",
                "r.toml, line 2, writes.durability: unknown variant",
            ),
            (
                "[log]\nlevel = \"loud\"",
                "r.toml, line 2, log.level: a level is",
            ),
            (
                "[log]\nformat = \"xml\"",
                "r.toml, line 2, log.format: unknown variant",
            ),
            ("[api\n", "r.toml, line 1: "),
        ] {
            let sentence = parsed(text).unwrap_err();
            assert!(sentence.starts_with(expected), "{sentence}");
            assert!(!sentence.contains('\n'), "{sentence}");
        }
    }

    #[test]
    fn a_missing_file_is_named() {
        let error = read(Path::new("/nonexistent/r.toml")).unwrap_err();
        assert_eq!(error.to_string(), "cannot read /nonexistent/r.toml");
    }
}
