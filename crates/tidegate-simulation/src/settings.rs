//! How the controllers of every run are configured: the defaults, mostly.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use tidegate_controller::ControllerSettings;
use tidegate_core::desired::Listener;
use tidegate_core::finalizer::FinalizerPolicy;
use tidegate_core::ids::ListenerName;
use tidegate_core::lease::LeasePolicy;
use tidegate_core::policy::NodePolicy;

use crate::oracle::cluster;

pub(crate) fn settings(holder: String) -> ControllerSettings {
    ControllerSettings {
        cluster: cluster(),
        policy: NodePolicy::default(),
        listeners: listeners(),
        resync: Duration::from_secs(60),
        holder,
        finalizer: FinalizerPolicy::default(),
        lease: LeasePolicy::default(),
    }
}

pub(crate) fn listeners() -> Vec<Listener> {
    vec![Listener::tcp(
        ListenerName::parse("http").expect("letters are a name"),
        SocketAddr::from((Ipv4Addr::UNSPECIFIED, 80)),
        80,
    )]
}
