//! An installation, and the files that it consists of.
//!
//! Must not read or write a file. Invariant: all that is particular to an installation is a value of [`Site`];
//! everything else in its files is from `config/`.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use crate::cli::{HostName, Layout};
use crate::version;

use super::template::{ConfigText, Upstreams};

const PRIMARY: &str = include_str!("../../../config/reviewsd.toml");
const REPLICA: &str = include_str!("../../../config/replica.toml");
const NGINX: &str = include_str!("../../../config/nginx.conf");
const COMPOSE: &str = include_str!("../../../config/compose.yaml");

/// The path of the secret where a server reads it.
const TOKEN: &str = "/etc/reviewsd/replication.token";
/// The port of the first server of a machine; its admin port is the next one.
const PORT: u16 = 8080;
/// Between the ports of two servers of a machine.
const PORT_STEP: u16 = 10;

/// The addresses in `config/compose.yaml`.
const COMPOSE_NGINX: IpAddr = IpAddr::V4(Ipv4Addr::new(172, 29, 84, 10));
const COMPOSE_SERVERS: [IpAddr; 3] = [
    IpAddr::V4(Ipv4Addr::new(172, 29, 84, 11)),
    IpAddr::V4(Ipv4Addr::new(172, 29, 84, 12)),
    IpAddr::V4(Ipv4Addr::new(172, 29, 84, 13)),
];

/// An installation.
#[derive(Debug)]
pub(super) struct Site {
    pub(super) layout: Layout,
    pub(super) name: HostName,
    /// The origins whose pages may ask; with none, any.
    pub(super) origins: Vec<String>,
    pub(super) backup: Option<String>,
    pub(super) nginx: IpAddr,
    /// The API of the primary and of each replica.
    pub(super) primary: SocketAddr,
    pub(super) replicas: Vec<SocketAddr>,
}

/// A file to write, relative to the directory of all of them.
#[derive(Debug)]
pub(super) struct NewFile {
    pub(super) path: PathBuf,
    pub(super) text: String,
    /// True if it is for its owner alone.
    pub(super) is_secret: bool,
    /// True if servers in containers read it as their own user.
    pub(super) is_of_servers: bool,
}

impl NewFile {
    fn plain(path: impl Into<PathBuf>, text: String) -> Self {
        Self {
            path: path.into(),
            text,
            is_secret: false,
            is_of_servers: false,
        }
    }
}

/// The machines of an installation.
#[derive(Debug, Clone)]
pub(super) struct Machines {
    pub(super) nginx: IpAddr,
    pub(super) primary: IpAddr,
    pub(super) replicas: Vec<IpAddr>,
}

impl Machines {
    /// The containers of `config/compose.yaml`.
    pub(super) fn of_compose() -> Self {
        let [primary, replicas @ ..] = COMPOSE_SERVERS;
        Self {
            nginx: COMPOSE_NGINX,
            primary,
            replicas: replicas.to_vec(),
        }
    }

    /// Gives each server its port, so that those of one machine differ.
    pub(super) fn addresses(&self) -> (SocketAddr, Vec<SocketAddr>) {
        let mut earlier = vec![self.primary];
        let replicas = self.replicas.iter().map(|machine| {
            let same = (0..).zip(&earlier).filter(|(_, other)| *other == machine);
            let servers = u16::try_from(same.count()).unwrap_or(u16::MAX);
            earlier.push(*machine);
            SocketAddr::new(
                *machine,
                PORT.saturating_add(servers.saturating_mul(PORT_STEP)),
            )
        });
        let replicas = replicas.collect();
        (SocketAddr::new(self.primary, PORT), replicas)
    }
}

impl Site {
    /// Every file. `token` is the secret that the servers share, `owner` the user and group of the containers.
    pub(super) fn files(&self, token: &str, owner: (u32, u32)) -> Vec<NewFile> {
        let mut files = vec![NewFile::plain("reviewsd.toml", self.primary_config())];
        for (number, replica) in (1..).zip(&self.replicas) {
            let text = self.replica_config(number, *replica);
            files.push(NewFile::plain(format!("replica-{number}.toml"), text));
        }
        let upstreams = Upstreams {
            name: &self.name.to_string(),
            primary: self.primary,
            replicas: &self.replicas,
        };
        files.push(NewFile::plain("nginx.conf", upstreams.fill(NGINX)));
        if !self.replicas.is_empty() {
            files.push(NewFile {
                path: "replication.token".into(),
                text: format!("{token}\n"),
                is_secret: true,
                is_of_servers: true,
            });
        }
        match self.layout {
            Layout::Machines => files.extend(self.sockets()),
            Layout::Compose => {
                files.push(NewFile::plain("compose.yaml", COMPOSE.to_owned()));
                files.push(NewFile::plain(".env", environment(owner)));
            }
        }
        files
    }

    /// The data directories of containers.
    pub(super) fn directories(&self) -> Vec<PathBuf> {
        match self.layout {
            Layout::Machines => Vec::new(),
            Layout::Compose => {
                let replicas = (1..=self.replicas.len()).map(|number| format!("replica-{number}"));
                let all = std::iter::once("primary".to_owned()).chain(replicas);
                all.map(PathBuf::from).collect()
            }
        }
    }

    /// The configurations among the files, which must be valid.
    pub(super) fn configurations(files: &[NewFile]) -> impl Iterator<Item = &NewFile> {
        let is_toml = |file: &&NewFile| file.path.extension().is_some_and(|end| end == "toml");
        files.iter().filter(is_toml)
    }

    fn primary_config(&self) -> String {
        let mut text = ConfigText::of(PRIMARY)
            .set("store.data", "/var/lib/reviewsd")
            .set("net.listen", self.primary.to_string())
            .set("net.admin", self.admin().to_string());
        if !self.replicas.is_empty() {
            text = text.set("replication.token_file", TOKEN);
        }
        if let Some(to) = &self.backup {
            text = text
                .set("backup.to", to.as_str())
                .set("backup.keep_for", "30d");
        }
        self.public(text).into_text()
    }

    fn replica_config(&self, number: usize, address: SocketAddr) -> String {
        let data = match self.layout {
            Layout::Machines => format!("/var/lib/reviewsd-replica-{number}"),
            Layout::Compose => "/var/lib/reviewsd".to_owned(),
        };
        let admin = next_port(address);
        let mut text = ConfigText::of(REPLICA)
            .set("store.data", data)
            .set("net.listen", address.to_string())
            .set("net.admin", admin.to_string())
            .set("replication.token_file", TOKEN)
            .set("replica.follow", format!("http://{}", self.admin()))
            .set("replica.primary", format!("http://{}", self.primary));
        let servers = self.replicas.iter().chain([&self.primary]);
        if servers.filter(|server| server.ip() == address.ip()).count() == 1 {
            // Alone on its machine, it has the default share of the memory.
            text = text.unset("store.memory");
        }
        self.public(text).into_text()
    }

    /// Settings for a shop that is open to the public. Replicas have them, too, since they may be promoted.
    fn public(&self, text: ConfigText) -> ConfigText {
        let any = vec!["*".to_owned()];
        let origins = if self.origins.is_empty() {
            any
        } else {
            self.origins.clone()
        };
        text.set("api.cors_origins", origins)
            .set("net.trusted_proxies", vec![self.nginx.to_string()])
            .set("writes.rules", "strict")
            .set("writes.vote_window", "24h")
            .set("writes.rate_limit_per_second", 1)
            .set("writes.rate_limit_burst", 20)
            .set("moderation.reports_to_hide", 3)
            .set("moderation.reports_per_client", 20)
            .set("moderation.reviews_per_client", 10)
            .set("moderation.votes_per_client", 60)
            .set("moderation.links_max", 1)
            .set("moderation.duplicate_verdict", "hold")
    }

    /// The primary's admin port: an address that replicas reach, or else one that no other machine reaches.
    fn admin(&self) -> SocketAddr {
        let admin = next_port(self.primary);
        if self.replicas.is_empty() {
            SocketAddr::new(Ipv4Addr::LOCALHOST.into(), admin.port())
        } else {
            admin
        }
    }

    /// True if systemd has to open other ports of the primary than its units say.
    pub(super) fn moves_sockets(&self) -> bool {
        !self.sockets().is_empty()
    }

    /// Drop-ins for the units that open the primary's ports, whose addresses count more than its file's.
    fn sockets(&self) -> Vec<NewFile> {
        let bundled = SocketAddr::new(Ipv4Addr::LOCALHOST.into(), PORT);
        let all = [
            ("reviewsd", self.primary, bundled),
            ("reviewsd-admin", self.admin(), next_port(bundled)),
        ];
        let moved = all
            .into_iter()
            .filter(|(_, address, bundled)| address != bundled);
        let files = moved.map(|(unit, address, _)| {
            let text = format!(
                "# The empty value drops the address that the unit has.\n\
                 [Socket]\nListenStream=\nListenStream={address}\n"
            );
            NewFile::plain(format!("systemd/{unit}.socket.d/listen.conf"), text)
        });
        files.collect()
    }
}

/// The file from which `docker compose` takes the values of `config/compose.yaml`.
fn environment((user, group): (u32, u32)) -> String {
    let version = version::PROGRAM;
    format!(
        "# The image, and the user and group that the servers run as: the owner of the token and the data.\n\
         REVIEWSD_IMAGE=reviewsd:{version}\nREVIEWSD_USER={user}:{group}\n"
    )
}

fn next_port(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip(), address.port().saturating_add(1))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    fn machines(primary: &str, replicas: &[&str]) -> Machines {
        let address = |text: &&str| text.parse().unwrap();
        Machines {
            nginx: "10.0.0.10".parse().unwrap(),
            primary: address(&primary),
            replicas: replicas.iter().map(address).collect(),
        }
    }

    fn site(layout: Layout, machines: &Machines) -> Site {
        let (primary, replicas) = machines.addresses();
        Site {
            layout,
            name: "reviews.shop.example".parse().unwrap(),
            origins: vec!["https://shop.example".to_owned()],
            backup: Some("s3://backups/shop".to_owned()),
            nginx: machines.nginx,
            primary,
            replicas,
        }
    }

    fn config(site: &Site, name: &str) -> Config {
        let files = site.files("secret", (1, 2));
        let file = files
            .iter()
            .find(|file| file.path.as_os_str() == name)
            .unwrap();
        Config::of_text(&file.path, &file.text).unwrap()
    }

    #[test]
    fn servers_of_one_machine_have_ports_of_their_own() {
        let (primary, replicas) =
            machines("10.0.0.1", &["10.0.0.1", "10.0.0.2", "10.0.0.1"]).addresses();
        let all: Vec<_> = std::iter::once(primary).chain(replicas).collect();
        let ports: Vec<_> = all.iter().map(SocketAddr::port).collect();
        assert_eq!(ports, [8080, 8090, 8080, 8100]);
    }

    #[test]
    fn a_replica_has_the_settings_that_it_needs_once_it_is_promoted() {
        let site = site(Layout::Machines, &machines("10.0.0.1", &["10.0.0.2"]));
        let (primary, replica) = (
            config(&site, "reviewsd.toml"),
            config(&site, "replica-1.toml"),
        );
        assert_eq!(replica.writes, primary.writes);
        assert_eq!(replica.moderation, primary.moderation);
        assert_eq!(replica.api, primary.api);
        assert_eq!(replica.net.trusted_proxies, primary.net.trusted_proxies);
        assert_eq!(
            replica.replication.token_file,
            primary.replication.token_file
        );
        assert_eq!(
            replica.replica.follow.unwrap(),
            format!("http://{}", primary.net.admin)
        );
        assert_eq!(
            replica.replica.primary.unwrap(),
            format!("http://{}", primary.net.listen)
        );
        assert_eq!(replica.store.memory, None);
    }

    #[test]
    fn replicas_that_share_a_machine_share_its_memory() {
        let site = site(
            Layout::Machines,
            &machines("10.0.0.1", &["10.0.0.2", "10.0.0.2"]),
        );
        assert!(config(&site, "replica-2.toml").store.memory.is_some());
    }

    #[test]
    fn a_primary_alone_has_its_admin_port_for_itself() {
        let site = site(Layout::Machines, &machines("10.0.0.1", &[]));
        let primary = config(&site, "reviewsd.toml");
        assert_eq!(primary.net.listen.to_string(), "10.0.0.1:8080");
        assert_eq!(primary.net.admin.to_string(), "127.0.0.1:8081");
        assert_eq!(primary.replication.token_file, None);
        let names: Vec<_> = site
            .files("secret", (1, 2))
            .into_iter()
            .map(|file| file.path)
            .collect();
        let expected = [
            "reviewsd.toml",
            "nginx.conf",
            "systemd/reviewsd.socket.d/listen.conf",
        ];
        assert_eq!(names, expected.map(PathBuf::from));
    }

    #[test]
    fn only_what_the_installation_decides_differs_from_the_defaults() {
        let site = site(Layout::Machines, &machines("127.0.0.1", &[]));
        let mut primary = config(&site, "reviewsd.toml");
        assert_eq!(primary.writes.rate_limit_per_second, 1);
        assert_eq!(primary.moderation.reports_to_hide, 3);
        assert_eq!(primary.moderation.links_max, Some(1));
        let defaults = Config::default();
        (primary.writes, primary.api, primary.backup) =
            (defaults.writes, defaults.api, defaults.backup);
        (primary.store, primary.net.trusted_proxies) = (defaults.store, Vec::new());
        primary.moderation = defaults.moderation;
        let defaults = Config::default();
        assert_eq!(primary, defaults);
    }

    #[test]
    fn compose_has_the_addresses_and_files_of_the_configurations() {
        let machines = Machines::of_compose();
        let site = site(Layout::Compose, &machines);
        for address in [machines.nginx, machines.primary]
            .iter()
            .chain(&machines.replicas)
        {
            let line = format!("ipv4_address: {address}\n");
            assert!(COMPOSE.contains(&line), "{line}");
        }
        let files = site.files("secret", (1, 2));
        let directories = site.directories();
        let own = files.iter().map(|file| &file.path).chain(&directories);
        for path in own.filter(|path| !["compose.yaml", ".env"].contains(&path.to_str().unwrap())) {
            let mount = format!("- ./{}:/", path.display());
            assert!(COMPOSE.contains(&mount), "{mount}");
        }
        let replica = config(&site, "replica-2.toml");
        assert_eq!(replica.net.listen.to_string(), "172.29.84.13:8080");
        assert_eq!(replica.replica.follow.unwrap(), "http://172.29.84.11:8081");
    }
}
