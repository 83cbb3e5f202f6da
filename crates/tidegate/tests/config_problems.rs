//! Every mistake in a configuration file: its line, its path, what is wrong, and the cure.
// Helpers of tests may fail as tests do.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use std::path::Path;

use rstest::rstest;
use tidegate::config::Role;
use tidegate::config::load::{Examined, examine_text, load_controller, load_run};
use tidegate::config::problem::Severity;
use tidegate_core::zones::Zones;

fn examine(text: &str, role: Option<Role>) -> Vec<String> {
    let Examined { problems, .. } = examine_text(text, Path::new("/etc/tidegate"), role, false);
    problems.iter().map(ToString::to_string).collect()
}

const GOOD: &str = r#"cluster: { name: prod }
store: { sqlite: {} }
listeners:
  - { name: http, bind: "0.0.0.0:80", targetPort: 80 }
agent: { engine: { nginx: {} } }
"#;

#[test]
fn a_good_file_has_no_problem() {
    assert_eq!(examine(GOOD, None), Vec::<String>::new());
}

/// A slip that is repeated is one slip; and whoever has thousands of them gets an answer.
#[test]
fn an_unknown_key_that_is_repeated_is_told_as_such() {
    let found = examine(&format!("{GOOD}resnyc: 60s\nresnyc: 60s\n"), None);
    assert_eq!(
        found,
        [
            "6:1: resnyc: unknown key; cure: did you mean `resync`?",
            "7:1: resnyc: the key stands here a second time (first in line 6); cure: remove one of the two"
        ]
    );
    let many = examine(&format!("{GOOD}{}", "luster: 1\n".repeat(20_000)), None);
    assert_eq!(many.len(), 20_000);
}

/// The good file with more keys, and the one problem that they make.
#[rstest]
#[case(
    "resync: 60",
    "6:9: resync: \"60\" is not a duration; cure: write a whole number and its unit, ms, s, m or h: 250ms, 30s, 2m"
)]
#[case("resync: 2h", "6:9: resync: is out of bounds; cure: write 1s to 1h; 60s suits most clusters")]
#[case("resync: [1s]", "6:9: resync: must be a single value, this is a list; cure: write one value")]
#[case("resnyc: 60s", "6:1: resnyc: unknown key; cure: did you mean `resync`?")]
#[case(
    "weights: {}",
    "6:1: weights: unknown key; cure: remove it; known here: cluster, nodes, resync, store, listeners, loadBalancers, agent, leaderElection, api"
)]
#[case(
    "cluster: { name: b }",
    "6:1: cluster: the key stands here a second time (first in line 1); cure: remove one of the two"
)]
#[case(
    "leaderElection: { enabled: true }",
    "6:28: leaderElection.enabled: `tidegate run` is the only controller of its load balancer: there is nobody to elect; cure: remove it; or use `tidegate controller` with store.mongodb and `tidegate agent`"
)]
#[case(
    "leaderElection: { lease: Tidegate }",
    "6:26: leaderElection.lease: \"Tidegate\" is no name of a Kubernetes object; cure: write a short name of a-z, 0-9 and '-'"
)]
#[case(
    "leaderElection: { namespace: kube_system }",
    "6:30: leaderElection.namespace: \"kube_system\" is no name of a Kubernetes object; cure: write a short name of a-z, 0-9 and '-'"
)]
#[case(
    "leaderElection: { leaseDuration: 10s }",
    "6:34: leaderElection.leaseDuration: leaseDuration (10s) must be longer than renewDeadline (10s); cure: the others must wait longer than a silent leader acts: write 15s and 10s"
)]
#[case(
    "leaderElection: { renewDeadline: 15s }",
    "6:34: leaderElection.renewDeadline: leaseDuration (15s) must be longer than renewDeadline (15s); cure: the others must wait longer than a silent leader acts: write 15s and 10s"
)]
#[case(
    "leaderElection: { retryPeriod: 9s }",
    "6:32: leaderElection.retryPeriod: renewDeadline (10s) must be more than 1.2 times retryPeriod (9s); cure: leave time for a few tries: write 10s and 2s"
)]
#[case(
    "leaderElection: { renewDeadline: 2400ms }",
    "6:34: leaderElection.renewDeadline: renewDeadline (2400ms) must be more than 1.2 times retryPeriod (2s); cure: leave time for a few tries: write 10s and 2s"
)]
#[case(
    "leaderElection: { retryPeriod: 0s }",
    "6:32: leaderElection.retryPeriod: is too short: every replica would keep the API server busy; cure: write 2s"
)]
#[case(
    "leaderElection: { leaseDuration: 15500ms }",
    "6:34: leaderElection.leaseDuration: a Lease lasts whole seconds; cure: write 15s"
)]
#[case(
    "nodes: { finalizer: { deadline: 6m } }",
    "6:33: nodes.finalizer.deadline: is out of bounds; cure: write at most 5m, and more than 0s"
)]
#[case(
    "nodes: { finalizer: { deadline: 0s } }",
    "6:33: nodes.finalizer.deadline: is out of bounds; cure: write at most 5m, and more than 0s"
)]
#[case(
    "nodes: { finalizer: { deadline: 20s } }",
    "6:33: warning: nodes.finalizer.deadline: a deleted Node is released before its drain of 30s ends; cure: make it longer than nodes.drainTimeout"
)]
#[case(
    "nodes: { finalizer: { enable: false } }",
    "6:23: nodes.finalizer.enable: unknown key; cure: did you mean `enabled`?"
)]
#[case(
    "nodes: { notReady: drian }",
    "6:20: nodes.notReady: \"drian\" is none of drain, probe, remove; cure: did you mean drain?"
)]
#[case(
    "nodes: { selector: \"a of (b)\" }",
    "6:20: nodes.selector: label selector \"a of (b)\": \"of\" is not an operator; use in or notin; cure: write it as for `kubectl get nodes -l`: role=worker,zone in (a,b),!gpu"
)]
#[case(
    "nodes: { ipFamilies: ipv4 }",
    "6:22: nodes.ipFamilies: must be a list, this is a single value; cure: write each item on its own line after '- ', or all of them as [a, b]"
)]
#[case(
    "nodes: { ipFamilies: [] }",
    "6:22: nodes.ipFamilies: is empty: no node would have an address; cure: write [ipv4] or [ipv4, ipv6]"
)]
#[case(
    "nodes: { ipFamilies: [ipv4, ipv4] }",
    "6:29: nodes.ipFamilies[1]: stands in the list twice; cure: remove one of the two"
)]
#[case(
    "nodes: { ipFamilies: [v4] }",
    "6:23: nodes.ipFamilies[0]: \"v4\" is none of ipv4, ipv6; cure: write one of ipv4, ipv6"
)]
#[case(
    "nodes: { addressType: internalIP }",
    "6:23: nodes.addressType: \"internalIP\" is none of InternalIP, ExternalIP; cure: did you mean InternalIP?"
)]
#[case(
    "nodes: { drainOnCordon: yes }",
    "6:25: nodes.drainOnCordon: \"yes\" is not a boolean; cure: write true or false, without quotes"
)]
#[case(
    "nodes: { drainTaints: [\"a=b:NoSchedule\"] }",
    "6:24: nodes.drainTaints[0]: \"a=b:NoSchedule\" is not a taint key; cure: write only the key, without =VALUE:EFFECT: example.com/maintenance"
)]
#[case(
    "nodes: worker",
    "6:8: nodes: must be a mapping, this is a single value; cure: write keys below it: selector, addressType, ipFamilies, notReady, joinDelay, drainTimeout, drainOnCordon, ignoreExcludeLabel, drainTaints, finalizer"
)]
#[case("api: { tokenFile: \"\" }", "6:19: api.tokenFile: \"\" is not a path; cure: write the path of a file")]
#[case(
    "api: { listen: localhost:8685 }",
    "6:16: api.listen: \"localhost:8685\" is not an address and port; cure: write an IP address, not a name: \"10.0.0.1:80\""
)]
#[case(
    "api: { listen: \"0.0.0.0:80\" }",
    "4:25: listeners[0].bind: 0.0.0.0:80 overlaps 0.0.0.0:80, where the API of this process listens; cure: use another port here or in api.listen"
)]
#[case(
    "loadBalancers: [{ name: lb-1, url: \"https://10.0.0.5:8686\", secretFile: s }]",
    "6:16: loadBalancers: `tidegate run` drives only the agent in its own process; cure: remove it; or use `tidegate controller` here and `tidegate agent` on each load balancer"
)]
fn one_more_key_is_one_problem(#[case] extra: &str, #[case] expected: &str) {
    assert_eq!(examine(&format!("{GOOD}{extra}\n"), Some(Role::Run)), [expected]);
}

/// One listener more than the good file, and the one problem that it makes.
#[rstest]
#[case(
    r#"{ name: http, bind: "0.0.0.0:81", targetPort: 80 }"#,
    "5:13: listeners[1].name: name http is taken (line 4); cure: give each listener a name of its own"
)]
#[case(
    r#"{ name: b, bind: "10.0.0.1:80", targetPort: 80 }"#,
    "5:22: listeners[1].bind: 10.0.0.1:80 overlaps 0.0.0.0:80 of http (line 4); cure: use another port, or two different addresses of the machine"
)]
#[case(
    r#"{ name: b, bind: "0.0.0.0:0", targetPort: 80 }"#,
    "5:22: listeners[1].bind: port 0 cannot be served; cure: write a port from 1 to 65535"
)]
#[case(
    "{ name: b, bind: 443, targetPort: 80 }",
    "5:22: listeners[1].bind: \"443\" is not an address and port; cure: write ADDRESS:PORT: \"0.0.0.0:443\" for every IPv4 address of the machine"
)]
#[case(
    r#"{ name: b, bind: "0.0.0.0:99999", targetPort: 80 }"#,
    "5:22: listeners[1].bind: \"0.0.0.0:99999\" is not an address and port; cure: write ADDRESS:PORT with a port from 0 to 65535: \"0.0.0.0:80\", for IPv6 \"[::]:80\""
)]
#[case(
    r#"{ name: b, bind: "0.0.0.0:81", targetPort: 0 }"#,
    "5:48: listeners[1].targetPort: 0 is out of range; cure: write a whole number from 1 to 65535"
)]
#[case(
    r#"{ name: b, bind: "0.0.0.0:81", targetPort: 65536 }"#,
    "5:48: listeners[1].targetPort: 65536 is out of range; cure: write a whole number from 1 to 65535"
)]
#[case(
    r#"{ name: b, bind: "0.0.0.0:81", targetPort: "80" }"#,
    "5:48: listeners[1].targetPort: \"80\" is a text, not a number; cure: remove the quotes"
)]
#[case(r#"{ name: b, bind: "0.0.0.0:81" }"#, "5:5: listeners[1].targetPort: is missing; cure: add `targetPort: 80`")]
#[case(
    r#"{ name: b, bind: "0.0.0.0:81", target_port: 80 }"#,
    "5:36: listeners[1].target_port: unknown key; cure: did you mean `targetPort`?"
)]
#[case(
    r#"{ name: B_1, bind: "0.0.0.0:81", targetPort: 80 }"#,
    "5:13: listeners[1].name: listener name \"B_1\" may hold only a-z, 0-9 and '-' (RFC 1123); cure: write b-1"
)]
#[case(
    r#"{ name: b, bind: "0.0.0.0:81", targetPort: 80, protocol: TCP }"#,
    "5:62: listeners[1].protocol: \"TCP\" is none of tcp, udp; cure: did you mean tcp?"
)]
#[case(
    r#"{ name: b, bind: "0.0.0.0:81", targetPort: 80, balance: random }"#,
    "5:61: listeners[1].balance: \"random\" is none of roundRobin, leastConnections, source; cure: write one of roundRobin, leastConnections, source"
)]
#[case(
    r#"{ name: b, bind: "0.0.0.0:81", targetPort: 80, protocol: udp, proxyProtocol: v1 }"#,
    "5:82: listeners[1].proxyProtocol: nginx cannot do proxyProtocol with protocol udp: datagrams carry no PROXY header; cure: remove proxyProtocol: no engine can"
)]
#[case(
    r#"{ name: b, bind: "0.0.0.0:81", targetPort: 80, proxyProtocol: v2 }"#,
    "5:67: listeners[1].proxyProtocol: nginx cannot do proxyProtocol v2: its stream module sends version 1 of the PROXY protocol only; cure: write proxyProtocol: v1 (ingress controllers read both), or use another engine: haproxy, envoy, custom can"
)]
#[case(
    r#"{ name: b, bind: "0.0.0.0:81", targetPort: 80, sourceRanges: [10.0.0.5] }"#,
    "5:67: listeners[1].sourceRanges[0]: \"10.0.0.5\" is not a network; cure: write 10.0.0.5/32"
)]
#[case(
    r#"{ name: b, bind: "0.0.0.0:81", targetPort: 80, sourceRanges: [10.0.0.1/8] }"#,
    "5:67: warning: listeners[1].sourceRanges[0]: 10.0.0.1/8 has bits set beyond its length; 10.0.0.0/8 is used; cure: write 10.0.0.0/8"
)]
#[case(
    r#"{ name: b, bind: "0.0.0.0:81", targetPort: 80, zones: prefer }"#,
    "5:59: warning: listeners[1].zones: the agent of this file has no zone, so it prefers none; cure: add agent.zone, or write zones: any"
)]
#[case(
    r#"{ name: b, bind: "0.0.0.0:81", targetPort: 80, zones: preffer }"#,
    "5:59: listeners[1].zones: \"preffer\" is none of any, prefer, spread; cure: did you mean prefer?"
)]
#[case(
    r#"{ name: b, bind: "0.0.0.0:81", targetPort: 80, probe: { tcp: {}, http: {} } }"#,
    "5:59: listeners[1].probe: tcp and http are chosen; one question is asked; cure: leave one of them"
)]
#[case(
    r#"{ name: b, bind: "0.0.0.0:81", targetPort: 80, probe: { http: { path: healthz } } }"#,
    "5:75: listeners[1].probe.http.path: \"healthz\" does not begin with /; cure: write a path like /healthz"
)]
#[case(
    r#"{ name: b, bind: "0.0.0.0:81", targetPort: 80, probe: { interval: 10ms } }"#,
    "5:71: listeners[1].probe.interval: nodes would do little but answer; cure: write 50ms or longer"
)]
#[case(
    r#"{ name: b, bind: "0.0.0.0:81", targetPort: 80, probe: { timeout: 5m } }"#,
    "5:70: listeners[1].probe.timeout: is out of range; cure: write a time from 10ms to 1m"
)]
#[case(
    r#"{ name: b, bind: "0.0.0.0:81", targetPort: 80, probe: { fall: 0 } }"#,
    "5:67: listeners[1].probe.fall: 0 is out of range; cure: write a whole number from 1 to 100"
)]
#[case(
    r#"{ name: b, bind: "0.0.0.0:81", protocol: udp, targetPort: 80, probe: { tcp: {} } }"#,
    "5:81: listeners[1].probe.tcp: a UDP port cannot be asked for a connection; cure: add the port of something on the same node that speaks TCP: `http: { port: 10256, path: /healthz }` asks kube-proxy"
)]
#[case(
    r#"{ name: b, bind: "0.0.0.0:81", targetPort: 80, proxyProtocol: v1, probe: { http: {} } }"#,
    "5:86: listeners[1].probe.http: the target port expects the PROXY protocol, which a probe does not speak; cure: add the port of a health endpoint: `http: { port: 10254, path: /healthz }`"
)]
#[case(
    r#"{ name: b, bind: "0.0.0.0:81", targetPort: 80, follow: { namespace: x } }"#,
    "5:60: listeners[1].follow: does not say what to follow; cure: add `selector: app.kubernetes.io/name=ingress-nginx` (its pods), or `service: NAME` (its endpoints)"
)]
#[case(
    "http",
    "5:5: listeners[1]: must be a mapping, this is a single value; cure: write keys below it: name, bind, targetPort, protocol, balance, proxyProtocol, sourceRanges, idleTimeout, connectTimeout, maxConnections, allowEmpty, probe, zones, nodes, follow"
)]
fn one_more_listener_is_one_problem(#[case] listener: &str, #[case] expected: &str) {
    let first = "targetPort: 80 }\n";
    let text = GOOD.replace(first, &format!("{first}  - {listener}\n"));
    assert_eq!(examine(&text, Some(Role::Run)), [expected]);
}

#[rstest]
#[case(r#"{ name: b, bind: "0.0.0.0:80", protocol: udp, targetPort: 80 }"#)]
#[case(r#"{ name: b, bind: "[::]:80", targetPort: 80 }"#)]
#[case(r#"{ name: b, bind: "0.0.0.0:81", targetPort: 80, sourceRanges: [], proxyProtocol: none, protocol: }"#)]
#[case(r#"{ name: b, bind: "0.0.0.0:81", targetPort: 80, probe: { none: {} } }"#)]
#[case(r#"{ name: b, bind: "0.0.0.0:81", targetPort: 80, probe: { https: { port: 10257 }, interval: 1s, fall: 5 } }"#)]
#[case(r#"{ name: b, bind: "0.0.0.0:81", protocol: udp, targetPort: 53, probe: { http: { port: 10256, path: /healthz } } }"#)]
fn what_does_not_clash_is_no_problem(#[case] listener: &str) {
    let first = "targetPort: 80 }\n";
    let text = GOOD.replace(first, &format!("{first}  - {listener}\n"));
    assert_eq!(examine(&text, Some(Role::Run)), Vec::<String>::new());
}

#[rstest]
#[case(Role::Run, "cluster: { name: a }\n", &["store", "listeners", "agent"])]
#[case(Role::Run, "", &["cluster", "store", "listeners", "agent"])]
#[case(Role::Controller, GOOD, &["loadBalancers"])]
#[case(Role::Agent, GOOD, &["agent.secretFiles"])]
#[case(Role::Agent, "cluster: { name: a }\n", &["agent"])]
#[case(Role::Run, "cluster: {}\nstore: {}\nlisteners: []\nagent: {}\n", &["cluster.name", "store", "listeners", "agent.engine"])]
#[case(Role::Run, "cluster: x\nstore: x\nlisteners: x\nagent: x\n", &["cluster", "store", "listeners", "agent"])]
#[case(Role::Controller, "cluster: { name: a }\nstore: { mongodb: {} }\nlisteners: [x]\nloadBalancers: [{}]\n",
    &["store.mongodb.uriFile", "listeners[0]", "loadBalancers[0].name", "loadBalancers[0].url", "loadBalancers[0].secretFile"])]
fn each_role_says_what_it_needs_once(#[case] role: Role, #[case] text: &str, #[case] paths: &[&str]) {
    let problems = examine_text(text, Path::new("/"), Some(role), false).problems;
    let found: Vec<&str> = problems.iter().map(|p| p.path.as_str()).collect();
    assert_eq!(found, paths, "{problems:#?}");
    assert!(problems.iter().all(|p| !p.cure.is_empty() && p.place.line > 0));
}

/// One file for each place where decisions can be recorded, and the one problem that it makes for a controller.
#[rstest]
#[case(
    "store: { mongodb: {} }",
    "2:19: store.mongodb.uriFile: is missing; cure: add `uriFile: /etc/tidegate/mongodb.uri`"
)]
#[case(
    "store: { mongodb: { uriFile: u, database: a.b } }",
    "2:43: store.mongodb.database: \"a.b\" is no name of a MongoDB database; cure: write a short name of letters, digits, '-' and '_'"
)]
#[case(
    "store: { sqlite: {}, mongodb: { uriFile: u } }",
    "2:31: store.mongodb: a second backend: decisions are recorded in one place; cure: keep one; `tidegate store migrate` copies what is recorded from one to the other"
)]
#[case(
    "store: { sqlite: {} }\nleaderElection: { enabled: true }",
    "3:28: leaderElection.enabled: replicas need one store between them, and an SQLite file is on one machine; cure: use store.mongodb; or remove it, and run one controller for each cluster"
)]
fn stores_are_checked(#[case] store: &str, #[case] expected: &str) {
    let lb = "loadBalancers: [ { name: lb-1, url: \"https://b:8686\", secretFile: s } ]\n";
    let text = GOOD.replace("store: { sqlite: {} }", store) + lb;
    assert_eq!(examine(&text, Some(Role::Controller)), [expected]);
}

#[test]
fn a_connection_string_in_the_wrong_place_is_not_repeated() {
    for store in ["{ mongodb: { uri: \"mongodb://u:hunter2@db\" } }", "{ mongodb: \"mongodb://u:hunter2@db\" }"] {
        let found = examine(&GOOD.replace("{ sqlite: {} }", store), Some(Role::Controller));
        assert!(found.iter().any(|line| line.contains("store.mongodb")), "{found:?}");
        assert!(!found.iter().any(|line| line.contains("hunter2")), "{found:?}");
    }
}

/// Who elects: replicas with a store between them, unless told not to.
#[rstest]
#[case(Role::Controller, "mongodb: { uriFile: u }", "", Some("tidegate"))]
#[case(Role::Controller, "mongodb: { uriFile: u }", "leaderElection: { lease: blue }\n", Some("blue"))]
#[case(Role::Controller, "mongodb: { uriFile: u }", "leaderElection: { enabled: false }\n", None)]
#[case(Role::Controller, "sqlite: {}", "", None)]
#[case(Role::Controller, "sqlite: {}", "leaderElection: { lease: blue }\n", None)]
#[case(Role::Run, "mongodb: { uriFile: u }", "", None)]
fn there_is_an_election_where_there_can_be_replicas(
    #[case] role: Role,
    #[case] store: &str,
    #[case] extra: &str,
    #[case] lease: Option<&str>,
) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tidegate.yaml");
    std::fs::write(folder.path().join("u"), "mongodb://db/\n").unwrap();
    std::fs::write(folder.path().join("s"), "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\n").unwrap();
    let lb = "loadBalancers: [ { name: lb-1, url: \"https://b:8686\", secretFile: s } ]\n";
    let lb = if role == Role::Controller { lb } else { "" };
    let text = GOOD.replace("sqlite: {}", store).replace("nginx: {}", "nginx: { binary: nginx }");
    std::fs::write(&path, format!("{text}{extra}{lb}")).unwrap();
    let config = match role {
        Role::Run => load_run(&path).unwrap().config.controller,
        _ => load_controller(&path).unwrap().config,
    };
    assert_eq!(config.election.as_ref().map(|election| election.lease.as_str()), lease);
    assert!(config.finalizer.enabled, "finalizers do not depend on an election");
}

#[rstest]
#[case("haproxy: {}", &[])]
#[case("envoy: {}", &[])]
#[case("nftables: {}", &[])]
#[case("custom: { template: t, output: o, check: [c, \"{file}\"], reload: [r], verify: [v] }", &[])]
#[case("nginx: {}, haproxy: {}", &["agent.engine: nginx and haproxy are chosen"])]
#[case("custom: { template: t, output: o, check: [], reload: [r], verify: [v] }", &["agent.engine.custom.check: names no program"])]
#[case("custom: { template: t, check: [c], reload: [r], verify: [v] }", &["agent.engine.custom.output: is missing"])]
#[case("nftables: { table: \"a b\" }", &["agent.engine.nftables.table: \"a b\" is no name of an nftables table"])]
fn engines_are_checked(#[case] engine: &str, #[case] expected: &[&str]) {
    let found = examine(&GOOD.replace("nginx: {}", engine), Some(Role::Run));
    assert_eq!(found.len(), expected.len(), "{found:?}");
    assert!(found.iter().zip(expected).all(|(found, expected)| found.contains(expected)), "{found:?}");
}

/// The table of core decides; here it is only asked for the engine of the file.
#[rstest]
#[case(
    "haproxy",
    "protocol: udp",
    "haproxy cannot do protocol udp: it proxies TCP only; cure: write protocol: tcp, or use another engine: nginx, envoy, nftables, custom can"
)]
#[case("nftables", "proxyProtocol: v1", "nftables cannot do proxyProtocol v1: the kernel forwards packets")]
#[case(
    "nftables",
    "balance: leastConnections",
    "cure: write balance: roundRobin, or use another engine: nginx, haproxy, envoy, custom can"
)]
#[case("nginx", "idleTimeout: 0s", "no connection would live")]
#[case("nginx", "maxConnections: 0", "0 is out of range")]
fn a_listener_is_checked_against_the_engine_of_the_file(
    #[case] engine: &str,
    #[case] key: &str,
    #[case] expected: &str,
) {
    let text = GOOD.replace("nginx: {}", &format!("{engine}: {{}}"));
    let listener = format!("  - {{ name: b, bind: \"0.0.0.0:81\", targetPort: 80, {key} }}\n");
    let text = text.replace("agent:", &format!("{listener}agent:"));
    let found = examine(&text, Some(Role::Run));
    assert!(found.len() == 1 && found[0].contains(expected), "{found:?}\n{text}");
}

#[rstest]
#[case("{ name: lb-1, url: \"ftp://a\", secretFile: s }", "is not the address of an agent")]
#[case(
    "{ name: lb-1, url: \"https://user:hunter2@a/\", secretFile: s }",
    "\"https://a/\" is not the address of an agent"
)]
#[case("{ name: lb-1, url: \"https://a:8686/v1\", secretFile: s }", "without a path")]
#[case("{ name: lb-1, url: \"a:8686\", secretFile: s }", "is not the address of an agent")]
#[case("{ name: lb-0, url: \"https://b:8686\", secretFile: s }", "name lb-0 is taken (line 6)")]
#[case("{ name: lb-1, url: \"https://a:8686\", secretFile: s }", "the same agent stands in line 6")]
#[case("{ name: lb-1, url: \"https://b:8686\", secretFile: s, clientKeyFile: k }", "comes alone")]
#[case("{ name: lb-1, url: \"https://b:8686\", secretFile: s, timeout: 5ms }", "is too short")]
#[case("{ name: lb-1, url: \"http://10.0.0.5:8686\", secretFile: s }", "can be read on the way")]
fn load_balancers_are_checked(#[case] second: &str, #[case] expected: &str) {
    let first = "{ name: lb-0, url: \"https://a:8686\", secretFile: s }";
    let text = format!("{GOOD}loadBalancers: [ {first},\n  {second} ]\n");
    let found = examine(&text, Some(Role::Controller));
    assert!(found.len() == 1 && found[0].contains(expected), "{found:?}");
    assert!(found[0].starts_with("7:"), "{found:?}");
    assert!(!found[0].contains("hunter2"), "{found:?}");
}

/// What somebody in a hurry may feed us: eight mistakes, eight lines.
#[test]
fn eight_mistakes_are_eight_lines() {
    let text = include_str!("fixtures/eight-mistakes.yaml");
    let found = examine_text(text, Path::new("/etc/tidegate"), None, false).problems;
    let places: Vec<(usize, &str)> = found.iter().map(|p| (p.place.line, p.path.as_str())).collect();
    let expected = [
        (3, "cluster.name"),
        (5, "nodes.joinDelay"),
        (6, "nodes.drainTimout"),
        (10, "listeners[1].name"),
        (11, "listeners[1].bind"),
        (12, "listeners[1].targetPort"),
        (14, "listeners[1].probe"),
        (18, "agent.engine.haproxi"),
    ];
    assert_eq!(places, expected, "{found:#?}");
    assert!(found.iter().all(|p| p.severity == Severity::Error));
}

#[test]
fn a_syntax_error_says_where() {
    let found = examine("cluster:\n\tname: a\n", Some(Role::Run));
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(found[0].starts_with("2:") && found[0].contains("no tabs"), "{found:?}");
    let found = examine("listeners: [ {name: a\nstore: {}\n", Some(Role::Run));
    assert!(found.len() == 1 && found[0].contains("not YAML"), "{found:?}");
}

/// Whatever is typed, cut or pasted wrongly is a problem with a place, never a crash.
#[test]
fn a_mangled_file_never_ends_in_a_crash() {
    let whole = include_str!("../../../examples/controller.yaml");
    let junk = ["{", "]", ":", "- ", "\t", "\"", "&a ", "*a", "!x ", "|", "\n", "\u{0}", "\u{1F600}", "? "];
    // A linear congruential generator (Knuth's MMIX): the same mangling in every run.
    let mut seed = 7_u64;
    let mut next = |below: usize| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(seed >> 33).unwrap() % below
    };
    let mut refused = 0;
    for _ in 0..3000 {
        let mut text: Vec<char> = whole.chars().collect();
        for _ in 0..=next(3) {
            let at = next(text.len());
            match next(3) {
                0 => drop(text.remove(at)),
                1 => text.truncate(at.max(50)),
                _ => drop(text.splice(at..at, junk[next(junk.len())].chars())),
            }
        }
        let text: String = text.into_iter().collect();
        let problems = examine_text(&text, Path::new("/"), Some(Role::Controller), false).problems;
        assert!(
            problems.iter().all(|p| p.place.line > 0 && !p.message.is_empty() && !p.cure.is_empty()),
            "{problems:#?}"
        );
        refused += usize::from(!problems.is_empty());
    }
    assert!(refused > 1000, "only {refused} of 3000 were refused: the mangling is too gentle");
}

#[test]
fn zones_are_preferred_by_machines_that_have_one() {
    let prefers = GOOD.replace("targetPort: 80 }", "targetPort: 80, zones: prefer }");
    assert_eq!(examine(&prefers, None).len(), 1, "a warning");
    let placed = prefers.replace("agent: {", "agent: { zone: rack-a,");
    assert_eq!(examine(&placed, None), Vec::<String>::new());
    // The agents of this controller have files of their own.
    let controller = prefers.replace("agent: { engine: { nginx: {} } }\n", "");
    assert!(!examine(&controller, None).iter().any(|problem| problem.contains("zone")));
    let nowhere = prefers.replace("agent: {", "agent: { zone: \"rack a\",");
    let expected = "5:16: agent.zone: \"rack a\" is no zone: a label value has 1 to 63 letters, digits, '-', '_' and '.'; cure: write it as the nodes' label topology.kubernetes.io/zone says it";
    assert_eq!(examine(&nowhere, None)[0], expected);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tidegate.yaml");
    std::fs::write(&path, placed.replace("nginx: {}", "nginx: { binary: nginx }")).unwrap();
    let config = load_run(&path).unwrap().config;
    assert_eq!(config.controller.listeners[0].zones, Zones::Prefer);
    assert_eq!(config.agent.zone.unwrap().to_string(), "rack-a");
}
