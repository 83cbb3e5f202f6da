//! Which crate may depend on which, and what the pure core must never see.

use anyhow::{Context, Result};
use serde_json::Value;

use crate::phases::read_cargo;

/// Crate, and the crates of ours that it may depend on. ARCHITECTURE.md has the reasons.
const ARROWS: &[(&str, &[&str])] = &[
    ("tidegate-core", &[]),
    ("tidegate-store", &["tidegate-core"]),
    ("tidegate-controller", &["tidegate-core", "tidegate-store"]),
    ("tidegate-agent", &["tidegate-core"]),
    ("tidegate", &["tidegate-core", "tidegate-store", "tidegate-controller", "tidegate-agent"]),
    ("tidegate-testbed", &["tidegate-core", "tidegate-store", "tidegate-controller", "tidegate-agent", "tidegate"]),
    ("tidegate-simulation", &["tidegate-core", "tidegate-store", "tidegate-controller"]),
    ("xtask", &["tidegate", "tidegate-core", "tidegate-store", "tidegate-testbed"]),
];

/// Tests may use these besides.
const TESTS_MAY_USE: &[&str] = &["tidegate-core", "tidegate-testbed"];

/// I/O, clocks and frameworks: none may be reachable from the core.
const IMPURE: &[&str] = &[
    "async-std",
    "axum",
    "fs-err",
    "hyper",
    "k8s-openapi",
    "kube",
    "mio",
    "mongodb",
    "reqwest",
    "rusqlite",
    "rustix",
    "rustls",
    "smol",
    "tempfile",
    "tokio",
    "tracing-subscriber",
];

pub(super) fn problems() -> Result<Vec<String>> {
    let metadata = read_cargo(&["metadata", "--format-version", "1", "--no-deps", "--offline"])?;
    let metadata: Value = serde_json::from_str(&metadata)?;
    let packages = metadata.get("packages").and_then(Value::as_array).context("metadata without packages")?;
    let mut problems: Vec<String> = packages.iter().flat_map(package_problems).collect();
    let tree = ["tree", "-p", "tidegate-core", "-e", "normal", "--prefix", "none", "--format", "{p}", "--offline"];
    problems.extend(purity_problems(&read_cargo(&tree)?));
    Ok(problems)
}

fn package_problems(package: &Value) -> Vec<String> {
    let name = text(package, "name");
    let Some((_, allowed)) = ARROWS.iter().find(|(from, _)| *from == name) else {
        return vec![format!("crate {name} is new: give it a line in xtask/src/check/arrows.rs")];
    };
    let dependencies = package.get("dependencies").and_then(Value::as_array);
    let bad = dependencies.into_iter().flatten().filter_map(|dependency| {
        let (to, dev) = (text(dependency, "name"), text(dependency, "kind") == "dev");
        let ours = ARROWS.iter().any(|(from, _)| *from == to);
        let fine = allowed.contains(&to) || (dev && (to == name || TESTS_MAY_USE.contains(&to)));
        (ours && !fine).then(|| format!("{name} must not depend on {to}"))
    });
    bad.collect()
}

/// `tree` has one `<name> v<version>` per line.
fn purity_problems(tree: &str) -> Vec<String> {
    let names = tree.lines().filter_map(|line| line.split(' ').next());
    let impure = names.filter(|name| IMPURE.contains(name));
    impure.map(|name| format!("tidegate-core must stay pure, but {name} is among its dependencies")).collect()
}

fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value.get(key).and_then(Value::as_str).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_forbidden_arrow_is_named_and_a_dev_arrow_to_the_testbed_is_fine() {
        let agent = json!({ "name": "tidegate-agent", "dependencies": [
            { "name": "tidegate-store", "kind": null },
            { "name": "tidegate-core", "kind": null },
            { "name": "tidegate-testbed", "kind": "dev" },
            { "name": "tokio", "kind": null },
        ]});
        assert_eq!(package_problems(&agent), ["tidegate-agent must not depend on tidegate-store"]);
        assert_eq!(package_problems(&json!({ "name": "tidegate-utils" })).len(), 1);
    }

    #[test]
    fn an_impure_dependency_of_the_core_is_named() {
        assert_eq!(purity_problems("tidegate-core v0.1.0\nserde v1.0.0\ntokio v1.54.1\n").len(), 1);
    }
}
