//! The only values that a template can write: each was checked when it was made.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use ipnet::IpNet;
use minijinja::Value;
use minijinja::value::{Object, ObjectRepr};
use serde::{Serialize, Serializer};
use thiserror::Error;
use tidegate_core::hash::ContentHash;
use tidegate_core::ids::{ListenerName, NodeName};

/// A value that is safe anywhere in a configuration file, comments included: it holds no space, quotation
/// mark, bracket, semicolon, `$`, `#` or control character, because its type cannot express one.
///
/// There is no way to make one of a plain string.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Vetted(String);

/// A path that cannot be written into a configuration file.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("path {path:?} {problem}")]
pub struct UnsafePath {
    path: String,
    problem: &'static str,
}

impl Vetted {
    /// `10.0.0.1:80`, `[::1]:80`
    pub fn socket(address: IpAddr, port: u16) -> Self {
        Self(SocketAddr::new(address, port).to_string())
    }

    /// `10-0-0-1_80`, `--1_80`: no two backends of a pool have the same.
    pub fn backend_id(address: IpAddr, port: u16) -> Self {
        Self(format!("{}_{port}", address.to_string().replace(['.', ':'], "-")))
    }

    /// An absolute path of letters, digits and `/._-+@=:,~`.
    pub fn path(path: &Path) -> Result<Self, UnsafePath> {
        let text = path.to_string_lossy().into_owned();
        let allowed = |c: char| c.is_ascii_alphanumeric() || "/._-+@=:,~".contains(c);
        let problem = if !path.is_absolute() {
            "is not absolute"
        } else if !text.chars().all(allowed) {
            "may hold only letters, digits and /._-+@=:,~"
        } else {
            return Ok(Self(text));
        };
        Err(UnsafePath { path: text, problem })
    }

    /// In seconds with three decimal places, as protobuf's JSON writes durations: `1.500s`.
    pub fn seconds(length: Duration) -> Self {
        Self(format!("{}.{:03}s", length.as_secs(), length.subsec_millis()))
    }

    /// A name made of parts that are safe each: letters, digits, `-`, `_` and `.`; anything else becomes `_`.
    pub fn word(text: &str) -> Self {
        let safe = |c: char| if c.is_ascii_alphanumeric() || "-_.".contains(c) { c } else { '_' };
        Self(text.chars().map(safe).collect())
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<SocketAddr> for Vetted {
    fn from(address: SocketAddr) -> Self {
        Self::socket(address.ip(), address.port())
    }
}

impl From<IpAddr> for Vetted {
    fn from(address: IpAddr) -> Self {
        Self(address.to_string())
    }
}

impl From<IpNet> for Vetted {
    fn from(network: IpNet) -> Self {
        Self(network.trunc().to_string())
    }
}

impl From<&ListenerName> for Vetted {
    fn from(name: &ListenerName) -> Self {
        Self(name.to_string())
    }
}

impl From<&NodeName> for Vetted {
    fn from(name: &NodeName) -> Self {
        Self(name.to_string())
    }
}

impl From<ContentHash> for Vetted {
    fn from(hash: ContentHash) -> Self {
        Self(hash.to_string())
    }
}

/// In milliseconds, as nginx and HAProxy write them: `1500ms`.
impl From<Duration> for Vetted {
    fn from(length: Duration) -> Self {
        Self(format!("{}ms", length.as_millis()))
    }
}

impl Object for Vetted {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Plain
    }

    fn render(self: &Arc<Self>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Keeps its type on the way into a template: minijinja hands values of its own through unchanged.
impl Serialize for Vetted {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Value::from_object(self.clone()).serialize(serializer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_that_could_end_a_directive_is_refused() {
        for path in ["/a b", "/a;b", "/a\nb", "/a{b", "/a$b", "/a#b", "/a\"b", "/a'b", "/a\\b", "relative", "/ü"] {
            assert!(Vetted::path(Path::new(path)).is_err(), "{path:?} must be refused");
        }
        assert_eq!(
            Vetted::path(Path::new("/var/lib/tidegate-1/x.sock")).unwrap().as_str(),
            "/var/lib/tidegate-1/x.sock"
        );
    }

    #[test]
    fn a_word_cannot_end_a_statement() {
        assert_eq!(Vetted::word("tcp4-http_1.x").as_str(), "tcp4-http_1.x");
        assert_eq!(Vetted::word("a b;c\nd{\"#$").as_str(), "a_b_c_d____");
    }

    #[test]
    fn values_are_written_as_configuration_files_want_them() {
        assert_eq!(Vetted::socket("fd00::1".parse().unwrap(), 80).as_str(), "[fd00::1]:80");
        // Host bits in a range draw a warning from nginx.
        assert_eq!(Vetted::from("10.1.2.3/8".parse::<IpNet>().unwrap()).as_str(), "10.0.0.0/8");
        assert_eq!(Vetted::from(Duration::from_secs(90)).as_str(), "90000ms");
        assert_eq!(Vetted::seconds(Duration::from_millis(61_005)).as_str(), "61.005s");
    }
}
