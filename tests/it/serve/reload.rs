//! The effects of SIGHUP, and their limits.

use std::fs;
use std::path::PathBuf;

use rustix::process::Signal;
use tempfile::TempDir;

use super::{Client, Server};
use crate::support::shop_dir;

/// A server and the file that it reads at SIGHUP.
struct Reloaded {
    server: Server,
    file: PathBuf,
    _dir: TempDir,
}

impl Reloaded {
    fn with(config: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("r.toml");
        fs::write(&file, config).unwrap();
        let server = Server::reading(&file, shop_dir());
        Self {
            server,
            file,
            _dir: dir,
        }
    }

    /// Reloads this configuration, and returns the first line of the log about it.
    fn reload(&mut self, config: &str) -> String {
        fs::write(&self.file, config).unwrap();
        self.server.signal(Signal::HUP);
        self.server.told(&["SIGHUP: "])
    }

    fn rows(&self) -> usize {
        let answer = self.server.connect().ask("/reviews?product_id=2&count=5");
        let list: serde_json::Value = serde_json::from_slice(&answer.body).unwrap();
        list["results"].as_array().unwrap().len()
    }
}

#[test]
fn what_can_take_effect_does_and_what_cannot_is_named() {
    let mut reloaded = Reloaded::with("");
    assert_eq!(reloaded.rows(), 5);
    let said = reloaded.reload(
        "[api]\npage_rows_max = 2\ndialect = \"greenfield\"\n\
         [net]\nconnections_max = 7\n[writes]\nrate_limit_per_second = 1\nrate_limit_burst = 1\n",
    );
    assert!(
        said.contains(
            "INFO SIGHUP: api.page_rows_max, writes.rate_limit_per_second, writes.rate_limit_burst: \
             in effect from now on"
        ),
        "{said}"
    );
    let waits = reloaded.server.told(&["SIGHUP: "]);
    assert!(
        waits.contains("WARN SIGHUP: api.dialect, net.connections_max: in effect after a restart"),
        "{waits}"
    );
    assert_eq!(reloaded.rows(), 2);
    let mut client = reloaded.server.connect();
    let mut vote = || {
        client.send("PUT /reviews/5/helpful HTTP/1.1\r\nHost: shop\r\n\r\n");
        client.answer().status
    };
    assert_eq!(vote(), 204);
    // One a second, and the machine may take longer than that for one.
    assert_eq!(
        (0..50).map(|_| vote()).find(|status| *status != 204),
        Some(429)
    );
    // Back to the defaults, which an empty file is.
    reloaded.reload("");
    assert_eq!(reloaded.rows(), 5);
    assert!(reloaded.reload("").contains("no setting changed"));
}

#[test]
fn a_file_that_is_wrong_changes_nothing_and_says_so() {
    let mut reloaded = Reloaded::with("[api]\npage_rows_max = 3\n");
    for (wrong, why) in [
        (
            "[api]\npage_rows_max = 1\n[net]\nidle_time = \"1s\"\n",
            "r.toml, line 4, net.idle_time: unknown key; did you mean net.idle_time_max?",
        ),
        (
            "[api]\npage_rows_max = 0\n",
            "api.page_rows_max must be from 1 to 100000",
        ),
        ("[api\n", "r.toml, line 1"),
    ] {
        let said = reloaded.reload(wrong);
        assert!(said.contains("ERROR SIGHUP: nothing changes"), "{said}");
        assert!(said.contains(why), "{said}");
        assert_eq!(reloaded.rows(), 3);
    }
    fs::remove_file(&reloaded.file).unwrap();
    reloaded.server.signal(Signal::HUP);
    let said = reloaded.server.told(&["SIGHUP: "]);
    assert!(said.contains("r.toml: No such file"), "{said}");
    reloaded.reload("[api]\npage_rows_max = 4\n");
    assert_eq!(reloaded.rows(), 4);
    let mut probe = Client::to(reloaded.server.admin);
    assert_eq!(probe.ask("/readyz").status, 200);
}

#[test]
fn times_count_for_the_connections_that_come_from_then_on() {
    let mut reloaded = Reloaded::with("");
    let mut before = reloaded.server.connect();
    assert_eq!(before.ask("/livez").status, 200);
    reloaded.reload("[net]\nidle_time_max = \"200ms\"\n");
    let mut after = reloaded.server.connect();
    assert!(after.is_closed());
    assert_eq!(before.ask("/livez").status, 200);
}

#[test]
fn votes_are_remembered_across_a_reload() {
    let window = "[writes]\nvote_window = \"1h\"\n";
    let mut reloaded = Reloaded::with(window);
    let mut client = reloaded.server.connect();
    let mut helpfulness = || {
        client.send("PUT /reviews/5/helpful HTTP/1.1\r\nHost: shop\r\n\r\n");
        assert_eq!(client.answer().status, 204);
        let review: serde_json::Value =
            serde_json::from_slice(&client.ask("/reviews/5").body).unwrap();
        review["helpfulness"].as_u64().unwrap()
    };
    let once = helpfulness();
    reloaded.reload(&format!("{window}rate_limit_burst = 11\n"));
    assert_eq!(helpfulness(), once);
}

#[test]
fn pages_of_other_origins_are_let_in_and_out() {
    let mut reloaded = Reloaded::with("");
    let opened = |server: &Server| {
        let agent = ureq::Agent::new_with_defaults();
        let request = agent.get(format!("http://{}/products/1", server.api));
        let response = request
            .header("Origin", "https://shop.example")
            .call()
            .unwrap();
        let opened = response.headers().get("access-control-allow-origin");
        opened.map(|origin| origin.to_str().unwrap().to_owned())
    };
    assert_eq!(opened(&reloaded.server).as_deref(), Some("*"));
    reloaded.reload("[api]\ncors_origins = [\"https://shop.example\"]\n");
    assert_eq!(
        opened(&reloaded.server).as_deref(),
        Some("https://shop.example")
    );
    reloaded.reload("[api]\ncors_origins = []\n");
    assert_eq!(opened(&reloaded.server), None);
}
