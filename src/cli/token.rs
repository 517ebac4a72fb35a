//! The command line of the admin API's tokens.
//!
//! Must not do anything.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::WhereArgs;
use crate::config::Time;
use crate::model::moderation::Role;

/// The help of `reviewsd token`.
pub(super) const TOKEN: &str = "Manage the tokens of the admin API.

A token admits one person or program to the admin API, with a role: reader, moderator, catalogue, operator or \
replica. The file (admin.tokens_file) has a line for each, with the SHA-256 of the token: the token itself is \
printed once, by `reviewsd token add`, and is nowhere else. A running server notices a change of the file within a \
second.";

/// `reviewsd token`
#[derive(Debug, Args)]
#[command(
    arg_required_else_help = true,
    disable_help_subcommand = true,
    after_help = "Examples:
  reviewsd token add --role moderator --name ana --expires 90d
  reviewsd token add --role replica --name replica-1 > /etc/reviewsd/replica-1.token
  reviewsd token list
  reviewsd token remove ana

Exit codes:
  0  it is done
  1  it is not; one sentence on standard error says why and what to do
  2  the command line or the configuration is invalid

Documents:
  /usr/share/doc/reviewsd/docs/operating/access.md"
)]
pub struct TokenArgs {
    /// The operation.
    #[command(subcommand)]
    pub action: TokenAction,
}

/// The operations on tokens.
#[derive(Debug, Subcommand)]
pub enum TokenAction {
    /// Make a token, and print it once
    Add(TokenAddArgs),
    /// List names, roles and expiry
    List(TokenListArgs),
    /// Remove a token, which is refused from then on
    Remove(TokenRemoveArgs),
}

/// The file of tokens.
#[derive(Debug, Args)]
pub struct TokenFileArgs {
    /// The file of tokens [default: `admin.tokens_file`]
    #[arg(long, value_name = "FILE")]
    pub file: Option<PathBuf>,

    /// The configuration
    #[command(flatten)]
    pub settings: WhereArgs,
}

/// `reviewsd token add`
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  reviewsd token add --role reader --name prometheus
  reviewsd token add --role moderator --name ana --expires 90d
  reviewsd token add --role operator --name me --file ./tokens

Documents:
  /usr/share/doc/reviewsd/docs/operating/access.md")]
pub struct TokenAddArgs {
    /// What the token is for: reader, moderator, catalogue, operator or replica
    #[arg(long, value_name = "ROLE", value_parser = role)]
    pub role: Role,

    /// The person or program that gets it, as lists and the audit log show it
    #[arg(long, value_name = "NAME")]
    pub name: String,

    /// The time after which it is refused, as in 90d; without it, it does not expire
    #[arg(long, value_name = "TIME")]
    pub expires: Option<Time>,

    /// The file of tokens
    #[command(flatten)]
    pub file: TokenFileArgs,
}

/// `reviewsd token list`
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  reviewsd token list
  reviewsd token list --file ./tokens --json

Documents:
  /usr/share/doc/reviewsd/docs/operating/access.md")]
pub struct TokenListArgs {
    /// Write JSON
    #[arg(long)]
    pub json: bool,

    /// The file of tokens
    #[command(flatten)]
    pub file: TokenFileArgs,
}

/// `reviewsd token remove`
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  reviewsd token remove ana

Documents:
  /usr/share/doc/reviewsd/docs/operating/access.md")]
pub struct TokenRemoveArgs {
    /// The name of the token
    pub name: String,

    /// The file of tokens
    #[command(flatten)]
    pub file: TokenFileArgs,
}

/// Reads a role.
fn role(text: &str) -> Result<Role, &'static str> {
    Role::of_word(text).ok_or("the roles are reader, moderator, catalogue, operator and replica")
}
