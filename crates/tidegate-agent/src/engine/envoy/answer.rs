//! What Envoy answers, read; pure.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;
use serde_json::Value;

use super::endpoints::{self, Member};

/// Backends by cluster.
pub type Members = BTreeMap<String, BTreeSet<Member>>;

/// Statistics by name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stats(BTreeMap<String, String>);

/// A listener.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listener {
    /// Empty for what Envoy refused before it had a name.
    pub name: String,
    /// Whether it accepts.
    pub active: bool,
    /// Why the newest version of it was refused.
    pub refusal: Option<String>,
}

impl Stats {
    /// Lines of `name: value`.
    pub fn parse(text: &str) -> Self {
        let pair =
            |line: &str| line.split_once(": ").map(|(n, v)| (n.to_owned(), v.trim().trim_matches('"').to_owned()));
        Self(text.lines().filter_map(pair).collect())
    }

    /// The version that was taken last; nothing when there was none.
    pub fn version(&self, of: &str) -> Option<&str> {
        self.0.get(&format!("{of}.version_text")).map(String::as_str).filter(|version| !version.is_empty())
    }

    /// A count; 0 when it is not there.
    pub fn number(&self, of: &str, name: &str) -> u64 {
        self.0.get(&format!("{of}.{name}")).and_then(|value| value.parse().ok()).unwrap_or(0)
    }

    /// All counts together.
    pub fn total(&self) -> u64 {
        self.0.values().filter_map(|value| value.parse::<u64>().ok()).fold(0, u64::saturating_add)
    }

    /// How often something was refused.
    pub fn refusals(&self, of: &str) -> u64 {
        self.number(of, "update_rejected").saturating_add(self.number(of, "update_failure"))
    }

    /// Whether Envoy serves: 0 is LIVE.
    pub fn is_live(&self) -> bool {
        self.0.get("server.state").is_some_and(|state| state == "0")
    }
}

#[derive(Deserialize)]
struct Dump {
    #[serde(default)]
    configs: Vec<Value>,
}

/// Of `/config_dump?resource=dynamic_listeners`.
pub fn listeners(text: &str) -> Result<Vec<Listener>, String> {
    let dump: Dump = serde_json::from_str(text).map_err(|e| e.to_string())?;
    let listener = |config: &Value| Listener {
        name: config.get("name").and_then(Value::as_str).unwrap_or_default().to_owned(),
        active: config.get("active_state").is_some(),
        refusal: config.pointer("/error_state/details").and_then(Value::as_str).map(str::to_owned),
    };
    Ok(dump.configs.iter().map(listener).collect())
}

/// Of `/config_dump?include_eds&resource=dynamic_endpoint_configs`.
pub fn members(text: &str) -> Result<Members, String> {
    let dump: Dump = serde_json::from_str(text).map_err(|e| e.to_string())?;
    let cluster = |config: &Value| {
        let assignment = config.get("endpoint_config")?;
        let name = assignment.get("cluster_name")?.as_str()?.to_owned();
        Some((name, endpoints::members(assignment)))
    };
    Ok(dump.configs.iter().filter_map(cluster).collect())
}

/// Of `/server_info`; a first process does not tell its epoch, which is 0.
pub fn epoch(text: &str) -> Result<u32, String> {
    let info: Value = serde_json::from_str(text).map_err(|e| e.to_string())?;
    let options = info.get("command_line_options").ok_or("it has no command_line_options")?;
    let epoch = options.get("restart_epoch").map_or(Some(0), Value::as_u64);
    epoch.and_then(|epoch| u32::try_from(epoch).ok()).ok_or_else(|| "restart_epoch is no number".to_owned())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    // Envoy 1.40.0's own words.
    const STATS: &str = "cluster.a.version_text: \"e1\"\ncluster_manager.cds.version_text: \"c2\"\nlistener_manager.lds.version_text: \"\"\ncluster.a.membership_total: 2\ncluster.a.update_rejected: 1\ncluster.a.update_failure: 2\nserver.state: 0\nlistener_manager.lds.update_duration: No recorded values\n";
    const LISTENERS: &str = r#"{ "configs": [
      { "@type": "type.googleapis.com/envoy.admin.v3.ListenersConfigDump.DynamicListener", "name": "a",
        "active_state": { "version_info": "l3", "listener": {}, "last_updated": "2026-11-24T19:57:50.383Z" } },
      { "@type": "type.googleapis.com/envoy.admin.v3.ListenersConfigDump.DynamicListener", "name": "b",
        "error_state": { "failed_configuration": {}, "last_update_attempt": "2026-11-24T19:57:51.210Z",
                         "details": "cannot bind '127.0.0.1:19199': Address already in use" } } ] }"#;
    const ENDPOINTS: &str = r#"{ "configs": [ { "@type": "type.googleapis.com/envoy.admin.v3.EndpointsConfigDump.DynamicEndpointConfig",
      "endpoint_config": { "@type": "type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment", "cluster_name": "a",
        "endpoints": [ { "locality": {}, "lb_endpoints": [
          { "endpoint": { "address": { "socket_address": { "address": "127.0.0.1", "port_value": 19001 } }, "health_check_config": {} },
            "health_status": "HEALTHY", "load_balancing_weight": 3 },
          { "endpoint": { "address": { "socket_address": { "address": "127.0.0.1", "port_value": 19002 } }, "health_check_config": {} },
            "health_status": "UNHEALTHY", "load_balancing_weight": 1 } ], "load_balancing_weight": 0 } ],
        "policy": { "overprovisioning_factor": 140 } } } ] }"#;

    #[test]
    fn statistics_tell_versions_refusals_and_numbers() {
        let stats = Stats::parse(STATS);
        assert_eq!(stats.version("cluster.a"), Some("e1"));
        assert_eq!((stats.version("listener_manager.lds"), stats.version("cluster.b")), (None, None));
        assert_eq!((stats.refusals("cluster.a"), stats.number("cluster.a", "membership_total")), (3, 2));
        assert!(stats.is_live() && !Stats::parse("server.state: 2\n").is_live() && !Stats::default().is_live());
    }

    #[test]
    fn counts_that_nobody_can_have_are_no_overflow() {
        assert_eq!(Stats::parse(&format!("a: {}\nb: 2\n", u64::MAX)).total(), u64::MAX);
    }

    #[test]
    fn a_refused_listener_says_why() {
        let [a, b] = listeners(LISTENERS).unwrap().try_into().unwrap();
        assert_eq!(a, Listener { name: "a".into(), active: true, refusal: None });
        assert!(!b.active && b.refusal.unwrap().contains("Address already in use"));
    }

    #[test]
    fn backends_are_dumped_with_their_weight_and_a_draining_one_as_unhealthy() {
        let at = |port, active, weight| Member { address: ([127, 0, 0, 1], port).into(), active, weight };
        assert_eq!(members(ENDPOINTS).unwrap()["a"], [at(19001, true, 3), at(19002, false, 1)].into());
    }

    #[test]
    fn the_process_is_known_by_its_epoch() {
        assert_eq!(epoch(r#"{"command_line_options":{"base_id":"0","restart_epoch":2}}"#), Ok(2));
        assert_eq!(epoch(r#"{"command_line_options":{}}"#), Ok(0));
        assert!(epoch("{}").is_err() && epoch("<html>").is_err());
    }

    fn read_all(text: &str) {
        _ = (listeners(text), members(text), epoch(text), Stats::parse(text));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]

        #[test]
        fn garbage_does_no_harm(text in ".{0,200}") {
            read_all(&text);
        }

        #[test]
        fn damaged_answers_do_no_harm(at in 0_usize..700, byte in any::<u8>(), which in 0_usize..3) {
            let mut bytes = [STATS, LISTENERS, ENDPOINTS][which].as_bytes().to_vec();
            let at = at % bytes.len();
            bytes[at] = byte;
            read_all(&String::from_utf8_lossy(&bytes));
            bytes.truncate(at);
            read_all(&String::from_utf8_lossy(&bytes));
        }
    }
}
