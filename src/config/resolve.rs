//! The configuration in force: flags over environment over file over defaults, and the origin of each value.
//!
//! Must not know a single key. Invariants: a layer is wrong as a whole or counts as a whole; a reload applies
//! either all reloadable values or none.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt::Write;
use std::io;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::keys::{ConfigKey, Keys, PREFIX, Values, values_of};
use super::{Config, ConfigErrors, Error, Origin, file};

/// The file that is read by default, if it exists.
const FILE: &str = "/etc/reviewsd/reviewsd.toml";
/// The variable that names another.
const FILE_VARIABLE: &str = "REVIEWSD_CONFIG";
/// The column at which a note begins, if the line is not longer.
const NOTE_COLUMN: usize = 40;

/// The keys that take effect at SIGHUP; the others do at the next start, because sockets, memory and
/// the writer are made once, and cached answers are of one dialect.
pub(super) const LIVE: &[&str] = &[
    "api.cors_origins",
    "api.page_rows_max",
    "api.page_bytes_max",
    "api.wait_time_max",
    "net.connections_per_address_max",
    "net.head_time_max",
    "net.body_time_max",
    "net.idle_time_max",
    "net.write_time_max",
    "net.rate_min",
    "net.drain_time_max",
    "net.trusted_proxies",
    "writes.rules",
    "writes.unknown_characteristics",
    "writes.unknown_products",
    "writes.photos",
    "writes.vote_window",
    "writes.rate_limit_per_second",
    "writes.rate_limit_burst",
    "moderation.mode",
    "moderation.publish_known",
    "moderation.reports_to_hide",
    "moderation.reports_per_client",
    "moderation.reports_per_client_window",
    "moderation.reviews_per_client",
    "moderation.reviews_per_client_window",
    "moderation.votes_per_client",
    "moderation.votes_per_client_window",
    "moderation.reviews_per_product",
    "moderation.reviews_per_product_window",
    "moderation.duplicate_verdict",
    "moderation.words",
    "moderation.words_file",
    "moderation.words_verdict",
    "moderation.links_max",
    "moderation.links_verdict",
    "moderation.body_chars_min",
    "moderation.body_chars_max",
    "moderation.length_verdict",
    "moderation.repeated_chars_max",
    "moderation.repeated_words_min",
    "moderation.repetition_verdict",
    "moderation.check_url",
    "moderation.check_time_max",
    "moderation.check_unanswered",
    "moderation.undo_time",
    "moderation.audit_time",
    "replica.serve_stale",
    "replica.wait_time_max",
    "log.level",
    "log.access",
    "log.slow_request_time",
];

/// A flag's value of a key.
#[derive(Debug, Clone)]
pub struct FlagValue {
    /// The flag as it is written.
    pub flag: String,
    /// The key, `net.listen`.
    pub key: String,
    /// The value.
    pub text: String,
}

/// The sources of values. They are read again at every reload.
#[derive(Debug, Clone)]
pub struct Sources {
    /// The file that a flag names.
    pub file: Option<PathBuf>,
    /// The environment.
    pub variables: Vec<(OsString, OsString)>,
    /// The flags; of two for one key the last counts.
    pub flags: Vec<FlagValue>,
}

/// A valid configuration, and the origins of its values.
#[derive(Debug, Clone, PartialEq)]
pub struct ResolvedConfig {
    /// The configuration in force.
    pub config: Config,
    /// The origins of all values but defaults.
    origins: BTreeMap<String, Origin>,
}

/// The result of a reload.
#[derive(Debug)]
pub struct Reload {
    /// The settings in force from now on.
    pub settled: ResolvedConfig,
    /// The keys that have another value now.
    pub changed: Vec<String>,
    /// The keys that would have after a restart.
    pub waiting: Vec<String>,
}

impl Sources {
    /// Reads all sources.
    ///
    /// # Errors
    ///
    /// Everything that is wrong.
    pub fn settle(&self) -> Result<ResolvedConfig, Error> {
        self.settle_with(Path::new(FILE), Config::validate)
    }

    /// Reads all sources, for a command that needs no local store.
    ///
    /// # Errors
    ///
    /// Everything that is wrong.
    pub fn settle_but_data(&self) -> Result<ResolvedConfig, Error> {
        self.settle_with(Path::new(FILE), Config::validate_but_data)
    }

    fn settle_with(
        &self,
        default_file: &Path,
        validate: Validate,
    ) -> Result<ResolvedConfig, Error> {
        let keys = Keys::all();
        let mut faults = ConfigErrors::default();
        let (mut values, mut origins) = (Values::new(), BTreeMap::new());
        let file = faults.take(self.read_file(default_file, &keys));
        if let Some((path, read)) = file.flatten() {
            values = read.values;
            origins.extend(read.lines.into_iter().map(|(key, line)| {
                let path = path.clone();
                (key, Origin::File { path, line })
            }));
        }
        let variables = self.variables.iter().filter_map(|(name, text)| {
            let (name, rest) = name.to_str().and_then(after_prefix)?;
            let text = text.to_str().ok_or("its value is not UTF-8".to_owned());
            let key = keys.find_variable(rest).transpose()?;
            let given = key.and_then(|key| Ok((key, text?)));
            Some((Origin::Variable(name.to_owned()), given))
        });
        let flags = self.flags.iter().map(|FlagValue { flag, key, text }| {
            let given = keys.find(key).map(|key| (key, text.as_str()));
            (Origin::Flag(flag.clone()), given)
        });
        for (origin, given) in variables.chain(flags) {
            let read = given.and_then(|(key, text)| Ok((key, key.read(text)?)));
            let read = read.map_err(|what| wrong(&origin, what));
            if let Some((key, value)) = faults.take(read) {
                key.put(&mut values, value);
                origins.insert(key.to_string(), origin);
            }
        }
        if faults.is_empty() {
            return ResolvedConfig::new(values, origins, validate);
        }
        // The value of an unreadable text is unknown, so only the given values can be out of range.
        if let Err(error) = ResolvedConfig::new(values, origins, Config::validate_but_data) {
            let is_given = |fault: &Error| match fault {
                Error::OutOfRange { origin, .. } => *origin != Origin::Default,
                _ => true,
            };
            let more = error.into_parts().into_iter().filter(is_given);
            for fault in more {
                faults.add(fault);
            }
        }
        Err(faults.into_error())
    }

    fn read_file(
        &self,
        default_file: &Path,
        keys: &Keys,
    ) -> Result<Option<(PathBuf, file::ConfigFile)>, Error> {
        let variables = self.variables.iter();
        let mut named = variables.filter(|(name, _)| name == FILE_VARIABLE);
        let named = self
            .file
            .clone()
            .or_else(|| named.next().map(|(_, path)| path.into()));
        let is_named = named.is_some();
        let path = named.unwrap_or_else(|| default_file.to_owned());
        match file::read(&path, keys) {
            Err(Error::Read { cause, .. })
                if !is_named && cause.kind() == io::ErrorKind::NotFound =>
            {
                Ok(None)
            }
            read => Ok(Some((path, read?))),
        }
    }
}

/// A name that is ours to look at, whole and without its prefix.
fn after_prefix(name: &str) -> Option<(&str, &str)> {
    let rest = name
        .strip_prefix(PREFIX)
        .filter(|_| name != FILE_VARIABLE)?;
    Some((name, rest))
}

fn wrong(origin: &Origin, what: String) -> Error {
    let origin = origin.clone();
    Error::Given { origin, what }
}

/// A check of a configuration.
type Validate = fn(&Config) -> Result<(), Error>;

impl ResolvedConfig {
    fn new(
        values: Values,
        origins: BTreeMap<String, Origin>,
        validate: Validate,
    ) -> Result<Self, Error> {
        let config: Config = serde_json::from_value(Value::Object(values))
            .expect("every layer was checked when it was read");
        match validate(&config) {
            Ok(()) => Ok(Self { config, origins }),
            Err(error) => Err(error.given_by(&origins)),
        }
    }

    /// Returns the part of `next` that can take effect without a restart.
    ///
    /// # Errors
    ///
    /// When the reloadable values do not go together with the ones in force.
    pub fn reload(&self, next: &Self) -> Result<Reload, Error> {
        let (mut values, wished) = (values_of(&self.config), values_of(&next.config));
        let mut origins = self.origins.clone();
        let (mut changed, mut waiting) = (Vec::new(), Vec::new());
        for key in Keys::all().iter() {
            let (name, value) = (key.to_string(), key.of(&wished));
            let is_new = key.of(&values) != value;
            if LIVE.contains(&name.as_str()) {
                key.put(&mut values, value.clone());
                match next.origins.get(&name) {
                    Some(origin) => origins.insert(name.clone(), origin.clone()),
                    None => origins.remove(&name),
                };
                changed.extend(is_new.then_some(name));
            } else if is_new {
                waiting.push(name);
            }
        }
        Ok(Reload {
            settled: Self::new(values, origins, Config::validate)?,
            changed,
            waiting,
        })
    }

    /// Returns all of it as an equivalent file, with the origin of each value; no secrets.
    #[must_use]
    pub fn show(&self) -> String {
        let (keys, values) = (Keys::all(), values_of(&self.config));
        let mut shown = String::new();
        let mut section = "";
        for key in keys.iter() {
            if key.section != section {
                section = &key.section;
                let gap = if shown.is_empty() { "" } else { "\n" };
                let _ = writeln!(shown, "{gap}[{section}]");
            }
            let origin = self.origins.get(&key.to_string());
            let origin = origin.unwrap_or(&Origin::Default);
            let line = line(key, key.of(&values), &self.config);
            let _ = writeln!(shown, "{line:NOTE_COLUMN$} # {origin}");
        }
        shown
    }
}

/// The line of a file that gives a key this value; JSON's plain values are TOML's, too.
fn line(key: &ConfigKey, value: &Value, config: &Config) -> String {
    let name = &key.name;
    match value {
        Value::Null => match config.implied(&key.to_string()) {
            Some(value) => format!("# {name} = {value}"),
            None => format!("# {name} is not set"),
        },
        _ if key.is_secret() => format!("# {name} is set, and not shown"),
        value => format!("{name} = {value}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Time;

    fn sources(variables: &[(&str, &str)], flags: &[(&str, &str)]) -> Sources {
        let variables = variables
            .iter()
            .map(|(name, text)| (name.into(), text.into()));
        let flags = flags.iter().map(|(key, text)| FlagValue {
            flag: format!("--set {key}"),
            key: (*key).to_owned(),
            text: (*text).to_owned(),
        });
        Sources {
            file: None,
            variables: variables.collect(),
            flags: flags.collect(),
        }
    }

    /// Settles `sources` beside a default file with the contents `text`.
    fn settled(text: &str, sources: &Sources) -> Result<ResolvedConfig, String> {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("r.toml");
        std::fs::write(&file, text).unwrap();
        let settled = sources.settle_with(&file, Config::validate);
        let dir = format!("{}/", dir.path().display());
        settled.map_err(|error| error.to_string().replace(&dir, ""))
    }

    const FILE_TEXT: &str = "[store]\ndata = \"f\"\n[api]\npage_rows_max = 1\n\
                             [net]\nidle_time_max = \"1s\"\nhead_time_max = \"1s\"\n";

    #[test]
    fn flags_beat_variables_beat_the_file_beats_the_defaults() {
        let variables = [
            ("REVIEWSD_NET_HEAD_TIME_MAX", "2s"),
            ("REVIEWSD_API_PAGE_ROWS_MAX", "2"),
            ("REVIEWSD_CRASH_ROUNDS", "7"),
            ("PATH", "/bin"),
        ];
        let flags = [("api.page_rows_max", "9"), ("api.page_rows_max", "3")];
        let settled = settled(FILE_TEXT, &sources(&variables, &flags)).unwrap();
        let config = &settled.config;
        assert_eq!(config.api.page_rows_max, 3);
        assert_eq!(config.net.head_time_max, Time::from_secs(2));
        assert_eq!(config.net.idle_time_max, Time::from_secs(1));
        assert_eq!(
            config.net.body_time_max,
            Config::default().net.body_time_max
        );
        let shown = settled.show();
        for (line, origin) in [
            ("page_rows_max = 3", "--set api.page_rows_max"),
            ("head_time_max = \"2s\"", "REVIEWSD_NET_HEAD_TIME_MAX"),
            ("idle_time_max = \"1s\"", "line 6"),
            ("body_time_max = \"10s\"", "default"),
        ] {
            let shown = shown.lines().find(|shown| shown.starts_with(line)).unwrap();
            assert!(shown.ends_with(origin), "{shown}");
        }
    }

    #[test]
    fn what_is_shown_is_a_file_that_says_the_same() {
        let variables = [("REVIEWSD_NET_TRUSTED_PROXIES", "127.0.0.1,10.0.0.0/8")];
        let first = settled(FILE_TEXT, &sources(&variables, &[])).unwrap();
        let second = settled(&first.show(), &sources(&[], &[])).unwrap();
        assert_eq!(first.config, second.config);
    }

    #[test]
    fn only_the_default_configuration_file_may_be_missing() {
        let none = Path::new("/nonexistent/r.toml");
        let from_flags = sources(&[], &[("store.data", "x")]);
        assert!(from_flags.settle_with(none, Config::validate).is_ok());
        let mut named = sources(&[("REVIEWSD_CONFIG", "/nonexistent/v.toml")], &[]);
        let error = named
            .settle_with(none, Config::validate)
            .unwrap_err()
            .to_string();
        assert!(error.contains("/nonexistent/v.toml"), "{error}");
        named.file = Some("/nonexistent/f.toml".into());
        let error = named
            .settle_with(none, Config::validate)
            .unwrap_err()
            .to_string();
        assert!(error.contains("/nonexistent/f.toml"), "{error}");
    }

    #[test]
    fn whoever_said_what_is_wrong_is_named() {
        let said = |variables: &[(&str, &str)], flags: &[(&str, &str)]| {
            settled(FILE_TEXT, &sources(variables, flags)).unwrap_err()
        };
        let listen = [("REVIEWSD_NET_LISTEN", "here")];
        assert_eq!(
            said(&listen, &[]),
            "REVIEWSD_NET_LISTEN: an address is an IP address and a port, such as 127.0.0.1:8080, \
             0.0.0.0:8080 (any IPv4) or [::]:8080 (any), not \"here\""
        );
        assert_eq!(
            said(&[("REVIEWSD_NET_LISTN", "")], &[]),
            "REVIEWSD_NET_LISTN: unknown key; did you mean REVIEWSD_NET_LISTEN?"
        );
        assert_eq!(
            said(&[], &[("net.lisen", "x")]),
            "--set net.lisen: unknown key; did you mean net.listen?"
        );
        let rows = [("REVIEWSD_API_PAGE_ROWS_MAX", "0")];
        assert_eq!(
            said(&rows, &[]),
            "api.page_rows_max must be from 1 to 100000 (REVIEWSD_API_PAGE_ROWS_MAX)"
        );
        let text = "[store]\ndata = \"f\"\n[net]\nconnections_max = 0\n";
        assert_eq!(
            settled(text, &sources(&[], &[])).unwrap_err(),
            "net.connections_max must be from 1 to 1000000 (r.toml, line 4)"
        );
    }

    #[test]
    fn all_faults_of_all_layers_are_reported_at_once() {
        let text = "[net]\nlisten = \"here\"\nidle_time = \"1s\"\nhead_time_max = \"9\"\n\
                    [api]\npage_rows_max = \"many\"\n[log]\nlevel = 3\n";
        let variables = [("REVIEWSD_FOO", "x"), ("REVIEWSD_API_PAGE_ROWS_MAX", "0")];
        let flags = [("net.admn", "x"), ("writes.queue_max", "0")];
        let said = settled(text, &sources(&variables, &flags)).unwrap_err();
        let mut lines = said.lines().map(str::trim);
        assert_eq!(lines.next(), Some("the configuration has 9 faults:"));
        for start in [
            "r.toml, line 2, net.listen: an address is",
            "r.toml, line 3, net.idle_time: unknown key; did you mean net.idle_time_max?",
            "r.toml, line 4, net.head_time_max: a time is",
            "r.toml, line 6, api.page_rows_max: invalid type",
            "r.toml, line 8, log.level: ",
            "REVIEWSD_FOO: unknown key; did you mean REVIEWSD_",
            "--set net.admn: unknown key; did you mean net.admin?",
            "api.page_rows_max must be from 1 to 100000 (REVIEWSD_API_PAGE_ROWS_MAX)",
            "writes.queue_max must be from 1 to ",
        ] {
            let line = lines.next().unwrap_or_default();
            assert!(line.starts_with(start), "{line} is not {start}");
        }
        let both = "[net]\nconnections_max = 0\n[api]\npage_rows_max = 0\n";
        let said = settled(both, &sources(&[], &[])).unwrap_err();
        assert!(
            said.starts_with("the configuration has 3 faults:\n"),
            "{said}"
        );
        assert!(said.contains("no data directory is configured"), "{said}");
    }

    #[test]
    fn a_reload_takes_what_it_may_and_names_what_waits() {
        let before = settled(FILE_TEXT, &sources(&[], &[])).unwrap();
        let text = "[store]\ndata = \"g\"\n[api]\npage_rows_max = 2\n[net]\nlisten = \"[::1]:1\"\n";
        let next = settled(text, &sources(&[], &[])).unwrap();
        let reload = before.reload(&next).unwrap();
        let changed = [
            "api.page_rows_max",
            "net.head_time_max",
            "net.idle_time_max",
        ];
        assert_eq!(reload.changed, changed);
        assert_eq!(reload.waiting, ["store.data", "net.listen"]);
        let config = &reload.settled.config;
        assert_eq!(config.api.page_rows_max, 2);
        assert_eq!(config.store.data, Some("f".into()));
        assert_eq!(config.net, Config::default().net);
        assert!(reload.settled.show().contains("line 4"), "the new origin");
        let again = reload.settled.reload(&next).unwrap();
        assert!(again.changed.is_empty());
        assert_eq!(again.waiting, reload.waiting);
    }

    #[test]
    fn the_file_that_is_shipped_marks_what_takes_effect_at_sighup() {
        let shipped = include_str!("../../config/reviewsd.toml");
        let (mut section, mut is_live) = ("", false);
        let mut marked = Vec::new();
        for line in shipped.lines() {
            if let Some(header) = line.strip_prefix('[') {
                section = header.trim_end_matches(']');
            }
            is_live |= line.contains("[SIGHUP]") && !section.is_empty();
            // A key that has no default to show stands there as a comment.
            let line = line.strip_prefix("# ").unwrap_or(line);
            let key = line
                .split_once(" = ")
                .map(|(name, _)| format!("{section}.{name}"));
            if let Some(key) = key.filter(|key| Keys::all().find(key).is_ok()) {
                marked.extend(is_live.then_some(key));
                is_live = false;
            }
        }
        assert_eq!(marked, LIVE);
    }
}
