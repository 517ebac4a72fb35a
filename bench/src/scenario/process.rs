//! Programs that are started: their log, the word that they are ready, and their end.
//!
//! Owns the life of a process. It must not know what the program does. Invariant: whatever happens
//! here, a process that was started is ended and waited for.

use std::fs::{self, File};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process, kill_process_group};

use super::error::Error;

const LOOK_PAUSE: Duration = Duration::from_millis(10);
/// The time until a server listens; a database may have to recover.
const READY_TIME_MAX: Duration = Duration::from_mins(1);
/// The time after which a server that is to end is killed; PostgreSQL writes what it has in memory.
const END_TIME_MAX: Duration = Duration::from_mins(1);
/// So much of a log is said when something failed.
const SAID_BYTES_MAX: usize = 600;

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
    ) -> Result<Self, Error> {
        let file = File::create(&log).map_err(Error::file("create", &log))?;
        let twin = file.try_clone().map_err(Error::file("share", &log))?;
        let child = command
            .stdin(Stdio::null())
            .stdout(file)
            .stderr(twin)
            // Ctrl-C is for this program, which ends the others in order.
            .process_group(0)
            .spawn()
            .map_err(|source| Error::Start {
                program: name.to_owned(),
                source,
            })?;
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
    ) -> Result<T, Error> {
        let since = Instant::now();
        loop {
            // In this order, so that the last words of a program that has ended are read.
            let over = self.poll()?.is_some() || since.elapsed() > READY_TIME_MAX;
            let log = fs::read(&self.log).map_err(Error::file("read", &self.log))?;
            let log = String::from_utf8_lossy(&log);
            if let Some(found) = log.lines().find_map(&meaning) {
                return Ok(found);
            }
            if stop.load(Ordering::Relaxed) {
                return Err(Error::Interrupted);
            }
            if over {
                return Err(Error::NotReady {
                    program: self.name.clone(),
                    said: said(&log),
                });
            }
            thread::sleep(LOOK_PAUSE);
        }
    }

    /// Waits for its end, which is to be a success.
    pub(crate) fn wait(&mut self, stop: &AtomicBool) -> Result<(), Error> {
        loop {
            if let Some(status) = self.poll()? {
                return if status.success() {
                    Ok(())
                } else {
                    Err(Error::Failed {
                        program: self.name.clone(),
                        said: said(&String::from_utf8_lossy(
                            &fs::read(&self.log).unwrap_or_default(),
                        )),
                    })
                };
            }
            if stop.load(Ordering::Relaxed) {
                return Err(Error::Interrupted);
            }
            thread::sleep(LOOK_PAUSE);
        }
    }

    fn poll(&mut self) -> Result<Option<ExitStatus>, Error> {
        let status = self.child.try_wait().map_err(|source| Error::Start {
            program: self.name.clone(),
            source,
        })?;
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
pub(crate) fn output(program: &str, command: &mut Command) -> Result<String, Error> {
    let output = command
        .stdin(Stdio::null())
        .output()
        .map_err(|source| Error::Start {
            program: program.to_owned(),
            source,
        })?;
    if !output.status.success() {
        return Err(Error::Failed {
            program: program.to_owned(),
            said: said(&String::from_utf8_lossy(&output.stderr)),
        });
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// The end of a log on one line.
fn said(log: &str) -> String {
    let line = log.split_whitespace().collect::<Vec<_>>().join(" ");
    let cut = line.len().saturating_sub(SAID_BYTES_MAX);
    let start = (cut..=line.len())
        .find(|at| line.is_char_boundary(*at))
        .unwrap_or(0);
    match line.get(start..).unwrap_or_default() {
        "" => "nothing".to_owned(),
        end if start > 0 => format!("… {end}"),
        end => end.to_owned(),
    }
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
        assert_eq!(
            error.to_string(),
            "sh did not become ready; it said: the port is taken"
        );
    }

    #[test]
    fn the_word_that_is_waited_for_is_found_in_the_log() {
        let (_dir, mut process) = shell("echo listening on 127.0.0.1:5; exec sleep 60");
        let stop = AtomicBool::new(false);
        let port = process.wait_for(&stop, |line| {
            line.strip_prefix("listening on ").map(str::to_owned)
        });
        assert_eq!(port.unwrap(), "127.0.0.1:5");
        let pid = process.id();
        drop(process);
        assert!(!std::path::Path::new(&format!("/proc/{pid}")).exists());
    }

    #[test]
    fn what_is_interrupted_is_ended() {
        let (_dir, mut process) = shell("exec sleep 60");
        let stop = AtomicBool::new(true);
        assert!(matches!(process.wait(&stop), Err(Error::Interrupted)));
    }

    #[test]
    fn only_the_end_of_a_long_log_is_said() {
        assert!(said(&"é ".repeat(1000)).starts_with("… "));
        assert_eq!(said("\n"), "nothing");
    }
}
