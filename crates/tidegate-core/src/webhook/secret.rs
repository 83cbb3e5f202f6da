//! The shared secret of controller and agent.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use thiserror::Error;

/// Least and most bytes that Standard Webhooks allows for a symmetric secret.
const BYTES: std::ops::RangeInclusive<usize> = 24..=64;
const PREFIX: &str = "whsec_";

/// A symmetric secret. It never shows itself in output.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Vec<u8>);

/// Why a text is not a secret. Never repeats the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum InvalidSecret {
    /// Not base64.
    #[error("is not base64, with or without the prefix whsec_; cure: printf 'whsec_%s' \"$(openssl rand -base64 32)\"")]
    NotBase64,
    /// Too short or too long.
    #[error("has {0} bytes, Standard Webhooks wants 24 to 64; cure: printf 'whsec_%s' \"$(openssl rand -base64 32)\"")]
    Length(usize),
}

impl Secret {
    /// Parses `whsec_<base64>` (the prefix may be left out); surrounding white space is ignored.
    pub fn parse(text: &str) -> Result<Self, InvalidSecret> {
        let text = text.trim();
        let encoded = text.strip_prefix(PREFIX).unwrap_or(text);
        let bytes = STANDARD.decode(encoded).map_err(|_| InvalidSecret::NotBase64)?;
        if BYTES.contains(&bytes.len()) { Ok(Self(bytes)) } else { Err(InvalidSecret::Length(bytes.len())) }
    }

    pub(super) fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(redacted)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_never_shows_itself() {
        let secret = Secret::parse("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\n").unwrap();
        assert_eq!(format!("{secret:?}"), "Secret(redacted)");
    }

    #[test]
    fn bad_secrets_are_told_apart_without_being_repeated() {
        assert_eq!(Secret::parse("whsec_%%%"), Err(InvalidSecret::NotBase64));
        assert_eq!(Secret::parse("c2hvcnQ="), Err(InvalidSecret::Length(5)));
        assert!(!Secret::parse("c2hvcnQ=").unwrap_err().to_string().contains("c2hvcnQ"));
    }
}
