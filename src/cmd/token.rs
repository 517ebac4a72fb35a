//! `reviewsd token`: makes, lists and removes the tokens of the admin API.
//!
//! Must not know the format of the file. Invariant: a token is printed once, on standard output, and nowhere else.

use std::fmt;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use serde_json::json;

use crate::api::{TOKEN_RANDOM_BYTES, TokenRecord, expiry};
use crate::cli::{
    TokenAction, TokenAddArgs, TokenArgs, TokenFileArgs, TokenListArgs, TokenRemoveArgs,
};
use crate::config;
use crate::model::clock::now_ms;
use crate::token_file::{self, TokenFileError};

use super::Configured;
use super::out::out;
use super::sources;

/// Does what is asked for with the tokens.
///
/// # Errors
///
/// When the file cannot be read or replaced.
pub fn run(args: &TokenArgs) -> Result<ExitCode, Error> {
    match &args.action {
        TokenAction::Add(args) => add(args),
        TokenAction::List(args) => list(args),
        TokenAction::Remove(args) => remove(args),
    }?;
    Ok(ExitCode::SUCCESS)
}

/// The file of tokens, and the data directory of the server that reads it.
struct TokensOf {
    file: PathBuf,
    data: Option<PathBuf>,
}

impl TokensOf {
    fn find(args: &TokenFileArgs) -> Result<Self, Error> {
        let settings = &args.settings;
        let sources = sources::of_some(settings.config.as_ref(), &settings.set);
        let config = sources.settle_but_data().map_err(Error::Config)?.config;
        let file = args.file.clone().or(config.admin.tokens_file);
        Ok(Self {
            file: file.ok_or(Error::NoFile)?,
            data: config.store.data,
        })
    }

    fn data(&self) -> Option<&Path> {
        self.data.as_deref()
    }
}

fn add(args: &TokenAddArgs) -> Result<(), Error> {
    let tokens = TokensOf::find(&args.file)?;
    let expires_ms = args.expires.map(|time| {
        let after = Duration::from(time).as_millis();
        now_ms().saturating_add(i64::try_from(after).unwrap_or(i64::MAX))
    });
    let mut random = [0; TOKEN_RANDOM_BYTES];
    getrandom::fill(&mut random).map_err(|error| Error::Random(error.to_string()))?;
    let token = token_file::change(&tokens.file, tokens.data(), |table| {
        table.add(&args.name, args.role, expires_ms, &random)
    })?;
    let path = tokens.file.display();
    let note = format!(
        "reviewsd: {path} has the token {}, with the role {}; expires: {}. It is not shown again:",
        args.name,
        args.role.word(),
        expiry(expires_ms)
    );
    writeln!(io::stderr(), "{note}").map_err(Error::Print)?;
    writeln!(out(), "{token}").map_err(Error::Print)
}

fn list(args: &TokenListArgs) -> Result<(), Error> {
    let tokens = TokensOf::find(&args.file)?;
    let table = token_file::read(&tokens.file)?;
    let (now, mut out) = (now_ms(), out());
    if args.json {
        let all: Vec<_> = table.iter().map(|token| described(token, now)).collect();
        return writeln!(out, "{}", json!(all)).map_err(Error::Print);
    }
    let width = table
        .iter()
        .map(|token| token.name.len())
        .max()
        .unwrap_or(0);
    for token in table.iter() {
        let note = if token.is_expired(now) {
            " (expired)"
        } else {
            ""
        };
        let (name, role, expires) = (&token.name, token.role.word(), expiry(token.expires_ms));
        writeln!(out, "{name:width$}  {role:9}  {expires}{note}").map_err(Error::Print)?;
    }
    Ok(())
}

fn described(token: &TokenRecord, now_ms: i64) -> serde_json::Value {
    json!({
        "name": token.name,
        "role": token.role.word(),
        "expires": token.expires_ms.map(|_| expiry(token.expires_ms)),
        "expired": token.is_expired(now_ms),
    })
}

fn remove(args: &TokenRemoveArgs) -> Result<(), Error> {
    let tokens = TokensOf::find(&args.file)?;
    // A file without it is not replaced.
    let table = token_file::read(&tokens.file)?;
    if !table.iter().any(|token| token.name == args.name) {
        let (name, file) = (args.name.clone(), tokens.file);
        return Err(Error::Missing { name, file });
    }
    token_file::change(&tokens.file, tokens.data(), |table| {
        Ok(table.remove(&args.name))
    })?;
    Ok(())
}

/// The reason the tokens are not changed or shown.
#[derive(Debug)]
pub enum Error {
    /// The configuration is wrong.
    Config(config::Error),
    /// No configuration and no flag names the file.
    NoFile,
    /// The file cannot be read or changed.
    File(TokenFileError),
    /// There is no token with the name.
    Missing {
        /// The name.
        name: String,
        /// The file.
        file: PathBuf,
    },
    /// The system gives no random bytes.
    Random(String),
    /// Standard output or standard error cannot be written.
    Print(io::Error),
}

impl From<TokenFileError> for Error {
    fn from(error: TokenFileError) -> Self {
        Self::File(error)
    }
}

impl Configured for Error {
    fn is_misconfigured(&self) -> bool {
        match self {
            Self::Config(_) | Self::NoFile | Self::File(TokenFileError::Refused(_)) => true,
            Self::File(_) | Self::Missing { .. } | Self::Random(_) | Self::Print(_) => false,
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Config(error) => error.fmt(f),
            Self::NoFile => f.write_str(
                "no file of tokens is configured; give --file FILE, or tokens_file in [admin] of the configuration",
            ),
            Self::File(error) => error.fmt(f),
            Self::Missing { name, file } => write!(
                f,
                "there is no token named {name} in {}; `reviewsd token list` shows all",
                file.display()
            ),
            Self::Random(why) => write!(f, "the system gives no random bytes: {why}"),
            Self::Print(_) => f.write_str("cannot print the tokens"),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Config(error) => error.source(),
            Self::File(error) => error.source(),
            Self::Print(cause) => Some(cause),
            Self::NoFile | Self::Missing { .. } | Self::Random(_) => None,
        }
    }
}
