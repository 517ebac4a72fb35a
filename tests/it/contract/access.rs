//! The clients of the admin port: on this machine and beyond, with tokens and without.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use reviewsd::api::{AccessControl, Admin, Health, HostNames, TokenTable};
use reviewsd::metrics::Registry;
use reviewsd::model::moderation::Role;

use super::{Answer, request, wait};

const HERE: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
const BEYOND: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 7));
/// The time of day of these tests.
const NOW_MS: i64 = 1_700_000_000_000;

/// An admin port, and the tokens by role.
struct Port {
    admin: Admin,
    seconds: Arc<AtomicU64>,
    tokens: Vec<String>,
}

impl Port {
    /// A port with a token of each role, and one that has just expired; or with none at all.
    fn new(has_tokens: bool, is_metrics_open: bool) -> Self {
        let (mut table, mut tokens) = (TokenTable::default(), Vec::new());
        for role in Role::ALL.iter().copied() {
            let random = [role.number() + 1; 32];
            tokens.push(
                table
                    .add(role.word(), role, Some(NOW_MS + 1), &random)
                    .unwrap(),
            );
        }
        let late = table.add("late", Role::Operator, Some(NOW_MS), &[99; 32]);
        tokens.push(late.unwrap());
        let seconds = Arc::new(AtomicU64::new(0));
        let passed = Arc::clone(&seconds);
        let clock = move || Duration::from_secs(passed.load(Ordering::Relaxed));
        let table = has_tokens.then_some(table);
        let access = AccessControl::new(table, is_metrics_open, Arc::new(clock), || NOW_MS);
        let health = Arc::new(Health::default());
        health.set_ready(true);
        let names = HostNames::default();
        let admin = Admin::new(health, names, Arc::new(access), Registry::default());
        Self {
            admin: admin.with_replication(|| {
                serde_json::json!({"store": "s", "epoch": 1, "seq": 2, "chain": "c", "kept_aside": [], "role": "primary"})
            }),
            seconds,
            tokens,
        }
    }

    fn of(&self, role: Role) -> &str {
        &self.tokens[usize::from(role.number())]
    }

    fn expired(&self) -> &str {
        self.tokens.last().unwrap()
    }

    fn ask(&self, peer: IpAddr, path: &str, token: Option<&str>) -> Answer {
        let bearer = token.map(|token| format!("Bearer {token}"));
        self.ask_as(peer, path, bearer.as_deref())
    }

    fn ask_as(&self, peer: IpAddr, path: &str, authorization: Option<&str>) -> Answer {
        let mut headers = vec![("Host", "127.0.0.1:8081")];
        headers.extend(authorization.map(|value| ("Authorization", value)));
        let request = request("GET", path, &headers, Full::<Bytes>::default());
        wait(self.admin.handle(request, peer))
    }
}

#[test]
fn beyond_loopback_only_probes_are_open() {
    for has_tokens in [false, true] {
        let port = Port::new(has_tokens, false);
        for path in ["/livez", "/readyz"] {
            assert_eq!(port.ask(BEYOND, path, None).status, 200, "{path}");
        }
        for path in ["/version", "/metrics", "/stats", "/reviews/5", "/nothing"] {
            let answer = port.ask(BEYOND, path, None);
            assert_eq!(answer.status, 401, "{path}");
            assert_eq!(answer.header("www-authenticate"), Some("Bearer"));
            let remedy = if has_tokens {
                "Authorization: Bearer"
            } else {
                "admin.tokens_file"
            };
            assert!(answer.body.contains(remedy), "{}", answer.body);
        }
    }
}

#[test]
fn loopback_needs_a_token_only_where_there_are_tokens() {
    let (open, closed) = (Port::new(false, false), Port::new(true, false));
    let mapped: IpAddr = "::ffff:127.0.0.1".parse().unwrap();
    for peer in [HERE, mapped, "::1".parse().unwrap()] {
        assert_eq!(open.ask(peer, "/version", None).status, 200);
        // A command that has a token sends it to every server.
        assert_eq!(open.ask(peer, "/version", Some("rvw_any")).status, 200);
        assert_eq!(closed.ask(peer, "/version", None).status, 401);
        assert_eq!(closed.ask(peer, "/livez", None).status, 200);
        let token = closed.of(Role::Reader);
        assert_eq!(closed.ask(peer, "/version", Some(token)).status, 200);
    }
}

#[test]
fn open_metrics_need_no_token() {
    let (open, closed) = (Port::new(true, true), Port::new(true, false));
    for peer in [HERE, BEYOND] {
        assert_eq!(open.ask(peer, "/metrics", None).status, 200);
        assert_eq!(open.ask(peer, "/version", None).status, 401);
        assert_eq!(closed.ask(peer, "/metrics", None).status, 401);
        for role in Role::ALL.iter().copied() {
            let answer = closed.ask(peer, "/metrics", Some(closed.of(role)));
            assert_eq!(answer.status, 200, "{}", role.word());
        }
    }
}

#[test]
fn without_a_token_replication_shows_the_position_alone() {
    let port = Port::new(true, false);
    let position = r#"{"store":"s","epoch":1,"seq":2,"chain":"c","role":"primary"}"#;
    assert_eq!(port.ask(BEYOND, "/replication", None).body.trim(), position);
    let whole = port.ask(BEYOND, "/replication", Some(port.of(Role::Replica)));
    assert!(whole.body.contains("kept_aside"), "{}", whole.body);
    assert_eq!(port.ask(BEYOND, "/replication", Some("rvw_x")).status, 401);
    let local = Port::new(false, false).ask(HERE, "/replication", None);
    assert!(local.body.contains("kept_aside"), "{}", local.body);
}

#[test]
fn wrong_and_expired_tokens_are_refused_in_a_sentence() {
    let port = Port::new(true, false);
    let right = port.of(Role::Operator);
    let cut = &right[..right.len() - 1];
    for (authorization, what) in [
        (format!("Bearer {cut}"), "the token is unknown"),
        (format!("Bearer {right} x"), "the token is unknown"),
        (format!("Basic {right}"), "the token is unknown"),
        (right.to_owned(), "the token is unknown"),
        (
            format!("Bearer {}", port.expired()),
            "the token has expired",
        ),
    ] {
        let answer = port.ask_as(BEYOND, "/version", Some(&authorization));
        assert_eq!(answer.status, 401, "{authorization}");
        assert!(
            answer.body.starts_with(&format!("Error: {what}")),
            "{}",
            answer.body
        );
        let scheme = answer.header("www-authenticate");
        assert_eq!(scheme, Some("Bearer error=\"invalid_token\""));
        assert!(!answer.body.contains(cut), "{}", answer.body);
    }
    for authorization in ["Bearer", "Bearer ", ""] {
        let answer = port.ask_as(BEYOND, "/version", Some(authorization));
        assert!(
            answer.body.contains("this needs a token"),
            "{}",
            answer.body
        );
    }
    let lower = format!("bearer  {right}");
    assert_eq!(port.ask_as(BEYOND, "/version", Some(&lower)).status, 200);
}

#[test]
fn an_address_with_many_wrong_tokens_has_to_wait() {
    let port = Port::new(true, false);
    let guess = |peer| port.ask(peer, "/version", Some("rvw_guess"));
    for _ in 0..10 {
        assert_eq!(guess(BEYOND).status, 401);
    }
    let answer = guess(BEYOND);
    assert_eq!(
        (answer.status, answer.header("retry-after")),
        (429, Some("1"))
    );
    // Neither another address nor the right token is held up.
    assert_eq!(guess(HERE).status, 401);
    let token = port.of(Role::Reader);
    assert_eq!(port.ask(BEYOND, "/version", Some(token)).status, 200);
    port.seconds.store(1, Ordering::Relaxed);
    assert_eq!(guess(BEYOND).status, 401);
    assert_eq!(guess(BEYOND).status, 429);
}
