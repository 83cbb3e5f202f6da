//! What is to be served here: a desired state, and what the probes and the zone of this machine make of it.

use std::sync::Arc;

use tidegate_core::desired::DesiredState;
use tidegate_core::probe::Overlay;
use tidegate_core::zones::zoned;

/// A desired state as it is served here.
#[derive(Clone, Debug)]
pub struct Content {
    /// What the controller wants.
    pub desired: Arc<DesiredState>,
    /// Which of its backends do not answer.
    pub overlay: Arc<Overlay>,
    /// Which are set aside for standing in another zone.
    pub aside: Arc<Overlay>,
    /// What that comes to: this is rendered.
    pub effective: Arc<DesiredState>,
}

impl Content {
    /// Of a state, with these out and nobody set aside.
    pub fn new(desired: Arc<DesiredState>, overlay: Arc<Overlay>) -> Self {
        Self::with_aside(desired, overlay, Arc::default())
    }

    /// Of a state, with these out and these set aside.
    pub fn with_aside(desired: Arc<DesiredState>, overlay: Arc<Overlay>, aside: Arc<Overlay>) -> Self {
        let answering = overlay.over(&desired).map_or_else(|| desired.clone(), Arc::new);
        let effective = zoned(&answering, &aside).map_or(answering, Arc::new);
        Self { desired, overlay, aside, effective }
    }
}
