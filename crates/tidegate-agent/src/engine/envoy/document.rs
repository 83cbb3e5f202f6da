//! Reading the text at the live path: one static bootstrap, taken apart.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};

use serde_json::{Map, Value};
use thiserror::Error;

/// A backend as Envoy knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Member {
    /// Where it is.
    pub address: SocketAddr,
    /// Whether it takes new connections.
    pub active: bool,
}

/// The text's parts.
#[derive(Clone, Debug)]
pub struct Document {
    /// All but listeners and clusters: Envoy reads it once, when it starts.
    pub bootstrap: Map<String, Value>,
    /// Listeners by name.
    pub listeners: BTreeMap<String, Value>,
    /// Clusters by name, without the endpoints of those whose endpoints can be changed.
    pub clusters: BTreeMap<String, Value>,
    /// Endpoints (`load_assignment`) by cluster.
    pub endpoints: BTreeMap<String, Value>,
}

/// A text that is no document of ours.
#[derive(Debug, PartialEq, Eq, Error)]
pub enum DocumentError {
    /// Not JSON.
    #[error("it is not JSON: {0}")]
    Json(String),
    /// Something is missing or of the wrong kind.
    #[error("{0}")]
    Shape(String),
}

/// The JSON below the header.
pub fn body(text: &str) -> &str {
    let mut rest = text;
    while let Some((_, after)) = rest.split_once('\n').filter(|(line, _)| line.is_empty() || line.starts_with('#')) {
        rest = after;
    }
    rest
}

impl Document {
    /// Takes a text apart.
    pub fn parse(text: &str) -> Result<Self, DocumentError> {
        let whole: Value = serde_json::from_str(body(text)).map_err(|e| DocumentError::Json(e.to_string()))?;
        let Value::Object(mut bootstrap) = whole else { return Err(shape("its outermost value is no object")) };
        if bootstrap.contains_key("dynamic_resources") {
            return Err(shape("it has dynamic_resources, which tidegate makes itself of static_resources"));
        }
        let Some(Value::Object(mut resources)) = bootstrap.remove("static_resources") else {
            return Err(shape("it has no static_resources"));
        };
        let listeners = by_name("listeners", resources.remove("listeners"))?;
        let mut clusters = by_name("clusters", resources.remove("clusters"))?;
        if let Some(other) = resources.keys().next() {
            return Err(shape(format!("static_resources.{other} is not supported")));
        }
        let movable = |cluster: &Value| cluster.get("type").is_none_or(|kind| kind == "STATIC" || kind == "EDS");
        let mut endpoints = BTreeMap::new();
        for (name, cluster) in clusters.iter_mut().filter(|(_, cluster)| movable(cluster)) {
            let assignment = cluster.as_object_mut().and_then(|cluster| cluster.remove("load_assignment"));
            let assignment = assignment.ok_or_else(|| shape(format!("cluster {name} has no load_assignment")))?;
            endpoints.insert(name.clone(), assignment);
        }
        Ok(Self { bootstrap, listeners, clusters, endpoints })
    }
}

fn shape(what: impl Into<String>) -> DocumentError {
    DocumentError::Shape(what.into())
}

fn by_name(kind: &str, list: Option<Value>) -> Result<BTreeMap<String, Value>, DocumentError> {
    let list = match list {
        None => return Ok(BTreeMap::new()),
        Some(Value::Array(list)) => list,
        Some(_) => return Err(shape(format!("static_resources.{kind} is no list"))),
    };
    let mut named = BTreeMap::new();
    for resource in list {
        let name = resource.get("name").and_then(Value::as_str).map(str::to_owned);
        let name = name.filter(|name| is_plain(name)).ok_or_else(|| {
            shape(format!("one of static_resources.{kind} has no name, or one of other than letters, digits and ._-"))
        })?;
        if named.insert(name.clone(), resource).is_some() {
            return Err(shape(format!("two of static_resources.{kind} are called {name}")));
        }
    }
    Ok(named)
}

/// A name that is a file's name as well, and the same in Envoy's statistics.
fn is_plain(name: &str) -> bool {
    let allowed = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    !name.is_empty() && name.len() <= 128 && !name.starts_with('.') && name.chars().all(allowed)
}

/// The backends of a `load_assignment` or of Envoy's dump of one; those that have no address and port are left out.
pub fn members(assignment: &Value) -> BTreeSet<Member> {
    endpoints(assignment).filter_map(member).collect()
}

/// Where a listener of TCP is bound; nothing for other kinds of addresses.
pub fn bound(listener: &Value) -> Option<SocketAddr> {
    let socket = listener.pointer("/address/socket_address")?;
    let udp = socket.get("protocol").and_then(Value::as_str) == Some("UDP");
    if udp { None } else { socket_address(socket) }
}

/// Whether it holds nothing but addresses, ports and health of known kinds: then no checker has to see it.
pub fn is_typed(assignment: &Value) -> bool {
    endpoints(assignment).all(|endpoint| {
        let Some(Member { address, active }) = member(endpoint) else { return false };
        let health = if active { "HEALTHY" } else { "DRAINING" };
        let socket = serde_json::json!({ "address": address.ip().to_string(), "port_value": address.port() });
        let plain =
            serde_json::json!({ "health_status": health, "endpoint": { "address": { "socket_address": socket } } });
        *endpoint == plain
    })
}

fn endpoints(assignment: &Value) -> impl Iterator<Item = &Value> {
    let localities = assignment.get("endpoints").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    localities.iter().flat_map(|locality| {
        locality.get("lb_endpoints").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
    })
}

fn member(endpoint: &Value) -> Option<Member> {
    let address = socket_address(endpoint.pointer("/endpoint/address/socket_address")?)?;
    let health = endpoint.get("health_status").and_then(Value::as_str).unwrap_or("UNKNOWN");
    // A draining endpoint is dumped as UNHEALTHY.
    Some(Member { address, active: matches!(health, "UNKNOWN" | "HEALTHY" | "DEGRADED") })
}

fn socket_address(socket: &Value) -> Option<SocketAddr> {
    let ip: IpAddr = socket.get("address")?.as_str()?.parse().ok()?;
    let port = u16::try_from(socket.get("port_value")?.as_u64()?).ok()?;
    Some(SocketAddr::new(ip, port))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = r#"# header
# more

{ "admin": {}, "static_resources": { "listeners": [ { "name": "http" } ], "clusters": [
  { "name": "http", "type": "STATIC", "load_assignment": { "cluster_name": "http", "endpoints": [ { "lb_endpoints": [
    { "health_status": "HEALTHY", "endpoint": { "address": { "socket_address": { "address": "10.0.0.1", "port_value": 80 } } } },
    { "health_status": "DRAINING", "endpoint": { "address": { "socket_address": { "address": "fd00::1", "port_value": 80 } } } }
  ] } ] } },
  { "name": "dns", "type": "STRICT_DNS", "load_assignment": {} } ] } }
"#;

    #[test]
    fn a_document_is_taken_apart() {
        let document = Document::parse(TEXT).unwrap();
        assert_eq!(document.bootstrap.keys().collect::<Vec<_>>(), ["admin"]);
        assert_eq!(document.listeners.keys().collect::<Vec<_>>(), ["http"]);
        assert!(document.clusters["http"].get("load_assignment").is_none());
        assert!(document.clusters["dns"].get("load_assignment").is_some(), "names are resolved by the cluster itself");
        let members = members(&document.endpoints["http"]);
        let expected = [("10.0.0.1:80", true), ("[fd00::1]:80", false)];
        assert_eq!(members, expected.map(|(a, active)| Member { address: a.parse().unwrap(), active }).into());
        assert!(is_typed(&document.endpoints["http"]));
        let at = |more: &str| -> Value {
            let text = format!(r#"{{"address":{{"socket_address":{{"address":"::","port_value":80{more}}}}}}}"#);
            serde_json::from_str(&text).unwrap()
        };
        assert_eq!(bound(&at("")), Some("[::]:80".parse().unwrap()));
        assert_eq!(bound(&at(r#","protocol":"UDP""#)), None);
    }

    #[test]
    fn endpoints_with_more_than_typed_values_are_told_apart() {
        for (from, to) in
            [("HEALTHY\"", "HEALTHY\", \"load_balancing_weight\": 3"), ("10.0.0.1", "a.example"), ("80 }", "70000 }")]
        {
            let document = Document::parse(&TEXT.replacen(from, to, 1)).unwrap();
            assert!(!is_typed(&document.endpoints["http"]), "{to}");
        }
    }

    #[test]
    fn what_cannot_be_driven_is_refused_with_the_reason() {
        let refused = [
            ("{", "not JSON"),
            ("[]", "no object"),
            ("{}", "no static_resources"),
            (r#"{"static_resources":{},"dynamic_resources":{}}"#, "dynamic_resources"),
            (r#"{"static_resources":{"secrets":[]}}"#, "secrets"),
            (r#"{"static_resources":{"listeners":[{"name":"../x"}]}}"#, "letters"),
            (r#"{"static_resources":{"listeners":[{"name":"a"},{"name":"a"}]}}"#, "two"),
            (r#"{"static_resources":{"clusters":[{"name":"a"}]}}"#, "load_assignment"),
        ];
        for (text, reason) in refused {
            let error = Document::parse(text).unwrap_err().to_string();
            assert!(error.contains(reason), "{text}: {error}");
        }
    }
}
