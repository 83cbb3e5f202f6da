//! What Envoy's admin interface answers, and its bootstrap, which others may have edited.

use serde_json::Value;
use tidegate_agent::engine::envoy::answer::{Stats, epoch, listeners, members};
use tidegate_agent::engine::envoy::document::Document;
use tidegate_agent::engine::envoy::http;
use tidegate_testbed::fuzz::{Target, Verdict};

// Envoy 1.40.0's own words.
const STATS: &str = "cluster.a.version_text: \"e1\"\ncluster_manager.cds.version_text: \"c2\"\nlistener_manager.lds.version_text: \"\"\ncluster.a.membership_total: 2\ncluster.a.update_rejected: 1\ncluster.a.update_failure: 2\nserver.state: 0\nlistener_manager.lds.update_duration: No recorded values\n";
const LISTENERS: &str = r#"{ "configs": [
  { "@type": "type.googleapis.com/envoy.admin.v3.ListenersConfigDump.DynamicListener", "name": "a",
    "active_state": { "version_info": "l3", "listener": {}, "last_updated": "2026-11-24T19:57:50.383Z" } },
  { "@type": "type.googleapis.com/envoy.admin.v3.ListenersConfigDump.DynamicListener", "name": "b",
    "error_state": { "failed_configuration": {}, "details": "cannot bind '127.0.0.1:19199': Address already in use" } } ] }"#;
const ENDPOINTS: &str = r#"{ "configs": [ { "@type": "type.googleapis.com/envoy.admin.v3.EndpointsConfigDump.DynamicEndpointConfig",
  "endpoint_config": { "@type": "type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment", "cluster_name": "a",
    "endpoints": [ { "locality": {}, "lb_endpoints": [
      { "endpoint": { "address": { "socket_address": { "address": "127.0.0.1", "port_value": 19001 } } }, "health_status": "HEALTHY" },
      { "endpoint": { "address": { "socket_address": { "address": "::1", "port_value": 19002 } } }, "health_status": "UNHEALTHY" } ] } ] } } ] }"#;
const SERVER_INFO: &str = r#"{"version":"x","command_line_options":{"base_id":"0","restart_epoch":2}}"#;

const FILE: &str = r#"# a header
{ "node": { "id": "x", "cluster": "y" }, "static_resources": {
  "listeners": [ { "name": "http", "address": { "socket_address": { "address": "0.0.0.0", "port_value": 80 } } } ],
  "clusters": [ { "name": "http", "type": "STATIC", "load_assignment": { "cluster_name": "http", "endpoints": [ { "lb_endpoints": [
     { "health_status": "HEALTHY", "endpoint": { "address": { "socket_address": { "address": "10.0.0.1", "port_value": 80 } } } } ] } ] } },
   { "name": "own", "type": "STRICT_DNS", "load_assignment": { "cluster_name": "own", "endpoints": [] } } ] } }
"#;

const WORDS: &[&str] = &[
    "\"configs\":",
    "\"endpoint_config\":",
    "\"cluster_name\":",
    "\"endpoints\":",
    "\"lb_endpoints\":",
    "\"address\":",
    "\"socket_address\":",
    "\"port_value\":",
    "\"health_status\":",
    "\"DRAINING\"",
    "\"name\":",
    "\"type\":",
    "\"EDS\"",
    "\"static_resources\":",
    "\"dynamic_resources\":",
    "\"load_assignment\":",
    "\"restart_epoch\":",
    "HTTP/1.1 200 OK",
    "\r\n\r\n",
    "transfer-encoding: chunked\r\n",
    "content-length: ",
    "ffffffffffffffff\r\n",
    "0\r\n\r\n",
    "10.0.0.1",
];

pub fn answers() -> Target {
    let whole = |body: &str| format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}", body.len());
    let chunked = |body: &str| {
        format!("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n{:x}\r\n{body}\r\n0\r\n\r\n", body.len())
    };
    let bodies = [STATS, LISTENERS, ENDPOINTS, SERVER_INFO];
    let plain = bodies.iter().map(|body| format!("HTTP/1.1 200 OK\r\n\r\n{body}"));
    let all = plain.chain(bodies.iter().map(|body| whole(body))).chain(bodies.iter().map(|body| chunked(body)));
    let corpus = all.map(String::into_bytes).collect();
    Target { name: "envoy-answers", corpus, dictionary: WORDS, check: Box::new(answer) }
}

pub fn files() -> Target {
    let corpus = vec![FILE.as_bytes().to_vec()];
    Target { name: "envoy-files", corpus, dictionary: WORDS, check: Box::new(file) }
}

fn answer(input: &[u8]) -> Verdict {
    let Some(answer) = http::parse(input) else { return Verdict::Refused("no HTTP".to_owned()) };
    assert!(answer.body.len() <= input.len(), "the body is longer than the answer");
    let body = match String::from_utf8(answer.body) {
        Ok(body) => body,
        Err(error) => return Verdict::Refused(error.to_string()),
    };
    let stats = Stats::parse(&body);
    assert!(stats.version("cluster.a").is_none_or(|version| body.contains(version)), "a version that nobody said");
    // Sums of what Envoy says must not overflow.
    _ = (stats.total(), stats.refusals("cluster.a"), stats.is_live());
    let read = (listeners(&body), members(&body), epoch(&body));
    if let (Ok(listeners), Ok(members), _) = &read {
        let found = listeners.len() + members.values().map(std::collections::BTreeSet::len).sum::<usize>();
        assert!(found <= body.len(), "more than the answer has bytes");
    }
    if stats.is_live() || read.2.is_ok() { Verdict::Accepted } else { Verdict::of(&read.1) }
}

fn file(input: &[u8]) -> Verdict {
    let text = String::from_utf8_lossy(input);
    let document = Document::parse(&text);
    if let Ok(document) = &document {
        for (name, endpoints) in &document.endpoints {
            assert!(document.clusters.contains_key(name), "endpoints of {name:?}, which is no cluster");
            let list: Value = serde_json::from_str(&endpoints.json).expect("endpoints are JSON");
            assert!(!endpoints.typed || list.get("cluster_name").and_then(Value::as_str) == Some(name), "{list}");
        }
        assert!(!document.bootstrap.contains_key("dynamic_resources"));
    }
    Verdict::of(&document)
}
