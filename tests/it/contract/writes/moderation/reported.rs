//! Reports: how many clients hide a review, and how many reports of one client count.

use std::net::IpAddr;

use bytes::Bytes;
use http_body_util::Full;
use reviewsd::api::{ModerationPolicy, Quota};
use reviewsd::store::ModerationSettings;

use super::{HOUR, metric, moderated};
use crate::contract::Server;

fn needs(reports_to_hide: usize) -> ModerationPolicy {
    ModerationPolicy {
        writer: ModerationSettings {
            reports_to_hide,
            ..ModerationSettings::DEFAULT
        },
        ..ModerationPolicy::default()
    }
}

fn report(server: &Server, peer: &str, id: u64) {
    let peer: IpAddr = peer.parse().unwrap();
    let uri = format!("/reviews/{id}/report");
    let answer = server.ask(peer, "PUT", &uri, &[], Full::<Bytes>::default());
    assert_eq!((answer.status, answer.body.as_str()), (204, ""));
}

fn is_listed(server: &Server, id: u64) -> bool {
    server
        .review_ids("/reviews?product_id=2&count=100")
        .contains(&id)
}

#[test]
fn three_clients_hide_a_review_where_three_must() {
    let server = moderated(needs(3));
    for peer in ["192.0.2.1", "192.0.2.1", "2001:db8::1", "2001:db8::2"] {
        report(&server, peer, 5);
        assert!(is_listed(&server, 5), "{peer}");
    }
    report(&server, "192.0.2.2", 5);
    assert!(!is_listed(&server, 5));
}

#[test]
fn reports_beyond_the_limit_of_a_client_hide_nothing() {
    let server = moderated(ModerationPolicy {
        reports_per_client: Some(Quota {
            count: 2,
            window: HOUR,
        }),
        ..needs(1)
    });
    for id in [3, 4, 5] {
        report(&server, "192.0.2.1", id);
    }
    assert_eq!(
        [3, 4, 5].map(|id| is_listed(&server, id)),
        [false, false, true]
    );
    let line = "reviewsd_moderation_limited_total{limit=\"reports_per_client\"} 1";
    assert!(metric(&server, line));
    // Another client's report of it hides it as ever.
    report(&server, "192.0.2.2", 5);
    assert!(!is_listed(&server, 5));
}
