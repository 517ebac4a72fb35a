//! What every scenario needs and takes long to make: the CSV files, the stores, the peer's packages.
//!
//! Owns what is kept in the work directory between runs, and when it has to be made again. Invariant:
//! what is only half made is never taken for whole.

use std::collections::hash_map::DefaultHasher;
use std::fs;
use std::hash::{Hash, Hasher};
use std::path::{Path, PathBuf};
use std::process::{self, Command};
use std::slice;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use super::cage::{Cage, Room, Used};
use super::machine::now;
use super::peers::{Server, express, postgres, reviewsd};
use super::process::output;
use super::results::{Import, Measured};
use super::say;
use super::setting::{Setting, remove_dir};
use crate::text::cannot;

/// The period at which an import's memory is looked at.
const LOOK_PAUSE: Duration = Duration::from_millis(100);

/// A made store, and its source.
#[derive(Serialize, Deserialize)]
struct Made {
    /// The hash of its source: when this changes, it is made again.
    of: u64,
    date: String,
    imports: Vec<Import>,
}

/// The CSV files, of this program's version.
pub(crate) fn csv(setting: &Setting) -> Result<()> {
    let (dir, mark) = (setting.csv(), setting.shop().join("csv.made"));
    let version = env!("CARGO_PKG_VERSION");
    if fs::read_to_string(&mark).is_ok_and(|made| made == version) {
        return Ok(());
    }
    say(&format!(
        "making the CSV files of {} products",
        setting.products
    ));
    remove_dir(&dir)?;
    fs::create_dir_all(&dir).with_context(cannot("create", &dir))?;
    let mut command = Command::new(&setting.bench);
    command.args([
        "gen",
        "--seed",
        "1",
        "--products",
        &setting.products.to_string(),
    ]);
    output("reviewsd-bench gen", command.arg("--out").arg(&dir))?;
    fs::write(&mark, version).with_context(cannot("write", &mark))
}

/// The stores, each with what its making took; made again where they were made of something else.
pub(crate) fn stores(setting: &Setting) -> Result<Vec<Measured>> {
    let mut all = Vec::new();
    for server in [Server::Reviewsd, Server::Express] {
        setting.stopped()?;
        let mut measured = Measured::new(server);
        match store(setting, server) {
            Ok(imports) => measured.imports = imports,
            Err(error) if server == Server::Reviewsd => return Err(error),
            Err(error) => {
                setting.stopped()?;
                measured.absent(&error);
            }
        }
        all.push(measured);
    }
    Ok(all)
}

fn store(setting: &Setting, server: Server) -> Result<Vec<Import>> {
    let (of, name) = if server == Server::Reviewsd {
        (digest(slice::from_ref(&setting.reviewsd))?, "reviewsd.made")
    } else {
        express::install(setting)?;
        postgres::Cluster::find(setting)?;
        let sources = setting.peers.join("express-postgres");
        let mut files = files_in(&sources.join("sql"))?;
        files.push(sources.join("postgresql.conf"));
        (digest(&files)?, "postgres.made")
    };
    let mark = setting.shop().join(name);
    if let Some(made) = read_mark(&mark)
        && made.of == of
        && !setting.fresh
    {
        let earlier = |import: Import| Import {
            earlier: Some(made.date.clone()),
            ..import
        };
        return Ok(made.imports.into_iter().map(earlier).collect());
    }
    // Whatever is there is not whole from here on.
    if mark.exists() {
        fs::remove_file(&mark).with_context(cannot("remove", &mark))?;
    }
    let (micro, machine) = (setting.micro(), setting.whole_machine());
    let imports = if server == Server::Reviewsd {
        vec![
            import(setting, "the micro instance", &micro, reviewsd::import)?,
            import(setting, "the whole machine", &machine, reviewsd::import)?,
        ]
    } else {
        vec![import(
            setting,
            "the whole machine",
            &machine,
            postgres::import,
        )?]
    };
    let made = Made {
        of,
        date: now(),
        imports,
    };
    let text = serde_json::to_string_pretty(&made).unwrap_or_default();
    fs::write(&mark, text).with_context(cannot("write", &mark))?;
    Ok(made.imports)
}

/// Imports in a cage of its own and says what that took.
#[expect(clippy::cast_precision_loss, reason = "three digits are shown")]
fn import(
    setting: &Setting,
    on: &str,
    room: &Room,
    run: impl FnOnce(&Setting, &Cage) -> Result<u64>,
) -> Result<Import> {
    say(&format!("importing, on {on}"));
    // What is read is read from the disk by whoever comes first.
    Setting::drop_page_cache();
    let cage = Cage::new(room);
    let since = Instant::now();
    let (bytes, used) = watched(&cage, || run(setting, &cage));
    Ok(Import {
        on: on.to_owned(),
        seconds: since.elapsed().as_secs_f64(),
        cpu_seconds: used.cpu_us as f64 / 1e6,
        resident_bytes: used.resident_bytes,
        bytes: bytes?,
        earlier: None,
    })
}

/// Runs something while another thread looks at what is used in its cage.
fn watched<T>(cage: &Cage, run: impl FnOnce() -> T) -> (T, Used) {
    // Where there is no group to ask, all that this program started is asked.
    let used = || cage.used(&[process::id()]);
    let before = used();
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        let looking = scope.spawn(|| {
            let mut most = 0;
            while !over.load(Ordering::Relaxed) {
                most = used().resident_bytes.max(most);
                thread::sleep(LOOK_PAUSE);
            }
            most
        });
        let done = run();
        over.store(true, Ordering::Relaxed);
        let after = used();
        let used = Used {
            cpu_us: after.cpu_us.saturating_sub(before.cpu_us),
            resident_bytes: looking.join().unwrap_or_default(),
            page_cache_bytes: after.page_cache_bytes,
        };
        (done, used)
    })
}

fn read_mark(path: &Path) -> Option<Made> {
    serde_json::from_slice(&fs::read(path).ok()?).ok()
}

/// Tells files apart from what they were.
fn digest(paths: &[PathBuf]) -> Result<u64> {
    let mut hasher = DefaultHasher::new();
    for path in paths {
        fs::read(path)
            .with_context(cannot("read", path))?
            .hash(&mut hasher);
    }
    Ok(hasher.finish())
}

fn files_in(dir: &Path) -> Result<Vec<PathBuf>> {
    let entries = fs::read_dir(dir).with_context(cannot("read", dir))?;
    let mut files: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    files.sort();
    Ok(files)
}
