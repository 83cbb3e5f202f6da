//! The parts of an agent, put together.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tidegate_core::ids::ClusterName;
use tidegate_core::node::Zone;
use tidegate_core::pacing::Pacer;
use tokio::sync::{mpsc, watch};

use super::StartError;
use super::boot::boot;
use super::failures::FailedCandidates;
use super::job::Message;
use super::lock::StateDirLock;
use super::mailbox::Mailbox;
use super::probing::Probing;
use super::status::Posted;
use super::worker::Worker;
use super::zoning::Neighbourhood;
use crate::command::SystemCommands;
use crate::engine::Engine;
use crate::engine::succession::open_after_former;
use crate::file::LiveFile;
use crate::hook::StepHook;
use crate::metrics::Metrics;
use crate::pipeline::Pipeline;
use crate::settings::{AgentSettings, AuditSettings, ProbeSettings};
use crate::snapshot::Snapshots;

/// Everything that an agent is made of, before it has looked at its engine.
pub struct Parts {
    state_dir: PathBuf,
    cluster: Option<ClusterName>,
    pipeline: Pipeline,
    floor: Duration,
    audit: AuditSettings,
    probes: Option<ProbeSettings>,
    zone: Option<Zone>,
    lock: StateDirLock,
}

impl Parts {
    /// For these settings.
    pub(super) async fn new(settings: AgentSettings, hook: StepHook) -> Result<Self, StartError> {
        let AgentSettings { cluster, state_dir, engine, take_over, audit, probes, zone } = settings;
        let engine_settings = engine.absolute();
        let state_dir = std::path::absolute(&state_dir).unwrap_or(state_dir);
        let lock = StateDirLock::take(&state_dir)?;
        let engine = open_after_former(&engine_settings, &state_dir, Arc::new(SystemCommands)).await?;
        let file = LiveFile::new(engine_settings.config_file().to_owned(), take_over);
        let pipeline = Pipeline { engine, file, hook };
        Ok(Self { state_dir, cluster, pipeline, floor: engine_settings.floor(), audit, probes, zone, lock })
    }

    /// For an engine of the caller's own, whose backends are not asked; `floor`: the least time between two reloads.
    pub fn with_engine(state_dir: PathBuf, pipeline: Pipeline, floor: Duration) -> Result<Self, StartError> {
        let lock = StateDirLock::take(&state_dir)?;
        Ok(Self {
            state_dir,
            cluster: None,
            pipeline,
            floor,
            audit: AuditSettings::default(),
            probes: None,
            zone: None,
            lock,
        })
    }

    pub(super) fn engine(&self) -> &Arc<dyn Engine> {
        &self.pipeline.engine
    }

    /// Brings the last-known-good state live and sets up the mailbox.
    pub(super) async fn boot(
        self,
        inbox: mpsc::Receiver<Message>,
        metrics: Metrics,
    ) -> Result<(Mailbox, watch::Receiver<Posted>), StartError> {
        let worker = Worker {
            pipeline: self.pipeline,
            snapshots: Snapshots::new(self.state_dir.clone()),
            live: None,
            failures: FailedCandidates::default(),
            snapshot_error: None,
            _lock: self.lock,
        };
        let booted = boot(worker, self.cluster, &metrics).await;
        let booted = booted.map_err(|refusal| StartError::Snapshot { path: self.state_dir, refusal })?;
        let probing = Probing::start(self.probes, booted.newest.as_ref());
        let zoning = Neighbourhood::start(self.zone, booted.newest.as_ref());
        Ok(Mailbox::new(booted, inbox, (Pacer::new(self.floor), self.audit, probing, zoning), metrics))
    }
}
