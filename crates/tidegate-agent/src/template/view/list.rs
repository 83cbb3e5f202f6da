//! Lists of thousands as templates see them: attributes are made when a template asks for them, and lines that a partial
//! writes for each item are kept for the next render, so that it costs what changed.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use minijinja::value::{Enumerator, Object, ObjectRepr};
use minijinja::{Error, ErrorKind, State, Value};
use serde::{Serialize, Serializer};
use tidegate_core::desired::Listener;

/// How many items may have gone in a row for the next one to be found again.
const AHEAD: usize = 64;
/// Lists whose lines are kept: two for each listener.
const LISTS: usize = 256;

/// What a list holds.
pub trait Item: Clone + PartialEq + fmt::Debug + Send + Sync + 'static {
    /// What a partial calls it.
    const NAME: &'static str;
    /// Names of its attributes.
    const ATTRIBUTES: &'static [&'static str];

    /// An attribute; nothing when it has none of this name.
    fn attribute(&self, name: &str) -> Option<Value>;
}

/// A list in templates; `list.lines(",")` is what the engine's partial writes for each item, with this between two (commas
/// and white space only).
#[derive(Clone, Debug)]
pub struct List<T>(Arc<Items<T>>);

#[derive(Debug)]
struct Items<T> {
    items: Vec<T>,
    lines: Option<Lines<T>>,
}

/// How lines of a list are written.
#[derive(Clone, Debug)]
pub struct Lines<T> {
    /// Where they are kept.
    memo: Memo<T>,
    listener: Listener,
    about: Value,
    draining: bool,
}

/// Text that a partial of ours wrote: of values that were vetted.
#[derive(Debug)]
pub struct Text(String);

impl Text {
    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl<T: Item> List<T> {
    /// These; `lines`: nothing when the engine has no partial for them.
    pub fn of(items: Vec<T>, lines: Option<Lines<T>>) -> Self {
        Self(Arc::new(Items { items, lines }))
    }

    /// How many.
    pub fn len(&self) -> usize {
        self.0.items.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.items.is_empty()
    }
}

/// minijinja hands values of its own through unchanged.
impl<T: Item> Serialize for List<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Value::from_dyn_object(self.0.clone()).serialize(serializer)
    }
}

impl<T: Item> Object for Items<T> {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Seq
    }

    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        self.items.get(key.as_usize()?).map(|item| Value::from_object(View(item.clone())))
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        Enumerator::Seq(self.items.len())
    }

    fn call_method(self: &Arc<Self>, state: &mut State<'_, '_>, method: &str, args: &[Value]) -> Result<Value, Error> {
        let Some(lines) = self.lines.as_ref().filter(|_| method == "lines") else {
            return Err(Error::from(ErrorKind::UnknownMethod));
        };
        let between = args.first().map_or(Some(""), Value::as_str).filter(|text| text.chars().all(is_between));
        let between = between.ok_or_else(|| {
            Error::new(ErrorKind::InvalidOperation, "between lines there may be commas and white space only")
        })?;
        lines.of(&self.items, between, state).map(|text| Value::from_object(Text(text)))
    }
}

fn is_between(c: char) -> bool {
    c == ',' || c.is_ascii_whitespace()
}

impl Object for Text {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Plain
    }
}

#[derive(Debug)]
struct View<T>(T);

impl<T: Item> Object for View<T> {
    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        self.0.attribute(key.as_str()?)
    }

    fn get_value_by_str(self: &Arc<Self>, key: &str) -> Option<Value> {
        self.0.attribute(key)
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        Enumerator::Str(T::ATTRIBUTES)
    }
}

/// The lines of earlier renders of one engine.
#[derive(Debug)]
pub struct Memo<T>(Arc<Kept<T>>);

#[derive(Debug)]
struct Kept<T> {
    partial: &'static str,
    written: Mutex<Vec<Written<T>>>,
}

/// The lines of one list.
#[derive(Debug)]
struct Written<T> {
    listener: Listener,
    draining: bool,
    /// Each with where its line ends.
    items: Vec<(T, usize)>,
    text: String,
}

impl<T> Clone for Memo<T> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<T> Memo<T> {
    /// Of what this partial writes.
    pub fn new(partial: &'static str) -> Self {
        Self(Arc::new(Kept { partial, written: Mutex::default() }))
    }
}

impl<T: Item> Lines<T> {
    /// Of one of a listener's lists; `about`: the listener as the partial sees it.
    pub fn of_listener(memo: &Memo<T>, listener: &Listener, about: &Value, draining: bool) -> Self {
        Self { memo: memo.clone(), listener: listener.clone(), about: about.clone(), draining }
    }

    fn of(&self, items: &[T], between: &str, state: &State<'_, '_>) -> Result<String, Error> {
        let template = state.env().get_template(self.memo.0.partial)?;
        let write = |item: &T| {
            let view = Value::from_object(View(item.clone()));
            let names = [("listener", self.about.clone()), ("draining", Value::from(self.draining)), (T::NAME, view)];
            template.render(Value::from(BTreeMap::from(names)))
        };
        let mut kept = self.memo.0.written.lock().unwrap_or_else(PoisonError::into_inner);
        let same_list = |w: &Written<T>| w.listener.name == self.listener.name && w.draining == self.draining;
        let before = kept.iter().position(same_list).map(|at| kept.remove(at)).filter(|w| w.listener == self.listener);
        let written = self.written(items, before.as_ref(), write)?;
        let text = written.joined(between);
        kept.push(written);
        let surplus = kept.len().saturating_sub(LISTS);
        kept.drain(..surplus);
        Ok(text)
    }

    fn written(
        &self,
        items: &[T],
        before: Option<&Written<T>>,
        write: impl Fn(&T) -> Result<String, Error>,
    ) -> Result<Written<T>, Error> {
        let (listener, draining) = (self.listener.clone(), self.draining);
        let capacity = before.map_or(0, |before| before.text.len() + 1024);
        let mut written = Written {
            listener,
            draining,
            items: Vec::with_capacity(items.len()),
            text: String::with_capacity(capacity),
        };
        // Both are in one order.
        let mut next = 0;
        for item in items {
            let found = before.and_then(|before| before.find(item, next).map(|at| (at, before.line(at))));
            if let Some((at, line)) = found {
                written.text.push_str(line);
                next = at + 1;
            } else {
                written.text.push_str(&write(item)?);
            }
            written.items.push((item.clone(), written.text.len()));
        }
        Ok(written)
    }
}

impl<T: Item> Written<T> {
    fn find(&self, item: &T, from: usize) -> Option<usize> {
        let known = self.items.get(from..)?;
        known.iter().take(AHEAD).position(|(known, _)| known == item).map(|ahead| from + ahead)
    }

    fn line(&self, at: usize) -> &str {
        let end = |at: usize| self.items.get(at).map(|(_, end)| *end);
        let from = at.checked_sub(1).and_then(end).unwrap_or(0);
        end(at).and_then(|end| self.text.get(from..end)).unwrap_or_default()
    }

    fn joined(&self, between: &str) -> String {
        if between.is_empty() {
            return self.text.clone();
        }
        let mut joined = String::with_capacity(self.text.len() + self.items.len() * between.len());
        for at in 0..self.items.len() {
            if at > 0 {
                joined.push_str(between);
            }
            joined.push_str(self.line(at));
        }
        joined
    }
}
