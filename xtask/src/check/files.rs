//! Files stay small enough to read in one go, and each says what it is for.

use std::path::{Path, PathBuf};

use anyhow::Result;
use fs_err as fs;

use crate::phases::root;

/// Aim for 60 to 200; look again above 300.
const MAX_LINES: usize = 500;

pub(super) fn problems() -> Result<Vec<String>> {
    let mut files = Vec::new();
    for folder in ["crates", "xtask"] {
        collect(&root().join(folder), &mut files)?;
    }
    let mut problems = Vec::new();
    for path in files {
        let text = fs::read_to_string(&path)?;
        let shown = path.strip_prefix(root()).unwrap_or(&path).display().to_string();
        problems.extend(file_problems(&shown, &text));
    }
    Ok(problems)
}

/// Sources only: tests may be as long as their cases.
fn collect(folder: &Path, files: &mut Vec<PathBuf>) -> Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default();
        if path.is_dir() && name != "tests" && name != "target" {
            collect(&path, files)?;
        } else if path.extension().is_some_and(|extension| extension == "rs") && name != "tests.rs" {
            files.push(path);
        }
    }
    Ok(())
}

fn file_problems(name: &str, text: &str) -> Vec<String> {
    let mut problems = Vec::new();
    let lines = code_lines(text);
    if lines > MAX_LINES {
        problems.push(format!("{name} has {lines} lines without its tests; split it, {MAX_LINES} is the limit"));
    }
    if !text.starts_with("//!") {
        problems.push(format!("{name} does not begin with a //! line that says what it is for"));
    }
    problems
}

/// Lines before the unit tests, which come last by convention.
fn code_lines(text: &str) -> usize {
    text.lines().take_while(|line| *line != "#[cfg(test)]").count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tests_do_not_count_and_a_missing_purpose_does() {
        let long = format!("//! Long.\n{}", "x\n".repeat(MAX_LINES));
        assert_eq!(file_problems("a.rs", &long).len(), 1);
        let tested = format!("//! Short.\n#[cfg(test)]\n{}", "x\n".repeat(MAX_LINES));
        assert!(file_problems("a.rs", &tested).is_empty());
        assert_eq!(file_problems("a.rs", "use x;\n").len(), 1);
    }
}
