//! Every default of the file that is not one of `NodePolicy` (those are in core, with their reasons).

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

/// How often a full LIST repairs the view: the service controller of Kubernetes takes 30 to 100 s.
pub const RESYNC: Duration = Duration::from_secs(60);

/// Status and metrics are for this machine unless somebody opens them.
pub const API_LISTEN: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 8685);

/// The controller connects from another machine; every request is signed.
pub const AGENT_LISTEN: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 8686);

/// Where the file hierarchy standard puts state that survives a restart.
pub const STATE_DIR: &str = "/var/lib/tidegate";

/// Beside the state of the agent.
pub const SQLITE_PATH: &str = "/var/lib/tidegate/tidegate.db";

/// One database serves several clusters: every document carries its cluster's name.
pub const DATABASE: &str = "tidegate";

/// Where our manifests put the controller; a pod uses its own namespace instead.
pub const NAMESPACE: &str = "tidegate";

/// One Lease for each controller deployment.
pub const LEASE: &str = "tidegate";

/// A token of 16 random characters cannot be guessed over a network.
pub const TOKEN_LENGTH: usize = 16;

/// Not /etc/nginx/nginx.conf: that one belongs to the distribution's own nginx.
pub const NGINX_CONFIG: &str = "/etc/tidegate/nginx.conf";

/// Where Debian, Ubuntu, RHEL and SUSE install it; `/usr/sbin` is not in everybody's PATH.
pub const NGINX_BINARY: &str = "/usr/sbin/nginx";

/// Beside nginx's; each engine has a file of its own, so that a machine can go over from one to another.
pub const HAPROXY_CONFIG: &str = "/etc/tidegate/haproxy.cfg";

/// The same.
pub const ENVOY_CONFIG: &str = "/etc/tidegate/envoy.conf";

/// The same.
pub const NFTABLES_CONFIG: &str = "/etc/tidegate/nftables.nft";

/// Where Debian, Ubuntu, RHEL and SUSE install it.
pub const HAPROXY_BINARY: &str = "/usr/sbin/haproxy";

/// No distribution has it: wherever PATH says.
pub const ENVOY_BINARY: &str = "envoy";

/// Where the distributions install it.
pub const NFT_BINARY: &str = "/usr/sbin/nft";

/// The same.
pub const CONNTRACK_BINARY: &str = "/usr/sbin/conntrack";

/// Known by its name to whoever looks at `nft list tables`.
pub const NFT_TABLE: &str = "tidegate";

/// A command of a custom engine that takes longer is taken for hanging.
pub const COMMAND_TIMEOUT: Duration = Duration::from_secs(10);

/// Each reload leaves a generation of workers behind until its connections end.
pub const MIN_RELOAD_INTERVAL: Duration = Duration::from_secs(1);

/// Sixteen times the state of a cluster of 5,000 nodes.
pub const MAX_BODY_BYTES: u64 = 8 * 1024 * 1024;

/// A reload that must be rolled back takes a little over 10 s at worst.
pub const PUSH_TIMEOUT: Duration = Duration::from_secs(30);

/// Revisions that `tidegate history` shows.
pub const HISTORY: usize = 50;
