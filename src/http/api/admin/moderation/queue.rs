//! The lists that moderators work on: reviews by state, and those with open reports.
//!
//! Must not know how they are stored. Invariants: a page has a bounded number of reviews and looks at a bounded number
//! of rows; a client whose role may not see personal data gets no e-mail address.

use std::fmt::Write;
use std::ops::{ControlFlow, RangeInclusive};

use serde::Serialize;

use crate::error::ApiError;
use crate::model::ProductId;
use crate::model::calendar::parse_rfc3339;
use crate::model::moderation::{ReviewState, Role};
use crate::model::record::FullReview;
use crate::reads::parameters;
use crate::reply::Reply;
use crate::store::{QueueFilter, QueueList, Reader, Store};
use crate::validation::ValidationError;

use super::super::operator::{DetachedWork, Operator, json, parameter, unhex};
use super::conceal;

/// Reviews in one answer, unless the request says otherwise, and at most.
const REVIEWS: usize = 20;
const REVIEWS_MAX: usize = 100;
/// Pages of the store that one answer is made of at most.
const PAGES_MAX: usize = 10;
/// Characters of a text that is looked for at most.
const TEXT_CHARS_MAX: usize = 200;
/// The word for the list of reviews with open reports.
const REPORTED: &str = "reported";

/// A request for a page of a list.
#[derive(Debug, PartialEq, Eq)]
struct QueueRequest {
    list: QueueList,
    filter: QueueFilter,
    limit: usize,
    cursor: Option<Vec<u8>>,
}

/// A page of a list.
#[derive(Debug, Serialize)]
struct QueueAnswer {
    items: Vec<QueuedReview>,
    /// The cursor of the next page; `null` after the last.
    next: Option<String>,
}

/// A review of a list.
#[derive(Debug, Serialize)]
struct QueuedReview {
    #[serde(flatten)]
    review: FullReview<'static>,
    /// The clients whose reports of it are open.
    reports: usize,
}

impl Operator {
    /// A page of the reviews in a state, or of those with open reports.
    pub(in crate::admin) async fn queue(
        &self,
        query: Option<&str>,
        role: Role,
    ) -> Result<Reply, ApiError> {
        let request = QueueRequest::read(query)?;
        let mut answer = self.work.queue(request).await?;
        for item in &mut answer.items {
            conceal(&mut item.review, role);
        }
        json(&answer)
    }
}

impl DetachedWork {
    async fn queue(&self, request: QueueRequest) -> Result<QueueAnswer, ApiError> {
        let QueueRequest {
            list,
            filter,
            limit,
            mut cursor,
        } = request;
        let mut items = Vec::new();
        for _ in 0..PAGES_MAX {
            let (filter, after, left) = (filter.clone(), cursor.take(), limit - items.len());
            let page = move |reader: &Reader<'_>| {
                let mut found = Vec::new();
                let page = reader.queue(list, &filter, after.as_deref(), |item| {
                    found.push(QueuedReview {
                        review: FullReview::of(item.product, item.id, item.review).into_owned(),
                        reports: item.reports,
                    });
                    if found.len() < left {
                        ControlFlow::Continue(())
                    } else {
                        ControlFlow::Break(())
                    }
                })?;
                Ok((found, page.next))
            };
            let page = self.reads.later(move |store: &Store| store.read(page));
            let (found, next) = page.await?;
            items.extend(found);
            cursor = next;
            if cursor.is_none() || items.len() >= limit {
                break;
            }
        }
        let next = cursor.map(|cursor| hex(&cursor));
        Ok(QueueAnswer { items, next })
    }
}

impl QueueRequest {
    /// The request that a query is, or everything that is wrong with it.
    fn read(query: Option<&str>) -> Result<Self, ApiError> {
        let mut faults = Vec::new();
        let mut given = QueueParameters {
            query,
            faults: &mut faults,
        };
        let list = given.take("state", list_of);
        let filter = QueueFilter {
            product: given.take("product", |id| parameters::id(id).map(ProductId)),
            ratings: given.take("rating", ratings_of),
            since_ms: given.take("since", parse_rfc3339),
            until_ms: given.take("until", parse_rfc3339),
            text: given.take("q", |text| {
                (text.chars().count() <= TEXT_CHARS_MAX).then(|| text.to_owned())
            }),
            reports_min: 0,
        };
        let limit = given.take("limit", |limit| {
            let limit = limit.parse().ok();
            limit.filter(|limit| (1..=REVIEWS_MAX).contains(limit))
        });
        let cursor = given.take("cursor", unhex);
        if list.is_none() && faults.is_empty() {
            faults.push(ValidationError::invalid("state"));
        }
        match list {
            Some(list) if faults.is_empty() => Ok(Self {
                list,
                filter,
                limit: limit.unwrap_or(REVIEWS),
                cursor,
            }),
            _ => Err(ApiError::Invalid(faults)),
        }
    }
}

/// The parameters of a query, and the faults of those that were read.
struct QueueParameters<'q> {
    query: Option<&'q str>,
    faults: &'q mut Vec<ValidationError>,
}

impl QueueParameters<'_> {
    /// The value of a parameter; one that is empty is not given.
    fn take<T>(&mut self, name: &'static str, read: impl Fn(&str) -> Option<T>) -> Option<T> {
        let text = parameter(self.query, name).filter(|text| !text.is_empty())?;
        let value = read(&text);
        if value.is_none() {
            self.faults.push(ValidationError::invalid(name));
        }
        value
    }
}

fn list_of(word: &str) -> Option<QueueList> {
    if word == REPORTED {
        return Some(QueueList::Reports);
    }
    ReviewState::of_word(word).map(QueueList::State)
}

/// A rating, or the least and the greatest of several with `-` between them.
fn ratings_of(text: &str) -> Option<RangeInclusive<u8>> {
    let (least, greatest) = text.split_once('-').unwrap_or((text, text));
    let stars = |text: &str| {
        let value = text.parse().ok();
        value.filter(|value| (1..=5).contains(value))
    };
    let (least, greatest) = (stars(least)?, stars(greatest)?);
    (least <= greatest).then_some(least..=greatest)
}

fn hex(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        // Nothing that is written to a string fails.
        let _ = write!(text, "{byte:02x}");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_for_a_list_is_read_whole() {
        let query = "state=reported&product=7&rating=1-2&since=1970-01-01T00:00:01Z&q=loud&limit=100&cursor=6eff";
        let read = QueueRequest::read(Some(query)).unwrap();
        let filter = QueueFilter {
            product: Some(ProductId(7)),
            ratings: Some(1..=2),
            since_ms: Some(1000),
            until_ms: None,
            text: Some("loud".to_owned()),
            reports_min: 0,
        };
        let expected = QueueRequest {
            list: QueueList::Reports,
            filter,
            limit: REVIEWS_MAX,
            cursor: Some(vec![0x6e, 0xff]),
        };
        assert_eq!(read, expected);
        assert_eq!(hex(&[0x6e, 0xff]), "6eff");
        let read = QueueRequest::read(Some("state=pending&cursor=")).unwrap();
        let filter = QueueFilter::default();
        let list = QueueList::State(ReviewState::Pending);
        assert_eq!(
            (read.list, read.filter, read.limit),
            (list, filter, REVIEWS)
        );
    }

    #[test]
    fn every_fault_of_a_request_for_a_list_is_named() {
        let wrong = |query: Option<&str>| {
            let error = QueueRequest::read(query).unwrap_err();
            let names = error.faults().iter().filter_map(ValidationError::parameter);
            let names: Vec<_> = names.collect();
            names.join(" ")
        };
        assert_eq!(wrong(None), "state");
        let query = "state=gone&product=0&rating=5-1&since=today&until=1&limit=101&cursor=0";
        let all = "state product rating since until limit cursor";
        assert_eq!(wrong(Some(query)), all);
        for rating in ["0", "6", "-", "1-6", "x"] {
            let query = format!("state=hidden&rating={rating}");
            assert_eq!(wrong(Some(&query)), "rating");
        }
    }
}
