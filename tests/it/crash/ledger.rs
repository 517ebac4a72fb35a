//! The answers that clients got, and whether the server still agrees with them.
//!
//! A review in the ledger is known to be there, or its state is unknown. Once a server that was started anew
//! has been read, everything is known: all it shows then must stay, and all it does not show must stay away.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::Path;

use reviewsd::model::ReviewId;
use reviewsd::store::{ReadTier, Store, verify};
use serde_json::{Map, Value, json};

use super::client::{Client, Deed};
use super::draft::{Draft, PRODUCTS, may_be_sent_again};
use super::entry::{Changes, Entry, Fact};
use super::shown::{Row, check_order, counts, list, mean};
use crate::chance::Random;
use crate::support::{HOT_PRODUCT, all_reviews, no_forks};

/// Memory of a store that is recounted.
const MEMORY_BYTES: u64 = 64 << 20;
/// The number of reviews of earlier rounds that are read one by one, besides in the lists.
const EARLIER_REVIEWS: usize = 50;

/// The faults of what a server shows.
#[derive(Debug, Default)]
pub(super) struct Findings {
    /// Acknowledged writes that are not there.
    pub(super) lost: Vec<String>,
    /// All else.
    pub(super) wrong: Vec<String>,
}

/// The reviews that must be there, that may be, and that must not be.
pub(super) struct Ledger {
    entries: HashMap<u64, Entry>,
    /// Erased reviews, as they were.
    gone: HashMap<u64, Entry>,
    /// Reviews that ought to be shown, and were not at the last look.
    unseen: HashSet<u64>,
    /// Reviews that were sent and not acknowledged since the last look.
    unknown: HashSet<u64>,
    /// Reviews that were sent, not acknowledged, and not there.
    void: HashSet<u64>,
    /// Unacknowledged ones that can be sent again, with their outcomes.
    to_send_again: Vec<(u64, Option<u64>)>,
    /// Every review has an id above those that were known when the round began.
    floor: u64,
    /// Acknowledged since the last look.
    fresh: Vec<u64>,
    /// The summaries at the last look.
    shown: Vec<(u64, Value)>,
}

impl Ledger {
    /// The ledger of the shop as it begins.
    pub(super) fn of_the_shop() -> Self {
        let entries: HashMap<u64, Entry> = all_reviews()
            .into_iter()
            .map(|(product, id, review)| (id.0, Entry::of_the_shop(product.0, &review)))
            .collect();
        Self {
            floor: entries.keys().max().copied().unwrap_or(0),
            entries,
            gone: HashMap::new(),
            unseen: HashSet::new(),
            unknown: HashSet::new(),
            void: HashSet::new(),
            to_send_again: Vec::new(),
            fresh: Vec::new(),
            shown: Vec::new(),
        }
    }

    /// Every review there is.
    pub(super) fn known(&self) -> Vec<u64> {
        let mut known: Vec<u64> = self.entries.keys().copied().collect();
        known.sort_unstable();
        known
    }

    /// Records the acts of the clients of a round.
    pub(super) fn enter(&mut self, journals: &[Vec<Deed>]) -> Findings {
        let mut findings = Findings::default();
        for journal in journals {
            let mut last = self.floor;
            for deed in journal {
                match *deed {
                    Deed::Post { key, review: None } => {
                        self.unknown.insert(key);
                    }
                    Deed::Post {
                        key,
                        review: Some(id),
                    } => {
                        if id <= last {
                            let text = format!("review {key:016x} got the id {id} after {last}");
                            findings.wrong.push(text);
                        }
                        last = id;
                        self.fresh.push(id);
                        let before = self.entries.insert(id, Entry::of(key));
                        if before.is_some() {
                            findings.wrong.push(format!("two reviews got the id {id}"));
                        }
                    }
                    Deed::Change { .. } => {}
                }
            }
        }
        let mut changes = BTreeMap::<u64, Changes>::new();
        for deed in journals.iter().flatten() {
            if let Deed::Change { review, what, told } = *deed {
                changes.entry(review).or_default().add(what, told);
            }
        }
        for (id, changes) in changes {
            if changes.deny_it() {
                let text = format!("review {id} was called missing, and nobody had erased it");
                findings.wrong.push(text);
            }
            self.entries.get_mut(&id).unwrap().change(&changes);
            if changes.erase_it() {
                self.gone.extend(self.entries.remove_entry(&id));
            }
        }
        findings
    }

    /// Reads everything from a server that was started anew.
    pub(super) fn compare(&mut self, client: &mut Client, random: &mut Random) -> Findings {
        let mut findings = Findings::default();
        let mut seen = HashSet::new();
        let products = PRODUCTS.iter().map(|(id, _)| *id).chain([HOT_PRODUCT]);
        for product in products.clone() {
            let newest = list(client, product, "newest");
            let helpful = list(client, product, "helpful");
            check_order(product, &newest, &helpful, &mut findings);
            for row in &newest {
                if !seen.insert(row.review_id) {
                    let text = format!("review {} is in two lists", row.review_id);
                    findings.wrong.push(text);
                }
                self.compare_row(product, row, &mut findings);
            }
        }
        self.settle(&seen);
        // Compared once it is known which of the hidden reviews are there.
        self.shown = products
            .map(|id| (id, client.read(&format!("/reviews/meta?product_id={id}"))))
            .collect();
        self.compare_one_by_one(client, random, &mut findings);
        findings
    }

    fn compare_row(&mut self, product: u64, row: &Row, findings: &mut Findings) {
        let id = row.review_id;
        self.bring_back(id, findings);
        if !self.entries.contains_key(&id) {
            let key = Draft::key_of(&row.body);
            let Some(key) = key.filter(|key| self.unknown.remove(key)) else {
                let why = match key {
                    Some(key) if self.void.contains(&key) => "came back",
                    Some(_) => "is there twice, or was never sent",
                    None => "was never sent",
                };
                findings.wrong.push(format!("review {id} {why}: {row:?}"));
                return;
            };
            if id <= self.floor {
                let floor = self.floor;
                findings
                    .wrong
                    .push(format!("review {id} is new and not above {floor}"));
            }
            if may_be_sent_again(key) {
                self.to_send_again.push((key, Some(id)));
            }
            self.entries.insert(id, Entry::of(key));
        }
        let entry = self.entries.get_mut(&id).unwrap();
        if entry.product != product || entry.key.is_some_and(|key| !row.is_of(key)) {
            let text = format!("review {id} of product {product} is not as sent: {row:?}");
            findings.wrong.push(text);
        }
        if entry.hidden == Fact::Yes {
            findings.lost.push(format!("the report of review {id}"));
        }
        entry.hidden = Fact::No;
        entry.settle(id, row.helpfulness, row.response.as_deref(), findings);
    }

    /// A review is there; if it was erased, that was lost.
    fn bring_back(&mut self, id: u64, findings: &mut Findings) {
        if let Some(entry) = self.gone.remove(&id) {
            findings.lost.push(format!("the erasure of review {id}"));
            self.entries.insert(id, entry);
        }
    }

    /// Settles the reviews that were not seen: the verification shows whether they are hidden or absent.
    fn settle(&mut self, seen: &HashSet<u64>) {
        for (id, entry) in self.entries.iter_mut().filter(|(id, _)| !seen.contains(id)) {
            if entry.hidden == Fact::No {
                self.unseen.insert(*id);
            }
            entry.hidden = Fact::Yes;
        }
        for key in self.unknown.drain() {
            if may_be_sent_again(key) {
                self.to_send_again.push((key, None));
            } else {
                self.void.insert(key);
            }
        }
        let ids = self.entries.keys().chain(self.gone.keys());
        self.floor = ids.max().copied().unwrap_or(0);
    }

    fn lose(&mut self, id: u64, findings: &mut Findings) {
        let key = self.entries.remove(&id).and_then(|entry| entry.key);
        findings.lost.push(format!("review {id} ({key:016x?})"));
    }

    /// The summary, by a count of all reviews, hidden ones included.
    fn meta(&self, product: u64) -> Value {
        let mut stars = BTreeMap::<u8, u64>::new();
        let mut recommended = BTreeMap::<bool, u64>::new();
        let mut sums = HashMap::<u64, (u64, u64)>::new();
        for entry in self.entries.values().filter(|e| e.product == product) {
            *stars.entry(entry.rating).or_default() += 1;
            *recommended.entry(entry.recommend).or_default() += 1;
            for (id, value) in &entry.ratings {
                let sum = sums.entry(*id).or_default();
                *sum = (sum.0 + u64::from(*value), sum.1 + 1);
            }
        }
        let of_product = PRODUCTS.iter().find(|(id, _)| *id == product);
        let characteristics = of_product.map_or(&[][..], |(_, characteristics)| characteristics);
        let means = characteristics.iter().map(|(id, name)| {
            let mean = sums.get(id).map(|(sum, count)| mean(*sum, *count));
            ((*name).to_owned(), json!({"id": id, "value": mean}))
        });
        json!({
            "product_id": product.to_string(),
            "ratings": counts(&stars),
            "recommended": counts(&recommended),
            "characteristics": means.collect::<Map<_, _>>(),
        })
    }

    /// Asks by the ids that `Location` named for everything that is new, and a part of the rest.
    fn compare_one_by_one(
        &mut self,
        client: &mut Client,
        random: &mut Random,
        findings: &mut Findings,
    ) {
        let known = self.known();
        let earlier = (0..EARLIER_REVIEWS).filter_map(|_| random.pick(&known).copied());
        for id in self.fresh.drain(..).chain(earlier) {
            let answer = client.get(&format!("/reviews/{id}")).unwrap();
            let right = match (answer.status, self.entries.get(&id)) {
                (200, Some(entry)) => {
                    let row: Row = serde_json::from_slice(&answer.body).unwrap();
                    entry.hidden == Fact::No
                        && entry.votes.contains(&row.helpfulness)
                        && entry.key.is_none_or(|key| row.is_of(key))
                }
                (404, entry) => entry.is_none_or(|entry| entry.hidden == Fact::Yes),
                _ => false,
            };
            if !right {
                let status = answer.status;
                let text = String::from_utf8_lossy(&answer.body);
                findings
                    .wrong
                    .push(format!("GET /reviews/{id} is {status} {text}"));
            }
        }
    }

    /// Sends unacknowledged writes again, as a client with an idempotency key does: each is there once, whether
    /// it had been there or not. Returns how many.
    pub(super) fn send_again(&mut self, client: &mut Client, findings: &mut Findings) -> u64 {
        let mut sent = 0;
        for (key, seen) in std::mem::take(&mut self.to_send_again) {
            let answer = client.post(key).unwrap();
            let id = answer.review.filter(|_| answer.status == 201);
            sent += 1;
            match (seen, id) {
                (Some(seen), Some(id)) if seen == id => {}
                (None, Some(id)) if id > self.floor => {
                    self.floor = id;
                    self.fresh.push(id);
                    self.entries.insert(id, Entry::of(key));
                }
                _ => {
                    let status = answer.status;
                    let text = format!(
                        "review {key:016x}, there as {seen:?}, sent again: {status}, {id:?}"
                    );
                    findings.wrong.push(text);
                }
            }
        }
        sent
    }

    /// Opens the store itself and recounts it, after a look and before anything is written. No server
    /// may have it open.
    pub(super) fn recount(&mut self, data: &Path) -> Findings {
        let mut findings = Findings::default();
        // No child process may inherit the lock of a directory that a server will want.
        let _no_forks = no_forks();
        let store = Store::open(data, "a recount", MEMORY_BYTES, 0).unwrap();
        let reader = store.reader(ReadTier::Disk);
        let erased: Vec<u64> = self.gone.keys().copied().collect();
        for id in erased {
            if reader.review(ReviewId(id), |_, _| ()).unwrap().is_some() {
                self.bring_back(id, &mut findings);
                // No list has shown it.
                self.entries.get_mut(&id).unwrap().hidden = Fact::Yes;
            }
        }
        let mut missing = Vec::new();
        for (id, entry) in &mut self.entries {
            let is_perhaps_gone = entry.is_perhaps_gone;
            let found = reader.review(ReviewId(*id), |product, review| {
                if entry.hidden == Fact::Yes {
                    // No list has shown it.
                    let votes = u64::from(review.helpfulness);
                    entry.settle(*id, votes, review.response, &mut findings);
                }
                entry.is(product.0, review)
            });
            let should_be_seen = self.unseen.remove(id);
            match found.unwrap() {
                Some(true) if should_be_seen => {
                    findings
                        .lost
                        .push(format!("the restoration of review {id}"));
                }
                Some(true) => {}
                Some(false) => findings.wrong.push(format!("review {id} is not as sent")),
                None => missing.push((*id, is_perhaps_gone)),
            }
        }
        for (id, is_perhaps_gone) in missing {
            if is_perhaps_gone {
                self.gone.extend(self.entries.remove_entry(&id));
            } else {
                self.lose(id, &mut findings);
            }
        }
        for (product, shown) in std::mem::take(&mut self.shown) {
            let counted = self.meta(product);
            if shown != counted {
                let text = format!("meta is {shown} where the reviews give {counted}");
                findings.wrong.push(text);
            }
        }
        let reviews = self.entries.len() as u64;
        let counted = store.counters().unwrap().reviews;
        if counted != reviews {
            let text = format!("the store counts {counted} reviews where {reviews} are known");
            findings.wrong.push(text);
        }
        findings.wrong.extend(verify::differences(&store).unwrap());
        findings
    }
}

impl Findings {
    pub(super) fn add(&mut self, other: Self) {
        self.lost.extend(other.lost);
        self.wrong.extend(other.wrong);
    }

    /// The first few of each.
    pub(super) fn text(&self) -> String {
        let few = |all: &[String]| {
            let few: Vec<&str> = all.iter().take(20).map(String::as_str).collect();
            few.join("\n  ")
        };
        format!(
            "{} acknowledged writes lost:\n  {}\n{} other faults:\n  {}",
            self.lost.len(),
            few(&self.lost),
            self.wrong.len(),
            few(&self.wrong),
        )
    }
}
