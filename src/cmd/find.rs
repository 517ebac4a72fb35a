//! `reviewsd find`: what is held of a person, for people or for programs.
//!
//! Invariant: everything the store has of a review is shown.

use std::fmt;
use std::io::{self, Write};
use std::process::ExitCode;

use serde::Deserialize;
use serde_json::json;

use crate::cli::FindArgs;
use crate::model::Review;
use crate::model::calendar::timestamp;
use crate::model::record::FullReview;
use crate::store::key::Family;
use crate::store::scan::{self, EmailAddress};
use crate::store::{self, Gap, Store};

use super::Configured;
use super::INCOMPLETE;
use super::figures::counted;
use super::out::out;
use super::remote::{self, Remote};
use super::store_target::{self, Begin, StoreTarget};

/// Shows the reviews of an address.
pub fn run(args: &FindArgs) -> Result<ExitCode, Error> {
    let address = EmailAddress::new(&args.email).ok_or(Error::NoAddress)?;
    let place = StoreTarget::open(&args.place, "reviewsd find")?;
    let mut found = 0_u64;
    let mut show = |record: &FullReview<'_>| -> io::Result<()> {
        found += 1;
        let mut out = out();
        if args.json {
            serde_json::to_writer(&mut out, record)?;
            writeln!(out)
        } else {
            describe(&mut out, record)
        }
    };
    let unread = match &place {
        StoreTarget::Here(store) => in_store(store, &address, &mut show),
        StoreTarget::There(remote) => {
            let unreadable = on_server(remote, &args.email, &mut show);
            unreadable.map(|unreadable| Unread {
                unreadable,
                gaps: Vec::new(),
            })
        }
    }?;
    if !args.json {
        let mut out = out();
        writeln!(out, "{}", counted(found, "review")).map_err(Error::Write)?;
    }
    for gap in &unread.gaps {
        let said = writeln!(
            io::stderr(),
            "reviewsd: not searched: {}: {}",
            gap.described(),
            gap.why
        );
        said.map_err(Error::Write)?;
    }
    if unread.unreadable > 0 {
        let said = writeln!(
            io::stderr(),
            "{} cannot be decoded, so whose they are is not known; see `reviewsd verify`",
            counted(unread.unreadable, "review")
        );
        said.map_err(Error::Write)?;
    }
    Ok(if unread.gaps.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::from(INCOMPLETE)
    })
}

/// The unread places where more of somebody's reviews may be.
struct Unread {
    /// Reviews that cannot be decoded.
    unreadable: u64,
    /// Damaged parts of the store.
    gaps: Vec<Gap>,
}

type Show<'s> = dyn FnMut(&FullReview<'_>) -> io::Result<()> + 's;

fn in_store(store: &Store, address: &EmailAddress, show: &mut Show<'_>) -> Result<Unread, Error> {
    let mut unread = Unread {
        unreadable: 0,
        gaps: Vec::new(),
    };
    let mut at = Begin::After(Vec::new());
    loop {
        let mut shown = Ok(());
        let each = |place: scan::ScanCursor, review: &Review<'_>| {
            if address.is(review.reviewer_email) {
                shown = show(&FullReview::of(place.product, place.review, review));
            }
            shown.is_ok()
        };
        let (piece, after) = match &at {
            Begin::After(key) => (store.scan(scan::ScanCursor::of(key), each), key),
            Begin::At(key) => (store.scan_from(key, each), key),
        };
        shown.map_err(Error::Write)?;
        at = match piece {
            Ok(piece) => {
                unread.unreadable += piece.unreadable as u64;
                match piece.next {
                    Some(next) => Begin::After(next.key()),
                    None => return Ok(unread),
                }
            }
            Err(why @ store::Error::Rocks { .. }) => {
                let gap = store.gap(Family::Reviews, after, &why);
                let gap = gap.map_err(store_target::Error::Store)?;
                let behind = gap.before.clone();
                unread.gaps.push(gap);
                match behind {
                    Some(key) => Begin::At(key),
                    None => return Ok(unread),
                }
            }
            Err(other) => return Err(store_target::Error::Store(other).into()),
        };
    }
}

/// A page of what a server found.
#[derive(Deserialize)]
struct FoundPage {
    results: Vec<FullReview<'static>>,
    next: Option<String>,
    unreadable: u64,
}

fn on_server(remote: &Remote, email: &str, show: &mut Show<'_>) -> Result<u64, Error> {
    let (mut after, mut unreadable) = (None, 0);
    loop {
        let asked = json!({ "email": email, "after": after });
        let page: FoundPage = remote.post("/find", &asked)?;
        for record in &page.results {
            show(record).map_err(Error::Write)?;
        }
        unreadable += page.unreadable;
        after = page.next;
        if after.is_none() {
            return Ok(unreadable);
        }
    }
}

fn describe(out: &mut impl Write, record: &FullReview<'_>) -> io::Result<()> {
    let date = timestamp(record.date_ms);
    let yes = |flag| if flag { "yes" } else { "no" };
    writeln!(
        out,
        "review {} of product {}, {date}",
        record.review_id, record.product_id
    )?;
    writeln!(out, "  name        {}", shown(&record.reviewer_name))?;
    writeln!(out, "  e-mail      {}", shown(&record.reviewer_email))?;
    writeln!(
        out,
        "  rating      {}, recommends it: {}",
        record.rating,
        yes(record.recommend)
    )?;
    writeln!(
        out,
        "  helpful to  {}, reported: {}",
        record.helpfulness,
        yes(record.reported)
    )?;
    writeln!(out, "  summary     {}", shown(&record.summary))?;
    writeln!(out, "  text        {}", shown(&record.body))?;
    if let Some(response) = &record.response {
        writeln!(out, "  response    {}", shown(response))?;
    }
    for photo in &record.photos {
        writeln!(out, "  photo {:<5} {}", photo.id, shown(&photo.url))?;
    }
    for rating in &record.characteristics {
        writeln!(out, "  characteristic {}: {}", rating.id, rating.value)?;
    }
    writeln!(out)
}

/// A customer's text on an operator's terminal: without what would move the cursor.
fn shown(text: &str) -> String {
    let shown = |one: char| match one {
        '\n' => " ⏎ ".to_owned(),
        one if one.is_control() => "\u{fffd}".to_owned(),
        one => one.to_string(),
    };
    text.chars().map(shown).collect()
}

/// Why it is not shown.
#[derive(Debug)]
pub enum Error {
    /// The address is empty.
    NoAddress,
    /// The store cannot be asked.
    Place(store_target::Error),
    /// Standard output takes nothing.
    Write(io::Error),
}

impl From<store_target::Error> for Error {
    fn from(error: store_target::Error) -> Self {
        Self::Place(error)
    }
}

impl From<remote::Error> for Error {
    fn from(error: remote::Error) -> Self {
        Self::Place(error.into())
    }
}

impl Configured for Error {
    fn is_misconfigured(&self) -> bool {
        match self {
            Self::NoAddress => true,
            Self::Place(error) => error.is_misconfigured(),
            Self::Write(_) => false,
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoAddress => f.write_str("--email must not be empty"),
            Self::Place(error) => error.fmt(f),
            Self::Write(source) => write!(f, "cannot write what was found: {source}"),
        }
    }
}

impl std::error::Error for Error {}
