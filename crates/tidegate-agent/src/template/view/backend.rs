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
///   so the same on every machine;
/// * `weight`: its share of new connections, 1 to 100;
/// * `hash_weight`: the same as points of a ring for engines that hash clients to backends (HAProxy), 2 to 256: 16 times the
///   weight, or 8, 4 or 2 times in a pool with a larger weight than 16, 32 or 64. It changes with no other backend's weight
///   but the largest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BackendView {
    /// As it is desired.
    pub backend: Backend,
    /// See above.
    pub number: u32,
    /// See above.
    pub hash_weight: u16,
}

/// Times what a weight of this pool is written where clients are hashed: many points of a ring spread evenly, and HAProxy's
/// weights end at 256.
pub fn hash_factor(pool: &[Backend]) -> u16 {
    match pool.iter().map(|backend| backend.weight.get()).max().unwrap_or(1) {
        0..=16 => 16,
        17..=32 => 8,
        33..=64 => 4,
        65.. => 2,
    }
}

impl Item for BackendView {
    const NAME: &'static str = "backend";
    const ATTRIBUTES: &'static [&'static str] =
        &["node", "address", "ip", "port", "id", "number", "weight", "hash_weight"];

    fn attribute(&self, name: &str) -> Option<Value> {
        let Backend { node, address, port, .. } = &self.backend;
        let vetted = match name {
            "node" => Vetted::from(node),
            "address" => Vetted::socket(*address, *port),
            "ip" => Vetted::from(*address),
            "id" => Vetted::backend_id(*address, *port),
            "port" => return Some(Value::from(*port)),
            "number" => return Some(Value::from(self.number)),
            "weight" => return Some(Value::from(self.backend.weight.get())),
            "hash_weight" => return Some(Value::from(self.hash_weight)),
            _ => return None,
        };
        Some(Value::from_object(vetted))
    }
}
