//! What Envoy is to serve, as the files that it watches; pure.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::path::Path;

use serde_json::{Map, Value, json};
use tidegate_core::hash::ContentHash;

use super::Paths;
use super::document::{Document, DocumentError, bound};
use super::endpoints::Member;

const LISTENER: &str = "type.googleapis.com/envoy.config.listener.v3.Listener";
const CLUSTER: &str = "type.googleapis.com/envoy.config.cluster.v3.Cluster";
const ENDPOINTS: &str = "type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment";

/// Resources of one watched file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Body {
    /// Of the resources.
    pub hash: ContentHash,
    /// Everything behind the version.
    pub text: String,
}

/// What is made of one document.
#[derive(Clone, Debug)]
pub struct Wanted {
    /// What Envoy is started with.
    pub bootstrap: String,
    /// Every listener.
    pub listeners: Body,
    /// Their names.
    pub listener_names: BTreeSet<String>,
    /// Where those of TCP are bound.
    pub binds: Vec<SocketAddr>,
    /// Every cluster.
    pub clusters: Body,
    /// Each cluster as JSON.
    pub each_cluster: BTreeMap<String, String>,
    /// The endpoints of each cluster.
    pub endpoints: BTreeMap<String, Body>,
    /// The backends of each cluster.
    pub members: BTreeMap<String, BTreeSet<Member>>,
    /// Everything that Envoy's checker has an opinion about: endpoints count only when they hold more than typed values.
    pub structure: ContentHash,
}

impl Body {
    /// Of resources as JSON.
    pub fn of<'a>(resources: impl IntoIterator<Item = &'a String>) -> Self {
        let list: Vec<&str> = resources.into_iter().map(String::as_str).collect();
        let text = format!("\"resources\":[{}]}}\n", list.join(",\n"));
        Self { hash: ContentHash::of_bytes(text.as_bytes()), text }
    }
}

impl Wanted {
    /// Of the text at the live path.
    pub fn parse(text: &str, paths: &Paths) -> Result<Self, DocumentError> {
        Ok(Self::of(Document::parse(text)?, paths))
    }

    fn of(document: Document, paths: &Paths) -> Self {
        let bootstrap = bootstrap(document.bootstrap, paths);
        let untyped: Vec<&str> =
            document.endpoints.values().filter(|list| !list.typed).map(|list| list.json.as_str()).collect();
        let binds = document.listeners.values().filter_map(bound).collect();
        let listeners: BTreeMap<String, String> =
            document.listeners.into_iter().map(|(name, listener)| (name, typed(LISTENER, listener))).collect();
        let dynamic = |(name, cluster): (String, Value)| {
            let cluster = if document.endpoints.contains_key(&name) {
                watching(cluster, &paths.endpoints(&name))
            } else {
                cluster
            };
            (name, typed(CLUSTER, cluster))
        };
        let each_cluster: BTreeMap<String, String> = document.clusters.into_iter().map(dynamic).collect();
        let endpoints = document.endpoints.iter();
        let endpoints = endpoints.map(|(name, list)| (name.clone(), Body::of([&typed_text(ENDPOINTS, &list.json)])));
        let (listener_bodies, clusters) = (Body::of(listeners.values()), Body::of(each_cluster.values()));
        let structure = ContentHash::of_json(&(&bootstrap, &listener_bodies.text, &clusters.text, &untyped));
        Self {
            bootstrap,
            listener_names: listeners.keys().cloned().collect(),
            listeners: listener_bodies,
            binds,
            clusters,
            each_cluster,
            endpoints: endpoints.collect(),
            structure,
            members: document.endpoints.into_iter().map(|(name, list)| (name, list.members)).collect(),
        }
    }
}

fn bootstrap(mut bootstrap: Map<String, Value>, paths: &Paths) -> String {
    let dynamic = json!({ "lds_config": source(&paths.listeners()), "cds_config": source(&paths.clusters()) });
    bootstrap.insert("dynamic_resources".to_owned(), dynamic);
    format!("{}\n", Value::Object(bootstrap))
}

/// Only a rename in the watched folder makes Envoy read the file again: it never sees half of one.
fn source(file: &Path) -> Value {
    let folder = file.parent().unwrap_or(file);
    json!({
        "resource_api_version": "V3",
        "path_config_source": { "path": file.to_string_lossy(), "watched_directory": { "path": folder.to_string_lossy() } },
    })
}

/// The same cluster with endpoints that can be changed.
fn watching(mut cluster: Value, file: &Path) -> Value {
    if let Some(cluster) = cluster.as_object_mut() {
        cluster.insert("type".to_owned(), json!("EDS"));
        cluster.insert("eds_cluster_config".to_owned(), json!({ "eds_config": source(file) }));
    }
    cluster
}

/// The same for an object that is text already, without spaces.
fn typed_text(kind: &str, object: &str) -> String {
    let members = object.strip_prefix('{').unwrap_or(object);
    let comma = if members.starts_with('}') { "" } else { "," };
    format!("{{\"@type\":\"{kind}\"{comma}{members}")
}

fn typed(kind: &str, mut resource: Value) -> String {
    if let Some(resource) = resource.as_object_mut() {
        resource.insert("@type".to_owned(), json!(kind));
    }
    resource.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted(endpoint: &str, policy: &str) -> Wanted {
        let text = format!(
            r#"{{ "admin": {{}}, "static_resources": {{ "listeners": [ {{ "name": "http" }} ], "clusters": [ {{ "name": "http",
            "type": "STATIC", "lb_policy": "{policy}", "load_assignment": {{ "cluster_name": "http", "endpoints": [ {{ "lb_endpoints": [ {endpoint} ] }} ] }} }} ] }} }}"#
        );
        Wanted::parse(&text, &Paths::in_dir(Path::new("/s")).unwrap()).unwrap()
    }

    fn plain(ip: &str) -> String {
        format!(
            r#"{{ "health_status": "HEALTHY", "endpoint": {{ "address": {{ "socket_address": {{ "address": "{ip}", "port_value": 80 }} }} }} }}"#
        )
    }

    #[test]
    fn another_backend_changes_its_endpoints_and_nothing_else() {
        let [one, two] = ["10.0.0.1", "10.0.0.2"].map(|ip| wanted(&plain(ip), "ROUND_ROBIN"));
        assert_ne!(one.endpoints["http"], two.endpoints["http"]);
        assert_ne!(one.members, two.members);
        assert_eq!((&one.listeners, &one.clusters, &one.bootstrap), (&two.listeners, &two.clusters, &two.bootstrap));
        assert_eq!(one.structure, two.structure);
    }

    #[test]
    fn whatever_a_checker_could_refuse_changes_the_structure() {
        let one = wanted(&plain("10.0.0.1"), "ROUND_ROBIN");
        assert_ne!(one.structure, wanted(&plain("10.0.0.1"), "RANDOM").structure);
        let weighted = plain("10.0.0.1").replacen('{', r#"{ "load_balancing_weight": 0,"#, 1);
        assert_ne!(one.structure, wanted(&weighted, "ROUND_ROBIN").structure);
    }

    #[test]
    fn another_weight_is_a_change_of_the_endpoints() {
        let weighted =
            |weight: u8| plain("10.0.0.1").replacen('{', &format!(r#"{{ "load_balancing_weight": {weight},"#), 1);
        let [one, other] = [weighted(2), weighted(100)].map(|endpoint| wanted(&endpoint, "ROUND_ROBIN"));
        assert_eq!(one.structure, other.structure);
        assert_ne!(one.endpoints["http"], other.endpoints["http"]);
        assert_eq!(other.members["http"].first().unwrap().weight, 100);
        assert_ne!(one.members, other.members, "an audit compares them");
    }

    #[test]
    fn text_gets_its_type_like_any_object() {
        for object in ["{}", r#"{"a":{"b":"c"}}"#] {
            let by_value = typed("t", serde_json::from_str(object).unwrap());
            assert_eq!(typed_text("t", object), by_value);
        }
    }

    #[test]
    fn files_are_what_envoy_reads() {
        let wanted = wanted(&plain("10.0.0.1"), "ROUND_ROBIN");
        let clusters: Value =
            serde_json::from_str(&format!("{{\"version_info\":\"x\",{}", wanted.clusters.text)).unwrap();
        let cluster = clusters.pointer("/resources/0").unwrap();
        assert_eq!((&cluster["@type"], &cluster["type"]), (&json!(CLUSTER), &json!("EDS")));
        let config = cluster.pointer("/eds_cluster_config/eds_config/path_config_source").unwrap();
        assert_eq!(config["watched_directory"]["path"], "/s/envoy/eds/http");
        let bootstrap: Value = serde_json::from_str(&wanted.bootstrap).unwrap();
        assert!(bootstrap.pointer("/dynamic_resources/cds_config/path_config_source/path").is_some());
        assert!(bootstrap.get("static_resources").is_none());
    }
}
