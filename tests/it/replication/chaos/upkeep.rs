//! Commands that operators run beside the servers: root's, and backups into a target that another store is
//! backed up into as well.

use std::fs;
use std::process::Output;

use super::super::assert_none_lost;
use super::super::node::{Node, Setup, run_program};
use super::Chaos;
use crate::chance::Random;
use crate::support::shop_dir;

/// The backups that stay, so that a long run does not fill the disk.
const KEEP: &str = "2";

impl Chaos {
    /// Runs commands as root on the store of a machine while it is served, and while it is not. Afterwards no
    /// file is root's, and servers, backups and new replicas work.
    pub(super) fn roots_commands(&mut self, random: &mut Random) {
        self.all_follow();
        let machine = random.index(4);
        let server = format!("http://{}", self.node(machine).admin());
        said(&["stats", "--server", &server]);
        self.back_up(machine);
        self.end(machine, random.one_in(2));
        let (data, exported) = (self.data(machine), self.place("exported"));
        let at = data.to_str().unwrap();
        said(&["position", "--data", at]);
        said(&["verify", "--data", at, "--quiet"]);
        said(&["stats", "--data", at]);
        let out = exported.to_str().unwrap();
        said(&["export", "--data", at, "--out", out, "--quiet"]);
        succeeded(&self.backup(&["--data", at, "--keep", KEEP]));
        for dir in [&data, &exported, &self.place("backups")] {
            self.assert_owned(dir);
        }
        fs::remove_dir_all(exported).unwrap();
        self.start(machine);
        if machine == self.primary {
            self.resume();
        }
        let replica = self.any_replica(random);
        self.begin_replica_anew(replica);
        self.goes_on();
        self.back_up(machine);
    }

    /// Backs up another store where this one is backed up: it is refused, and the latest backup has all that
    /// was acknowledged before it was begun.
    pub(super) fn shared_target(&mut self, random: &mut Random) {
        let acknowledged = self.load.acknowledged();
        self.all_follow();
        self.back_up(random.index(4));
        let shop = shop_dir();
        self.give(shop.path());
        self.backup_is_refused(&["--data", shop.path().to_str().unwrap()], "--accept-store");
        let restored = self.place("restored");
        self.make_dir(&restored);
        let at = restored.to_str().unwrap();
        said(&[
            "restore",
            "--from",
            &self.target(),
            "--data",
            at,
            "--quick",
            "--quiet",
        ]);
        let node = Node::start(&Setup {
            data: restored.clone(),
            token: None,
            follow: None,
            replication: String::new(),
            ..self.setup(self.primary)
        });
        assert_none_lost(&node, &acknowledged);
        node.stop();
        self.assert_owned(&restored);
        fs::remove_dir_all(restored).unwrap();
    }

    fn target(&self) -> String {
        self.place("backups").to_str().unwrap().to_owned()
    }

    fn backup(&self, more: &[&str]) -> Output {
        let token = format!("replication.token_file={}", self.cluster.token.display());
        let to = self.target();
        run_program(&[&["backup", "--to", &to, "--set", &token], more].concat())
    }

    /// Backs up the store of a machine, of its server.
    pub(super) fn back_up(&self, machine: usize) {
        let server = format!("http://{}", self.node(machine).admin());
        succeeded(&self.backup(&["--server", &server, "--keep", KEEP]));
    }

    /// Checks that a backup of another store, or of an earlier epoch, is refused with a reason, and leaves the
    /// target as it was.
    pub(super) fn backup_is_refused(&self, source: &[&str], why: &str) {
        let listed = || said(&["backups", "--in", &self.target()]);
        let before = listed();
        let refused = self.backup(source);
        let sentence = String::from_utf8_lossy(&refused.stderr);
        assert_eq!(refused.status.code(), Some(1), "{sentence}");
        assert!(sentence.contains(why), "{sentence}");
        assert_eq!(listed(), before);
    }
}

/// Runs a command, which succeeds.
fn said(args: &[&str]) -> String {
    succeeded(&run_program(args))
}

fn succeeded(output: &Output) -> String {
    let why = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{why}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}
