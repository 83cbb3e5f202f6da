//! An EndpointSlice: one instance for each endpoint that says on which node it is (KEP-752; conditions: KEP-1672).

use k8s_openapi::api::discovery::v1::{Endpoint, EndpointSlice};
use tidegate_core::follow::{Instance, InstanceState};
use tidegate_core::ids::NodeName;

use super::Followed;

impl Followed for EndpointSlice {
    fn instances(&self) -> Vec<Instance> {
        self.endpoints.iter().filter_map(instance).collect()
    }
}

fn instance(endpoint: &Endpoint) -> Option<Instance> {
    let node = NodeName::parse(endpoint.node_name.clone()?).ok()?;
    let conditions = endpoint.conditions.as_ref();
    let state = match conditions {
        Some(conditions) if conditions.terminating == Some(true) => InstanceState::Ending,
        // Absent means ready: so says the API.
        Some(conditions) if conditions.ready == Some(false) => InstanceState::NotReady,
        _ => InstanceState::Ready,
    };
    let pod = endpoint.target_ref.as_ref().and_then(|target| target.name.clone());
    let name = pod.or_else(|| endpoint.addresses.first().cloned()).unwrap_or_default();
    Some(Instance { name, node, state, since: None })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn conditions_are_read_as_the_api_defines_them() {
        let slice: EndpointSlice = serde_json::from_value(json!({
            "addressType": "IPv4",
            "endpoints": [
                { "addresses": ["10.1.0.1"], "nodeName": "w1", "conditions": {} },
                { "addresses": ["10.1.0.2"], "nodeName": "w2", "conditions": { "ready": false } },
                { "addresses": ["10.1.0.3"], "nodeName": "w3", "targetRef": { "kind": "Pod", "name": "p3" },
                  "conditions": { "ready": false, "serving": true, "terminating": true } },
                { "addresses": ["10.1.0.4"] },
            ],
        }))
        .unwrap();
        let seen: Vec<_> = slice.instances().into_iter().map(|i| (i.node.to_string(), i.name, i.state)).collect();
        let expected = [
            ("w1", "10.1.0.1", InstanceState::Ready),
            ("w2", "10.1.0.2", InstanceState::NotReady),
            ("w3", "p3", InstanceState::Ending),
        ];
        assert_eq!(seen, expected.map(|(node, name, state)| (node.to_owned(), name.to_owned(), state)));
    }
}
