//! What would be live, without any side effect: `tidegate render`.

use std::path::Path;

use tidegate_core::class::ErrorClass;
use tidegate_core::desired::DesiredState;
use tidegate_core::protocol::Failure;
use tidegate_core::step::Step;

use crate::engine::preview;
use crate::settings::{AgentSettings, DEFAULT_STATE_DIR, EngineSettings};

/// The configuration for a state, as an agent with the default state directory would write it.
pub fn render_to_string(engine: &EngineSettings, state: &DesiredState) -> Result<String, Failure> {
    render(engine, Path::new(DEFAULT_STATE_DIR), state)
}

/// The configuration for a state, exactly as the agent of these settings would write it.
pub fn render_for(settings: &AgentSettings, state: &DesiredState) -> Result<String, Failure> {
    render(&settings.engine, &settings.state_dir, state)
}

fn render(engine: &EngineSettings, state_dir: &Path, state: &DesiredState) -> Result<String, Failure> {
    let renderer = preview(engine, state_dir).map_err(|e| Failure {
        step: Step::Render,
        class: ErrorClass::Permanent,
        message: e.to_string(),
        cure: "choose a plain path for agent.stateDir".to_owned(),
    })?;
    renderer.render(state).map(|rendering| rendering.text)
}
