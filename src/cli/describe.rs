//! The command line of completions and manual pages.
//!
//! Must not do anything.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

/// `reviewsd completions`
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  reviewsd completions bash > /usr/share/bash-completion/completions/reviewsd
  reviewsd completions zsh > /usr/share/zsh/vendor-completions/_reviewsd
  reviewsd completions fish > /usr/share/fish/vendor_completions.d/reviewsd.fish
  source <(reviewsd completions bash)

Documents:
  /usr/share/doc/reviewsd/docs/operating/install.md")]
pub struct CompletionsArgs {
    /// The shell
    #[arg(value_enum)]
    pub shell: Shell,
}

/// A shell that completes commands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Shell {
    /// Bash.
    Bash,
    /// Fish.
    Fish,
    /// Zsh.
    Zsh,
}

/// `reviewsd man`
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  reviewsd man --out /usr/share/man/man1
  reviewsd man --out . && man ./reviewsd-serve.1

Documents:
  /usr/share/doc/reviewsd/docs/operating/install.md")]
pub struct ManArgs {
    /// Directory for the pages, one for each command; created if missing
    #[arg(long, value_name = "DIR")]
    pub out: PathBuf,
}
