//! Arguments of commands, and names in the kernel.

use schemars::{Schema, json_schema};

use super::text::{Written, Wrong};
use super::tree::Scalar;

/// The kernel's limit for names of tables, less its final NUL (NFT_NAME_MAXLEN is 256; short names are readable).
const TABLE: usize = 32;

/// One argument of a command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Argument(pub String);

impl Written for Argument {
    fn parse(scalar: &Scalar) -> Result<Self, Wrong> {
        if scalar.text.contains('\0') {
            return Err(Wrong::new("an argument cannot hold a NUL byte", "remove it"));
        }
        Ok(Self(scalar.text.clone()))
    }

    fn schema() -> Schema {
        json_schema!({ "type": "string" })
    }
}

/// The name of an nftables table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TableName(pub String);

impl Written for TableName {
    fn parse(scalar: &Scalar) -> Result<Self, Wrong> {
        let text = &scalar.text;
        let inner = |c: char| c.is_ascii_alphanumeric() || c == '_';
        if text.len() > TABLE || !text.starts_with(|c: char| c.is_ascii_lowercase()) || !text.chars().all(inner) {
            let message = format!("{text:?} is no name of an nftables table");
            return Err(Wrong::new(message, "write a short name of letters, digits and '_': tidegate"));
        }
        Ok(Self(text.clone()))
    }

    fn schema() -> Schema {
        json_schema!({ "type": "string", "pattern": "^[a-z][A-Za-z0-9_]*$", "maxLength": TABLE })
    }
}
