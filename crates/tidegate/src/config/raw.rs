//! The file as it is written: every section and key, declared once for reader, schema and reference.

mod agent;
mod engine;
mod follow;
mod probe;
mod replicas;
mod store;

pub use agent::{RawAgent, RawTls};
pub use engine::{RawCustom, RawEngine, RawEnvoy, RawHaproxy, RawNftables, RawNginx};
pub use follow::RawFollow;
pub use probe::{RawHttpProbe, RawProbe, RawProbes, RawTcpProbe};
pub use replicas::{RawFinalizer, RawLeaderElection};
pub use store::{RawMongodb, RawSqlite, RawStore};

use std::net::SocketAddr;
use std::num::{NonZeroU16, NonZeroU32};
use std::path::PathBuf;
use std::time::Duration;

use ipnet::IpNet;
use tidegate_core::desired::{Balance, Protocol, ProxyProtocol};
use tidegate_core::ids::{ClusterName, ListenerName, LoadBalancerName};
use tidegate_core::node::AddressType;
use tidegate_core::policy::{IpFamily, NodePolicy, NotReady};
use tidegate_core::selector::Selector;
use tidegate_core::zones::Zones;

use super::address::AgentUrl;
use super::defaults;
use super::read::{At, section};
use super::text::{TaintKey, Text, written};

section! {
    /// The configuration of Tidegate. One file serves all three roles; each reads the sections it needs.
    #[schemars(title = "Tidegate configuration")]
    pub struct RawConfig;
    required {}
    optional {
        /// Which Kubernetes cluster this is about. Needed by `run` and `controller`.
        cluster: RawCluster,
        /// Which nodes receive traffic, and how they join and leave.
        nodes: RawNodes,
        /// How often a complete LIST of the nodes repairs whatever the watch may have missed; from 1s to 1h.
        /// A view older than 1.5 times this is frozen: nothing is taken out because of it.
        #[schemars(extend("default" = written(defaults::RESYNC)))]
        resync: Text<Duration>,
        /// Where the controller records what it decided: exactly one backend. Needed by `run` and `controller`.
        store: RawStore,
        /// What the load balancers serve: each listener forwards to one port on every active node.
        /// Needed by `run` and `controller`.
        listeners: Vec<At<RawListener>>,
        /// The load balancer machines that the controller drives. Needed by `controller`;
        /// `run` drives the agent in its own process and omits this.
        load_balancers: Vec<At<RawLoadBalancer>>,
        /// The agent on a load balancer machine. Needed by `agent` and `run`.
        agent: RawAgent,
        /// How replicas of the controller choose the one that decides.
        leader_election: RawLeaderElection,
        /// The controller's HTTP API: status, history, metrics, drain and undrain.
        api: RawApi,
    }
    later {}
}

section! {
    /// The Kubernetes cluster.
    pub struct RawCluster;
    required {
        /// Its name: agents refuse the state of another cluster.
        #[schemars(extend("examples" = ["prod"]))]
        name: Text<ClusterName> = "name: prod",
    }
    optional {
        /// How to reach its API server. When omitted: the service account of the pod, else `$KUBECONFIG`,
        /// else `~/.kube/config`.
        #[schemars(extend("examples" = ["/etc/tidegate/kubeconfig"]))]
        kubeconfig: Text<PathBuf>,
    }
    later {}
}

section! {
    /// Which nodes receive traffic.
    pub struct RawNodes;
    required {}
    optional {
        /// Label selector, as for `kubectl get nodes -l`. When omitted: every node without a control-plane role label.
        #[schemars(extend("examples" = ["node-role.kubernetes.io/worker"]))]
        selector: Text<Selector>,
        /// Which of a node's addresses to use.
        #[schemars(extend("default" = "InternalIP"))]
        address_type: Text<AddressType>,
        /// One address of each family, in this order.
        #[schemars(extend("default" = ["ipv4"]))]
        ip_families: Vec<At<Text<IpFamily>>>,
        /// What becomes of a node that is no longer Ready: `drain` (no new connections, those it has live until
        /// the drain timeout; cancelled when it returns), `probe` (served on for as long as it answers a load balancer's
        /// probes, else as with `drain`) or `remove` (at once).
        #[schemars(extend("default" = "drain"))]
        not_ready: Text<NotReady>,
        /// How long a node must be Ready before it is added.
        #[schemars(extend("default" = written(NodePolicy::default().join_delay)))]
        join_delay: Text<Duration>,
        /// How long a node that leaves keeps the connections it has.
        #[schemars(extend("default" = written(NodePolicy::default().drain_timeout)))]
        drain_timeout: Text<Duration>,
        /// Whether `kubectl cordon` takes a node out of the load balancers.
        #[schemars(extend("default" = false))]
        drain_on_cordon: Text<bool>,
        /// Whether the label node.kubernetes.io/exclude-from-external-load-balancers is ignored: for clusters
        /// whose only node carries it.
        #[schemars(extend("default" = false))]
        ignore_exclude_label: Text<bool>,
        /// Keys of taints that take a node out, besides the cluster autoscaler's.
        #[schemars(extend("default" = [], "examples" = [["example.com/maintenance"]]))]
        drain_taints: Vec<At<Text<TaintKey>>>,
        /// Keeps a deleted Node until no load balancer sends it traffic.
        finalizer: RawFinalizer,
    }
    later {}
}

section! {
    /// One address that a load balancer serves.
    pub struct RawListener;
    required {
        /// Unique name.
        #[schemars(extend("examples" = ["http"]))]
        name: Text<ListenerName> = "name: http",
        /// Address and port on the load balancer machine.
        #[schemars(extend("examples" = ["0.0.0.0:80", "[::]:80"]))]
        bind: Text<SocketAddr> = "bind: \"0.0.0.0:80\"",
        /// The port on every active node: where the ingress controller listens with hostNetwork, or a NodePort.
        #[schemars(extend("examples" = [80]))]
        target_port: Text<NonZeroU16> = "targetPort: 80",
    }
    optional {
        /// Layer 4 protocol.
        #[schemars(extend("default" = "tcp"))]
        protocol: Text<Protocol>,
        /// How new connections are spread: one node after the other, the node with the fewest connections, or
        /// always the same node for one client address.
        #[schemars(extend("default" = "roundRobin"))]
        balance: Text<Balance>,
        /// Tells the nodes the client's address with the PROXY protocol; the ingress must expect it.
        #[schemars(extend("default" = "none"))]
        proxy_protocol: Text<ProxyProtocol>,
        /// Clients outside these networks are refused. Empty: everyone may connect.
        #[schemars(extend("default" = [], "examples" = [["10.0.0.0/8", "2001:db8::/32"]]))]
        source_ranges: Vec<At<Text<IpNet>>>,
        /// Ends a connection (or UDP session) without traffic. When omitted: 1h (UDP: 2m).
        idle_timeout: Text<Duration>,
        /// How long a node may take to accept before another one is tried. When omitted: 1s.
        connect_timeout: Text<Duration>,
        /// Client connections at a time, on each load balancer. When omitted: as many as the engine holds.
        max_connections: Text<NonZeroU32>,
        /// Whether this listener may be left without any node; otherwise the last active node stays, whatever happens.
        #[schemars(extend("default" = false))]
        allow_empty: Text<bool>,
        /// How the nodes are asked whether they answer.
        probe: RawProbe,
        /// What the zones of the nodes (label topology.kubernetes.io/zone) mean: nothing, `prefer` (new connections stay in the
        /// load balancer's own zone, `agent.zone`, while at least half of its nodes are up) or `spread` (each zone gets the same
        /// share, whatever its number of nodes). Agents of earlier versions refuse a state with the last two.
        #[schemars(extend("default" = "any"))]
        zones: Text<Zones>,
        /// Only nodes with these labels receive this listener's traffic, of those that `nodes.selector` selects. When omitted:
        /// all of them.
        #[schemars(extend("examples" = ["example.com/pool=edge"]))]
        nodes: Text<Selector>,
        /// Only nodes on which a pod of the ingress is Ready receive this listener's traffic.
        follow: RawFollow,
    }
    later {}
}

section! {
    /// One load balancer machine.
    pub struct RawLoadBalancer;
    required {
        /// Unique name.
        #[schemars(extend("examples" = ["lb-1"]))]
        name: Text<LoadBalancerName> = "name: lb-1",
        /// Where its agent listens.
        #[schemars(extend("examples" = ["https://10.0.0.5:8686"]))]
        url: Text<AgentUrl> = "url: https://10.0.0.5:8686",
        /// File with the secret that signs what is sent to it, as in the agent's `secretFiles`.
        #[schemars(extend("examples" = ["/etc/tidegate/webhook.secret"]))]
        secret_file: Text<PathBuf> = "secretFile: /etc/tidegate/webhook.secret",
    }
    optional {
        /// File with the CA certificates (PEM) that the agent's certificate must come from. When omitted: the CAs
        /// of the operating system.
        ca_file: Text<PathBuf>,
        /// File with the certificate (PEM) that this controller shows to an agent with `tls.clientCaFile`.
        client_cert_file: Text<PathBuf>,
        /// File with the private key (PEM) of `clientCertFile`.
        client_key_file: Text<PathBuf>,
        /// How long an agent may take to answer a push; covers a reload and its roll back.
        #[schemars(extend("default" = written(defaults::PUSH_TIMEOUT)))]
        timeout: Text<Duration>,
    }
    later {}
}

section! {
    /// The controller's HTTP API.
    pub struct RawApi;
    required {}
    optional {
        /// Address and port; anyone who reaches it can read the names and addresses of the nodes.
        #[schemars(extend("default" = defaults::API_LISTEN.to_string()))]
        listen: Text<SocketAddr>,
        /// File with one line, the token that `tidegate drain` and `undrain` must show: at least 16 characters without
        /// spaces. When omitted, the API only reads. It is read at the start.
        #[schemars(extend("examples" = ["/etc/tidegate/api.token"]))]
        token_file: Text<PathBuf>,
    }
    later {}
}

/// The keys of every section in the order of their declaration, section by section.
/// (JSON objects have no order of their own; people read a reference from top to bottom.)
pub fn key_orders() -> Vec<Vec<String>> {
    vec![
        RawConfig::keys(),
        RawCluster::keys(),
        RawNodes::keys(),
        RawFinalizer::keys(),
        RawStore::keys(),
        RawSqlite::keys(),
        RawMongodb::keys(),
        RawListener::keys(),
        RawProbe::keys(),
        RawHttpProbe::keys(),
        RawFollow::keys(),
        RawLoadBalancer::keys(),
        RawAgent::keys(),
        RawTls::keys(),
        RawProbes::keys(),
        RawEngine::keys(),
        RawNginx::keys(),
        RawLeaderElection::keys(),
        RawApi::keys(),
    ]
}
