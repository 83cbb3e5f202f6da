//! Counting connections for whoever asks for the status, at most once a second for each live position.

use std::sync::Arc;
use std::time::Duration;

use tidegate_core::desired::DesiredState;
use tidegate_core::position::Position;
use tokio::sync::Mutex;
use tokio::time::Instant;

use super::backends::far_ends;
use crate::connections::{Connections, CountError};
use crate::engine::Engine;

/// How long a count is good for: somebody who asks more often gains nothing that a drain could use.
const FRESH: Duration = Duration::from_secs(1);

/// Counts, one at a time.
pub struct Census {
    engine: Arc<dyn Engine>,
    last: Mutex<Last>,
}

#[derive(Default)]
struct Last {
    count: Option<Count>,
    /// Whether the log says already that there is none.
    silent: bool,
}

/// One count.
struct Count {
    /// What was live before it was begun: it says nothing about a position that went live later.
    position: Position,
    begun: Instant,
    connections: Option<Arc<Connections>>,
}

impl Census {
    /// Of one engine's backends.
    pub fn new(engine: Arc<dyn Engine>) -> Self {
        Self { engine, last: Mutex::default() }
    }

    /// The connections to the backends of a state that is live already; nothing when they cannot be counted.
    pub async fn of(&self, state: &DesiredState) -> Option<Arc<Connections>> {
        let mut last = self.last.lock().await;
        let still_good = |c: &&Count| c.position == state.position && c.begun.elapsed() < FRESH;
        if let Some(count) = last.count.as_ref().filter(still_good) {
            return count.connections.clone();
        }
        let begun = Instant::now();
        let counted = self.engine.connections(far_ends(state)).await;
        let connections = last.note(counted).map(Arc::new);
        last.count = Some(Count { position: state.position, begun, connections: connections.clone() });
        connections
    }
}

impl Last {
    /// Says once that connections cannot be counted, and once that they can again.
    fn note(&mut self, counted: Result<Option<Connections>, CountError>) -> Option<Connections> {
        let was_silent = std::mem::replace(&mut self.silent, counted.is_err());
        match counted {
            Ok(connections) => {
                if was_silent {
                    tracing::info!("connections to backends are counted again");
                }
                connections
            }
            Err(error) => {
                if !was_silent {
                    let class = error.class().as_str();
                    tracing::warn!(%error, class, "connections are not counted: drains last until their deadline");
                }
                None
            }
        }
    }
}
