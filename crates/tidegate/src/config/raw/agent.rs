//! The agent on a load balancer machine, as it is written.

use std::net::SocketAddr;
use std::path::PathBuf;

use tidegate_agent::DriftPolicy;
use tidegate_core::node::Zone;

use super::engine::RawEngine;
use super::probe::RawProbes;
use crate::config::defaults;
use crate::config::read::{At, section};
use crate::config::text::Text;

section! {
    /// The agent on a load balancer machine.
    pub struct RawAgent;
    required {
        /// Exactly one engine.
        engine: RawEngine = "engine: { nginx: {} }",
    }
    optional {
        /// Where the agent receives desired states; `run` does not listen.
        #[schemars(extend("default" = defaults::AGENT_LISTEN.to_string()))]
        listen: Text<SocketAddr>,
        /// Files with the secrets that a request may be signed with; several while one replaces another.
        /// Each holds one line, `whsec_<base64 of 24 to 64 bytes>`. Needed by `agent`.
        #[schemars(extend("examples" = [["/etc/tidegate/webhook.secret"]]))]
        secret_files: Vec<At<Text<PathBuf>>>,
        /// Serves HTTPS. When omitted: plain HTTP (every request is signed all the same).
        tls: RawTls,
        /// Where the agent keeps the last state that worked.
        #[schemars(extend("default" = defaults::STATE_DIR))]
        state_dir: Text<PathBuf>,
        /// What becomes of a change that somebody else made to what the engine serves: `repair` (told and undone) or
        /// `report` (told only). It is looked for every 30 s.
        #[schemars(extend("default" = "repair"))]
        drift: Text<DriftPolicy>,
        /// How the nodes are asked whether they answer.
        probes: RawProbes,
        /// The zone in which this machine stands, as the nodes' label topology.kubernetes.io/zone says it: for listeners with
        /// `zones: prefer`.
        #[schemars(extend("examples" = ["rack-a"]))]
        zone: Text<Zone>,
        /// Larger requests are refused.
        #[schemars(extend("default" = defaults::MAX_BODY_BYTES))]
        max_body_bytes: Text<u64>,
    }
    later {}
}

section! {
    /// Certificates of the agent.
    pub struct RawTls;
    required {
        /// File with the agent's certificate chain (PEM).
        cert_file: Text<PathBuf> = "certFile: /etc/tidegate/tls.crt",
        /// File with its private key (PEM).
        key_file: Text<PathBuf> = "keyFile: /etc/tidegate/tls.key",
    }
    optional {
        /// File with CA certificates (PEM): only controllers with a certificate from one of them may connect.
        client_ca_file: Text<PathBuf>,
    }
    later {}
}
