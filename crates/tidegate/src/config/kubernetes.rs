//! Names of objects outside this file: in Kubernetes, in MongoDB.

use schemars::{Schema, json_schema};

use super::text::{Written, Wrong};
use super::tree::Scalar;

/// The longest DNS label (RFC 1123).
const LABEL: usize = 63;
/// MongoDB's limit, in bytes.
const DATABASE: usize = 63;
/// What MongoDB refuses in a database name on any operating system.
const NOT_IN_DATABASES: &str = "/\\. \"$*<>:|?\0";

/// The name of a namespace or a Lease: one DNS label, so that names of replicas can be made from it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObjectName(pub String);

impl Written for ObjectName {
    fn parse(scalar: &Scalar) -> Result<Self, Wrong> {
        let text = &scalar.text;
        let inner = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        let good = !text.is_empty() && text.len() <= LABEL && text.chars().all(inner) && !text.starts_with('-');
        if !good || text.ends_with('-') {
            let message = format!("{text:?} is no name of a Kubernetes object");
            return Err(Wrong::new(message, "write a short name of a-z, 0-9 and '-'"));
        }
        Ok(Self(text.clone()))
    }

    fn schema() -> Schema {
        json_schema!({ "type": "string", "pattern": "^[a-z0-9]([a-z0-9-]*[a-z0-9])?$", "maxLength": LABEL })
    }
}

/// The name of a MongoDB database.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DatabaseName(pub String);

impl Written for DatabaseName {
    fn parse(scalar: &Scalar) -> Result<Self, Wrong> {
        let text = &scalar.text;
        if text.is_empty() || text.len() > DATABASE || text.chars().any(|c| NOT_IN_DATABASES.contains(c)) {
            let message = format!("{text:?} is no name of a MongoDB database");
            return Err(Wrong::new(message, "write a short name of letters, digits, '-' and '_'"));
        }
        Ok(Self(text.clone()))
    }

    fn schema() -> Schema {
        json_schema!({ "type": "string", "pattern": "^[^/\\\\. \"$*<>:|?]+$", "maxLength": DATABASE })
    }
}
