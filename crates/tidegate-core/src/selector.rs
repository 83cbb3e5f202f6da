//! Kubernetes label selectors: `a=b,c!=d,e in (f,g),h notin (i),j,!k`.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// All requirements must hold.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Selector {
    text: String,
    requirements: Vec<Requirement>,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Requirement {
    key: String,
    test: Test,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Test {
    Exists,
    Absent,
    In(BTreeSet<String>),
    /// Also true when the label is absent, as Kubernetes has it.
    NotIn(BTreeSet<String>),
}

/// Why a text is not a selector.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("label selector {text:?}: {problem}")]
pub struct InvalidSelector {
    text: String,
    problem: String,
}

impl Selector {
    /// Parses the syntax of `kubectl get -l`.
    pub fn parse(text: &str) -> Result<Self, InvalidSelector> {
        let fail = |problem: String| InvalidSelector { text: text.to_owned(), problem };
        let requirements: Vec<Requirement> = split_outside_parentheses(text)
            .into_iter()
            .map(|part| parse_requirement(part.trim()))
            .collect::<Result<_, _>>()
            .map_err(fail)?;
        Ok(Self { text: text.trim().to_owned(), requirements })
    }

    /// Whether these labels satisfy every requirement.
    pub fn matches(&self, labels: &BTreeMap<String, String>) -> bool {
        self.requirements.iter().all(|r| {
            let value = labels.get(&r.key);
            match &r.test {
                Test::Exists => value.is_some(),
                Test::Absent => value.is_none(),
                Test::In(set) => value.is_some_and(|v| set.contains(v)),
                Test::NotIn(set) => value.is_none_or(|v| !set.contains(v)),
            }
        })
    }

    /// The label keys that it looks at.
    pub fn keys(&self) -> impl Iterator<Item = &str> {
        self.requirements.iter().map(|r| r.key.as_str())
    }
}

fn split_outside_parentheses(text: &str) -> Vec<&str> {
    let mut inside = false;
    text.split(move |c| {
        inside = (inside || c == '(') && c != ')';
        c == ',' && !inside
    })
    .collect()
}

fn parse_requirement(part: &str) -> Result<Requirement, String> {
    let requirement = |key: &str, test| Ok(Requirement { key: checked_key(key)?, test });
    if let Some(key) = part.strip_prefix('!') {
        return requirement(key, Test::Absent);
    }
    if let Some((head, tail)) = part.split_once('(') {
        return parse_set(head.trim(), tail);
    }
    if let Some((key, value)) = part.split_once("!=") {
        return requirement(key, Test::NotIn(checked_values([value])?));
    }
    if let Some((key, value)) = part.split_once('=') {
        return requirement(key, Test::In(checked_values([value.strip_prefix('=').unwrap_or(value)])?));
    }
    requirement(part, Test::Exists)
}

fn parse_set(head: &str, tail: &str) -> Result<Requirement, String> {
    let values = tail.strip_suffix(')').ok_or("a '(' without its ')'")?;
    let values = checked_values(values.split(','))?;
    let (key, operator) = head.rsplit_once(char::is_whitespace).ok_or("'in' or 'notin' is missing before '('")?;
    let test = match operator {
        "in" => Test::In(values),
        "notin" => Test::NotIn(values),
        other => return Err(format!("{other:?} is not an operator; use in or notin")),
    };
    Ok(Requirement { key: checked_key(key)?, test })
}

fn checked_key(key: &str) -> Result<String, String> {
    let key = key.trim();
    let good = |c: char| c.is_ascii_alphanumeric() || "-_./".contains(c);
    if key.is_empty() || key.len() > 317 || !key.chars().all(good) || key.matches('/').count() > 1 {
        return Err(format!("{key:?} is not a label key"));
    }
    Ok(key.to_owned())
}

/// Whether a text holds only what a label value may hold, and is no longer than one; it may be empty.
pub(crate) fn is_label_value(text: &str) -> bool {
    text.len() <= 63 && text.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c))
}

fn checked_values<'a>(values: impl IntoIterator<Item = &'a str>) -> Result<BTreeSet<String>, String> {
    let checked = values.into_iter().map(str::trim).map(|value| {
        if !is_label_value(value) {
            return Err(format!("{value:?} is not a label value"));
        }
        Ok(value.to_owned())
    });
    checked.collect()
}

impl TryFrom<String> for Selector {
    type Error = InvalidSelector;
    fn try_from(text: String) -> Result<Self, InvalidSelector> {
        Self::parse(&text)
    }
}

impl From<Selector> for String {
    fn from(selector: Selector) -> Self {
        selector.text
    }
}

impl fmt::Display for Selector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn labels() -> BTreeMap<String, String> {
        [("role", "worker"), ("example.com/zone", "a"), ("empty", "")].map(|(k, v)| (k.into(), v.into())).into()
    }

    #[rstest]
    #[case("role", true)]
    #[case("!role", false)]
    #[case("!gpu", true)]
    #[case("role=worker", true)]
    #[case("role==worker", true)]
    #[case("role=worker , example.com/zone in (a, b)", true)]
    #[case("role=worker,example.com/zone notin (a,b)", false)]
    #[case("gpu notin (a)", true)]
    #[case("gpu!=a", true)]
    #[case("role!=worker", false)]
    #[case("gpu in (a)", false)]
    #[case("empty=", true)]
    fn it_selects_as_kubernetes_does(#[case] text: &str, #[case] selected: bool) {
        assert_eq!(Selector::parse(text).unwrap().matches(&labels()), selected);
    }

    #[rstest]
    #[case("")]
    #[case("a,,b")]
    #[case("a in b")]
    #[case("a in (b")]
    #[case("a of (b)")]
    #[case("a=b c")]
    #[case("a=\u{e9}")]
    #[case("a/b/c")]
    fn what_is_no_selector_is_refused(#[case] text: &str) {
        let error = Selector::parse(text).unwrap_err().to_string();
        assert!(error.starts_with(&format!("label selector {text:?}: ")), "{error}");
    }
}
