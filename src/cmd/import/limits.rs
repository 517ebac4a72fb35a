//! Data that an import must not lose: rows of its files, families of the store that it replaces, and writes.
//!
//! Owns how the flags that allow it are read. Must not know how rows are checked.

use std::fmt;
use std::path::Path;

use reviewsd_import::{File, RejectsMax};

use crate::cli::{ImportArgs, MaxRejects};
use crate::model::calendar::timestamp;
use crate::store::bulk::Bulk;
use crate::store::{ChangedReviews, Counters, TakenWrites};

use super::super::figures::counted;
use super::Error;

/// The default: a thousand rows, and one in a hundred of a file.
const REJECTS_MAX: RejectsMax = RejectsMax {
    rows: 1000,
    share: 10_000,
};

/// The limits of `--max-rejects`; the last of each kind counts.
pub(super) fn rejects_max(given: &[MaxRejects]) -> RejectsMax {
    let mut limits = REJECTS_MAX;
    for limit in given {
        match *limit {
            MaxRejects::Rows(rows) => limits.rows = rows,
            MaxRejects::Share(share) => limits.share = share,
        }
    }
    limits
}

/// The files of `--allow-empty`.
pub(super) fn allow_empty(args: &ImportArgs) -> Vec<File> {
    let is_allowed = |file: &File| args.allow_empty.iter().any(|name| name == file.name());
    File::ALL.into_iter().filter(is_allowed).collect()
}

/// An error if a file is missing whose rows the replaced store has.
pub(super) fn refuse_missing(
    csv: &Path,
    old: Option<Counters>,
    allowed: &[File],
) -> Result<(), Error> {
    refuse(old, allowed, true, |file, _| {
        csv.join(file.name()).symlink_metadata().is_err()
    })
}

/// An error where the new store has no rows of a file, and the one that is to be replaced has some.
pub(super) fn refuse_emptied(bulk: &Bulk, new: Counters, allowed: &[File]) -> Result<(), Error> {
    refuse(bulk.old(), allowed, false, |_, rows| rows(new) == 0)
}

/// The rows of a file in a store.
type StoredRows = fn(Counters) -> u64;

fn refuse(
    old: Option<Counters>,
    allowed: &[File],
    is_missing: bool,
    is_empty: impl Fn(File, StoredRows) -> bool,
) -> Result<(), Error> {
    // The other files' rows are within the values of these.
    let counted: [(File, StoredRows); 4] = [
        (File::Reviews, |of| of.reviews),
        (File::Products, |of| of.products),
        (File::Styles, |of| of.styled),
        (File::Related, |of| of.related),
    ];
    for (file, rows) in counted {
        let had = old.map_or(0, rows);
        if had > 0 && !allowed.contains(&file) && is_empty(file, rows) {
            return Err(Error::Emptied {
                file: file.name(),
                rows: had,
                is_missing,
            });
        }
    }
    Ok(())
}

/// The sentence for a store that is not replaced because it took writes.
pub(super) fn describe_unsaved(
    f: &mut fmt::Formatter<'_>,
    dir: &Path,
    written: TakenWrites,
) -> fmt::Result {
    let dir = dir.display();
    let since = timestamp(written.made_ms);
    write!(
        f,
        "the store in {dir} took writes since it was made ({since}), "
    )?;
    match written.reviews {
        Some(ChangedReviews { posted, removed }) => {
            write!(f, "{} posted", counted(posted, "review"))?;
            if removed > 0 {
                write!(f, " and {removed} removed")?;
            }
            f.write_str(", votes, answers and changes of the catalogue apart")?;
        }
        None => f.write_str("and an earlier version made it, so how many is not known")?,
    }
    write!(
        f,
        "; replacing it would lose them: import what `reviewsd export --data {dir} --out OUT` writes \
         instead, or add --discard-posted to lose them"
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::FILES;

    #[test]
    fn every_file_can_be_allowed_to_be_empty() {
        assert_eq!(FILES, File::ALL.map(File::name));
    }

    #[test]
    fn each_kind_of_limit_keeps_its_default_until_given() {
        let limits = |given: &[MaxRejects]| {
            let limits = rejects_max(given);
            (limits.rows, limits.share)
        };
        assert_eq!(limits(&[]), (1000, 10_000));
        assert_eq!(limits(&[MaxRejects::Rows(5)]), (5, 10_000));
        let both = [
            MaxRejects::Share(1),
            MaxRejects::Rows(7),
            MaxRejects::Rows(8),
        ];
        assert_eq!(limits(&both), (8, 1));
    }
}
