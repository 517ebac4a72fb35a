//! From a route and a query string to a question, or to everything that is wrong with it.
//!
//! Owns the parameters: their names, their defaults, what is a valid one. Must not know the store.
//! Invariant: all faults of a request are found, not only the first.

use std::borrow::Cow;

use crate::model::{Order, ProductId, ReviewId};

use super::super::error::ApiError;
use super::super::route::Route;
use super::super::validation::{ValidationError, ValidationErrors};
use super::read_query::{PageWindow, ReadQuery};

const PAGE: u64 = 1;
const COUNT: u64 = 5;

/// The question that a route and its parameters put.
pub(crate) fn understand<'r>(
    route: &Route<'r>,
    query: Option<&'r str>,
    page_rows_max: usize,
) -> Result<ReadQuery, ApiError> {
    let given = Parameters::parse(query.unwrap_or_default());
    let mut faults = ValidationErrors::default();
    let read_query = match *route {
        Route::Reviews { product } => {
            let product = faults.product(given.product(product).as_deref());
            let window = faults.window(&given, page_rows_max);
            let order = order(given.sort.as_deref());
            product
                .zip(window)
                .map(|(product, window)| ReadQuery::Reviews {
                    product,
                    order,
                    window,
                })
        }
        Route::Meta { product } => faults
            .product(given.product(product).as_deref())
            .map(ReadQuery::Meta),
        Route::Review { id } => faults.review(&decoded(id)).map(ReadQuery::Review),
        Route::Products => faults
            .window(&given, page_rows_max)
            .map(|window| ReadQuery::Products(window, None)),
        Route::Product { id } => faults
            .product(Some(&decoded(id)))
            .map(|id| ReadQuery::Product(id, None)),
        Route::Styles { id } => faults.product(Some(&decoded(id))).map(ReadQuery::Styles),
        Route::Related { id } => faults.product(Some(&decoded(id))).map(ReadQuery::Related),
        Route::Questions
        | Route::Cart
        | Route::Livez
        | Route::Readyz
        | Route::Version
        | Route::Metrics => return Err(ApiError::NoSuchPath),
    };
    read_query.ok_or_else(|| ApiError::Invalid(faults.into_vec()))
}

/// The product that a query names.
pub(crate) fn product(query: Option<&str>) -> Result<ProductId, ApiError> {
    let given = Parameters::parse(query.unwrap_or_default());
    let mut faults = ValidationErrors::default();
    let product = faults.product(given.product_id.as_deref());
    product.ok_or_else(|| ApiError::Invalid(faults.into_vec()))
}

/// The product that a segment of a path names.
pub(crate) fn product_id(segment: &str) -> Option<ProductId> {
    id(&decoded(segment)).map(ProductId)
}

/// The review that a segment of a path names.
pub(crate) fn review_id(segment: &str) -> Result<ReviewId, ApiError> {
    let mut faults = ValidationErrors::default();
    let id = faults.review(&decoded(segment));
    id.ok_or_else(|| ApiError::Invalid(faults.into_vec()))
}

/// The parameters that mean something somewhere; of a repeated one the first counts.
#[derive(Default)]
struct Parameters<'q> {
    product_id: Option<Cow<'q, str>>,
    page: Option<Cow<'q, str>>,
    count: Option<Cow<'q, str>>,
    sort: Option<Cow<'q, str>>,
}

impl<'q> Parameters<'q> {
    fn parse(query: &'q str) -> Self {
        let mut parameters = Self::default();
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            let slot = match name.as_ref() {
                "product_id" => &mut parameters.product_id,
                "page" => &mut parameters.page,
                "count" => &mut parameters.count,
                "sort" => &mut parameters.sort,
                _ => continue,
            };
            slot.get_or_insert(value);
        }
        parameters
    }

    /// The product: of the path where that names one.
    fn product(&self, in_path: Option<&'q str>) -> Option<Cow<'q, str>> {
        in_path.map(decoded).or_else(|| self.product_id.clone())
    }
}

impl ValidationErrors {
    fn product(&mut self, text: Option<&str>) -> Option<ProductId> {
        let product = text.and_then(id).map(ProductId);
        self.kept(product, "product_id")
    }

    fn review(&mut self, text: &str) -> Option<ReviewId> {
        self.kept(id(text).map(ReviewId), "review_id")
    }

    fn window(&mut self, given: &Parameters<'_>, rows_max: usize) -> Option<PageWindow> {
        let page = said(given.page.as_deref()).map_or(Some(PAGE), whole);
        let page = self.kept(page, "page");
        let count = said(given.count.as_deref()).map_or(Some(COUNT), whole);
        let count = self.kept(count, "count");
        page.zip(count).map(|(page, count)| PageWindow {
            page: page.max(1),
            count: usize::try_from(count).map_or(rows_max, |count| count.min(rows_max)),
        })
    }

    fn kept<T>(&mut self, value: Option<T>, parameter: &'static str) -> Option<T> {
        if value.is_none() {
            self.push(ValidationError::invalid(parameter));
        }
        value
    }
}

fn order(sort: Option<&str>) -> Order {
    match sort {
        Some("newest") => Order::Newest,
        // `helpful`, `relevant` and whatever else: found helpful first, then recent.
        _ => Order::Helpful,
    }
}

/// The text of a parameter, unless it is what a front end writes that has no value for it.
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

/// A segment of a path with its `%XX` undone; what is not valid stays as it is.
fn decoded(segment: &str) -> Cow<'_, str> {
    if !segment.contains('%') {
        return Cow::Borrowed(segment);
    }
    let mut bytes = Vec::with_capacity(segment.len());
    let mut rest = segment.as_bytes();
    while let Some((&first, behind)) = rest.split_first() {
        rest = match (first, behind) {
            (b'%', [high, low, behind @ ..]) if hex(*high).is_some() && hex(*low).is_some() => {
                bytes.push(hex(*high).unwrap_or(0) * 16 + hex(*low).unwrap_or(0));
                behind
            }
            _ => {
                bytes.push(first);
                behind
            }
        };
    }
    Cow::Owned(String::from_utf8_lossy(&bytes).into_owned())
}

fn hex(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        b'A'..=b'F' => Some(digit - b'A' + 10),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(query: &str) -> Result<ReadQuery, Vec<&'static str>> {
        asked(&Route::Reviews { product: None }, query)
    }

    fn asked(route: &Route<'_>, query: &str) -> Result<ReadQuery, Vec<&'static str>> {
        understand(route, Some(query), 5000).map_err(|error| match error {
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
        let meta = |id| asked(&Route::Meta { product: Some(id) }, "");
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
            let products = asked(&Route::Products, &query);
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
        let route = Route::Reviews { product: Some("3") };
        assert_eq!(
            asked(&route, "product_id=2"),
            Ok(reviews(3, Order::Helpful, 1, 5))
        );
    }
}
