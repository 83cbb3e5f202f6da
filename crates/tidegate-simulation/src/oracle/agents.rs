//! What may reach an agent, and what may be live there.

use tidegate_core::desired::{Backend, DesiredState};
use tidegate_core::position::Position;

use super::{Moment, Oracle};
use crate::parties::AgentId;
use crate::settings::http;
use crate::violation::Invariant;

impl Oracle {
    /// A process is about to send a state.
    pub(crate) fn pushes(&mut self, moment: &mut Moment<'_>, holder: &str, agent: AgentId, state: &DesiredState) {
        self.counts.pushes += 1;
        self.acts(moment, holder, format_args!("push of {} to {agent}", state.position));
        self.judge_content(moment, holder, state);
    }

    /// An agent admits a state.
    pub(crate) fn admits(&mut self, moment: &mut Moment<'_>, agent: AgentId, state: &DesiredState) {
        let before = self.admitted.insert(agent, state.position);
        if let Some(before) = before.filter(|before| *before > state.position) {
            let detail = format_args!("{agent} had {before}, and admits {}", state.position);
            moment.accuse(Invariant::AgentNeverGoesBack, detail);
        }
    }

    /// A state is live on an agent.
    pub(crate) fn serves(&mut self, moment: &mut Moment<'_>, agent: AgentId, state: &DesiredState) {
        moment.note(format_args!("{agent} serves {} ({})", state.position, pool_words(state)));
        self.counts.applies += 1;
        let before = self.live.insert(agent, state.position);
        if let Some(before) = before.filter(|before| *before > state.position) {
            let detail = format_args!("{agent} served {before}, and now {}", state.position);
            moment.accuse(Invariant::AgentNeverGoesBack, detail);
        }
        // Of `web`, where no node has a pod there can be none.
        if !state.pool(&http()).iter().any(Backend::is_active) {
            moment.accuse(Invariant::NeverEmpty, format_args!("{agent} serves {} without a node", state.position));
        }
        self.judge_content(moment, &agent.to_string(), state);
    }

    /// A process got an answer from an agent.
    pub(crate) fn hears(&mut self, holder: &str, agent: AgentId, now: std::time::Duration) {
        self.heard.insert((holder.to_owned(), agent), now);
    }

    pub(crate) fn live_at(&self, agent: AgentId) -> Option<Position> {
        self.live.get(&agent).copied()
    }

    fn judge_content(&self, moment: &mut Moment<'_>, who: &str, state: &DesiredState) {
        match self.contents.get(&state.position) {
            Some(hash) if *hash == state.hash => {}
            Some(_) => {
                let detail = format_args!("{who}: {} has another content than was committed", state.position);
                moment.accuse(Invariant::OnlyCommittedGoesOut, detail);
            }
            None => {
                let detail = format_args!("{who}: {} is not in the log", state.position);
                moment.accuse(Invariant::OnlyCommittedGoesOut, detail);
            }
        }
    }
}

fn pool_words(state: &DesiredState) -> String {
    let pools = state.pools.values().map(|pool| {
        let words = pool.iter().map(|b| if b.is_active() { b.node.to_string() } else { format!("~{}", b.node) });
        words.collect::<Vec<_>>().join(" ")
    });
    pools.collect::<Vec<_>>().join(" | ")
}
