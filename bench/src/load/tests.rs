//! Runs against servers that behave, and against servers that do not.

mod command;
mod faults;
mod pace;
mod server;
mod time;

use std::sync::atomic::AtomicBool;

use crate::load::{Outcome, Second, Target, Watch, Workload, run, run_on};
use server::{Reply, Server};

struct Nobody;

impl Watch for Nobody {
    fn second(&mut self, _: &Second) {}
}

/// A workload of lists of product 2, with these keys before its tables and this plan.
fn workload(keys: &str, plan: &str) -> Workload {
    requests(keys, plan, "{ kind = \"list\" }")
}

fn requests(keys: &str, plan: &str, requests: &str) -> Workload {
    let text = format!(
        "about = \"a test\"\nwarm_up = \"0s\"\ncheck_one_in = 1\n{keys}\nplan = {{ {plan} }}\n\
         products = {{ set = [2] }}\nreviews = {{ set = [5] }}\nrequest = [{requests}]\n"
    );
    Workload::parse("test", "test.toml", &text).unwrap()
}

/// Measures a workload in simulated time.
fn loaded(workload: &Workload, server: &Server) -> Outcome {
    let target = Target::from(server.address());
    let stop = AtomicBool::new(false);
    let outcome = run_on(server.time(), workload, &target, &stop, &mut Nobody).unwrap();
    assert_sums(&outcome);
    outcome
}

/// Asserts what must hold of every outcome.
fn assert_sums(outcome: &Outcome) {
    for measured in outcome
        .steps
        .iter()
        .map(|step| &step.measured)
        .chain([&outcome.total])
    {
        assert_eq!(
            measured.sent,
            measured.ok + measured.errors.sum(),
            "{measured:?}"
        );
        if let Some(planned) = measured.planned {
            assert_eq!(planned, measured.sent + measured.not_sent, "{measured:?}");
        }
        let timed = measured.ok + measured.errors.wrong_body + measured.errors.timeout;
        assert_eq!(measured.latency.count, timed);
    }
    let sent: u64 = outcome.kinds.iter().map(|kind| kind.sent).sum();
    assert_eq!(sent, outcome.total.sent);
}
