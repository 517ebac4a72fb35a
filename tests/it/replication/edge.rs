//! The handling of a request by the bundled nginx: the servers that it asks, the headers that it sends them,
//! and what it never does.
//!
//! The servers behind it are made up, so that they fail as a test requires and record their requests.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

use ureq::Agent;
use ureq::http::{Request, Response};

use super::front::{Front, program};
use super::node::{Node, Setup, agent};
use super::{Cluster, NOBODY, PATIENCE, STRICT, catches_up, eventually};
use crate::chance::say;

/// A server's answer to the head of a request; `None` hangs up.
type Answers = dyn Fn(&str) -> Option<String> + Send + Sync;

/// A server that is none.
struct Fake {
    address: SocketAddr,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Fake {
    fn start(answers: impl Fn(&str) -> Option<String> + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let asked = Arc::new(Mutex::default());
        let answers: Arc<Answers> = Arc::new(answers);
        let heard = Arc::downgrade(&asked);
        thread::spawn(move || {
            for client in listener.incoming() {
                let (Ok(client), Some(asked)) = (client, heard.upgrade()) else {
                    return;
                };
                let answers = Arc::clone(&answers);
                thread::spawn(move || serve(client, &asked, &*answers));
            }
        });
        Self { address, asked }
    }

    /// A server that answers every request with its name.
    fn named(name: &'static str) -> Self {
        Self::start(move |_| Some(ok("", name)))
    }

    /// The heads of the requests so far, without nginx's probes.
    fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }
}

impl Drop for Fake {
    fn drop(&mut self) {
        self.asked = Arc::default();
        // The listener notices that it is alone.
        let _ = TcpStream::connect(self.address);
    }
}

fn serve(mut client: TcpStream, asked: &Mutex<Vec<String>>, answers: &Answers) {
    let (mut read, mut piece) = (Vec::new(), [0; 4096]);
    loop {
        let end = loop {
            let text = String::from_utf8_lossy(&read).into_owned();
            if let Some((head, body)) = text.split_once("\r\n\r\n")
                && body.len()
                    >= header(head, "content-length").map_or(0, |length| length.parse().unwrap())
            {
                break head.to_owned();
            }
            match client.read(&mut piece) {
                Ok(more @ 1..) => read.extend_from_slice(&piece[..more]),
                _ => return,
            }
        };
        read.clear();
        asked.lock().unwrap().push(end.clone());
        let Some(answer) = answers(&end) else {
            let _ = client.shutdown(Shutdown::Both);
            return;
        };
        if client.write_all(answer.as_bytes()).is_err() {
            return;
        }
    }
}

fn answer(status: &str, headers: &str, body: &str) -> String {
    let length = body.len();
    format!("HTTP/1.1 {status}\r\nContent-Length: {length}\r\n{headers}\r\n{body}")
}

fn ok(headers: &str, body: &str) -> String {
    answer("200 OK", headers, body)
}

/// A header of a request.
fn header<'h>(head: &'h str, name: &str) -> Option<&'h str> {
    let mut lines = head.lines().filter_map(|line| line.split_once(": "));
    let (_, value) = lines.find(|(line, _)| line.eq_ignore_ascii_case(name))?;
    Some(value)
}

/// True if there is no nginx to test, which is printed.
fn skipped() -> bool {
    let skipped = program().is_none();
    if skipped {
        say("skipped: there is no nginx (apt-get install nginx-light)");
    }
    skipped
}

/// A client of nginx.
struct Client<'f> {
    front: &'f Front,
    agent: Agent,
}

impl<'f> Client<'f> {
    fn of(front: &'f Front) -> Self {
        let agent = agent();
        Self { front, agent }
    }

    fn send(&self, method: &str, path: &str, headers: &[(&str, &str)]) -> Response<ureq::Body> {
        let uri = format!("http://{}{path}", self.front.address());
        let mut request = Request::builder().method(method).uri(uri);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let body = if method == "POST" { "{}" } else { "" };
        self.agent.run(request.body(body).unwrap()).unwrap()
    }

    fn ask(&self, method: &str, path: &str, headers: &[(&str, &str)]) -> (u16, String) {
        let mut answer = self.send(method, path, headers);
        let text = answer.body_mut().read_to_string().unwrap();
        (answer.status().as_u16(), text)
    }

    fn get(&self, path: &str) -> (u16, String) {
        self.ask("GET", path, &[])
    }
}

fn told(text: &str) -> (u16, String) {
    (200, text.to_owned())
}

#[test]
fn reads_go_to_the_copies_and_writes_to_the_primary() {
    if skipped() {
        return;
    }
    let (copy, primary) = (Fake::named("copy"), Fake::named("primary"));
    let front = Front::start(&[copy.address], primary.address, false);
    let client = Client::of(&front);
    for (method, by) in [
        ("GET", "copy"),
        ("OPTIONS", "copy"),
        ("POST", "primary"),
        ("PUT", "primary"),
        ("DELETE", "primary"),
    ] {
        assert_eq!(client.ask(method, "/reviews/5", &[]), told(by), "{method}");
    }
    for path in ["/writes", "/%77rites"] {
        assert_eq!(client.get(path).0, 404, "{path}");
    }
    client.ask(
        "PUT",
        "/api/fec2/hr%2Drfp/reviews/5/helpful/?really=%20yes",
        &[],
    );
    let sent = "PUT /api/fec2/hr%2Drfp/reviews/5/helpful/?really=%20yes HTTP/1.1\r\n";
    assert!(
        primary.asked()[3].starts_with(sent),
        "{}",
        primary.asked()[3]
    );
    client.send("HEAD", "/reviews/5", &[]);
    assert!(copy.asked()[2].starts_with("HEAD /reviews/5 HTTP/1.1\r\n"));
}

#[test]
fn servers_are_told_for_whom_and_nothing_that_is_not_theirs() {
    if skipped() {
        return;
    }
    let copy = Fake::named("copy");
    let front = Front::start(&[copy.address], copy.address, false);
    let client = Client::of(&front);
    let sent = [
        ("x-forwarded-for", "203.0.113.9"),
        ("cookie", "basket=17; reviewsd_seq=1.345; theme=dark"),
        ("upgrade", "websocket"),
        ("x-request-id", "made-up"),
    ];
    let answer = client.send("GET", "/reviews/meta?product_id=2", &sent);
    let head = &copy.asked()[0];
    assert!(
        head.starts_with("GET /reviews/meta?product_id=2 HTTP/1.1\r\n"),
        "{head}"
    );
    assert_eq!(
        header(head, "x-forwarded-for"),
        Some("203.0.113.9, 127.0.0.1")
    );
    assert_eq!(header(head, "x-min-seq"), Some("1.345"));
    for name in ["cookie", "upgrade", "connection"] {
        assert_eq!(header(head, name), None, "{head}");
    }
    let id = header(head, "x-request-id").unwrap();
    assert_eq!(
        (id.len(), answer.headers()["x-request-id"].to_str().unwrap()),
        (32, id)
    );
}

#[test]
fn session_tokens_of_writes_and_reads_go_with_the_next_read() {
    if skipped() {
        return;
    }
    let copy = Fake::start(|head| {
        let seq = header(head, "x-min-seq").map_or("", |_| "X-Seq: 1.350\r\n");
        Some(ok(seq, "copy"))
    });
    let primary = Fake::start(|_| Some(answer("201 Created", "X-Seq: 1.345\r\n", "Created")));
    let front = Front::start(&[copy.address], primary.address, false);
    let client = Client::of(&front);
    assert_eq!(
        client
            .send("GET", "/products", &[])
            .headers()
            .get("set-cookie"),
        None
    );
    let written = client.send("POST", "/reviews", &[]);
    assert_eq!(
        written.headers()["set-cookie"],
        "reviewsd_seq=1.345; Path=/; Max-Age=3600; HttpOnly; SameSite=Lax"
    );
    assert_eq!(written.headers()["x-seq"], "1.345");
    let read = client.send("GET", "/products", &[("cookie", "reviewsd_seq=1.345")]);
    let cookie = read.headers()["set-cookie"].to_str().unwrap();
    assert!(cookie.starts_with("reviewsd_seq=1.350; "), "{cookie}");
    // A program states its own position, whatever cookies it has.
    let both = [("cookie", "reviewsd_seq=1.345"), ("x-min-seq", "1.100")];
    client.send("GET", "/products", &both);
    for wrong in ["1", "x", "1.2.3", "-1.2", "99999999999999999999.1"] {
        let cookie = format!("reviewsd_seq={wrong}");
        client.send("GET", "/products", &[("cookie", &cookie)]);
    }
    let asked = copy.asked();
    let seen: Vec<_> = asked.iter().map(|head| header(head, "x-min-seq")).collect();
    let expected = [
        None,
        Some("1.345"),
        Some("1.100"),
        None,
        None,
        None,
        None,
        None,
    ];
    assert_eq!(seen, expected);
}

#[test]
fn a_write_is_sent_once_whatever_becomes_of_it() {
    if skipped() {
        return;
    }
    // Answers one request of a connection, and hangs up at the next.
    let primary = Fake::start(|head| (!head.contains("/hang")).then(|| ok("", "primary")));
    let front = Front::start(&[primary.address], primary.address, false);
    let client = Client::of(&front);
    let mut sent = 0;
    for method in ["POST", "PUT"] {
        for is_first in [true, false] {
            if !is_first {
                // Now there is a connection that nginx keeps open.
                assert_eq!(client.ask(method, "/reviews/1", &[]), told("primary"));
                sent += 1;
            }
            let (status, text) = client.ask(method, "/reviews/hang", &[]);
            sent += 1;
            assert!(
                status == 503 && text.contains("the outcome is unknown"),
                "{status} {text}"
            );
            assert_eq!(primary.asked().len(), sent, "{method}");
        }
    }
}

#[test]
fn a_client_that_asks_whether_to_send_a_body_is_told_to_at_once() {
    if skipped() {
        return;
    }
    let primary = Fake::named("primary");
    let front = Front::start(&[primary.address], primary.address, false);
    let mut client = TcpStream::connect(front.address()).unwrap();
    client.set_read_timeout(Some(PATIENCE)).unwrap();
    let head =
        "POST /reviews HTTP/1.1\r\nHost: shop\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n";
    client.write_all(head.as_bytes()).unwrap();
    let mut said = [0; 25];
    client.read_exact(&mut said).unwrap();
    assert_eq!(&said, b"HTTP/1.1 100 Continue\r\n\r\n");
    client.write_all(b"{}").unwrap();
    let mut said = [0; 15];
    client.read_exact(&mut said).unwrap();
    assert_eq!(&said, b"HTTP/1.1 200 OK");
}

#[test]
fn a_failed_read_is_retried_on_another_replica() {
    if skipped() {
        return;
    }
    let (bad, good) = (Fake::start(|_| None), Fake::named("good"));
    let primary = Fake::named("primary");
    let front = Front::start(&[bad.address, good.address], primary.address, false);
    let client = Client::of(&front);
    for _ in 0..20 {
        assert_eq!(client.get("/reviews/5"), told("good"));
    }
    assert_eq!(bad.asked().len(), 1);
    assert!(primary.asked().is_empty());
}

#[test]
fn the_primary_answers_reads_when_no_copy_does_and_then_nobody() {
    if skipped() {
        return;
    }
    let (copy, primary) = (Fake::start(|_| None), Fake::named("primary"));
    let copies = [copy.address, NOBODY];
    let mut front = Front::start(&copies, primary.address, false);
    // The first read tries two servers, and no more; then both are known to be away.
    assert_eq!(Client::of(&front).get("/reviews/5").0, 503);
    for _ in 0..3 {
        assert_eq!(Client::of(&front).get("/reviews/5"), told("primary"));
    }
    front.repoint(&copies, copies[1]);
    let client = Client::of(&front);
    let answer = client.send("GET", "/reviews/5", &[]);
    assert_eq!(
        (answer.status().as_u16(), &answer.headers()["retry-after"]),
        (503, &"1".parse().unwrap())
    );
    let text = "Error: no server answers; please try again";
    assert_eq!(client.get("/reviews/5"), (503, text.to_owned()));
    assert_eq!(client.ask("POST", "/reviews", &[]).0, 503);
}

#[test]
fn a_copy_that_is_behind_is_no_copy_that_failed() {
    if skipped() {
        return;
    }
    for status in ["503 Service Unavailable", "412 Precondition Failed"] {
        let copy = Fake::start(move |head| {
            let is_behind = header(head, "x-min-seq").is_some();
            Some(if is_behind {
                answer(status, "", "behind")
            } else {
                ok("", "copy")
            })
        });
        let primary = Fake::start(move |head| match header(head, "x-min-seq") {
            Some("0.0") => Some(ok("X-Seq: 2.400\r\n", "primary")),
            Some(_) => Some(answer(status, "", "not here either")),
            None => None,
        });
        let front = Front::start(&[copy.address], primary.address, false);
        let client = Client::of(&front);
        // A browser goes on from the data there are.
        let read = client.send("GET", "/products", &[("cookie", "reviewsd_seq=1.345")]);
        assert_eq!(read.status(), 200);
        let cookie = read.headers()["set-cookie"].to_str().unwrap();
        assert!(cookie.starts_with("reviewsd_seq=2.400; "), "{cookie}");
        // A program gets an error.
        let (told_status, text) = client.ask("GET", "/products", &[("x-min-seq", "1.345")]);
        assert!(
            status.starts_with(&told_status.to_string()) && text == "not here either",
            "{text}"
        );
        assert_eq!(header(&primary.asked()[1], "x-min-seq"), Some("1.345"));
        for _ in 0..5 {
            assert_eq!(client.get("/products"), told("copy"));
        }
    }
}

#[test]
fn a_copy_that_lags_and_is_not_to_answer_is_passed_over() {
    if skipped() {
        return;
    }
    let cluster = Cluster::new();
    let primary = cluster.start_primary(&cluster.primary("primary"));
    let start = |name, follow, other: &str| {
        let copy = Node::start(&Setup {
            follow: Some(follow),
            other: other.to_owned(),
            ..cluster.replica(name)
        });
        catches_up(&copy, &primary);
        copy
    };
    let (lagging, fresh) = (
        start("one", cluster.link.address(), STRICT),
        start("two", primary.admin(), ""),
    );
    let front = Front::start(&[lagging.api(), fresh.api()], primary.api(), false);
    let (client, path) = (Client::of(&front), "/reviews/5");
    cluster.link.stall(true);
    eventually("a copy does not answer", || lagging.get(path).0 == 504);
    for _ in 0..20 {
        assert_eq!(client.get(path), primary.get(path));
    }
    let passed_on = format!("200 {}, {} 504, 200", lagging.api(), fresh.api());
    let requests = front.requests(20);
    let tried = requests.iter().filter(|line| line.ends_with(&passed_on));
    // It is asked once, and once more after some seconds.
    assert!((1..=2).contains(&tried.count()), "{requests:?}");
    // If no replica is left, there is the primary.
    fresh.kill();
    for _ in 0..5 {
        assert_eq!(client.get(path), primary.get(path));
    }
}

#[test]
fn admin_paths_are_not_found_even_if_the_proxy_asks_the_admin() {
    if skipped() {
        return;
    }
    let cluster = Cluster::new();
    let node = cluster.start_primary(&cluster.primary("primary"));
    let front = Front::start(&[node.admin()], node.admin(), false);
    let client = Client::of(&front);
    for path in [
        "/metrics",
        "/metrics/",
        "/%6detrics",
        "//metrics",
        "/reviews/../metrics",
        "/version",
        "/replication",
        "/internal/repl/v1/checkpoint",
        "/stats",
        "/rows/reviews",
        "/reviews/reported",
    ] {
        assert_eq!(client.get(path).0, 404, "{path}");
    }
    for (method, path) in [
        ("POST", "/find"),
        ("POST", "/erase"),
        ("PUT", "/reviews/14/restore"),
        ("PUT", "/reviews/5/response"),
        ("DELETE", "/reviews/5/response"),
        ("POST", "/internal/repl/v1/ack"),
    ] {
        assert_eq!(client.ask(method, path, &[]).0, 404, "{method} {path}");
    }
    let requests = front.requests(17);
    assert!(
        requests.iter().all(|line| line.ends_with(" 404 - -")),
        "{requests:?}"
    );
    // The rest of that port is there, or the above would say nothing.
    assert_eq!(client.get("/livez").0, 200);
}

#[test]
fn the_proxy_cache_is_off_and_never_serves_a_writer() {
    if skipped() {
        return;
    }
    let cluster = Cluster::new();
    let primary = cluster.start_primary(&cluster.primary("primary"));
    let copy = Node::start(&cluster.replica("one"));
    catches_up(&copy, &primary);
    let path = "/reviews?product_id=2&sort=newest&count=3";
    for is_cached in [false, true] {
        let front = Front::start(&[copy.api()], primary.api(), is_cached);
        let client = Client::of(&front);
        let before = client.get(path);
        for _ in 0..4 {
            assert_eq!(client.get(path), before);
        }
        let by = format!(" 200 {} 200", copy.api());
        let requests = front.requests(5);
        let times = requests.iter().filter(|line| line.ends_with(&by)).count();
        // A second may end in between.
        assert!(if is_cached { times <= 2 } else { times == 5 }, "{times}");
        let mut seen = None;
        for number in 0..5 {
            let body = serde_json::json!({
                "product_id": 2, "rating": 4, "summary": "Cached", "body": format!("{is_cached} {number}"),
                "recommend": true, "name": "pine", "email": "pine@example.org",
            });
            let url = format!("http://{}/reviews", front.address());
            let wrote = client.agent.post(url).send(body.to_string()).unwrap();
            assert_eq!(wrote.status(), 201);
            let cookie = wrote.headers()["set-cookie"].to_str().unwrap();
            let cookie = cookie.split_once(';').unwrap().0.to_owned();
            let text = client.ask("GET", path, &[("cookie", &cookie)]).1;
            assert!(text.contains(&format!("{is_cached} {number}")), "{text}");
            seen = Some(cookie);
        }
        // Nor does another client with its cookie get its answer.
        let strangers = client.send("GET", path, &[]);
        assert_eq!(strangers.headers().get("set-cookie"), None);
        drop(seen);
    }
}
