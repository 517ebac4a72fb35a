//! `reviewsd backup`: which store, where to, and for how long.
//!
//! Invariants: it ends with 0 only when the backup is durable; with `--follow` it ends with 0 only when it
//! was asked to end and what it had was shipped.

use std::fmt;
use std::io::{self, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::runtime::{Builder, Runtime};

use crate::backup::{
    self, BackupOrigin, BackupSource, BackupTarget, Event, Merged, Merger, NewSnapshot, PruneRules,
    Pruned, ShipPace,
};
use crate::cli::{BackupArgs, KeepArgs, WhereArgs};
use crate::config::{self, Config};
use crate::net::{Dialer, Tls, TlsError};
use crate::node::tls_files;
use crate::replication::{self, Token, TokenError};
use crate::signals::TerminationSignals;
use crate::store::{self, OpenOptions, Store};

use super::as_owner_of;
use super::figures::{bytes, counted};
use super::out::out;
use super::remote::{base_of, command_token};
use super::store_target::MEMORY_BYTES;
use super::{Configured, sources};

const WHO: &str = "reviewsd backup";

/// Backs up.
pub fn run(args: &BackupArgs) -> Result<ExitCode, Error> {
    let config = configured(&args.settings)?;
    let here = args.data.as_ref().or(config.store.data.as_ref());
    if let Some(data) = here.filter(|_| args.server.is_none()) {
        // The backup's files as well: those that the service's timer writes are that user's.
        as_owner_of(data)?;
    }
    let to = target_of(args.to.as_ref(), &config, "--to")?;
    let runtime = runtime()?;
    if args.follow {
        let backup_source =
            backup_source(args.server.as_deref(), args.token_file.as_deref(), &config)?;
        let target = target_of_server(&to)?;
        return runtime.block_on(follow(args, &config, &backup_source, &target));
    }
    let source = source(args, &config)?;
    let target = match &source {
        BackupOrigin::Server(_) => target_of_server(&to)?,
        BackupOrigin::Store(_) => target_to_write(&to)?,
    };
    runtime.block_on(async {
        let begun = Instant::now();
        let accepted = args.accept_store.map(|id| id.0);
        let slow = |what: String| hint(&what);
        let taken = backup::take(&target, &source, accepted, slow).await?;
        say(&format!(
            "{} in {:.1} s",
            told(&taken),
            begun.elapsed().as_secs_f64()
        ))?;
        let pruned = backup::prune(&target, rules(&args.keep, &config)).await?;
        say_if(pruned_line(&pruned))?;
        let merged = Merger::default().round(&target).await?;
        say_if(merged_line(&merged))
    })?;
    Ok(ExitCode::SUCCESS)
}

/// Opens the target of a server's backup, as the user that its directory belongs to: the server's other backups
/// belong to that user, who could not read one of root's. The token and the files of TLS are read before.
fn target_of_server(to: &str) -> Result<BackupTarget, Error> {
    as_owner_of(Path::new(to))?;
    target_to_write(to)
}

/// Opens a target, and warns if other users can read its directory.
fn target_to_write(to: &str) -> Result<BackupTarget, Error> {
    let target = BackupTarget::to_write(to)?;
    if let Some(mode) = target.open_mode() {
        hint(&format!(
            "warning: other users of this machine may read {to} (mode {mode:o}), which has e-mail \
             addresses; chmod 700 {to}"
        ));
    }
    Ok(target)
}

async fn follow(
    args: &BackupArgs,
    config: &Config,
    backup_source: &BackupSource,
    target: &BackupTarget,
) -> Result<ExitCode, Error> {
    let mut ends = TerminationSignals::listen().map_err(Error::Start)?;
    let snapshot_every = Duration::from(config.backup.snapshot_every);
    let pace = ShipPace {
        segment_time: config.backup.segment_time.into(),
        snapshot_every: (!snapshot_every.is_zero()).then_some(snapshot_every),
        rules: rules(&args.keep, config),
    };
    let asked = async {
        ends.next().await;
    };
    let tell = |event: Event| {
        if let Some(line) = line(&event) {
            hint(&line);
        }
    };
    backup::follow(target, backup_source, pace, asked, tell).await?;
    Ok(ExitCode::SUCCESS)
}

/// Prints a line of progress.
fn hint(line: &str) {
    // A backup goes on without a reader of its progress.
    let _ = writeln!(io::stderr(), "{line}");
}

/// A line for people, or for systemd's journal.
fn line(event: &Event) -> Option<String> {
    Some(match event {
        Event::Taken(taken, why) => format!("{why}; {}", told(taken)),
        Event::Pruned(pruned) => return pruned_line(pruned),
        Event::Merged(merged) => return merged_line(merged),
        Event::Follows(at) => format!("shipping commits after {at}"),
        Event::Slow(what) => what.clone(),
        Event::Waits(why, wait) => format!("{why}; trying again in {:.1} s", wait.as_secs_f64()),
        Event::Shipped(at) => format!("shipped the backlog, up to {at}"),
    })
}

fn told(taken: &NewSnapshot) -> String {
    format!(
        "backup {} of store {:032x} at {}: {} in {}, of which {} in {} are new",
        taken.id,
        taken.store,
        taken.position,
        bytes(taken.bytes),
        counted(taken.files, "file"),
        bytes(taken.new_bytes),
        counted(taken.new_files, "file"),
    )
}

/// Returns lines on what was removed, and why no files were, if anything is to be said.
fn pruned_line(pruned: &Pruned) -> Option<String> {
    let removed = (pruned.snapshots + pruned.segments > 0 || pruned.bytes > 0).then(|| {
        format!(
            "removed {}, {} of the log, and {} of files",
            counted(pruned.snapshots, "backup"),
            counted(pruned.segments, "segment"),
            bytes(pruned.bytes)
        )
    });
    let waits = pruned.waits.as_ref();
    let waits = waits.map(|why| format!("no files were removed: {why}"));
    joined(removed.into_iter().chain(waits))
}

/// Returns lines on segments that were merged, if there were any.
fn merged_line(merged: &Merged) -> Option<String> {
    let Merged {
        segments,
        into,
        removed,
        faults,
    } = merged;
    let wrote = (*into > 0).then(|| {
        let segments = counted(*segments, "segment");
        format!("merged {segments} of the log into {into}")
    });
    let removed = (*removed > 0).then(|| {
        let removed = counted(*removed, "segment");
        format!("removed {removed} of the log that larger ones hold")
    });
    let faults = faults.iter();
    let faults = faults.map(|why| format!("left as it is: {why}"));
    joined(wrote.into_iter().chain(removed).chain(faults))
}

/// Returns lines as one text, if there are any.
fn joined(lines: impl Iterator<Item = String>) -> Option<String> {
    let lines: Vec<String> = lines.collect();
    (!lines.is_empty()).then(|| lines.join("\n"))
}

fn rules(args: &KeepArgs, config: &Config) -> PruneRules {
    let keep = args.keep.unwrap_or(config.backup.keep);
    let keep_for = Duration::from(args.keep_for.unwrap_or(config.backup.keep_for));
    PruneRules {
        keep: (keep > 0).then_some(keep),
        keep_for: (!keep_for.is_zero()).then_some(keep_for),
    }
}

/// The store that is meant: of a directory, of a server, or of the configuration.
fn source(args: &BackupArgs, config: &Config) -> Result<BackupOrigin, Error> {
    let open = |data| Store::open_existing(data, WHO, OpenOptions::to_look(MEMORY_BYTES));
    if let Some(data) = &args.data {
        return open(data)
            .map(BackupOrigin::Store)
            .map_err(|error| match error {
                store::Error::InUse { dir, by } => Error::Store(store::Error::InUse {
                    dir,
                    by: format!("{by}, which --server can ask"),
                }),
                other => Error::Store(other),
            });
    }
    let here = config
        .store
        .data
        .as_deref()
        .filter(|_| args.server.is_none());
    match here.map(open) {
        Some(Ok(store)) => Ok(BackupOrigin::Store(store)),
        None | Some(Err(store::Error::InUse { .. })) => Ok(BackupOrigin::Server(backup_source(
            args.server.as_deref(),
            args.token_file.as_deref(),
            config,
        )?)),
        Some(Err(error)) => Err(Error::Store(error)),
    }
}

/// The server that is meant.
fn backup_source(
    server: Option<&str>,
    token_file: Option<&Path>,
    config: &Config,
) -> Result<BackupSource, Error> {
    let primary = if let Some(server) = server {
        base_of(server).ok_or_else(|| Error::Address(server.to_owned()))?
    } else {
        let is_secured = config.tls.cert_file.is_some();
        let scheme = if is_secured { "https" } else { "http" };
        format!("{scheme}://{}", reachable(config.net.admin))
    };
    let tls = Tls::load(tls_files(config)).map_err(Error::Tls)?;
    let dialer = Dialer::new(&primary, &Arc::new(tls));
    // A replica without a token of its own is asked with the token that it follows with.
    let mut token = command_token(token_file).map_err(Error::Token)?;
    if token.is_none() {
        let file = config.replication.token_file.as_ref();
        let file = file.or(config.replica.token_file.as_ref());
        let shared = file.map(|file| Token::read(file)).transpose();
        token = shared.map_err(Error::Token)?;
    }
    Ok(BackupSource::new(replication::PrimaryAddress {
        dialer: dialer.ok_or_else(|| Error::Address(primary.clone()))?,
        primary,
        token: token.unwrap_or_else(Token::none),
    }))
}

/// Returns the address at which a program on the same machine reaches a listener.
pub(super) fn reachable(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, address.port())
}

/// The configuration that is in force.
pub(super) fn configured(args: &WhereArgs) -> Result<Config, Error> {
    let sources = sources::of_some(args.config.as_ref(), &args.set);
    Ok(sources.settle_but_data().map_err(Error::Config)?.config)
}

/// Returns the target of backups, of a flag or of the configuration.
pub(super) fn target_of(
    given: Option<&String>,
    config: &Config,
    flag: &'static str,
) -> Result<String, Error> {
    let target = given.or(config.backup.to.as_ref());
    target.cloned().ok_or(Error::NoTarget(flag))
}

/// Enough for one thing after the other.
pub(super) fn runtime() -> Result<Runtime, Error> {
    let runtime = Builder::new_current_thread().enable_all().build();
    runtime.map_err(Error::Start)
}

fn say_if(sentence: Option<String>) -> Result<(), Error> {
    sentence.map_or(Ok(()), |sentence| say(&sentence))
}

pub(super) fn say(sentence: &str) -> Result<(), Error> {
    writeln!(out(), "{sentence}").map_err(Error::Print)
}

/// The reason there is no backup.
#[derive(Debug)]
pub enum Error {
    /// The configuration is wrong.
    Config(config::Error),
    /// No configuration names the target of backups.
    NoTarget(&'static str),
    /// A server's address is none.
    Address(String),
    /// There is no token.
    Token(TokenError),
    /// The files of TLS do not hold what they should.
    Tls(TlsError),
    /// The store cannot be opened.
    Store(store::Error),
    /// The backup or the restore failed.
    Backup(backup::Error),
    /// Objects are missing or damaged, and each was reported.
    Faults(usize),
    /// The system refuses a resource that every program needs.
    Start(io::Error),
    /// Standard output cannot be written.
    Print(io::Error),
}

impl From<backup::Error> for Error {
    fn from(error: backup::Error) -> Self {
        Self::Backup(error)
    }
}

impl Configured for Error {
    fn is_misconfigured(&self) -> bool {
        match self {
            Self::Config(_)
            | Self::NoTarget(_)
            | Self::Address(_)
            | Self::Token(_)
            | Self::Tls(_)
            | Self::Backup(backup::Error::Place(_)) => true,
            Self::Store(_)
            | Self::Backup(_)
            | Self::Faults(_)
            | Self::Start(_)
            | Self::Print(_) => false,
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Config(error) => error.fmt(f),
            Self::NoTarget(flag) => write!(
                f,
                "no target for backups is configured; give {flag} DIR or {flag} s3://BUCKET/PREFIX, or \
                 set backup.to in the configuration"
            ),
            Self::Address(address) => write!(
                f,
                "{address} is not an address such as http://127.0.0.1:8081; give the admin port \
                 (net.admin) of the server"
            ),
            Self::Token(error) => error.fmt(f),
            Self::Tls(error) => error.fmt(f),
            Self::Store(error) => error.fmt(f),
            Self::Backup(error) => error.fmt(f),
            Self::Faults(faults) => write!(
                f,
                "{} cannot be used; take another backup now, and check the storage that keeps them",
                counted(*faults, "object")
            ),
            Self::Start(source) => write!(f, "cannot start: {source}"),
            Self::Print(source) => write!(f, "cannot print: {source}"),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Config(error) => error.source(),
            Self::Token(error) => error.source(),
            Self::Tls(error) => error.source(),
            _ => None,
        }
    }
}
