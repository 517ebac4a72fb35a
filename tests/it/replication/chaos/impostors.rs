//! Servers that are where the primary was, and are not: empty ones, older ones, strangers, and primaries
//! that were replaced.

use std::fs;
use std::path::Path;

use rustix::process::Signal;
use serde_json::Value;

use super::super::node::{Node, Setup, run};
use super::super::{catches_up, eventually, is_fenced, is_held};
use super::Chaos;
use crate::chance::Random;
use crate::support::{copy_tree, shop_dir};

/// The sentences of a server that takes no writes, and of the replicas that are held because of it.
struct Sentences {
    fenced: &'static str,
    held: &'static str,
}

/// The sentences about a primary that starts on an empty directory.
const EMPTY: Sentences = Sentences {
    fenced: "the data directory was empty",
    held: "--accept-store",
};
/// The sentences about a primary that has less than before.
const OLDER: Sentences = Sentences {
    fenced: "so this store lost writes or is an older one",
    held: "so it lost writes or is an older one",
};

impl Chaos {
    /// Starts the primary on an empty directory, as when its volume is not mounted.
    pub(super) fn empty_primary(&mut self, random: &mut Random) {
        self.all_follow();
        self.end(self.primary, random.one_in(2));
        let empty = self.place("empty");
        self.make_dir(&empty);
        // It finds out by itself.
        self.has_impostor(&empty, &EMPTY, true, random);
        self.goes_on();
    }

    /// Starts the primary with what its disk held some time ago.
    pub(super) fn older_primary(&mut self, writes: u64, random: &mut Random) {
        self.all_follow();
        let older = self.place("older");
        self.end(self.primary, false);
        copy_tree(&self.data(self.primary), &older);
        self.start_primary();
        self.load.wait_for_more(writes + 1);
        self.all_follow();
        self.end(self.primary, random.one_in(2));
        self.has_impostor(&older, &OLDER, self.waits, random);
        self.goes_on();
    }

    /// Starts the primary with another directory instead of its own: it takes no writes, and its replicas
    /// retain their data. Then it gets its own back. Clients write to it from the start, or once it reports
    /// that it takes none.
    fn has_impostor(
        &mut self,
        other: &Path,
        sentences: &Sentences,
        is_written_to: bool,
        random: &mut Random,
    ) {
        let (data, own) = (self.data(self.primary), self.place("own"));
        let had: Vec<_> = self
            .replicas()
            .map(|replica| (replica, self.place_of(replica)))
            .collect();
        fs::rename(&data, &own).unwrap();
        fs::rename(other, &data).unwrap();
        self.start(self.primary);
        let impostor = self.node(self.primary);
        if is_written_to {
            self.load.lead_to(impostor);
        }
        is_fenced(impostor, sentences.fenced);
        self.load.lead_to(impostor);
        self.load.is_refused_by(impostor);
        for (replica, had) in &had {
            is_held(self.node(*replica), sentences.held);
            self.assert_keeps(*replica, had);
        }
        self.end(self.primary, random.one_in(2));
        fs::remove_dir_all(&data).unwrap();
        fs::rename(&own, &data).unwrap();
        self.start_primary();
    }

    /// Checks that a machine has at least its former writes.
    fn assert_keeps(&self, machine: usize, had: &Value) {
        let has = self.place_of(machine);
        let at = |place: &Value| (place["epoch"].as_u64(), place["seq"].as_u64());
        assert_eq!(has["store"], had["store"]);
        assert!(at(&has) >= at(had), "{has} after {had}");
    }

    /// Leads a replica to a primary with another store, while the others follow theirs.
    pub(super) fn stranger(&mut self, replica: usize, writes: u64) {
        self.all_follow();
        let shop = shop_dir();
        self.give(shop.path());
        let stranger = Node::start(&Setup {
            data: shop.path().to_owned(),
            follow: None,
            replication: String::new(),
            ..self.setup(self.primary)
        });
        stranger.fill(2);
        let had = self.place_of(replica);
        self.links[replica].lead_to(Some(stranger.admin()));
        is_held(self.node(replica), "--accept-store");
        self.load.wait_for_more(writes);
        self.assert_keeps(replica, &had);
        stranger.kill();
        let primary = self.node(self.primary).admin();
        self.links[replica].lead_to(Some(primary));
        self.goes_on();
    }

    /// Has a replica take the place of the primary, which comes back as it was, takes no writes, and becomes
    /// a replica.
    pub(super) fn replaced_primary(&mut self, random: &mut Random) {
        self.expect_replacement();
        let (old, setup) = (self.primary, self.setup(self.primary));
        let paused = random.one_in(2).then(|| self.nodes[old].take().unwrap());
        match &paused {
            Some(paused) => paused.signal(Signal::STOP),
            None => self.end(old, random.one_in(2)),
        }
        self.promote_furthest();
        self.others_follow(old);
        self.back_up(self.primary);
        let epoch = self.place_of(self.primary)["epoch"].clone();
        let old_primary = match paused {
            Some(paused) => {
                paused.signal(Signal::CONT);
                paused
            }
            None => Node::start(&setup),
        };
        if self.waits {
            self.load.lead_to(&old_primary);
        }
        let why = format!("another server is the primary since epoch {epoch}");
        is_fenced(&old_primary, &why);
        self.load.lead_to(&old_primary);
        self.load.is_refused_by(&old_primary);
        self.backup_is_refused(
            &["--server", &format!("http://{}", old_primary.admin())],
            "has seen epoch",
        );
        self.load.lead_nowhere();
        self.remember(&old_primary);
        old_primary.kill();
        self.start(old);
        self.resume();
        self.goes_on();
    }

    /// Makes sure that no acknowledged write is on the primary alone.
    pub(super) fn expect_replacement(&self) {
        self.all_follow();
        if self.waits {
            return;
        }
        self.load.pause();
        for replica in self.replicas() {
            catches_up(self.node(replica), self.node(self.primary));
        }
    }

    /// Makes a primary of the replica that has most, when the primary is lost. Other replicas find it from then
    /// on; clients do not.
    pub(super) fn promote_furthest(&mut self) {
        for link in &self.links {
            link.lead_to(None);
        }
        let reached = |machine: &usize| {
            let place = self.place_of(*machine);
            (place["epoch"].as_u64(), place["seq"].as_u64())
        };
        let furthest = self.replicas().max_by_key(reached).unwrap();
        self.end(furthest, false);
        let promoted = run("promote", &self.data(furthest), &[]);
        assert!(promoted.status.success(), "{promoted:?}");
        self.primary = furthest;
        self.start(furthest);
    }

    /// Waits until all replicas but the one on a machine follow the new primary.
    fn others_follow(&self, but: usize) {
        let epoch = self.place_of(self.primary)["epoch"].clone();
        for machine in self.replicas().filter(|machine| *machine != but) {
            eventually("a replica follows the new primary", || {
                self.place_of(machine)["epoch"] == epoch
            });
        }
    }
}
