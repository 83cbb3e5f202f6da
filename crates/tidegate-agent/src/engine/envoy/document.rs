//! Reading the text at the live path: one static bootstrap, taken apart.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};

use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value};
use thiserror::Error;

use super::endpoints::Endpoints;

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
    pub endpoints: BTreeMap<String, Endpoints>,
}

/// A text that is no document of ours.
#[derive(Debug, PartialEq, Eq, Error)]
pub enum DocumentError {
    /// Not JSON.
    #[error("it is not JSON that Envoy could read: {0}")]
    Json(String),
    /// Something is missing or of the wrong kind.
    #[error("{0}")]
    Shape(String),
}

/// Endpoints are most of a text: they are passed over here, and read once, elsewhere.
#[derive(Deserialize)]
struct Whole<'a> {
    #[serde(borrow)]
    static_resources: Option<Resources<'a>>,
    #[serde(flatten)]
    rest: Map<String, Value>,
}

#[derive(Deserialize)]
struct Resources<'a> {
    #[serde(default)]
    listeners: Vec<Value>,
    #[serde(default, borrow)]
    clusters: Vec<Cluster<'a>>,
    #[serde(flatten)]
    rest: Map<String, Value>,
}

#[derive(Deserialize)]
struct Cluster<'a> {
    #[serde(borrow)]
    load_assignment: Option<&'a RawValue>,
    #[serde(flatten)]
    rest: Map<String, Value>,
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
        let text = body(text);
        if !text.trim_start().starts_with('{') {
            return Err(shape("its outermost value is no object"));
        }
        let whole: Whole<'_> = serde_json::from_str(text).map_err(json)?;
        if whole.rest.contains_key("dynamic_resources") {
            return Err(shape("it has dynamic_resources, which tidegate makes itself of static_resources"));
        }
        let resources = whole.static_resources.ok_or_else(|| shape("it has no static_resources"))?;
        if let Some(other) = resources.rest.keys().next() {
            return Err(shape(format!("static_resources.{other} is not supported")));
        }
        let listeners = by_name("listeners", resources.listeners)?;
        let (mut clusters, mut endpoints) = (Vec::new(), BTreeMap::new());
        for cluster in resources.clusters {
            let (cluster, pool) = split(cluster)?;
            endpoints.extend(pool);
            clusters.push(cluster);
        }
        Ok(Self { bootstrap: whole.rest, listeners, clusters: by_name("clusters", clusters)?, endpoints })
    }
}

/// A cluster, and its name with its endpoints when these can be changed.
fn split(cluster: Cluster<'_>) -> Result<(Value, Option<(String, Endpoints)>), DocumentError> {
    let Cluster { load_assignment, mut rest } = cluster;
    let name = rest.get("name").and_then(Value::as_str).unwrap_or_default().to_owned();
    if rest.get("type").is_some_and(|kind| kind != "STATIC" && kind != "EDS") {
        let own = load_assignment.map(|raw| serde_json::from_str(raw.get())).transpose().map_err(json)?;
        rest.extend(own.map(|own: Value| ("load_assignment".to_owned(), own)));
        return Ok((Value::Object(rest), None));
    }
    let raw = load_assignment.ok_or_else(|| shape(format!("cluster {name:?} has no load_assignment")))?;
    let endpoints = Endpoints::parse(&name, raw.get())?;
    Ok((Value::Object(rest), Some((name, endpoints))))
}

#[allow(clippy::needless_pass_by_value, reason = "as map_err hands it over")]
fn json(error: serde_json::Error) -> DocumentError {
    DocumentError::Json(error.to_string())
}

fn shape(what: impl Into<String>) -> DocumentError {
    DocumentError::Shape(what.into())
}

fn by_name(kind: &str, list: Vec<Value>) -> Result<BTreeMap<String, Value>, DocumentError> {
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

/// Where a listener of TCP is bound; nothing for other kinds of addresses.
pub fn bound(listener: &Value) -> Option<SocketAddr> {
    let socket = listener.pointer("/address/socket_address")?;
    let udp = socket.get("protocol").and_then(Value::as_str) == Some("UDP");
    if udp { None } else { socket_address(socket) }
}

/// `{"address": "10.0.0.1", "port_value": 80}`
pub(super) fn socket_address(socket: &Value) -> Option<SocketAddr> {
    let ip: IpAddr = socket.get("address")?.as_str()?.parse().ok()?;
    let port = u16::try_from(socket.get("port_value")?.as_u64()?).ok()?;
    Some(SocketAddr::new(ip, port))
}

#[cfg(test)]
mod tests {
    use super::super::endpoints::Member;
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
        let members = &document.endpoints["http"].members;
        let expected = [("10.0.0.1:80", true), ("[fd00::1]:80", false)];
        assert_eq!(
            *members,
            expected.map(|(a, active)| Member { address: a.parse().unwrap(), active, weight: 1 }).into()
        );
        assert!(document.endpoints["http"].typed);
        let at = |more: &str| -> Value {
            let text = format!(r#"{{"address":{{"socket_address":{{"address":"::","port_value":80{more}}}}}}}"#);
            serde_json::from_str(&text).unwrap()
        };
        assert_eq!(bound(&at("")), Some("[::]:80".parse().unwrap()));
        assert_eq!(bound(&at(r#","protocol":"UDP""#)), None);
    }

    #[test]
    fn endpoints_with_more_than_typed_values_are_told_apart() {
        for (from, to) in [
            ("HEALTHY\"", "HEALTHY\", \"load_balancing_weight\": 101"),
            ("10.0.0.1", "a.example"),
            ("80 }", "70000 }"),
            ("cluster_name\": \"http", "cluster_name\": \"other"),
        ] {
            let document = Document::parse(&TEXT.replacen(from, to, 1)).unwrap();
            assert!(!document.endpoints["http"].typed, "{to}");
        }
    }

    #[test]
    fn what_cannot_be_driven_is_refused_with_the_reason() {
        let refused = [
            ("{", "JSON"),
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
