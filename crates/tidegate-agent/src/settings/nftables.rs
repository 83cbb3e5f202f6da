//! Settings of the kernel's NAT.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// Whether the nodes see the load balancer's address instead of the client's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Masquerade {
    /// Always: nodes answer through the load balancer, whatever their routes are.
    #[default]
    Always,
    /// Never: nodes see the client's address, and must route their answers through the load balancer.
    Never,
}

/// Settings of the kernel's NAT.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NftablesSettings {
    /// The script that Tidegate owns; load it at boot to serve before the agent runs.
    pub config_file: PathBuf,
    /// A template of the user's own; absent: the built-in one.
    pub template: Option<PathBuf>,
    /// `nft`: a path, or a name that is searched in PATH.
    pub binary: PathBuf,
    /// `conntrack`: the same.
    pub conntrack: PathBuf,
    /// Name of the tables that are ours.
    pub table: String,
    /// Whether nodes see the client's address.
    pub masquerade: Masquerade,
}

impl NftablesSettings {
    /// The defaults, for this script.
    pub fn new(config_file: impl Into<PathBuf>) -> Self {
        Self {
            config_file: config_file.into(),
            template: None,
            binary: PathBuf::from("nft"),
            conntrack: PathBuf::from("conntrack"),
            table: "tidegate".to_owned(),
            masquerade: Masquerade::default(),
        }
    }
}
