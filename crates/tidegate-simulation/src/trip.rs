//! What happens to a request on its way: how long it takes, and whether it or its answer gets lost.

use std::time::Duration;

use crate::fault::Fault;
use crate::parties::{AgentId, ReplicaId};
use crate::world::State;

/// How long a client waits for an answer before it gives up.
const PATIENCE: Duration = Duration::from_secs(10);

/// How a request ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// It arrives, and so does the answer.
    Answered,
    /// It arrives; the answer does not, and the client gives up.
    AnswerLost,
    /// It does not arrive, and the client gives up.
    Lost,
    /// An error comes back at once, and nothing was done.
    Refused,
}

/// The way of one request and its answer.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Trip {
    pub(crate) fate: Fate,
    /// To the server.
    pub(crate) out: Duration,
    /// Back to the client.
    pub(crate) back: Duration,
    /// When the client gives up.
    pub(crate) patience: Duration,
}

impl State {
    /// A request to the API server.
    pub(crate) fn api_trip(&mut self, replica: ReplicaId) -> Trip {
        let slow = self.weather.has(Fault::ApiSlow { replica });
        let fate = match self.weather.api_cut(replica) {
            Some(true) => Fate::Lost,
            Some(false) => Fate::Refused,
            None if slow && self.network.one_in(8) => Fate::AnswerLost,
            None => Fate::Answered,
        };
        self.trip(fate, slow, 4000)
    }

    /// A read or write of the Lease.
    pub(crate) fn lease_trip(&mut self, replica: ReplicaId) -> Trip {
        let trip = self.api_trip(replica);
        let down = self.weather.has(Fault::LeaseDown);
        Trip { fate: if down { Fate::Refused } else { trip.fate }, ..trip }
    }

    /// A LIST of the Nodes.
    pub(crate) fn list_trip(&mut self, replica: ReplicaId) -> Trip {
        let trip = self.api_trip(replica);
        let fate = match trip.fate {
            Fate::Answered if self.weather.has(Fault::ListFails { replica }) => Fate::Refused,
            Fate::Answered if self.weather.has(Fault::ListHangs { replica }) => Fate::Lost,
            other => other,
        };
        let patience = if fate == Fate::Lost { Duration::from_secs(70) } else { trip.patience };
        Trip { fate, patience, ..trip }
    }

    /// An operation of the store.
    pub(crate) fn store_trip(&mut self, replica: ReplicaId) -> Trip {
        let slow = self.weather.has(Fault::StoreSlow);
        let doubtful = self.weather.has(Fault::StoreAmbiguous);
        let fate = match self.weather.store_cut(replica) {
            Some(true) => Fate::Lost,
            Some(false) => Fate::Refused,
            None if doubtful && self.network.one_in(3) => Fate::AnswerLost,
            None if doubtful && self.network.one_in(4) => Fate::Lost,
            None => Fate::Answered,
        };
        self.trip(fate, slow, 12_000)
    }

    /// A hook, or a question for the status.
    pub(crate) fn agent_trip(&mut self, replica: ReplicaId, agent: AgentId) -> Trip {
        let lossy = self.weather.has(Fault::HooksLost { agent });
        let fate = match () {
            () if self.weather.agent_cut(replica, agent) => Fate::Lost,
            () if lossy && self.network.one_in(2) => Fate::Lost,
            () if lossy && self.network.one_in(3) => Fate::AnswerLost,
            () => Fate::Answered,
        };
        self.trip(fate, false, 0)
    }

    fn trip(&mut self, fate: Fate, slow: bool, slowest: u64) -> Trip {
        let slowest = if slow { slowest } else { 6 };
        let out = self.network.millis(1, slowest);
        let back = self.network.millis(1, slowest);
        Trip { fate, out, back, patience: PATIENCE }
    }
}
