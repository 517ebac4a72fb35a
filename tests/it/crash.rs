//! The server dies: by a kill with the power, or at an error of the disk; on a full disk it goes on with
//! reads. All acknowledged writes are there afterwards. If the disk damages the log as well, the server reports
//! what is lost, and does not start.
//!
//! Clients write to the real program and keep a ledger; a preloaded shim records the durable part of each file;
//! after the end every file is cut back to that, the server is started anew, and the ledger is compared with
//! what it shows. A failure names its seed. With the same `REVIEWSD_CRASH_SEED` the clients write the same and
//! the kills come after the same numbers of writes, while threads and the disk take the time they take.
//! `REVIEWSD_CRASH_ROUNDS` is the number of kills.

mod client;
mod damage;
mod draft;
mod entry;
mod full;
mod ledger;
pub(crate) mod logs;
mod power;
mod server;
mod shown;
mod tail;
mod troubles;

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::channel;
use std::thread;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use self::client::{Client, Deed, Journal, Load};
use self::ledger::{Findings, Ledger};
use self::power::{Cut, Disk, Left, Shim};
use self::server::{Server, Start};
use self::troubles::Trouble;
use crate::chance::{self, Random, number_from_environment, say};
use crate::support::{copy_tree, no_forks, shop_dir};

/// The time after which a test gives up; no test waits for it to pass.
const PATIENCE: Duration = Duration::from_secs(30);
/// Rounds of the short run.
const ROUNDS: u64 = 5;
/// A store serves so many rounds; then a new one begins, so that a long run does not slow down.
const ROUNDS_OF_A_STORE: u64 = 20;
/// Clients at once.
const CLIENTS: u64 = 16;
/// No kill comes before so many writes were acknowledged.
const WRITES_MIN: u64 = 200;
/// Nor, for want of patience, after so many and a moment.
const WRITES_MAX: u64 = 3000;
/// The time within which a server ends that can no longer write, for another reason than want of space.
const END_TIME_MAX: Duration = Duration::from_secs(20);

/// Every write is durable when it is acknowledged, and reviews are taken however full the disk is.
const FSYNC: &str = "durability = \"fsync\"\nfree_space_min = \"0\"\n";
/// A configuration under which no write becomes durable while a test lasts.
const LOSSY: &str = "durability = \"interval\"\ninterval = \"1h\"\nfree_space_min = \"0\"\n";

/// A store, its expected content, and the random source of both.
struct Trial {
    disk: Disk,
    ledger: Ledger,
    random: Random,
    seed: u64,
    /// No two trials of one seed write the same reviews.
    generation: u64,
    rounds: u64,
    troubles: BTreeMap<Trouble, u64>,
    /// Damaged logs that were refused.
    refused_logs: u64,
    acknowledged: u64,
    sent_again: u64,
    cut: Cut,
    findings: Findings,
}

impl Trial {
    /// On a copy of the shop in `data`.
    fn new(shim: Shim, data: PathBuf, seed: u64, generation: u64) -> Self {
        let shop = shop_dir();
        copy_tree(shop.path(), &data);
        Self {
            disk: Disk::new(shim, data),
            ledger: Ledger::of_the_shop(),
            random: Random::new(seed ^ generation.rotate_left(32)),
            seed,
            generation,
            rounds: 0,
            troubles: BTreeMap::new(),
            refused_logs: 0,
            acknowledged: 0,
            sent_again: 0,
            cut: Cut::default(),
            findings: Findings::default(),
        }
    }

    fn start(&mut self, writes: &str) -> Server {
        let start = Start {
            writes,
            log_syncs: None,
        };
        Server::start(&mut self.disk, start)
    }

    /// Lets clients write until `end` has made or seen the server end. `end` gets the server and a
    /// way to wait until so many writes were acknowledged.
    fn load<T>(
        &mut self,
        server: Server,
        ends_by_itself: bool,
        end: impl FnOnce(Server, &mut dyn FnMut(u64), &AtomicBool, &mut Random) -> T,
    ) -> (T, Vec<Journal>) {
        self.rounds += 1;
        let known = self.ledger.known();
        let recent = Mutex::new(Vec::new());
        let may_end = AtomicBool::new(ends_by_itself);
        let load = Load {
            api: server.api,
            admin: server.admin,
            tail: server.tail.clone(),
            known: &known,
            recent: &recent,
            may_end: &may_end,
        };
        let (send, acknowledged) = channel();
        let keys = self.generation << 48 | self.rounds << 36;
        let random = &mut self.random;
        let (ended, journals) = thread::scope(|scope| {
            let clients: Vec<_> = (0..CLIENTS)
                .map(|client| {
                    let (random, send) = (Random::new(random.next()), send.clone());
                    let load = &load;
                    scope.spawn(move || load.run(random, keys | client << 28, &send))
                })
                .collect();
            drop(send);
            let mut wait_for = |writes: u64| {
                for _ in 0..writes {
                    let write = acknowledged.recv_timeout(PATIENCE);
                    write.unwrap_or_else(|e| panic!("{writes} writes were not to be had: {e}"));
                }
            };
            let ended = end(server, &mut wait_for, &may_end, random);
            let journals: Vec<Journal> = clients.into_iter().map(|c| c.join().unwrap()).collect();
            (ended, journals)
        });
        let deeds: Vec<Vec<Deed>> = journals
            .iter()
            .map(|journal| journal.deeds.clone())
            .collect();
        let writes = deeds.iter().flatten().filter(|deed| deed.is_acknowledged());
        self.acknowledged += writes.count() as u64;
        let entered = self.ledger.enter(&deeds);
        self.findings.add(entered);
        (ended, journals)
    }

    /// Kills the server in the middle of many writes, and of what is begun `beside` them.
    fn kill_under_load<T>(&mut self, server: Server, beside: impl FnOnce(&Server) -> T) -> T {
        let (begun, journals) =
            self.load(server, false, |mut server, wait_for, may_end, random| {
                wait_for(WRITES_MIN + random.below(WRITES_MAX - WRITES_MIN));
                let begun = beside(&server);
                let moment = Duration::from_micros(random.below(20_000));
                assert!(server.lives_until(Instant::now() + moment));
                may_end.store(true, Ordering::SeqCst);
                server.kill();
                begun
            });
        let refused = journals.iter().any(|journal| journal.refused.is_some());
        assert!(!refused, "a server that works refuses a write");
        begun
    }

    fn power_fails(&mut self, left: Left) {
        self.cut += self.disk.fail(left, &mut self.random);
    }

    fn power_fails_somehow(&mut self) {
        let left = [Left::Nothing, Left::Some, Left::All];
        let left = *self.random.pick(&left).unwrap();
        self.power_fails(left);
    }

    /// Starts the server anew, maybe after it died while starting, and compares; then recounts the
    /// store without a server.
    fn compare(&mut self) {
        if self.random.one_in(2) {
            let start = Start {
                writes: FSYNC,
                log_syncs: None,
            };
            let mut server = Server::begin(&mut self.disk, start);
            let moment = Duration::from_micros(self.random.below(50_000));
            assert!(server.lives_until(Instant::now() + moment));
            server.kill();
            self.power_fails_somehow();
        }
        let server = self.start(FSYNC);
        let mut client = server.client();
        let compared = self.ledger.compare(&mut client, &mut self.random);
        self.findings.add(compared);
        drop(client);
        if self.random.one_in(2) {
            server.stop();
        } else {
            server.kill();
        }
        self.power_fails_somehow();
        let recounted = self.ledger.recount(self.disk.data());
        self.disk.settle();
        self.findings.add(recounted);
    }

    fn send_again(&mut self, server: &Server) {
        let mut client = server.client();
        self.sent_again += self.ledger.send_again(&mut client, &mut self.findings);
    }

    fn assert_clean(&self) {
        let findings = &self.findings;
        assert!(
            findings.lost.is_empty() && findings.wrong.is_empty(),
            "round {} of store {}, REVIEWSD_CRASH_SEED={}: {}",
            self.rounds,
            self.generation,
            self.seed,
            findings.text()
        );
    }
}

fn seed() -> u64 {
    chance::seed("REVIEWSD_CRASH_SEED")
}

fn run(command: &mut Command) -> Result<(), String> {
    let child = {
        let _no_forks = no_forks();
        command.stdin(Stdio::null()).spawn()
    };
    let status = child.and_then(|mut child| child.wait());
    match status {
        Ok(status) if status.success() => Ok(()),
        other => Err(format!("{command:?}: {other:?}")),
    }
}

#[test]
fn acknowledged_writes_outlive_the_power() {
    let rounds = number_from_environment("REVIEWSD_CRASH_ROUNDS").unwrap_or(ROUNDS);
    let seed = seed();
    let (mut done, mut acknowledged, mut sent_again, mut cut) = (0, 0, 0, Cut::default());
    let (mut troubles, mut refused_logs) = (BTreeMap::<Trouble, u64>::new(), 0);
    for generation in 0.. {
        let of_this_store = ROUNDS_OF_A_STORE.min(rounds - done);
        if of_this_store == 0 {
            break;
        }
        let Some(shim) = Shim::compile() else {
            return;
        };
        let dir = tempfile::tempdir().unwrap();
        let mut trial = Trial::new(shim, dir.path().join("data"), seed, generation);
        for _ in 0..of_this_store {
            trial.round();
        }
        done += of_this_store;
        acknowledged += trial.acknowledged;
        sent_again += trial.sent_again;
        cut += trial.cut;
        refused_logs += trial.refused_logs;
        for (trouble, times) in trial.troubles {
            *troubles.entry(trouble).or_default() += times;
        }
        if rounds > ROUNDS_OF_A_STORE {
            say(&format!(
                "{done} rounds, {acknowledged} acknowledged writes"
            ));
        }
    }
    assert!(cut.log_syncs > done, "the shim saw {} syncs", cut.log_syncs);
    say(&format!(
        "crash: {done} rounds {troubles:?}, {acknowledged} acknowledged writes checked, 0 lost; \
         {refused_logs} damaged logs refused; {sent_again} unacknowledged reviews sent again, {} syncs of \
         {} logs, {} bytes of which were not durable",
        cut.log_syncs, cut.logs, cut.log_bytes
    ));
}

/// The test above would notice.
#[test]
fn without_syncs_acknowledged_writes_are_lost() {
    let Some(shim) = Shim::compile() else {
        return;
    };
    let dir = tempfile::tempdir().unwrap();
    let mut trial = Trial::new(shim, dir.path().join("data"), seed(), 0);
    for _ in 0..3 {
        let server = trial.start(LOSSY);
        trial.kill_under_load(server, |_| ());
        trial.power_fails(Left::Nothing);
        trial.compare();
        let lost = trial.findings.lost.len();
        if lost > 0 {
            say(&format!(
                "crash: {lost} of {} acknowledged writes lost without syncs",
                trial.acknowledged
            ));
            // Loses them whole, all the same.
            trial.findings.lost.clear();
            trial.assert_clean();
            return;
        }
    }
    panic!("nothing was lost: {:?}", trial.cut);
}

#[test]
fn a_failed_sync_is_the_end() {
    for left in [Left::Nothing, Left::All] {
        let Some(shim) = Shim::compile() else {
            return;
        };
        let dir = tempfile::tempdir().unwrap();
        let mut trial = Trial::new(shim, dir.path().join("data"), seed(), 0);
        let start = Start {
            writes: FSYNC,
            log_syncs: Some(20 + trial.random.below(200)),
        };
        let server = Server::start(&mut trial.disk, start);
        ends_by_itself(&mut trial, server, || {});

        let notes = trial.disk.notes();
        let failure = notes.iter().position(power::Note::is_failure).unwrap();
        let failed = &notes[failure];
        assert!(failed.is_log());
        let tried_again = notes[failure + 1..]
            .iter()
            .filter(|note| note.is_sync() && note.is_of_the_file_of(failed))
            .count();
        assert_eq!(tried_again, 0, "the failed sync was tried again");

        trial.power_fails(left);
        trial.compare();
        trial.assert_clean();
        say(&format!(
            "crash: a failed sync, {left:?} left: {} acknowledged writes checked, 0 lost",
            trial.acknowledged
        ));
    }
}

/// Lets clients write to a server that `trouble` keeps from it at some time.
fn ends_by_itself(trial: &mut Trial, server: Server, trouble: impl FnOnce()) {
    let (ended, journals) = trial.load(server, true, |mut server, wait_for, _, _| {
        wait_for(WRITES_MIN / 10);
        trouble();
        let (status, log) = server.ended(PATIENCE);
        assert!(!status.success(), "{status}: {log}");
        assert!(status.code().is_some(), "{status}: {log}");
        Instant::now()
    });
    let refused: Vec<Instant> = journals.iter().filter_map(|j| j.refused).collect();
    let first = refused.iter().min().expect("nobody was told");
    let took = ended.saturating_duration_since(*first);
    assert!(took < END_TIME_MAX, "it ended after {took:?}");
    let ready = journals.iter().any(|journal| journal.ready_afterwards);
    assert!(!ready, "it called itself ready when it could not write");
    let acknowledged = journals.iter().any(|j| j.acknowledged_afterwards);
    assert!(!acknowledged, "it acknowledged when it could not write");
    let refused = refused.len();
    say(&format!(
        "crash: it told {refused} of {CLIENTS} clients and ended after {took:?}"
    ));
}

/// A small file system of its own; it is unmounted when this is dropped.
pub(crate) struct SmallDisk {
    dir: TempDir,
}

impl SmallDisk {
    /// Returns `None`, and prints why, if this is not allowed.
    pub(crate) fn mount() -> Option<Self> {
        let dir = tempfile::tempdir().unwrap();
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", "size=64m", "tmpfs"]);
        mount.stderr(Stdio::null());
        match run(mount.arg(dir.path())) {
            Ok(()) => Some(Self { dir }),
            Err(why) => {
                say(&format!("skipped, as it takes root: {why}"));
                None
            }
        }
    }

    pub(crate) fn path(&self) -> &Path {
        self.dir.path()
    }

    pub(crate) fn ballast(&self) -> PathBuf {
        self.path().join("ballast")
    }

    /// Leaves no byte free.
    pub(crate) fn fill(&self) {
        let mut ballast = File::create(self.ballast()).unwrap();
        let piece = vec![1; 64 << 10];
        while ballast.write_all(&piece).is_ok() {}
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Lazily: it goes away even where something on it is still open.
        let _ = run(Command::new("umount").arg("-l").arg(self.path()));
    }
}

#[test]
fn below_the_watermark_reviews_are_refused_and_reads_go_on() {
    let (Some(disk), Some(shim)) = (SmallDisk::mount(), Shim::compile()) else {
        return;
    };
    let mut trial = Trial::new(shim, disk.path().join("data"), seed(), 0);
    let server = trial.start("free_space_min = \"1GiB\"\n");
    let mut client = server.client();
    for key in 0..10 {
        assert_eq!(client.post(key).unwrap().status, 507);
        assert_eq!(client.get("/reviews?product_id=2").unwrap().status, 200);
    }
    let ready = Client::to(server.admin, &server.tail).and_then(|mut c| c.get("/readyz"));
    assert_eq!(ready.unwrap().status, 200);
    drop(client);
    server.stop();
    trial.power_fails(Left::Nothing);
    trial.compare();
    trial.assert_clean();
}
