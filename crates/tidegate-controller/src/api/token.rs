//! The secret that whoever gives orders must show.

use std::fmt;

use subtle::ConstantTimeEq;

/// The content of `api.tokenFile`.
#[derive(Clone)]
pub struct ApiToken(String);

impl ApiToken {
    /// White space around it is not part of it; none when nothing is left.
    pub fn new(text: &str) -> Option<Self> {
        let text = text.trim();
        (!text.is_empty()).then(|| Self(text.to_owned()))
    }

    /// Whether this is it. Takes as long for a near miss as for any other of its length.
    pub(super) fn is(&self, shown: &str) -> bool {
        self.0.as_bytes().ct_eq(shown.as_bytes()).into()
    }
}

impl fmt::Debug for ApiToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ApiToken(...)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_whole_token_is_it_and_it_is_never_shown() {
        let token = ApiToken::new(" s3cret\n").unwrap();
        assert!(token.is("s3cret"));
        assert!(!token.is("s3cre") && !token.is("s3cret ") && !token.is("") && !token.is("S3cret"));
        assert_eq!(format!("{token:?}"), "ApiToken(...)");
        assert!(ApiToken::new(" \n").is_none());
    }
}
