//! Generated documents are not stale, and every example in the documentation is a good file.
// Helpers of tests may fail as tests do.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use std::path::{Path, PathBuf};

use tidegate::config::load::examine_text;
use tidegate::config::problem::Severity;
use tidegate::config::read::camel;
use tidegate::config::schema::schema;
use tidegate::docs::{REGENERATE, generated};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

#[test]
fn generated_documents_are_not_stale() {
    let update = std::env::var_os("UPDATE_DOCS").is_some();
    for (path, text) in generated() {
        let file = root().join(path);
        if update {
            std::fs::create_dir_all(file.parent().unwrap()).unwrap();
            std::fs::write(&file, &text).unwrap();
        }
        let found = std::fs::read_to_string(&file).unwrap_or_default();
        assert!(found == text, "{path} is stale; run: {REGENERATE}");
    }
}

#[test]
fn every_example_file_is_good() {
    let mut seen = 0;
    for entry in std::fs::read_dir(root().join("examples")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|e| e == "yaml") {
            seen += 1;
            check(&path, &std::fs::read_to_string(&path).unwrap());
        }
    }
    assert!(seen >= 3, "only {seen} examples were found");
}

/// Whole configurations in Markdown begin with `cluster:` at the start of a line.
#[test]
fn every_configuration_in_the_documentation_is_good() {
    let mut seen = 0;
    for file in markdown(&root()) {
        let text = std::fs::read_to_string(&file).unwrap();
        for block in text.split("```yaml").skip(1).filter_map(|rest| rest.split("```").next()) {
            if block.lines().any(|line| line.starts_with("cluster:")) && block.contains("\nlisteners:") {
                seen += 1;
                check(&file, block);
            }
        }
    }
    println!("{seen} configurations in Markdown were checked");
}

/// The chart's is compared with this one by the tests of the manifests.
#[test]
fn the_configuration_that_is_shipped_for_the_cluster_is_good() {
    let path = root().join("deploy/kubernetes/20-config.yaml");
    let object: serde_json::Value = serde_saphyr::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap();
    check(&path, object["data"]["tidegate.yaml"].as_str().unwrap());
}

fn markdown(root: &Path) -> Vec<PathBuf> {
    let folders = [root.to_owned(), root.join("docs")];
    let files = folders.iter().flat_map(|folder| std::fs::read_dir(folder).unwrap()).map(|entry| entry.unwrap().path());
    files.filter(|path| path.extension().is_some_and(|e| e == "md")).collect()
}

fn check(path: &Path, text: &str) {
    let found = examine_text(text, path.parent().unwrap(), None, false);
    let errors: Vec<_> = found.problems.iter().filter(|p| p.severity == Severity::Error).collect();
    assert!(errors.is_empty(), "{}: {errors:#?}", path.display());
}

#[test]
fn the_schema_describes_every_key() {
    let schema = schema();
    let sections = schema["$defs"].as_object().unwrap().values().chain([&schema]);
    let mut keys = 0;
    for section in sections {
        assert_eq!(section["additionalProperties"], false, "{section}");
        // One that says all by being there has none.
        for (key, property) in section["properties"].as_object().into_iter().flatten() {
            assert!(property["description"].is_string(), "{key} has no description");
            assert_eq!(*key, camel(key), "{key}");
            keys += 1;
        }
    }
    assert!(keys > 40, "only {keys} keys");
}
