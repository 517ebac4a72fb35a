//! Programs that are started: where they are, their log, the word that they are ready, and their end.
//!
//! Owns the life of a process. It must not know what the program does. Invariant: whatever happens
//! here, a process that was started is ended and waited for.

use std::env;
use std::fmt;
use std::fs::{self, File};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use rustix::process::{Pid, Signal, kill_process, kill_process_group};

use crate::text::cannot;

const LOOK_PAUSE: Duration = Duration::from_millis(10);
/// The time until a server listens; a database may have to recover.
const READY_TIME_MAX: Duration = Duration::from_mins(1);
/// The time after which a server that is to end is killed; PostgreSQL writes what it has in memory.
const END_TIME_MAX: Duration = Duration::from_mins(1);
/// So much of a log is said when something failed.
const SAID_BYTES_MAX: usize = 600;
/// The directories in which Debian keeps programs that are not on the path.
const ELSEWHERE: [&str; 3] = ["/usr/sbin", "/usr/local/sbin", "/sbin"];

/// Why a peer is left out, as a sentence that names what to install. The rest goes on without it.
#[derive(Debug)]
pub(crate) struct Skipped(pub(crate) String);

impl fmt::Display for Skipped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Skipped {}

/// A program that runs.
pub(crate) struct Process {
    name: String,
    child: Child,
    log: PathBuf,
    /// The signal that asks it to end.
    end: Signal,
    ended: bool,
}

impl Process {
    /// Starts it in a process group of its own, with all that it says going to `log`.
    pub(crate) fn start(
        name: &str,
        mut command: Command,
        log: PathBuf,
        end: Signal,
    ) -> Result<Self> {
        let file = File::create(&log).with_context(cannot("create", &log))?;
        let child = command
            .stdin(Stdio::null())
            .stdout(file.try_clone()?)
            .stderr(file)
            // Ctrl-C is for this program, which ends the others in order.
            .process_group(0)
            .spawn()
            .with_context(|| format!("cannot start {name}"))?;
        Ok(Self {
            name: name.to_owned(),
            child,
            log,
            end,
            ended: false,
        })
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Waits for a line of its log that means something.
    pub(crate) fn wait_for<T>(
        &mut self,
        stop: &AtomicBool,
        meaning: impl Fn(&str) -> Option<T>,
    ) -> Result<T> {
        let since = Instant::now();
        loop {
            // In this order, so that the last words of a program that has ended are read.
            let over = self.poll()?.is_some() || since.elapsed() > READY_TIME_MAX;
            let log = self.log();
            if let Some(found) = log.lines().find_map(&meaning) {
                return Ok(found);
            }
            ensure!(!stop.load(Ordering::Relaxed), "interrupted");
            let (name, said) = (&self.name, said(&log));
            ensure!(!over, "{name} did not become ready; it said: {said}");
            thread::sleep(LOOK_PAUSE);
        }
    }

    /// Waits for its end, which is to be a success.
    pub(crate) fn wait(&mut self, stop: &AtomicBool) -> Result<()> {
        let status = loop {
            if let Some(status) = self.poll()? {
                break status;
            }
            ensure!(!stop.load(Ordering::Relaxed), "interrupted");
            thread::sleep(LOOK_PAUSE);
        };
        let (name, said) = (&self.name, said(&self.log()));
        ensure!(status.success(), "{name} failed; it said: {said}");
        Ok(())
    }

    fn log(&self) -> String {
        let log = fs::read(&self.log).unwrap_or_default();
        String::from_utf8_lossy(&log).into_owned()
    }

    fn poll(&mut self) -> Result<Option<ExitStatus>> {
        let status = self.child.try_wait()?;
        self.ended |= status.is_some();
        Ok(status)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if self.ended {
            return;
        }
        let pid = i32::try_from(self.id()).ok().and_then(Pid::from_raw);
        let since = Instant::now();
        if let Some(pid) = pid {
            // Where it fails, the process is gone already.
            let _ = kill_process(pid, self.end);
            while !matches!(self.poll(), Ok(Some(_)) | Err(_)) && since.elapsed() < END_TIME_MAX {
                thread::sleep(LOOK_PAUSE);
            }
            let _ = kill_process_group(pid, Signal::KILL);
        }
        let _ = self.child.wait();
    }
}

/// Runs a short command to its end and gives what it wrote to standard output.
pub(crate) fn output(program: &str, command: &mut Command) -> Result<String> {
    let output = command.stdin(Stdio::null()).output();
    let output = output.with_context(|| format!("cannot start {program}"))?;
    let said = said(&String::from_utf8_lossy(&output.stderr));
    ensure!(output.status.success(), "{program} failed; it said: {said}");
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// The end of a log on one line.
fn said(log: &str) -> String {
    let line = log.split_whitespace().collect::<Vec<_>>().join(" ");
    let cut = line.ceil_char_boundary(line.len().saturating_sub(SAID_BYTES_MAX));
    match line.split_at(cut) {
        (_, "") => "nothing".to_owned(),
        ("", all) => all.to_owned(),
        (_, end) => format!("… {end}"),
    }
}

/// The program of this name; where there is none, the package that has it.
pub(crate) fn find(name: &str, package: &str) -> Result<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let mut dirs = env::split_paths(&path).chain(ELSEWHERE.map(PathBuf::from));
    if let Some(dir) = dirs.find(|dir| is_program(&dir.join(name))) {
        return Ok(dir.join(name));
    }
    bail!(Skipped(format!(
        "there is no {name} here; on Debian it is in the package {package}"
    )));
}

/// The directory of PostgreSQL's programs, the highest version there is.
pub(crate) fn find_postgresql() -> Result<PathBuf> {
    let entries = fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .flatten();
    let versions = entries.filter_map(|entry| {
        let version: u32 = entry.file_name().to_str()?.parse().ok()?;
        let dir = entry.path().join("bin");
        is_program(&dir.join("initdb")).then_some((version, dir))
    });
    if let Some((_, dir)) = versions.max_by_key(|(version, _)| *version) {
        return Ok(dir);
    }
    let initdb = find("initdb", "postgresql")?;
    Ok(initdb.parent().map(Path::to_owned).unwrap_or_default())
}

/// The version that a program says it has: the first word that reads like one.
pub(crate) fn version_of(program: &Path, flag: &str) -> Option<String> {
    let mut command = Command::new("sh");
    // nginx says it on standard error.
    command.args(["-c", "exec \"$1\" \"$2\" 2>&1", "sh"]);
    command.arg(program).arg(flag);
    let text = output("a program's version", &mut command).ok()?;
    let words = text.split(|char: char| char.is_whitespace() || matches!(char, '/' | '(' | ')'));
    let mut words = words.map(|word| word.trim_start_matches('v').trim_end_matches(','));
    let version = words
        .find(|word| word.starts_with(|char: char| char.is_ascii_digit()) && word.contains('.'));
    version.map(str::to_owned)
}

fn is_program(path: &Path) -> bool {
    let meta = fs::metadata(path);
    meta.is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> (tempfile::TempDir, Process) {
        let dir = tempfile::tempdir().unwrap();
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        let log = dir.path().join("log");
        let process = Process::start("sh", command, log, Signal::TERM).unwrap();
        (dir, process)
    }

    #[test]
    fn a_server_that_ends_before_it_is_ready_is_quoted() {
        let (_dir, mut process) = shell("echo the port is taken >&2; exit 3");
        let stop = AtomicBool::new(false);
        let error = process.wait_for(&stop, |_| None::<()>).unwrap_err();
        let expected = "sh did not become ready; it said: the port is taken";
        assert_eq!(error.to_string(), expected);
    }

    #[test]
    fn a_process_is_ready_by_its_log_and_ends_with_its_handle() {
        let (_dir, mut process) = shell("echo listening on 127.0.0.1:5; exec sleep 60");
        let stop = AtomicBool::new(false);
        let port = process.wait_for(&stop, |line| {
            line.strip_prefix("listening on ").map(str::to_owned)
        });
        assert_eq!(port.unwrap(), "127.0.0.1:5");
        stop.store(true, Ordering::Relaxed);
        assert_eq!(process.wait(&stop).unwrap_err().to_string(), "interrupted");
        let pid = process.id();
        drop(process);
        assert!(!Path::new(&format!("/proc/{pid}")).exists());
    }

    #[test]
    fn only_the_end_of_a_long_log_is_quoted() {
        assert!(said(&"é ".repeat(1000)).starts_with("… "));
        assert_eq!(said("\n"), "nothing");
    }

    #[test]
    fn a_missing_program_is_named_with_its_package() {
        let error = find("no-such-program", "some-package").unwrap_err();
        let Skipped(why) = error.downcast_ref().unwrap();
        assert_eq!(
            why,
            "there is no no-such-program here; on Debian it is in the package some-package"
        );
    }

    #[test]
    fn a_version_is_found_in_the_words_of_a_program() {
        let dir = tempfile::tempdir().unwrap();
        let script = dir.path().join("program");
        for (said, version) in [
            ("nginx version: nginx/1.22.1", Some("1.22.1")),
            (
                "postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)",
                Some("15.18"),
            ),
            ("v20.20.2", Some("20.20.2")),
            ("command not found", None),
        ] {
            fs::write(&script, format!("echo '{said}' >&2")).unwrap();
            assert_eq!(
                version_of(Path::new("/bin/sh"), script.to_str().unwrap()).as_deref(),
                version
            );
        }
    }
}
