//! From the command line and the environment to the sources of the configuration.
//!
//! Must not know what is valid. Invariant: a flag gives the key that has its name.

use std::env;
use std::path::PathBuf;

use crate::cli::{Assignment, SettingsArgs};
use crate::config::{FlagValue, Sources};

/// Returns the sources of the values that a command line leads to.
pub(super) fn of(args: &SettingsArgs) -> Sources {
    let own = [
        ("--data", "store.data", args.data.clone()),
        ("--memory", "store.memory", text(args.memory.as_ref())),
        ("--dialect", "api.dialect", text(args.dialect.as_ref())),
        ("--listen", "net.listen", text(args.listen.as_ref())),
        ("--admin", "net.admin", text(args.admin.as_ref())),
        ("--follow", "replica.follow", args.follow.clone()),
    ];
    let own = own.into_iter().filter_map(|(flag, key, text)| {
        Some(FlagValue {
            flag: flag.to_owned(),
            key: key.to_owned(),
            text: text?,
        })
    });
    let mut sources = of_some(args.config.as_ref(), &args.set);
    sources.flags.extend(own);
    sources
}

/// The same for a command that has no flags of its own for keys.
pub(super) fn of_some(file: Option<&PathBuf>, set: &[Assignment]) -> Sources {
    let flags = set.iter().map(|set| FlagValue {
        flag: format!("--set {}", set.key),
        key: set.key.clone(),
        text: set.value.clone(),
    });
    Sources {
        file: file.cloned(),
        variables: env::vars_os().collect(),
        flags: flags.collect(),
    }
}

fn text(value: Option<&impl ToString>) -> Option<String> {
    value.map(ToString::to_string)
}
