//! Builds the test binaries of the workspace and finds out where cargo has put them.

use std::path::{Path, PathBuf};

use anyhow::Result;
use serde_json::Value;

use crate::phases::read_cargo;

/// A test binary and where cargo would start it.
#[derive(Debug)]
pub(super) struct Binary {
    pub(super) name: String,
    pub(super) path: PathBuf,
    pub(super) folder: PathBuf,
}

/// All of the workspace when `packages` is empty.
pub(super) fn build(packages: &[String]) -> Result<Vec<Binary>> {
    let mut args = vec!["test", "--no-run", "--message-format", "json-render-diagnostics"];
    if packages.is_empty() {
        args.push("--workspace");
    }
    args.extend(packages.iter().flat_map(|package| ["-p", package.as_str()]));
    Ok(read_cargo(&args)?.lines().filter_map(parse).collect())
}

/// One line of cargo's messages; `None` for all that is not a test binary.
fn parse(line: &str) -> Option<Binary> {
    let message: Value = serde_json::from_str(line).ok()?;
    if !message.pointer("/profile/test")?.as_bool()? {
        return None;
    }
    let folder = Path::new(message.get("manifest_path")?.as_str()?).parent()?;
    let target = message.pointer("/target/name")?.as_str()?;
    Some(Binary {
        name: format!("{}::{target}", folder.file_name()?.to_str()?),
        path: message.get("executable")?.as_str()?.into(),
        folder: folder.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_test_binaries_are_taken() {
        let line = r#"{"reason":"compiler-artifact","manifest_path":"/w/crates/a/Cargo.toml","target":{"name":"sweep"},
            "profile":{"test":true},"executable":"/w/target/debug/deps/sweep-1"}"#;
        let binary = parse(line).unwrap();
        assert_eq!(binary.name, "a::sweep");
        assert_eq!(binary.folder, Path::new("/w/crates/a"));
        assert!(parse(&line.replace("true", "false")).is_none());
        assert!(parse(r#"{"reason":"build-finished","success":true}"#).is_none());
    }
}
