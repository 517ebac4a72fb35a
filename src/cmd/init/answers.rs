//! From flags and questions to an installation.
//!
//! Must not know a file. Invariant: a question is asked only on a terminal, and only if no flag answers it.

use std::io::{BufRead, Write};
use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;
use std::str::FromStr;

use crate::cli::{HostName, InitArgs, Layout};

use super::Error;
use super::site::{Machines, Site};

/// A person on a terminal.
pub(super) struct Dialogue<R, W> {
    pub(super) reader: R,
    pub(super) writer: W,
}

impl<R: BufRead, W: Write> Dialogue<R, W> {
    /// Asks until the answer is one; an empty one is the default.
    fn ask<T>(&mut self, question: &str, default: &str) -> Result<T, Error>
    where
        T: FromStr<Err: ToString>,
    {
        loop {
            let shown = if default.is_empty() {
                String::new()
            } else {
                format!(" [{default}]")
            };
            write!(self.writer, "{question}{shown}: ").map_err(Error::Ask)?;
            self.writer.flush().map_err(Error::Ask)?;
            let mut answer = String::new();
            if self.reader.read_line(&mut answer).map_err(Error::Ask)? == 0 {
                return Err(Error::Unanswered);
            }
            let answer = answer.trim();
            let answer = if answer.is_empty() { default } else { answer };
            match answer.parse() {
                Ok(answer) => return Ok(answer),
                Err(why) => {
                    let why: String = T::Err::to_string(&why);
                    writeln!(self.writer, "  {why}").map_err(Error::Ask)?;
                }
            }
        }
    }
}

/// Values that are separated by commas; no text is none.
struct CommaList<T>(Vec<T>);

impl<T: FromStr> FromStr for CommaList<T> {
    type Err = T::Err;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let values = text
            .split(',')
            .map(str::trim)
            .filter(|value| !value.is_empty());
        values.map(str::parse).collect::<Result<_, _>>().map(Self)
    }
}

/// A text that is not empty.
struct Given(String);

impl FromStr for Given {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.is_empty() {
            return Err("there is no default");
        }
        Ok(Self(text.to_owned()))
    }
}

/// Returns the directory and the installation.
pub(super) fn answers<R: BufRead, W: Write>(
    args: &InitArgs,
    mut dialogue: Option<Dialogue<R, W>>,
) -> Result<(PathBuf, Site), Error> {
    let dialogue = &mut dialogue;
    let out = match (&args.out, &mut *dialogue) {
        (Some(out), _) => out.clone(),
        (None, Some(dialogue)) => {
            let Given(out) = dialogue.ask("Directory for the files", "./reviewsd")?;
            out.into()
        }
        (None, None) => return Err(Error::Missing("--out DIR")),
    };
    let name = match (&args.name, &mut *dialogue) {
        (Some(name), _) => name.clone(),
        (None, Some(dialogue)) => dialogue.ask::<HostName>(
            "Host name by which clients reach nginx, like reviews.shop.example",
            "",
        )?,
        (None, None) => return Err(Error::Missing("--name NAME")),
    };
    let origins = match dialogue {
        Some(dialogue) if args.origin.is_empty() => {
            let CommaList(origins) = dialogue.ask(
                "Origins of the shop's pages, like https://shop.example",
                "*",
            )?;
            origins
        }
        _ => args.origin.clone(),
    };
    let backup = match dialogue {
        Some(dialogue) if args.backup.is_none() => {
            let question = "Destination of backups, a directory or s3://BUCKET/PREFIX, or nothing";
            let CommaList(to) = dialogue.ask::<CommaList<String>>(question, "")?;
            to.into_iter().next()
        }
        _ => args.backup.clone(),
    };
    let layout = match (args.layout, &mut *dialogue) {
        (Some(layout), _) => layout,
        (None, Some(dialogue)) if !has_machines(args) => dialogue.ask(
            "Servers run on machines or as containers (compose)",
            "machines",
        )?,
        (None, _) => Layout::Machines,
    };
    let machines = match layout {
        Layout::Compose if has_machines(args) => return Err(Error::Fixed),
        Layout::Compose => Machines::of_compose(),
        Layout::Machines => machines(args, dialogue)?,
    };
    let (primary, replicas) = machines.addresses();
    let nginx = machines.nginx;
    let site = Site {
        layout,
        name,
        origins,
        backup,
        nginx,
        primary,
        replicas,
    };
    Ok((out, site))
}

fn has_machines(args: &InitArgs) -> bool {
    args.primary.is_some() || args.nginx.is_some() || !args.replica.is_empty()
}

fn machines<R: BufRead, W: Write>(
    args: &InitArgs,
    dialogue: &mut Option<Dialogue<R, W>>,
) -> Result<Machines, Error> {
    let loopback = IpAddr::V4(Ipv4Addr::LOCALHOST);
    let primary = match (args.primary, &mut *dialogue) {
        (Some(primary), _) => primary,
        (None, Some(dialogue)) => {
            dialogue.ask("Address of the primary's machine", &loopback.to_string())?
        }
        (None, None) => loopback,
    };
    let replicas = match dialogue {
        Some(dialogue) if args.replica.is_empty() => {
            let CommaList(replicas) =
                dialogue.ask("Addresses of the replicas' machines, or nothing", "")?;
            replicas
        }
        _ => args.replica.clone(),
    };
    let nginx = match (args.nginx, dialogue) {
        (Some(nginx), _) => nginx,
        (None, Some(dialogue)) => dialogue.ask(
            "Address from which nginx asks the servers",
            &primary.to_string(),
        )?,
        (None, None) => primary,
    };
    // From another machine, a server on loopback is out of reach.
    let all = || replicas.iter().chain([&primary, &nginx]);
    if all().any(IpAddr::is_loopback) && !all().all(IpAddr::is_loopback) {
        return Err(Error::Loopback);
    }
    Ok(Machines {
        nginx,
        primary,
        replicas,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The outcome with a person who gives these answers, and what the person was asked.
    fn asked(flags: &str, answered: &str) -> (Result<(PathBuf, Site), Error>, String) {
        let mut shown = Vec::new();
        let dialogue = Dialogue {
            reader: answered.as_bytes(),
            writer: &mut shown,
        };
        let done = answers(&InitArgs::of(flags), Some(dialogue));
        (done, String::from_utf8(shown).unwrap())
    }

    fn unasked(flags: &str) -> Result<(PathBuf, Site), Error> {
        answers::<&[u8], Vec<u8>>(&InitArgs::of(flags), None)
    }

    #[test]
    fn flags_answer_every_question() {
        let flags = "--out x --name shop.example --origin https://a,https://b --backup /b --layout machines \
                     --primary 10.0.0.1 --replica 10.0.0.2,10.0.0.3 --nginx 10.0.0.4";
        let (done, shown) = asked(flags, "");
        let (out, site) = done.unwrap();
        assert_eq!((out, shown.as_str()), ("x".into(), ""));
        assert_eq!(site.origins, ["https://a", "https://b"]);
        assert_eq!(site.replicas.len(), 2);
        assert_eq!(site.nginx.to_string(), "10.0.0.4");
    }

    #[test]
    fn a_person_is_asked_for_the_rest_until_the_answer_is_one() {
        let answered =
            "\nhttp://shop\nshop.example\n\n\n\n10.0.0.1\n10.0.0.2, ten\n10.0.0.2, 10.0.0.2\n\n";
        let (done, shown) = asked("", answered);
        let (out, site) = done.unwrap();
        assert_eq!(out, PathBuf::from("./reviewsd"));
        assert_eq!(site.name.to_string(), "shop.example");
        assert_eq!((site.origins, site.backup), (vec!["*".to_owned()], None));
        let replicas: Vec<_> = site.replicas.iter().map(ToString::to_string).collect();
        assert_eq!(replicas, ["10.0.0.2:8080", "10.0.0.2:8090"]);
        assert_eq!(site.nginx.to_string(), "10.0.0.1");
        assert!(shown.contains("without a scheme"), "{shown}");
        assert!(shown.contains("invalid IP address"), "{shown}");
    }

    #[test]
    fn a_person_who_leaves_is_no_installation() {
        let (done, _) = asked("--out x", "shop.example\n");
        assert!(matches!(done, Err(Error::Unanswered)), "{done:?}");
    }

    #[test]
    fn without_a_person_the_defaults_count() {
        let (_, site) = unasked("--out x --name shop.example").unwrap();
        assert_eq!(
            (site.layout, site.primary.to_string().as_str()),
            (Layout::Machines, "127.0.0.1:8080")
        );
        assert!(site.replicas.is_empty() && site.origins.is_empty());
        for (flags, missing) in [("--name a", "--out"), ("--out x", "--name")] {
            let sentence = unasked(flags).unwrap_err().to_string();
            assert!(sentence.contains(missing), "{sentence}");
        }
    }

    #[test]
    fn containers_have_addresses_of_their_own() {
        let fixed = unasked("--out x --name a --layout compose --primary 10.0.0.1");
        assert!(matches!(fixed, Err(Error::Fixed)), "{fixed:?}");
        let (_, site) = unasked("--out x --name a --layout compose").unwrap();
        assert_eq!(site.replicas.len(), 2);
    }

    #[test]
    fn a_server_on_loopback_has_all_others_beside_it() {
        for flags in [
            "--replica 10.0.0.2",
            "--nginx 10.0.0.2",
            "--primary 10.0.0.1 --replica 127.0.0.1",
        ] {
            let done = unasked(&format!("--out x --name a {flags}"));
            assert!(matches!(done, Err(Error::Loopback)), "{done:?}");
        }
    }
}
