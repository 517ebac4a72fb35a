//! Owners of the files that commands leave, and their permissions for other users.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, lchown, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use rustix::process::{Pid, Signal, geteuid, kill_process};
use tempfile::TempDir;

use crate::replication::node::{Node, Setup};
use crate::serve::{line_with, skipped};
use crate::support::{no_forks, shop_dir};

/// A user without an account, who owns no other files.
const OWNER: u32 = 12_345;

fn run(command: &mut Command) -> Output {
    let child = {
        let _no_forks = no_forks();
        command.stdin(Stdio::null());
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        command.spawn().unwrap()
    };
    child.wait_with_output().unwrap()
}

fn reviewsd(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_reviewsd"));
    command.env("REVIEWSD_CONFIG", "/dev/null").args(args);
    command
}

fn said(args: &[&str]) -> String {
    let output = run(&mut reviewsd(args));
    let why = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{args:?}: {why}");
    String::from_utf8(output.stdout).unwrap()
}

/// Every file and directory in a directory, and the directory.
fn all_in(dir: &Path) -> Vec<PathBuf> {
    let mut all = vec![dir.to_owned()];
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if fs::symlink_metadata(&path).unwrap().is_dir() {
            all.extend(all_in(&path));
        } else {
            all.push(path);
        }
    }
    all
}

/// Gives a directory and all in it to the owner.
pub(crate) fn give_to_owner(dir: &Path) {
    for path in all_in(dir) {
        lchown(path, Some(OWNER), Some(OWNER)).unwrap();
    }
}

/// Everything in a directory, and the directory, is the owner's.
pub(crate) fn assert_all_is_the_owners(dir: &Path) {
    for path in all_in(dir) {
        let found = fs::symlink_metadata(&path).unwrap();
        let owner = (found.uid(), found.gid());
        assert_eq!(owner, (OWNER, OWNER), "{}", path.display());
    }
}

/// A directory of the owner's that every user may traverse, with a subdirectory for each purpose.
struct Yard(TempDir);

impl Yard {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        fs::set_permissions(dir.path(), PermissionsExt::from_mode(0o755)).unwrap();
        chown(dir.path(), Some(OWNER), Some(OWNER)).unwrap();
        let yard = Self(dir);
        for name in ["data", "restored"] {
            fs::create_dir(yard.path(name)).unwrap();
            chown(yard.path(name), Some(OWNER), Some(OWNER)).unwrap();
        }
        yard
    }

    fn path(&self, name: &str) -> String {
        self.0.path().join(name).to_str().unwrap().to_owned()
    }

    fn import(&self) {
        let csv = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/csv/v2");
        let copied = self.0.path().join("csv");
        fs::create_dir(&copied).unwrap();
        for file in fs::read_dir(csv).unwrap() {
            let file = file.unwrap();
            fs::copy(file.path(), copied.join(file.file_name())).unwrap();
        }
        for path in all_in(&copied) {
            chown(path, Some(OWNER), Some(OWNER)).unwrap();
        }
        let skus = copied.join("skus.csv");
        let rejected = fs::read_to_string(&skus).unwrap() + "\n99,1";
        fs::write(&skus, rejected).unwrap();
        let (csv, data) = (self.path("csv"), self.path("data"));
        said(&["import", "--csv", &csv, "--data", &data, "--quiet"]);
    }

    fn serve(&self) {
        let data = self.path("data");
        let listen = ["--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"];
        let mut command = reviewsd(&["serve", "--data", &data, "--memory", "64MiB"]);
        let mut child = {
            let _no_forks = no_forks();
            command.stdin(Stdio::null()).stderr(Stdio::piped());
            command.args(listen).spawn().unwrap()
        };
        let mut log = std::io::BufReader::new(child.stderr.take().unwrap());
        line_with(&mut log, "instead of root");
        line_with(&mut log, "(admin)");
        let pid = Pid::from_raw(i32::try_from(child.id()).unwrap()).unwrap();
        let shown = fs::metadata(format!("/proc/{}", child.id())).unwrap();
        assert_eq!(shown.uid(), OWNER, "the process is the owner's");
        kill_process(pid, Signal::TERM).unwrap();
        assert_eq!(child.wait().unwrap().code(), Some(0));
    }
}

#[test]
fn commands_of_root_leave_files_of_the_directorys_owner() {
    if !geteuid().is_root() {
        return skipped("this user is not root");
    }
    let yard = Yard::new();
    yard.import();
    let (data, restored) = (yard.path("data"), yard.path("restored"));
    let (out, backups) = (yard.path("out"), yard.path("backups"));
    assert!(Path::new(&data).join("rejects.csv").exists());
    said(&["verify", "--data", &data, "--quiet"]);
    said(&["verify", "--data", &data, "--quiet", "--repair"]);
    said(&["stats", "--data", &data]);
    said(&["position", "--data", &data]);
    said(&["find", "--data", &data, "--email", "nobody@example.org"]);
    said(&["export", "--data", &data, "--out", &out, "--quiet"]);
    said(&["backup", "--data", &data, "--to", &backups]);
    said(&[
        "backup",
        "--to",
        &backups,
        "--set",
        &format!("store.data={data}"),
    ]);
    said(&[
        "restore", "--from", &backups, "--data", &restored, "--quiet",
    ]);
    said(&["erase", "--data", &data, "--review", "1", "--yes"]);
    yard.serve();
    said(&["promote", "--data", &data]);
    assert_all_is_the_owners(yard.0.path());
}

#[test]
fn roots_backup_of_a_server_is_the_targets_owners() {
    if !geteuid().is_root() {
        return skipped("this user is not root");
    }
    let yard = Yard::new();
    yard.import();
    let (data, backups) = (yard.path("data"), yard.path("backups"));
    fs::create_dir(&backups).unwrap();
    chown(&backups, Some(OWNER), Some(OWNER)).unwrap();
    let server = Node::start(&Setup {
        data: data.clone().into(),
        ..Setup::default()
    });
    let at = format!("http://{}", server.admin());
    said(&["backup", "--server", &at, "--to", &backups]);
    assert_all_is_the_owners(Path::new(&backups));
    server.stop();
    // The next one, by the owner, reads what the first one wrote.
    said(&["backup", "--data", &data, "--to", &backups]);
    assert_all_is_the_owners(Path::new(&backups));
}

#[test]
fn root_that_cannot_become_the_owner_is_given_the_command() {
    if !geteuid().is_root() {
        return skipped("this user is not root");
    }
    let yard = Yard::new();
    let data = yard.path("data");
    let bin = env!("CARGO_BIN_EXE_reviewsd");
    let bound = run(Command::new("setpriv").args([
        "--bounding-set=-setuid,-setgid",
        bin,
        "position",
        "--data",
        &data,
    ]));
    let sentence = String::from_utf8(bound.stderr).unwrap();
    let command = format!(
        "setpriv --reuid={OWNER} --regid={OWNER} --clear-groups {bin} position --data {data}\n"
    );
    assert_eq!(bound.status.code(), Some(1), "{sentence}");
    assert!(sentence.ends_with(&command), "{sentence}");
    assert!(fs::read_dir(&data).unwrap().next().is_none());
}

/// Files and directories that another user than their owner can read, or list.
fn open_to_others(dir: &Path) -> Vec<PathBuf> {
    let mut all = all_in(dir);
    all.retain(|path| path != dir);
    all.retain(|path| {
        let found = fs::symlink_metadata(path).unwrap();
        !found.is_symlink() && found.permissions().mode() & 0o077 != 0
    });
    all
}

#[test]
fn what_commands_write_is_for_its_owner_alone_to_read() {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name).to_str().unwrap().to_owned();
    let csv = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/csv/v2");
    let data = path("data");
    let import = run(Command::new("sh").args([
        "-c",
        "umask 022; exec \"$@\"",
        "sh",
        env!("CARGO_BIN_EXE_reviewsd"),
        "import",
        "--csv",
        csv.to_str().unwrap(),
        "--data",
        &data,
    ]));
    assert!(import.status.success());
    let (out, backups, restored) = (path("out"), path("backups"), path("restored"));
    fs::create_dir(&backups).unwrap();
    fs::set_permissions(&backups, PermissionsExt::from_mode(0o755)).unwrap();
    said(&["export", "--data", &data, "--out", &out, "--quiet"]);
    said(&["backup", "--data", &data, "--to", &backups]);
    said(&[
        "restore", "--from", &backups, "--data", &restored, "--quiet",
    ]);
    // A directory that was there keeps the permissions that it was given.
    assert_eq!(open_to_others(dir.path()), [PathBuf::from(&backups)]);
}

#[test]
fn a_store_that_others_could_read_is_closed_to_them() {
    let shop = shop_dir();
    let rejects = shop.path().join("rejects.csv");
    fs::write(&rejects, "file,line,field,reason,row\n").unwrap();
    let store = shop.path().join("store").canonicalize().unwrap();
    let kept = shop.path().join("diverged-1-2-3");
    fs::create_dir(&kept).unwrap();
    for (path, mode) in [(&store, 0o755), (&kept, 0o755), (&rejects, 0o644)] {
        fs::set_permissions(path, PermissionsExt::from_mode(mode)).unwrap();
    }
    said(&["position", "--data", shop.path().to_str().unwrap()]);
    for (path, mode) in [(&store, 0o700), (&kept, 0o700), (&rejects, 0o600)] {
        let found = fs::metadata(path).unwrap().permissions().mode();
        assert_eq!(found & 0o777, mode, "{}", path.display());
    }
}

#[test]
fn no_symbolic_link_in_the_place_of_a_lock_is_followed() {
    let shop = shop_dir();
    let elsewhere = tempfile::NamedTempFile::new().unwrap();
    fs::write(elsewhere.path(), "precious").unwrap();
    let lock = shop.path().join("LOCK");
    fs::remove_file(&lock).unwrap();
    symlink(elsewhere.path(), &lock).unwrap();
    let data = shop.path().to_str().unwrap();
    let refused = run(&mut reviewsd(&["position", "--data", data]));
    let sentence = String::from_utf8(refused.stderr).unwrap();
    assert_eq!(refused.status.code(), Some(1), "{sentence}");
    assert!(sentence.contains("it is a symbolic link"), "{sentence}");
    assert_eq!(fs::read_to_string(elsewhere.path()).unwrap(), "precious");
}

#[test]
fn no_symbolic_link_in_the_place_of_rejects_is_followed() {
    let (dir, csv) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let elsewhere = tempfile::NamedTempFile::new().unwrap();
    fs::write(elsewhere.path(), "precious").unwrap();
    symlink(elsewhere.path(), dir.path().join("rejects.csv")).unwrap();
    fs::write(
        csv.path().join("related.csv"),
        "id,current_product_id,related_product_id\n1,x,2\n",
    )
    .unwrap();
    let (data, csv) = (dir.path().to_str().unwrap(), csv.path().to_str().unwrap());
    let refused = run(&mut reviewsd(&[
        "import", "--csv", csv, "--data", data, "--quiet",
    ]));
    let sentence = String::from_utf8(refused.stderr).unwrap();
    assert_eq!(refused.status.code(), Some(1), "{sentence}");
    assert!(sentence.contains("it is a symbolic link"), "{sentence}");
    assert_eq!(fs::read_to_string(elsewhere.path()).unwrap(), "precious");
}
