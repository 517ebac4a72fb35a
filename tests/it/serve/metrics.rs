//! The page of metrics: that it is one, that it counts what happened, and that alerts and dashboard query what
//! it has.

mod page;
mod queries;
mod reference;
mod replication;

use reviewsd::version;

use super::{Client, Server};
pub(super) use page::Metrics;

const REQUESTS: &str = "reviewsd_http_requests_total";
const TIMES: &str = "reviewsd_http_request_duration_seconds";
const WRITES: &str = "reviewsd_writes_total";

impl Metrics {
    /// The page as it is now.
    pub(super) fn of(server: &Server) -> Self {
        let answer = Client::to(server.admin).ask("/metrics");
        assert_eq!(answer.status, 200);
        let format = "content-type: text/plain; version=0.0.4; charset=utf-8\r\n";
        assert!(answer.head.contains(format), "{}", answer.head);
        Self::read(std::str::from_utf8(&answer.body).unwrap())
    }
}

fn send(client: &mut Client, method: &str, path: &str, body: &str) -> u16 {
    let length = body.len();
    client.send(&format!(
        "{method} {path} HTTP/1.1\r\nHost: shop\r\nContent-Length: {length}\r\n\r\n{body}"
    ));
    client.answer().status
}

const REVIEW: &str = r#"{"product_id":2,"rating":5,"summary":"s","body":"b","recommend":true,"name":"n","email":"a@b"}"#;

#[test]
fn every_request_is_counted_by_route_method_and_status() {
    let server = Server::with("");
    let mut client = server.connect();
    let before = Metrics::of(&server);
    let asked = [
        ("GET", "/reviews?product_id=2", "", "reviews", 200),
        ("GET", "/reviews/2/list", "", "reviews", 200),
        ("GET", "/reviews?product_id=x", "", "reviews", 422),
        ("GET", "/reviews/meta?product_id=2", "", "meta", 200),
        ("GET", "/reviews/5", "", "review", 200),
        ("GET", "/reviews/999999", "", "review", 404),
        ("GET", "/products", "", "products", 200),
        ("GET", "/products/1", "", "product", 200),
        ("GET", "/products/1/styles", "", "styles", 200),
        ("GET", "/products/1/related", "", "related", 200),
        ("POST", "/reviews", REVIEW, "add", 201),
        ("POST", "/reviews", "{", "add", 400),
        ("PUT", "/reviews/5/helpful", "", "helpful", 204),
        ("PUT", "/reviews/999999/report", "", "report", 404),
        ("GET", "/livez", "", "livez", 200),
        ("GET", "/readyz", "", "readyz", 200),
        ("GET", "/nothing", "", "other", 404),
        ("DELETE", "/reviews", "", "other", 405),
        ("OPTIONS", "/reviews", "", "other", 204),
    ];
    for (method, path, body, _, status) in asked {
        assert_eq!(send(&mut client, method, path, body), status, "{path}");
    }
    let after = Metrics::of(&server);
    for (method, path, _, route, status) in asked {
        let method = if method == "DELETE" { "other" } else { method };
        let class = format!("{}xx", status / 100);
        let labels = [("route", route), ("method", method), ("status", &class)];
        let same = asked.iter().filter(|(m, _, _, r, s)| {
            let m = if *m == "DELETE" { "other" } else { m };
            (m, *r, s / 100) == (method, route, status / 100)
        });
        let more = after.count(REQUESTS, &labels) - before.count_or_0(REQUESTS, &labels);
        assert_eq!(more, same.count() as u64, "{method} {path}");
        let name = format!("{TIMES}_count");
        let more =
            after.count(&name, &[("route", route)]) - before.count(&name, &[("route", route)]);
        let same = asked.iter().filter(|(.., r, _)| *r == route).count();
        assert_eq!(more, same as u64, "{route}");
    }
    assert_eq!(after.count("reviewsd_http_requests_in_flight", &[]), 0);
    let all: u64 = after.counts(REQUESTS).sum();
    assert_eq!(all, after.counts(&format!("{TIMES}_count")).sum::<u64>());
    assert_eq!(all, asked.len() as u64);
    let times = after.value(&format!("{TIMES}_sum"), &[("route", "reviews")]);
    assert!(times > 0.0 && times < 30.0, "{times}");
}

#[test]
fn writes_are_counted_by_what_became_of_them() {
    let server = Server::with("");
    let mut client = server.connect();
    assert_eq!(send(&mut client, "POST", "/reviews", REVIEW), 201);
    assert_eq!(send(&mut client, "PUT", "/reviews/5/helpful", ""), 204);
    assert_eq!(send(&mut client, "PUT", "/reviews/5/report", ""), 204);
    assert_eq!(send(&mut client, "PUT", "/reviews/999999/helpful", ""), 404);
    let page = Metrics::of(&server);
    let outcomes = [
        ("created", 1),
        ("changed", 2),
        ("no_such_review", 1),
        ("busy", 0),
    ];
    for (outcome, count) in outcomes {
        assert_eq!(
            page.count(WRITES, &[("outcome", outcome)]),
            count,
            "{outcome}"
        );
    }
    assert_eq!(page.counts(WRITES).sum::<u64>(), 4);
    // The one that changed nothing was not committed.
    assert_eq!(
        page.count("reviewsd_write_commit_duration_seconds_count", &[]),
        3
    );
    assert_eq!(page.count("reviewsd_write_group_changes_sum", &[]), 3);
    assert!(page.value("reviewsd_write_commit_duration_seconds_sum", &[]) > 0.0);
    assert_eq!(page.count("reviewsd_write_queue_changes", &[]), 0);
    assert!(page.count("reviewsd_rocksdb_wal_bytes", &[]) > 0);
    assert!(page.count("reviewsd_rocksdb_memtable_bytes", &[("family", "reviews")]) > 0);
}

#[test]
fn an_interval_counts_its_syncs() {
    let server = Server::with("[writes]\ndurability = \"interval\"\ninterval = \"1ms\"\n");
    let mut client = server.connect();
    assert_eq!(send(&mut client, "POST", "/reviews", REVIEW), 201);
    while Metrics::of(&server).count("reviewsd_write_sync_duration_seconds_count", &[]) == 0 {}
}

#[test]
fn a_review_that_finds_no_room_is_counted_as_such() {
    let server = Server::with("[writes]\nfree_space_min = \"8000000TiB\"\n");
    assert_eq!(send(&mut server.connect(), "POST", "/reviews", REVIEW), 507);
    let page = Metrics::of(&server);
    assert_eq!(page.count(WRITES, &[("outcome", "disk_full")]), 1);
    let free = page.value("reviewsd_store_free_bytes", &[]);
    assert!(0.0 < free && free < page.value("reviewsd_store_free_min_bytes", &[]));
}

#[test]
fn the_caches_tell_what_they_were_asked_for() {
    let server = Server::with("");
    let mut client = server.connect();
    for _ in 0..5 {
        assert_eq!(client.ask("/reviews/meta?product_id=2").status, 200);
    }
    let page = Metrics::of(&server);
    assert_eq!(page.count("reviewsd_answer_cache_hits_total", &[]), 4);
    assert_eq!(page.count("reviewsd_answer_cache_misses_total", &[]), 1);
    assert_eq!(page.count("reviewsd_answer_cache_answers", &[]), 1);
    let bytes = page.count("reviewsd_answer_cache_bytes", &[]);
    assert!(0 < bytes && bytes <= page.count("reviewsd_answer_cache_max_bytes", &[]));
    // So many reviews are a long read, whatever is in memory.
    assert_eq!(client.ask("/reviews?product_id=20&count=1000").status, 200);
    let page = Metrics::of(&server);
    assert!(page.count("reviewsd_disk_reads_total", &[]) >= 1);
    assert_eq!(page.count("reviewsd_disk_reads_in_flight", &[]), 0);
    assert!(page.count("reviewsd_rocksdb_block_reads_total", &[]) >= 1);
    assert!(page.count("reviewsd_rocksdb_block_read_bytes_total", &[]) >= 1);
    let hits = page.count("reviewsd_rocksdb_block_cache_hits_total", &[]);
    // One review alone is read anew each time, by its product and then by itself.
    for _ in 0..100 {
        assert_eq!(client.ask("/reviews/1001").status, 200);
    }
    let later = Metrics::of(&server);
    assert!(later.count("reviewsd_rocksdb_block_cache_hits_total", &[]) > hits + 100);
    let cached = later.count("reviewsd_rocksdb_block_cache_bytes", &[]);
    assert!(0 < cached && cached <= later.count("reviewsd_rocksdb_block_cache_max_bytes", &[]));
}

#[test]
fn connections_are_counted_while_they_are_open() {
    let server = Server::with("[net]\nconnections_max = 2\n");
    let open = |page: &Metrics| page.count("reviewsd_connections_open", &[("listener", "api")]);
    let api = [("listener", "api")];
    let mut first = server.connect();
    assert_eq!(first.ask("/livez").status, 200);
    let page = Metrics::of(&server);
    assert_eq!(open(&page), 1);
    assert_eq!(page.count("reviewsd_connections_max", &api), 2);
    assert_eq!(
        page.count("reviewsd_connections_open", &[("listener", "admin")]),
        1
    );
    let busy = [1, 2].map(|count| server.busy(count));
    // The first one gave way to one of them, and now there is none that could.
    let mut third = server.connect();
    third.send("GET /livez HTTP/1.1\r\nHost: shop\r\n\r\n");
    while Metrics::of(&server).count("reviewsd_connections_held_back_total", &api) == 0 {}
    assert!(first.is_closed());
    let page = Metrics::of(&server);
    assert_eq!(page.count("reviewsd_connections_evicted_total", &api), 1);
    drop(busy);
    assert_eq!(third.answer().status, 200);
    drop(third);
    while open(&Metrics::of(&server)) > 0 {}
    let page = Metrics::of(&server);
    assert_eq!(page.count("reviewsd_connections_accepted_total", &api), 4);
}

#[test]
fn a_request_whose_client_is_gone_is_told_as_abandoned() {
    let server = Server::with("");
    let mut client = server.connect();
    client.send("POST /reviews HTTP/1.1\r\nHost: shop\r\nContent-Length: 100\r\n\r\n{");
    while Metrics::of(&server).count("reviewsd_http_requests_in_flight", &[]) < 1 {}
    drop(client);
    // The body ends early, which gives an answer that no client reads, or the connection ends first.
    while Metrics::of(&server).count("reviewsd_http_requests_in_flight", &[]) > 0 {}
    let page = Metrics::of(&server);
    let refused = [("route", "add"), ("method", "POST"), ("status", "4xx")];
    let gone = page.count("reviewsd_http_requests_abandoned_total", &[]);
    assert_eq!(gone + page.count(REQUESTS, &refused), 1);
}

#[test]
fn the_process_and_the_store_are_told_of() {
    let server = Server::with("");
    let page = Metrics::of(&server);
    let version = [
        ("version", version::PROGRAM),
        ("commit", version::COMMIT),
        ("rocksdb", version::ROCKSDB),
    ];
    assert_eq!(page.count("reviewsd_build_info", &version), 1);
    assert_eq!(page.count("reviewsd_ready", &[]), 1);
    assert!(page.count("process_resident_memory_bytes", &[]) > 1_000_000);
    assert!(page.count("process_virtual_memory_bytes", &[]) > 1_000_000);
    assert!(page.value("process_start_time_seconds", &[]) > 1.7e9);
    assert!(page.count("process_threads", &[]) > 2);
    let open = page.count("process_open_fds", &[]);
    assert!(10 < open && open < page.count("process_max_fds", &[]));
    assert_eq!(page.count("reviewsd_store_products", &[]), 10);
    let reviews = page.count("reviewsd_store_reviews", &[]);
    assert!(reviews > page.count("reviewsd_store_visible_reviews", &[]));
    let level = [("family", "reviews"), ("level", "6")];
    assert!(page.count("reviewsd_rocksdb_files", &level) >= 1);
    assert!(page.count("reviewsd_rocksdb_file_bytes", &level) > 1000);
    for kind in ["delayed", "stopped"] {
        let stalls = [("family", "reviews"), ("kind", kind)];
        assert_eq!(page.count("reviewsd_rocksdb_stalls_total", &stalls), 0);
    }
}

#[test]
fn the_public_port_has_no_metrics() {
    let server = Server::with("");
    assert_eq!(server.connect().ask("/metrics").status, 404);
}
