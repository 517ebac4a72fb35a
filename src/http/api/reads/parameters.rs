//! The parameters of reads: their names, their defaults, and their valid values.
//!
//! Must not know which read has which, nor the store. Invariant: all faults of a request are found, not only
//! the first.

use std::borrow::Cow;

use percent_encoding::percent_decode_str;

use crate::model::{Order, Page, ProductId, ReviewId};

use super::super::endpoints::{ReadOperation, ReadQuery};
use super::super::error::ApiError;
use super::super::route::PathArguments;
use super::super::validation::{ValidationError, ValidationErrors};

const PAGE: u64 = 1;
const COUNT: usize = 5;

/// A parameter of a read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Parameter {
    /// The product, of the path where that names one.
    ProductId,
    /// The review, of the path.
    ReviewId,
    Page,
    Count,
    Sort,
}

impl Parameter {
    const ALL: [Self; 5] = [
        Self::ProductId,
        Self::ReviewId,
        Self::Page,
        Self::Count,
        Self::Sort,
    ];

    /// The name in queries, in errors and in paths of the table.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::ProductId => "product_id",
            Self::ReviewId => "review_id",
            Self::Page => "page",
            Self::Count => "count",
            Self::Sort => "sort",
        }
    }
}

/// The values of a read's parameters; of those that it does not have, the defaults.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Arguments {
    pub(crate) product: ProductId,
    pub(crate) review: ReviewId,
    pub(crate) window: PageWindow,
    pub(crate) order: Order,
}

/// A page of a list: its number, as the client counts, and its rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct PageWindow {
    /// Counts from 1.
    pub(crate) page: u64,
    /// Rows of a page.
    pub(crate) count: usize,
}

impl PageWindow {
    /// The window of a request that names neither a page nor a count.
    pub(crate) const FIRST: Self = Self {
        page: PAGE,
        count: COUNT,
    };

    /// The page as an answer names it: counted from 0.
    pub(crate) fn page_from_zero(self) -> u64 {
        self.page.saturating_sub(1)
    }

    /// The rows to pass over and to give.
    pub(crate) fn rows(self) -> Page {
        Page {
            skip: self.page_from_zero().saturating_mul(self.count as u64),
            rows: self.count,
        }
    }
}

/// The query that a read makes of the arguments of its path and of a query string.
pub(crate) fn understand<'r>(
    read: &ReadOperation,
    path: PathArguments<'r>,
    query: Option<&'r str>,
    page_rows_max: usize,
) -> Result<ReadQuery, ApiError> {
    let given = GivenParameters::parse(path, query.unwrap_or_default());
    let mut faults = ValidationErrors::default();
    let mut arguments = Arguments {
        product: ProductId(0),
        review: ReviewId(0),
        window: PageWindow {
            page: PAGE,
            count: 0,
        },
        order: Order::Helpful,
    };
    for parameter in read.parameters {
        let text = given.text(*parameter);
        if !arguments.set(*parameter, text, page_rows_max) {
            faults.push(ValidationError::invalid(parameter.name()));
        }
    }
    if faults.is_empty() {
        Ok((read.query)(arguments))
    } else {
        Err(ApiError::Invalid(faults.into_vec()))
    }
}

/// The product that a query string names.
pub(crate) fn product(query: Option<&str>) -> Result<ProductId, ApiError> {
    let given = GivenParameters::parse(PathArguments::default(), query.unwrap_or_default());
    let product = given.text(Parameter::ProductId).and_then(id);
    product
        .map(ProductId)
        .ok_or_else(|| invalid(Parameter::ProductId))
}

/// The product that a segment of a path names.
pub(crate) fn product_id(segment: &str) -> Option<ProductId> {
    id(&decoded(segment)).map(ProductId)
}

/// The review that a segment of a path names.
pub(crate) fn review_id(segment: &str) -> Result<ReviewId, ApiError> {
    let review = id(&decoded(segment)).map(ReviewId);
    review.ok_or_else(|| invalid(Parameter::ReviewId))
}

fn invalid(parameter: Parameter) -> ApiError {
    ApiError::Invalid(vec![ValidationError::invalid(parameter.name())])
}

/// The parameters as a request writes them; of a repeated one the first counts.
struct GivenParameters<'r> {
    /// The first argument of the path, which outranks the query string.
    in_path: Option<Cow<'r, str>>,
    in_query: [Option<Cow<'r, str>>; Parameter::ALL.len()],
}

impl<'r> GivenParameters<'r> {
    fn parse(path: PathArguments<'r>, query: &'r str) -> Self {
        let mut in_query = <[Option<Cow<'r, str>>; Parameter::ALL.len()]>::default();
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            let mut slots = Parameter::ALL.iter().zip(&mut in_query);
            if let Some((_, slot)) = slots.find(|(parameter, _)| parameter.name() == name) {
                slot.get_or_insert(value);
            }
        }
        Self {
            in_path: path.first().map(decoded),
            in_query,
        }
    }

    fn text(&self, parameter: Parameter) -> Option<&str> {
        let in_query = || self.in_query.get(parameter as usize)?.as_deref();
        match parameter {
            Parameter::ProductId | Parameter::ReviewId => self.in_path.as_deref().or_else(in_query),
            Parameter::Page | Parameter::Count | Parameter::Sort => in_query(),
        }
    }
}

impl Arguments {
    /// Sets a parameter to the text of a request; false if that is no value for it.
    fn set(&mut self, parameter: Parameter, text: Option<&str>, page_rows_max: usize) -> bool {
        let number = |unsaid| said(text).map_or(Some(unsaid), whole);
        match parameter {
            Parameter::ProductId => store(text.and_then(id).map(ProductId), &mut self.product),
            Parameter::ReviewId => store(text.and_then(id).map(ReviewId), &mut self.review),
            Parameter::Page => store(number(PAGE).map(|page| page.max(1)), &mut self.window.page),
            Parameter::Count => {
                let rows = |count| {
                    usize::try_from(count)
                        .unwrap_or(usize::MAX)
                        .min(page_rows_max)
                };
                store(number(COUNT as u64).map(rows), &mut self.window.count)
            }
            Parameter::Sort => store(Some(order(text)), &mut self.order),
        }
    }
}

/// Stores a value in `place`; false if there is none.
fn store<T>(value: Option<T>, place: &mut T) -> bool {
    let is_valid = value.is_some();
    if let Some(value) = value {
        *place = value;
    }
    is_valid
}

fn order(sort: Option<&str>) -> Order {
    match sort {
        Some("newest") => Order::Newest,
        // `helpful`, `relevant` and whatever else: found helpful first, then recent.
        _ => Order::Helpful,
    }
}

/// The text of a parameter, unless it is the text that a front end without a value for it writes.
fn said(text: Option<&str>) -> Option<&str> {
    text.filter(|text| !["", "undefined"].contains(text))
}

/// A whole number: digits and nothing else. One too long for the type is the largest of the type.
fn whole(text: &str) -> Option<u64> {
    is_digits(text).then(|| text.parse().unwrap_or(u64::MAX))
}

/// An id: digits and nothing else, not zero, and within the type.
pub(crate) fn id(text: &str) -> Option<u64> {
    is_digits(text)
        .then(|| text.parse().ok())
        .flatten()
        .filter(|id| *id > 0)
}

fn is_digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// A segment of a path with its `%XX` decoded; invalid ones stay as they are.
fn decoded(segment: &str) -> Cow<'_, str> {
    if segment.bytes().all(|byte| byte != b'%') {
        return Cow::Borrowed(segment);
    }
    percent_decode_str(segment).decode_utf8_lossy()
}

#[cfg(test)]
mod tests {
    use hyper::Method;

    use super::super::super::endpoints::{Action, ENDPOINTS, Surface, find};
    use super::super::super::route::RouteTarget;
    use super::*;

    fn list(query: &str) -> Result<ReadQuery, Vec<&'static str>> {
        asked("/reviews", query)
    }

    fn asked(path: &str, query: &str) -> Result<ReadQuery, Vec<&'static str>> {
        let Ok(RouteTarget::Endpoint(found)) = find(Surface::Public, &Method::GET, path) else {
            panic!("{path} is not served");
        };
        let Action::Read(read) = &found.endpoint.action else {
            panic!("{path} is no read");
        };
        let query = understand(read, found.arguments, Some(query), 5000);
        query.map_err(|error| match error {
            ApiError::Invalid(faults) => faults
                .iter()
                .filter_map(ValidationError::parameter)
                .collect(),
            other => panic!("{other:?}"),
        })
    }

    fn reviews(product: u64, order: Order, page: u64, count: usize) -> ReadQuery {
        ReadQuery::Reviews {
            product: ProductId(product),
            order,
            window: PageWindow { page, count },
        }
    }

    #[test]
    fn a_list_is_the_first_five_found_helpful_unless_said_otherwise() {
        assert_eq!(list("product_id=2"), Ok(reviews(2, Order::Helpful, 1, 5)));
        assert_eq!(
            list("product_id=2&page=3&count=20&sort=newest"),
            Ok(reviews(2, Order::Newest, 3, 20))
        );
    }

    #[test]
    fn an_unknown_order_is_relevance_which_is_helpfulness() {
        for sort in ["helpful", "helpfulness", "relevant", "relevance", "asc", ""] {
            let query = format!("product_id=2&sort={sort}");
            assert_eq!(list(&query), Ok(reviews(2, Order::Helpful, 1, 5)), "{sort}");
        }
    }

    #[test]
    fn the_first_repeated_parameter_counts_unknown_ones_do_not() {
        assert_eq!(
            list("q=1&product_id=2&product_id=3&count=1&count=x&&=&utm"),
            Ok(reviews(2, Order::Helpful, 1, 1))
        );
    }

    #[test]
    fn parameters_and_ids_are_percent_decoded() {
        assert_eq!(
            list("product%5Fid=%32"),
            Ok(reviews(2, Order::Helpful, 1, 5))
        );
        let meta = |id| asked(&format!("/reviews/{id}/meta"), "");
        assert_eq!(meta("%31%32"), Ok(ReadQuery::Meta(ProductId(12))));
        for id in ["%", "%3", "%zz", "1%00", "%2B1", "1+"] {
            assert_eq!(meta(id), Err(vec!["product_id"]), "{id}");
        }
    }

    #[test]
    fn an_id_is_a_positive_integer_that_fits() {
        for id in [
            "",
            "hello",
            "null",
            "5.55",
            "-1",
            "0",
            "00",
            "+1",
            "%201",
            "1e3",
            "0x1",
            "18446744073709551616",
            "٣",
        ] {
            let query = format!("product_id={id}");
            assert_eq!(list(&query), Err(vec!["product_id"]), "{id}");
        }
        assert_eq!(list(""), Err(vec!["product_id"]));
        let largest = reviews(u64::MAX, Order::Helpful, 1, 5);
        assert_eq!(list("product_id=18446744073709551615"), Ok(largest));
        assert_eq!(list("product_id=007"), Ok(reviews(7, Order::Helpful, 1, 5)));
    }

    #[test]
    fn page_zero_is_the_first_page() {
        assert_eq!(
            list("product_id=2&page=0"),
            Ok(reviews(2, Order::Helpful, 1, 5))
        );
    }

    #[test]
    fn page_and_count_are_whole_numbers_and_saturate() {
        for text in ["x", "-1", "1.5", "1e2", "%2B1", "null", "Undefined", "%20"] {
            let query = format!("product_id=2&page={text}");
            assert_eq!(list(&query), Err(vec!["page"]), "{text}");
            let query = format!("product_id=2&count={text}");
            assert_eq!(list(&query), Err(vec!["count"]), "{text}");
        }
        let far = "99999999999999999999999999";
        assert_eq!(
            list(&format!("product_id=2&page={far}&count={far}")),
            Ok(reviews(2, Order::Helpful, u64::MAX, 5000))
        );
        assert_eq!(
            list("product_id=2&count=0"),
            Ok(reviews(2, Order::Helpful, 1, 0))
        );
    }

    #[test]
    fn an_empty_or_undefined_page_or_count_is_not_given() {
        for text in ["", "undefined", "%75ndefined"] {
            let query = format!("product_id=2&page={text}&count={text}");
            let usual = Ok(reviews(2, Order::Helpful, 1, 5));
            assert_eq!(list(&query), usual, "{text}");
            let products = asked("/products", &query);
            let window = PageWindow { page: 1, count: 5 };
            assert_eq!(products, Ok(ReadQuery::Products(window, None)), "{text}");
        }
        assert_eq!(
            list("product_id=2&page&count="),
            Ok(reviews(2, Order::Helpful, 1, 5))
        );
        // The first of a repeated parameter counts, as ever.
        assert_eq!(
            list("product_id=2&page=&page=3"),
            Ok(reviews(2, Order::Helpful, 1, 5))
        );
    }

    #[test]
    fn every_fault_is_named() {
        let faults = list("product_id=x&page=y&count=z");
        assert_eq!(faults, Err(vec!["product_id", "page", "count"]));
    }

    #[test]
    fn the_id_in_the_path_outranks_the_parameter() {
        assert_eq!(
            asked("/reviews/3/list", "product_id=2"),
            Ok(reviews(3, Order::Helpful, 1, 5))
        );
    }

    #[test]
    fn a_query_depends_on_the_parameters_of_its_read_alone() {
        let usual = Arguments {
            product: ProductId(1),
            review: ReviewId(1),
            window: PageWindow { page: 1, count: 1 },
            order: Order::Helpful,
        };
        let mut reads = 0;
        for endpoint in ENDPOINTS {
            let Action::Read(read) = &endpoint.action else {
                continue;
            };
            reads += 1;
            for parameter in Parameter::ALL {
                let mut other = usual;
                let text = if parameter == Parameter::Sort {
                    "newest"
                } else {
                    "2"
                };
                assert!(other.set(parameter, Some(text), 5000));
                let depends = (read.query)(usual) != (read.query)(other);
                let is_listed = read.parameters.contains(&parameter);
                assert_eq!(depends, is_listed, "{endpoint:?} {parameter:?}");
            }
        }
        assert!(reads > 0);
    }

    #[test]
    fn the_parameters_in_paths_are_parameters_of_their_reads() {
        for endpoint in ENDPOINTS {
            let Action::Read(read) = &endpoint.action else {
                continue;
            };
            for path in endpoint.paths {
                let names = path
                    .split('/')
                    .filter_map(|segment| segment.strip_prefix('{')?.strip_suffix('}'));
                for name in names {
                    let mut listed = read.parameters.iter();
                    assert!(listed.any(|one| one.name() == name), "{path}");
                }
            }
        }
    }

    #[test]
    fn a_window_skips_the_pages_before_it_and_never_overflows() {
        let rows = |page, count| PageWindow { page, count }.rows();
        assert_eq!(rows(1, 5), Page { skip: 0, rows: 5 });
        assert_eq!(rows(3, 5), Page { skip: 10, rows: 5 });
        assert_eq!(rows(u64::MAX, 5).skip, u64::MAX);
    }
}
