//! What is to be served here: a desired state, and what the probes make of it.

use std::sync::Arc;

use tidegate_core::desired::DesiredState;
use tidegate_core::probe::Overlay;

/// A desired state under an overlay.
#[derive(Clone, Debug)]
pub struct Content {
    /// What the controller wants.
    pub desired: Arc<DesiredState>,
    /// Which of its backends do not answer.
    pub overlay: Arc<Overlay>,
    /// What that comes to: this is rendered.
    pub effective: Arc<DesiredState>,
}

impl Content {
    /// Of a state under an overlay.
    pub fn new(desired: Arc<DesiredState>, overlay: Arc<Overlay>) -> Self {
        let effective = overlay.over(&desired).map_or_else(|| desired.clone(), Arc::new);
        Self { desired, overlay, effective }
    }
}
