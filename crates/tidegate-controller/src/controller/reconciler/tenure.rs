//! How this process becomes the leader, stops being it, and follows.

use tidegate_core::position::Position;
use tidegate_store::StoreError;
use tracing::{info, warn};

use super::Reconciler;
use crate::controller::ControllerError;
use crate::controller::latency::Latency;
use crate::controller::office::Tenure;
use crate::controller::tail::Tail;

impl Reconciler {
    /// Takes over, steps back or follows, as the election says.
    pub(super) async fn mind_the_office(&mut self) -> Result<(), ControllerError> {
        match self.office.tenure().filter(|tenure| tenure.number() > self.overruled) {
            Some(tenure) if !self.leads_under(&tenure) => self.take_over(tenure).await?,
            Some(_) => {}
            None if self.housekeeper.serves() => self.step_back(),
            None => self.follow.start(&self.shared.store, self.record.known(), &self.tasks, &self.sender),
        }
        Ok(())
    }

    fn leads_under(&self, tenure: &Tenure) -> bool {
        self.record.tenure().is_some_and(|current| current.number() == tenure.number())
    }

    /// Opens a term and serves at once what is recorded: the view is warm, and nothing waits for a LIST.
    async fn take_over(&mut self, tenure: Tenure) -> Result<(), ControllerError> {
        let before = self.record.position();
        let opened = self.record.open(tenure.clone()).await?;
        if let Some(entry) = opened {
            self.rival = None;
            self.gather.takes_over();
            self.latency = Latency::new(self.shared.board.balancers().count());
            self.housekeeper.serve(Some(tenure));
            self.committed(&entry);
            self.publish();
        }
        if self.record.position() != before || self.record.trouble().is_some() {
            self.gather.plan_again();
        }
        Ok(())
    }

    fn step_back(&mut self) {
        info!(leader = self.office.leader().as_deref().unwrap_or("nobody"), "this process does not lead any more");
        self.record.step_back();
        self.outlet.step_back();
        self.housekeeper.serve(None);
        self.event = None;
        self.gather.plan_again();
    }

    /// The store has a newer term than ours: whoever opened it leads.
    pub(super) async fn stand_down(&mut self, holder: String, found: Position, ours: Position) {
        let number = self.office.tenure().map(|tenure| tenure.number());
        warn!(%holder, %found, %ours, "fenced: another controller has opened a newer term; following it");
        if let Some(number) = number {
            let lease_is_ours = "the Lease is this controller's, and yet";
            let cure = "cure: let both use the same Lease (leaderElection.namespace and lease), or give each a store of its own";
            self.rival = Some(format!("{lease_is_ours} {holder} writes to the same store ({found}); {cure}"));
            self.overruled = number;
            self.office.deposed(holder).await;
        }
        self.step_back();
        self.follow.hurry();
    }

    /// Takes in what a follower has read of the log.
    pub(super) fn followed(&mut self, result: Result<Tail, StoreError>) {
        self.follow.ended();
        if self.housekeeper.serves() {
            return;
        }
        if self.record.absorb(result) {
            self.outlet.publish(self.record.log(), None, &self.shared.settings);
            self.gather.plan_again();
        }
    }
}
