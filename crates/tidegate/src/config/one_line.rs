//! Secrets that are one line of a file: the connection string of MongoDB, the token of the API.
//! Their content is never repeated in a message.

use std::fmt;
use std::path::{Path, PathBuf};

use thiserror::Error;
use tidegate_core::class::ErrorClass;

use super::defaults;

/// A secret text that is not shown by `{:?}`.
#[derive(Clone, PartialEq, Eq)]
pub struct Hidden(String);

impl Hidden {
    /// The text itself, for whom it is meant.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Hidden {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(hidden)")
    }
}

/// What the line is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `store.mongodb.uriFile`
    ConnectionString,
    /// `api.tokenFile`
    Token,
}

/// What is wrong with the content, and the cure.
pub type Unfit = (&'static str, &'static str);

/// A file that cannot be used.
#[derive(Debug, Error)]
pub enum OneLineError {
    /// It cannot be read.
    #[error("{} cannot be read: {source}; cure: create it, readable for the user that tidegate runs as", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// It holds something else.
    #[error("{} {problem}; cure: {cure}", path.display())]
    Parse {
        /// The file.
        path: PathBuf,
        /// What is wrong; never the text itself.
        problem: &'static str,
        /// What a person can do.
        cure: &'static str,
    },
}

impl OneLineError {
    /// Only a person can put a secret right.
    pub const fn class(&self) -> ErrorClass {
        ErrorClass::Permanent
    }
}

/// Reads such a file.
pub fn read_one_line(path: &Path, kind: Kind) -> Result<Hidden, OneLineError> {
    let text = std::fs::read_to_string(path).map_err(|source| OneLineError::Read { path: path.to_owned(), source })?;
    parse_one_line(&text, kind).map(|line| Hidden(line.to_owned())).map_err(|(problem, cure)| OneLineError::Parse {
        path: path.to_owned(),
        problem,
        cure,
    })
}

/// The line without what surrounds it.
pub fn parse_one_line(text: &str, kind: Kind) -> Result<&str, Unfit> {
    let line = text.trim();
    match kind {
        Kind::ConnectionString => connection_string(line),
        Kind::Token => token(line),
    }
}

fn connection_string(line: &str) -> Result<&str, Unfit> {
    let example =
        "write one line, mongodb://USER:PASSWORD@HOST:27017/?tls=true, special characters of the password as %XX";
    let rest = line.strip_prefix("mongodb://").or_else(|| line.strip_prefix("mongodb+srv://"));
    match rest {
        _ if line.is_empty() => Err(("is empty", example)),
        _ if line.lines().count() > 1 => Err(("holds more than one line", example)),
        _ if line.contains(char::is_whitespace) => Err(("holds a space", example)),
        None => Err(("does not begin with mongodb:// or mongodb+srv://", example)),
        Some("") => Err(("names no host", example)),
        Some(_) => Ok(line),
    }
}

fn token(line: &str) -> Result<&str, Unfit> {
    let cure = "openssl rand -hex 32 > FILE";
    // What may stand in a header (RFC 6750, section 2.1).
    let allowed = |c: char| c.is_ascii_alphanumeric() || "-._~+/=".contains(c);
    match line {
        "" => Err(("is empty", cure)),
        _ if !line.chars().all(allowed) => Err(("holds characters that no token has", cure)),
        _ if line.len() < defaults::TOKEN_LENGTH => Err(("holds a token that could be guessed: too short", cure)),
        _ => Ok(line),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_used_is_named_and_never_shown() {
        let uri = |text| parse_one_line(text, Kind::ConnectionString);
        assert_eq!(uri(" mongodb://u:hunter2@db/\n"), Ok("mongodb://u:hunter2@db/"));
        assert_eq!(uri("mongodb+srv://db"), Ok("mongodb+srv://db"));
        for bad in ["", "mongodb://", "postgres://u:hunter2@db", "mongodb://a\nmongodb://b", "mongodb://u:hunter 2@db"]
        {
            let (problem, cure) = uri(bad).unwrap_err();
            assert!(!problem.contains("hunter") && !cure.contains("hunter"), "{problem}");
        }
        let token = |text| parse_one_line(text, Kind::Token);
        assert_eq!(token("0123456789abcdef\n"), Ok("0123456789abcdef"));
        for bad in ["", "short", "0123456789abcde f", "0123456789abcdef\n0123456789abcdef"] {
            assert!(token(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_secret_is_not_shown_by_debug() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token");
        std::fs::write(&path, "0123456789abcdef\n").unwrap();
        let read = read_one_line(&path, Kind::Token).unwrap();
        assert_eq!((read.reveal(), format!("{read:?}").as_str()), ("0123456789abcdef", "(hidden)"));
        std::fs::write(&path, "hunter2").unwrap();
        let wrong = read_one_line(&path, Kind::Token).unwrap_err().to_string();
        assert!(wrong.contains(&path.display().to_string()) && !wrong.contains("hunter2"), "{wrong}");
        std::fs::remove_file(&path).unwrap();
        assert!(read_one_line(&path, Kind::Token).unwrap_err().to_string().contains("cannot be read"));
    }
}
