//! The files of `reviewsd init`, on the machines that they are for.

use super::host::within_namespace;
use super::node::{Node, Place, Setup, run_program};
use super::{catches_up, eventually};
use crate::support::shop_dir;

#[test]
fn replica_of_init_follows_the_primary_of_init() {
    let test = "replication::init::replica_of_init_follows_the_primary_of_init";
    within_namespace(test, |switch| {
        let (one, two) = (switch.host(1), switch.host(2));
        let (dir, shop) = (tempfile::tempdir().unwrap(), shop_dir());
        let out = dir.path().join("shop");
        let (primary, replica) = (one.address.to_string(), two.address.to_string());
        let args = [
            "init",
            "--out",
            out.to_str().unwrap(),
            "--name",
            "reviews.shop.example",
            "--primary",
            &primary,
            "--replica",
            &replica,
        ];
        let done = run_program(&args);
        assert!(
            done.status.success(),
            "{}",
            String::from_utf8_lossy(&done.stderr)
        );
        let server = |file: &str, data, host| {
            Node::start(&Setup {
                data,
                token: Some(out.join("replication.token")),
                file: Some(out.join(file)),
                place: Some(Place::on(host)),
                ..Setup::default()
            })
        };
        let primary = server("reviewsd.toml", shop.path().to_owned(), &one);
        assert_eq!(primary.api(), (one.address, 8080).into());
        let replica = server("replica-1.toml", dir.path().join("replica"), &two);
        assert_eq!(replica.api(), (two.address, 8080).into());
        let (status, answer) = primary.post("to be copied");
        assert_eq!(status, 201, "{answer}");
        catches_up(&replica, &primary);
        eventually("the replica shows the review", || {
            let shown = replica.get("/reviews?product_id=2&sort=newest").1;
            shown.contains("to be copied")
        });
        let (status, answer) = replica.post("to the replica");
        let named = answer.contains(&format!("http://{}", primary.api()));
        assert!(status == 405 && named, "{status}: {answer}");
    });
}
