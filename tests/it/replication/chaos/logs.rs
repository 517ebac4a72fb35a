//! Damage to the log of a server that was killed: no acknowledged write is lost silently.

use std::fs;

use super::super::node::{Node, Setup, run};
use super::super::{assert_none_lost, eventually};
use super::{Chaos, WRITES_MIN};
use crate::chance::Random;
use crate::crash::logs::{damage_somehow, logs_of};
use crate::support::copy_tree;

const LOST: &str = "lacks acknowledged writes";

impl Chaos {
    /// Kills a server and damages its log before it is started again: it has all that it had, or is refused
    /// until an operator does something about it.
    pub(super) fn damaged_log(&mut self, random: &mut Random) {
        self.load.wait_for_more(WRITES_MIN);
        let machine = if random.one_in(2) {
            self.primary
        } else {
            self.any_replica(random)
        };
        let is_replaced = machine == self.primary && random.one_in(2);
        if is_replaced {
            self.expect_replacement();
        } else {
            self.all_follow();
        }
        let had = self.place_of(machine)["durable_seq"].as_u64();
        self.end(machine, true);
        let acknowledged = self.load.acknowledged();
        let (data, whole) = (self.data(machine), self.place("whole"));
        copy_tree(&data, &whole);
        let what = damage_somehow(&logs_of(&data), random);
        if let Some(node) = self.opens(machine, &what) {
            let has = node.status().unwrap()["durable_seq"].as_u64();
            assert!(has >= had, "{what}: {has:?} of {had:?} without a word");
            if machine == self.primary {
                assert_none_lost(&node, &acknowledged);
            }
            self.put(machine, node);
            fs::remove_dir_all(whole).unwrap();
        } else {
            self.refused_logs += 1;
            if is_replaced {
                self.promote_furthest();
                fs::remove_dir_all(&data).unwrap();
                self.start(machine);
            } else {
                self.mend(machine, random);
            }
            let _ = fs::remove_dir_all(whole);
        }
        let primary = self.node(self.primary).admin();
        self.links[machine].lead_to(Some(primary));
        self.resume();
        self.goes_on();
    }

    /// Starts a server that can reach no primary: it opens its store, or is refused with a report of the loss
    /// and the remedy.
    fn opens(&self, machine: usize, what: &str) -> Option<Node> {
        self.links[machine].lead_to(None);
        let data = self.data(machine);
        let node = Node::begin(&self.setup(machine));
        eventually("the server opens its store or is refused", || {
            node.is_over() || node.said("(api)") > 0
        });
        if !node.is_over() {
            return Some(node);
        }
        let (code, said) = node.ended();
        assert_eq!(code, Some(1), "{what}: {said}");
        for part in [LOST, data.to_str().unwrap(), "--accept-loss"] {
            assert!(said.contains(part), "{what}: {said}");
        }
        let looked = run("position", &data, &[]);
        let why = String::from_utf8_lossy(&looked.stderr);
        assert!(
            !looked.status.success() && why.contains(LOST),
            "{what}: {why}"
        );
        None
    }

    /// Repairs a machine whose log is damaged: with a former state of its disk, and a replica with the
    /// primary's data.
    fn mend(&mut self, machine: usize, random: &mut Random) {
        let data = self.data(machine);
        let is_replica = machine != self.primary;
        let primary = is_replica.then(|| self.node(self.primary).admin());
        self.links[machine].lead_to(primary);
        match random.below(3) {
            0 if is_replica => {
                let accepted = Node::start(&Setup {
                    accept_loss: true,
                    ..self.setup(machine)
                });
                accepted.says("the loss was accepted");
                self.put(machine, accepted);
            }
            1 if is_replica => {
                fs::remove_dir_all(&data).unwrap();
                self.start(machine);
            }
            _ => {
                fs::remove_dir_all(&data).unwrap();
                fs::rename(self.place("whole"), &data).unwrap();
                self.start(machine);
            }
        }
    }
}
