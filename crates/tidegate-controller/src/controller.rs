//! The loop gather -> plan -> record -> publish, and the tasks around it.

mod adoption;
mod claim;
mod confirm;
mod debounce;
mod delivery;
mod elector;
mod error;
mod events;
mod finalizers;
mod following;
mod gather;
mod holds;
mod housekeeper;
mod input;
mod latency;
mod limits;
mod office;
mod outlet;
mod reconciler;
mod record;
mod resync;
mod sights;
mod tail;
mod tasks;

use std::sync::Arc;

use prometheus_client::registry::Registry;
use tidegate_core::status::ReplicaStatus;
use tidegate_store::Store;
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use crate::api::ApiState;
use crate::clock::Clock;
use crate::follow_source::FollowSource;
use crate::lease_client::LeaseClient;
use crate::metrics::{Metrics, StatusCollector};
use crate::node_writer::NodeWriter;
use crate::publisher::Publisher;
use crate::settings::ControllerSettings;
use crate::source::NodeSource;
use crate::status::{Balancer, Board};

use delivery::Delivery;
use elector::{Elector, Roster};
use office::Office;
use outlet::Publication;
use reconciler::{Lines, Reconciler};
use record::Record;
use tasks::{Crew, Tasks};

pub use error::ControllerError;
pub(crate) use input::Input;

/// The way to the loop.
type Inputs = mpsc::Sender<Input>;

/// Messages that may wait for the loop: more than any burst of answers, and small.
const INPUTS: usize = 1024;

/// What every part of a running controller shares, all of it read-only.
#[derive(Clone)]
struct Shared {
    settings: Arc<ControllerSettings>,
    store: Arc<dyn Store>,
    source: Arc<dyn NodeSource>,
    follows: Arc<dyn FollowSource>,
    nodes: Arc<dyn NodeWriter>,
    clock: Arc<dyn Clock>,
    metrics: Metrics,
    board: Arc<Board>,
}

/// Where a controller meets the world: everything that it reads, writes or asks.
pub struct Seams {
    /// The record of what was decided.
    pub store: Arc<dyn Store>,
    /// Where Nodes are read.
    pub source: Arc<dyn NodeSource>,
    /// Where pods and endpoints are read.
    pub follows: Arc<dyn FollowSource>,
    /// The load balancers.
    pub publishers: Vec<Arc<dyn Publisher>>,
    /// The wall clock.
    pub clock: Arc<dyn Clock>,
    /// Where finalizers and Events are written.
    pub nodes: Arc<dyn NodeWriter>,
    /// The Lease that replicas elect their leader with; none: this process leads, always.
    pub election: Option<Arc<dyn LeaseClient>>,
}

/// A controller that is ready to run.
pub struct Controller {
    shared: Shared,
    publishers: Vec<(Arc<dyn Publisher>, watch::Sender<Balancer>)>,
    election: Option<Arc<dyn LeaseClient>>,
    inputs: (Inputs, mpsc::Receiver<Input>),
}

impl Controller {
    /// Wires a controller; nothing is read or sent before [`Self::run`]. Its metrics are registered
    /// under the prefix `tidegate`.
    pub fn new(settings: ControllerSettings, seams: Seams, registry: &mut Registry) -> Self {
        let Seams { store, source, follows, publishers, clock, nodes, election } = seams;
        let (publishers, views): (Vec<_>, Vec<_>) = publishers
            .into_iter()
            .map(|publisher| {
                let (sender, view) = watch::channel(Balancer::new(publisher.name().clone()));
                ((publisher, sender), view)
            })
            .unzip();
        let board = Arc::new(Board::new(settings.cluster.clone(), views));
        let metrics = Metrics::register(registry, StatusCollector::new(board.clone(), clock.clone()));
        let settings = Arc::new(settings);
        let shared = Shared { settings, store, source, follows, nodes, clock, metrics, board };
        Self { shared, publishers, election, inputs: mpsc::channel(INPUTS) }
    }

    /// What the HTTP API shows, and how operators are heard; cheap to clone, and of use before and while the controller
    /// runs.
    pub fn api(&self) -> ApiState {
        let Shared { settings, store, clock, board, .. } = self.shared.clone();
        ApiState { board, store, clock, settings, orders: self.inputs.0.downgrade(), token: None }
    }

    /// Runs until `shutdown`; ends earlier only when the store is broken, or fenced where there is no election.
    ///
    /// All of it is this one future, except what the seams start themselves: a controller that is not polled does
    /// nothing, and one that is dropped has ended.
    pub async fn run(self, shutdown: CancellationToken) -> Result<(), ControllerError> {
        let (tasks, crew) = Crew::new();
        let outcome = async {
            let office = self.stand_for_office(&tasks, &shutdown);
            let read = shutdown.run_until_cancelled(Record::read(&self.shared)).await;
            let Some(record) = read else {
                office.resign().await;
                return Ok(());
            };
            let record = record?;
            self.shared
                .board
                .set_unready("the store is read, but no complete LIST of the Nodes has come yet".to_owned());
            self.reconciler(record, office, tasks).run(shutdown).await
        };
        tokio::select! {
            biased;
            outcome = outcome => outcome,
            never = crew.run() => match never {},
        }
    }

    /// Starts to take part in the election, if there is one.
    fn stand_for_office(&self, tasks: &Tasks, shutdown: &CancellationToken) -> Office {
        let Some(client) = &self.election else {
            let holder = self.shared.settings.holder.clone();
            let last_seen = self.shared.clock.now();
            self.shared.board.set_replicas(vec![ReplicaStatus { holder: holder.clone(), is_leader: true, last_seen }]);
            return Office::for_life(&holder);
        };
        let (elector, office) = Elector::new(&self.shared, client.clone());
        tasks.spawn(elector.run());
        tasks.spawn(Roster::new(&self.shared, client.clone(), office.clone()).run(shutdown.clone()));
        office
    }

    fn reconciler(self, record: Record, office: Office, tasks: Tasks) -> Reconciler {
        let mut publications = Vec::new();
        for (publisher, view) in self.publishers {
            let (sender, desired) = watch::channel(Publication::default());
            publications.push(sender);
            let delivery = Delivery::new(&self.shared, publisher, view, self.inputs.0.clone());
            tasks.spawn(delivery.run(desired));
        }
        Reconciler::new(self.shared, record, Lines { inputs: self.inputs, publications, office, tasks })
    }
}
