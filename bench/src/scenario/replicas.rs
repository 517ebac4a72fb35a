//! A primary and its copies: how far behind they are, how fast they catch up, what they cost.
//!
//! Owns the order in which that is measured. Must not know how a copy comes about. Invariant: a copy
//! counts as having a write when it answers a GET with it, whatever it says of itself.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use super::cage::{Cage, Room, Used};
use super::claims::Load;
use super::measure::{put, warm_up_of, workload};
use super::peers::reviewsd::{Node, copied_dir, written_dir};
use super::process::output;
use super::results::{Attached, Replicated};
use super::run::{Run, joined};
use super::say;
use super::setting::{Setting, remove_dir};
use crate::load::{Client, Target, keep_to};

/// The number of replicas.
const COPIES: usize = 3;
/// The number of measurements of their cost.
const PAIRS: usize = 5;
/// The period at which a replica's lag is looked at.
const PROBE_PERIOD: Duration = Duration::from_millis(20);
/// A copy that lacks a write for so long has lost it.
const PROBE_TIME_MAX: Duration = Duration::from_secs(10);
/// The time for a replica to be where its primary is.
const CATCH_UP_TIME_MAX: Duration = Duration::from_mins(2);
const LOOK_PAUSE: Duration = Duration::from_millis(2);
const ANSWER_TIME_MAX: Duration = Duration::from_secs(10);

/// A primary, and the copies that run.
struct Cluster<'a> {
    setting: &'a Setting,
    primary: Node,
    copies: Vec<Node>,
    /// The most that a copy was seen to use.
    most: Used,
}

impl Run<'_> {
    /// Measures all of it, with writes of so many reviews a second.
    pub(super) fn replicas(&self, reads: &Load, posts_per_second: f64) -> Result<Replicated> {
        let setting = self.setting;
        let dir = written_dir(setting);
        Setting::drop_page_cache();
        let plain_copy_seconds = plain_copy(setting)?.as_secs_f64();
        Setting::drop_page_cache();
        let mut cluster = Cluster {
            setting,
            primary: Node::start(setting, &setting.micro(), &dir, None)?,
            copies: Vec::new(),
            most: Used::default(),
        };
        for copy in 0..COPIES {
            remove_dir(&copied_dir(setting, copy))?;
        }
        cluster.start_copies(1)?;
        let first = cluster.copies.first().map(|copy| copy.ready);
        let bootstrap_seconds = first.unwrap_or_default().as_secs_f64();
        cluster.start_copies(COPIES)?;
        let (mut lags_ms, writes_per_second) =
            cluster.lag(&self.scenarios.writes, posts_per_second)?;
        cluster.look();
        let (catch_up_writes, catch_up) = cluster.catch_up(&self.scenarios.writes)?;
        cluster.look();
        let (mut alone, mut beside) = (Vec::new(), Vec::new());
        // What is asked for is brought into memory, as far as it goes.
        let reading = workload(setting, "reads", reads, &[], setting.time, Duration::ZERO)?;
        put(setting, &reading, &Target::from(cluster.primary.api))?;
        for number in 0..PAIRS {
            let with_first = number % 2 == 0;
            for (posts, pairs) in [(None, &mut alone), (Some(posts_per_second), &mut beside)] {
                pairs.push(self.attached(&mut cluster, reads, posts, with_first)?);
            }
        }
        cluster.copies.clear();
        for copy in 0..COPIES {
            remove_dir(&copied_dir(setting, copy))?;
        }
        lags_ms.sort_by(f64::total_cmp);
        let replicated = Replicated {
            copies: COPIES,
            writes_per_second,
            lag_samples: lags_ms.len(),
            lag_p50_ms: quantile(&lags_ms, 0.5),
            lag_p99_ms: quantile(&lags_ms, 0.99),
            lag_max_ms: quantile(&lags_ms, 1.0),
            catch_up_writes,
            catch_up_writes_per_second: as_f64(catch_up_writes) / catch_up.as_secs_f64(),
            bootstrap_seconds,
            plain_copy_seconds,
            store_bytes: bytes_of(&dir)?,
            resident_bytes: cluster.most.resident_bytes,
            page_cache_bytes: cluster.most.page_cache_bytes,
            alone,
            beside,
        };
        tell(&replicated);
        Ok(replicated)
    }

    /// Reads of the primary with its copies and without, one right after the other.
    fn attached(
        &self,
        cluster: &mut Cluster<'_>,
        reads: &Load,
        posts_per_second: Option<f64>,
        with_first: bool,
    ) -> Result<Attached> {
        let address = cluster.primary.api;
        let slice = || -> Result<f64> {
            let (read, _) = self.slice(address, reads, posts_per_second)?;
            Ok(read.total.achieved_per_second)
        };
        let mut attached = Attached::default();
        for with in [with_first, !with_first] {
            if with {
                cluster.start_copies(COPIES)?;
                cluster.wait_for_all()?;
                attached.with_per_second = slice()?;
                cluster.look();
            } else {
                cluster.copies.clear();
                attached.without_per_second = slice()?;
            }
        }
        Ok(attached)
    }
}

impl Cluster<'_> {
    /// Starts those of the first copies that do not run. They share the processor of the load.
    fn start_copies(&mut self, count: usize) -> Result<()> {
        let room = room_of_copy(self.setting);
        while self.copies.len() < count {
            let dir = copied_dir(self.setting, self.copies.len());
            let copy = Node::start(self.setting, &room, &dir, Some(self.primary.admin))?;
            self.copies.push(copy);
        }
        Ok(())
    }

    /// Notes what the copies use.
    fn look(&mut self) {
        for copy in &self.copies {
            self.most.grow(copy.used());
        }
    }

    fn wait_for_all(&self) -> Result<()> {
        let seq = seq_of(self.primary.admin)?;
        for copy in &self.copies {
            wait_for(copy.admin, seq)?;
        }
        Ok(())
    }

    /// Returns the times until writes are seen on a replica, in milliseconds, and their number a second.
    fn lag(&self, writes: &Load, posts_per_second: f64) -> Result<(Vec<f64>, f64)> {
        let setting = self.setting;
        let target = Target::from(self.primary.api);
        let (time, warm_up) = (setting.time, warm_up_of(setting.time));
        let writing = workload(
            setting,
            "writes",
            writes,
            &[posts_per_second],
            time,
            warm_up,
        )?;
        thread::scope(|scope| {
            let writing = scope.spawn(|| put(setting, &writing, &target));
            let probing = scope.spawn(|| {
                keep_to(&setting.load_cpus);
                thread::sleep(warm_up);
                self.probe(time)
            });
            let lags_ms = joined(probing)??;
            Ok((lags_ms, joined(writing)??.total.achieved_per_second))
        })
    }

    /// Adds a review now and then, and asks one copy after the other until it shows it.
    fn probe(&self, time: Duration) -> Result<Vec<f64>> {
        let primary = Target::from(self.primary.api);
        let mut primary = Client::open(&primary, ANSWER_TIME_MAX)?;
        let copies: Vec<Target> = self.copies.iter().map(|copy| copy.api.into()).collect();
        let mut clients = Vec::new();
        for copy in &copies {
            clients.push(Client::open(copy, ANSWER_TIME_MAX)?);
        }
        let mut lags_ms = Vec::new();
        let begun = Instant::now();
        for number in 0_u32.. {
            let due = begun + PROBE_PERIOD * number;
            if due >= begun + time {
                break;
            }
            thread::sleep(due.saturating_duration_since(Instant::now()));
            let name = format!("probe-{number}-{}", self.primary.api.port());
            let body = format!(
                "{{\"product_id\":1,\"rating\":5,\"summary\":\"{name}\",\"body\":\"A look.\",\
                 \"recommend\":true,\"name\":\"probe\",\"email\":\"probe@example.org\"}}"
            );
            let (status, _) = primary.ask("POST", "/reviews", &body)?;
            ensure!(status == 201, "a review was answered with {status}");
            let since = Instant::now();
            let index = lags_ms.len() % clients.len().max(1);
            let Some(copy) = clients.get_mut(index) else {
                break;
            };
            loop {
                let (_, shown) = copy.get("/reviews?product_id=1&sort=newest&count=5")?;
                let now = Instant::now();
                if String::from_utf8_lossy(&shown).contains(&name) {
                    lags_ms.push(now.duration_since(since).as_secs_f64() * 1e3);
                    break;
                }
                let in_time = now.duration_since(since) <= PROBE_TIME_MAX;
                ensure!(
                    in_time,
                    "a review that was acknowledged does not get to a copy"
                );
            }
        }
        Ok(lags_ms)
    }

    /// Returns the number of writes that a replica lacked after it was away, and the time that they took it.
    fn catch_up(&mut self, writes: &Load) -> Result<(u64, Duration)> {
        let setting = self.setting;
        self.wait_for_all()?;
        self.copies.pop();
        let before = seq_of(self.primary.admin)?;
        let time = setting.time / 2;
        let writing = workload(setting, "writes", writes, &[], time, Duration::ZERO)?;
        let written = put(setting, &writing, &Target::from(self.primary.api))?;
        let seq = seq_of(self.primary.admin)?;
        self.start_copies(COPIES)?;
        let Some(copy) = self.copies.last() else {
            return Ok((0, Duration::ZERO));
        };
        // Opening its store is not catching up; what it did by its first answer does not count.
        let (first, since) = (seq_of(copy.admin)?.clamp(before, seq), Instant::now());
        wait_for(copy.admin, seq)?;
        let (time, all) = (since.elapsed(), written.total.ok);
        if first == seq {
            return Ok((all, copy.ready));
        }
        let left = u128::from(all) * u128::from(seq - first) / u128::from((seq - before).max(1));
        Ok((u64::try_from(left).unwrap_or(all), time))
    }
}

/// As much memory as a micro instance has, on the processors of the load.
fn room_of_copy(setting: &Setting) -> Room {
    Room {
        cpus: setting.load_cpus.clone(),
        ..setting.micro()
    }
}

/// Up to which row a server is, as it says.
fn seq_of(admin: SocketAddr) -> Result<u64> {
    let target = Target::from(admin);
    let (_, text) = Client::open(&target, ANSWER_TIME_MAX)?.get("/replication")?;
    let json: serde_json::Value = serde_json::from_slice(&text)?;
    let seq = json.get("seq").and_then(serde_json::Value::as_u64);
    seq.context("a server does not say up to which row it is")
}

fn wait_for(admin: SocketAddr, seq: u64) -> Result<()> {
    let since = Instant::now();
    while seq_of(admin)? < seq {
        let in_time = since.elapsed() <= CATCH_UP_TIME_MAX;
        ensure!(in_time, "a copy does not get to row {seq}");
        thread::sleep(LOOK_PAUSE);
    }
    Ok(())
}

/// Copies the files of the store as `cp` does, durably, in as much room as a copy of it has.
fn plain_copy(setting: &Setting) -> Result<Duration> {
    let (from, to) = (written_dir(setting), setting.shop().join("plain-copy"));
    remove_dir(&to)?;
    let cage = Cage::new(&room_of_copy(setting));
    let mut command: Command = cage.command("sh".as_ref(), None, "KILL");
    // The store is on this file system, too, and nothing else is written meanwhile.
    command.args([
        "-c",
        "cp -r --reflink=never \"$1\" \"$2\" && sync -f \"$2\"",
        "sh",
    ]);
    command.arg(&from).arg(&to);
    let since = Instant::now();
    output("cp", &mut command)?;
    let time = since.elapsed();
    remove_dir(&to)?;
    Ok(time)
}

fn bytes_of(dir: &Path) -> Result<u64> {
    let mut command = Command::new("du");
    command.args(["--bytes", "--summarize"]).arg(dir);
    let text = output("du", &mut command)?;
    let bytes = text.split_whitespace().next().unwrap_or_default();
    bytes
        .parse()
        .with_context(|| format!("cannot read the size of the store: {text}"))
}

/// The value that so large a share of sorted ones does not exceed.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss,
    reason = "there are thousands of values at most"
)]
fn quantile(sorted: &[f64], share: f64) -> f64 {
    let at = (sorted.len() as f64 * share).ceil() as usize;
    let last = sorted.len().saturating_sub(1);
    sorted
        .get(at.saturating_sub(1).min(last))
        .copied()
        .unwrap_or_default()
}

#[expect(clippy::cast_precision_loss, reason = "three digits are shown")]
fn as_f64(count: u64) -> f64 {
    count as f64
}

/// A line for the person who waits.
fn tell(replicated: &Replicated) {
    say(&format!(
        "  lag p50 {:.2} ms, p99 {:.2} ms; catching up {:.0} writes/s; bootstrap {:.2} of a plain copy; \
         a copy takes {} MiB",
        replicated.lag_p50_ms,
        replicated.lag_p99_ms,
        replicated.catch_up_writes_per_second,
        replicated.bootstrap_seconds / replicated.plain_copy_seconds,
        replicated.resident_bytes >> 20,
    ));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quantile_is_a_value_that_was_measured() {
        let sorted: Vec<f64> = (1..=200).map(f64::from).collect();
        let of = |share| quantile(&sorted, share).to_string();
        assert_eq!([0.5, 0.99, 1.0].map(of), ["100", "198", "200"]);
        assert_eq!(quantile(&[7.0], 0.5).to_string(), "7");
        assert_eq!(quantile(&[], 0.5).to_string(), "0");
    }
}
