//! `tidegate uninstall`: what is ours leaves the cluster.

mod report;

pub use report::{DeletedLease, Finalizer, Report, report_text};

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tidegate_controller::{
    KubeLease, KubeNodeSource, KubeNodeWriter, LeaseClient as _, NodeSource as _, NodeWriter as _,
};
use tidegate_core::ids::{NodeName, NodeUid};
use tidegate_core::policy::NodePolicy;
use tidegate_core::time::elapsed;
use tokio::task::JoinSet;

use super::migrate::refuse_running;
use crate::cli::{Output, UninstallArgs};
use crate::config::load::load_controlling;
use crate::exit::{CommandError, Exit};
use crate::output::{Screen, print, print_json};
use crate::serve::kubernetes::Cluster;
use crate::serve::settings::{instance_name, namespace_of};

/// Nodes that are patched at the same time: as gentle to the API server as the controller is.
const AT_ONCE: usize = 8;

/// Says what is ours; with `--yes`, takes it away.
pub async fn uninstall(args: &UninstallArgs, screen: Screen) -> Result<Exit, CommandError> {
    let config = load_controlling(&args.config)?;
    refuse_running(&args.config, &config.cluster).await?;
    crate::tls::install_provider();
    let client = Cluster::new(config.kubeconfig.clone()).client().await.map_err(CommandError::Kubernetes)?;
    let lease = config.election.as_ref();
    let leases = lease.map(|election| KubeLease::new(client.clone(), &namespace_of(election), &election.lease));
    let mut found = Vec::new();
    if let (Some(leases), Some(election)) = (&leases, lease) {
        refuse_held(leases, election.policy.lease_duration).await?;
        found = names(leases, &election.lease).await?;
    }
    let policy = NodePolicy::default();
    let nodes = KubeNodeSource::new(client.clone(), policy.label_keys()).list().await.map_err(CommandError::Nodes)?;
    let held: Vec<(NodeName, NodeUid)> =
        nodes.into_iter().filter(|node| node.finalizer).map(|node| (node.name, node.uid)).collect();
    let mut report = Report::new(config.store.to_string(), !args.yes);
    if args.yes {
        report.finalizers = release(client, held).await;
        if let Some(leases) = &leases {
            report.leases = delete(leases).await;
        }
    } else {
        report.plan(held.into_iter().map(|(node, _)| node), found);
    }
    match args.output {
        Output::Json => print_json(&report)?,
        Output::Table => print(&report_text(&report, &screen))?,
    }
    Ok(if report.has_failed() { Exit::Failed } else { Exit::Fine })
}

/// A controller that runs would put everything back. Clocks may be wrong: this only spares people a surprise.
async fn refuse_held(leases: &KubeLease, lasts: Duration) -> Result<(), CommandError> {
    let Some(seen) = leases.read().await.map_err(CommandError::Kubernetes)? else { return Ok(()) };
    let age = seen.record.renewed.map(|at| elapsed(at, Timestamp::now()));
    match (seen.record.holder, age) {
        (Some(holder), Some(age)) if age < lasts => Err(CommandError::Leads { holder, age }),
        _ => Ok(()),
    }
}

/// The Lease of the election, and those of replicas by their holders.
async fn names(leases: &KubeLease, lease: &str) -> Result<Vec<String>, CommandError> {
    let own = leases.read().await.map_err(CommandError::Kubernetes)?.map(|_| lease.to_owned());
    let replicas = leases.replicas().await.map_err(CommandError::Kubernetes)?;
    Ok(own.into_iter().chain(replicas.into_iter().map(|(holder, _)| format!("of replica {holder}"))).collect())
}

async fn delete(leases: &KubeLease) -> Vec<DeletedLease> {
    match leases.delete_all().await {
        Ok(names) => names.into_iter().map(|lease| DeletedLease { lease, error: None }).collect(),
        Err(error) => vec![DeletedLease { lease: "all of them".to_owned(), error: Some(error.to_string()) }],
    }
}

/// Takes the finalizer off each of them, and says how that went.
async fn release(client: kube::Client, held: Vec<(NodeName, NodeUid)>) -> Vec<Finalizer> {
    let writer = Arc::new(KubeNodeWriter::new(client, &instance_name()));
    let mut done = Vec::with_capacity(held.len());
    for some in held.chunks(AT_ONCE) {
        let mut tasks = JoinSet::new();
        for (node, uid) in some.iter().cloned() {
            let writer = writer.clone();
            tasks.spawn(async move {
                let error = writer.remove_finalizer(&node, &uid).await.err().map(|error| error.to_string());
                Finalizer { node, error }
            });
        }
        done.extend(tasks.join_all().await);
    }
    done.sort_by(|a, b| a.node.cmp(&b.node));
    done
}
