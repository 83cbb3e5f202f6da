//! Real clusters, network namespaces, traffic and faults for the tests, the demo and the benches.
//!
//! Development only: nothing here is part of the shipped binary, and nothing here listens outside
//! the loopback and the namespaces that it makes itself.

pub mod cluster;
pub mod crash;
pub mod datagrams;
pub mod deadline;
pub mod fleet;
pub mod fuzz;
pub mod http;
pub mod ingress;
pub mod kubelet;
pub mod lab;
pub mod manifests;
pub mod measure;
pub mod pods;
pub mod process;
pub mod relay;
pub mod replicas;
pub mod run;
pub mod scenario;
pub mod servers;
pub mod site;
pub mod sweep;
pub mod traffic;
pub mod unreliable;

pub use cluster::{Cluster, ClusterOptions};
pub use lab::{Host, Lab};
pub use site::{Site, SiteOptions};
