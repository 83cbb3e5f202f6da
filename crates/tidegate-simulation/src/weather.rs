//! Which faults there are at this moment.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::time::Duration;

use crate::fault::Fault;
use crate::parties::{AgentId, ReplicaId};

/// What a stalled watch had held back has arrived soon after it went on; if its correction got lost, the next LIST brings it
/// (a minute and the time that it takes; seed 805).
const STALE_NEWS: Duration = Duration::from_secs(75);

/// The faults of this moment; everything that can fail asks here.
#[derive(Debug, Default)]
pub(crate) struct Weather {
    faults: Vec<Fault>,
    /// How often each made a difference.
    strikes: RefCell<BTreeMap<&'static str, u64>>,
    /// When anything was last in trouble.
    trouble: Duration,
    /// When the controllers were last in trouble.
    control_trouble: Duration,
    /// When each watch that had stalled went on.
    stalled: BTreeMap<ReplicaId, Duration>,
}

impl Weather {
    pub(crate) fn begin(&mut self, fault: Fault, now: Duration) {
        self.faults.push(fault);
        if fault.strikes_once() {
            self.struck(fault);
        }
        self.noticed(fault, now);
    }

    pub(crate) fn end(&mut self, fault: Fault, now: Duration) {
        if let Some(place) = self.faults.iter().position(|f| *f == fault) {
            self.faults.remove(place);
        }
        self.noticed(fault, now);
    }

    fn noticed(&mut self, fault: Fault, now: Duration) {
        self.trouble = now;
        if fault.troubles_control() {
            self.control_trouble = now;
        }
        if let Fault::WatchStalls { replica } = fault {
            self.stalled.insert(replica, now);
        }
    }

    /// Since when there has been no fault at all.
    pub(crate) fn calm_since(&self, now: Duration) -> Duration {
        if self.faults.is_empty() { self.trouble } else { now }
    }

    /// Whether this controller's watch may tell old news.
    pub(crate) fn watch_lags(&self, replica: ReplicaId, now: Duration) -> bool {
        let lately = self.stalled.get(&replica).is_some_and(|at| *at + STALE_NEWS > now);
        lately || self.lasts(Fault::WatchStalls { replica })
    }

    /// Since when the controllers have had nothing to struggle with.
    pub(crate) fn control_calm_since(&self, now: Duration) -> Duration {
        if self.faults.iter().any(|f| f.troubles_control()) { now } else { self.control_trouble }
    }

    /// Whether something meets this fault; that counts.
    pub(crate) fn has(&self, fault: Fault) -> bool {
        let lasts = self.lasts(fault);
        if lasts {
            self.struck(fault);
        }
        lasts
    }

    pub(crate) fn lasts(&self, fault: Fault) -> bool {
        self.faults.contains(&fault)
    }

    /// How often each fault made a difference.
    pub(crate) fn strikes(&self) -> BTreeMap<&'static str, u64> {
        self.strikes.borrow().clone()
    }

    fn struck(&self, fault: Fault) {
        *self.strikes.borrow_mut().entry(fault.name()).or_default() += 1;
    }

    /// Whether the API does not answer this controller, and then whether it hangs.
    pub(crate) fn api_cut(&self, replica: ReplicaId) -> Option<bool> {
        [true, false].into_iter().find(|hangs| self.has(Fault::ApiCut { replica, hangs: *hangs }))
    }

    /// Whether the store does not answer this controller, and then whether it hangs.
    pub(crate) fn store_cut(&self, replica: ReplicaId) -> Option<bool> {
        let down = [true, false].into_iter().find(|hangs| self.has(Fault::StoreDown { hangs: *hangs }));
        down.or_else(|| self.has(Fault::StoreCut { replica }).then_some(true))
    }

    pub(crate) fn agent_cut(&self, replica: ReplicaId, agent: AgentId) -> bool {
        self.has(Fault::AgentCut { replica, agent }) || self.has(Fault::AgentDown { agent })
    }

    /// How far this controller's wall clock is off, in seconds.
    pub(crate) fn clock_error(&self, replica: ReplicaId) -> i64 {
        let off = self.faults.iter().find_map(|f| match f {
            Fault::Clock { replica: of, hours } if *of == replica => {
                self.struck(*f);
                Some(i64::from(*hours) * 3600)
            }
            _ => None,
        });
        off.unwrap_or(0)
    }
}
