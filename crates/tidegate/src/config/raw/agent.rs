//! The agent on a load balancer machine, as it is written.

use std::net::SocketAddr;
use std::num::NonZeroU16;
use std::path::PathBuf;
use std::time::Duration;

use crate::config::defaults;
use crate::config::read::{At, section};
use crate::config::text::{Text, written};

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

section! {
    /// What carries the traffic: exactly one.
    pub struct RawEngine;
    required {}
    optional {
        /// nginx with its stream module.
        nginx: RawNginx,
    }
    later {
        "haproxy" => "use nginx",
        "envoy" => "use nginx",
        "nftables" => "use nginx",
        "custom" => "use nginx, with a template of your own (nginx.template)",
    }
}

section! {
    /// nginx with its stream module.
    pub struct RawNginx;
    required {}
    optional {
        /// The file that Tidegate writes; nothing else may write it.
        #[schemars(extend("default" = defaults::NGINX_CONFIG))]
        config_file: Text<PathBuf>,
        /// A template of your own (minijinja) instead of the built-in one.
        template: Text<PathBuf>,
        /// At least this long between two reloads.
        #[schemars(extend("default" = written(defaults::MIN_RELOAD_INTERVAL)))]
        min_reload_interval: Text<Duration>,
        /// The program.
        #[schemars(extend("default" = defaults::NGINX_BINARY))]
        binary: Text<PathBuf>,
        /// Number of worker processes. When omitted: one for each CPU.
        workers: Text<NonZeroU16>,
        /// After this long, a worker of an earlier generation is ended even if it still has connections.
        /// When omitted: never.
        worker_shutdown_timeout: Text<Duration>,
    }
    later {}
}
