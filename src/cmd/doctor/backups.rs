//! The age of the latest backup, and whether it is this store's.
//!
//! Must not write to the target.

use super::super::backup::runtime;
use super::super::sentence;
use crate::backup::{self, BackupTarget, ListedSnapshot};
use crate::config::Config;
use crate::model::calendar::parse_rfc3339;
use crate::model::clock::now_ms;
use crate::store::BackedUp;

use super::finding::DoctorReport;
use super::nodes::NodeStatus;

/// One night's backup may take two hours longer than the last one's.
const AGE_HOURS_MAX: i64 = 26;
pub(super) const HOUR_MS: i64 = 3_600_000;
/// Clocks of a machine and of a target may differ by so much.
const CLOCKS_MS: i64 = 60_000;

/// Checks the configured target of backups. `own` is the status of this server, `noted` the last backup that
/// its data directory records.
pub(super) fn check(
    config: &Config,
    own: Option<&NodeStatus>,
    noted: Option<BackedUp>,
    report: &mut DoctorReport,
) {
    let Some(to) = &config.backup.to else {
        return judge_note(noted, now_ms(), report);
    };
    let listed = BackupTarget::to_read(to).and_then(|target| {
        let runtime = runtime().map_err(|_| backup::Error::Place(to.clone()));
        runtime?.block_on(backup::list(&target))
    });
    match listed {
        Err(error) => {
            report.add(
                "backup",
                format!("the backups in {to} cannot be listed: {}", sentence(&error)),
                "check that the target exists and that this user may read it, then take a backup: \
                 systemctl start reviewsd-backup",
            );
            judge_note(noted, now_ms(), report);
        }
        Ok(listing) => judge(&listing.backups, to, (own, noted), now_ms(), report),
    }
}

/// True if a backup was taken since it was due.
pub(super) fn is_recent(taken_ms: i64, now_ms: i64) -> bool {
    now_ms - taken_ms <= AGE_HOURS_MAX * HOUR_MS
}

/// Judges the age of the last backup by the data directory alone.
fn judge_note(noted: Option<BackedUp>, now_ms: i64, report: &mut DoctorReport) {
    let Some(old) = noted.filter(|noted| !is_recent(noted.time_ms, now_ms)) else {
        return;
    };
    report.add(
        "backup",
        format!(
            "the last complete backup was {} hours ago, as BACKUP in the data directory says",
            (now_ms - old.time_ms) / HOUR_MS
        ),
        "take one: reviewsd backup --to TARGET, or systemctl start reviewsd-backup",
    );
}

/// `entries` are the latest first.
fn judge(
    entries: &[ListedSnapshot],
    to: &str,
    (own, noted): (Option<&NodeStatus>, Option<BackedUp>),
    now_ms: i64,
    report: &mut DoctorReport,
) {
    let Some(latest) = entries.iter().find(|entry| entry.unusable.is_none()) else {
        return report.add(
            "backup",
            format!("there is no backup in {to} that can be used"),
            "take one: systemctl start reviewsd-backup, and every night: systemctl enable --now \
             reviewsd-backup.timer",
        );
    };
    // Segments shipped since the backup was taken count as well.
    let times = [&latest.taken, &latest.reaches_time].into_iter().flatten();
    let latest_ms = times.filter_map(|time| parse_rfc3339(time)).max();
    if let Some(latest_ms) = latest_ms.filter(|latest_ms| !is_recent(*latest_ms, now_ms)) {
        report.add(
            "backup",
            format!(
                "the latest backup in {to} is {} hours old",
                (now_ms - latest_ms) / HOUR_MS
            ),
            "see why no newer one is there: journalctl -u reviewsd-backup -n 20, and systemctl \
             list-timers reviewsd-backup",
        );
    }
    let (Some(own), Some(at)) = (own, &latest.at) else {
        return;
    };
    let is_own = latest.store.as_deref() == Some(own.store.as_str());
    if is_own && at.epoch > own.epoch {
        report.add(
            "primaries",
            format!(
                "the latest backup in {to} is of epoch {}, and this server is in epoch {}: another \
                 server has become the primary",
                at.epoch, own.epoch
            ),
            "end this one (systemctl disable --now reviewsd.socket reviewsd-admin.socket reviewsd), and \
             start it with --follow and the address of the other",
        );
    } else if is_own {
        judge_origin(latest, to, noted, now_ms, report);
    } else {
        report.add(
            "backup",
            format!("the latest backup in {to} is of another store than this server's"),
            "give each store a place of its own: backup.to",
        );
    }
}

/// A backup of this store that this server did not take, while it takes its own, is another machine's.
fn judge_origin(
    latest: &ListedSnapshot,
    to: &str,
    noted: Option<BackedUp>,
    now_ms: i64,
    report: &mut DoctorReport,
) {
    let taken_ms = latest.taken.as_deref().and_then(parse_rfc3339);
    let noted = noted.filter(|noted| is_recent(noted.time_ms, now_ms));
    let (Some(taken_ms), Some(noted)) = (taken_ms, noted) else {
        return;
    };
    if taken_ms > noted.time_ms + CLOCKS_MS {
        report.add(
            "backup",
            format!(
                "the latest backup in {to} is of this store, and this server did not take it, so two \
                 machines back up the same store"
            ),
            "let one of them do it: on the other systemctl disable --now reviewsd-backup.timer \
             reviewsd-backup-follow",
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backup::ListedPosition;

    fn entry(taken: &str, epoch: u64) -> ListedSnapshot {
        ListedSnapshot {
            id: "one".to_owned(),
            unusable: None,
            taken: Some(taken.to_owned()),
            store: Some("a".to_owned()),
            at: Some(ListedPosition {
                epoch,
                seq: 7,
                chain: String::new(),
            }),
            bytes: 0,
            new_bytes: 0,
            reaches: None,
            reaches_time: Some(taken.to_owned()),
        }
    }

    fn found(entries: &[ListedSnapshot], store: &str) -> Vec<String> {
        found_beside(entries, store, None)
    }

    fn ms(time: &str) -> i64 {
        parse_rfc3339(time).unwrap()
    }

    fn found_beside(entries: &[ListedSnapshot], store: &str, noted: Option<&str>) -> Vec<String> {
        let own = NodeStatus {
            store: store.to_owned(),
            epoch: 1,
            ..NodeStatus::default()
        };
        let noted = noted.map(|time| BackedUp {
            time_ms: ms(time),
            seq: 7,
        });
        let now = ms("2026-11-21T12:00:00Z");
        let mut report = DoctorReport::default();
        judge(
            entries,
            "/mnt/backups",
            (Some(&own), noted),
            now,
            &mut report,
        );
        let found = report.findings.into_iter();
        found
            .map(|one| format!("{}: {}", one.check, one.what))
            .collect()
    }

    #[test]
    fn backup_that_is_missing_old_or_a_strangers_is_a_finding() {
        let recent = entry("2026-11-21T03:00:00.000Z", 1);
        assert_eq!(found(&[recent], "a"), Vec::<String>::new());
        let none = found(&[], "a");
        assert!(none[0].contains("no backup in /mnt/backups"), "{none:?}");
        let old = found(&[entry("2026-11-20T09:00:00.000Z", 1)], "a");
        assert_eq!(
            old,
            ["backup: the latest backup in /mnt/backups is 27 hours old"]
        );
        let strange = found(&[entry("2026-11-21T03:00:00.000Z", 1)], "b");
        assert!(strange[0].contains("another store"), "{strange:?}");
    }

    #[test]
    fn backup_that_this_server_was_not_told_of_is_another_machines() {
        let entries = [entry("2026-11-21T03:00:00.000Z", 1)];
        for (noted, is_others) in [
            (None, false),
            (Some("2026-11-21T03:00:05Z"), false),
            (Some("2026-11-21T02:59:30Z"), false),
            (Some("2026-11-21T02:30:00Z"), true),
            // The store was once backed up by this server, and is by another one now.
            (Some("2026-11-19T02:30:00Z"), false),
        ] {
            let found = found_beside(&entries, "a", noted);
            assert_eq!(found.len(), usize::from(is_others), "{noted:?}");
        }
    }

    #[test]
    fn note_of_the_last_backup_tells_its_age() {
        for (hours, findings) in [(1, 0), (26, 0), (27, 1)] {
            let noted = BackedUp { time_ms: 0, seq: 7 };
            let mut report = DoctorReport::default();
            judge_note(Some(noted), hours * HOUR_MS, &mut report);
            assert_eq!(report.findings.len(), findings, "{hours}");
        }
    }

    #[test]
    fn backup_of_a_later_epoch_tells_of_another_primary() {
        let later = found(&[entry("2026-11-21T03:00:00.000Z", 2)], "a");
        assert!(later[0].starts_with("primaries: "), "{later:?}");
        let mut unusable = entry("2026-11-21T03:00:00.000Z", 2);
        unusable.unusable = Some("damaged".to_owned());
        let found = found(&[unusable, entry("2026-11-21T03:00:00.000Z", 1)], "a");
        assert_eq!(found, Vec::<String>::new());
    }
}
