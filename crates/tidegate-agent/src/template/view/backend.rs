//! Backends as templates see them: objects that make an attribute when a template asks for it.
//!
//! There may be thousands, and a template looks at two or three of the six.

use std::sync::Arc;

use minijinja::Value;
use minijinja::value::{Enumerator, Object};
use serde::{Serialize, Serializer};
use tidegate_core::desired::Backend;

use crate::template::Vetted;

/// Backends in their order; a list in templates, each a [`BackendView`].
#[derive(Clone, Debug)]
pub struct Backends {
    list: Value,
    count: usize,
}

/// One backend.
///
/// * `node`: the node's name;
/// * `address`: address and port: `10.0.0.1:30080`, `[fd00::1]:30080`;
/// * `ip`: the address alone: `10.0.0.1`, `fd00::1`;
/// * `port`: the port alone;
/// * `id`: a name that is this backend's in its pool and no other's: `10-0-0-1_30080`, `fd00--1_30080`;
/// * `number`: a number that is this backend's in its pool and no other's, 1 to 2147483647: made of its address and port,
///   so the same on every machine.
#[derive(Debug)]
struct BackendView {
    backend: Backend,
    number: u32,
}

impl Backends {
    /// These, each with its number.
    pub fn of<'a>(numbered: impl IntoIterator<Item = (&'a Backend, u32)>) -> Self {
        let view = |(backend, number): (&Backend, u32)| {
            Value::from_object(BackendView { backend: backend.clone(), number })
        };
        let list: Vec<Value> = numbered.into_iter().map(view).collect();
        Self { count: list.len(), list: Value::from(list) }
    }

    /// How many.
    pub const fn len(&self) -> usize {
        self.count
    }

    /// Whether there is none.
    pub const fn is_empty(&self) -> bool {
        self.count == 0
    }
}

/// minijinja hands values of its own through unchanged.
impl Serialize for Backends {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.list.serialize(serializer)
    }
}

impl Object for BackendView {
    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        self.get_value_by_str(key.as_str()?)
    }

    fn get_value_by_str(self: &Arc<Self>, key: &str) -> Option<Value> {
        let Backend { node, address, port, .. } = &self.backend;
        let vetted = match key {
            "node" => Vetted::from(node),
            "address" => Vetted::socket(*address, *port),
            "ip" => Vetted::from(*address),
            "id" => Vetted::backend_id(*address, *port),
            "port" => return Some(Value::from(*port)),
            "number" => return Some(Value::from(self.number)),
            _ => return None,
        };
        Some(Value::from_object(vetted))
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        Enumerator::Str(&["node", "address", "ip", "port", "id", "number"])
    }
}

#[cfg(test)]
mod tests {
    use tidegate_core::desired::BackendState;
    use tidegate_core::ids::NodeName;

    use super::*;
    use crate::template::Template;

    #[derive(Serialize)]
    struct Context {
        backends: Backends,
    }

    fn render(source: &str) -> Result<String, String> {
        let backend = Backend {
            node: NodeName::parse("w1").unwrap(),
            address: "fd00::1".parse().unwrap(),
            port: 80,
            state: BackendState::Active,
        };
        let context = Context { backends: Backends::of([(&backend, 7)]) };
        let template = Template::parse(&[], ("main", source)).map_err(|e| e.to_string())?;
        template.render(&Template::context(&context), 1).map_err(|e| e.to_string())
    }

    #[test]
    fn each_attribute_is_there_by_its_name_and_no_other() {
        let all = "{% for b in backends %}{{ b.node }} {{ b.address }} {{ b.ip }} {{ b.port }} {{ b.id }} {{ b.number }}{% endfor %}";
        assert_eq!(render(all).unwrap(), "w1 [fd00::1]:80 fd00::1 80 fd00--1_80 7");
        assert_eq!(render("{{ backends|length }}{{ backends[0]['port'] }}").unwrap(), "180");
        assert!(render("{{ backends[0].weight }}").unwrap_err().contains("undefined"));
        assert!(render("{{ backends[0] }}").unwrap_err().contains("may not be written"));
    }
}
