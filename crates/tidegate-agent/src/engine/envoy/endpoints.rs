//! The endpoints of a cluster: read once, quickly, because there may be thousands.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};

use serde::Deserialize;
use serde_json::Value;
use tidegate_core::node::Weight;

use super::document::{DocumentError, socket_address};

/// A backend as Envoy knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Member {
    /// Where it is.
    pub address: SocketAddr,
    /// Whether it takes new connections.
    pub active: bool,
    /// Its share of new connections: 1 unless it says something else.
    pub weight: u32,
}

/// A `load_assignment`.
#[derive(Clone, Debug)]
pub struct Endpoints {
    /// As JSON.
    pub json: String,
    /// Those that have an address and a port.
    pub members: BTreeSet<Member>,
    /// Whether it holds nothing but addresses, ports, weights and health of known kinds: then no checker has to see it.
    pub typed: bool,
}

/// Of typed values and nothing else.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Assignment<'a> {
    cluster_name: &'a str,
    endpoints: Vec<Locality>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Locality {
    lb_endpoints: Vec<LbEndpoint>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct LbEndpoint {
    health_status: Health,
    #[serde(default)]
    load_balancing_weight: Weight,
    endpoint: Endpoint,
}

#[derive(Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
enum Health {
    Healthy,
    Draining,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Endpoint {
    address: Address,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Address {
    socket_address: Socket,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Socket {
    address: IpAddr,
    port_value: u16,
}

impl Endpoints {
    /// Those of a cluster.
    pub fn parse(cluster: &str, json: &str) -> Result<Self, DocumentError> {
        let typed = serde_json::from_str::<Assignment<'_>>(json).ok().filter(|list| list.cluster_name == cluster);
        let (members, typed) = if let Some(list) = typed {
            (list.members(), true)
        } else {
            let list: Value = serde_json::from_str(json).map_err(|e| DocumentError::Json(e.to_string()))?;
            (members(&list), false)
        };
        Ok(Self { json: compact(json), members, typed })
    }
}

impl Assignment<'_> {
    fn members(&self) -> BTreeSet<Member> {
        let member = |endpoint: &LbEndpoint| {
            let Socket { address, port_value } = endpoint.endpoint.address.socket_address;
            Member {
                address: SocketAddr::new(address, port_value),
                active: matches!(endpoint.health_status, Health::Healthy),
                weight: endpoint.load_balancing_weight.get().into(),
            }
        };
        self.endpoints.iter().flat_map(|locality| &locality.lb_endpoints).map(member).collect()
    }
}

/// The backends of a `load_assignment` or of Envoy's dump of one; those that have no address and port are left out.
pub fn members(assignment: &Value) -> BTreeSet<Member> {
    list(assignment, "endpoints")
        .iter()
        .flat_map(|locality| list(locality, "lb_endpoints"))
        .filter_map(member)
        .collect()
}

fn list<'a>(value: &'a Value, name: &str) -> &'a [Value] {
    value.get(name).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
}

fn member(endpoint: &Value) -> Option<Member> {
    let address = socket_address(endpoint.pointer("/endpoint/address/socket_address")?)?;
    let health = endpoint.get("health_status").and_then(Value::as_str).unwrap_or("UNKNOWN");
    let weight = endpoint.get("load_balancing_weight").and_then(Value::as_u64);
    let weight = weight.map_or(1, |weight| u32::try_from(weight).unwrap_or(u32::MAX));
    // A draining endpoint is dumped as UNHEALTHY.
    Some(Member { address, active: matches!(health, "UNKNOWN" | "HEALTHY" | "DEGRADED"), weight })
}

/// The same JSON without the spaces that are for people: half of it, and Envoy reads it in less time.
fn compact(json: &str) -> String {
    let mut compact = String::with_capacity(json.len());
    let (mut from, mut quoted, mut escaped) = (0, false, false);
    for (at, byte) in json.bytes().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            space if !quoted && space.is_ascii_whitespace() => {
                compact.push_str(json.get(from..at).unwrap_or_default());
                from = at + 1;
            }
            _ => {}
        }
    }
    compact.push_str(json.get(from..).unwrap_or_default());
    compact
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn compact_json_means_the_same(texts in prop::collection::vec(".*", 0..4), numbers in prop::collection::vec(any::<i32>(), 0..4)) {
            let value = serde_json::json!({ "a b": texts, "c": [ numbers, { "d": "\\\" \\" } ] });
            let pretty = serde_json::to_string_pretty(&value).unwrap();
            prop_assert_eq!(compact(&pretty), value.to_string());
        }
    }
}
