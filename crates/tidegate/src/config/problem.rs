//! One thing that is wrong with a configuration file, and where.

use std::fmt;

use serde::Serialize;

/// A place in the file; both count from 1. Columns count characters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct Place {
    /// Line.
    pub line: usize,
    /// Column.
    pub column: usize,
}

impl Place {
    /// The first character: where a problem of the whole file is shown.
    pub const START: Self = Self { line: 1, column: 1 };
}

/// Whether Tidegate can run in spite of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// It cannot.
    Error,
    /// It can, but somebody should look at it.
    Warning,
}

/// What is wrong, where, and what to do about it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// Whether Tidegate can run in spite of it.
    pub severity: Severity,
    /// Where in the file.
    #[serde(flatten)]
    pub place: Place,
    /// Where in the document: `listeners[1].bind`; empty for the whole.
    pub path: String,
    /// What is wrong.
    pub message: String,
    /// What a person can do about it.
    pub cure: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { severity, place, path, message, cure } = self;
        write!(f, "{}:{}: ", place.line, place.column)?;
        if *severity == Severity::Warning {
            write!(f, "warning: ")?;
        }
        if !path.is_empty() {
            write!(f, "{path}: ")?;
        }
        write!(f, "{message}; cure: {cure}")
    }
}

/// Collects problems, so that one run reports all of them.
#[derive(Debug, Default)]
pub struct Problems {
    found: Vec<Problem>,
}

impl Problems {
    /// Notes something that Tidegate cannot run with.
    pub fn error(&mut self, at: &Spot, message: impl Into<String>, cure: impl Into<String>) {
        self.note(Severity::Error, at, message.into(), cure.into());
    }

    /// Notes something that somebody should look at.
    pub fn warning(&mut self, at: &Spot, message: impl Into<String>, cure: impl Into<String>) {
        self.note(Severity::Warning, at, message.into(), cure.into());
    }

    fn note(&mut self, severity: Severity, at: &Spot, message: String, cure: String) {
        self.found.push(Problem { severity, place: at.place, path: at.path.clone(), message, cure });
    }

    /// Everything found, in the order of the file.
    pub fn into_sorted(mut self) -> Vec<Problem> {
        self.found.sort_by_key(|p| p.place);
        self.found
    }

    /// Whether something is wrong at this path or below it already: then its absence is no news.
    pub fn mentions(&self, path: &str) -> bool {
        let below = |rest: &str| rest.is_empty() || rest.starts_with(['.', '[']);
        let hit = |p: &Problem| p.severity == Severity::Error && p.path.strip_prefix(path).is_some_and(below);
        self.found.iter().any(hit)
    }

    /// Whether something was found that Tidegate cannot run with.
    pub fn has_errors(&self) -> bool {
        self.found.iter().any(|p| p.severity == Severity::Error)
    }
}

/// Where something stands: in the file, and in the document.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Spot {
    /// In the file.
    pub place: Place,
    /// In the document: `listeners[1].bind`.
    pub path: String,
}

impl Spot {
    /// The document as a whole.
    pub fn document() -> Self {
        Self { place: Place::START, path: String::new() }
    }

    /// A key of the mapping at this spot.
    #[must_use]
    pub fn key(&self, key: &str, place: Place) -> Self {
        let path = if self.path.is_empty() { key.to_owned() } else { format!("{}.{key}", self.path) };
        Self { place, path }
    }

    /// An item of the list at this spot, counted from 0.
    #[must_use]
    pub fn item(&self, index: usize, place: Place) -> Self {
        Self { place, path: format!("{}[{index}]", self.path) }
    }
}
