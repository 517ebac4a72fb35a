//! Reasons why the program does not start, each as one sentence with the remedy.

use std::fs;
use std::io::BufReader;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::Path;
use std::process::{Command, Output, Stdio};

use rustix::process::{Signal, geteuid};

use super::{Running, Server, command, line_with, output, started};
use crate::support::{no_forks, shop_dir};

/// A user that owns no files.
const STRANGER: u32 = 65534;

#[expect(
    clippy::print_stderr,
    reason = "a test that was not run must not pass for one that was"
)]
pub(crate) fn skipped(why: &str) {
    eprintln!("skipped: {why}");
}

/// Runs a shell script that may mount what it likes without an effect on other processes; returns `None`, and
/// prints why, if this user may not.
pub(super) fn in_own_mounts(script: &str) -> Option<Output> {
    let run = |script: &str| {
        let _no_forks = no_forks();
        let mut unshare = Command::new("unshare");
        unshare.args(["--map-root-user", "--mount", "sh", "-c", script]);
        unshare.stdin(Stdio::null()).output()
    };
    if run("mount -t tmpfs none /mnt").is_ok_and(|output| output.status.success()) {
        return Some(run(script).unwrap());
    }
    skipped("this user may not mount anything");
    None
}

/// The arguments of a server on ports of its own.
fn serve(data: &Path) -> String {
    let bin = env!("CARGO_BIN_EXE_reviewsd");
    let data = data.display();
    format!(
        "{bin} serve --config /dev/null --memory 64MiB --listen 127.0.0.1:0 --admin 127.0.0.1:0 \
         --data {data}"
    )
}

/// The one sentence of an output that is a failure.
fn sentence(ended: Output) -> String {
    let said = String::from_utf8(ended.stderr).unwrap();
    assert_eq!(ended.status.code(), Some(1), "{said}");
    assert_eq!(said.lines().count(), 1, "{said}");
    said
}

/// The same of one that is warned before.
fn sentence_after_warnings(mut ended: Output) -> String {
    let said = String::from_utf8(ended.stderr).unwrap();
    let rest: Vec<_> = said
        .lines()
        .filter(|line| !line.contains(" WARN "))
        .collect();
    ended.stderr = rest.join("\n").into_bytes();
    sentence(ended)
}

/// The sentence of a server that must not start.
fn refused(command: &mut Command) -> String {
    sentence(output(command))
}

fn in_shell(script: &str) -> Command {
    let mut command = Command::new("sh");
    command.args(["-c", script]);
    command
}

#[test]
fn a_directory_of_another_owner() {
    let dir = tempfile::tempdir().unwrap();
    let serve = serve(dir.path());
    let said = if geteuid().is_root() {
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let stranger = format!("--reuid={STRANGER} --regid={STRANGER} --clear-groups");
        refused(&mut in_shell(&format!("exec setpriv {stranger} {serve}")))
    } else {
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o000)).unwrap();
        refused(&mut in_shell(&format!("exec {serve}")))
    };
    let expected =
        "LOCK: Permission denied (os error 13); make the user that reviewsd runs as the owner";
    assert!(said.contains(expected), "{said}");
}

#[test]
fn a_store_of_another_owner() {
    if !geteuid().is_root() {
        skipped("only root may give files away");
        return;
    }
    let dir = shop_dir();
    chown(dir.path().join("store/CURRENT"), Some(STRANGER), None).unwrap();
    let mode = fs::Permissions::from_mode(0o600);
    fs::set_permissions(dir.path().join("store/CURRENT"), mode).unwrap();
    let caps = "--bounding-set=-dac_override,-dac_read_search,-fowner";
    let serve = serve(dir.path());
    let said = refused(&mut in_shell(&format!("exec setpriv {caps} {serve}")));
    let expected = "Permission denied; make the user that reviewsd runs as the owner";
    assert!(said.contains(expected), "{said}");
}

#[test]
fn a_disk_that_is_mounted_for_reading_only() {
    let dir = shop_dir();
    let (data, serve) = (dir.path().display(), serve(dir.path()));
    let script =
        format!("mount --bind {data} {data} && mount -o remount,ro,bind {data} && exec {serve}");
    if let Some(ended) = in_own_mounts(&script) {
        let said = sentence(ended);
        let expected = "Read-only file system (os error 30); mount it writable";
        assert!(said.contains(expected), "{said}");
    }
}

#[test]
fn a_disk_without_room_for_a_store() {
    let dir = tempfile::tempdir().unwrap();
    let (data, serve) = (dir.path().display(), serve(dir.path()));
    for size in ["8k", "64k"] {
        let script = format!("mount -t tmpfs -o size={size} none {data} && exec {serve}");
        if let Some(ended) = in_own_mounts(&script) {
            let said = sentence_after_warnings(ended);
            let expected = "No space left on device; free space on the disk";
            assert!(said.contains(expected), "{said}");
        }
    }
}

#[test]
fn a_configuration_that_trying_again_does_not_mend() {
    let dir = tempfile::tempdir().unwrap();
    let serve = serve(dir.path());
    for (flags, expected) in [
        ("--set net.idle_time_max=9", "a time is a whole number"),
        ("--set replication.acks=1", "replication.token_file must be"),
        (
            "--set replication.token_file=/nonexistent/token",
            "cannot read the token in /nonexistent/token",
        ),
        (
            "--follow http://127.0.0.1:1",
            "no token of the primary is configured",
        ),
    ] {
        let ended = output(&mut in_shell(&format!("exec {serve} {flags}")));
        let said = String::from_utf8(ended.stderr).unwrap();
        // The code in RestartPreventExitStatus= of the units.
        assert_eq!(ended.status.code(), Some(2), "{said}");
        assert!(
            said.contains(expected) && said.lines().count() == 1,
            "{said}"
        );
    }
}

#[test]
fn too_few_descriptors() {
    let dir = tempfile::tempdir().unwrap();
    let serve = serve(dir.path());
    let said = refused(&mut in_shell(&format!("ulimit -n 100; exec {serve}")));
    assert_eq!(
        said,
        "reviewsd: the limit of open files is 100, and the server needs at least 512; raise it with \
         `ulimit -n`, or LimitNOFILE= in the unit\n"
    );
}

#[test]
fn few_descriptors_make_for_fewer_connections() {
    let dir = tempfile::tempdir().unwrap();
    let serve = serve(dir.path());
    let mut limited = in_shell(&format!("ulimit -n 600; exec {serve}"));
    let mut server = Running(started(&mut limited));
    let mut log = BufReader::new(server.0.stderr.take().unwrap());
    let said = line_with(&mut log, "the limit of open files, 600, allows ");
    line_with(&mut log, "(admin)");
    assert!(said.contains("connections instead of 4096"), "{said}");
    let left = said.split("allows ").nth(1).unwrap().split(' ').next();
    let left: u32 = left.unwrap().parse().unwrap();
    assert!((100..280).contains(&left), "{said}");
}

#[test]
fn a_file_where_a_directory_should_be() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("file");
    fs::write(&file, "").unwrap();
    for data in [file.clone(), file.join("below")] {
        let said = refused(command(&data).args(["--listen", "127.0.0.1:0"]));
        assert!(said.ends_with("; give --data a directory\n"), "{said}");
    }
}

#[test]
fn a_directory_with_somebody_s_files() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("thesis.odt"), "").unwrap();
    let said = refused(command(dir.path()).args(["--listen", "127.0.0.1:0"]));
    let expected =
        "already contains thesis.odt, which is not reviewsd's; choose a directory of its own";
    assert!(said.contains(expected), "{said}");
}

#[test]
fn an_address_that_is_not_this_machine_s() {
    let dir = tempfile::tempdir().unwrap();
    let said = refused(command(dir.path()).args(["--listen", "192.0.2.1:8080"]));
    assert_eq!(
        said,
        "reviewsd: this machine has no address 192.0.2.1; give one that it has with --listen, or \
         0.0.0.0 for all\n"
    );
}

#[test]
fn a_port_that_is_root_s() {
    let first_free = fs::read_to_string("/proc/sys/net/ipv4/ip_unprivileged_port_start");
    let first_free = first_free.map_or(1024, |port| port.trim().parse().unwrap());
    if first_free <= 80 || !geteuid().is_root() {
        skipped("anybody may listen at port 80, or this user cannot tell");
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let serve = serve(dir.path()).replace("--listen 127.0.0.1:0", "--listen 127.0.0.1:80");
    let caps = "--bounding-set=-net_bind_service";
    let said = refused(&mut in_shell(&format!("exec setpriv {caps} {serve}")));
    let expected = "only root may listen at 127.0.0.1:80; give a port from 1024 on with --listen";
    assert!(said.contains(expected), "{said}");
}

#[test]
fn an_empty_directory_is_served_with_a_word_about_it() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("new");
    let mut server = Running(started(command(&data).args(["--listen", "127.0.0.1:0"])));
    let mut log = BufReader::new(server.0.stderr.take().unwrap());
    let said = line_with(&mut log, "the store is empty");
    drop(server);
    assert!(said.contains("`reviewsd import --csv DIR --data"), "{said}");
    let filled = Server::with("");
    filled.signal(Signal::TERM);
    let (_, rest) = filled.ended();
    assert!(!rest.contains("the store is empty"), "{rest}");
}
