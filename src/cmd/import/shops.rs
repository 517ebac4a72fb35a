//! Files of other programs: their mappings, and mappings that are begun for a file.
//!
//! Must not know rows. Invariant: a mapping never replaces an existing file.

use std::fs::OpenOptions;
use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;

use reviewsd_import::{Inspection, Mapping, ShopOptions, Vendor};

use crate::cli::{ImportArgs, ShopFormat};

use super::super::out::out;
use super::Error;

/// The way the files are read, if they are of other programs.
pub(super) fn options(args: &ImportArgs) -> Result<Option<ShopOptions>, Error> {
    if args.from.is_empty() {
        return Ok(None);
    }
    if args.from.contains(&ShopFormat::Csv) && args.map.is_empty() {
        return Err(Error::NoMapping);
    }
    let mut mappings = Vec::new();
    for path in &args.map {
        mappings.push(Mapping::read(path).map_err(Error::Import)?);
    }
    for vendor in args.from.iter().filter_map(|from| vendor(*from)) {
        mappings.extend(vendor.mappings().map_err(Error::Import)?);
    }
    Ok(Some(ShopOptions {
        mappings,
        ids: args.ids.clone(),
    }))
}

fn vendor(from: ShopFormat) -> Option<Vendor> {
    match from {
        ShopFormat::Shopify => Some(Vendor::Shopify),
        ShopFormat::Judgeme => Some(Vendor::Judgeme),
        ShopFormat::Woocommerce => Some(Vendor::Woocommerce),
        ShopFormat::Yotpo => Some(Vendor::Yotpo),
        ShopFormat::Csv => None,
    }
}

/// Begins a mapping for a file.
pub(super) fn inspect(file: &Path, to: Option<&Path>) -> Result<ExitCode, Error> {
    let found = reviewsd_import::inspect(file).map_err(Error::Import)?;
    let mut out = out();
    let Some(to) = to else {
        out.write_all(found.mapping.as_bytes())
            .map_err(Error::Report)?;
        return Ok(ExitCode::SUCCESS);
    };
    write_new(to, &found.mapping).map_err(|e| Error::Mapping(to.to_owned(), e))?;
    writeln!(out, "{}", described(file, to, &found)).map_err(Error::Report)?;
    Ok(ExitCode::SUCCESS)
}

fn write_new(path: &Path, text: &str) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).open(path)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()
}

fn described(file: &Path, to: &Path, found: &Inspection) -> String {
    let (file, to) = (file.display(), to.display());
    match (found.vendor, found.missing.as_slice()) {
        (Some(vendor), _) => format!(
            "{to} is the mapping of --from {}, which fits {file}; it is needed only if you change it",
            vendor.name()
        ),
        (None, []) => format!(
            "{to} has a mapping for {file}; read it, then import with --from csv --map {to}"
        ),
        (None, missing) => format!(
            "{to} has the beginning of a mapping for {file}; no column looks like {}: name them in it",
            missing.join(", ")
        ),
    }
}
