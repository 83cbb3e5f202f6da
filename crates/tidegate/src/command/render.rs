//! `tidegate render`: the engine configuration that would be live, with no side effect.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::Path;

use jiff::Timestamp;
use serde_json::Value;
use tidegate_core::desired::{DesiredState, Listener};
use tidegate_core::eligibility::Rule;
use tidegate_core::ids::{ClusterName, NodeName, NodeUid};
use tidegate_core::log::{Change, LogState, Phase};
use tidegate_core::membership::{Member, MemberState, Membership};
use tidegate_core::node::Weight;
use tidegate_core::position::{Position, Revision, Term};

use crate::cli::RenderArgs;
use crate::config::ControllerConfig;
use crate::config::load::{Renderable, load_render};
use crate::exit::{CommandError, Exit};
use crate::output::print;
use crate::recorded::{is_missing, open_store};
use crate::serve::settings::agent_settings;

/// Where the agent keeps the last state that worked.
const LAST_KNOWN_GOOD: &str = "last-known-good.json";

/// Renders the state that the arguments name.
pub async fn render(args: &RenderArgs) -> Result<Exit, CommandError> {
    let renderable = load_render(&args.config)?;
    let state = match (&args.state, &renderable.controller) {
        (Some(file), _) => state_of(file)?,
        (None, Some(controller)) if args.example => example(controller),
        (None, Some(controller)) => recorded(controller).await?,
        (None, None) => last_known_good(&renderable)?,
    };
    let settings = agent_settings(&renderable.agent, false);
    let text = tidegate_agent::render_for(&settings, &state)
        .map_err(|failure| CommandError::Render { message: failure.message, cure: failure.cure })?;
    print(&text)?;
    Ok(Exit::Fine)
}

/// The newest state in the store, with the listeners of the file.
async fn recorded(controller: &ControllerConfig) -> Result<DesiredState, CommandError> {
    let nothing = || CommandError::NothingRecorded {
        place: controller.store.to_string(),
        cure: "start `tidegate run`, or look at `tidegate render --example`",
    };
    if is_missing(&controller.store) {
        return Err(nothing());
    }
    let LogState { position, membership, .. } =
        open_store(&controller.store, &controller.cluster, None).await?.load().await?;
    if membership.members().is_empty() {
        return Err(nothing());
    }
    Ok(derive(controller.cluster.clone(), position, &membership, &controller.listeners))
}

fn derive(cluster: ClusterName, position: Position, membership: &Membership, listeners: &[Listener]) -> DesiredState {
    DesiredState::derive(cluster, position, membership, listeners)
}

fn last_known_good(renderable: &Renderable) -> Result<DesiredState, CommandError> {
    let path = renderable.agent.state_dir.join(LAST_KNOWN_GOOD);
    if !path.exists() {
        let cure = "push a state to this agent first, or pass one with --state";
        return Err(CommandError::NothingRecorded { place: path.display().to_string(), cure });
    }
    state_of(&path)
}

/// A desired state as it is, or inside the agent's snapshot.
fn state_of(path: &Path) -> Result<DesiredState, CommandError> {
    let cure = "pass a desired state as JSON, or an agent's last-known-good.json";
    let wrong = |problem: String| CommandError::State { path: path.to_owned(), problem, cure };
    let bytes = std::fs::read(path).map_err(|error| wrong(error.to_string()))?;
    let mut json: Value = serde_json::from_slice(&bytes).map_err(|error| wrong(error.to_string()))?;
    if let Some(state) = json.get_mut("state").filter(|state| state.is_object()) {
        json = state.take();
    }
    let state: DesiredState = serde_json::from_value(json).map_err(|error| wrong(error.to_string()))?;
    if state.content_hash() != state.hash {
        return Err(wrong("its hash is not that of its content".to_owned()));
    }
    Ok(state)
}

/// Two made-up nodes, so that a template or a listener can be looked at before anything is installed.
fn example(controller: &ControllerConfig) -> DesiredState {
    let mut membership = Membership::default();
    // Addresses for documentation: RFC 5737 and RFC 3849.
    let nodes = [("worker-1", "192.0.2.11", "2001:db8::11"), ("worker-2", "192.0.2.12", "2001:db8::12")];
    for (name, v4, v6) in nodes {
        let (Ok(node), Ok(uid)) = (NodeName::parse(name), NodeUid::parse(name)) else { continue };
        let parsed: Vec<IpAddr> = [v4, v6].iter().filter_map(|text| text.parse().ok()).collect();
        let of_family =
            |family: &tidegate_core::policy::IpFamily| parsed.iter().find(|a| family.contains(**a)).copied();
        let addresses = controller.policy.ip_families.iter().filter_map(of_family).collect();
        let member = Member {
            node: node.clone(),
            hostname: name.to_owned(),
            addresses,
            state: MemberState::Active,
            rule: Rule::Eligible,
            reason: "example".to_owned(),
            since: Timestamp::UNIX_EPOCH,
            retiring: Vec::new(),
            apart: BTreeMap::new(),
            weight: Weight::ONE,
            zone: None,
        };
        let (rule, observation) = (Rule::Eligible, "example".to_owned());
        membership.apply(&Change { uid, node, from: Phase::Out, to: Some(member), rule, observation });
    }
    let position = Position { term: Term(1), revision: Revision(1) };
    derive(controller.cluster.clone(), position, &membership, &controller.listeners)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_that_was_changed_by_hand_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state.json");
        let cluster = ClusterName::parse("prod").unwrap();
        let position = Position { term: Term(1), revision: Revision(1) };
        let state = derive(cluster, position, &Membership::default(), &[]);
        let text = serde_json::to_string(&state).unwrap();
        std::fs::write(&path, &text).unwrap();
        assert_eq!(state_of(&path).unwrap(), state);
        std::fs::write(&path, format!("{{\"sha256\":\"x\",\"state\":{text}}}")).unwrap();
        assert_eq!(state_of(&path).unwrap(), state);
        std::fs::write(&path, text.replace("\"listeners\":[]", "\"listeners\":[{}]")).unwrap();
        assert!(state_of(&path).is_err());
    }
}
