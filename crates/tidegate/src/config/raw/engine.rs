//! What carries the traffic, as it is written.

use std::num::NonZeroU16;
use std::path::PathBuf;
use std::time::Duration;

use tidegate_agent::Masquerade;

use crate::config::argument::{Argument, TableName};
use crate::config::defaults;
use crate::config::read::{At, section};
use crate::config::text::{Text, written};

section! {
    /// What carries the traffic: exactly one.
    pub struct RawEngine;
    required {}
    optional {
        /// nginx with its stream module.
        nginx: RawNginx,
        /// HAProxy 2.6 or later: changes of nodes without a reload.
        haproxy: RawHaproxy,
        /// Envoy: changes of nodes and listeners without a reload.
        envoy: RawEnvoy,
        /// NAT of the Linux kernel: no proxy.
        nftables: RawNftables,
        /// Anything else: a template and commands of your own.
        custom: RawCustom,
    }
    later {}
}

/// A path with its place in the file.
type File = At<Text<PathBuf>>;

impl RawEngine {
    /// The user's own templates, and the programs that are named.
    pub fn files(&self) -> (Vec<&File>, Vec<&File>) {
        let templates = [
            self.nginx.as_ref().and_then(|e| e.template.as_ref()),
            self.haproxy.as_ref().and_then(|e| e.template.as_ref()),
            self.envoy.as_ref().and_then(|e| e.template.as_ref()),
            self.nftables.as_ref().and_then(|e| e.template.as_ref()),
            self.custom.as_ref().and_then(|e| e.template.as_ref()),
        ];
        let programs = [
            self.nginx.as_ref().and_then(|e| e.binary.as_ref()),
            self.haproxy.as_ref().and_then(|e| e.binary.as_ref()),
            self.envoy.as_ref().and_then(|e| e.binary.as_ref()),
            self.nftables.as_ref().and_then(|e| e.binary.as_ref()),
            self.nftables.as_ref().and_then(|e| e.conntrack.as_ref()),
        ];
        (templates.into_iter().flatten().collect(), programs.into_iter().flatten().collect())
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

section! {
    /// HAProxy 2.6 or later.
    pub struct RawHaproxy;
    required {}
    optional {
        /// The file that Tidegate writes; nothing else may write it.
        #[schemars(extend("default" = defaults::HAPROXY_CONFIG))]
        config_file: Text<PathBuf>,
        /// A template of your own (minijinja) instead of the built-in one.
        template: Text<PathBuf>,
        /// The program.
        #[schemars(extend("default" = defaults::HAPROXY_BINARY))]
        binary: Text<PathBuf>,
        /// After this long, a process of an earlier configuration is ended even if it still has connections.
        /// When omitted: never.
        hard_stop_after: Text<Duration>,
    }
    later {}
}

section! {
    /// Envoy.
    pub struct RawEnvoy;
    required {}
    optional {
        /// The file that Tidegate writes; what Envoy reads is made from it below `agent.stateDir`.
        #[schemars(extend("default" = defaults::ENVOY_CONFIG))]
        config_file: Text<PathBuf>,
        /// A template of your own (minijinja) instead of the built-in one.
        template: Text<PathBuf>,
        /// The program.
        #[schemars(extend("default" = defaults::ENVOY_BINARY))]
        binary: Text<PathBuf>,
        /// Number of worker threads. When omitted: one for each CPU.
        concurrency: Text<NonZeroU16>,
    }
    later {}
}

section! {
    /// NAT of the Linux kernel.
    pub struct RawNftables;
    required {}
    optional {
        /// The nft script that Tidegate writes; nothing else may write it.
        #[schemars(extend("default" = defaults::NFTABLES_CONFIG))]
        config_file: Text<PathBuf>,
        /// A template of your own (minijinja) instead of the built-in one.
        template: Text<PathBuf>,
        /// The program `nft`.
        #[schemars(extend("default" = defaults::NFT_BINARY))]
        binary: Text<PathBuf>,
        /// The program `conntrack`.
        #[schemars(extend("default" = defaults::CONNTRACK_BINARY))]
        conntrack: Text<PathBuf>,
        /// Name of the tables that are Tidegate's alone.
        #[schemars(extend("default" = defaults::NFT_TABLE))]
        table: Text<TableName>,
        /// Whether nodes see the load balancer's address instead of the client's: `always`, or `never` when the nodes'
        /// answers are routed through this machine.
        #[schemars(extend("default" = "always"))]
        masquerade: Text<Masquerade>,
    }
    later {}
}

section! {
    /// A template and commands of your own. Commands are lists of arguments; no shell is involved.
    pub struct RawCustom;
    required {
        /// What is rendered (minijinja).
        template: Text<PathBuf> = "template: /etc/tidegate/zone.j2",
        /// The file that Tidegate writes; nothing else may write it.
        output: Text<PathBuf> = "output: /etc/tidegate/zone",
        /// Checks a candidate, which `{file}` stands for: exit code 0 when it may go live.
        #[schemars(extend("examples" = [["/usr/sbin/nginx", "-t", "-c", "{file}"]]))]
        check: Vec<At<Text<Argument>>> = "check: [ /usr/bin/checker, \"{file}\" ]",
        /// Makes the file at `output` live.
        reload: Vec<At<Text<Argument>>> = "reload: [ /usr/bin/systemctl, reload, some.service ]",
        /// Proves that it is live: exit code 0. `{generation}` stands for the generation that the text holds.
        verify: Vec<At<Text<Argument>>> = "verify: [ /usr/bin/prover, \"{generation}\" ]",
    }
    optional {
        /// Ends what is live, when the first configuration ever could not be brought live. When omitted: nothing is done.
        stop: Vec<At<Text<Argument>>>,
        /// For each command.
        #[schemars(extend("default" = written(defaults::COMMAND_TIMEOUT)))]
        timeout: Text<Duration>,
        /// At least this long between two reloads.
        #[schemars(extend("default" = written(defaults::MIN_RELOAD_INTERVAL)))]
        min_reload_interval: Text<Duration>,
    }
    later {}
}
