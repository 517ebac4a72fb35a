//! nginx: a cache before a server, or a server of one file.
//!
//! Owns how its configuration is filled in; what it says stands in `bench/peers/nginx/`.

use std::fs;
use std::net::{SocketAddr, TcpListener};
use std::path::Path;

use anyhow::{Context, Result};
use rustix::process::Signal;

use super::Starting;
use crate::scenario::process::{Process, find};
use crate::scenario::setting::remove_dir;
use crate::text::cannot;

/// nginx takes no port 0. A free one is asked for before it starts; should another program be
/// quicker, the next one is tried.
const TRIES_MAX: usize = 5;

impl Starting<'_> {
    /// Starts a cache before the server at `upstream`.
    pub(super) fn cache(&mut self, upstream: SocketAddr) -> Result<SocketAddr> {
        self.nginx("cache.conf", &[("{upstream}", &upstream.to_string())])
    }

    /// Starts a server that answers everything with the bytes of a file.
    pub(super) fn file(&mut self, body: &Path) -> Result<SocketAddr> {
        let dir = body.parent().unwrap_or(Path::new("/")).to_string_lossy();
        let name = body.file_name().unwrap_or_default().to_string_lossy();
        self.nginx("file.conf", &[("{dir}", &dir), ("{name}", &name)])
    }

    fn nginx(&mut self, template: &str, values: &[(&str, &str)]) -> Result<SocketAddr> {
        let program = find("nginx", "nginx-light")?;
        let path = self.setting.peers.join("nginx").join(template);
        let template = fs::read_to_string(&path).with_context(cannot("read", &path))?;
        let mut tries = 0;
        loop {
            tries += 1;
            let address = free_address()?;
            let mut text = template.replace("{listen}", &address.to_string());
            for (name, value) in values {
                text = text.replace(name, value);
            }
            match self.start_nginx(&program, &text) {
                Ok(process) => {
                    self.processes.push(process);
                    return Ok(address);
                }
                Err(error) if tries == TRIES_MAX => return Err(error),
                Err(_) => self.setting.stopped()?,
            }
        }
    }

    fn start_nginx(&self, program: &Path, text: &str) -> Result<Process> {
        let home = self.setting.scratch.path("nginx");
        // Also its cache of an earlier start.
        remove_dir(&home)?;
        fs::create_dir_all(&home).with_context(cannot("create", &home))?;
        let text = text.replace("{home}", &home.to_string_lossy());
        let conf = home.join("nginx.conf");
        fs::write(&conf, text).with_context(cannot("write", &conf))?;
        let signal = "TERM";
        let mut command = self.cage.command(program.as_os_str(), None, signal);
        command.arg("-p").arg(&home).arg("-c").arg(&conf);
        command.args(["-e", "stderr"]);
        let log = self.setting.scratch.path("nginx.log");
        let mut process = Process::start("nginx", command, log, Signal::TERM)?;
        // The master says so once its sockets are open.
        process.wait_for(&self.setting.stop, |line| {
            line.contains("start worker process").then_some(())
        })?;
        Ok(process)
    }
}

fn free_address() -> Result<SocketAddr> {
    let listener = TcpListener::bind("127.0.0.1:0").context("no port is free for nginx")?;
    Ok(listener.local_addr()?)
}
