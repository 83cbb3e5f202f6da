//! How the controllers of every run are configured: the defaults, mostly.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use tidegate_controller::ControllerSettings;
use tidegate_core::carriage::Demand;
use tidegate_core::desired::Listener;
use tidegate_core::finalizer::FinalizerPolicy;
use tidegate_core::ids::ListenerName;
use tidegate_core::lease::LeasePolicy;
use tidegate_core::policy::NodePolicy;

use crate::oracle::cluster;
use crate::pods::ingress;

pub(crate) fn settings(holder: String) -> ControllerSettings {
    ControllerSettings {
        cluster: cluster(),
        policy: NodePolicy { demands: vec![demand()], ..NodePolicy::default() },
        listeners: listeners(),
        resync: Duration::from_secs(60),
        holder,
        finalizer: FinalizerPolicy::default(),
        lease: LeasePolicy::default(),
    }
}

/// `http` is every node's; `web` is carried where a pod of the ingress is Ready.
pub(crate) fn listeners() -> Vec<Listener> {
    let listener = |name, port| Listener::tcp(name, SocketAddr::from((Ipv4Addr::UNSPECIFIED, port)), port);
    vec![listener(http(), 80), listener(web(), 443)]
}

pub(crate) fn http() -> ListenerName {
    ListenerName::parse("http").expect("letters are a name")
}

pub(crate) fn web() -> ListenerName {
    ListenerName::parse("web").expect("letters are a name")
}

fn demand() -> Demand {
    Demand { listener: web(), allow_empty: false, nodes: None, follow: Some(ingress()) }
}
