//! What is handed to the deliveries: only what is recorded, and no listener that has lost its nodes without that being
//! decided.

use std::sync::Arc;

use tidegate_core::desired::DesiredState;
use tidegate_core::log::LogState;
use tidegate_core::mutant::{Mutant, planted};
use tidegate_core::position::Position;
use tokio::sync::watch;
use tracing::warn;

use super::office::Tenure;
use crate::settings::ControllerSettings;
use crate::status::Starved;

/// The newest recorded position, and what every load balancer should serve.
#[derive(Clone, Debug, Default)]
pub(super) struct Publication {
    /// Where the log has arrived.
    pub(super) position: Position,
    /// The newest state that may be published; none when none ever might.
    pub(super) state: Option<Arc<DesiredState>>,
    /// Under which it may be pushed; none: this process only follows.
    pub(super) tenure: Option<Tenure>,
}

impl Publication {
    /// Whether it may be pushed at this moment.
    pub(super) fn may_push(&self) -> bool {
        self.tenure.as_ref().is_some_and(|tenure| tenure.is_valid() || planted(Mutant::WriteWithoutLease))
    }
}

/// Where publications leave the loop.
pub(super) struct Outlet {
    /// A channel for each load balancer: one channel would wake its receivers in an order of chance (tokio spreads them
    /// over several lists), and a simulation could not be repeated.
    publications: Vec<watch::Sender<Publication>>,
    newest: Publication,
    starved: Starved,
    is_used: bool,
}

impl Outlet {
    pub(super) fn new(publications: Vec<watch::Sender<Publication>>) -> Self {
        Self { publications, newest: Publication::default(), starved: Starved::default(), is_used: false }
    }

    /// What was published last.
    pub(super) fn published(&self) -> Option<Arc<DesiredState>> {
        self.newest.state.clone()
    }

    /// Listeners without an active node.
    pub(super) const fn starved(&self) -> &Starved {
        &self.starved
    }

    /// Publishes what is recorded, if it is news and every listener has somebody to serve it, or is recorded to have nobody:
    /// the others must not wait for an ingress that runs nowhere. Without a tenure it is only shown and compared with what
    /// is live, never pushed.
    pub(super) fn publish(&mut self, log: &LogState, tenure: Option<&Tenure>, settings: &ControllerSettings) {
        let same_tenure = self.newest.tenure.as_ref().map(Tenure::number) == tenure.map(Tenure::number);
        if self.newest.position == log.position && same_tenure && self.is_used {
            return;
        }
        let cluster = settings.cluster.clone();
        let state = DesiredState::derive(cluster, log.position, &log.membership, &settings.listeners)
            .with_overrides(&log.overrides);
        let blocking = state.starved().into_iter().cloned().collect();
        let must_serve = settings.listeners.iter().filter(|listener| !listener.allow_empty).map(|l| &l.name);
        let vacant =
            must_serve.filter(|listener| state.pool(listener).is_empty() && log.membership.is_vacant(listener));
        let starved = Starved { blocking, vacant: vacant.cloned().collect() };
        if starved.blocking.is_empty() {
            self.newest.state = Some(Arc::new(state));
        } else if self.starved.blocking.is_empty() {
            warn!(listeners = ?starved.blocking, "no node is active for these listeners: what is recorded is not published");
        }
        if !starved.vacant.is_empty() && starved.vacant != self.starved.vacant {
            warn!(listeners = ?starved.vacant, "no node carries these listeners: nobody is behind them");
        }
        self.starved = starved;
        self.newest.position = log.position;
        self.newest.tenure = tenure.cloned();
        self.is_used = true;
        self.send();
    }

    /// Stops every push that has not begun.
    pub(super) fn step_back(&mut self) {
        self.newest.tenure = None;
        self.send();
    }

    fn send(&self) {
        for publication in &self.publications {
            publication.send_replace(self.newest.clone());
        }
    }
}
