//! The loop gather -> plan -> record -> publish, and the tasks around it.

mod adoption;
mod confirm;
mod debounce;
mod delivery;
mod error;
mod gather;
mod housekeeper;
mod input;
mod latency;
mod outlet;
mod reconciler;
mod record;
mod resync;

use std::sync::Arc;

use prometheus_client::registry::Registry;
use tidegate_store::Store;
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use crate::api::ApiState;
use crate::clock::Clock;
use crate::metrics::{Metrics, StatusCollector};
use crate::publisher::Publisher;
use crate::settings::ControllerSettings;
use crate::source::NodeSource;
use crate::status::{Balancer, Board};

use delivery::Delivery;
use outlet::Publication;
use reconciler::Reconciler;
use record::Record;

pub use error::ControllerError;

/// Messages that may wait for the loop: more than any burst of answers, and small.
const INPUTS: usize = 1024;

/// What every part of a running controller shares, all of it read-only.
#[derive(Clone)]
struct Shared {
    settings: Arc<ControllerSettings>,
    store: Arc<dyn Store>,
    source: Arc<dyn NodeSource>,
    clock: Arc<dyn Clock>,
    metrics: Metrics,
    board: Arc<Board>,
}

/// A controller that is ready to run.
pub struct Controller {
    shared: Shared,
    publishers: Vec<(Arc<dyn Publisher>, watch::Sender<Balancer>)>,
}

impl Controller {
    /// Wires a controller; nothing is read or sent before [`Self::run`]. Its metrics are registered
    /// under the prefix `tidegate`.
    #[expect(clippy::too_many_arguments, reason = "each is a seam of its own, and there is one caller")]
    pub fn new(
        settings: ControllerSettings,
        store: Arc<dyn Store>,
        source: Arc<dyn NodeSource>,
        publishers: Vec<Arc<dyn Publisher>>,
        clock: Arc<dyn Clock>,
        registry: &mut Registry,
    ) -> Self {
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
        Self { shared: Shared { settings, store, source, clock, metrics, board }, publishers }
    }

    /// What the HTTP API shows; cheap to clone, and of use before and while the controller runs.
    pub fn api(&self) -> ApiState {
        let Shared { settings, store, clock, board, .. } = self.shared.clone();
        ApiState { board, store, clock, settings }
    }

    /// Runs until `shutdown`; ends earlier only when the store is fenced or broken.
    pub async fn run(self, shutdown: CancellationToken) -> Result<(), ControllerError> {
        let Some(record) = shutdown.run_until_cancelled(Record::open(&self.shared)).await else { return Ok(()) };
        let record = record?;
        let (sender, inputs) = mpsc::channel(INPUTS);
        let (publications, desired) = watch::channel(Publication::default());
        let mut deliveries = tokio::task::JoinSet::new();
        for (publisher, view) in self.publishers {
            let delivery = Delivery::new(&self.shared, publisher, view, sender.clone());
            deliveries.spawn(delivery.run(desired.clone()));
        }
        let reconciler = Reconciler::new(self.shared, record, (sender, inputs), publications);
        // The deliveries end with the set that holds them, on every way out.
        reconciler.run(shutdown).await
    }
}
