//! Backends in templates.

use minijinja::Value;
use tidegate_core::desired::Backend;

use super::list::{Item, List, Memo};
use crate::template::Vetted;

/// Backends in their order.
pub type Backends = List<BackendView>;
/// Lines about backends.
pub type BackendMemo = Memo<BackendView>;

/// One backend.
///
/// * `node`: the node's name;
/// * `address`: address and port: `10.0.0.1:30080`, `[fd00::1]:30080`;
/// * `ip`: the address alone: `10.0.0.1`, `fd00::1`;
/// * `port`: the port alone;
/// * `id`: a name that is this backend's in its pool and no other's: `10-0-0-1_30080`, `fd00--1_30080`;
/// * `number`: a number that is this backend's in its pool and no other's, 1 to 2147483647: made of its address and port,
///   so the same on every machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BackendView {
    /// As it is desired.
    pub backend: Backend,
    /// See above.
    pub number: u32,
}

impl Item for BackendView {
    const NAME: &'static str = "backend";
    const ATTRIBUTES: &'static [&'static str] = &["node", "address", "ip", "port", "id", "number"];

    fn attribute(&self, name: &str) -> Option<Value> {
        let Backend { node, address, port, .. } = &self.backend;
        let vetted = match name {
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
}
