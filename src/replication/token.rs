//! The secret that primary and replicas share.
//!
//! Invariant: how long a comparison takes does not reveal how much of a guess is right.

use std::ffi::OsStr;
use std::fmt;
use std::fs::File;
use std::io::{self, Read as _};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use hyper::header::HeaderValue;
use subtle::ConstantTimeEq;

/// The permissions of users who are neither the owner of a file nor in its group.
const OTHERS: u32 = 0o007;
const BYTES_MIN: usize = 16;
const BYTES_MAX: usize = 1024;

/// A secret. Not shown by `Debug`.
#[derive(Clone)]
pub struct Token(Box<str>);

impl Token {
    /// Reads the one line of a file.
    ///
    /// # Errors
    ///
    /// When there is no such file, or what it holds is no secret.
    pub fn read(path: &Path) -> Result<Self, TokenError> {
        let failed = |cause| TokenError::Read {
            path: path.to_owned(),
            cause,
        };
        let mut file = File::open(path).map_err(failed)?;
        let found = file.metadata().map_err(failed)?;
        if found.is_file() && found.permissions().mode() & OTHERS != 0 {
            return Err(TokenError::Public {
                path: path.to_owned(),
            });
        }
        let mut text = String::new();
        file.read_to_string(&mut text).map_err(failed)?;
        Self::of_text(&text).ok_or_else(|| TokenError::Unfit {
            path: path.to_owned(),
        })
    }

    /// Takes the token that a variable of the environment holds.
    ///
    /// # Errors
    ///
    /// When it holds no secret.
    pub fn of_variable(name: &'static str, text: &OsStr) -> Result<Self, TokenError> {
        let token = text.to_str().and_then(Self::of_text);
        token.ok_or(TokenError::UnfitVariable { name })
    }

    fn of_text(text: &str) -> Option<Self> {
        let token = text.trim();
        let fits = (BYTES_MIN..=BYTES_MAX).contains(&token.len());
        let is_token = fits && token.bytes().all(|byte| byte.is_ascii_graphic());
        is_token.then(|| Self(token.into()))
    }

    /// Makes the token to send where there is none.
    #[must_use]
    pub fn none() -> Self {
        Self("".into())
    }

    /// Returns the `Authorization` of a request that knows it. No log shows the value.
    #[must_use]
    pub fn header(&self) -> Option<HeaderValue> {
        let mut value = HeaderValue::try_from(format!("Bearer {}", self.0)).ok()?;
        value.set_sensitive(true);
        Some(value)
    }

    /// Returns true if a request knows it, by its `Authorization`.
    pub(super) fn admits(&self, authorization: &[u8]) -> bool {
        let Some(guess) = authorization.strip_prefix(b"Bearer ") else {
            return false;
        };
        let own = self.0.as_bytes();
        // The length of a token is no secret, its bytes are.
        !own.is_empty() && bool::from(own.ct_eq(guess))
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(…)")
    }
}

/// The reason for which there is no secret.
#[derive(Debug)]
pub enum TokenError {
    /// The file cannot be read.
    Read {
        /// The file.
        path: PathBuf,
        /// The system's error.
        cause: io::Error,
    },
    /// Every user of the machine can read or write the file.
    Public {
        /// The file.
        path: PathBuf,
    },
    /// The file holds no secret.
    Unfit {
        /// The file.
        path: PathBuf,
    },
    /// The variable of the environment holds none.
    UnfitVariable {
        /// Its name.
        name: &'static str,
    },
}

impl fmt::Display for TokenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Read { path, .. } => write!(f, "cannot read the token in {}", path.display()),
            Self::Public { path } => {
                let path = path.display();
                write!(
                    f,
                    "every user of this machine can read or write the token in {path}; chmod o-rwx {path}"
                )
            }
            Self::Unfit { path } => write!(
                f,
                "{} must hold one line of {BYTES_MIN} to {BYTES_MAX} visible ASCII characters",
                path.display()
            ),
            Self::UnfitVariable { name } => write!(
                f,
                "{name} must be {BYTES_MIN} to {BYTES_MAX} visible ASCII characters"
            ),
        }
    }
}

impl std::error::Error for TokenError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Read { cause, .. } => Some(cause),
            Self::Public { .. } | Self::Unfit { .. } | Self::UnfitVariable { .. } => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(text: &str) -> Result<Token, String> {
        // For its owner alone, as temporary files are.
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        Token::read(file.path()).map_err(|error| error.to_string())
    }

    #[test]
    fn only_the_very_token_is_admitted() {
        let token = token("0123456789abcdef\n").unwrap();
        assert!(token.admits(b"Bearer 0123456789abcdef"));
        for guess in [
            "",
            "Bearer ",
            "Bearer 0123456789abcdeF",
            "Bearer 0123456789abcde",
            "Bearer 0123456789abcdef0",
            "Bearer 0123456789abcdef0123456789abcdef",
            "Basic 0123456789abcdef",
            "0123456789abcdef",
        ] {
            assert!(!token.admits(guess.as_bytes()), "{guess}");
        }
        assert_eq!(format!("{token:?}"), "Token(…)");
        assert!(!Token::none().admits(Token::none().header().unwrap().as_bytes()));
    }

    #[test]
    fn a_token_file_that_others_can_reach_is_refused() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "0123456789abcdef\n").unwrap();
        for (mode, is_fit) in [(0o600, true), (0o640, true), (0o644, false), (0o602, false)] {
            std::fs::set_permissions(file.path(), PermissionsExt::from_mode(mode)).unwrap();
            let read = Token::read(file.path());
            assert_eq!(read.is_ok(), is_fit, "{mode:o}");
            if let Err(error) = read {
                let remedy = format!("chmod o-rwx {}", file.path().display());
                assert!(error.to_string().ends_with(&remedy), "{error}");
            }
        }
    }

    #[test]
    fn a_file_without_a_secret_is_refused() {
        for text in ["", "short", "two words are not one", &"x".repeat(1025)] {
            assert!(token(text).unwrap_err().contains("must hold one line"));
        }
        assert!(Token::read(Path::new("/nonexistent/token")).is_err());
    }
}
