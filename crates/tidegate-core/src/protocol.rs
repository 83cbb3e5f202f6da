//! What controller and agent say to each other. They meet only here.
//!
//! `POST /v1/desired-state` carries a [`DesiredState`](crate::desired::DesiredState) and answers an
//! [`ApplyReport`], or a [`Refusal`]; `GET /v1/status` answers an [`AgentStatus`].

use std::net::IpAddr;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::class::ErrorClass;
use crate::hash::ContentHash;
use crate::ids::{ListenerName, NodeName};
use crate::node::Zone;
use crate::position::Position;
use crate::probe::{ProbeHold, Verdict};
use crate::step::Step;

/// Path of the webhook.
pub const DESIRED_STATE_PATH: &str = "/v1/desired-state";
/// Path of the agent's status.
pub const STATUS_PATH: &str = "/v1/status";

/// What an engine serves, as it was last verified.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Live {
    /// The newest position whose content is live.
    #[serde(flatten)]
    pub position: Position,
    /// Hash of that content.
    pub hash: ContentHash,
}

/// Why a step failed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Failure {
    /// Where in the pipeline.
    pub step: Step,
    /// Whether to try again.
    pub class: ErrorClass,
    /// What happened, with its subject (engine output included).
    pub message: String,
    /// What a person can do about it.
    pub cure: String,
}

/// How an apply ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "result", rename_all = "camelCase")]
pub enum Outcome {
    /// The content was live already: no command was run.
    Unchanged,
    /// The content is live, and verified.
    Applied,
    /// A step failed; what was live before is live now.
    RolledBack {
        /// The failure.
        cause: Failure,
    },
    /// A step failed, and so did going back: a person is needed.
    RollbackFailed {
        /// The first failure.
        cause: Failure,
        /// The failure of going back.
        rollback_cause: Failure,
    },
    /// A newer state came before this one was started.
    Superseded {
        /// The newer one.
        by: Position,
    },
}

impl Outcome {
    /// The word used in metric labels and messages.
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Unchanged => "unchanged",
            Self::Applied => "applied",
            Self::RolledBack { .. } => "rolledBack",
            Self::RollbackFailed { .. } => "rollbackFailed",
            Self::Superseded { .. } => "superseded",
        }
    }
}

/// How long one step took.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StepTiming {
    /// Which.
    pub step: Step,
    /// Microseconds.
    pub micros: u64,
}

/// The answer to a desired state that was admitted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ApplyReport {
    /// How it ended.
    #[serde(flatten)]
    pub outcome: Outcome,
    /// What is live now; absent when nothing ever was.
    pub live: Option<Live>,
    /// Each step that ran.
    pub timings: Vec<StepTiming>,
}

/// Why an agent would not even look at a hook. Its HTTP status is [`Refusal::status`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(tag = "refused", rename_all = "camelCase")]
pub enum Refusal {
    /// No secret of ours made this signature.
    #[error("bad signature: {detail}; cure: give controller and agent the same secret file")]
    BadSignature {
        /// What was wrong.
        detail: String,
    },
    /// Sent too long ago, or by a clock that is too far off.
    #[error(
        "webhook-timestamp is {seconds} s away from this machine's clock (limit {limit} s); cure: synchronise the clocks (NTP)"
    )]
    Stale {
        /// Distance in seconds.
        seconds: u64,
        /// Limit in seconds.
        limit: u64,
    },
    /// This very message was received before.
    #[error("webhook-id {id} was received before")]
    Replayed {
        /// The id.
        id: String,
    },
    /// Older than what this agent has.
    #[error("{offered} is older than {current}, which this agent already has")]
    OlderPosition {
        /// What came.
        offered: Position,
        /// What is there.
        current: Position,
    },
    /// The same position with another content: two controllers share one log position.
    #[error("{position} came with content {offered}, but was {current} before")]
    ContentConflict {
        /// The position.
        position: Position,
        /// The hash that came.
        offered: ContentHash,
        /// The hash that was there.
        current: ContentHash,
    },
    /// Larger than the configured limit.
    #[error("the body is larger than {limit} bytes; cure: raise agent.maxBodyBytes")]
    Oversize {
        /// In bytes.
        limit: u64,
    },
    /// Not a desired state, or one that contradicts itself.
    #[error("not a desired state: {detail}")]
    Malformed {
        /// What was wrong.
        detail: String,
    },
    /// For another cluster than the one this agent serves.
    #[error("this agent serves cluster {ours}, the state is of cluster {theirs}")]
    OtherCluster {
        /// The cluster of this agent.
        ours: String,
        /// The cluster of the state.
        theirs: String,
    },
    /// Would leave a listener without any active backend (guard G1).
    #[error(
        "listeners {listeners:?} would have no active backend (guard G1); cure: allowEmpty on the listener, if that is meant"
    )]
    WouldBeEmpty {
        /// The listeners.
        listeners: Vec<ListenerName>,
    },
}

impl Refusal {
    /// The HTTP status of the answer.
    pub const fn status(&self) -> u16 {
        match self {
            Self::BadSignature { .. } | Self::Stale { .. } => 401,
            Self::Replayed { .. } | Self::OlderPosition { .. } | Self::ContentConflict { .. } => 409,
            Self::Oversize { .. } => 413,
            Self::Malformed { .. } => 400,
            Self::OtherCluster { .. } | Self::WouldBeEmpty { .. } => 422,
        }
    }

    /// What the controller should do about it.
    pub const fn class(&self) -> ErrorClass {
        match self {
            Self::Stale { .. } | Self::Replayed { .. } => ErrorClass::Transient,
            Self::OlderPosition { .. } => ErrorClass::Fenced,
            Self::ContentConflict { .. } => ErrorClass::Conflict,
            _ => ErrorClass::Permanent,
        }
    }

    /// The word used in metric labels.
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::BadSignature { .. } => "badSignature",
            Self::Stale { .. } => "stale",
            Self::Replayed { .. } => "replayed",
            Self::OlderPosition { .. } => "olderPosition",
            Self::ContentConflict { .. } => "contentConflict",
            Self::Oversize { .. } => "oversize",
            Self::Malformed { .. } => "malformed",
            Self::OtherCluster { .. } => "otherCluster",
            Self::WouldBeEmpty { .. } => "wouldBeEmpty",
        }
    }
}

/// Whether the engine itself is well.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "health", rename_all = "camelCase")]
pub enum EngineHealth {
    /// It runs and serves what is live.
    Up,
    /// It has nothing to serve yet.
    Idle,
    /// It does not run, or does not answer.
    Down {
        /// Why.
        reason: String,
        /// Since when.
        since: Timestamp,
    },
}

/// A failure with its time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LastError {
    /// When.
    pub at: Timestamp,
    /// The position that failed, when it was an apply.
    pub position: Option<Position>,
    /// What.
    #[serde(flatten)]
    pub failure: Failure,
}

/// One backend as the engine has it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LiveBackend {
    /// The listener it stands behind.
    pub listener: ListenerName,
    /// The node.
    pub node: NodeName,
    /// Its address.
    pub address: IpAddr,
    /// Whether it takes no new connection: those that it has are what is counted.
    #[serde(default)]
    pub draining: bool,
    /// Open connections, where the engine can tell. Counted when [`AgentStatus::live`] was live already.
    pub connections: Option<u64>,
    /// Its zone, when it takes no new connection because this machine prefers its own (`zones: prefer`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub set_aside: Option<Zone>,
    /// What asking it came to; absent when it is not asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub probe: Option<BackendProbe>,
}

/// What asking one backend came to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct BackendProbe {
    /// By the latest answers.
    pub verdict: Verdict,
    /// Since when.
    pub since: Timestamp,
    /// The latest failure; absent after an answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trouble: Option<String>,
    /// Whether it takes no new connection because of that.
    #[serde(default)]
    pub out: bool,
}

/// What the agent's prober says of itself.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ProbeReport {
    /// Backends that are asked.
    pub targets: u64,
    /// Why it cannot ask at the moment; its verdicts stay as they are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sick: Option<Sickness>,
    /// Backends that do not answer and are served all the same.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub holds: Vec<ProbeHold>,
}

/// Why questions cannot be asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Sickness {
    /// What the operating system said.
    pub reason: String,
    /// Since when.
    pub since: Timestamp,
}

/// A change that somebody else made to what an engine serves.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DriftReport {
    /// When it was found last.
    pub at: Timestamp,
    /// What differed from what was live.
    pub how: String,
    /// What became of it.
    pub outcome: DriftOutcome,
    /// How often one was found since the agent started.
    pub times: u64,
}

/// What became of a foreign change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum DriftOutcome {
    /// The engine serves the live file again.
    Repaired,
    /// Nothing: that is how the agent is configured, or the live file was changed as well.
    Reported,
    /// It could not be undone; it is tried again at the next audit.
    RepairFailed,
}

impl DriftOutcome {
    /// As it is written in metrics and logs.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Repaired => "repaired",
            Self::Reported => "reported",
            Self::RepairFailed => "repairFailed",
        }
    }
}

/// How often an engine is reloaded at most: each reload leaves a generation behind that lives as long as its connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ReloadBudget {
    /// Milliseconds from one reload to the next, at least.
    pub min_interval_millis: u64,
    /// When the last one was; absent before the first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last: Option<Timestamp>,
}

/// Everything an agent says of itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AgentStatus {
    /// The agent's version.
    pub version: String,
    /// `nginx`, `haproxy`, ...
    pub engine: String,
    /// The engine's own version, when known.
    pub engine_version: Option<String>,
    /// How the engine is.
    #[serde(flatten)]
    pub health: EngineHealth,
    /// What is live; absent when nothing ever was.
    pub live: Option<Live>,
    /// The newest admitted position that is not live yet.
    pub pending: Option<Position>,
    /// The last failure that still matters: cleared by the next success.
    pub last_error: Option<LastError>,
    /// What stands behind each listener, draining backends included.
    pub backends: Vec<LiveBackend>,
    /// Engine reloads since the agent started.
    pub reloads: u64,
    /// How far apart reloads are kept; absent for an engine that changes in place.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reload_budget: Option<ReloadBudget>,
    /// Earlier generations of the engine that still hold connections (nginx: workers shutting down).
    pub old_generations: u64,
    /// The last foreign change to what the engine serves; absent when none was found since the agent started.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub drift: Option<DriftReport>,
    /// Of the prober; absent when it is switched off.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub probes: Option<ProbeReport>,
}
