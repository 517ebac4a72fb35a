//! The words of `reviewsd init`.
//!
//! Must not do anything. Invariant: everything that the command asks on a terminal has a flag.

use std::fmt;
use std::net::IpAddr;
use std::path::PathBuf;
use std::str::FromStr;

use clap::{Args, ValueEnum, ValueHint};

/// The help text of `reviewsd init`.
pub(super) const INIT: &str = "Write the files of a new installation.

They are the configuration of a primary and of each replica, the secret that these share, the configuration of \
the nginx before them, and, for containers, a compose file: filled in, and with settings that suit a shop that \
everybody reaches. The settings are explained in the files themselves.

On a terminal the command asks for what no flag gives; elsewhere the defaults count. It overwrites nothing, and \
ends with the commands that put the files in their places.";

/// `reviewsd init`
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  reviewsd init
  reviewsd init --out ./shop --name reviews.shop.example --origin https://shop.example
  reviewsd init --out ./shop --name reviews.shop.example --primary 10.0.0.1 --replica 10.0.0.2,10.0.0.3 --nginx 10.0.0.10
  reviewsd init --out ./shop --name reviews.shop.example --layout compose

Exit codes:
  0  the files are written
  1  they are not, since one of them exists or cannot be written
  2  the command line is wrong, or lacks a flag that has no default; nothing is written

Documents:
  /usr/share/doc/reviewsd/docs/operating/new-installation.md
  /usr/share/doc/reviewsd/docs/operating/containers.md")]
pub struct InitArgs {
    /// Directory for the files; made if it does not exist
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub out: Option<PathBuf>,

    /// Host name by which clients reach nginx
    #[arg(long, value_name = "NAME")]
    pub name: Option<HostName>,

    /// Origins of the shop's pages, like `https://shop.example` [default: any]
    #[arg(long, value_name = "URL", value_delimiter = ',')]
    pub origin: Vec<String>,

    /// Destination of backups: a directory, or `s3://BUCKET/PREFIX` [default: no backups]
    #[arg(long, value_name = "TO")]
    pub backup: Option<String>,

    /// Kind of the installation [default: machines]
    #[arg(long, value_enum)]
    pub layout: Option<Layout>,

    /// Address of the primary's machine [default: 127.0.0.1]
    #[arg(long, value_name = "ADDRESS")]
    pub primary: Option<IpAddr>,

    /// Addresses of the replicas' machines, which may be the same [default: no replicas]
    #[arg(long, value_name = "ADDRESS", value_delimiter = ',')]
    pub replica: Vec<IpAddr>,

    /// Address from which nginx asks the servers [default: 127.0.0.1]
    #[arg(long, value_name = "ADDRESS")]
    pub nginx: Option<IpAddr>,
}

#[cfg(test)]
impl InitArgs {
    /// The arguments of a command line.
    pub(crate) fn of(flags: &str) -> Self {
        use clap::Parser;

        #[derive(Parser)]
        struct Words {
            #[command(flatten)]
            args: InitArgs,
        }
        Words::parse_from(std::iter::once("init").chain(flags.split_whitespace())).args
    }
}

/// A kind of installation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Layout {
    /// A machine for each server, with systemd; one machine may have several.
    Machines,
    /// A primary, two replicas and nginx as containers of one machine.
    Compose,
}

impl FromStr for Layout {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        <Self as ValueEnum>::from_str(text, true)
    }
}

/// A host name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostName(String);

impl FromStr for HostName {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-.".contains(&byte);
        if text.is_empty() || text.starts_with(['-', '.']) || !text.bytes().all(is_plain) {
            return Err("a host name is written reviews.shop.example, without a scheme and a port");
        }
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Display for HostName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn host_names_have_neither_schemes_nor_ports() {
        for name in ["reviews.shop.example", "localhost", "10.0.0.1"] {
            assert_eq!(name.parse::<HostName>().unwrap().to_string(), name);
        }
        for name in [
            "",
            "a b",
            "shop.example;",
            "https://shop.example",
            "a:80",
            "-a",
            ".a",
        ] {
            assert!(name.parse::<HostName>().is_err(), "{name}");
        }
    }
}
