//! `tidegate store migrate`: everything that is recorded, from one store to another.

use std::path::Path;

use serde::Serialize;
use tidegate_core::ids::ClusterName;
use tidegate_core::position::Position;
use tidegate_store::{Migrated, migrate};

use crate::cli::{MigrateArgs, Output};
use crate::client::ApiClient;
use crate::config::StoreConfig;
use crate::config::load::{load_api_listen, load_store};
use crate::exit::{CommandError, Exit};
use crate::output::{Screen, print, print_json};
use crate::recorded::{is_missing, open_store};

#[derive(Serialize)]
struct Report {
    cluster: ClusterName,
    from: String,
    to: String,
    #[serde(flatten)]
    position: Position,
    entries: u64,
    snapshots: usize,
    nodes: usize,
}

/// Copies, compares, and says what was copied.
pub async fn migrate_store(args: &MigrateArgs, screen: Screen) -> Result<Exit, CommandError> {
    let (cluster, from) = load_store(&args.from)?;
    let (other, to) = load_store(&args.to)?;
    if cluster != other {
        return Err(CommandError::TwoClusters { from: cluster, to: other });
    }
    if from == to {
        return Err(CommandError::SameStore { place: from.to_string() });
    }
    if is_missing(&from) {
        let cure = "pass the configuration that the controller runs with as --from";
        return Err(CommandError::NothingRecorded { place: from.to_string(), cure });
    }
    for file in [&args.from, &args.to] {
        refuse_running(file, &cluster).await?;
    }
    let source = open_store(&from, &cluster, None).await?;
    let target = open_store(&to, &cluster, None).await?;
    let Migrated { position, entries, snapshots, nodes } = migrate(&cluster, &*source, &*target).await?;
    let report = Report { cluster, from: from.to_string(), to: to.to_string(), position, entries, snapshots, nodes };
    match args.output {
        Output::Json => print_json(&report)?,
        Output::Table => print(&text(&report, &to, &screen))?,
    }
    Ok(Exit::Fine)
}

/// What a controller records while it is copied would be lost: ask the API that the file names.
pub async fn refuse_running(file: &Path, cluster: &ClusterName) -> Result<(), CommandError> {
    let client = ApiClient::at_listen(load_api_listen(file)?)?;
    match client.status().await {
        Ok(status) if status.cluster == *cluster => {
            Err(CommandError::Running { cluster: cluster.clone(), url: client.url_text() })
        }
        // Nobody there, somebody else, or no controller at all.
        _ => Ok(()),
    }
}

fn text(report: &Report, to: &StoreConfig, screen: &Screen) -> String {
    let Report { cluster, position, entries, snapshots, nodes, .. } = report;
    let head = screen.style.good(&format!("cluster {cluster} is copied"));
    let role = match to {
        StoreConfig::Sqlite(_) => "of its one controller",
        StoreConfig::Mongodb(_) => "of every controller",
    };
    format!(
        "{head}, and both were compared\n  from      {}\n  to        {}\n  copied    {entries} revisions up to {} (term {}), \
         {snapshots} snapshots, {nodes} active nodes\n  next      write the new `store` into the configuration {role}, and start; \
         keep the old store until that works\n",
        report.from, report.to, position.revision, position.term
    )
}
