//! Desired states as they go over the wire.

use tidegate_core::desired::DesiredState;

/// Everything that a state can hold, with a hash that matches.
pub fn rich() -> DesiredState {
    with_its_hash(
        r#"{"cluster":"prod","term":3,"revision":17,"hash":"HASH","listeners":[
        {"name":"https","bind":"0.0.0.0:443","protocol":"tcp","targetPort":30443,"balance":"leastConnections",
         "proxyProtocol":"v2","sourceRanges":["10.0.0.0/8","192.0.2.7/32","fd00::/8"],"allowEmpty":false,
         "limits":{"idleTimeoutMillis":90000,"connectTimeoutMillis":1500,"maxConnections":1000}},
        {"name":"dns","bind":"[::]:53","protocol":"udp","targetPort":30053,"balance":"source","proxyProtocol":"none",
         "sourceRanges":[],"allowEmpty":true}],
        "pools":{"https":[{"node":"w1.example.com","address":"10.0.0.1","port":30443,"state":"active"},
          {"node":"w2","address":"10.0.0.2","port":30443,"state":"draining","deadline":"2026-11-24T12:00:00Z"}],
         "dns":[{"node":"w3","address":"fd00::3","port":30053,"state":"active"}]}}"#,
    )
}

/// The least that a state holds.
pub fn plain() -> DesiredState {
    with_its_hash(
        r#"{"cluster":"c","term":1,"revision":1,"hash":"HASH","listeners":[{"name":"http","bind":"127.0.0.1:80",
        "protocol":"tcp","targetPort":80,"balance":"roundRobin","proxyProtocol":"none","sourceRanges":[],"allowEmpty":false}],
        "pools":{"http":[{"node":"a","address":"127.0.0.1","port":80,"state":"active"}]}}"#,
    )
}

fn with_its_hash(json: &str) -> DesiredState {
    let mut state: DesiredState = serde_json::from_str(&json.replace("HASH", &"0".repeat(64))).unwrap();
    state.hash = state.content_hash();
    state
}

/// Words of a state.
pub const WORDS: &[&str] = &[
    "cluster",
    "term",
    "revision",
    "hash",
    "listeners",
    "pools",
    "name",
    "bind",
    "protocol",
    "targetPort",
    "balance",
    "proxyProtocol",
    "sourceRanges",
    "allowEmpty",
    "limits",
    "idleTimeoutMillis",
    "connectTimeoutMillis",
    "maxConnections",
    "node",
    "address",
    "port",
    "state",
    "deadline",
    "active",
    "draining",
    "tcp",
    "udp",
    "roundRobin",
    "source",
    "v1",
    "10.0.0.1",
    "::1",
    "[::]:0",
    "::ffff:10.0.0.1",
    "0.0.0.0/0",
    "2026-11-24T12:00:00Z",
    "-009999-01-01T00:00:00Z",
    ",\"limits\":{}",
    "sha256",
];
