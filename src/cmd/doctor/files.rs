//! Owners and modes of the server's files: its data directory, its tokens and its key.
//!
//! Must not change a file, nor open the store. Symbolic links are not followed.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::config::Config;
use crate::replication::Token;
use crate::token_file;

use super::super::figures::counted;
use super::super::sentence;
use super::finding::DoctorReport;

/// Files looked at; a store has some hundreds.
const FILES_MAX: usize = 100_000;

pub(super) fn check(config: &Config, report: &mut DoctorReport) {
    if let Some(data) = &config.store.data {
        check_data(data, report);
    }
    let tokens = [&config.replication.token_file, &config.replica.token_file];
    let mut tokens: Vec<&PathBuf> = tokens.into_iter().flatten().collect();
    tokens.dedup();
    for file in tokens {
        match Token::read(file) {
            Ok(_) => check_secret("token", file, report),
            Err(error) => report.add(
                "token",
                sentence(&error),
                "make one: head -c 24 /dev/urandom | base64 > FILE, readable for the server's user",
            ),
        }
    }
    if let Some(file) = &config.admin.tokens_file
        && let Err(error) = token_file::read(file)
    {
        report.add(
            "tokens",
            sentence(&error),
            "make or mend it with `reviewsd token`, for the server's user alone; the server keeps the tokens that \
             it had, and does not start again",
        );
    }
    if let Some(key) = &config.tls.key_file {
        check_secret("key", key, report);
    }
}

/// Checks that a secret is there, and private.
fn check_secret(check: &'static str, file: &Path, report: &mut DoctorReport) {
    match fs::metadata(file) {
        Ok(metadata) if metadata.mode() & 0o007 != 0 => report.add(
            check,
            format!(
                "any user of this machine may read {} (mode {:o}), which is a secret",
                file.display(),
                metadata.mode() & 0o777
            ),
            format!("chmod o= {}", file.display()),
        ),
        Ok(_) => {}
        Err(error) => report.add(
            check,
            format!("cannot read {}: {error}", file.display()),
            "create the file, readable for the server's user",
        ),
    }
}

fn check_data(data: &Path, report: &mut DoctorReport) {
    let metadata = match fs::metadata(data) {
        Ok(metadata) => metadata,
        // The server makes one.
        Err(error) if error.kind() == io::ErrorKind::NotFound => return,
        Err(error) => {
            return report.unchecked(format!("{}: {error}", data.display()));
        }
    };
    if metadata.mode() & 0o077 != 0 {
        report.add(
            "mode",
            format!(
                "other users of this machine may read {} (mode {:o}), which has e-mail addresses",
                data.display(),
                metadata.mode() & 0o777
            ),
            format!("chmod 700 {}", data.display()),
        );
    }
    let mut foreign_files = ForeignFiles::default();
    foreign_files.look(data, metadata.uid(), report);
    if let Some(first) = foreign_files.first {
        report.add(
            "owner",
            format!(
                "{} in {} belong to another user than the directory does, {} (user {}) among them: the \
                 server can neither change nor back them up",
                counted(foreign_files.count, "file"),
                data.display(),
                first.0.display(),
                first.1
            ),
            format!(
                "chown -R --no-dereference --reference={0} {0}, and run commands as the owner (runuser -u \
                 reviewsd -- …)",
                data.display()
            ),
        );
    }
}

/// Files of other users.
#[derive(Default)]
struct ForeignFiles {
    count: usize,
    /// The first of them, and its owner.
    first: Option<(PathBuf, u32)>,
}

impl ForeignFiles {
    fn look(&mut self, data: &Path, owner: u32, report: &mut DoctorReport) {
        let (mut dirs, mut seen) = (vec![data.to_owned()], 0);
        while let Some(dir) = dirs.pop() {
            let entries = match fs::read_dir(&dir) {
                Ok(entries) => entries,
                Err(error) => {
                    report.unchecked(format!("{}: {error}", dir.display()));
                    continue;
                }
            };
            for entry in entries.flatten() {
                // A file that was deleted meanwhile needs no check.
                let Ok(metadata) = entry.metadata() else {
                    continue;
                };
                if metadata.uid() != owner {
                    self.count += 1;
                    self.first.get_or_insert((entry.path(), metadata.uid()));
                }
                if metadata.is_dir() {
                    dirs.push(entry.path());
                }
                seen += 1;
                if seen >= FILES_MAX {
                    return report.unchecked(format!(
                        "{}: it has more than {FILES_MAX} files, and the rest was not checked",
                        data.display()
                    ));
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn found(config: &Config) -> Vec<(&'static str, String)> {
        let mut report = DoctorReport::default();
        check(config, &mut report);
        assert_eq!(report.unchecked, Vec::<String>::new());
        let found = report.findings.into_iter();
        found.map(|one| (one.check, one.what)).collect()
    }

    fn chmod(path: &Path, mode: u32) {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    }

    #[test]
    fn data_directory_that_others_can_look_into_is_a_finding() {
        let dir = tempfile::tempdir().unwrap();
        let mut config = Config::default();
        config.store.data = Some(dir.path().to_owned());
        chmod(dir.path(), 0o700);
        assert_eq!(found(&config), []);
        chmod(dir.path(), 0o755);
        let found = found(&config);
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].0 == "mode" && found[0].1.contains("(mode 755)"));
        config.store.data = Some(dir.path().join("none"));
        assert_eq!(super::tests::found(&config), []);
    }

    #[test]
    fn files_of_another_owner_are_counted_and_one_is_named() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("store")).unwrap();
        fs::write(dir.path().join("store/000001.sst"), "").unwrap();
        let own = fs::metadata(dir.path()).unwrap().uid();
        let mut report = DoctorReport::default();
        let mut foreign_files = ForeignFiles::default();
        foreign_files.look(dir.path(), own, &mut report);
        assert!(foreign_files.first.is_none() && foreign_files.count == 0);
        foreign_files.look(dir.path(), own + 1, &mut report);
        assert_eq!(foreign_files.count, 2);
        assert_eq!(foreign_files.first.unwrap().1, own);
    }

    #[test]
    fn secret_that_is_missing_unfit_or_readable_is_a_finding() {
        let dir = tempfile::tempdir().unwrap();
        let (token, key) = (dir.path().join("token"), dir.path().join("node.key"));
        let mut config = Config::default();
        config.replication.token_file = Some(token.clone());
        config.replica.token_file = Some(token.clone());
        config.tls.key_file = Some(key.clone());
        let checks = |config| -> Vec<_> { found(config).into_iter().map(|one| one.0).collect() };
        assert_eq!(checks(&config), ["token", "key"]);
        fs::write(&token, "short").unwrap();
        fs::write(&key, "").unwrap();
        chmod(&key, 0o600);
        assert_eq!(checks(&config), ["token"]);
        fs::write(&token, "a-token-of-24-characters\n").unwrap();
        chmod(&token, 0o640);
        assert_eq!(found(&config), []);
        chmod(&token, 0o644);
        chmod(&key, 0o604);
        assert_eq!(checks(&config), ["token", "key"]);
    }
}
