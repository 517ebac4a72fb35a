//! PostgreSQL, in a cluster of its own: made, loaded, started and ended here.
//!
//! Owns the cluster below the work directory and the way of the CSV files into it. It must not touch
//! any other cluster of the machine: it has no port, and its socket is in this run's directory.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use rustix::process::{Signal, geteuid};

use super::{Data, Starting};
use crate::scenario::cage::Cage;
use crate::scenario::process::{Process, Skipped, find, find_postgresql, output};
use crate::scenario::setting::{Setting, remove_dir};
use crate::text::cannot;

/// The user that root runs it as: PostgreSQL refuses root.
const USER: &str = "postgres";
const ROLE: &str = "reviews";
const IMPORTED: &str = "reviews";
const WRITTEN: &str = "reviews_written";

/// A cluster's files, and their owner.
pub(crate) struct Cluster {
    bin: PathBuf,
    psql: PathBuf,
    data: PathBuf,
    socket: PathBuf,
    user: Option<&'static str>,
}

impl Cluster {
    /// The cluster of this shop, whether or not it has been made.
    pub(crate) fn find(setting: &Setting) -> Result<Self> {
        let bin = find_postgresql()?;
        let psql = find("psql", "postgresql-client")?;
        let user = geteuid().is_root().then_some(USER);
        Ok(Self {
            bin,
            psql,
            data: setting.shop().join("postgres"),
            socket: setting.scratch.path("socket"),
            user,
        })
    }

    /// Makes it anew, empty, with the peer's own settings.
    pub(crate) fn create(&self, setting: &Setting) -> Result<()> {
        remove_dir(&self.data)?;
        self.make_dir(&self.data)?;
        self.check_reachable()?;
        let mut command = self.as_user(&self.bin.join("initdb"));
        command.arg("-D").arg(&self.data);
        command.args(["--no-locale", "--encoding", "UTF8", "--auth", "trust"]);
        command.args(["--username", ROLE, "--no-instructions"]);
        output("initdb", &mut command)?;

        let ours = setting.peers.join("express-postgres/postgresql.conf");
        let conf = self.data.join("postgresql.conf");
        let text = fs::read_to_string(&ours).with_context(cannot("read", &ours))?;
        let base = fs::read_to_string(&conf).with_context(cannot("read", &conf))?;
        fs::write(&conf, base + "\n" + &text).with_context(cannot("write", &conf))?;
        Ok(())
    }

    /// Starts it in a cage.
    pub(crate) fn start(&self, setting: &Setting, cage: &Cage) -> Result<Process> {
        self.make_dir(&self.socket)?;
        let program = self.bin.join("postgres");
        let signal = "INT";
        let mut command = cage.command(program.as_os_str(), self.user, signal);
        command.arg("-D").arg(&self.data);
        command.args(["-c", "listen_addresses=", "-c", "port=5432", "-c"]);
        command.arg(format!(
            "unix_socket_directories={}",
            self.socket.to_string_lossy()
        ));
        let log = setting.scratch.path("postgres.log");
        // SIGINT: clients are sent away, and what is in memory is written.
        let mut process = Process::start("postgres", command, log, Signal::INT)?;
        process.wait_for(&setting.stop, |line| {
            line.contains("ready to accept connections").then_some(())
        })?;
        Ok(process)
    }

    /// Loads the CSV files, reviews and catalogue at once, and makes them durable; in `cage`, as far as
    /// it is not the server's own work.
    pub(crate) fn load(&self, setting: &Setting, cage: &Cage) -> Result<()> {
        let sql = setting.peers.join("express-postgres/sql");
        self.ask("postgres", &format!("CREATE DATABASE {IMPORTED}"))?;
        self.run_file(setting, cage, &sql.join("meta.sql"))?
            .wait(&setting.stop)?;
        let mut reviews = self.run_file(setting, cage, &sql.join("reviews.sql"))?;
        let mut catalogue = self.run_file(setting, cage, &sql.join("catalogue.sql"))?;
        catalogue.wait(&setting.stop)?;
        reviews.wait(&setting.stop)?;
        self.run_file(setting, cage, &sql.join("add_review.sql"))?
            .wait(&setting.stop)?;
        self.ask("postgres", "CHECKPOINT")?;
        Ok(())
    }

    /// The size of what was loaded, indexes included.
    pub(crate) fn size(&self) -> Result<u64> {
        let query = format!("SELECT pg_database_size('{IMPORTED}')");
        let text = self.ask("postgres", &query)?;
        text.trim()
            .parse()
            .context("cannot read the size of the database")
    }

    /// Makes a copy of what was loaded that a run may write to.
    pub(crate) fn copy(&self, setting: &Setting) -> Result<()> {
        let cage = Cage::new(&setting.whole_machine());
        let _process = self.start(setting, &cage)?;
        self.ask("postgres", &format!("DROP DATABASE IF EXISTS {WRITTEN}"))?;
        let copy = format!("CREATE DATABASE {WRITTEN} TEMPLATE {IMPORTED} STRATEGY FILE_COPY");
        self.ask("postgres", &copy)?;
        Ok(())
    }

    /// Removes that copy.
    pub(crate) fn remove_copy(&self, setting: &Setting) -> Result<()> {
        let cage = Cage::new(&setting.whole_machine());
        let _process = self.start(setting, &cage)?;
        self.ask("postgres", &format!("DROP DATABASE IF EXISTS {WRITTEN}"))?;
        Ok(())
    }

    fn ask(&self, database: &str, query: &str) -> Result<String> {
        output(
            "psql",
            self.psql(Command::new(&self.psql), database)
                .args(["-Atqc", query]),
        )
    }

    /// Has psql read a file, in the directory of the CSV files.
    fn run_file(&self, setting: &Setting, cage: &Cage, file: &Path) -> Result<Process> {
        let name = file.file_stem().unwrap_or_default().to_string_lossy();
        let command = cage.command(self.psql.as_os_str(), None, "KILL");
        let mut command = self.psql(command, IMPORTED);
        command.arg("-qf").arg(file).current_dir(setting.csv());
        let log = setting.scratch.path(&format!("{name}.log"));
        Process::start(&format!("psql, loading {name}"), command, log, Signal::TERM)
    }

    fn psql(&self, mut command: Command, database: &str) -> Command {
        command.args(["--no-psqlrc", "--username", ROLE, "--dbname", database]);
        command.arg("--host").arg(&self.socket);
        command
    }

    fn as_user(&self, program: &Path) -> Command {
        match self.user {
            None => Command::new(program),
            Some(user) => {
                let mut command = Command::new("setpriv");
                command.args(["--reuid", user, "--regid", user, "--init-groups", "--"]);
                command.arg(program);
                // Its own directory is not everybody's.
                command.current_dir("/");
                command
            }
        }
    }

    fn make_dir(&self, path: &Path) -> Result<()> {
        let mut command = Command::new("install");
        command.args(["-d", "-m", "700"]);
        if let Some(user) = self.user {
            command.args(["-o", user, "-g", user]);
        }
        output("install", command.arg(path)).map(|_| ())
    }

    /// The directories above the cluster may be closed to PostgreSQL's user.
    fn check_reachable(&self) -> Result<()> {
        let mut command = self.as_user(Path::new("test"));
        let reachable = output("test", command.arg("-w").arg(&self.data));
        let data = self.data.display();
        reachable.map(|_| ()).context(Skipped(format!(
            "PostgreSQL's user {USER} cannot reach {data}; give --work a directory that others may enter"
        )))
    }
}

impl Starting<'_> {
    /// Starts the cluster and says how to reach it.
    pub(super) fn postgres(&mut self, data: Data) -> Result<Vec<(&'static str, String)>> {
        let cluster = Cluster::find(self.setting)?;
        if !cluster.data.join("PG_VERSION").exists() {
            bail!(Skipped("its data were not loaded".to_owned()));
        }
        let process = cluster.start(self.setting, &self.cage)?;
        self.processes.push(process);
        let database = match data {
            Data::Imported => IMPORTED,
            Data::Written => WRITTEN,
        };
        Ok(vec![
            ("PGHOST", cluster.socket.to_string_lossy().into_owned()),
            ("PGUSER", ROLE.to_owned()),
            ("PGDATABASE", database.to_owned()),
        ])
    }
}

/// Loads into a new cluster, in a cage, and says how large the database is.
pub(crate) fn import(setting: &Setting, cage: &Cage) -> Result<u64> {
    let cluster = Cluster::find(setting)?;
    cluster.create(setting)?;
    let process = cluster.start(setting, cage)?;
    let loaded = cluster.load(setting, cage).and_then(|()| cluster.size());
    drop(process);
    loaded
}
