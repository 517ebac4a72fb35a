//! What is counted of requests, and how it is told.
//!
//! Must not know what is answered. Invariant: every request that is begun is told once: by its
//! route, method and status, or as abandoned, when its client was gone before there was an answer.

use std::array;
use std::time::{Duration, Instant};

use hyper::{Method, StatusCode};

use crate::metrics::{Counter, Exposition, Histogram, Shards, TIMES, TIMES_NS};

use super::route::{Route, RouteTarget, WriteRoute};

/// The endpoint of a request, as it is counted. In the order of [`ENDPOINTS`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Endpoint {
    Reviews,
    Meta,
    Review,
    Products,
    Product,
    Styles,
    Related,
    Add,
    Helpful,
    Report,
    Livez,
    Readyz,
    /// Preflights, paths that are none or another service's, methods that a path does not answer, and what
    /// is no proper request of HTTP/1.1.
    Other,
}

/// The name of each, and the method that it is mostly asked with.
const ENDPOINTS: [(&str, usize); 13] = [
    ("reviews", GET),
    ("meta", GET),
    ("review", GET),
    ("products", GET),
    ("product", GET),
    ("styles", GET),
    ("related", GET),
    ("add", POST),
    ("helpful", PUT),
    ("report", PUT),
    ("livez", GET),
    ("readyz", GET),
    ("other", GET),
];
const METHODS: [&str; 6] = ["GET", "HEAD", "POST", "PUT", "OPTIONS", "other"];
const GET: usize = 0;
const POST: usize = 2;
const PUT: usize = 3;
const STATUSES: [&str; 5] = ["1xx", "2xx", "3xx", "4xx", "5xx"];
/// The statuses that every route is told with from the start, so that their first is an increase.
const TOLD_STATUSES: [usize; 3] = [1, 3, 4];

impl Endpoint {
    pub(super) fn of<E>(target: &Result<RouteTarget<'_>, E>) -> Self {
        match target {
            Ok(RouteTarget::Read(route)) => match route {
                Route::Reviews { .. } => Self::Reviews,
                Route::Meta { .. } => Self::Meta,
                Route::Review { .. } => Self::Review,
                Route::Products => Self::Products,
                Route::Product { .. } => Self::Product,
                Route::Styles { .. } => Self::Styles,
                Route::Related { .. } => Self::Related,
                Route::Livez => Self::Livez,
                Route::Readyz => Self::Readyz,
                Route::Questions | Route::Cart | Route::Version | Route::Metrics => Self::Other,
            },
            Ok(RouteTarget::Write(write_route)) => match write_route {
                WriteRoute::Add { .. } => Self::Add,
                WriteRoute::Vote { .. } => Self::Helpful,
                WriteRoute::Report { .. } => Self::Report,
            },
            Ok(RouteTarget::Discard | RouteTarget::Options { .. }) | Err(_) => Self::Other,
        }
    }
}

fn number_of(method: &Method) -> usize {
    match *method {
        Method::GET => GET,
        Method::HEAD => 1,
        Method::POST => POST,
        Method::PUT => PUT,
        Method::OPTIONS => 4,
        _ => 5,
    }
}

/// The counters of one thread.
#[derive(Debug)]
struct WorkerCounters {
    begun: Counter,
    abandoned: Counter,
    /// By endpoint, method and status.
    ended: [[[Counter; STATUSES.len()]; METHODS.len()]; ENDPOINTS.len()],
    times: [Histogram<TIMES>; ENDPOINTS.len()],
    kept: Counter,
    not_kept: Counter,
}

impl WorkerCounters {
    fn new() -> Self {
        Self {
            begun: Counter::default(),
            abandoned: Counter::default(),
            ended: Default::default(),
            times: array::from_fn(|_| Histogram::new(TIMES_NS)),
            kept: Counter::default(),
            not_kept: Counter::default(),
        }
    }
}

/// The counters of the API.
#[derive(Debug)]
pub(super) struct ApiMeters {
    lanes: Shards<WorkerCounters>,
}

/// A request that is being answered.
#[derive(Debug)]
pub(super) struct UnderWay<'m> {
    meters: &'m ApiMeters,
    begun: Instant,
    ended: bool,
}

impl ApiMeters {
    pub(super) fn new() -> Self {
        Self {
            lanes: Shards::new(WorkerCounters::new),
        }
    }

    /// A request came in.
    pub(super) fn begin(&self) -> UnderWay<'_> {
        self.lanes.mine().begun.count();
        UnderWay {
            meters: self,
            begun: Instant::now(),
            ended: false,
        }
    }

    /// An answer that may have been kept was looked for, and was there or not.
    pub(super) fn looked_up(&self, found: bool) {
        let shard = self.lanes.mine();
        if found { &shard.kept } else { &shard.not_kept }.count();
    }

    fn sum(&self, of: impl Fn(&WorkerCounters) -> &Counter) -> u64 {
        self.lanes.iter().map(|shard| of(shard).get()).sum()
    }

    /// Tells of requests and of the answers that were looked for.
    pub(super) fn describe(&self, page: &mut Exposition) {
        let abandoned = self.sum(|shard| &shard.abandoned);
        let ended = self.describe_ended(page);
        page.counter(
            "reviewsd_http_requests_abandoned_total",
            "Requests whose client disconnected before the response.",
        )
        .value(abandoned);
        // What ended was read before what began, so this may be one too many, never one too few.
        let begun = self.sum(|shard| &shard.begun);
        page.gauge("reviewsd_http_requests_in_flight", "Requests in flight.")
            .value(begun.saturating_sub(ended + abandoned));
        let mut times = page.histogram(
            "reviewsd_http_request_duration_seconds",
            "Time from the head of a request to its response, without sending it.",
        );
        for (endpoint, (name, _)) in ENDPOINTS.iter().enumerate() {
            let lanes = self.lanes.iter();
            let of_endpoint = lanes.filter_map(|shard| shard.times.get(endpoint));
            times.distribution(&[("route", name)], &Histogram::sum(of_endpoint));
        }
        page.counter(
            "reviewsd_answer_cache_hits_total",
            "Hits of the answer cache.",
        )
        .value(self.sum(|shard| &shard.kept));
        page.counter(
            "reviewsd_answer_cache_misses_total",
            "Misses of the answer cache.",
        )
        .value(self.sum(|shard| &shard.not_kept));
    }

    /// Tells of the requests that were answered, and gives how many there were.
    fn describe_ended(&self, page: &mut Exposition) -> u64 {
        let mut family = page.counter(
            "reviewsd_http_requests_total",
            "Requests, by route, method and status.",
        );
        let mut all = 0;
        for (endpoint, (route, usual)) in ENDPOINTS.iter().enumerate() {
            for (method, method_name) in METHODS.iter().enumerate() {
                for (status, status_name) in STATUSES.iter().enumerate() {
                    let lanes = self.lanes.iter();
                    let cells = lanes
                        .filter_map(|shard| shard.ended.get(endpoint)?.get(method)?.get(status));
                    let count: u64 = cells.map(Counter::get).sum();
                    all += count;
                    let told = *usual == method && TOLD_STATUSES.contains(&status);
                    if told || count > 0 {
                        let labels = [
                            ("route", *route),
                            ("method", method_name),
                            ("status", status_name),
                        ];
                        family.sample(&labels, count);
                    }
                }
            }
        }
        all
    }
}

impl UnderWay<'_> {
    /// Notes the answer, and how long it took.
    pub(super) fn end(
        mut self,
        endpoint: Endpoint,
        method: &Method,
        status: StatusCode,
    ) -> Duration {
        self.ended = true;
        let time = self.begun.elapsed();
        let shard = self.meters.lanes.mine();
        let of_endpoint = shard.ended.get(endpoint as usize);
        let of_method = of_endpoint.and_then(|methods| methods.get(number_of(method)));
        let class = usize::from(status.as_u16() / 100).wrapping_sub(1);
        if let Some(cell) = of_method.and_then(|statuses| statuses.get(class)) {
            cell.count();
        }
        if let Some(times) = shard.times.get(endpoint as usize) {
            times.record_time(time);
        }
        time
    }
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        if !self.ended {
            self.meters.lanes.mine().abandoned.count();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_names_are_in_the_order_of_the_endpoints() {
        for (endpoint, name) in [
            (Endpoint::Reviews, "reviews"),
            (Endpoint::Add, "add"),
            (Endpoint::Report, "report"),
            (Endpoint::Other, "other"),
        ] {
            assert_eq!(ENDPOINTS.get(endpoint as usize).unwrap().0, name);
        }
        assert_eq!(Endpoint::Other as usize + 1, ENDPOINTS.len());
    }

    #[test]
    fn a_request_is_ended_or_abandoned() {
        let meters = ApiMeters::new();
        let told = |meters: &ApiMeters, line: &str| {
            let mut page = Exposition::default();
            meters.describe(&mut page);
            let page = format!("{page:?}")
                .replace(r"\n", "\n")
                .replace(r#"\""#, "\"");
            assert!(page.lines().any(|l| l == line), "{line} is not in {page}");
        };
        let ended = meters.begin();
        let abandoned = meters.begin();
        let _under_way = meters.begin();
        told(&meters, "reviewsd_http_requests_in_flight 3");
        drop(abandoned);
        ended.end(Endpoint::Add, &Method::POST, StatusCode::CREATED);
        told(&meters, "reviewsd_http_requests_in_flight 1");
        told(&meters, "reviewsd_http_requests_abandoned_total 1");
        let ended = r#"reviewsd_http_requests_total{route="add",method="POST",status="2xx"} 1"#;
        told(&meters, ended);
    }
}
