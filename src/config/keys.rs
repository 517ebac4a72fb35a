//! All keys, as the configuration itself has them, and the value that a text means for one.
//!
//! Must not know where values come from. Invariant: a field of the configuration is a key, by the
//! same name, in every place that a value can come from; there is no second list of the keys.

use std::fmt;

use serde_json::{Map, Value};

use super::Config;

/// The prefix of the environment's variables.
pub(super) const PREFIX: &str = "REVIEWSD_";
/// The names behind the prefix in variables that are no keys, alone or with more behind an underscore: the
/// configuration file's name, the token of commands, the commit of a build, those of the tests and tools of the
/// project, and those that Kubernetes and Docker make for every service.
const OTHERS: [&str; 15] = [
    "CONFIG", "COMMIT", "BENCH", "CHAOS", "CRASH", "GOLDEN", "HOSTILE", "INSIDE", "LOAD", "MERGE",
    "MOTO", "SIM", "SERVICE", "PORT", "TOKEN",
];
/// The endings of keys whose values are secret.
const SECRETS: [&str; 3] = ["_token", "_secret", "_password"];

/// Values by section and name.
pub(super) type Values = Map<String, Value>;

/// One key.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct ConfigKey {
    pub(super) section: String,
    pub(super) name: String,
    /// Null for a key that has no default; its values are texts.
    pub(super) default: Value,
}

/// Every key, in the order of the configuration.
pub(super) struct Keys(Vec<ConfigKey>);

impl Keys {
    /// All of them.
    pub(super) fn all() -> Self {
        let sections = values_of(&Config::default());
        let keys = sections.into_iter().flat_map(|(section, keys)| {
            let keys = match keys {
                Value::Object(keys) => keys,
                _ => Map::new(),
            };
            keys.into_iter().map(move |(name, default)| ConfigKey {
                section: section.clone(),
                name,
                default,
            })
        });
        Self(keys.collect())
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &ConfigKey> {
        self.0.iter()
    }

    /// The sections, each once.
    pub(super) fn sections(&self) -> Vec<&str> {
        let mut sections: Vec<&str> = self.iter().map(|key| key.section.as_str()).collect();
        sections.dedup();
        sections
    }

    /// The key of this name, `net.listen`; otherwise the error.
    pub(super) fn find(&self, name: &str) -> Result<&ConfigKey, String> {
        let found = self.iter().find(|key| key.to_string() == name);
        found.ok_or_else(|| unknown("key", &self.nearest(name).to_string()))
    }

    /// The key that a variable of the environment sets, `NET_LISTEN` after the prefix; none for a
    /// variable that belongs to another program; otherwise the error.
    pub(super) fn find_variable(&self, rest: &str) -> Result<Option<&ConfigKey>, String> {
        let name = |key: &ConfigKey| key.variable().split_off(PREFIX.len());
        if let Some(key) = self.iter().find(|key| name(key) == rest) {
            return Ok(Some(key));
        }
        let is_other = |other: &&str| {
            let after = rest.strip_prefix(*other);
            after.is_some_and(|after| after.is_empty() || after.starts_with('_'))
        };
        if OTHERS.iter().any(is_other) {
            return Ok(None);
        }
        let nearest = self.nearest(&rest.to_lowercase().replacen('_', ".", 1));
        Err(unknown("key", &nearest.variable()))
    }

    /// Returns the sentence about an unknown section.
    pub(super) fn unknown_section(&self, section: &str) -> String {
        let near = |known: &&str| similarity(known, section);
        let sections = self.sections();
        let nearest = sections
            .into_iter()
            .max_by(|a, b| near(a).total_cmp(&near(b)));
        unknown("section", &format!("[{}]", nearest.unwrap_or_default()))
    }

    /// The key that a name is most like; the same name in another section is next to it.
    fn nearest(&self, name: &str) -> &ConfigKey {
        let own = name.rsplit('.').next().unwrap_or(name);
        let near = |key: &&ConfigKey| {
            let as_a_whole = similarity(&key.to_string(), name);
            let by_its_own = similarity(&key.name, own);
            as_a_whole.max(by_its_own * 0.95)
        };
        let nearest = self.iter().max_by(|a, b| near(a).total_cmp(&near(b)));
        nearest.expect("the configuration has a key")
    }
}

fn similarity(a: &str, b: &str) -> f64 {
    strsim::normalized_damerau_levenshtein(a, b)
}

fn unknown(what: &str, nearest: &str) -> String {
    format!("unknown {what}; did you mean {nearest}?")
}

impl ConfigKey {
    /// Its name in the environment.
    pub(super) fn variable(&self) -> String {
        format!("{PREFIX}{}_{}", self.section, self.name).to_uppercase()
    }

    /// True if its value is secret.
    pub(super) fn is_secret(&self) -> bool {
        SECRETS.iter().any(|end| self.name.ends_with(end))
    }

    /// Its value.
    pub(super) fn of<'v>(&self, values: &'v Values) -> &'v Value {
        let section = values.get(&self.section);
        let value = section.and_then(|section| section.get(&self.name));
        value.unwrap_or(&Value::Null)
    }

    /// Sets its value.
    pub(super) fn put(&self, values: &mut Values, value: Value) {
        let section = values.entry(&self.section);
        let section = section.or_insert_with(|| Value::Object(Map::new()));
        if let Value::Object(section) = section {
            section.insert(self.name.clone(), value);
        }
    }

    /// The value of a text from the environment or from a flag; otherwise the error.
    pub(super) fn read(&self, text: &str) -> Result<Value, String> {
        let value = match &self.default {
            Value::Number(_) => text.parse().map(Value::Number).ok(),
            Value::Bool(_) => text.parse().map(Value::Bool).ok(),
            Value::Array(_) => Some(list(text)),
            _ => Some(Value::String(text.to_owned())),
        };
        let mut alone = Values::new();
        self.put(&mut alone, value.ok_or_else(|| self.expected())?);
        let checked: Result<Config, _> = serde_json::from_value(Value::Object(alone.clone()));
        checked.map_err(|error| self.hushed(error.to_string()))?;
        Ok(self.of(&alone).clone())
    }

    fn expected(&self) -> String {
        let expected = match &self.default {
            Value::Bool(_) => "it must be true or false",
            _ => "it must be a whole number",
        };
        expected.to_owned()
    }

    /// Returns a fault of a value, without the value where that is a secret.
    pub(super) fn hushed(&self, what: String) -> String {
        if self.is_secret() {
            return "its value, which is not shown, is not valid".to_owned();
        }
        what
    }
}

/// The texts between the commas.
fn list(text: &str) -> Value {
    let texts = text.split(',').map(str::trim);
    texts.filter(|text| !text.is_empty()).collect()
}

impl fmt::Display for ConfigKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.section, self.name)
    }
}

/// The values of a configuration.
pub(super) fn values_of(config: &Config) -> Values {
    match serde_json::to_value(config) {
        Ok(Value::Object(values)) => values,
        // Only a path that is no text could fail, and every layer gives texts.
        other => panic!("a configuration is sections of plain values, not {other:?}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_is_plain_and_every_name_is_told_apart() {
        let keys = Keys::all();
        assert!(keys.iter().count() > 20);
        let mut variables: Vec<_> = keys.iter().map(ConfigKey::variable).collect();
        variables.sort();
        variables.dedup();
        assert_eq!(variables.len(), keys.iter().count());
        for key in keys.iter() {
            assert!(!key.default.is_object(), "{key}");
        }
    }

    #[test]
    fn names_lead_to_keys_and_misspelled_ones_to_the_nearest() {
        let keys = Keys::all();
        assert_eq!(keys.find("net.listen").unwrap().to_string(), "net.listen");
        for (name, nearest) in [
            ("net.lisen", "net.listen"),
            ("net.idle_time", "net.idle_time_max"),
            ("store.listen", "net.listen"),
            ("nett.listen", "net.listen"),
            ("page_rows_max", "api.page_rows_max"),
            ("writes.rate_limit", "writes.rate_limit_burst"),
            ("writes.voting_window", "writes.vote_window"),
        ] {
            let said = keys.find(name).unwrap_err();
            assert_eq!(said, format!("unknown key; did you mean {nearest}?"));
        }
        let said = keys.unknown_section("nett");
        assert_eq!(said, "unknown section; did you mean [net]?");
    }

    #[test]
    fn variables_lead_to_keys_and_those_of_others_to_none() {
        let keys = Keys::all();
        for key in keys.iter() {
            let variable = key.variable();
            let found = keys.find_variable(variable.strip_prefix(PREFIX).unwrap());
            assert_eq!(found, Ok(Some(key)));
        }
        for others in [
            "CRASH_ROUNDS",
            "PORT_8080_TCP",
            "SERVICE_HOST",
            "COMMIT",
            "PORT",
        ] {
            assert_eq!(keys.find_variable(others), Ok(None), "{others}");
        }
        for (ours, nearest) in [
            ("NET_LISTN", "REVIEWSD_NET_LISTEN"),
            ("NTE_LISTEN", "REVIEWSD_NET_LISTEN"),
            ("LISTEN", "REVIEWSD_NET_LISTEN"),
            ("NET", "REVIEWSD_NET_"),
            ("STORE_DATA_DIR", "REVIEWSD_STORE_DATA"),
            ("FOO", "REVIEWSD_"),
            ("", "REVIEWSD_"),
            ("NETWORK", "REVIEWSD_"),
            ("CONFIGS", "REVIEWSD_"),
        ] {
            let said = keys.find_variable(ours).unwrap_err();
            assert!(said.contains(nearest), "{ours}: {said}");
        }
    }

    #[test]
    fn texts_are_read_as_the_key_wants_them() {
        let keys = Keys::all();
        let read = |name: &str, text: &str| keys.find(name).unwrap().read(text);
        assert_eq!(read("api.page_rows_max", "12"), Ok(Value::from(12)));
        assert_eq!(read("net.listen", "[::1]:80"), Ok(Value::from("[::1]:80")));
        assert_eq!(read("store.memory", "64MiB"), Ok(Value::from("64MiB")));
        let proxies = Value::from(vec!["127.0.0.1", "10.0.0.0/8"]);
        assert_eq!(
            read("net.trusted_proxies", "127.0.0.1, 10.0.0.0/8"),
            Ok(proxies)
        );
        assert_eq!(read("api.cors_origins", ""), Ok(Value::Array(Vec::new())));
        for (name, text, what) in [
            ("api.page_rows_max", "many", "it must be a whole number"),
            ("api.page_rows_max", "", "it must be a whole number"),
            ("api.page_rows_max", "-1", "invalid value"),
            ("net.listen", "", "an address is"),
            ("net.idle_time_max", "9", "a time is"),
            ("api.dialect", "klingon", "unknown variant"),
            ("net.trusted_proxies", "nginx", "a network is"),
        ] {
            let said = read(name, text).unwrap_err();
            assert!(said.starts_with(what), "{name}: {said}");
        }
    }

    #[test]
    fn no_secret_is_told() {
        let secret = ConfigKey {
            section: "net".to_owned(),
            name: "admin_token".to_owned(),
            default: Value::Null,
        };
        let said = secret.hushed("invalid value: string \"hunter2\"".to_owned());
        assert!(!said.contains("hunter2"));
        let plain = Keys::all();
        assert!(!plain.find("net.admin").unwrap().is_secret());
    }
}
