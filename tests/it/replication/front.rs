//! nginx with the configuration that is bundled, as a process: `config/nginx.conf` as it is, but for
//! addresses and ports and, where a test wants it, the cache.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use super::eventually;
use super::host::{Host, runs};
use crate::chance::say;
use crate::support::no_forks;

/// The file that is tested.
const BUNDLED: &str = include_str!("../../../config/nginx.conf");
const CACHE: &str = "/var/cache/nginx/reviewsd";
const WORKERS: u64 = 2;
/// Attempts to find a port that no other process has taken.
const TRIES: usize = 5;

/// The program, if it is installed. It may not be in the usual `PATH`.
pub(crate) fn program() -> Option<&'static str> {
    let places = ["nginx", "/usr/sbin/nginx"];
    places.into_iter().find(|place| runs(place, &["-v"]))
}

/// The addresses of nginx and of its upstreams.
#[derive(Debug, Clone)]
pub(super) struct Routes {
    pub(super) listen: SocketAddr,
    pub(super) copies: Vec<SocketAddr>,
    pub(super) primary: SocketAddr,
    pub(super) is_cached: bool,
}

impl Routes {
    /// The bundled file with these addresses.
    fn write(&self, cache: &Path) -> String {
        let mut lines = Vec::new();
        // The lines that must be there to be changed, so that the tested file is the bundled one.
        let (mut copies, mut primaries, mut listens, mut caches) = (0, 0, 0, 0);
        for line in BUNDLED.lines() {
            let words = line.trim_start();
            if let Some(rest) = words.strip_prefix("server 10.0.0.1:8080") {
                primaries += 1;
                lines.push(format!("server {}{rest}", self.primary));
            } else if words.starts_with("server 10.0.0.") {
                let (_, rest) = words.split_once(":8080").unwrap();
                if copies == 0 {
                    let servers = self.copies.iter();
                    lines.extend(servers.map(|copy| format!("server {copy}{rest}")));
                }
                copies += 1;
            } else if words == "listen 80;" {
                listens += 1;
                lines.push(format!("listen {};", self.listen));
            } else if words == "listen [::]:80;" {
                listens += 1;
            } else if let Some(rest) = words
                .strip_prefix("#proxy_cache")
                .filter(|_| self.is_cached)
            {
                caches += 1;
                let rest = rest.replace(CACHE, cache.to_str().unwrap());
                lines.push(format!("proxy_cache{rest}"));
            } else {
                lines.push(line.to_owned());
            }
        }
        let caches_wanted = if self.is_cached { 2 } else { 0 };
        let changed = (copies, primaries, listens, caches);
        assert_eq!(changed, (3, 2, 2, caches_wanted));
        lines.join("\n") + "\n"
    }
}

/// nginx. It ends with the test.
pub(super) struct Front {
    child: Child,
    /// The command that runs nginx.
    nginx: Vec<String>,
    dir: TempDir,
    routes: Routes,
    reloads: u64,
}

impl Front {
    /// Starts one here.
    pub(super) fn start(copies: &[SocketAddr], primary: SocketAddr, is_cached: bool) -> Self {
        for _ in 0..TRIES {
            // It cannot choose a port itself.
            let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
            let routes = Routes {
                listen: free.local_addr().unwrap(),
                copies: copies.to_vec(),
                primary,
                is_cached,
            };
            drop(free);
            if let Some(front) = Self::begin(routes, Vec::new()) {
                return front;
            }
        }
        panic!("no port is free");
    }

    /// Starts one on a machine.
    pub(super) fn start_on(host: &Host, copies: &[SocketAddr], primary: SocketAddr) -> Self {
        let routes = Routes {
            listen: (host.address, 80).into(),
            copies: copies.to_vec(),
            primary,
            is_cached: false,
        };
        Self::begin(routes, host.prefix()).expect("the port is somebody else's")
    }

    /// None if another process has the port.
    fn begin(routes: Routes, mut words: Vec<String>) -> Option<Self> {
        let dir = tempfile::tempdir().unwrap();
        write_main(dir.path());
        words.extend([
            program().unwrap().to_owned(),
            format!("-p{}", dir.path().display()),
            "-cnginx.conf".to_owned(),
        ]);
        routes.apply(dir.path(), &words);
        let mut command = Command::new(&words[0]);
        command.args(&words[1..]).args(["-g", "daemon off;"]);
        command.stdin(Stdio::null()).stdout(Stdio::null());
        let mut child = {
            let _no_forks = no_forks();
            command.stderr(Stdio::null()).spawn().unwrap()
        };
        let mut is_taken = false;
        eventually("nginx listens", || {
            is_taken = child.try_wait().unwrap().is_some();
            // It notes its number once the port is its own.
            let is_its_own = dir.path().join("pid").exists();
            is_taken || (is_its_own && TcpStream::connect(routes.listen).is_ok())
        });
        let front = Self {
            child,
            nginx: words,
            dir,
            routes,
            reloads: 0,
        };
        let log = front.log();
        assert!(!is_taken || log.contains("Address already in use"), "{log}");
        (!is_taken).then_some(front)
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.routes.listen
    }

    /// Does the steps of an operator after a failover: other addresses, and a reload.
    pub(super) fn repoint(&mut self, copies: &[SocketAddr], primary: SocketAddr) {
        self.routes.copies = copies.to_vec();
        self.routes.primary = primary;
        self.routes.apply(self.dir.path(), &self.nginx);
        self.signal(Signal::HUP);
        self.reloads += 1;
        // From then on the old workers accept no more.
        eventually("the workers are new ones", || {
            let gone = self.log().matches("gracefully shutting down").count() as u64;
            gone >= WORKERS * self.reloads
        });
    }

    /// The number of times that its addresses were changed.
    pub(super) fn reloads(&self) -> u64 {
        self.reloads
    }

    /// Its log.
    fn log(&self) -> String {
        fs::read_to_string(self.dir.path().join("log")).unwrap_or_default()
    }

    /// The upstream requests, a line for each: method, path, status, and upstream. nginx writes
    /// them behind its answers; so many are waited for.
    pub(super) fn requests(&self, lines_min: usize) -> Vec<String> {
        let mut lines = Vec::new();
        eventually("nginx tells of its requests", || {
            lines = self.requests_so_far();
            lines.len() >= lines_min
        });
        lines
    }

    fn requests_so_far(&self) -> Vec<String> {
        let text = fs::read_to_string(self.dir.path().join("requests")).unwrap();
        text.lines().map(str::to_owned).collect()
    }

    fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(i32::try_from(self.child.id()).unwrap()).unwrap();
        let _ = kill_process(pid, signal);
    }
}

impl Routes {
    /// Writes the file, in which nginx must find no error.
    fn apply(&self, dir: &Path, nginx: &[String]) {
        let text = self.write(&dir.join("cache"));
        fs::write(dir.join("reviewsd.conf"), text).unwrap();
        let mut check = Command::new(&nginx[0]);
        let tested = {
            let _no_forks = no_forks();
            check
                .args(&nginx[1..])
                .arg("-t")
                .stdin(Stdio::null())
                .output()
                .unwrap()
        };
        let said = String::from_utf8_lossy(&tested.stderr);
        assert!(
            tested.status.success() && !said.contains("[warn]"),
            "{said}"
        );
    }
}

impl Drop for Front {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let log = self.log();
            say(&format!(
                "nginx said:\n{}",
                end_of(&log.lines().collect::<Vec<_>>())
            ));
            let requests = self.requests_so_far();
            let requests: Vec<_> = requests.iter().map(String::as_str).collect();
            say(&format!("it was asked:\n{}", end_of(&requests)));
        }
        // Killed, it would leave its workers behind.
        self.signal(Signal::TERM);
        let _ = self.child.wait();
    }
}

/// The last lines of a long text.
fn end_of(lines: &[&str]) -> String {
    lines[lines.len().saturating_sub(20)..].join("\n")
}

/// Writes the configuration around the bundled file, in place of Debian's.
pub(crate) fn write_main(dir: &Path) {
    let place = dir.display();
    let user = if rustix::process::geteuid().is_root() {
        "user root;"
    } else {
        ""
    };
    let temp = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"];
    let temp = temp.map(|name| format!("    {name}_temp_path {place}/{name};\n"));
    let text = format!(
        "{user}
worker_processes {WORKERS};
worker_shutdown_timeout 10s;
pid {place}/pid;
error_log {place}/log notice;
events {{
    worker_connections 512;
}}
http {{
{}    log_format requests '$request_method $request_uri $status $upstream_addr $upstream_status';
    access_log {place}/requests requests;
    include {place}/reviewsd.conf;
}}
",
        temp.concat()
    );
    fs::write(dir.join("nginx.conf"), text).unwrap();
}
