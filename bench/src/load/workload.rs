//! What to send, how fast and for how long: a workload, as its file has it.
//!
//! Owns the keys of the file, their defaults and their bounds: a [`Workload`] that was checked is valid.
//! It must not know how requests are sent.

use std::fmt::Display;
use std::fs;
use std::ops::RangeInclusive;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail, ensure};
use serde::{Deserialize, Deserializer, de};

use crate::text::cannot;

/// The last product and review of `reviewsd-bench gen --products 1000011`, the size of the real set.
const LAST_PRODUCT: u64 = 1_000_011;
const LAST_REVIEW: u64 = 5_774_952;
/// The largest number that can be drawn, and so the largest id, page or count.
const NUMBER_MAX: u64 = (1 << 32) - 1;
const STEP_BOUNDS: RangeInclusive<Duration> = Duration::from_millis(100)..=Duration::from_hours(24);

macro_rules! shipped {
    ($($name:literal)*) => {
        [$(($name, include_str!(concat!("../../workloads/", $name, ".toml")))),*]
    };
}

/// The workloads of `bench/workloads/`, which the program carries with it.
const SHIPPED: [(&str, &str); 10] = shipped!(
    "hot" "knee" "list" "meta" "mixed" "pages" "popular" "posts" "throughput" "votes"
);

/// A workload: the requests, their rate and their time.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Workload {
    #[serde(skip)]
    pub(crate) name: String,
    /// One sentence for a person who chooses a workload.
    pub(crate) about: String,
    /// The same seed gives the same requests in the same order.
    pub(crate) seed: u64,
    pub(crate) connections: usize,
    /// The processors that the run keeps to; any, if there are none here.
    #[serde(skip)]
    pub(crate) cpus: Vec<usize>,
    /// The time for a request once it is sent, and the same again for its wait for a connection.
    #[serde(deserialize_with = "time")]
    pub(crate) timeout: Duration,
    /// At the plan's first rate, and not measured.
    #[serde(deserialize_with = "time")]
    pub(crate) warm_up: Duration,
    /// One answer of so many is checked in full; none, if this is 0.
    pub(crate) check_one_in: u64,
    pub(crate) plan: Plan,
    /// Products asked for, and those reviewed.
    pub(crate) products: Ids,
    /// Reviews voted for and reported.
    pub(crate) reviews: Ids,
    #[serde(rename = "request")]
    pub(crate) requests: Vec<Request>,
}

/// When requests start: at each of the rates for `step` in turn. Without rates, when the answer before
/// has come, on each connection.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(from = "PlanTable")]
pub(crate) struct Plan {
    pub(crate) rates_per_second: Vec<f64>,
    pub(crate) step: Duration,
}

#[derive(Deserialize)]
#[serde(
    untagged,
    deny_unknown_fields,
    expecting = "a plan is one of: rate and duration, rates and step, closed = true and duration"
)]
enum PlanTable {
    Rate {
        rate: f64,
        #[serde(deserialize_with = "time")]
        duration: Duration,
    },
    Steps {
        rates: Vec<f64>,
        #[serde(deserialize_with = "time")]
        step: Duration,
    },
    Closed {
        #[expect(dead_code, reason = "its presence says all")]
        closed: bool,
        #[serde(deserialize_with = "time")]
        duration: Duration,
    },
}

/// The distribution of ids: each of a set, or each of a range; with `zipf` the n-th most popular of the
/// range 1/n^zipf as likely as the most popular one.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Ids {
    pub(crate) first: u64,
    /// Always there in a workload that was checked.
    pub(crate) last: Option<u64>,
    pub(crate) zipf: Option<f64>,
    pub(crate) set: Vec<u64>,
}

/// One kind of request, and how often it is sent.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Request {
    pub(crate) kind: Kind,
    #[serde(default = "one")]
    pub(crate) weight: u64,
    /// In the older spelling of its path.
    #[serde(default)]
    pub(crate) old: bool,
    /// A status that is right beside the one of success, such as 404 where ids have gaps.
    #[serde(default)]
    pub(crate) also_right: Vec<u16>,
    pub(crate) sort: Option<Sort>,
    pub(crate) page: Option<Numbers>,
    pub(crate) count: Option<Numbers>,
    /// So many products are drawn before the run and their characteristics learned; only these are
    /// reviewed, with a value for each. 0 reviews every product, without characteristics.
    #[serde(default)]
    pub(crate) learn: usize,
}

/// The target of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Kind {
    List,
    Meta,
    Styles,
    Product,
    Related,
    Products,
    Post,
    Helpful,
    Report,
}

/// The order of a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Sort {
    Newest,
    Helpful,
    Relevant,
}

/// A parameter's values, each as likely.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(
    untagged,
    deny_unknown_fields,
    expecting = "a whole number, a list of them, or { first = 1, last = 10 }"
)]
pub(crate) enum Numbers {
    One(u64),
    OneOf(Vec<u64>),
    Range { first: u64, last: u64 },
}

impl Default for Workload {
    fn default() -> Self {
        Self {
            name: String::new(),
            about: String::new(),
            seed: 1,
            connections: 64,
            cpus: Vec::new(),
            timeout: Duration::from_secs(5),
            warm_up: Duration::from_secs(2),
            check_one_in: 256,
            plan: Plan::default(),
            products: Ids::default(),
            reviews: Ids::default(),
            requests: Vec::new(),
        }
    }
}

impl Default for Ids {
    fn default() -> Self {
        Self {
            first: 1,
            last: None,
            zipf: None,
            set: Vec::new(),
        }
    }
}

impl From<PlanTable> for Plan {
    fn from(table: PlanTable) -> Self {
        let (rates_per_second, step) = match table {
            PlanTable::Rate { rate, duration } => (vec![rate], duration),
            PlanTable::Steps { rates, step } => (rates, step),
            PlanTable::Closed { duration, .. } => (Vec::new(), duration),
        };
        Self {
            rates_per_second,
            step,
        }
    }
}

fn one() -> u64 {
    1
}

fn time<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    let text = String::deserialize(deserializer)?;
    humantime::parse_duration(&text).map_err(de::Error::custom)
}

/// The names of the shipped workloads, a line each.
pub(crate) fn shipped() -> String {
    let lines = SHIPPED.iter().map(|(name, _)| {
        let about =
            Workload::find(name).map_or_else(|error| error.to_string(), |found| found.about);
        format!("  {name:<12}{about}\n")
    });
    format!("Workloads:\n{}", lines.collect::<String>())
}

impl Workload {
    /// The workload of a file, where `name` is a path, or the one that is shipped by that name.
    pub(crate) fn find(name: &str) -> Result<Self> {
        if let Some((_, text)) = SHIPPED.iter().find(|(known, _)| *known == name) {
            return Self::parse(name, text);
        }
        let path = Path::new(name);
        if !name.contains(['/', '.']) {
            let known = SHIPPED.map(|(name, _)| name).join(", ");
            bail!("{name}: there is no such workload; there are {known}, or give a path");
        }
        let text = fs::read_to_string(path).with_context(cannot("read", path))?;
        let stem = path.file_stem().unwrap_or_default().to_string_lossy();
        Self::parse(&stem, &text)
    }

    /// The workload that a text describes.
    pub(crate) fn parse(name: &str, text: &str) -> Result<Self> {
        let parsed: Result<Self, _> = toml::from_str(text);
        let mut workload = parsed.map_err(|error| anyhow!("the workload {name}: {error}"))?;
        name.clone_into(&mut workload.name);
        workload.checked()
    }

    /// The same workload, if all its values are within their bounds.
    pub(crate) fn checked(mut self) -> Result<Self> {
        for (ids, last) in [
            (&mut self.products, LAST_PRODUCT),
            (&mut self.reviews, LAST_REVIEW),
        ] {
            if ids.set.is_empty() {
                ids.last.get_or_insert(last);
            }
        }
        self.check()
            .map_err(|error| anyhow!("the workload {}: {error}", self.name))?;
        Ok(self)
    }

    fn check(&self) -> Result<()> {
        ensure!(!self.about.is_empty(), "about is missing");
        within("connections", self.connections, 1..=60_000)?;
        let timeout_bounds = Duration::from_millis(1)..=Duration::from_mins(10);
        ensure!(
            timeout_bounds.contains(&self.timeout),
            "timeout is from 1ms to 10m"
        );
        let plan = &self.plan;
        ensure!(
            STEP_BOUNDS.contains(&plan.step),
            "the plan is missing, or its step or duration not from 100ms to 24h"
        );
        within("the number of rates", plan.rates_per_second.len(), 0..=100)?;
        for rate in &plan.rates_per_second {
            within("a rate", *rate, 0.01..=1e7)?;
        }
        self.products.check("products")?;
        self.reviews.check("reviews")?;
        within("the number of requests", self.requests.len(), 1..=64)?;
        self.requests.iter().try_for_each(Request::check)
    }
}

impl Ids {
    /// Makes the ids end here.
    pub(crate) fn end_at(&mut self, id: u64) {
        if self.set.is_empty() {
            self.last = Some(id);
        }
        self.set.retain(|known| *known <= id);
    }

    fn check(&self, key: &str) -> Result<()> {
        if let Some(last) = self.last {
            ensure!(self.set.is_empty(), "{key}.set stands alone, without last");
            within(&format!("{key}.first"), self.first, 1..=NUMBER_MAX)?;
            within(&format!("{key}.last"), last, self.first..=NUMBER_MAX)?;
        }
        for id in &self.set {
            within(&format!("{key}.set"), *id, 1..=NUMBER_MAX)?;
        }
        within(&format!("{key}.zipf"), self.zipf.unwrap_or(0.0), 0.0..=10.0)
    }
}

impl Request {
    fn check(&self) -> Result<()> {
        use Kind::{List, Post, Product, Products, Related, Styles};
        within("request.weight", self.weight, 1..=1_000_000)?;
        for status in &self.also_right {
            within("request.also_right", *status, 200..=599)?;
        }
        within("request.learn", self.learn, 0..=100_000)?;
        let is = |kinds: &[Kind]| kinds.contains(&self.kind);
        let paged = is(&[List, Products]);
        for (key, given, fits) in [
            ("sort", self.sort.is_some(), is(&[List])),
            ("page", self.page.is_some(), paged),
            ("count", self.count.is_some(), paged),
            ("learn", self.learn > 0, is(&[Post])),
            ("old", self.old, !is(&[Styles, Product, Related])),
        ] {
            ensure!(
                fits || !given,
                "request.{key} does not go with this kind of request"
            );
        }
        for (key, numbers, least) in [("page", &self.page, 0), ("count", &self.count, 1)] {
            let key = format!("request.{key}");
            match numbers {
                None => {}
                Some(Numbers::One(number)) => within(&key, *number, least..=NUMBER_MAX)?,
                Some(Numbers::OneOf(list)) => {
                    within(&format!("the length of {key}"), list.len(), 1..=1000)?;
                    for number in list {
                        within(&key, *number, least..=NUMBER_MAX)?;
                    }
                }
                Some(Numbers::Range { first, last }) => {
                    within(&key, *first, least..=NUMBER_MAX)?;
                    within(&key, *last, *first..=NUMBER_MAX)?;
                }
            }
        }
        Ok(())
    }
}

fn within<N: Copy + PartialOrd + Display>(
    key: &str,
    number: N,
    bounds: RangeInclusive<N>,
) -> Result<()> {
    let (min, max) = (*bounds.start(), *bounds.end());
    // Not a number is in no range.
    ensure!(
        number >= min && number <= max,
        "{key} is from {min} to {max}, not {number}"
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &str = "about = \"x\"\n";
    const PLAN: &str = "[plan]\nrate = 10\nduration = \"1s\"\n";
    const LIST: &str = "[[request]]\nkind = \"list\"\n";

    #[test]
    fn every_file_is_shipped_and_valid() {
        let dir = concat!(env!("CARGO_MANIFEST_DIR"), "/workloads");
        let paths = fs::read_dir(dir)
            .unwrap()
            .map(|entry| entry.unwrap().path());
        let files = paths.filter(|path| path.extension().is_some_and(|end| end == "toml"));
        assert_eq!(files.count(), SHIPPED.len());
        for (name, _) in SHIPPED {
            Workload::find(name).unwrap();
        }
    }

    #[test]
    fn the_example_of_the_readme_is_valid_with_each_of_its_plans() {
        let page = include_str!("../../workloads/README.md");
        let (_, example) = page.split_once("```toml\n").unwrap();
        let (example, _) = example.split_once("```").unwrap();
        let workload = Workload::parse("example", example).unwrap();
        assert_eq!(workload.requests.len(), 3);
        let (_, plans) = example.split_once("[plan]").unwrap();
        let (plans, _) = plans.split_once("\n\n").unwrap();
        let lines: Vec<&str> = plans
            .lines()
            .filter_map(|line| line.strip_prefix("# "))
            .collect();
        assert_eq!(lines.len(), 4);
        for plan in lines.chunks(2) {
            Workload::parse("x", &format!("{HEAD}[plan]\n{}\n{LIST}", plan.join("\n"))).unwrap();
        }
    }

    #[test]
    fn keys_that_are_left_out_have_their_defaults() {
        let workload = Workload::parse("w", &[HEAD, PLAN, LIST].concat()).unwrap();
        assert_eq!((workload.seed, workload.connections), (1, 64));
        assert_eq!(
            (workload.products.first, workload.products.last),
            (1, Some(1_000_011))
        );
        assert_eq!(workload.reviews.last, Some(5_774_952));
        assert_eq!(workload.requests.first().unwrap().weight, 1);
    }

    /// Lines that are added at the head, to the plan or to the request, and what is said of them.
    const FAULTS: &str = "
        head ; colour = 1 ; line 2, column 1
        head ; timeout = '5' ; time unit needed
        head ; connections = 0 ; connections is from 1 to 60000, not 0
        plan ; pace = 1 ; a plan is one of
        plan ; closed = true ; a plan is one of
        request ; sort = 'best' ; unknown variant `best`
        request ; page = 'x' ; a whole number, a list of them
        request ; learn = 5 ; request.learn does not go with
        request ; count = [] ; the length of request.count is from 1 to 1000, not 0
        request ; count = 0 ; request.count is from 1 to 4294967295, not 0
        request ; page = { first = 5, last = 4 } ; request.page is from 5
        request ; weight = 0 ; request.weight is from 1
        request ; also_right = [99] ; request.also_right is from 200 to 599, not 99
        head ; products = { first = 9, last = 8 } ; products.last is from 9
        head ; reviews = { zipf = 11.0 } ; reviews.zipf is from 0 to 10, not 11
        head ; reviews = { set = [1], last = 5 } ; reviews.set stands alone";

    #[test]
    fn a_faulty_workload_is_refused_with_its_key() {
        for line in FAULTS.trim().lines() {
            let [place, more, expected] = line.trim().split(" ; ").collect::<Vec<_>>()[..] else {
                panic!("{line}");
            };
            let text = match place {
                "head" => format!("{HEAD}{more}\n{PLAN}{LIST}"),
                "plan" => format!("{HEAD}{PLAN}{more}\n{LIST}"),
                _ => format!("{HEAD}{PLAN}{LIST}{more}\n"),
            };
            let error = Workload::parse("w", &text).unwrap_err().to_string();
            assert!(error.starts_with("the workload w: "), "{error}");
            assert!(error.contains(expected), "{line}: {error}");
        }
        let error = Workload::parse("w", &[HEAD, LIST].concat()).unwrap_err();
        assert!(error.to_string().contains("the plan is missing"), "{error}");
        let error = Workload::find("nosuch").unwrap_err().to_string();
        assert!(error.starts_with("nosuch: there is no such workload; there are hot, "));
    }
}
