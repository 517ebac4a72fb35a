//! The faults of the long test: the server dies with the power, the disk damages its log, or it dies while
//! it is backed up.

use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use super::logs::{Kept, damage_somehow, logs_of};
use super::power::Left;
use super::server::{Server, Start};
use super::{FSYNC, PATIENCE, Trial};
use crate::replication::node::{contents, run_program};
use crate::support::{no_forks, shop_dir};

/// A fault of a round.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Trouble {
    /// The server is killed, mostly with the power.
    PowerCut,
    /// The server is killed, and the disk damages its log before it is started again. The power stays: after a
    /// cut, damage to the very end of the log cannot be distinguished from writes that were not durable.
    DamagedLog,
    /// The server is killed while it is backed up, into a target that another store is backed up into as well.
    SharedTarget,
}

impl Trial {
    /// Lets clients write, kills the server in one way or another, and compares.
    pub(super) fn round(&mut self) {
        let trouble = match self.random.below(4) {
            0 => Trouble::DamagedLog,
            1 => Trouble::SharedTarget,
            _ => Trouble::PowerCut,
        };
        *self.troubles.entry(trouble).or_default() += 1;
        let server = self.start(FSYNC);
        self.send_again(&server);
        match trouble {
            Trouble::PowerCut => {
                self.kill_under_load(server, |_| ());
                self.power_fails_somehow();
                self.compare();
            }
            Trouble::DamagedLog => {
                self.kill_under_load(server, |_| ());
                self.power_fails(Left::All);
                self.damage_log();
                self.compare();
            }
            Trouble::SharedTarget => self.share_target(server),
        }
        self.assert_clean();
    }

    /// Damages the log and starts a server on it. It is refused with a report of the loss, and gets its log
    /// back; or it opens, and has every acknowledged write, which a comparison shows.
    fn damage_log(&mut self) {
        let data = self.disk.data().to_owned();
        let logs = logs_of(&data);
        if logs.is_empty() {
            return;
        }
        let kept = Kept::of(&logs);
        let what = damage_somehow(&logs, &mut self.random);
        let start = Start {
            writes: FSYNC,
            log_syncs: None,
        };
        let mut server = Server::begin(&mut self.disk, start);
        if server.listens() {
            server.kill();
        } else {
            let (status, log) = server.ended(PATIENCE);
            assert_eq!(status.code(), Some(1), "{what}: {log}");
            for part in [
                "lacks acknowledged writes",
                data.to_str().unwrap(),
                "--accept-loss",
            ] {
                assert!(log.contains(part), "{what}: {log}");
            }
            kept.put_back();
            self.refused_logs += 1;
        }
        self.power_fails(Left::All);
    }

    /// Kills the server while it is backed up. Whatever became of that backup, the next one is whole, and
    /// another store is refused.
    fn share_target(&mut self, server: Server) {
        let to = self.disk.data().with_file_name("backups");
        let place = to.to_str().unwrap();
        let backup = |server: &Server| {
            let server = format!("http://{}", server.admin);
            begin(&["backup", "--server", &server, "--to", place])
        };
        let mut under_way = self.kill_under_load(server, backup);
        self.power_fails_somehow();
        if self.random.one_in(2) {
            under_way.kill().unwrap();
        }
        under_way.wait().unwrap();
        self.compare();

        let (data, shop) = (self.disk.data().to_owned(), shop_dir());
        let own = data.to_str().unwrap();
        said(&["backup", "--data", own, "--to", place, "--keep", "2"]);
        let other = shop.path().to_str().unwrap();
        let refused = run_program(&["backup", "--data", other, "--to", place]);
        let why = String::from_utf8_lossy(&refused.stderr);
        assert!(
            !refused.status.success() && why.contains("--accept-store"),
            "{why}"
        );
        let restored: PathBuf = data.with_file_name("restored");
        let at = restored.to_str().unwrap();
        said(&[
            "restore", "--from", place, "--data", at, "--quick", "--quiet",
        ]);
        assert_eq!(contents(&restored), contents(&data));
        std::fs::remove_dir_all(restored).unwrap();
        // Other processes worked on the store.
        self.disk.settle();
    }
}

fn begin(args: &[&str]) -> Child {
    let mut command = Command::new(env!("CARGO_BIN_EXE_reviewsd"));
    command.args(args).stdin(Stdio::null());
    command.stdout(Stdio::null()).stderr(Stdio::null());
    let _no_forks = no_forks();
    command.spawn().unwrap()
}

fn said(args: &[&str]) {
    let output = run_program(args);
    let why = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{args:?}: {why}");
}
