//! Telling conntrack of connections that are older than its table.
//!
//! The kernel follows connections only while a table needs it to, and knows one only once it has sent a packet since then.
//! An idle connection of the program that served before, of an engine that retires for one, is not known to it: a client that
//! comes from the same port would be given the same address, port and backend, and the backend resets both.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use tidegate_core::protocol::Failure;
use tidegate_core::step::Step;

use super::flows::Flows;
use super::nft::Nft;
use super::script::Script;
use crate::connections::{Connections, Ends};
use crate::engine::failure::transient;
use crate::pipeline::blocking;

/// What the kernel gives an open connection that says nothing (`nf_conntrack_tcp_timeout_established`), in seconds.
const ESTABLISHED: u32 = 432_000;

/// Makes the kernel follow connections before there is a table of ours, by a table that does nothing else.
pub struct Tracking {
    nft: Nft,
    flows: Flows,
    list: PathBuf,
}

impl Tracking {
    /// With a file in the state directory for what is known.
    pub fn new(nft: Nft, flows: Flows, state_dir: &Path) -> Self {
        Self { nft, flows, list: state_dir.join("nftables-connections.conntrack") }
    }

    /// From here to [`Self::end`] the kernel follows connections, and knows all those that this machine has to ports of the
    /// script's backends. A failure is told and stops nothing: it is about idle connections of another program.
    pub async fn begin(&self, script: &Script) {
        if let Err(Failure { message, cure, .. }) = self.introduce(script).await {
            tracing::warn!(message, cure, "idle connections of the engine that served before may be reset by new ones");
        }
    }

    /// The table that is now there needs the kernel to follow them.
    pub async fn end(&self) {
        let table = self.table();
        let removed = self.nft.run(Step::Reload, &format!("add table inet {table}; delete table inet {table}")).await;
        if let Err(Failure { message, .. }) = removed {
            tracing::debug!(message, table, "left until the next load of everything; it does nothing");
        }
    }

    async fn introduce(&self, script: &Script) -> Result<(), Failure> {
        let table = self.table();
        // No hook, so no packet comes by: that the rule is there is enough.
        let follow = format!(
            "add table inet {table}; add chain inet {table} follow; add rule inet {table} follow ct state established return"
        );
        self.nft.run(Step::Reload, &follow).await?;
        let ports: BTreeSet<u16> =
            script.routes().into_iter().filter(|route| !route.udp).map(|route| route.backend.port()).collect();
        let listed = blocking(move || Connections::to_ports(&ports)).await;
        let unknown = |e: String| transient(Step::Reload, e, "none needed when no other engine served here before");
        let connections = listed.map_err(|e| unknown(e.to_string()))?;
        if connections.is_empty() {
            return Ok(());
        }
        fs_err::write(&self.list, entries(&connections)).map_err(|e| unknown(e.to_string()))?;
        let told = self.flows.introduce(&self.list).await;
        _ = fs_err::remove_file(&self.list);
        told
    }

    fn table(&self) -> String {
        format!("{}-tracking", self.nft.table())
    }
}

/// As `conntrack -R` reads them. What it knows already stays as it is.
fn entries(connections: &[Ends]) -> String {
    let mut text = String::new();
    for Ends { near, far } in connections {
        let ends = format!("-s {} -d {} --sport {} --dport {}", near.ip(), far.ip(), near.port(), far.port());
        _ = writeln!(text, "-A -p tcp {ends} --state ESTABLISHED -u SEEN_REPLY,ASSURED -t {ESTABLISHED}");
    }
    text
}
