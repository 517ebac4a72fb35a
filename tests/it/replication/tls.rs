//! TLS between nodes: the peers that are trusted, those that are not, and the errors that they get.

use std::fs::{self, Permissions};
use std::net::IpAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Output;

use rcgen::{
    BasicConstraints, CertificateParams, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, SanType,
    date_time_ymd,
};
use rustix::process::Signal;
use ureq::Agent;
use ureq::tls::{Certificate, ClientCert, PrivateKey, RootCerts, TlsConfig};

use super::node::{Node, Setup, run_program};
use super::{Cluster, PATIENCE, catches_up, eventually};
use crate::support::write_secret;

/// The address of the nodes of a test.
const HERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

/// A certificate authority, and the certificates that it signed, as files in a directory.
struct Authority {
    dir: PathBuf,
    issuer: Issuer<'static, KeyPair>,
}

/// A certificate and its key.
#[derive(Debug, Clone)]
struct Pair {
    cert: PathBuf,
    key: PathBuf,
}

impl Authority {
    fn new(dir: &Path, name: &str) -> Self {
        let dir = dir.join(name);
        fs::create_dir(&dir).unwrap();
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let own = params.self_signed(&key).unwrap();
        fs::write(dir.join("ca.pem"), own.pem()).unwrap();
        Self {
            dir,
            issuer: Issuer::new(params, key),
        }
    }

    fn ca(&self) -> PathBuf {
        self.dir.join("ca.pem")
    }

    /// Signs a certificate for the server at `address`, until that year.
    fn sign(&self, name: &str, address: IpAddr, until: i32) -> Pair {
        let mut params = CertificateParams::default();
        params.subject_alt_names = vec![SanType::IpAddress(address)];
        params.not_before = date_time_ymd(2020, 1, 1);
        params.not_after = date_time_ymd(until, 1, 1);
        params.extended_key_usages = vec![
            ExtendedKeyUsagePurpose::ServerAuth,
            ExtendedKeyUsagePurpose::ClientAuth,
        ];
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        let pair = Pair {
            cert: self.dir.join(format!("{name}.pem")),
            key: self.dir.join(format!("{name}.key")),
        };
        fs::write(&pair.cert, certificate.pem()).unwrap();
        write_secret(&pair.key, &key.serialize_pem());
        pair
    }

    fn node(&self, name: &str) -> Pair {
        self.sign(name, HERE, 2100)
    }
}

/// `[tls]` of a node.
fn section(own: Option<&Pair>, ca: Option<&Path>, asks: bool) -> String {
    let files = [
        ("cert_file", own.map(|own| &*own.cert)),
        ("key_file", own.map(|own| &*own.key)),
        ("ca_file", ca),
    ];
    let files = files.into_iter().filter_map(|(key, file)| {
        let file = file?.display();
        Some(format!("{key} = \"{file}\"\n"))
    });
    format!("[tls]\nask_clients = {asks}\n{}", files.collect::<String>())
}

/// An agent that trusts an authority, and shows a certificate.
fn agent(ca: &Path, own: Option<&Pair>) -> Agent {
    let ca = Certificate::from_pem(&fs::read(ca).unwrap()).unwrap();
    let own = own.map(|Pair { cert, key }| {
        let cert = Certificate::from_pem(&fs::read(cert).unwrap()).unwrap();
        let key = PrivateKey::from_pem(&fs::read(key).unwrap()).unwrap();
        ClientCert::new_with_certs(&[cert], key)
    });
    let tls = TlsConfig::builder()
        .unversioned_rustls_crypto_provider(reviewsd::net::provider())
        .root_certs(RootCerts::new_with_certs(&[ca]))
        .client_cert(own);
    let config = Agent::config_builder()
        .http_status_as_error(false)
        .timeout_global(Some(PATIENCE))
        .tls_config(tls.build());
    config.build().new_agent()
}

impl Cluster {
    /// A primary with `[tls]`.
    fn secured(&self, tls: &str) -> Setup {
        Setup {
            other: tls.to_owned(),
            ..self.primary("primary")
        }
    }

    /// A replica that follows by `scheme`.
    fn following(&self, name: &str, scheme: &str, tls: &str) -> Setup {
        let address = self.link.address();
        Setup {
            follow: None,
            other: format!("[replica]\nfollow = \"{scheme}://{address}\"\n{tls}"),
            ..self.primary(name)
        }
    }
}

fn stats(server: &str, more: &[&Path]) -> (Option<i32>, String) {
    let mut args = vec!["stats", "--server", server];
    let flags = ["--ca", "--cert", "--key"];
    for (flag, file) in flags.iter().zip(more) {
        args.extend([*flag, file.to_str().unwrap()]);
    }
    let Output {
        status,
        stdout,
        stderr,
    } = run_program(&args);
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (status.code(), text(stdout) + &text(stderr))
}

#[test]
fn a_copy_follows_over_tls_and_commands_ask_by_it() {
    let cluster = Cluster::new();
    let authority = Authority::new(cluster.dir.path(), "ca");
    let (node, ca) = (authority.node("node"), authority.ca());
    let primary = cluster.start_primary(&cluster.secured(&section(Some(&node), None, false)));
    let primary = primary.asked_by(agent(&ca, None));
    let tls = section(None, Some(&ca), false);
    let copy = Node::start(&cluster.following("one", "https", &tls));
    primary.fill(20);
    catches_up(&copy, &primary);
    // A peer that is cut off begins anew, and so does a primary that is asked to end.
    cluster.link.cut();
    primary.fill(20);
    catches_up(&copy, &primary);
    copy.says_times("fetching the store at", 1);
    let at = primary.admin();
    let (code, said) = stats(&format!("https://{at}"), &[&ca]);
    assert_eq!(code, Some(0), "{said}");
    // Without that flag the command line is wrong, whatever the server is.
    let (code, said) = stats(&format!("https://{at}"), &[]);
    assert!(
        code == Some(2) && said.contains("needs --ca FILE"),
        "{said}"
    );
    for (url, files, expected) in [
        (
            format!("http://{at}"),
            &[][..],
            "this port speaks TLS only; use https://",
        ),
        (
            format!("https://{}", copy.admin()),
            &[&*ca],
            "does not speak TLS",
        ),
        (
            format!("https://localhost:{}", at.port()),
            &[&*ca],
            "the certificate is not for localhost, but for",
        ),
    ] {
        let (code, said) = stats(&url, files);
        assert!(code == Some(1) && said.contains(expected), "{said}");
    }
    primary.says("failed: it does not speak TLS");
    let page = primary.ask("/metrics").unwrap().1;
    let refused = "reviewsd_connections_tls_errors_total{listener=\"admin\"} ";
    let refused = page.lines().find_map(|line| line.strip_prefix(refused));
    assert!(refused.unwrap().parse::<u64>().unwrap() >= 2, "{page}");
    copy.stop();
    primary.stop();
}

#[test]
fn an_unverified_primary_is_not_followed_and_the_log_says_why() {
    let cluster = Cluster::new();
    let (own, other) = (
        Authority::new(cluster.dir.path(), "own"),
        Authority::new(cluster.dir.path(), "other"),
    );
    let tls = section(None, Some(&own.ca()), false);
    for (shown, scheme, expected) in [
        (
            Some(other.node("node")),
            "https",
            "was not signed by a CA of tls.ca_file",
        ),
        (
            Some(own.sign("named", "10.9.8.7".parse().unwrap(), 2100)),
            "https",
            "the certificate is not for 127.0.0.1, but for",
        ),
        (
            Some(own.sign("old", HERE, 2021)),
            "https",
            "the certificate has expired",
        ),
        (None, "https", "the server does not speak TLS"),
        (
            Some(own.node("node")),
            "http",
            "does it speak TLS? then follow https://",
        ),
    ] {
        let shown = shown.as_ref();
        let setup = cluster.secured(&section(shown, shown.map(|_| own.ca()).as_deref(), false));
        let primary = cluster.start_primary(&setup);
        let copy = Node::start(&cluster.following("one", scheme, &tls));
        copy.says(expected);
        assert_eq!(copy.said("following"), 0, "{}", copy.log());
        eventually("the copy says that it has no store", || {
            let (ready, why) = copy.ask("/readyz").unwrap();
            ready == 503 && why.contains("cannot be fetched")
        });
        // The node itself reports the faults that it can know.
        let doubts = expected.contains("signed") || expected.contains("expired");
        assert_eq!(
            primary.said("peers will not trust"),
            usize::from(doubts),
            "{expected}"
        );
    }
}

#[test]
fn only_certificates_of_the_ca_are_accepted_from_clients() {
    let cluster = Cluster::new();
    let (own, other) = (
        Authority::new(cluster.dir.path(), "own"),
        Authority::new(cluster.dir.path(), "other"),
    );
    let (node, ca) = (own.node("node"), own.ca());
    let tls = section(Some(&node), Some(&ca), true);
    let primary = cluster.start_primary(&cluster.secured(&tls));
    let primary = primary.asked_by(agent(&ca, Some(&node)));
    for (name, shown, expected) in [
        ("none", None, "the peer requires a certificate"),
        (
            "foreign",
            Some(other.node("node")),
            "the peer does not trust the CA that signed our certificate",
        ),
    ] {
        let tls = section(shown.as_ref(), Some(&ca), false);
        let copy = Node::start(&cluster.following(name, "https", &tls));
        copy.says(expected);
    }
    primary.says("the client sent no certificate");
    let tls = section(Some(&own.node("copy")), Some(&ca), false);
    let copy = Node::start(&cluster.following("one", "https", &tls)).asked_by(agent(&ca, None));
    catches_up(&copy, &primary);
    let at = format!("https://{}", primary.admin());
    let (code, said) = stats(&at, &[&ca]);
    assert!(
        code == Some(1) && said.contains("requires a certificate"),
        "{said}"
    );
    let (code, said) = stats(&at, &[&ca, &node.cert, &node.key]);
    assert_eq!(code, Some(0), "{said}");
    // The log has the name of the certificate.
    let restored = agent(&ca, Some(&node)).put(format!("{at}/reviews/5/restore"));
    assert_eq!(restored.send_empty().unwrap().status(), 204);
    primary.says("review 5 is shown again, by certificate rcgen self signed cert");
}

#[test]
fn files_that_are_wrong_are_named_before_anything_is_served() {
    let cluster = Cluster::new();
    let authority = Authority::new(cluster.dir.path(), "ca");
    let (one, two) = (authority.node("one"), authority.node("two"));
    let none = cluster.dir.path().join("none");
    let empty = cluster.dir.path().join("empty");
    write_secret(&empty, "nothing\n");
    let public = authority.node("public");
    fs::set_permissions(&public.key, Permissions::from_mode(0o644)).unwrap();
    let of_a_group = authority.node("of a group");
    fs::set_permissions(&of_a_group.key, Permissions::from_mode(0o640)).unwrap();
    let pair = |cert: &Path, key: &Path| {
        let (cert, key) = (cert.to_owned(), key.to_owned());
        section(Some(&Pair { cert, key }), None, false)
    };
    for (tls, expected) in [
        (
            pair(&one.cert, &two.key),
            "does not belong to the certificate in",
        ),
        (pair(&none, &one.key), "cannot read the certificate in"),
        (pair(&one.cert, &none), "cannot read the private key in"),
        (pair(&public.cert, &public.key), "chmod o-rwx "),
        // A file that a group may read is accepted, and is the wrong one here.
        (
            pair(&one.cert, &of_a_group.key),
            "does not belong to the certificate in",
        ),
        (pair(&empty, &one.key), "there is no certificate in"),
        (pair(&one.cert, &empty), "there is no private key in"),
        (pair(&one.key, &one.key), "there is no certificate in"),
        (
            section(None, Some(&empty), false),
            "there is no certificate in",
        ),
    ] {
        let (code, said) = Node::begin(&cluster.secured(&tls)).ended();
        assert!(
            code == Some(2) && said.contains(expected),
            "{expected}: {said}"
        );
    }
}

#[test]
fn certificates_that_are_replaced_take_effect_at_sighup() {
    let cluster = Cluster::new();
    let (old, new) = (
        Authority::new(cluster.dir.path(), "old"),
        Authority::new(cluster.dir.path(), "new"),
    );
    let node = old.node("node");
    let primary = cluster.start_primary(&cluster.secured(&section(Some(&node), None, false)));
    let at = format!("https://{}", primary.admin());
    assert_eq!(stats(&at, &[&old.ca()]).0, Some(0));
    fs::write(&node.key, "damaged").unwrap();
    primary.signal(Signal::HUP);
    primary.says("SIGHUP: the certificates were not reloaded");
    assert_eq!(stats(&at, &[&old.ca()]).0, Some(0));
    let next = new.node("node");
    fs::copy(&next.cert, &node.cert).unwrap();
    fs::copy(&next.key, &node.key).unwrap();
    primary.signal(Signal::HUP);
    primary.says("SIGHUP: the certificates were reloaded");
    assert_eq!(stats(&at, &[&new.ca()]).0, Some(0));
    let (code, said) = stats(&at, &[&old.ca()]);
    assert!(
        code == Some(1) && said.contains("was not signed by"),
        "{said}"
    );
}
