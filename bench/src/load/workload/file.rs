//! A workload's file, and the sentence for one that is wrong: with file, line and key.
//!
//! Owns the keys of the file and their defaults. It must not know their bounds.

use std::time::Duration;

use serde::de::{self, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};

use super::{Ids, Numbers, Plan, Request, Sort, What, Workload};
use crate::error::Error;
use crate::load::time::Time;

const CONNECTIONS: usize = 64;
const TIMEOUT: Duration = Duration::from_secs(5);
const WARM_UP: Duration = Duration::from_secs(2);
const CHECK_ONE_IN: u64 = 256;
/// The last product of `reviewsd-bench gen --products 1000011`, which is the size of the real set.
const LAST_PRODUCT: u64 = 1_000_011;
const LAST_REVIEW: u64 = 5_774_952;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    about: String,
    seed: Option<u64>,
    connections: Option<usize>,
    threads: Option<usize>,
    timeout: Option<Time>,
    warm_up: Option<Time>,
    check_one_in: Option<u64>,
    plan: PlanTable,
    products: Option<IdsTable>,
    reviews: Option<IdsTable>,
    request: Vec<RequestTable>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PlanTable {
    rate: Option<f64>,
    rates: Option<Vec<f64>>,
    from: Option<f64>,
    to: Option<f64>,
    closed: Option<bool>,
    duration: Option<Time>,
    step: Option<Time>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct IdsTable {
    first: Option<u64>,
    last: Option<u64>,
    zipf: Option<f64>,
    set: Option<Vec<u64>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RequestTable {
    kind: KindName,
    weight: Option<u64>,
    #[serde(default)]
    old: bool,
    #[serde(default)]
    also_right: Vec<u16>,
    sort: Option<Sort>,
    page: Option<Numbers>,
    count: Option<Numbers>,
    learn: Option<usize>,
}

#[derive(Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum KindName {
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

/// Reads the text of a workload's file.
pub(super) fn parse(name: &str, file: &str, text: &str) -> Result<Workload, Error> {
    let wrong = |what| Error::Workload {
        place: file.to_owned(),
        what,
    };
    let tables: File = toml::from_str(text).map_err(|error| {
        // What is missing stands nowhere.
        let missing = error.message().starts_with("missing field");
        let span = error.span().filter(|_| !missing);
        let before = span.and_then(|span| text.get(..span.start));
        Error::Workload {
            place: before.map_or(file.to_owned(), |before| place(file, text, before)),
            // A message may go on about what else would do; it is made one line.
            what: error.message().replace('\n', ", "),
        }
    })?;
    let requests = tables.request.iter().map(request);
    Ok(Workload {
        name: name.to_owned(),
        about: tables.about,
        seed: tables.seed.unwrap_or(1),
        connections: tables.connections.unwrap_or(CONNECTIONS),
        threads: tables.threads.unwrap_or(1),
        cpus: Vec::new(),
        timeout: tables.timeout.map_or(TIMEOUT, |time| time.0),
        warm_up: tables.warm_up.map_or(WARM_UP, |time| time.0),
        check_one_in: tables.check_one_in.unwrap_or(CHECK_ONE_IN),
        plan: plan(tables.plan).map_err(wrong)?,
        products: ids("products", tables.products, LAST_PRODUCT).map_err(wrong)?,
        reviews: ids("reviews", tables.reviews, LAST_REVIEW).map_err(wrong)?,
        requests: requests.collect::<Result<_, _>>().map_err(wrong)?,
    })
}

/// The file, the line and the key that stand at the end of `before`.
fn place(file: &str, text: &str, before: &str) -> String {
    let start = before.rfind('\n').map_or(0, |end| end + 1);
    let line = text.get(start..).and_then(|rest| rest.lines().next());
    let number = before.matches('\n').count() + 1;
    let Some((key, _)) = line.and_then(|line| line.split_once('=')) else {
        return format!("{file}, line {number}");
    };
    let above = before.get(..start).into_iter().flat_map(str::lines).rev();
    let section = above
        .filter_map(|line| line.trim().strip_prefix('['))
        .map(|rest| rest.trim_matches(['[', ']', ' ']))
        .next();
    let dot = if section.is_some() { "." } else { "" };
    let section = section.unwrap_or_default();
    format!("{file}, line {number}, {section}{dot}{}", key.trim())
}

fn plan(table: PlanTable) -> Result<Plan, String> {
    let time = |key: &str, time: Option<Time>| {
        time.map(|time| time.0)
            .ok_or_else(|| format!("plan.{key} is missing"))
    };
    match table {
        PlanTable {
            rate: Some(rate),
            rates: None,
            from: None,
            to: None,
            closed: None | Some(false),
            duration,
            step: None,
        } => Ok(Plan::Steps {
            rates_per_second: vec![rate],
            step: time("duration", duration)?,
        }),
        PlanTable {
            rate: None,
            rates: Some(rates_per_second),
            from: None,
            to: None,
            closed: None | Some(false),
            duration: None,
            step,
        } => Ok(Plan::Steps {
            rates_per_second,
            step: time("step", step)?,
        }),
        PlanTable {
            rate: None,
            rates: None,
            from: Some(from_per_second),
            to: Some(to_per_second),
            closed: None | Some(false),
            duration,
            step: None,
        } => Ok(Plan::Ramp {
            from_per_second,
            to_per_second,
            duration: time("duration", duration)?,
        }),
        PlanTable {
            rate: None,
            rates: None,
            from: None,
            to: None,
            closed: Some(true),
            duration,
            step: None,
        } => Ok(Plan::Closed {
            duration: time("duration", duration)?,
        }),
        _ => Err(
            "a plan is one of: rate and duration, rates and step, from, to and duration, \
             closed = true and duration"
                .to_owned(),
        ),
    }
}

fn ids(section: &str, table: Option<IdsTable>, last_by_default: u64) -> Result<Ids, String> {
    let table = table.unwrap_or_default();
    let first = table.first.unwrap_or(1);
    let last = table.last.unwrap_or(last_by_default);
    match table {
        IdsTable {
            set: Some(set),
            first: None,
            last: None,
            zipf: None,
        } => Ok(Ids::Set(set)),
        IdsTable { set: Some(_), .. } => Err(format!(
            "{section}.set stands alone, without first, last and zipf"
        )),
        IdsTable {
            zipf: Some(exponent),
            ..
        } => Ok(Ids::Zipf {
            first,
            last,
            exponent,
        }),
        _ => Ok(Ids::Uniform { first, last }),
    }
}

fn request(table: &RequestTable) -> Result<Request, String> {
    let kind = table.kind;
    let list = kind == KindName::List;
    let paged = list || kind == KindName::Products;
    for (key, given, fits) in [
        ("sort", table.sort.is_some(), list),
        ("page", table.page.is_some(), paged),
        ("count", table.count.is_some(), paged),
        ("learn", table.learn.is_some(), kind == KindName::Post),
    ] {
        if given && !fits {
            return Err(format!(
                "request.{key} does not go with this kind of request"
            ));
        }
    }
    let plain = matches!(
        kind,
        KindName::Styles | KindName::Product | KindName::Related
    );
    if table.old && plain {
        return Err(
            "request.old does not go with this kind, whose path was always the same".to_owned(),
        );
    }
    let page = table.page.clone().unwrap_or(Numbers::Default);
    let count = table.count.clone().unwrap_or(Numbers::Default);
    Ok(Request {
        weight: table.weight.unwrap_or(1),
        what: match kind {
            KindName::List => What::List {
                sort: table.sort,
                page,
                count,
            },
            KindName::Meta => What::Meta,
            KindName::Styles => What::Styles,
            KindName::Product => What::Product,
            KindName::Related => What::Related,
            KindName::Products => What::Products { page, count },
            KindName::Post => What::Post {
                learn: table.learn.unwrap_or(0),
            },
            KindName::Helpful => What::Helpful,
            KindName::Report => What::Report,
        },
        old: table.old,
        also_right: table.also_right.clone(),
    })
}

impl<'de> Deserialize<'de> for Numbers {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(NumbersVisitor)
    }
}

struct NumbersVisitor;

impl<'de> Visitor<'de> for NumbersVisitor {
    type Value = Numbers;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a whole number, a list of them, or { first = 1, last = 10 }")
    }

    fn visit_i64<E: de::Error>(self, number: i64) -> Result<Numbers, E> {
        let number = u64::try_from(number)
            .map_err(|_| E::invalid_value(de::Unexpected::Signed(number), &self))?;
        Ok(Numbers::OneOf(vec![number]))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut sequence: A) -> Result<Numbers, A::Error> {
        let mut numbers = Vec::new();
        while let Some(number) = sequence.next_element()? {
            numbers.push(number);
        }
        Ok(Numbers::OneOf(numbers))
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Numbers, A::Error> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Range {
            first: u64,
            last: u64,
        }
        let Range { first, last } = Range::deserialize(de::value::MapAccessDeserializer::new(map))?;
        Ok(Numbers::Range { first, last })
    }
}
