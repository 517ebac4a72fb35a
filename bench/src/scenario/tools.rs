//! Programs of others: where they are, and the sentence for one that is not there.
//!
//! Owns the search and the reading of versions. It must not know what they are used for.

use std::env;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::error::Skipped;
use super::process::output;

/// The directories in which Debian keeps programs that are not on the path.
const ELSEWHERE: [&str; 3] = ["/usr/sbin", "/usr/local/sbin", "/sbin"];
const POSTGRESQL: &str = "/usr/lib/postgresql";

/// The program of this name; where there is none, the package that has it.
pub(crate) fn find(name: &str, package: &str) -> Result<PathBuf, Skipped> {
    let path = env::var_os("PATH").unwrap_or_default();
    let dirs = env::split_paths(&path).chain(ELSEWHERE.map(PathBuf::from));
    dirs.map(|dir| dir.join(name))
        .find(|path| is_program(path))
        .ok_or_else(|| missing(name, package))
}

/// The directory of PostgreSQL's programs, the highest version there is.
pub(crate) fn find_postgresql() -> Result<PathBuf, Skipped> {
    let entries = fs::read_dir(POSTGRESQL).into_iter().flatten().flatten();
    let versions = entries.filter_map(|entry| {
        let version: u32 = entry.file_name().to_str()?.parse().ok()?;
        let dir = entry.path().join("bin");
        is_program(&dir.join("initdb")).then_some((version, dir))
    });
    if let Some((_, dir)) = versions.max_by_key(|(version, _)| *version) {
        return Ok(dir);
    }
    let initdb = find("initdb", "postgresql")?;
    let dir = initdb.parent().map(Path::to_owned);
    dir.ok_or_else(|| missing("initdb", "postgresql"))
}

/// The version that a program says it has.
pub(crate) fn version_of(program: &Path, flag: &str) -> Option<String> {
    let mut command = Command::new("sh");
    // nginx says it on standard error.
    command.args(["-c", "exec \"$1\" \"$2\" 2>&1", "sh"]);
    command.arg(program).arg(flag);
    version_in(&output("a program's version", &mut command).ok()?)
}

/// The first word of a text that reads like a version.
fn version_in(text: &str) -> Option<String> {
    let words = text.split(|char: char| char.is_whitespace() || matches!(char, '/' | '(' | ')'));
    words
        .map(|word| word.trim_start_matches('v').trim_end_matches(','))
        .find(|word| word.starts_with(|char: char| char.is_ascii_digit()) && word.contains('.'))
        .map(str::to_owned)
}

fn missing(name: &str, package: &str) -> Skipped {
    Skipped(format!(
        "there is no {name} here; on Debian it is in the package {package}"
    ))
}

fn is_program(path: &Path) -> bool {
    let meta = fs::metadata(path);
    meta.is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_found_in_what_programs_say_of_themselves() {
        for (said, version) in [
            ("v20.20.2\n", Some("20.20.2")),
            ("nginx version: nginx/1.22.1\n", Some("1.22.1")),
            (
                "postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)\n",
                Some("15.18"),
            ),
            ("reviewsd 0.1.0\n", Some("0.1.0")),
            ("11.19.1\n", Some("11.19.1")),
            ("command not found", None),
        ] {
            assert_eq!(version_in(said).as_deref(), version, "{said}");
        }
    }

    #[test]
    fn what_is_missing_is_named_with_its_package() {
        let Skipped(why) = find("no-such-program-anywhere", "some-package").unwrap_err();
        assert_eq!(
            why,
            "there is no no-such-program-anywhere here; on Debian it is in the package some-package"
        );
    }
}
