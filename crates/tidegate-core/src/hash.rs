//! Content hashes: two things with one hash are the same thing.

use std::fmt;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use thiserror::Error;

/// SHA-256 of a content; written as 64 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ContentHash([u8; 32]);

/// A text that is not 64 hexadecimal digits.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{0:?} is not a content hash (64 hexadecimal digits)")]
pub struct InvalidHash(String);

impl ContentHash {
    /// The hash of these bytes.
    pub fn of_bytes(bytes: &[u8]) -> Self {
        Self(Sha256::digest(bytes).into())
    }

    /// The hash of a value's JSON. Stable as long as the value holds only ordered maps.
    pub fn of_json(value: &impl Serialize) -> Self {
        // Hashed in one piece: a hasher that is fed word by word takes three times as long as the JSON itself.
        let mut json = Vec::with_capacity(256);
        // Writing into memory cannot fail, and none of our types refuses to serialize.
        let written = serde_json::to_writer(&mut json, value);
        debug_assert!(written.is_ok(), "a value that cannot be serialized has no hash: {written:?}");
        Self::of_bytes(&json)
    }

    /// The first 12 digits: enough for people.
    pub fn short(&self) -> String {
        hex::encode(self.0).chars().take(12).collect()
    }

    /// Parses 64 hexadecimal digits.
    pub fn parse(text: &str) -> Result<Self, InvalidHash> {
        let mut bytes = [0; 32];
        hex::decode_to_slice(text, &mut bytes).map_err(|_| InvalidHash(text.to_owned()))?;
        Ok(Self(bytes))
    }
}

/// The hash of a set, kept up to date at the cost of what changes: the sum of its elements' hashes, in four lanes of 64
/// bits. It finds damage and mistakes; it does not withstand somebody who forges a log on purpose.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SetHash([u64; 4]);

impl SetHash {
    /// With one element more.
    #[must_use]
    pub fn with(self, element: ContentHash) -> Self {
        self.lanes(element, u64::wrapping_add)
    }

    /// With one element less, which was in it.
    #[must_use]
    pub fn without(self, element: ContentHash) -> Self {
        self.lanes(element, u64::wrapping_sub)
    }

    /// As a content hash.
    pub fn content(self) -> ContentHash {
        ContentHash::of_json(&self.0)
    }

    fn lanes(mut self, element: ContentHash, combine: fn(u64, u64) -> u64) -> Self {
        let (chunks, _) = element.0.as_chunks::<8>();
        for (lane, bytes) in self.0.iter_mut().zip(chunks) {
            *lane = combine(*lane, u64::from_le_bytes(*bytes));
        }
        self
    }
}

impl TryFrom<String> for ContentHash {
    type Error = InvalidHash;
    fn try_from(text: String) -> Result<Self, InvalidHash> {
        Self::parse(&text)
    }
}

impl From<ContentHash> for String {
    fn from(hash: ContentHash) -> Self {
        hex::encode(hash.0)
    }
}

impl fmt::Display for ContentHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&hex::encode(self.0))
    }
}

impl fmt::Debug for ContentHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ContentHash({})", self.short())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_has_one_hash_whatever_its_order_and_history() {
        let [a, b, c] = [b"a", b"b", b"c"].map(|bytes| ContentHash::of_bytes(bytes));
        let (ab, ba) = (SetHash::default().with(a).with(b), SetHash::default().with(b).with(a));
        assert_eq!(ab, ba);
        assert_eq!(ab.with(c).without(c), ab);
        assert_ne!(ab.content(), ab.with(c).content());
    }

    #[test]
    fn bytes_and_their_json_agree_with_a_known_digest() {
        let known = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        assert_eq!(ContentHash::of_bytes(b"").to_string(), known);
        assert_eq!(ContentHash::of_json(&[1, 2]), ContentHash::of_bytes(b"[1,2]"));
        assert_eq!(ContentHash::parse(known).unwrap().short(), "e3b0c44298fc");
        assert!(ContentHash::parse("abc").is_err());
    }
}
