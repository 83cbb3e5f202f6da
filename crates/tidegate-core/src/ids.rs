//! Names that were checked once and are safe everywhere after: in a template, a path, a metric label.

use std::fmt;

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// Why a text is not a name.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{kind} {text:?} {problem}")]
pub struct InvalidName {
    kind: &'static str,
    text: String,
    problem: &'static str,
}

/// RFC 1123 subdomain: what Kubernetes demands of a Node's name (at most 253 characters).
fn subdomain_problem(text: &str) -> Option<&'static str> {
    if text.is_empty() || text.len() > 253 {
        return Some("must have 1 to 253 characters");
    }
    text.split('.').find_map(label_problem)
}

/// RFC 1123 label: lower-case letters, digits and inner dashes (at most 63 characters).
fn label_problem(text: &str) -> Option<&'static str> {
    if text.is_empty() || text.len() > 63 {
        return Some("must have 1 to 63 characters between dots");
    }
    if !text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-') {
        return Some("may hold only a-z, 0-9 and '-' (RFC 1123)");
    }
    (text.starts_with('-') || text.ends_with('-')).then_some("may not start or end with '-' (RFC 1123)")
}

/// A Kubernetes UID: opaque to us, but never something that could end a line or a quotation.
fn uid_problem(text: &str) -> Option<&'static str> {
    if text.is_empty() || text.len() > 128 {
        return Some("must have 1 to 128 characters");
    }
    let safe = text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b));
    (!safe).then_some("may hold only letters, digits, '-', '_' and '.'")
}

macro_rules! name_type {
    ($(#[$doc:meta])* $name:ident, $kind:literal, $check:path) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            /// Checks the text; the error says what is wrong with it.
            pub fn parse(text: impl Into<String>) -> Result<Self, InvalidName> {
                let text = text.into();
                match $check(&text) {
                    None => Ok(Self(text)),
                    Some(problem) => Err(InvalidName { kind: $kind, text, problem }),
                }
            }

            /// The text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl TryFrom<String> for $name {
            type Error = InvalidName;
            fn try_from(text: String) -> Result<Self, InvalidName> {
                Self::parse(text)
            }
        }

        impl From<$name> for String {
            fn from(name: $name) -> Self {
                name.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }
    };
}

name_type!(
    /// `metadata.name` of a Kubernetes Node.
    NodeName, "node name", subdomain_problem
);
name_type!(
    /// `metadata.uid` of a Kubernetes Node: two Nodes of one name over time have two of these.
    NodeUid, "node uid", uid_problem
);
name_type!(
    /// The cluster as the configuration names it.
    ClusterName, "cluster name", subdomain_problem
);
name_type!(
    /// A listener as the configuration names it; its pool has the same name.
    ListenerName, "listener name", label_problem
);
name_type!(
    /// A load balancer machine as the configuration names it.
    LoadBalancerName, "load balancer name", subdomain_problem
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hostile_names_are_refused() {
        let hostile = ["", "A", "a;b", "a\nb", "a b", "-a", "a-", "a..b", "a{b", "ü", "a\"", "a#", "a/b"];
        for text in hostile {
            assert!(NodeName::parse(text).is_err(), "{text:?} must be refused");
            assert!(ListenerName::parse(text).is_err(), "{text:?} must be refused");
        }
        assert!(NodeName::parse("a".repeat(64)).is_err());
        for text in ["", "a\nb", "a;", "{", "a b"] {
            assert!(NodeUid::parse(text).is_err(), "{text:?} must be refused");
        }
    }

    #[test]
    fn what_kubernetes_allows_is_a_name() {
        for text in ["w1", "ip-10-0-0-1.eu-central-1.compute.internal", "0"] {
            assert_eq!(NodeName::parse(text).unwrap().as_str(), text);
        }
        assert!(NodeUid::parse("6f1c0a52-9a1c-4d0e-8a35-8a8f6b1f3c11").is_ok());
        assert!(ListenerName::parse("a.b").is_err(), "a listener is one label");
    }

    #[test]
    fn a_bad_name_in_a_document_is_an_error_with_its_place() {
        let error = serde_json::from_str::<NodeName>("\"a;b\"").unwrap_err().to_string();
        assert!(error.contains("node name \"a;b\" may hold only a-z"), "{error}");
    }
}
