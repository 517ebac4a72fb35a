//! `reviewsd find`: the data held about a person, for people or for programs.
//!
//! Invariant: everything the store has of a review is shown.

use std::fmt;
use std::io::{self, Write};
use std::process::ExitCode;

use crate::cli::FindArgs;
use crate::model::calendar::timestamp;
use crate::model::record::FullReview;
use crate::store::scan::EmailAddress;

use super::Configured;
use super::INCOMPLETE;
use super::figures::counted;
use super::out::out;
use super::store_target;

/// Shows the reviews of an address.
pub fn run(args: &FindArgs) -> Result<ExitCode, Error> {
    let address = EmailAddress::new(&args.email).ok_or(Error::NoAddress)?;
    let place = store_target::open(&args.place, "reviewsd find")?;
    let (mut found, mut written) = (0_u64, Ok(()));
    let unsearched = place.find(&address, &mut |record| {
        found += 1;
        written = write_record(record, args.json);
        written.is_ok()
    })?;
    written.map_err(Error::Write)?;
    if !args.json {
        let mut out = out();
        writeln!(out, "{}", counted(found, "review")).map_err(Error::Write)?;
    }
    for gap in &unsearched.gaps {
        let said = writeln!(
            io::stderr(),
            "reviewsd: not searched: {}: {}",
            gap.described(),
            gap.why
        );
        said.map_err(Error::Write)?;
    }
    if unsearched.unreadable > 0 {
        let said = writeln!(
            io::stderr(),
            "{} cannot be decoded, so their owners are unknown; see `reviewsd verify`",
            counted(unsearched.unreadable, "review")
        );
        said.map_err(Error::Write)?;
    }
    Ok(if unsearched.gaps.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::from(INCOMPLETE)
    })
}

fn write_record(record: &FullReview<'_>, is_json: bool) -> io::Result<()> {
    let mut out = out();
    if is_json {
        serde_json::to_writer(&mut out, record)?;
        writeln!(out)
    } else {
        describe(&mut out, record)
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
    if let (Some(reason), Some(by)) = (&record.decided_reason, &record.decided_by) {
        let state = &record.state;
        writeln!(out, "  state       {state}, by {}: {reason}", shown(by))?;
    }
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

/// The reason nothing is shown.
#[derive(Debug)]
pub enum Error {
    /// The address is empty.
    NoAddress,
    /// The store cannot be opened or asked.
    Place(store_target::Error),
    /// Standard output cannot be written.
    Write(io::Error),
}

impl From<store_target::Error> for Error {
    fn from(error: store_target::Error) -> Self {
        Self::Place(error)
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
            Self::Write(source) => write!(f, "cannot write the reviews: {source}"),
        }
    }
}

impl std::error::Error for Error {}
