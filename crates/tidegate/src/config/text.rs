//! The single values of the file: how each is written, checked, and described in the schema.

use std::borrow::Cow;
use std::net::IpAddr;
use std::num::{NonZeroU8, NonZeroU16, NonZeroU32};
use std::ops::Deref;
use std::path::PathBuf;
use std::time::Duration;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use tidegate_core::ids::{ClusterName, ListenerName, LoadBalancerName};
use tidegate_core::node::Zone;
use tidegate_core::probe::HttpPath;
use tidegate_core::selector::Selector;

use super::problem::{Problems, Spot};
use super::read::Read;
use super::tree::{Node, Scalar, Value};

/// What is wrong with a text, and the cure.
pub struct Wrong {
    /// What.
    pub message: String,
    /// The cure.
    pub cure: String,
}

impl Wrong {
    /// Both as they are.
    pub fn new(message: impl Into<String>, cure: impl Into<String>) -> Self {
        Self { message: message.into(), cure: cure.into() }
    }
}

/// A value that is written as one text.
pub trait Written: Sized {
    /// Reads it.
    fn parse(scalar: &Scalar) -> Result<Self, Wrong>;

    /// Describes it.
    fn schema() -> Schema;
}

/// A [`Written`] value as the file has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Text<T>(pub T);

impl<T> Deref for Text<T> {
    type Target = T;
    fn deref(&self) -> &T {
        &self.0
    }
}

impl<T: Written> Read for Text<T> {
    fn read(node: &Node, spot: &Spot, problems: &mut Problems) -> Option<Self> {
        let wrong = match &node.value {
            Value::Scalar(scalar) => match T::parse(scalar) {
                Ok(value) => return Some(Self(value)),
                Err(wrong) => wrong,
            },
            other => Wrong::new(format!("must be a single value, this is {}", other.kind()), "write one value"),
        };
        problems.error(spot, wrong.message, wrong.cure);
        None
    }
}

impl<T: Written> JsonSchema for Text<T> {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Text".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        T::schema()
    }
}

impl Written for bool {
    fn parse(scalar: &Scalar) -> Result<Self, Wrong> {
        match (scalar.text.as_str(), scalar.plain) {
            ("true", true) => Ok(true),
            ("false", true) => Ok(false),
            _ => Err(Wrong::new(format!("{:?} is not a boolean", scalar.text), "write true or false, without quotes")),
        }
    }

    fn schema() -> Schema {
        json_schema!({ "type": "boolean" })
    }
}

/// A whole number of this range.
fn number(scalar: &Scalar, least: u64, most: u64) -> Result<u64, Wrong> {
    let text = &scalar.text;
    let range = format!("write a whole number from {least} to {most}");
    match text.parse::<u64>() {
        Ok(_) if !scalar.plain => Err(Wrong::new(format!("{text:?} is a text, not a number"), "remove the quotes")),
        Ok(n) if (least..=most).contains(&n) => Ok(n),
        Ok(n) => Err(Wrong::new(format!("{n} is out of range"), range)),
        Err(_) => Err(Wrong::new(format!("{text:?} is not a whole number"), range)),
    }
}

impl Written for NonZeroU16 {
    fn parse(scalar: &Scalar) -> Result<Self, Wrong> {
        let n = number(scalar, 1, 65535)?;
        u16::try_from(n).ok().and_then(Self::new).ok_or_else(|| Wrong::new("out of range", "write 1 to 65535"))
    }

    fn schema() -> Schema {
        json_schema!({ "type": "integer", "minimum": 1, "maximum": 65535 })
    }
}

impl Written for NonZeroU32 {
    fn parse(scalar: &Scalar) -> Result<Self, Wrong> {
        let n = number(scalar, 1, u64::from(u32::MAX))?;
        u32::try_from(n).ok().and_then(Self::new).ok_or_else(|| Wrong::new("out of range", "write a smaller number"))
    }

    fn schema() -> Schema {
        json_schema!({ "type": "integer", "minimum": 1, "maximum": u32::MAX })
    }
}

impl Written for u64 {
    fn parse(scalar: &Scalar) -> Result<Self, Wrong> {
        number(scalar, 1024, 1 << 30)
    }

    fn schema() -> Schema {
        json_schema!({ "type": "integer", "minimum": 1024, "maximum": 1_073_741_824 })
    }
}

/// A small number of times.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Count(NonZeroU8);

impl Count {
    /// As a number.
    pub const fn get(self) -> u8 {
        self.0.get()
    }
}

impl Written for Count {
    fn parse(scalar: &Scalar) -> Result<Self, Wrong> {
        let n = number(scalar, 1, 100)?;
        let n = u8::try_from(n).ok().and_then(NonZeroU8::new);
        n.map(Self).ok_or_else(|| Wrong::new("out of range", "write 1 to 100"))
    }

    fn schema() -> Schema {
        json_schema!({ "type": "integer", "minimum": 1, "maximum": 100 })
    }
}

impl Written for IpAddr {
    fn parse(scalar: &Scalar) -> Result<Self, Wrong> {
        let wrong =
            || Wrong::new(format!("{:?} is not an IP address", scalar.text), "write one like 10.0.0.5 or 2001:db8::5");
        scalar.text.parse().map_err(|_| wrong())
    }

    fn schema() -> Schema {
        json_schema!({ "type": "string", "anyOf": [{ "format": "ipv4" }, { "format": "ipv6" }] })
    }
}

impl Written for HttpPath {
    fn parse(scalar: &Scalar) -> Result<Self, Wrong> {
        Self::parse(scalar.text.as_str()).map_err(|problem| Wrong::new(problem, "write a path like /healthz"))
    }

    fn schema() -> Schema {
        json_schema!({ "type": "string", "pattern": "^/[!-~]*$", "maxLength": 1024 })
    }
}

impl Written for Zone {
    fn parse(scalar: &Scalar) -> Result<Self, Wrong> {
        let cure = "write it as the nodes' label topology.kubernetes.io/zone says it";
        Self::parse(scalar.text.as_str()).map_err(|problem| Wrong::new(problem, cure))
    }

    fn schema() -> Schema {
        json_schema!({ "type": "string", "pattern": "^[A-Za-z0-9._-]+$", "maxLength": 63 })
    }
}

impl Written for Duration {
    fn parse(scalar: &Scalar) -> Result<Self, Wrong> {
        let wrong = || {
            let message = format!("{:?} is not a duration", scalar.text);
            Wrong::new(message, "write a whole number and its unit, ms, s, m or h: 250ms, 30s, 2m")
        };
        let digits = scalar.text.bytes().take_while(u8::is_ascii_digit).count();
        let (amount, unit) = scalar.text.split_at_checked(digits).ok_or_else(wrong)?;
        let amount: u64 = amount.parse().map_err(|_| wrong())?;
        let millis = match unit {
            "ms" => 1,
            "s" => 1000,
            "m" => 60_000,
            "h" => 3_600_000,
            _ => return Err(wrong()),
        };
        amount.checked_mul(millis).map(Self::from_millis).ok_or_else(wrong)
    }

    fn schema() -> Schema {
        json_schema!({ "type": "string", "pattern": "^[0-9]+(ms|s|m|h)$" })
    }
}

/// A duration as the file would have it.
pub fn written(length: Duration) -> String {
    match (length.as_secs(), length.subsec_millis()) {
        (s, 0) if s >= 120 && s.is_multiple_of(60) => format!("{}m", s / 60),
        (s, 0) => format!("{s}s"),
        _ => format!("{}ms", length.as_millis()),
    }
}

impl Written for Selector {
    fn parse(scalar: &Scalar) -> Result<Self, Wrong> {
        Self::parse(&scalar.text).map_err(|error| {
            Wrong::new(error.to_string(), "write it as for `kubectl get nodes -l`: role=worker,zone in (a,b),!gpu")
        })
    }

    fn schema() -> Schema {
        json_schema!({ "type": "string", "minLength": 1 })
    }
}

impl Written for PathBuf {
    fn parse(scalar: &Scalar) -> Result<Self, Wrong> {
        if scalar.text.is_empty() || scalar.text.contains('\0') {
            return Err(Wrong::new(format!("{:?} is not a path", scalar.text), "write the path of a file"));
        }
        if scalar.text.starts_with("~/") {
            return Err(Wrong::new("'~' is not expanded here", "write the whole path: /root/..., /home/..."));
        }
        Ok(Self::from(&scalar.text))
    }

    fn schema() -> Schema {
        json_schema!({ "type": "string", "minLength": 1 })
    }
}

/// A taint key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TaintKey(pub String);

impl Written for TaintKey {
    fn parse(scalar: &Scalar) -> Result<Self, Wrong> {
        let text = &scalar.text;
        let good = |c: char| c.is_ascii_alphanumeric() || "-_./".contains(c);
        if text.is_empty() || text.len() > 317 || !text.chars().all(good) || text.matches('/').count() > 1 {
            return Err(Wrong::new(
                format!("{text:?} is not a taint key"),
                "write only the key, without =VALUE:EFFECT: example.com/maintenance",
            ));
        }
        Ok(Self(text.clone()))
    }

    fn schema() -> Schema {
        json_schema!({ "type": "string", "pattern": "^[A-Za-z0-9._-]+(/[A-Za-z0-9._-]+)?$" })
    }
}

macro_rules! names {
    ($($name:ident, $pattern:literal;)*) => {
        $(impl Written for $name {
            fn parse(scalar: &Scalar) -> Result<Self, Wrong> {
                let text = scalar.text.as_str();
                Self::parse(text).map_err(|error| {
                    let near: String = text.to_lowercase().replace(['_', ' '], "-");
                    let cure = match Self::parse(near.as_str()) {
                        Ok(name) => format!("write {name}"),
                        Err(_) => "write a short name of a-z, 0-9 and '-'".to_owned(),
                    };
                    Wrong::new(error.to_string(), cure)
                })
            }

            fn schema() -> Schema {
                json_schema!({ "type": "string", "pattern": $pattern, "maxLength": 253 })
            }
        })*
    };
}

names! {
    ClusterName, "^[a-z0-9]([a-z0-9.-]*[a-z0-9])?$";
    LoadBalancerName, "^[a-z0-9]([a-z0-9.-]*[a-z0-9])?$";
    ListenerName, "^[a-z0-9]([a-z0-9-]*[a-z0-9])?$";
}
