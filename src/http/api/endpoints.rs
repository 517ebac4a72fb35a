//! The table of the public API: every endpoint with its paths, its method, its parameters and its name, and
//! the query that each read makes.
//!
//! Routes, `Allow`, the series of metrics and the parameters of a read follow from a row. Must not know HTTP
//! or the store; a read is rendered by [`super::reads::render`]. Invariant: a query and a spelling are all
//! that an answer depends on beside the store, so two equal queries have one answer as long as the store
//! does not change.

use std::fmt;
use std::sync::LazyLock;

use hyper::Method;

use crate::model::{Order, ProductId, ReviewId};

use super::reads::campus::Campus;
use super::reads::parameters::{Arguments, PageWindow, Parameter};
use super::route::{Endpoint, RouteRefusal, RouteTarget, Routes, Scope, Verb};

/// The action of an endpoint of the public API.
pub(super) enum Action {
    /// Answers whether the process lives.
    Livez,
    /// Answers whether it wants requests.
    Readyz,
    Read(ReadOperation),
    Write(WriteOperation),
    /// The questions of a product, of which there are none.
    Questions,
    /// A cart, which is empty.
    Cart,
    /// A click of a customer, which is thrown away.
    Interaction,
}

/// A read: the parameters it has, and the query that they make.
pub(super) struct ReadOperation {
    pub(super) parameters: &'static [Parameter],
    pub(super) query: fn(Arguments) -> ReadQuery,
}

/// A change of reviews, with the arguments of its path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum WriteOperation {
    /// Add a review, of the product that the path names or the body does.
    Add,
    /// Count a vote for a review.
    Vote,
    /// Hide a review.
    Report,
}

/// The endpoints, in the order of their metrics.
pub(super) const ENDPOINTS: &[Endpoint<Action>] = &[
    Endpoint {
        name: "reviews",
        verb: Verb::Get,
        paths: &["reviews", "reviews/{product_id}/list"],
        scope: Scope::Shop,
        action: read(
            &[
                Parameter::ProductId,
                Parameter::Page,
                Parameter::Count,
                Parameter::Sort,
            ],
            |given| ReadQuery::Reviews {
                product: given.product,
                order: given.order,
                window: given.window,
            },
        ),
    },
    Endpoint {
        name: "meta",
        verb: Verb::Get,
        paths: &["reviews/meta", "reviews/{product_id}/meta"],
        scope: Scope::Shop,
        action: read(&[Parameter::ProductId], |given| {
            ReadQuery::Meta(given.product)
        }),
    },
    Endpoint {
        name: "review",
        verb: Verb::Get,
        paths: &["reviews/{review_id}"],
        scope: Scope::Shop,
        action: read(&[Parameter::ReviewId], |given| {
            ReadQuery::Review(given.review)
        }),
    },
    Endpoint {
        name: "products",
        verb: Verb::Get,
        paths: &["products", "products/list"],
        scope: Scope::Shop,
        action: read(&[Parameter::Page, Parameter::Count], |given| {
            ReadQuery::Products(given.window, None)
        }),
    },
    Endpoint {
        name: "product",
        verb: Verb::Get,
        paths: &["products/{product_id}"],
        scope: Scope::Shop,
        action: read(&[Parameter::ProductId], |given| {
            ReadQuery::Product(given.product, None)
        }),
    },
    Endpoint {
        name: "styles",
        verb: Verb::Get,
        paths: &["products/{product_id}/styles"],
        scope: Scope::Shop,
        action: read(&[Parameter::ProductId], |given| {
            ReadQuery::Styles(given.product)
        }),
    },
    Endpoint {
        name: "related",
        verb: Verb::Get,
        paths: &["products/{product_id}/related"],
        scope: Scope::Shop,
        action: read(&[Parameter::ProductId], |given| {
            ReadQuery::Related(given.product)
        }),
    },
    Endpoint {
        name: "add",
        verb: Verb::Post,
        paths: &["reviews", "reviews/{product_id}"],
        scope: Scope::Shop,
        action: Action::Write(WriteOperation::Add),
    },
    // `helpful` and `report` are spelled before the id and behind it.
    Endpoint {
        name: "helpful",
        verb: Verb::Put,
        paths: &["reviews/{review_id}/helpful", "reviews/helpful/{review_id}"],
        scope: Scope::Shop,
        action: Action::Write(WriteOperation::Vote),
    },
    Endpoint {
        name: "report",
        verb: Verb::Put,
        paths: &["reviews/{review_id}/report", "reviews/report/{review_id}"],
        scope: Scope::Shop,
        action: Action::Write(WriteOperation::Report),
    },
    Endpoint {
        name: "livez",
        verb: Verb::Get,
        paths: &["livez"],
        scope: Scope::Plain,
        action: Action::Livez,
    },
    Endpoint {
        name: "readyz",
        verb: Verb::Get,
        paths: &["readyz"],
        scope: Scope::Plain,
        action: Action::Readyz,
    },
    Endpoint {
        name: "questions",
        verb: Verb::Get,
        paths: &["qa/questions"],
        scope: Scope::Neighbour,
        action: Action::Questions,
    },
    Endpoint {
        name: "cart",
        verb: Verb::Get,
        paths: &["cart"],
        scope: Scope::Neighbour,
        action: Action::Cart,
    },
    Endpoint {
        name: "interactions",
        verb: Verb::Post,
        paths: &["interactions"],
        scope: Scope::Neighbour,
        action: Action::Interaction,
    },
];

const fn read(parameters: &'static [Parameter], query: fn(Arguments) -> ReadQuery) -> Action {
    Action::Read(ReadOperation { parameters, query })
}

/// The endpoints of the public port.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Surface {
    /// The paths of the API.
    Public,
    /// The paths of the API, and those that front ends request from other services.
    WithNeighbours,
}

/// Returns the meaning of `method` on `path` on `surface`.
pub(super) fn find<'p>(
    surface: Surface,
    method: &Method,
    path: &'p str,
) -> Result<RouteTarget<'p, Action>, RouteRefusal> {
    static PUBLIC: LazyLock<Routes<Action>> =
        LazyLock::new(|| Routes::new(ENDPOINTS, |endpoint| endpoint.scope != Scope::Neighbour));
    static ALL: LazyLock<Routes<Action>> = LazyLock::new(|| Routes::new(ENDPOINTS, |_| true));
    let routes = match surface {
        Surface::Public => &PUBLIC,
        Surface::WithNeighbours => &ALL,
    };
    match routes.find(method, path) {
        // A browser sends a preflight before it lets a page see even the 404 of another request.
        Err(RouteRefusal::NotFound) if method == Method::OPTIONS => {
            Ok(RouteTarget::Options { allow: None })
        }
        found => found,
    }
}

/// A read query of a client. Products may be requested as those of a campus.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum ReadQuery {
    Reviews {
        product: ProductId,
        order: Order,
        window: PageWindow,
    },
    Meta(ProductId),
    Review(ReviewId),
    Products(PageWindow, Option<Campus>),
    Product(ProductId, Option<Campus>),
    Styles(ProductId),
    Related(ProductId),
}

/// The changes of the store after which a query has another answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Dependency {
    /// The reviews of a product.
    ReviewsOf(ProductId),
    /// The reviews of a product that the query does not name.
    SomeReviews,
    /// A product of the catalogue, with its styles and relations.
    Product(ProductId),
    /// The list of products.
    ProductList,
}

impl ReadQuery {
    /// The same query about the products of a campus.
    pub(crate) fn of_campus(self, campus: Campus) -> Self {
        match self {
            Self::Products(window, _) => Self::Products(window, Some(campus)),
            Self::Product(id, _) => Self::Product(id, Some(campus)),
            other => other,
        }
    }

    /// The rows that its answer may have.
    pub(crate) fn rows_max(self) -> usize {
        match self {
            Self::Reviews { window, .. } | Self::Products(window, _) => window.count,
            _ => 1,
        }
    }

    /// The changes that its answer depends on.
    pub(crate) fn dependency(self) -> Dependency {
        match self {
            Self::Reviews { product, .. } | Self::Meta(product) => Dependency::ReviewsOf(product),
            Self::Review(_) => Dependency::SomeReviews,
            Self::Product(product, _) | Self::Styles(product) | Self::Related(product) => {
                Dependency::Product(product)
            }
            Self::Products(..) => Dependency::ProductList,
        }
    }
}

/// The request, as a sentence names it.
impl fmt::Display for ReadQuery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Reviews { product, .. } => write!(f, "list of reviews of product {product}"),
            Self::Meta(product) => write!(f, "summary of product {product}"),
            Self::Review(id) => write!(f, "review {id}"),
            Self::Products(..) => f.write_str("list of products"),
            Self::Product(id, _) | Self::Styles(id) | Self::Related(id) => {
                write!(f, "product {id}")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// The outcome of `method` on `path`, and the first argument.
    fn outcome(surface: Surface, method: &Method, path: &str) -> String {
        match find(surface, method, path) {
            Ok(RouteTarget::Endpoint(found)) => {
                let argument = found.arguments.first().unwrap_or_default();
                format!("{} {argument}", found.endpoint.name)
            }
            Ok(RouteTarget::Options { allow: Some(allow) }) => format!("204 {allow}"),
            Ok(RouteTarget::Options { allow: None }) => "204".to_owned(),
            Err(RouteRefusal::NotFound) => "404".to_owned(),
            Err(RouteRefusal::MethodNotAllowed { allow }) => format!("405 {allow}"),
        }
    }

    fn public(method: &Method, path: &str) -> String {
        outcome(Surface::Public, method, path)
    }

    fn get(path: &str) -> String {
        public(&Method::GET, path)
    }

    #[test]
    fn no_two_endpoints_have_one_name_or_one_path_and_method() {
        let names: BTreeSet<_> = ENDPOINTS.iter().map(|endpoint| endpoint.name).collect();
        assert_eq!(names.len(), ENDPOINTS.len());
        let mut shapes = BTreeSet::new();
        for endpoint in ENDPOINTS {
            assert!(!endpoint.paths.is_empty(), "{endpoint:?}");
            for path in endpoint.paths {
                let shape: Vec<_> = path
                    .split('/')
                    .map(|segment| {
                        if segment.starts_with('{') {
                            "{}"
                        } else {
                            segment
                        }
                    })
                    .collect();
                assert!(shapes.insert((endpoint.verb as u8, shape)), "{path}");
            }
        }
    }

    #[test]
    fn every_endpoint_is_found_at_each_of_its_paths() {
        for endpoint in ENDPOINTS {
            for path in endpoint.paths {
                let method = match endpoint.verb {
                    Verb::Get => Method::GET,
                    Verb::Post => Method::POST,
                    Verb::Put => Method::PUT,
                    Verb::Patch => Method::PATCH,
                    Verb::Delete => Method::DELETE,
                };
                let is_parameter = |segment: &&str| segment.starts_with('{');
                let argument = path.split('/').find(is_parameter).unwrap_or_default();
                let expected = format!("{} {argument}", endpoint.name);
                let path = format!("/{path}");
                assert_eq!(outcome(Surface::WithNeighbours, &method, &path), expected);
                let is_public = endpoint.scope != Scope::Neighbour;
                assert_eq!(public(&method, &path) == expected, is_public, "{path}");
            }
        }
    }

    #[test]
    fn both_spellings_name_one_endpoint() {
        for (path, expected) in [
            ("/reviews", "reviews "),
            ("/reviews/2/list", "reviews 2"),
            ("/reviews/meta", "meta "),
            ("/reviews/2/meta", "meta 2"),
            ("/reviews/2", "review 2"),
            ("/products", "products "),
            ("/products/list", "products "),
            ("/products/7", "product 7"),
            ("/products/7/styles", "styles 7"),
            ("/products/7/related", "related 7"),
        ] {
            for base in ["", "/api", "/api/fec2/hr-rfp", "/api/fec2/anything"] {
                for slash in ["", "/"] {
                    let spelled = format!("{base}{path}{slash}");
                    assert_eq!(get(&spelled), expected, "{spelled}");
                }
            }
        }
    }

    #[test]
    fn unknown_paths_are_not_found_whatever_the_method() {
        for path in [
            "/",
            "",
            "*",
            "reviews",
            "//reviews",
            "/reviews//",
            "/reviews//list",
            "/reviews/2/list/3",
            "/reviews/2/photos",
            "/products/2/styles/1",
            "/products//styles",
            "/cart",
            "/api",
            "/api/",
            "/api/fec2",
            "/api/fec2/hr-rfp",
            "/api/fec2//reviews",
            "/api/api/reviews",
            "/api/livez",
            "/version",
            "/metrics",
        ] {
            for method in [Method::GET, Method::POST, Method::PUT] {
                assert_eq!(public(&method, path), "404", "{method} {path}");
            }
            assert_eq!(public(&Method::OPTIONS, path), "204", "{path}");
        }
    }

    #[test]
    fn writes_are_named_in_both_spellings() {
        for (path, expected) in [
            ("/reviews", "add "),
            ("/api/fec2/x/reviews/", "add "),
            ("/reviews/2", "add 2"),
            ("/api/reviews/2/", "add 2"),
        ] {
            assert_eq!(public(&Method::POST, path), expected);
        }
        for (path, expected) in [
            ("/reviews/5/helpful", "helpful 5"),
            ("/api/reviews/helpful/5/", "helpful 5"),
            ("/reviews/5/report/", "report 5"),
            ("/api/fec2/x/reviews/report/5", "report 5"),
        ] {
            assert_eq!(public(&Method::PUT, path), expected);
        }
    }

    #[test]
    fn a_wrong_method_is_told_the_right_ones_and_so_is_options() {
        let cases = [
            ("/reviews", "GET, HEAD, POST, OPTIONS"),
            ("/reviews/1", "GET, HEAD, POST, OPTIONS"),
            ("/reviews/meta", "GET, HEAD, OPTIONS"),
            ("/reviews/1/list", "GET, HEAD, OPTIONS"),
            ("/products/1", "GET, HEAD, OPTIONS"),
            ("/livez", "GET, HEAD, OPTIONS"),
            ("/reviews/1/helpful", "PUT, OPTIONS"),
            ("/reviews/1/report", "PUT, OPTIONS"),
            ("/reviews/helpful/1", "PUT, OPTIONS"),
            ("/reviews/report/1/", "PUT, OPTIONS"),
        ];
        for (path, allow) in cases {
            assert_eq!(public(&Method::DELETE, path), format!("405 {allow}"));
            assert_eq!(public(&Method::OPTIONS, path), format!("204 {allow}"));
        }
    }

    #[test]
    fn neighbours_are_found_where_an_operator_chose_so() {
        let find = |method, path: &str| outcome(Surface::WithNeighbours, &method, path);
        for base in ["", "/api", "/api/fec2/hr-rfp"] {
            let path = |path| format!("{base}{path}");
            assert_eq!(find(Method::GET, &path("/qa/questions")), "questions ");
            assert_eq!(find(Method::GET, &path("/cart/")), "cart ");
            assert_eq!(find(Method::POST, &path("/interactions")), "interactions ");
            assert_eq!(get(&path("/cart")), "404");
        }
        assert_eq!(find(Method::POST, "/cart"), "405 GET, HEAD, OPTIONS");
        assert_eq!(find(Method::GET, "/interactions"), "405 POST, OPTIONS");
        assert_eq!(find(Method::GET, "/products"), "products ");
        for path in ["/qa", "/qa/questions/5", "/cart/1", "/nowhere"] {
            assert_eq!(find(Method::GET, path), "404", "{path}");
        }
    }
}
