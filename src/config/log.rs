//! `[log]`: the contents and the format of the log on standard error.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use super::{ConfigErrors, TIME_CEILING, Time};

/// `[log]`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LogConfig {
    /// The format of a line.
    pub format: LogFormat,
    /// The levels of the parts of the program.
    pub level: Levels,
    /// True if there is a line for every request.
    pub access: bool,
    /// The time beyond which a request is logged as slow; `None` is off.
    pub slow_request_time: Time,
}

/// The format of a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// As text, suited to where it goes.
    Auto,
    /// As text with times.
    Text,
    /// As a JSON object.
    Json,
}

/// A level of the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Level {
    /// No lines.
    Off,
    /// Failures.
    Error,
    /// Failures, and conditions that may lead to one.
    Warn,
    /// All of the above, and events.
    Info,
    /// All of the above, and details of events.
    Debug,
    /// All lines there are.
    Trace,
}

/// A level, and levels of modules that differ: `info,reviewsd::net=debug`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Levels(String);

impl Default for LogConfig {
    fn default() -> Self {
        Self {
            format: LogFormat::Auto,
            level: Levels("info".to_owned()),
            access: false,
            slow_request_time: Time::from_secs(1),
        }
    }
}

impl LogConfig {
    /// Checks the values that are valid or invalid only together.
    pub(super) fn validate(&self, faults: &mut ConfigErrors) {
        faults.check(
            "log.slow_request_time",
            self.slow_request_time <= TIME_CEILING,
            "at most a day; 0s is off",
        );
    }
}

impl Levels {
    /// Each level with the module that it is for; the one for all others has none.
    pub fn directives(&self) -> impl Iterator<Item = (Option<&str>, Level)> {
        self.0.split(',').filter_map(directive)
    }
}

fn directive(text: &str) -> Option<(Option<&str>, Level)> {
    let text = text.trim();
    let Some((module, level)) = text.split_once('=') else {
        return Some((None, level(text)?));
    };
    let module = module.trim_end();
    let is_name = |name: &str| {
        !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
    };
    let is_module = module.split("::").all(is_name);
    is_module.then_some((Some(module), self::level(level.trim_start())?))
}

fn level(text: &str) -> Option<Level> {
    [
        ("off", Level::Off),
        ("error", Level::Error),
        ("warn", Level::Warn),
        ("info", Level::Info),
        ("debug", Level::Debug),
        ("trace", Level::Trace),
    ]
    .into_iter()
    .find_map(|(name, level)| name.eq_ignore_ascii_case(text).then_some(level))
}

impl fmt::Display for Levels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A text that is no levels.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InvalidLevels;

impl fmt::Display for InvalidLevels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(
            "a level is off, error, warn, info, debug or trace, and may be followed by those of \
             modules, like info,reviewsd::net=debug",
        )
    }
}

impl std::error::Error for InvalidLevels {}

impl FromStr for Levels {
    type Err = InvalidLevels;

    fn from_str(text: &str) -> Result<Self, InvalidLevels> {
        let all = text.split(',').map(directive);
        let general = all.map(|directive| directive.map(|(module, _)| module.is_none()));
        let general: Option<Vec<bool>> = general.collect();
        let general = general.ok_or(InvalidLevels)?.into_iter().filter(|is| *is);
        if general.count() > 1 {
            return Err(InvalidLevels);
        }
        Ok(Self(text.to_owned()))
    }
}

impl Serialize for Levels {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Levels {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_level_and_those_of_modules_are_told_apart() {
        let levels: Levels = "WARN, reviewsd::net=debug,reviewsd = off".parse().unwrap();
        let all: Vec<_> = levels.directives().collect();
        assert_eq!(
            all,
            [
                (None, Level::Warn),
                (Some("reviewsd::net"), Level::Debug),
                (Some("reviewsd"), Level::Off),
            ]
        );
        let one: Levels = "reviewsd::api=trace".parse().unwrap();
        assert_eq!(one.directives().count(), 1);
    }

    #[test]
    fn what_is_no_level_is_refused() {
        for text in [
            "",
            "loud",
            "info,",
            "info,debug",
            "reviewsd::net",
            "reviewsd::net=loud",
            "=info",
            "reviewsd::=info",
            "a b=info",
            "a=b=info",
        ] {
            assert_eq!(text.parse::<Levels>(), Err(InvalidLevels), "{text}");
        }
    }
}
