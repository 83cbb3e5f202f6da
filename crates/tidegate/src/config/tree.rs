//! YAML text to a tree in which every value knows its line and column.
//!
//! A tree first, because a single wrong value must not hide the problems after it, as it would when
//! the text is deserialized straight into types.

use std::collections::BTreeMap;

use serde_saphyr::granit_parser::{Event, Marker, Parser, ScalarStyle, ScanError};

use super::problem::{Place, Problem, Severity};

/// Deeper than any key of ours; protects the recursive readers.
const DEPTH: usize = 32;
/// More values than any real file has; protects against aliases that multiply.
const VALUES: usize = 200_000;

/// A value and where it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    /// Its first character.
    pub place: Place,
    /// What it is.
    pub value: Value,
}

/// What a value is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// Nothing, `~` or `null`.
    Null,
    /// Any other single value.
    Scalar(Scalar),
    /// A sequence.
    List(Vec<Node>),
    /// A mapping.
    Map(Vec<Entry>),
}

/// A single value as it is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scalar {
    /// The text, without quotation marks.
    pub text: String,
    /// Whether it was written without quotation marks, so that it may be a number or a boolean.
    pub plain: bool,
}

/// One key of a mapping and its value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The key.
    pub key: String,
    /// Where the key stands.
    pub place: Place,
    /// Its value.
    pub value: Node,
}

impl Value {
    /// What it is, for people.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Null => "nothing",
            Self::Scalar(_) => "a single value",
            Self::List(_) => "a list",
            Self::Map(_) => "a mapping",
        }
    }
}

/// Parses a file with one document; an empty one is an empty mapping.
pub fn parse(text: &str) -> Result<Node, Problem> {
    let mut builder = Builder::default();
    for next in Parser::new_from_str(text) {
        let (event, span) = next.map_err(|error| syntax_problem(text, &error))?;
        builder.take(event, place_of(&span.start))?;
    }
    Ok(builder.root.unwrap_or(Node { place: Place::START, value: Value::Map(Vec::new()) }))
}

fn place_of(mark: &Marker) -> Place {
    Place { line: mark.line(), column: mark.col() + 1 }
}

fn problem(place: Place, message: impl Into<String>, cure: &str) -> Problem {
    let (message, cure) = (message.into(), cure.to_owned());
    Problem { severity: Severity::Error, place, path: String::new(), message, cure }
}

fn syntax_problem(text: &str, error: &ScanError) -> Problem {
    let place = place_of(error.marker());
    let line = text.lines().nth(place.line.saturating_sub(1)).unwrap_or_default();
    let indent = line.chars().take_while(|c| c.is_whitespace());
    let cure = if indent.clone().any(|c| c == '\t') {
        "indent with spaces: YAML allows no tabs there"
    } else {
        "look at this line and the one before: indentation, a missing ':' or an unclosed quotation mark or bracket"
    };
    problem(place, format!("not YAML: {}", error.info()), cure)
}

/// A list or mapping whose end has not come yet.
enum Open {
    List { place: Place, anchor: usize, items: Vec<Node> },
    Map { place: Place, anchor: usize, entries: Vec<Entry>, key: Option<(String, Place)> },
}

#[derive(Default)]
struct Builder {
    root: Option<Node>,
    open: Vec<Open>,
    anchors: BTreeMap<usize, Node>,
    values: usize,
    documents: usize,
}

impl Builder {
    fn take(&mut self, event: Event<'_>, place: Place) -> Result<(), Problem> {
        match event {
            Event::DocumentStart(..) => self.start_document(place),
            Event::Scalar(text, style, anchor, _) => {
                let plain = style == ScalarStyle::Plain;
                let null = plain && matches!(&*text, "" | "~" | "null" | "Null" | "NULL");
                let value = if null { Value::Null } else { Value::Scalar(Scalar { text: text.into_owned(), plain }) };
                self.put(Node { place, value }, anchor)
            }
            Event::SequenceStart(_, anchor, _) => self.push(Open::List { place, anchor, items: Vec::new() }, place),
            Event::MappingStart(_, anchor, _) => {
                self.push(Open::Map { place, anchor, entries: Vec::new(), key: None }, place)
            }
            Event::SequenceEnd | Event::MappingEnd => self.pop(),
            Event::Alias(id) => match self.anchors.get(&id).cloned() {
                Some(node) => {
                    self.count(size(&node), place)?;
                    self.put(Node { place, value: node.value }, 0)
                }
                None => Err(problem(place, "an alias to a value that contains it", "write the value out")),
            },
            _ => Ok(()),
        }
    }

    fn start_document(&mut self, place: Place) -> Result<(), Problem> {
        self.documents += 1;
        if self.documents > 1 {
            return Err(problem(place, "a second YAML document", "keep one document in a file; remove the '---'"));
        }
        Ok(())
    }

    fn push(&mut self, open: Open, place: Place) -> Result<(), Problem> {
        if self.open.len() >= DEPTH {
            return Err(problem(place, "nested too deeply", "no key of Tidegate is nested that deeply"));
        }
        self.open.push(open);
        Ok(())
    }

    fn pop(&mut self) -> Result<(), Problem> {
        let (node, anchor) = match self.open.pop() {
            Some(Open::List { place, anchor, items }) => (Node { place, value: Value::List(items) }, anchor),
            Some(Open::Map { place, anchor, entries, .. }) => (Node { place, value: Value::Map(entries) }, anchor),
            None => return Ok(()),
        };
        self.put(node, anchor)
    }

    fn count(&mut self, values: usize, place: Place) -> Result<(), Problem> {
        self.values += values;
        if self.values > VALUES {
            return Err(problem(place, "too many values", "write the aliases out"));
        }
        Ok(())
    }

    /// Gives a finished value to whatever it belongs to.
    fn put(&mut self, node: Node, anchor: usize) -> Result<(), Problem> {
        self.count(1, node.place)?;
        if anchor != 0 {
            self.anchors.insert(anchor, node.clone());
        }
        match self.open.last_mut() {
            None => self.root = Some(node),
            Some(Open::List { items, .. }) => items.push(node),
            Some(Open::Map { entries, key, .. }) => match (key.take(), node.value) {
                (Some((key, place)), value) => {
                    entries.push(Entry { key, place, value: Node { place: node.place, value } });
                }
                (None, Value::Scalar(scalar)) => *key = Some((scalar.text, node.place)),
                (None, Value::Null) => *key = Some((String::new(), node.place)),
                (None, other) => {
                    let message = format!("a key must be a word, this is {}", other.kind());
                    return Err(problem(node.place, message, "write `key: value`; quote text that starts with [ or {"));
                }
            },
        }
        Ok(())
    }
}

/// How many values an alias to this one adds.
fn size(node: &Node) -> usize {
    let inside: usize = match &node.value {
        Value::List(items) => items.iter().map(size).sum(),
        Value::Map(entries) => entries.iter().map(|e| size(&e.value)).sum(),
        Value::Null | Value::Scalar(_) => 0,
    };
    inside + 1
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fails(text: &str) -> String {
        parse(text).unwrap_err().to_string()
    }

    #[test]
    fn every_value_knows_its_place() {
        let root = parse("# c\na:\n  - b: 1\n    'c': \"2\"\n").unwrap();
        let Value::Map(top) = &root.value else { panic!("{root:?}") };
        let Value::List(items) = &top[0].value.value else { panic!("{root:?}") };
        let Value::Map(inner) = &items[0].value else { panic!("{root:?}") };
        assert_eq!((top[0].place, inner[0].value.place), (Place { line: 2, column: 1 }, Place { line: 3, column: 8 }));
        let plain = |n: usize| matches!(&inner[n].value.value, Value::Scalar(s) if s.plain);
        assert_eq!((plain(0), plain(1)), (true, false));
    }

    #[test]
    fn an_empty_file_is_an_empty_mapping() {
        for text in ["", "# only a comment\n", "---\n"] {
            let value = parse(text).unwrap().value;
            assert!(matches!(&value, Value::Map(m) if m.is_empty()) || value == Value::Null, "{text:?}: {value:?}");
        }
    }

    #[test]
    fn aliases_are_read_but_cannot_explode() {
        let root = parse("a: &x [1]\nb: *x\n").unwrap();
        let Value::Map(top) = root.value else { panic!() };
        assert_eq!(top[1].value.value.kind(), "a list");
        let mut bomb = String::from("a0: &a0 [1,1,1,1,1,1,1,1,1,1]\n");
        for n in 1..12 {
            let items = vec![format!("*a{}", n - 1); 10].join(",");
            bomb = format!("{bomb}a{n}: &a{n} [{items}]\n");
        }
        assert!(fails(&bomb).contains("too many values"));
    }

    #[test]
    fn what_is_not_yaml_says_where_and_what_to_do() {
        assert!(fails("a:\n\tb: 1\n").starts_with("2:"), "{}", fails("a:\n\tb: 1\n"));
        assert!(fails("a:\n\tb: 1\n").contains("no tabs"));
        assert!(fails("a: [1\nb: 2\n").contains("not YAML"));
        assert!(fails("a: 1\n---\nb: 1\n").contains("second YAML document"));
        for depth in [40, 100_000] {
            let text = format!("{}{}", "[".repeat(depth), "]".repeat(depth));
            assert!(parse(&text).is_err(), "the stack must not overflow at depth {depth}");
        }
    }
}
