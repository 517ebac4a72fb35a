//! The configuration file, and the error for a wrong one: one sentence with file, line and key.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::keys::{Keys, Values};
use super::{Config, ConfigErrors, Error};

/// The contents of a configuration file.
#[derive(Debug)]
pub(super) struct ConfigFile {
    pub(super) values: Values,
    /// The line of each key, from 1.
    pub(super) lines: BTreeMap<String, usize>,
}

pub(super) fn read(path: &Path, keys: &Keys) -> Result<ConfigFile, Error> {
    let text = fs::read_to_string(path).map_err(|cause| Error::Read {
        path: path.to_owned(),
        cause,
    })?;
    parse(path, &text, keys)
}

/// Reads the text of a file that is yet to be written.
pub(super) fn config_of(path: &Path, text: &str) -> Result<Config, Error> {
    let keys = Keys::all();
    parse(path, text, &keys)?;
    toml::from_str(text).map_err(|error| wrong(path, text, &keys, &error))
}

fn parse(path: &Path, text: &str, keys: &Keys) -> Result<ConfigFile, Error> {
    let wrong = |error: toml::de::Error| wrong(path, text, keys, &error);
    let table = DeTable::parse(text).map_err(wrong)?;
    let mut faults = ConfigErrors::default();
    let lines = lines(path, text, keys, table.get_ref(), &mut faults);
    faults.into_result()?;
    // Each value is valid by now; whether all go together is an error of the whole file.
    let _: Config = toml::from_str(text).map_err(wrong)?;
    let values = toml::from_str(text).map_err(wrong)?;
    Ok(ConfigFile { values, lines })
}

/// The line of every key, each of which must be known and have a value of its type.
fn lines(
    path: &Path,
    text: &str,
    keys: &Keys,
    table: &DeTable<'_>,
    faults: &mut ConfigErrors,
) -> BTreeMap<String, usize> {
    let unknown = |line, key, what| Error::Parse {
        path: path.to_owned(),
        line: Some(line),
        key: Some(key),
        what,
    };
    // Types are checked value by value, where a message still knows its line.
    let mut check = |key: &str, value: &Spanned<DeValue<'_>>| {
        let given = text.get(value.span()).unwrap_or_default();
        let alone = format!("{key} = {given}");
        if let Err(error) = toml::from_str::<Config>(&alone) {
            let at = error.span().map_or(0, |span| span.start);
            let line = line_of(text, value) + line_at(&alone, at) - 1;
            let what = error.message().replace('\n', ", ");
            let known = keys.find(key).ok();
            let what = known.map_or(what.clone(), |known| known.hushed(what));
            faults.add(unknown(line, key.to_owned(), what));
        }
    };
    let mut lines = BTreeMap::new();
    let mut strangers = Vec::new();
    for (section, body) in table {
        if !keys.sections().contains(&section.get_ref().as_ref()) {
            let name = section.get_ref().to_string();
            let line = line_of(text, section);
            // A key that lacks its section is a common slip.
            let what = match body.get_ref() {
                DeValue::Table(_) => keys.unknown_section(&name),
                _ => keys.find(&name).err().unwrap_or_default(),
            };
            strangers.push(unknown(line, name, what));
            continue;
        }
        let DeValue::Table(keys_of) = body.get_ref() else {
            check(section.get_ref(), body);
            continue;
        };
        for (name, value) in keys_of {
            let key = format!("{}.{}", section.get_ref(), name.get_ref());
            let line = line_of(text, name);
            match keys.find(&key) {
                Ok(_) => check(&key, value),
                Err(what) => strangers.push(unknown(line, key.clone(), what)),
            }
            lines.insert(key, line);
        }
    }
    for fault in strangers {
        faults.add(fault);
    }
    faults.sort_by_line();
    lines
}

fn line_of<T>(text: &str, item: &Spanned<T>) -> usize {
    line_at(text, item.span().start)
}

fn line_at(text: &str, offset: usize) -> usize {
    let before = text.get(..offset).unwrap_or(text);
    before.matches('\n').count() + 1
}

fn wrong(path: &Path, text: &str, keys: &Keys, error: &toml::de::Error) -> Error {
    let at = error.span().map(|span| span.start);
    let key = at.and_then(|at| key_at(text, at));
    // A message may go on about what else would do; it is made one line.
    let what = error.message().replace('\n', ", ");
    let known = key.as_deref().and_then(|key| keys.find(key).ok());
    Error::Parse {
        path: path.to_owned(),
        line: at.map(|at| line_at(text, at)),
        what: known.map_or(what.clone(), |known| known.hushed(what)),
        key,
    }
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
        ByteSize, DialectConfig, DurabilityConfig, LogFormat, Time, UnknownCharacteristics,
        UnknownProducts,
    };

    const SHIPPED: &str = include_str!("../../config/reviewsd.toml");

    fn parsed(text: &str) -> Result<Config, String> {
        let file = parse(Path::new("r.toml"), text, &Keys::all());
        let values = file.map_err(|error| error.to_string())?.values;
        Ok(serde_json::from_value(values.into()).unwrap())
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
        let shown = parse(Path::new("r.toml"), &all.join("\n"), &Keys::all()).unwrap();
        let keys = Keys::all();
        let missing = keys.iter().map(ToString::to_string);
        let missing: Vec<_> = missing
            .filter(|key| !shown.lines.contains_key(key))
            .collect();
        assert!(missing.is_empty(), "{missing:?}");
    }

    #[test]
    fn the_lines_of_keys_are_known_however_they_are_written() {
        let text =
            "net.listen = \"[::1]:80\"\n\n[api]\n# x\npage_rows_max = 1\ncors_origins = [\n]\n";
        let file = parse(Path::new("r.toml"), text, &Keys::all()).unwrap();
        let lines: Vec<_> = file
            .lines
            .iter()
            .map(|(key, line)| (key.as_str(), *line))
            .collect();
        assert_eq!(
            lines,
            [
                ("api.cors_origins", 6),
                ("api.page_rows_max", 5),
                ("net.listen", 1)
            ]
        );
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
        expected.api.dialect = DialectConfig::Greenfield;
        expected.net.idle_time_max = "500ms".parse::<Time>().unwrap();
        expected.net.listen = "[::1]:80".parse().unwrap();
        expected.net.trusted_proxies = ["127.0.0.1/32", "10.0.0.0/8"]
            .map(|network| network.parse().unwrap())
            .into();
        expected.writes.durability = DurabilityConfig::Interval;
        expected.writes.unknown_products = Some(UnknownProducts::Accept);
        expected.writes.unknown_characteristics = Some(UnknownCharacteristics::Ignore);
        expected.log.format = LogFormat::Json;
        expected.log.level = "warn,reviewsd::net=debug".parse().unwrap();
        assert_eq!(config, expected);
    }

    #[test]
    fn what_is_wrong_is_one_sentence_with_file_line_and_key() {
        for (text, expected) in [
            (
                "[net]\n\nidle_time = \"1s\"",
                "r.toml, line 3, net.idle_time: unknown key; did you mean net.idle_time_max?",
            ),
            (
                "[nett]\n",
                "r.toml, line 1, nett: unknown section; did you mean [net]?",
            ),
            (
                "\nlisten = \"[::1]:80\"",
                "r.toml, line 2, listen: unknown key; did you mean net.listen?",
            ),
            ("net = 1", "r.toml, line 1, net: invalid type"),
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
                "r.toml, line 2, net.listen: an address is",
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
        let error = read(Path::new("/nonexistent/r.toml"), &Keys::all()).unwrap_err();
        assert_eq!(error.to_string(), "cannot read /nonexistent/r.toml");
    }
}
