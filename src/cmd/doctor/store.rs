//! The store itself: whether it is whole, whether it takes writes, and whether it is the configured one.
//!
//! Must not open the store: a server that has it open is asked instead.

use std::io;

use crate::config::Config;
use crate::store::{self, BackedUp, Error, StoreOnDisk};

use super::super::sentence;
use super::finding::DoctorReport;
use super::nodes::NodeStatus;

/// The remedy where a sentence has none of its own.
const REMEDY: &str = "restore a backup (/usr/share/doc/reviewsd/docs/runbooks/restore.md), or promote a \
                      replica";

/// Checks the store. `own` is the status of this server, if it runs. Returns the last backup that the data
/// directory records.
pub(super) fn check(
    config: &Config,
    own: Option<&NodeStatus>,
    report: &mut DoctorReport,
) -> Option<BackedUp> {
    let data = config.store.data.as_ref()?;
    let store_id = match own {
        Some(own) => {
            if let Some(why) = &own.fenced {
                report_sentence("fence", why, report);
            }
            u128::from_str_radix(&own.store, 16).ok()
        }
        None => match store::look(data) {
            Ok(sight) => sight.map(|sight| judge(&sight, config, report)),
            Err(error) => {
                if is_out_of_reach(&error) {
                    report.unchecked(sentence(&error));
                } else {
                    report_sentence("store", &sentence(&error), report);
                }
                None
            }
        },
    };
    store::last_backup(data, store_id?)
}

/// Judges a store that no server has open.
fn judge(sight: &StoreOnDisk, config: &Config, report: &mut DoctorReport) -> u128 {
    if let Some(why) = &sight.fence {
        report_sentence("fence", &why.to_string(), report);
    }
    if let (Some(primary), None) = (&sight.follows, &config.replica.follow) {
        report.add(
            "role",
            format!(
                "the store is a replica of {primary}, and the configuration has no replica.follow, so \
                 it is not served"
            ),
            format!(
                "set replica.follow = \"{primary}\", or promote it \
                 (/usr/share/doc/reviewsd/docs/runbooks/primary-lost.md)"
            ),
        );
    }
    sight.store_id
}

/// Reports a sentence that says what to do behind its first semicolon.
fn report_sentence(check: &'static str, sentence: &str, report: &mut DoctorReport) {
    let (what, remedy) = sentence.split_once("; ").unwrap_or((sentence, REMEDY));
    report.add(check, what, remedy);
}

/// True if this user may not look.
fn is_out_of_reach(error: &Error) -> bool {
    match error {
        Error::Io { source, .. } => source.kind() == io::ErrorKind::PermissionDenied,
        // In RocksDB's words.
        other => other.to_string().contains("Permission denied"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Fence;

    fn found(sight: &StoreOnDisk, config: &Config) -> Vec<(&'static str, String, String)> {
        let mut report = DoctorReport::default();
        judge(sight, config, &mut report);
        let found = report.findings.into_iter();
        found.map(|one| (one.check, one.what, one.remedy)).collect()
    }

    #[test]
    fn copy_without_its_primary_in_the_configuration_is_found() {
        let mut config = Config::default();
        let primary = Some("http://10.0.0.1:8081".to_owned());
        let mut sight = StoreOnDisk {
            store_id: 7,
            follows: primary.clone(),
            fence: None,
        };
        let role = found(&sight, &config);
        assert_eq!(role.len(), 1);
        assert!(role[0].0 == "role" && role[0].2.contains("http://10.0.0.1:8081"));
        config.replica.follow = primary;
        assert_eq!(found(&sight, &config), []);
        sight.follows = None;
        assert_eq!(found(&sight, &Config::default()), []);
    }

    #[test]
    fn store_that_takes_no_writes_is_found_with_its_remedy() {
        let sight = StoreOnDisk {
            store_id: 7,
            follows: None,
            fence: Some(Fence::Superseded { epoch: 4 }),
        };
        let fence = found(&sight, &Config::default());
        assert!(fence[0].1.contains("since epoch 4"), "{fence:?}");
        assert_eq!(fence[0].2, "start this one with --follow");
    }
}
