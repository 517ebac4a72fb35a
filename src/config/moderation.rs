//! `[moderation]`: when a review is published, by which rules it is held or refused, and the limits of clients.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use policy::{Verdict, WordList};
use serde::{Deserialize, Deserializer, Serialize, de};

use super::{ConfigErrors, Error, TIME_CEILING, Time};

/// Reports, reviews or votes beyond which a limit has no effect.
const COUNT_CEILING: u32 = 1_000_000;
/// Reports of a review that the store keeps.
const REPORTS_CEILING: u32 = 255;
/// Links beyond which a text has no space for more.
const LINKS_CEILING: u32 = 10_000;
/// Characters that the body of a review has at most in any case.
pub(crate) const BODY_CHARS_CEILING: usize = 10_000;
/// Clients have given up by then.
const CHECK_TIME_CEILING: Time = Time::from_secs(30);
/// Ten years.
const KEEP_CEILING: Time = Time::from_secs(3650 * 24 * 60 * 60);
/// Bytes of a file of words at most.
const WORDS_BYTES_MAX: u64 = 1 << 20;

/// `[moderation]`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ModerationConfig {
    /// The time at which a review is published.
    pub mode: ModeConfig,
    /// True if a review is published at once whose e-mail address has a published one already.
    pub publish_known: bool,
    /// Clients that report a review before it is hidden.
    pub reports_to_hide: u32,
    /// Reports of one client that may hide a review, within the window; 0 is any number.
    pub reports_per_client: u32,
    /// The window of that number.
    pub reports_per_client_window: Time,
    /// Reviews that one client may post within the window; 0 is any number.
    pub reviews_per_client: u32,
    /// The window of that number.
    pub reviews_per_client_window: Time,
    /// Votes that one client may cast within the window; 0 is any number.
    pub votes_per_client: u32,
    /// The window of that number.
    pub votes_per_client_window: Time,
    /// Reviews that one product may get within the window; 0 is any number.
    pub reviews_per_product: u32,
    /// The window of that number.
    pub reviews_per_product_window: Time,
    /// The verdict on a second review of a product with the same e-mail address.
    pub duplicate_verdict: VerdictConfig,
    /// Blocked words and phrases.
    pub words: Vec<String>,
    /// The file with more of them, one a line.
    pub words_file: Option<PathBuf>,
    /// The verdict on a review with one of them.
    pub words_verdict: VerdictConfig,
    /// Links that a review may have; `None` is any number.
    #[serde(deserialize_with = "count_or_text")]
    pub links_max: Option<u32>,
    /// The verdict on a review with more.
    pub links_verdict: VerdictConfig,
    /// Characters that the body of a review must have.
    pub body_chars_min: usize,
    /// Characters that the body of a review may have.
    pub body_chars_max: usize,
    /// The verdict on a review with fewer or more.
    pub length_verdict: VerdictConfig,
    /// The number of times that a character may stand in a row; 0 is any.
    pub repeated_chars_max: usize,
    /// The words of a body from which on none may be more than half of them; 0 is never.
    pub repeated_words_min: usize,
    /// The verdict on a review that repeats more.
    pub repetition_verdict: VerdictConfig,
    /// The service that is asked about each review.
    pub check_url: Option<String>,
    /// The time for which its answer is waited for.
    pub check_time_max: Time,
    /// The verdict where there is none.
    pub check_unanswered: VerdictConfig,
    /// The time from the removal of a review to its erasure.
    pub undo_time: Time,
    /// The time for which the audit log keeps an entry; zero is for ever.
    pub audit_time: Time,
}

/// The time at which a review is published.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ModeConfig {
    /// At once; it is moderated after it is published.
    #[default]
    After,
    /// Once a moderator approved it; it is moderated before it is published.
    Before,
}

/// A verdict on a review.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum VerdictConfig {
    /// It is published.
    Publish,
    /// It waits for a moderator.
    Hold,
    /// It is refused.
    Refuse,
}

impl From<VerdictConfig> for Verdict {
    fn from(verdict: VerdictConfig) -> Self {
        match verdict {
            VerdictConfig::Publish => Self::Publish,
            VerdictConfig::Hold => Self::Hold,
            VerdictConfig::Refuse => Self::Refuse,
        }
    }
}

impl Default for ModerationConfig {
    fn default() -> Self {
        let hour = Time::from_secs(60 * 60);
        Self {
            mode: ModeConfig::After,
            publish_known: false,
            reports_to_hide: 1,
            reports_per_client: 1000,
            reports_per_client_window: hour,
            reviews_per_client: 0,
            reviews_per_client_window: hour,
            votes_per_client: 0,
            votes_per_client_window: hour,
            reviews_per_product: 0,
            reviews_per_product_window: hour,
            duplicate_verdict: VerdictConfig::Publish,
            words: Vec::new(),
            words_file: None,
            words_verdict: VerdictConfig::Hold,
            links_max: None,
            links_verdict: VerdictConfig::Hold,
            body_chars_min: 0,
            body_chars_max: BODY_CHARS_CEILING,
            length_verdict: VerdictConfig::Refuse,
            repeated_chars_max: 0,
            repeated_words_min: 0,
            repetition_verdict: VerdictConfig::Hold,
            check_url: None,
            check_time_max: Time::from_secs(2),
            check_unanswered: VerdictConfig::Hold,
            undo_time: Time::from_secs(7 * 24 * 60 * 60),
            audit_time: Time::from_secs(0),
        }
    }
}

impl ModerationConfig {
    /// Reads the blocked words, those of the file included.
    ///
    /// # Errors
    ///
    /// When the file cannot be read, or a text is no word.
    pub(crate) fn word_list(&self) -> Result<WordList, Error> {
        let mut words = WordList::default();
        for word in &self.words {
            words.add(word).map_err(|why| Error::OutOfRange {
                key: "moderation.words",
                expected: format!("a list of words and phrases; {word:?} is none: {why}"),
                origin: super::Origin::Default,
            })?;
        }
        if let Some(path) = &self.words_file {
            let text = read_words(path).map_err(|cause| Error::Read {
                path: path.clone(),
                cause,
            })?;
            words.add_lines(&text).map_err(|(line, why)| Error::Parse {
                path: path.clone(),
                line: Some(line),
                key: Some("moderation.words_file".to_owned()),
                what: why.to_string(),
            })?;
        }
        Ok(words)
    }

    /// Returns the service that is asked about reviews: its scheme with its host and port, and the path there.
    pub(crate) fn check_address(&self) -> Option<(String, String)> {
        address(self.check_url.as_deref()?)
    }

    /// Checks the values that are valid or invalid only together.
    pub(super) fn validate(&self, faults: &mut ConfigErrors) {
        faults.check(
            "moderation.reports_to_hide",
            (1..=REPORTS_CEILING).contains(&self.reports_to_hide),
            format!("from 1 to {REPORTS_CEILING}"),
        );
        for (key, count) in [
            ("moderation.reports_per_client", self.reports_per_client),
            ("moderation.reviews_per_client", self.reviews_per_client),
            ("moderation.votes_per_client", self.votes_per_client),
            ("moderation.reviews_per_product", self.reviews_per_product),
        ] {
            let expected = format!("at most {COUNT_CEILING}; 0 is off");
            faults.check(key, count <= COUNT_CEILING, expected);
        }
        for (key, window) in [
            (
                "moderation.reports_per_client_window",
                self.reports_per_client_window,
            ),
            (
                "moderation.reviews_per_client_window",
                self.reviews_per_client_window,
            ),
            (
                "moderation.votes_per_client_window",
                self.votes_per_client_window,
            ),
            (
                "moderation.reviews_per_product_window",
                self.reviews_per_product_window,
            ),
        ] {
            let is_valid = (Time::from_secs(1)..=TIME_CEILING).contains(&window);
            faults.check(key, is_valid, "from 1s to a day");
        }
        self.validate_rules(faults);
        faults.check(
            "moderation.check_url",
            self.check_url.is_none() || self.check_address().is_some(),
            r#"a URL like "http://127.0.0.1:9000/check""#,
        );
        let waits = Time::from_secs(0) < self.check_time_max;
        faults.check(
            "moderation.check_time_max",
            waits && self.check_time_max <= CHECK_TIME_CEILING,
            format!("longer than 0s and at most {CHECK_TIME_CEILING}"),
        );
        for (key, time) in [
            ("moderation.undo_time", self.undo_time),
            ("moderation.audit_time", self.audit_time),
        ] {
            faults.check(key, time <= KEEP_CEILING, format!("at most {KEEP_CEILING}"));
        }
    }

    fn validate_rules(&self, faults: &mut ConfigErrors) {
        faults.take(self.word_list());
        faults.check(
            "moderation.links_max",
            self.links_max.is_none_or(|links| links <= LINKS_CEILING),
            format!("at most {LINKS_CEILING}"),
        );
        faults.check(
            "moderation.body_chars_min",
            self.body_chars_min <= self.body_chars_max,
            "at most moderation.body_chars_max",
        );
        for (key, chars) in [
            ("moderation.body_chars_max", self.body_chars_max),
            ("moderation.repeated_chars_max", self.repeated_chars_max),
            ("moderation.repeated_words_min", self.repeated_words_min),
        ] {
            let expected = format!("at most {BODY_CHARS_CEILING}");
            faults.check(key, chars <= BODY_CHARS_CEILING, expected);
        }
    }
}

/// Reads a file of words.
fn read_words(path: &Path) -> io::Result<String> {
    let mut text = String::new();
    File::open(path)?
        .take(WORDS_BYTES_MAX + 1)
        .read_to_string(&mut text)?;
    if text.len() as u64 > WORDS_BYTES_MAX {
        let what = format!("a file of words has at most {WORDS_BYTES_MAX} bytes");
        return Err(io::Error::other(what));
    }
    Ok(text)
}

/// The scheme with the host and the port of a URL, and its path.
fn address(url: &str) -> Option<(String, String)> {
    let (scheme, rest) = url.split_once("://")?;
    let port = match scheme {
        "http" => 80,
        "https" => 443,
        _ => return None,
    };
    let (authority, path) = match rest.find(['/', '?']) {
        Some(end) => rest.split_at_checked(end)?,
        None => (rest, "/"),
    };
    let is_plain = |text: &str| text.bytes().all(|byte| byte.is_ascii_graphic());
    let is_host = !authority.is_empty() && !authority.contains('@') && !authority.starts_with(':');
    if !is_host || !is_plain(url) || url.contains('#') {
        return None;
    }
    // The colons of an IPv6 address are in brackets.
    let behind = authority.rsplit(']').next().unwrap_or(authority);
    let authority = match behind.rsplit_once(':') {
        Some((_, port)) => {
            port.parse::<u16>().ok()?;
            authority.to_owned()
        }
        None => format!("{authority}:{port}"),
    };
    let root = if path.starts_with('/') { "" } else { "/" };
    Some((format!("{scheme}://{authority}"), format!("{root}{path}")))
}

/// A whole number, or the digits of one: in the environment every value is a text.
fn count_or_text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u32>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum CountOrText {
        Count(u32),
        Text(String),
    }
    let count = match Option::deserialize(deserializer) {
        Ok(None) => return Ok(None),
        Ok(Some(CountOrText::Count(count))) => Some(count),
        Ok(Some(CountOrText::Text(text))) => text.parse().ok(),
        Err(_) => None,
    };
    let wrong = || de::Error::custom("it must be a whole number");
    count.map(Some).ok_or_else(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(change: impl FnOnce(&mut ModerationConfig)) -> String {
        let mut config = ModerationConfig::default();
        change(&mut config);
        let mut faults = ConfigErrors::default();
        config.validate(&mut faults);
        let refused = faults.into_result();
        refused
            .err()
            .map_or_else(String::new, |fault| fault.to_string())
    }

    #[test]
    fn values_that_cannot_be_served_with_are_refused_by_name() {
        assert_eq!(refused(|_| ()), "");
        let names = |change: fn(&mut ModerationConfig), key: &str| {
            let sentence = refused(change);
            assert!(sentence.contains(key), "{sentence}");
        };
        names(|c| c.reports_to_hide = 0, "moderation.reports_to_hide");
        names(
            |c| c.votes_per_client = u32::MAX,
            "moderation.votes_per_client",
        );
        names(
            |c| c.reviews_per_product_window = Time::from_millis(1),
            "moderation.reviews_per_product_window",
        );
        names(|c| c.links_max = Some(u32::MAX), "moderation.links_max");
        names(
            |c| c.body_chars_max = BODY_CHARS_CEILING + 1,
            "moderation.body_chars_max",
        );
        names(
            |c| (c.body_chars_min, c.body_chars_max) = (2, 1),
            "moderation.body_chars_min",
        );
        names(|c| c.words = vec!["--".to_owned()], "moderation.words");
        names(
            |c| c.words_file = Some("/nonexistent/words".into()),
            "/nonexistent/words",
        );
        names(
            |c| c.check_time_max = Time::from_secs(31),
            "moderation.check_time_max",
        );
        names(
            |c| c.check_url = Some("check".to_owned()),
            "moderation.check_url",
        );
    }

    #[test]
    fn words_come_from_the_list_and_from_the_file() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("words");
        std::fs::write(&file, "# more\ncasino\n--\n").unwrap();
        let mut config = ModerationConfig {
            words: vec!["buy now".to_owned()],
            words_file: Some(file.clone()),
            ..ModerationConfig::default()
        };
        let wrong = config.word_list().unwrap_err().to_string();
        let expected = "words, line 3, moderation.words_file: a word must have a letter or a digit";
        assert!(wrong.ends_with(expected), "{wrong}");
        std::fs::write(&file, "casino\n").unwrap();
        let mut expected = WordList::default();
        expected.add_lines("buy now\ncasino").unwrap();
        assert_eq!(config.word_list().unwrap(), expected);
        std::fs::write(&file, "x\n".repeat(1 << 19) + "y").unwrap();
        assert!(config.word_list().is_err());
        config.words_file = None;
        assert_ne!(config.word_list().unwrap(), expected);
    }

    #[test]
    fn the_url_of_a_check_is_a_server_and_a_path() {
        for (url, server, path) in [
            (
                "http://127.0.0.1:9000/check",
                "http://127.0.0.1:9000",
                "/check",
            ),
            ("http://spam.example", "http://spam.example:80", "/"),
            ("https://a.example?k=1", "https://a.example:443", "/?k=1"),
            ("http://[::1]/x", "http://[::1]:80", "/x"),
            ("http://[::1]:9/x", "http://[::1]:9", "/x"),
        ] {
            let expected = Some((server.to_owned(), path.to_owned()));
            assert_eq!(address(url), expected, "{url}");
        }
        for url in [
            "",
            "127.0.0.1:9000",
            "ftp://a",
            "http://",
            "http:///x",
            "http://:80",
            "http://a:port",
            "http://u@a",
            "http://a b",
            "http://a/#x",
        ] {
            assert_eq!(address(url), None, "{url}");
        }
    }

    #[test]
    fn a_number_may_be_a_text() {
        let of = |json: &str| {
            let config: Result<ModerationConfig, _> = serde_json::from_str(json);
            config.map(|config| config.links_max).ok()
        };
        assert_eq!(of(r#"{"links_max":2}"#), Some(Some(2)));
        assert_eq!(of(r#"{"links_max":"2"}"#), Some(Some(2)));
        assert_eq!(of(r#"{"links_max":null}"#), Some(None));
        assert_eq!(of("{}"), Some(None));
        assert_eq!(of(r#"{"links_max":"many"}"#), None);
        assert_eq!(of(r#"{"links_max":-1}"#), None);
    }
}
