//! The commands that put the files of an installation in their places.
//!
//! Must not run any. Invariant: every file that was written is named.

use std::fmt::Write as _;
use std::path::Path;

use crate::cli::Layout;

use super::site::Site;

/// The commands, machine by machine.
pub(super) fn steps(site: &Site, dir: &Path) -> String {
    match site.layout {
        Layout::Machines => on_machines(site, dir),
        Layout::Compose => in_containers(dir),
    }
}

fn on_machines(site: &Site, dir: &Path) -> String {
    let dir = dir.display();
    let has_token = !site.replicas.is_empty();
    let token = format!(
        "  install -o root -g reviewsd -m 640 {dir}/replication.token /etc/reviewsd/replication.token\n"
    );
    let mut text = format!(
        "Written to {dir}. With the package installed on each machine of a server, and that directory copied there,\n\
         run as root:\n\n"
    );
    let _ = writeln!(text, "primary, {}:", site.primary.ip());
    let _ = writeln!(
        text,
        "  install -m 644 {dir}/reviewsd.toml /etc/reviewsd/reviewsd.toml"
    );
    if has_token {
        text.push_str(&token);
    }
    text.push_str("  systemctl stop reviewsd.socket reviewsd-admin.socket\n");
    if site.moves_sockets() {
        let _ = writeln!(text, "  cp -R {dir}/systemd/. /etc/systemd/system/");
        text.push_str("  systemctl daemon-reload\n");
    }
    text.push_str(
        "  runuser -u reviewsd -- reviewsd import --csv /srv/csv --data /var/lib/reviewsd --replace\n  \
         systemctl enable --now reviewsd\n",
    );
    for (number, replica) in (1..).zip(&site.replicas) {
        let _ = writeln!(text, "\nreplica {number}, {}:", replica.ip());
        if replica.ip() != site.primary.ip() {
            text.push_str(
                "  systemctl disable --now reviewsd.socket reviewsd-admin.socket reviewsd\n",
            );
            text.push_str(&token);
        }
        let _ = writeln!(
            text,
            "  install -m 644 {dir}/replica-{number}.toml /etc/reviewsd/replica-{number}.toml"
        );
        let _ = writeln!(text, "  systemctl enable --now reviewsd-replica@{number}");
    }
    let _ = writeln!(text, "\nnginx, {}:", site.nginx);
    let _ = writeln!(
        text,
        "  install -m 644 {dir}/nginx.conf /etc/nginx/conf.d/reviewsd.conf"
    );
    text.push_str("  nginx -t && systemctl reload nginx\n");
    if let Some(to) = &site.backup {
        let _ = writeln!(text, "\nnightly backups to {to}, on the primary:");
        text.push_str("  systemctl enable --now reviewsd-backup.timer\n");
    }
    if site
        .replicas
        .iter()
        .any(|replica| replica.ip() != site.primary.ip())
    {
        text.push_str(
            "\nThe token goes over the network with every request of a replica: give the nodes certificates, too, \
             unless the\nnetwork is theirs alone ([tls] in the configuration).\n",
        );
    }
    text
}

fn in_containers(dir: &Path) -> String {
    let dir = dir.display();
    format!(
        "Written to {dir}. The image is made by `make image`, and is part of a release:\n\n  \
         docker load --input reviewsd-image.tar\n  \
         cd {dir}\n  \
         docker compose run --rm --volume /srv/csv:/csv:ro primary import --csv /csv --data /var/lib/reviewsd\n  \
         docker compose up --detach\n  \
         curl 'http://127.0.0.1/reviews?product_id=1'\n"
    )
}
