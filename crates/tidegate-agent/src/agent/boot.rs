//! From the disk to a serving engine, with everything else down.

use tidegate_core::class::ErrorClass;
use tidegate_core::ids::ClusterName;
use tidegate_core::protocol::{ApplyReport, Failure, Outcome, Refusal};
use tidegate_core::step::Step;
use tidegate_core::webhook::Admission;

use super::content::Content;
use super::worker::{Done, Prepared, Worker};
use crate::engine::Pulse;
use crate::file::Found;
use crate::metrics::Metrics;
use crate::pipeline::Rendered;
use crate::snapshot::SnapshotError;

/// An agent after it has looked at its disk and its engine.
pub struct Booted {
    /// The engine's side.
    pub worker: Worker,
    /// With the positions that were seen before.
    pub admission: Admission,
    /// The newest state that was admitted, live or not, with what an earlier process knew of its backends.
    pub newest: Option<Content>,
    /// What could not be brought live, with its failure.
    pub failed: Option<(Content, Failure)>,
    /// Trouble that is no state's.
    pub trouble: Option<Failure>,
}

/// Reads the snapshot and brings it live. A candidate whose text is already at the live path comes first: the agent
/// was killed between its swap and its snapshot, and the older state would be a step back.
pub async fn boot(mut worker: Worker, cluster: Option<ClusterName>, metrics: &Metrics) -> Result<Booted, Refusal> {
    worker.pipeline.file.sweep();
    let mut admission = Admission::new(cluster);
    let mut trouble = None;
    let good = usable(worker.snapshots.last_known_good(), &mut trouble);
    let candidate = usable(worker.snapshots.candidate(), &mut None);
    if let Some(content) = &good {
        admission.admit(&content.desired)?;
    }
    let newer = candidate.filter(|c| admission.admit(&c.desired).is_ok());
    let newest = newer.clone().or_else(|| good.clone());
    let swapped_in = newer.filter(|c| is_at_the_live_path(&worker, c));
    let mut failed = None;
    for content in [swapped_in, good].into_iter().flatten() {
        let report = bring_live(&mut worker, &content).await;
        metrics.applied(&report);
        match report.outcome {
            Outcome::RolledBack { cause } | Outcome::RollbackFailed { cause, .. } => failed = Some((content, cause)),
            _ => return Ok(Booted { worker, admission, newest, failed: None, trouble }),
        }
    }
    if failed.is_none() {
        trouble = serve_the_file(&mut worker).await.err().or(trouble);
    }
    Ok(Booted { worker, admission, newest, failed, trouble })
}

fn usable(read: Result<Option<Content>, SnapshotError>, trouble: &mut Option<Failure>) -> Option<Content> {
    match read {
        Ok(content) => content,
        Err(error) => {
            tracing::warn!(%error, "going on without this snapshot");
            *trouble = Some(error.as_failure());
            None
        }
    }
}

fn is_at_the_live_path(worker: &Worker, content: &Content) -> bool {
    let rendered = Rendered::new(worker.pipeline.engine.as_ref(), &content.effective);
    let found = worker.pipeline.file.read();
    matches!((rendered, found), (Ok(rendered), Ok(Found::Ours(generation))) if generation == rendered.generation())
}

/// Finds the state live already, or starts the engine on a file that is right, or applies it.
async fn bring_live(worker: &mut Worker, content: &Content) -> ApplyReport {
    let (rendered, timings) = match worker.prepare(content, true) {
        Prepared::Answered(report) => return report,
        Prepared::Ready(rendered, timings) => (rendered, timings),
    };
    let generation = rendered.generation();
    let file_is_right = matches!(worker.pipeline.file.read(), Ok(Found::Ours(found)) if found == generation);
    let outcome = if !file_is_right {
        None
    } else if worker.pipeline.engine.serving().await.is(generation) {
        Some(Outcome::Unchanged)
    } else if is_down(worker) && worker.start_from_file().await.is_ok() {
        Some(Outcome::Applied)
    } else {
        None
    };
    let Some(outcome) = outcome else {
        let Done { report, .. } = worker.apply(content, rendered, timings).await;
        return report;
    };
    let written = worker.snapshots.promote(content);
    worker.record(content, generation, written);
    let live = worker.live.as_ref().map(super::worker::LiveContent::live);
    ApplyReport { outcome, live, timings: timings.steps().to_vec() }
}

/// Without a snapshot: a file of ours that is whole is better than nothing.
async fn serve_the_file(worker: &mut Worker) -> Result<(), Failure> {
    match worker.pipeline.file.read() {
        Ok(Found::Ours(_)) if is_down(worker) => worker.start_from_file().await,
        Ok(Found::Ours(_) | Found::Absent) => Ok(()),
        Ok(Found::Edited(_) | Found::Foreign(_)) => Err(Failure {
            step: Step::Swap,
            class: ErrorClass::Permanent,
            message: format!("{} is not as tidegate wrote it", worker.pipeline.file.path().display()),
            cure: "start tidegate with --take-over: it keeps a copy beside the file and replaces it".to_owned(),
        }),
        Err(error) => Err(error.into_failure()),
    }
}

fn is_down(worker: &Worker) -> bool {
    matches!(worker.pipeline.engine.pulse(), Pulse::Down { .. })
}
