//! The metrics of requests.
//!
//! Must not know the answers. Invariant: every request that is begun is counted once: by its route, method and
//! status, or as abandoned, if its client disconnected before there was an answer.

use std::array;
use std::time::{Duration, Instant};

use hyper::{Method, StatusCode};

use crate::metrics::{Counter, Exposition, Histogram, Shards, TIMES, TIMES_NS};

use super::endpoints::{Action, ENDPOINTS};
use super::route::{RouteTarget, Scope, Verb};

/// Series of requests: one for each endpoint of the table, and [`OTHER`].
const SERIES: usize = ENDPOINTS.len() + 1;
/// Preflights, unknown paths or those of another service, methods that a path does not answer, and requests
/// that are not valid HTTP/1.1.
const OTHER: usize = ENDPOINTS.len();

const METHODS: [&str; 6] = ["GET", "HEAD", "POST", "PUT", "OPTIONS", "other"];
const GET: usize = 0;
const POST: usize = 2;
const PUT: usize = 3;
const OTHER_METHOD: usize = 5;
const STATUSES: [&str; 5] = ["1xx", "2xx", "3xx", "4xx", "5xx"];
/// The statuses that every route has a series for from the start, so that their first occurrence is an
/// increase.
const TOLD_STATUSES: [usize; 3] = [1, 3, 4];

/// The series that a request is counted in.
pub(super) fn series<E>(target: &Result<RouteTarget<'_, Action>, E>) -> usize {
    match target {
        Ok(RouteTarget::Endpoint(found)) if found.endpoint.scope != Scope::Neighbour => {
            found.number
        }
        _ => OTHER,
    }
}

/// The series of the page: their numbers, their names, and their most frequent methods.
fn told_series() -> impl Iterator<Item = (usize, &'static str, usize)> {
    let of_table = ENDPOINTS.iter().enumerate();
    of_table
        .filter(|(_, endpoint)| endpoint.scope != Scope::Neighbour)
        .map(|(number, endpoint)| (number, endpoint.name, usual_method(endpoint.verb)))
        .chain([(OTHER, "other", GET)])
}

fn usual_method(verb: Verb) -> usize {
    match verb {
        Verb::Get => GET,
        Verb::Post => POST,
        Verb::Put => PUT,
        Verb::Patch | Verb::Delete => OTHER_METHOD,
    }
}

fn number_of(method: &Method) -> usize {
    match *method {
        Method::GET => GET,
        Method::HEAD => 1,
        Method::POST => POST,
        Method::PUT => PUT,
        Method::OPTIONS => 4,
        _ => OTHER_METHOD,
    }
}

/// The counters of one thread.
#[derive(Debug)]
struct WorkerCounters {
    begun: Counter,
    abandoned: Counter,
    /// By series, method and status.
    ended: [[[Counter; STATUSES.len()]; METHODS.len()]; SERIES],
    times: [Histogram<TIMES>; SERIES],
    kept: Counter,
    not_kept: Counter,
}

impl WorkerCounters {
    fn new() -> Self {
        Self {
            begun: Counter::default(),
            abandoned: Counter::default(),
            ended: array::from_fn(|_| Default::default()),
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

    /// Counts a request that came in.
    pub(super) fn begin(&self) -> UnderWay<'_> {
        self.lanes.mine().begun.count();
        UnderWay {
            meters: self,
            begun: Instant::now(),
            ended: false,
        }
    }

    /// Counts a lookup in the cache, by whether the answer was there.
    pub(super) fn looked_up(&self, found: bool) {
        let shard = self.lanes.mine();
        if found { &shard.kept } else { &shard.not_kept }.count();
    }

    fn sum(&self, of: impl Fn(&WorkerCounters) -> &Counter) -> u64 {
        self.lanes.iter().map(|shard| of(shard).get()).sum()
    }

    /// Writes the metrics of requests and of cache lookups.
    pub(super) fn describe(&self, page: &mut Exposition) {
        let abandoned = self.sum(|shard| &shard.abandoned);
        let ended = self.describe_ended(page);
        page.counter(
            "reviewsd_http_requests_abandoned_total",
            "Requests whose client disconnected before the response.",
        )
        .value(abandoned);
        // The ended requests were read before the begun ones, so this may be one too many, never one too few.
        let begun = self.sum(|shard| &shard.begun);
        page.gauge("reviewsd_http_requests_in_flight", "Requests in flight.")
            .value(begun.saturating_sub(ended + abandoned));
        let mut times = page.histogram(
            "reviewsd_http_request_duration_seconds",
            "Time from the head of a request to its response, without sending it.",
        );
        for (series, name, _) in told_series() {
            let lanes = self.lanes.iter();
            let of_series = lanes.filter_map(|shard| shard.times.get(series));
            times.distribution(&[("route", name)], &Histogram::sum(of_series));
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

    /// Writes the metrics of the requests that were answered, and returns their number.
    fn describe_ended(&self, page: &mut Exposition) -> u64 {
        let mut family = page.counter(
            "reviewsd_http_requests_total",
            "Requests, by route, method and status.",
        );
        let mut all = 0;
        for (series, route, usual) in told_series() {
            for (method, method_name) in METHODS.iter().enumerate() {
                for (status, status_name) in STATUSES.iter().enumerate() {
                    let lanes = self.lanes.iter();
                    let cells =
                        lanes.filter_map(|shard| shard.ended.get(series)?.get(method)?.get(status));
                    let count: u64 = cells.map(Counter::get).sum();
                    all += count;
                    let told = usual == method && TOLD_STATUSES.contains(&status);
                    if told || count > 0 {
                        let labels = [
                            ("route", route),
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
    pub(super) fn end(mut self, series: usize, method: &Method, status: StatusCode) -> Duration {
        self.ended = true;
        let time = self.begun.elapsed();
        let shard = self.meters.lanes.mine();
        let of_series = shard.ended.get(series);
        let of_method = of_series.and_then(|methods| methods.get(number_of(method)));
        let class = usize::from(status.as_u16() / 100).wrapping_sub(1);
        if let Some(cell) = of_method.and_then(|statuses| statuses.get(class)) {
            cell.count();
        }
        if let Some(times) = shard.times.get(series) {
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
    use crate::endpoints::{self, Surface};

    fn series_of(method: &Method, path: &str) -> usize {
        series(&endpoints::find(Surface::WithNeighbours, method, path))
    }

    #[test]
    fn every_endpoint_has_a_series_and_all_else_is_other() {
        let names: Vec<_> = told_series().map(|(_, name, _)| name).collect();
        let expected = [
            "reviews", "meta", "review", "products", "product", "styles", "related", "add",
            "helpful", "report", "livez", "readyz", "other",
        ];
        assert_eq!(names, expected);
        let name = |series| {
            told_series()
                .find(|(number, ..)| *number == series)
                .unwrap()
                .1
        };
        assert_eq!(name(series_of(&Method::GET, "/api/reviews/5/meta")), "meta");
        assert_eq!(name(series_of(&Method::PUT, "/reviews/report/5")), "report");
        for (method, path) in [
            (Method::OPTIONS, "/reviews"),
            (Method::PUT, "/reviews"),
            (Method::GET, "/nowhere"),
            (Method::GET, "/cart"),
        ] {
            assert_eq!(series_of(&method, path), OTHER, "{method} {path}");
        }
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
        let add = series_of(&Method::POST, "/reviews");
        ended.end(add, &Method::POST, StatusCode::CREATED);
        told(&meters, "reviewsd_http_requests_in_flight 1");
        told(&meters, "reviewsd_http_requests_abandoned_total 1");
        let ended = r#"reviewsd_http_requests_total{route="add",method="POST",status="2xx"} 1"#;
        told(&meters, ended);
    }
}
