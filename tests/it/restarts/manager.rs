//! The part of systemd that a server under test needs: it opens the port, receives the messages, stores
//! connections, and starts the next process with all of them.

use std::io::{self, IoSliceMut, Read};
use std::mem::MaybeUninit;
use std::net::TcpListener;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Condvar, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use rustix::io::{FdFlags, fcntl_dupfd_cloexec, fcntl_setfd};
use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, recvmsg};
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use crate::support::no_forks;

/// The time after which a test gives up; no test waits for it to pass.
const PATIENCE: Duration = Duration::from_secs(30);
/// Numbers from here on are moved to those that the protocol wants, in the child.
const MOVED_FROM: i32 = 300;
/// No other file of the tests has a number from here on.
const LAST_FROM: i32 = 900;
/// Gives the sockets named before `--` the numbers that the protocol wants, says for which process they
/// are, and becomes the program named after it.
const MOVE_SOCKETS: &str = r#"
    use POSIX ();
    my $to = 3;
    while ((my $from = shift) ne "--") {
        POSIX::dup2($from, $to++) // die $!;
        POSIX::close($from);
    }
    $ENV{LISTEN_PID} = $$;
    exec @ARGV or die $!;
"#;

/// The server's messages, and the descriptors that are stored for the next one.
#[derive(Default)]
struct Heard {
    messages: Vec<String>,
    /// The number of messages that a test has waited for.
    seen: usize,
    kept: Vec<(String, OwnedFd)>,
}

type Ears = Arc<(Mutex<Heard>, Condvar)>;

/// The manager of one server.
pub(crate) struct Manager {
    data: PathBuf,
    listener: TcpListener,
    name: &'static str,
    watchdog: Option<Duration>,
    /// More words of the command line.
    words: Vec<String>,
    ears: Ears,
    hearing: Option<JoinHandle<()>>,
    dir: TempDir,
    child: Option<Child>,
}

impl Manager {
    /// One for the data directory and the open port of a server.
    pub(crate) fn new(data: &Path, listener: TcpListener) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let socket = UnixDatagram::bind(dir.path().join("notify")).unwrap();
        let ears = Ears::default();
        let heard = Arc::clone(&ears);
        Self {
            data: data.to_owned(),
            listener,
            name: "public",
            watchdog: None,
            words: Vec::new(),
            ears,
            hearing: Some(thread::spawn(move || hear(&socket, &heard))),
            dir,
            child: None,
        }
    }

    /// Gives the port another name.
    pub(crate) fn name(&mut self, name: &'static str) {
        self.name = name;
    }

    /// Starts the server with these words as well.
    pub(crate) fn words<const N: usize>(&mut self, words: [&str; N]) {
        self.words = words.map(str::to_owned).into();
    }

    /// Wants to hear that the server lives.
    pub(crate) fn watchdog(&mut self, time: Duration) {
        self.watchdog = Some(time);
    }

    /// Starts the server and waits until it says that it serves.
    pub(crate) fn start(&mut self) {
        self.spawn();
        self.wait_for("READY=1");
    }

    /// Starts a server that must not start; returns its exit status and its output.
    pub(crate) fn refused(&mut self) -> (ExitStatus, String) {
        self.spawn();
        let mut child = self.child.take().unwrap();
        let mut said = String::new();
        let mut stderr = child.stderr.take().unwrap();
        stderr.read_to_string(&mut said).unwrap();
        (child.wait().unwrap(), said)
    }

    /// Ends the server as systemd does.
    pub(crate) fn stop(&mut self) -> ExitStatus {
        let mut child = self.child.take().unwrap();
        let pid = Pid::from_raw(i32::try_from(child.id()).unwrap()).unwrap();
        kill_process(pid, Signal::TERM).unwrap();
        child.wait().unwrap()
    }

    /// Lets the server read its configuration again, as systemd does, and waits until it has.
    pub(crate) fn reload(&mut self) {
        let pid = self.child.as_ref().unwrap().id();
        let pid = Pid::from_raw(i32::try_from(pid).unwrap()).unwrap();
        kill_process(pid, Signal::HUP).unwrap();
        self.wait_for("RELOADING=1");
        self.wait_for("READY=1");
    }

    /// Ends it and starts the next; returns how many connections were stored in between.
    pub(crate) fn restart(&mut self) -> usize {
        let ended = self.stop();
        assert_eq!(ended.code(), Some(0), "{ended}");
        let kept = self.ears.0.lock().unwrap().kept.len();
        self.start();
        kept
    }

    /// All messages of the server.
    pub(crate) fn told(&self) -> Vec<String> {
        self.ears.0.lock().unwrap().messages.clone()
    }

    /// Waits for a message with this line that no earlier call waited for.
    pub(crate) fn wait_for(&self, line: &str) {
        let (heard, more) = &*self.ears;
        let mut heard = heard.lock().unwrap();
        loop {
            let new = heard.messages.iter().skip(heard.seen);
            let found = new.enumerate().find(|(_, m)| m.lines().any(|l| l == line));
            if let Some((after, _)) = found {
                heard.seen += after + 1;
                return;
            }
            let (next, waited) = more.wait_timeout(heard, PATIENCE).unwrap();
            assert!(!waited.timed_out(), "no {line}: {:#?}", next.messages);
            heard = next;
        }
    }

    fn spawn(&mut self) {
        let heard = self.ears.0.lock().unwrap();
        let kept = heard
            .kept
            .iter()
            .map(|(name, fd)| (name.as_str(), fd.as_fd()));
        let sockets: Vec<_> = [(self.name, self.listener.as_fd())]
            .into_iter()
            .chain(kept)
            .collect();
        let names: Vec<_> = sockets.iter().map(|(name, _)| *name).collect();
        // The descriptors that this child inherits must not be inherited by another one that starts meanwhile.
        let _no_forks = no_forks();
        let mut command = Command::new("perl");
        command.args(["-e", MOVE_SOCKETS]);
        let inherited = sockets.iter().map(|(_, socket)| {
            let number = fcntl_dupfd_cloexec(socket, MOVED_FROM).unwrap();
            fcntl_setfd(&number, FdFlags::empty()).unwrap();
            number
        });
        let inherited: Vec<_> = inherited.collect();
        for number in &inherited {
            command.arg(number.as_raw_fd().to_string());
        }
        command.args(["--", env!("CARGO_BIN_EXE_reviewsd")]);
        command.arg("serve").arg("--data").arg(&self.data);
        command.args(["--memory", "64MiB", "--admin", "127.0.0.1:0"]);
        command.args(&self.words);
        command.env("LISTEN_FDS", sockets.len().to_string());
        command.env("LISTEN_FDNAMES", names.join(":"));
        command.env("NOTIFY_SOCKET", self.dir.path().join("notify"));
        if let Some(time) = self.watchdog {
            command.env("WATCHDOG_USEC", time.as_micros().to_string());
        }
        let stderr = self.dir.path().join("log");
        command.stdin(Stdio::null()).stdout(Stdio::null());
        if self.name == "public" {
            let log = std::fs::File::options()
                .create(true)
                .append(true)
                .open(stderr);
            command.stderr(log.unwrap());
        } else {
            command.stderr(Stdio::piped());
        }
        self.child = Some(spawn(&mut command));
    }
}

impl Drop for Manager {
    fn drop(&mut self) {
        // Only a test that failed leaves one running.
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
        let end = UnixDatagram::unbound().unwrap();
        let _ = end.send_to(b"END", self.dir.path().join("notify"));
        let _ = self.hearing.take().map(JoinHandle::join);
    }
}

/// Starts a process and waits until it has closed all that it is not to inherit, locks of other tests above
/// all: it does that a moment after `Command::spawn` returns.
fn spawn(command: &mut Command) -> Child {
    let (mut end, closes) = io::pipe().unwrap();
    // They are closed in the order of their numbers, so this one is the last.
    let last = fcntl_dupfd_cloexec(closes, LAST_FROM).unwrap();
    let child = command.spawn().unwrap();
    drop(last);
    assert_eq!(end.read(&mut [0]).unwrap(), 0);
    child
}

/// Does the server's requests, until the manager ends.
fn hear(socket: &UnixDatagram, ears: &Ears) {
    loop {
        let (message, fds) = receive(socket);
        if message == "END" {
            return;
        }
        let (heard, more) = &**ears;
        let mut heard = heard.lock().unwrap();
        let lines: Vec<_> = message.lines().collect();
        let name = lines.iter().find_map(|line| line.strip_prefix("FDNAME="));
        match lines.first() {
            Some(&"FDSTORE=1") => {
                let name = name.unwrap();
                heard
                    .kept
                    .extend(fds.into_iter().map(|fd| (name.to_owned(), fd)));
            }
            Some(&"FDSTOREREMOVE=1") => heard.kept.retain(|(kept, _)| Some(kept.as_str()) != name),
            // Closing the descriptor of a barrier is the answer to it.
            _ => drop(fds),
        }
        heard.messages.push(message);
        more.notify_all();
    }
}

fn receive(socket: &UnixDatagram) -> (String, Vec<OwnedFd>) {
    let mut text = [0; 4096];
    let mut room = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(253))];
    let mut control = RecvAncillaryBuffer::new(&mut room);
    let mut parts = [IoSliceMut::new(&mut text)];
    let received = recvmsg(socket, &mut parts, &mut control, RecvFlags::CMSG_CLOEXEC).unwrap();
    let fds = control.drain().filter_map(|message| match message {
        RecvAncillaryMessage::ScmRights(fds) => Some(fds),
        _ => None,
    });
    let fds = fds.flatten().collect();
    (
        String::from_utf8(text[..received.bytes].to_vec()).unwrap(),
        fds,
    )
}
