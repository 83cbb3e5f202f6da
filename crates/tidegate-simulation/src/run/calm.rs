//! What must be so when nothing has been wrong for a while.

use std::collections::BTreeSet;
use std::time::Duration;

use tidegate_core::desired::DesiredState;
use tidegate_core::eligibility::Class;
use tidegate_core::guard::Guard;
use tidegate_core::ids::{ListenerName, NodeName};
use tidegate_core::log::Phase;
use tidegate_core::status::NodeStatus;
use tidegate_core::time::elapsed;

use super::{PEACE, Run};
use crate::oracle::Oracle;
use crate::parties::AgentId;
use crate::replica::Replica;
use crate::settings::{http, web};
use crate::violation::Invariant;
use crate::world::wall_at;

/// Within this after the last trouble of the controllers there is one leader (20 s), and a look comes every 5 s.
const ELECTED: Duration = Duration::from_secs(20);
/// A node that has been well for this long has joined (10 s) and is live.
const JOINED: Duration = Duration::from_secs(15);

impl Run {
    /// Looks whether all is well that must be by now.
    pub(super) async fn look(&mut self) {
        self.look_for_the_dead().await;
        let now = self.world.now();
        let (control_calm, calm) = {
            let state = self.world.state();
            (state.weather.control_calm_since(now), state.weather.calm_since(now))
        };
        self.look_at_finalizers(control_calm);
        if now >= control_calm + ELECTED {
            self.look_for_the_leader();
        }
        if now >= calm + PEACE {
            self.look_for_the_well();
        }
    }

    /// The faults are long over, and the cluster has not changed since: whoever is well is served, and nobody else but those
    /// that a guard keeps, which the leader says.
    pub(super) fn look_at_the_end(&mut self) {
        self.look_for_the_leader();
        let now = self.world.now();
        let nodes = self.leaders_nodes();
        let which = |of: &dyn Fn(&NodeStatus) -> bool| nodes.iter().filter(|n| of(n)).map(|n| n.name.clone()).collect();
        let (kept, going): (BTreeSet<NodeName>, BTreeSet<NodeName>) = (which(&is_kept), which(&is_going));
        let kept_at_web: BTreeSet<NodeName> = which(&|node| is_kept(node) || is_kept_at(node, &web()));
        let mut state = self.world.state();
        state.oracle.counts.calm_checks += 1;
        let wanted = state.names(&state.oracle.well_for(JOINED, now));
        let ready = state.oracle.ready_for(JOINED, now);
        let carriers: BTreeSet<NodeName> = wanted.intersection(&ready).cloned().collect();
        let position = state.oracle.log().position;
        let agents: Vec<AgentId> = state.agents.keys().copied().collect();
        for agent in agents {
            let live = state.agents.get(&agent).and_then(|a| a.live());
            let (served, drained) = served_by(live, &http());
            let (carries, _) = served_by(live, &web());
            let at = state.oracle.live_at(agent);
            let right = wanted.is_subset(&served) && served.iter().all(|n| wanted.contains(n) || kept.contains(n));
            if !right || !drained.is_subset(&going) || at != Some(position) {
                let detail = format_args!(
                    "{agent} serves {served:?} and drains {drained:?} at {at:?}; the log is at {position}, and {wanted:?} should be served, besides {kept:?}, which guards keep"
                );
                state.judge().1.accuse(Invariant::Converges, detail);
            }
            if !carriers.is_subset(&carries) || !carries.iter().all(|n| carriers.contains(n) || kept_at_web.contains(n))
            {
                let detail = format_args!(
                    "{agent} lets {carries:?} carry web; {carriers:?} should, besides {kept_at_web:?}, which guards keep"
                );
                state.judge().1.accuse(Invariant::Converges, detail);
            }
        }
    }

    /// What the leader says of each node.
    fn leaders_nodes(&self) -> Vec<NodeStatus> {
        let statuses = self.replicas.values().filter_map(|r| r.api()?.status()).filter(|status| status.leader.is_self);
        statuses.flat_map(|status| status.nodes).collect()
    }

    /// A controller never ends by itself.
    async fn look_for_the_dead(&mut self) {
        let mut words = Vec::new();
        for replica in self.replicas.values_mut().filter(|r| r.has_quit()) {
            words.push(replica.last_words().await);
        }
        for word in words {
            self.accuse(Invariant::StaysAlive, format_args!("{word}"));
        }
    }

    fn look_at_finalizers(&self, control_calm: Duration) {
        let mut state = self.world.state();
        let nodes: Vec<_> = state.cluster.nodes().values().filter(|n| n.finalizer).cloned().collect();
        for node in nodes {
            let Some(deleted) = node.deleting else { continue };
            let (_, mut moment) = state.judge();
            Oracle::still_held(&mut moment, &node.name, elapsed(wall_at(Duration::ZERO), deleted), control_calm);
        }
    }

    /// Exactly one process may act, and exactly that one says that it leads.
    fn look_for_the_leader(&self) {
        let now = self.world.now();
        let acting: Vec<String> = {
            let state = self.world.state();
            let holders = self.replicas.values().filter_map(Replica::holder);
            holders.filter(|h| state.oracle.may_act(h, now)).map(str::to_owned).collect()
        };
        let leads = |r: &&Replica| {
            let status = r.api().and_then(tidegate_controller::ApiState::status);
            status.is_some_and(|status| status.leader.is_self)
        };
        let leading: Vec<&str> = self.replicas.values().filter(leads).filter_map(Replica::holder).collect();
        if acting.len() != 1 || acting != leading {
            let detail = format_args!("{acting:?} may act, {leading:?} say that they lead");
            self.accuse(Invariant::OneLeader, detail);
        }
    }

    /// Nodes that have been well all the time are served by every load balancer.
    fn look_for_the_well(&self) {
        let now = self.world.now();
        let mut state = self.world.state();
        state.oracle.counts.calm_checks += 1;
        let wanted = state.names(&state.oracle.well_for(PEACE, now));
        let ready = state.oracle.ready_for(PEACE, now);
        let agents: Vec<AgentId> = state.agents.keys().copied().collect();
        for agent in agents {
            let live = state.agents.get(&agent).and_then(|a| a.live());
            let (served, _) = served_by(live, &http());
            let (carries, _) = served_by(live, &web());
            if let Some(missing) = wanted.intersection(&ready).find(|node| !carries.contains(*node)) {
                let detail =
                    format_args!("{missing} and its pod have been well for long, and {agent} has it not carry web");
                state.judge().1.accuse(Invariant::Converges, detail);
            }
            if let Some(missing) = wanted.difference(&served).next() {
                let detail = format_args!("{missing} has been well for long, and {agent} does not serve it");
                state.judge().1.accuse(Invariant::Converges, detail);
            }
        }
    }
}

/// A guard keeps it in though its rule says otherwise. A stale view is no such guard: the faults are over.
fn is_kept(node: &NodeStatus) -> bool {
    node.state == Phase::Active && node.held_by.is_some_and(|guard| guard != Guard::Fresh)
}

fn is_kept_at(node: &NodeStatus, listener: &ListenerName) -> bool {
    let at = node.listeners.iter().find(|at| at.listener == *listener);
    at.and_then(|at| at.held_by).is_some_and(|guard| guard != Guard::Fresh)
}

/// A guard let it go a moment ago.
fn is_going(node: &NodeStatus) -> bool {
    node.state == Phase::Draining && node.rule.class() == Class::Involuntary
}

/// The nodes that an agent serves, and those that drain there, behind one listener.
fn served_by(live: Option<&DesiredState>, listener: &ListenerName) -> (BTreeSet<NodeName>, BTreeSet<NodeName>) {
    let pool = || live.into_iter().flat_map(|state| state.pool(listener));
    let active = pool().filter(|b| b.is_active()).map(|b| b.node.clone()).collect();
    let draining = pool().filter(|b| !b.is_active()).map(|b| b.node.clone()).collect();
    (active, draining)
}
