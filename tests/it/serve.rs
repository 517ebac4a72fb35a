//! The program itself, over real sockets.

mod access;
mod config;
mod crowds;
mod doctor;
mod hostile;
mod http;
mod lifetime;
mod limits;
mod log;
mod metrics;
mod moderation;
mod operator;
mod reload;
mod resident;
mod startup;
mod usage;
mod writes;

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Child, ChildStderr, Command, Output, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use socket2::{Domain, Socket, Type};
use tempfile::TempDir;

use crate::support::{no_forks, shop_dir};

/// The time after which a test gives up; no test waits for it to pass.
const PATIENCE: Duration = Duration::from_secs(30);

/// A server that was started, on ports of its own.
struct Server {
    child: Child,
    log: BufReader<ChildStderr>,
    api: SocketAddr,
    admin: SocketAddr,
    dir: TempDir,
}

fn command(data: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_reviewsd"));
    command.arg("serve").arg("--data").arg(data);
    command.args(["--memory", "64MiB", "--admin", "127.0.0.1:0"]);
    // Whatever this machine is configured to, unless a test names a file of its own.
    command.env("REVIEWSD_CONFIG", "/dev/null");
    command
}

impl Server {
    /// The shop, with `config` besides the defaults.
    fn with(config: &str) -> Self {
        Self::of(shop_dir(), config)
    }

    fn of(dir: TempDir, config: &str) -> Self {
        let file = dir.path().with_extension("toml");
        fs::write(&file, config).unwrap();
        let server = Self::reading(&file, dir);
        fs::remove_file(file).unwrap();
        server
    }

    /// The store in `dir`, with the configuration in a file that stays.
    fn reading(file: &Path, dir: TempDir) -> Self {
        let mut command = command(dir.path());
        command.args(["--listen", "127.0.0.1:0", "--config"]);
        let mut child = started(command.arg(file));
        let mut log = BufReader::new(child.stderr.take().unwrap());
        let api = address(&mut log, "(api)");
        let admin = address(&mut log, "(admin)");
        Self {
            child,
            log,
            api,
            admin,
            dir,
        }
    }

    fn connect(&self) -> Client {
        Client::to(self.api)
    }

    fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(i32::try_from(self.child.id()).unwrap()).unwrap();
        kill_process(pid, signal).unwrap();
    }

    /// The next line of the log that has all of these words.
    fn told(&mut self, words: &[&str]) -> String {
        loop {
            let mut line = String::new();
            let read = self.log.read_line(&mut line).unwrap();
            assert_ne!(read, 0, "the log ended without {words:?}");
            if words.iter().all(|word| line.contains(word)) {
                return line;
            }
        }
    }

    /// Waits for the end; gives the exit code and the rest of the log.
    fn ended(mut self) -> (Option<i32>, String) {
        let mut log = String::new();
        self.log.read_to_string(&mut log).unwrap();
        (self.child.wait().unwrap().code(), log)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Only a test that failed leaves one running.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn address(log: &mut impl BufRead, of: &str) -> SocketAddr {
    let mut read = String::new();
    loop {
        let mut line = String::new();
        assert_ne!(log.read_line(&mut line).unwrap(), 0, "it ended: {read}");
        if let Some((address, listener)) = listening(&line)
            && listener == of
        {
            return address;
        }
        read.push_str(&line);
    }
}

/// The address in a line of the log, and its listener: `(api)` or `(admin)`.
pub(crate) fn listening(line: &str) -> Option<(SocketAddr, &str)> {
    let (_, rest) = line.split_once("listening on http://")?;
    let (address, rest) = rest.split_once(' ')?;
    // As JSON the line goes on behind it.
    let listener = rest.split_inclusive(')').next()?;
    Some((address.parse().unwrap(), listener))
}

pub(crate) fn line_with(log: &mut impl BufRead, words: &str) -> String {
    let mut read = String::new();
    loop {
        let mut line = String::new();
        assert_ne!(log.read_line(&mut line).unwrap(), 0, "it ended: {read}");
        if line.contains(words) {
            return line;
        }
        read.push_str(&line);
    }
}

pub(crate) use startup::skipped;

/// Runs the program to its end, which must come by itself.
fn output(command: &mut Command) -> Output {
    started(command).wait_with_output().unwrap()
}

fn started(command: &mut Command) -> Child {
    let _no_forks = no_forks();
    command.stdin(Stdio::null()).stdout(Stdio::null());
    command.stderr(Stdio::piped()).spawn().unwrap()
}

/// A process that ends with the test at the latest.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A client that writes and reads bytes.
struct Client {
    socket: BufReader<TcpStream>,
}

/// The status, the head in lower case and the body of an answer.
struct Answer {
    status: u16,
    head: String,
    body: Vec<u8>,
}

impl Client {
    fn to(address: SocketAddr) -> Self {
        let socket = TcpStream::connect(address).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        Self {
            socket: BufReader::new(socket),
        }
    }

    /// One that has read the first byte of an answer so large that the server cannot be done with
    /// it before the client takes more.
    fn in_the_middle_of_an_answer(address: SocketAddr) -> Self {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        socket.set_recv_buffer_size(4096).unwrap();
        socket.connect(&address.into()).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut client = Self {
            socket: BufReader::new(socket.into()),
        };
        client.send("GET /reviews?product_id=20&count=5000 HTTP/1.1\r\nHost: shop\r\n\r\n");
        assert!(!client.socket.fill_buf().unwrap().is_empty());
        client
    }

    fn send(&mut self, text: &str) {
        self.socket.get_mut().write_all(text.as_bytes()).unwrap();
    }

    fn ask(&mut self, path: &str) -> Answer {
        self.send(&format!("GET {path} HTTP/1.1\r\nHost: shop\r\n\r\n"));
        self.answer()
    }

    fn answer(&mut self) -> Answer {
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            let read = self.socket.read_line(&mut head).unwrap();
            assert_ne!(read, 0, "the connection ended in {head:?}");
        }
        let head = head.to_ascii_lowercase();
        let length = head
            .lines()
            .find_map(|line| line.strip_prefix("content-length: "));
        let mut body = vec![0; length.map_or(0, |length| length.parse().unwrap())];
        self.socket.read_exact(&mut body).unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        Answer { status, head, body }
    }

    /// True if the server ends the connection without another byte.
    fn is_closed(&mut self) -> bool {
        let mut rest = Vec::new();
        match self.socket.read_to_end(&mut rest) {
            Ok(_) => rest.is_empty(),
            Err(error) => error.kind() == std::io::ErrorKind::ConnectionReset,
        }
    }

    /// True if no byte comes for a moment. A server that is about to send one makes a test that
    /// relies on this fail to notice, never fail.
    fn is_waiting(&mut self) -> bool {
        let moment = Duration::from_millis(100);
        self.socket
            .get_mut()
            .set_read_timeout(Some(moment))
            .unwrap();
        let read = self.socket.fill_buf().map(<[u8]>::len);
        self.socket
            .get_mut()
            .set_read_timeout(Some(PATIENCE))
            .unwrap();
        read.is_err_and(|error| error.kind() == std::io::ErrorKind::WouldBlock)
    }
}
