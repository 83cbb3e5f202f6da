//! Reading a section of the tree: every key is read or reported, nothing stops at the first problem.

use std::borrow::Cow;
use std::collections::HashMap;
use std::ops::Deref;

use schemars::{JsonSchema, Schema, SchemaGenerator};

use super::problem::{Place, Problems, Spot};
use super::suggest::nearest;
use super::tree::{Entry, Node, Value};

/// A value and where it stands, for problems that show later.
#[derive(Clone, Debug)]
pub struct At<T> {
    /// What was read.
    pub value: T,
    /// Where.
    pub spot: Spot,
}

impl<T> Deref for At<T> {
    type Target = T;
    fn deref(&self) -> &T {
        &self.value
    }
}

/// Something that can be read from a value of the tree.
pub trait Read: Sized {
    /// Whether a key without a value means the same as an empty mapping (else: as if the key were absent).
    const NULL_IS_EMPTY: bool = false;

    /// Reads it, or notes why it cannot be read.
    fn read(node: &Node, spot: &Spot, problems: &mut Problems) -> Option<Self>;
}

impl<T: Read> Read for At<T> {
    const NULL_IS_EMPTY: bool = T::NULL_IS_EMPTY;

    fn read(node: &Node, spot: &Spot, problems: &mut Problems) -> Option<Self> {
        T::read(node, spot, problems).map(|value| Self { value, spot: spot.clone() })
    }
}

impl<T: Read> Read for Vec<At<T>> {
    fn read(node: &Node, spot: &Spot, problems: &mut Problems) -> Option<Self> {
        let Value::List(items) = &node.value else {
            problems.error(
                spot,
                format!("must be a list, this is {}", node.value.kind()),
                "write each item on its own line after '- ', or all of them as [a, b]",
            );
            return None;
        };
        let read = |(n, item): (usize, &Node)| At::read(item, &spot.item(n, item.place), problems);
        // A bad item has been reported; those that can be read are still checked against each other.
        Some(items.iter().enumerate().filter_map(read).collect())
    }
}

// In the schema a value is what it holds: its place is of no interest there.
impl<T: JsonSchema> JsonSchema for At<T> {
    fn inline_schema() -> bool {
        T::inline_schema()
    }

    fn schema_name() -> Cow<'static, str> {
        T::schema_name()
    }

    fn schema_id() -> Cow<'static, str> {
        T::schema_id()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        T::json_schema(generator)
    }
}

/// A mapping that says all by being there: `none: {}`.
#[derive(Clone, Copy, Debug, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct Nothing {}

impl Read for Nothing {
    const NULL_IS_EMPTY: bool = true;

    fn read(node: &Node, spot: &Spot, problems: &mut Problems) -> Option<Self> {
        Fields::open(node, spot, &[], &[], problems).map(|_| Self {})
    }
}

/// A key that a later version will have: its name, and what to do until then.
pub type Later = (&'static str, &'static str);

/// The entries of one mapping while they are read.
pub struct Fields<'a> {
    spot: &'a Spot,
    problems: &'a mut Problems,
    entries: Vec<(&'a Entry, String)>,
    /// Every key so far, those that are unknown included, with its place.
    seen: HashMap<&'a str, Place>,
}

impl<'a> Fields<'a> {
    /// Opens a mapping. Keys that are not among `keys` are reported at once, each taken for the key it
    /// resembles, so that one slip of the pen is one problem.
    pub fn open(
        node: &'a Node,
        spot: &'a Spot,
        keys: &[String],
        later: &[Later],
        problems: &'a mut Problems,
    ) -> Option<Self> {
        let mut fields = Self { spot, problems, entries: Vec::new(), seen: HashMap::new() };
        let entries = match &node.value {
            Value::Map(entries) => entries.as_slice(),
            Value::Null => &[],
            other => {
                let message = format!("must be a mapping, this is {}", other.kind());
                fields.problems.error(spot, message, format!("write keys below it: {}", keys.join(", ")));
                return None;
            }
        };
        for entry in entries {
            fields.admit(entry, entries, keys, later);
        }
        Some(fields)
    }

    fn admit(&mut self, entry: &'a Entry, all: &[Entry], keys: &[String], later: &[Later]) {
        let spot = self.spot.key(&entry.key, entry.place);
        if let Some(first) = self.seen.get(entry.key.as_str()) {
            let message = format!("the key stands here a second time (first in line {})", first.line);
            return self.problems.error(&spot, message, "remove one of the two");
        }
        self.seen.insert(&entry.key, entry.place);
        if keys.contains(&entry.key) {
            return self.entries.push((entry, entry.key.clone()));
        }
        if let Some((_, cure)) = later.iter().find(|(key, _)| *key == entry.key) {
            return self.problems.error(&spot, "not in this version of tidegate", *cure);
        }
        match nearest(&entry.key, keys.iter().map(String::as_str)) {
            Some(meant) => {
                self.problems.error(&spot, "unknown key", format!("did you mean `{meant}`?"));
                if !all.iter().any(|e| e.key == meant) {
                    self.entries.push((entry, meant.to_owned()));
                }
            }
            None => self.problems.error(&spot, "unknown key", format!("remove it; known here: {}", keys.join(", "))),
        }
    }

    /// Reads the value of a key, if it is there.
    pub fn optional<T: Read>(&mut self, key: &str) -> Option<At<T>> {
        let (entry, _) = self.entries.iter().find(|(_, name)| name == key)?;
        let spot = self.spot.key(&entry.key, entry.value.place);
        if entry.value.value == Value::Null && !T::NULL_IS_EMPTY {
            return None;
        }
        At::read(&entry.value, &spot, self.problems)
    }

    /// Reads the value of a key that must be there; `example` shows how it is written.
    pub fn required<T: Read>(&mut self, key: &str, example: &str) -> Option<At<T>> {
        let filled =
            self.entries.iter().any(|(e, name)| name == key && (T::NULL_IS_EMPTY || e.value.value != Value::Null));
        if !filled {
            let spot = self.spot.key(key, self.spot.place);
            self.problems.error(&spot, "is missing", format!("add `{example}`"));
        }
        self.optional(key)
    }
}

/// `target_port` as it is written in the file: `targetPort`.
pub fn camel(field: &str) -> String {
    let mut upper = false;
    let mut written = String::with_capacity(field.len());
    for c in field.chars() {
        if c == '_' {
            upper = true;
        } else {
            written.push(if std::mem::take(&mut upper) { c.to_ascii_uppercase() } else { c });
        }
    }
    written
}

/// Declares a section of the file once: its keys (camelCase of the field names), their documentation,
/// which of them must be there (with an example), and those that a later version will have.
/// The reader and the JSON Schema both come from this declaration.
macro_rules! section {
    (
        $(#[$meta:meta])*
        pub struct $name:ident;
        required { $($(#[$rmeta:meta])* $rfield:ident: $rtype:ty = $example:literal,)* }
        optional { $($(#[$ometa:meta])* $ofield:ident: $otype:ty,)* }
        later { $($key:literal => $cure:literal,)* }
    ) => {
        #[derive(Clone, Debug, ::schemars::JsonSchema)]
        #[schemars(rename_all = "camelCase", deny_unknown_fields)]
        $(#[$meta])*
        pub struct $name {
            $($(#[$rmeta])* #[schemars(required)] pub $rfield: Option<$crate::config::read::At<$rtype>>,)*
            $($(#[$ometa])* pub $ofield: Option<$crate::config::read::At<$otype>>,)*
        }

        impl $name {
            /// The keys of this section, in the order of their declaration.
            pub fn keys() -> Vec<String> {
                [$(stringify!($rfield),)* $(stringify!($ofield),)*].map($crate::config::read::camel).into()
            }
        }

        impl $crate::config::read::Read for $name {
            const NULL_IS_EMPTY: bool = true;

            fn read(
                node: &$crate::config::tree::Node,
                spot: &$crate::config::problem::Spot,
                problems: &mut $crate::config::problem::Problems,
            ) -> Option<Self> {
                use $crate::config::read::{Fields, camel};
                let keys = Self::keys();
                let later: &[$crate::config::read::Later] = &[$(($key, $cure),)*];
                let mut fields = Fields::open(node, spot, &keys, later, problems)?;
                Some(Self {
                    $($rfield: fields.required(&camel(stringify!($rfield)), $example),)*
                    $($ofield: fields.optional(&camel(stringify!($ofield))),)*
                })
            }
        }
    };
}
pub(crate) use section;
