//! Zones of a listener's backends: who is set aside for standing in another one, and what every zone's share comes to.
//!
//! Decided by each agent for its own machine, after its probes: only it knows where it stands and who answers there.

mod spread;

use std::collections::BTreeSet;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::desired::{Backend, BackendState, DesiredState, Listener};
use crate::ids::ListenerName;
use crate::node::Zone;
use crate::probe::Overlay;
use spread::spread;

/// What zones mean to a listener.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Zones {
    /// Nothing.
    #[default]
    Any,
    /// New connections stay in the load balancer's own zone while enough of it is up.
    Prefer,
    /// Each zone gets the same share of new connections, whatever its number of nodes.
    Spread,
}

impl Zones {
    /// Whether zones mean nothing.
    pub const fn is_any(&self) -> bool {
        matches!(self, Self::Any)
    }
}

/// Which listeners of one machine keep to its own zone. It remembers those that do not: a node that comes and goes must not
/// take a whole zone in and out with it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Zoning {
    own: Option<Zone>,
    /// Listeners that serve every zone, because too little of their own was up.
    abroad: BTreeSet<ListenerName>,
}

impl Zoning {
    /// Of a machine in this zone; without one nobody is ever set aside.
    pub const fn new(own: Option<Zone>) -> Self {
        Self { own, abroad: BTreeSet::new() }
    }

    /// The same after a restart, when these were set aside.
    pub fn resumed(own: Option<Zone>, desired: &DesiredState, aside: &Overlay) -> Self {
        let is_home = |l: &Listener| desired.pool(&l.name).iter().any(|b| aside.is_out(&l.name, b.address));
        let abroad = desired.listeners.iter().filter(|l| l.zones == Zones::Prefer && !is_home(l));
        Self { own, abroad: abroad.map(|listener| listener.name.clone()).collect() }
    }

    /// Whether a listener that prefers its own zone served every zone, by the latest judgement.
    pub fn is_abroad(&self, listener: &ListenerName) -> bool {
        self.abroad.contains(listener)
    }

    /// Who is set aside for standing in another zone. `is_up`: whether a backend answers, by the latest verdict: what a guard
    /// keeps in all the same is no reason to keep others aside.
    ///
    /// A listener keeps to its own zone while at least half of what is desired there is up, and one at least. Once it serves
    /// every zone, it goes back when all of its own is up, or half and one more. Backends without a zone are the own zone's.
    pub fn judge(&mut self, desired: &DesiredState, is_up: impl Fn(&Listener, &Backend) -> bool) -> Overlay {
        let mut aside = Overlay::default();
        let before = std::mem::take(&mut self.abroad);
        let Some(own) = &self.own else { return aside };
        for listener in desired.listeners.iter().filter(|listener| listener.zones == Zones::Prefer) {
            let active = desired.pool(&listener.name).iter().filter(|backend| backend.is_active());
            let (near, far): (Vec<_>, Vec<_>) =
                active.partition(|backend| backend.zone.as_ref().is_none_or(|zone| zone == own));
            let up = near.iter().filter(|backend| is_up(listener, backend)).count();
            if !is_enough(up, near.len(), before.contains(&listener.name)) {
                self.abroad.insert(listener.name.clone());
                continue;
            }
            for backend in far {
                aside.take_out(listener.name.clone(), backend.address);
            }
        }
        aside
    }
}

/// Whether so many of one's own are up that the others are not needed; `abroad`: whether they were needed a moment ago.
const fn is_enough(up: usize, all: usize, abroad: bool) -> bool {
    up > 0 && if abroad { up == all || 2 * up >= all + 2 } else { 2 * up >= all }
}

/// What is to be served instead of a state, with these set aside; nothing when that is the state itself.
///
/// Who is set aside keeps its connections, for as long as it is set aside, and gets no new one. A listener that would have
/// nobody left stays as it is.
pub fn zoned(state: &DesiredState, aside: &Overlay) -> Option<DesiredState> {
    let mut zoned = None;
    for listener in &state.listeners {
        let pool = state.pool(&listener.name);
        let changed = match listener.zones {
            Zones::Any => None,
            Zones::Prefer => set_aside(pool, |backend| aside.is_out(&listener.name, backend.address)),
            Zones::Spread => spread(pool),
        };
        if let Some(changed) = changed {
            let zoned: &mut DesiredState = zoned.get_or_insert_with(|| state.clone());
            zoned.pools.insert(listener.name.clone(), changed);
        }
    }
    zoned
}

fn set_aside(pool: &[Backend], is_aside: impl Fn(&Backend) -> bool) -> Option<Vec<Backend>> {
    let goes = |backend: &Backend| backend.is_active() && is_aside(backend);
    let stays = |backend: &Backend| backend.is_active() && !is_aside(backend);
    if !pool.iter().any(goes) || !pool.iter().any(stays) {
        return None;
    }
    let after = |backend: &Backend| {
        let state = if goes(backend) { BackendState::Draining { deadline: Timestamp::MAX } } else { backend.state };
        Backend { state, ..backend.clone() }
    };
    Some(pool.iter().map(after).collect())
}
