//! Many nodes change at once, and what that costs the load balancer.

use std::fmt;
use std::time::{Duration, Instant};

use anyhow::Result;
use tidegate_core::log::Phase;
use tidegate_core::policy::EXCLUDE_LABEL;
use tidegate_core::status::ClusterStatus;

use super::Fleet;
use crate::Site;
use crate::scenario::{active, in_sync};

/// Nothing may come after the end state for this long.
const QUIET: Duration = Duration::from_secs(4);

/// What happens to the nodes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// This many are excluded by a label: they leave.
    Excluded(usize),
    /// They lose the label: they come back.
    Included(usize),
    /// Everybody fails: guards keep four fifths of them at least, and whoever failed after that was noticed.
    AllFail,
    /// Everybody is well again.
    AllWell,
}

/// How the changes reach the controller.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Told {
    /// One by one, as fast as the API server takes them.
    AsTheyCome,
    /// All at once, after the network between it and the API server was silent.
    AtOnce,
}

/// What a burst was and what it cost.
#[derive(Debug, Clone, Copy)]
pub struct Burst {
    pub change: Change,
    pub told: Told,
    /// How long the API server took to take the changes.
    pub took: Duration,
    /// From the end of that until the right state was live.
    pub settled: Duration,
    /// Pushes that reached the engine.
    pub applies: f64,
    /// Revisions that were committed.
    pub commits: u64,
    /// Who serves in the end.
    pub serving: usize,
}

impl Fleet {
    /// Lets it happen, waits until the right state is live, and makes sure that nothing comes after it.
    pub async fn burst(&mut self, change: Change, told: Told) -> Result<Burst> {
        let (applies, revision) = (self.applies().await?, self.revision().await?);
        let relay = || anyhow::Ok(&self.site.lb(Site::LB)?.relay);
        if told == Told::AtOnce {
            relay()?.hold();
        }
        let started = Instant::now();
        self.change(change).await?;
        let took = started.elapsed();
        relay()?.forward();
        let nodes = self.bulk.members().len();
        let right = |status: &ClusterStatus| in_sync(status) && is_right(status, change, nodes);
        self.wait("the right state live", right).await?;
        let settled = started.elapsed().saturating_sub(took);
        tokio::time::sleep(QUIET).await;
        let end = self.wait("the right state still live", right).await?;
        Ok(Burst {
            change,
            told,
            took,
            settled,
            applies: self.applies().await? - applies,
            commits: self.revision().await? - revision,
            serving: active(&end),
        })
    }

    async fn change(&self, change: Change) -> Result<()> {
        let members = self.bulk.members();
        let first = |count: usize| members.get(..count).unwrap_or(members);
        match change {
            Change::Excluded(count) => self.bulk.label(first(count), EXCLUDE_LABEL, Some("true")).await,
            Change::Included(count) => self.bulk.label(first(count), EXCLUDE_LABEL, None).await,
            Change::AllFail => self.bulk.set_ready(members, false).await,
            Change::AllWell => self.bulk.set_ready(members, true).await,
        }
    }

    /// Applies that told the engine something, however they ended.
    async fn applies(&self) -> Result<f64> {
        let all = self.agent_metric("tidegate_apply_total", &[]).await?;
        let idle = self.agent_metric("tidegate_apply_total", &["result=\"unchanged\""]).await?;
        let superseded = self.agent_metric("tidegate_apply_total", &["result=\"superseded\""]).await?;
        Ok(all - idle - superseded)
    }

    async fn revision(&mut self) -> Result<u64> {
        Ok(self.status.read().await?.desired.map_or(0, |desired| desired.position.revision.0))
    }
}

/// Whether those that the change sends away are out, and everybody else serves. A status of before is never right.
fn is_right(status: &ClusterStatus, change: Change, nodes: usize) -> bool {
    let of = |phase| status.nodes.iter().filter(move |node| node.state == phase);
    let serving = of(Phase::Active).count();
    match change {
        Change::Excluded(count) => of(Phase::Out).count() == count && serving == nodes - count,
        Change::Included(_) | Change::AllWell => {
            serving == nodes && of(Phase::Active).all(|node| node.held_by.is_none())
        }
        Change::AllFail => serving * 5 >= nodes * 4 && of(Phase::Active).all(|node| node.held_by.is_some()),
    }
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Excluded(count) => write!(f, "{count} excluded"),
            Self::Included(count) => write!(f, "{count} back"),
            Self::AllFail => f.write_str("all fail"),
            Self::AllWell => f.write_str("all well again"),
        }
    }
}

impl fmt::Display for Told {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::AsTheyCome => "as they come",
            Self::AtOnce => "at once",
        })
    }
}
