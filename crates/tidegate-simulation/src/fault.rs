//! What goes wrong, when and for how long.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::dice::Dice;
use crate::parties::{AgentId, REPLICAS, ReplicaId};

/// Something that goes wrong for a while.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Everything of the API fails for one controller; or gets no answer.
    ApiCut { replica: ReplicaId, hangs: bool },
    /// The API answers one controller late.
    ApiSlow { replica: ReplicaId },
    /// LIST fails, the watch goes on.
    ListFails { replica: ReplicaId },
    /// LIST gets no answer.
    ListHangs { replica: ReplicaId },
    /// LIST answers 200 with some nodes missing.
    ListLies { replica: ReplicaId },
    /// Events wait until it is over.
    WatchStalls { replica: ReplicaId },
    /// Events get lost.
    WatchDrops { replica: ReplicaId },
    /// 410 Gone: the watch begins anew, once.
    WatchBreaks { replica: ReplicaId },
    /// Nobody can read or write a Lease.
    LeaseDown,
    /// The store answers nobody; or refuses.
    StoreDown { hangs: bool },
    /// One controller does not reach the store.
    StoreCut { replica: ReplicaId },
    /// The store takes seconds.
    StoreSlow,
    /// Of some writes the answer is lost, of some the request.
    StoreAmbiguous,
    /// One controller does not reach one agent.
    AgentCut { replica: ReplicaId, agent: AgentId },
    /// An agent is down; its engine serves on.
    AgentDown { agent: AgentId },
    /// An agent restarts, once.
    AgentRestarts { agent: AgentId },
    /// Hooks or their answers get lost.
    HooksLost { agent: AgentId },
    /// Hooks arrive twice.
    HooksRepeat { agent: AgentId },
    /// Hooks arrive up to ten minutes late, and so in another order.
    HooksLate { agent: AgentId },
    /// Applies are rolled back.
    ApplyFails { agent: AgentId },
    /// Applies take seconds.
    ApplySlow { agent: AgentId },
    /// kill -9; started again when it is over.
    Kill { replica: ReplicaId },
    /// SIGTERM; started again when it is over.
    Terminate { replica: ReplicaId },
    /// SIGSTOP; SIGCONT when it is over.
    Pause { replica: ReplicaId },
    /// The wall clock is off.
    Clock { replica: ReplicaId, hours: i8 },
}

impl Fault {
    /// Its kind, in one word.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::ApiCut { .. } => "ApiCut",
            Self::ApiSlow { .. } => "ApiSlow",
            Self::ListFails { .. } => "ListFails",
            Self::ListHangs { .. } => "ListHangs",
            Self::ListLies { .. } => "ListLies",
            Self::WatchStalls { .. } => "WatchStalls",
            Self::WatchDrops { .. } => "WatchDrops",
            Self::WatchBreaks { .. } => "WatchBreaks",
            Self::LeaseDown => "LeaseDown",
            Self::StoreDown { .. } => "StoreDown",
            Self::StoreCut { .. } => "StoreCut",
            Self::StoreSlow => "StoreSlow",
            Self::StoreAmbiguous => "StoreAmbiguous",
            Self::AgentCut { .. } => "AgentCut",
            Self::AgentDown { .. } => "AgentDown",
            Self::AgentRestarts { .. } => "AgentRestarts",
            Self::HooksLost { .. } => "HooksLost",
            Self::HooksRepeat { .. } => "HooksRepeat",
            Self::HooksLate { .. } => "HooksLate",
            Self::ApplyFails { .. } => "ApplyFails",
            Self::ApplySlow { .. } => "ApplySlow",
            Self::Kill { .. } => "Kill",
            Self::Terminate { .. } => "Terminate",
            Self::Pause { .. } => "Pause",
            Self::Clock { .. } => "Clock",
        }
    }

    /// Whether it is over with its beginning, or stops a process: nobody meets it later.
    pub(crate) const fn strikes_once(self) -> bool {
        matches!(
            self,
            Self::WatchBreaks { .. }
                | Self::AgentRestarts { .. }
                | Self::Kill { .. }
                | Self::Terminate { .. }
                | Self::Pause { .. }
        )
    }

    /// Whether it troubles the controllers, rather than one load balancer.
    pub(crate) const fn troubles_control(self) -> bool {
        !matches!(
            self,
            Self::AgentDown { .. }
                | Self::AgentRestarts { .. }
                | Self::HooksLost { .. }
                | Self::HooksRepeat { .. }
                | Self::HooksLate { .. }
                | Self::ApplyFails { .. }
                | Self::ApplySlow { .. }
        )
    }
}

/// Numbers that stand for faults; some for the same one, which is so more frequent.
const KINDS: u64 = 29;

/// Whom a fault befalls, and which of two forms it takes.
#[derive(Clone, Copy)]
struct Party {
    replica: ReplicaId,
    agent: AgentId,
    coin: bool,
}

/// A fault with its time.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Spell {
    pub(crate) fault: Fault,
    pub(crate) from: Duration,
    pub(crate) until: Duration,
}

/// The faults of a run, in the order of their beginning; all are over at `end`.
pub(crate) fn plan_faults(dice: &mut Dice, agents: u8, start: Duration, end: Duration) -> Vec<Spell> {
    let mut spells = Vec::new();
    let mut at = start;
    loop {
        // Mostly one on the heels of the other; now and then a time to recover.
        at += if dice.one_in(8) { dice.seconds(60, 240) } else { dice.seconds(1, 50) };
        if at >= end {
            return spells;
        }
        let (fault, length) = any_fault(dice, agents);
        spells.push(Spell { fault, from: at, until: (at + length).min(end) });
        if dice.one_in(4) {
            // A second one at the same time, as of one cause.
            let (fault, length) = any_fault(dice, agents);
            spells.push(Spell { fault, from: at, until: (at + length).min(end) });
        }
    }
}

/// Every kind of fault that may come.
pub(crate) fn names() -> BTreeSet<&'static str> {
    let (replica, agent, any) = (ReplicaId(0), AgentId(0), Duration::ZERO);
    let kinds = (0..KINDS).map(|kind| fault_of(kind, Party { replica, agent, coin: true }, (any, any)));
    kinds.map(|(fault, _)| fault.name()).collect()
}

fn any_fault(dice: &mut Dice, agents: u8) -> (Fault, Duration) {
    let replica = ReplicaId(u8::try_from(dice.below(u64::from(REPLICAS))).unwrap_or(0));
    let agent = AgentId(u8::try_from(dice.below(u64::from(agents))).unwrap_or(0));
    let (coin, kind) = (dice.one_in(2), dice.below(KINDS));
    let lengths = (dice.seconds(2, 45), dice.seconds(30, 280));
    match fault_of(kind, Party { replica, agent, coin }, lengths) {
        (fault @ Fault::WatchStalls { .. }, _) if coin => (fault, dice.seconds(300, 600)),
        planned => planned,
    }
}

fn fault_of(kind: u64, party: Party, (short, long): (Duration, Duration)) -> (Fault, Duration) {
    let Party { replica, agent, coin } = party;
    match kind {
        0 => (Fault::ApiCut { replica, hangs: coin }, short),
        1 => (Fault::ApiSlow { replica }, long),
        2 => (Fault::ListFails { replica }, long),
        3 => (Fault::ListHangs { replica }, long),
        4 => (Fault::ListLies { replica }, long),
        5 => (Fault::WatchStalls { replica }, long),
        6 | 7 => (Fault::WatchDrops { replica }, long),
        8 => (Fault::WatchBreaks { replica }, Duration::ZERO),
        9 => (Fault::LeaseDown, short),
        10 => (Fault::StoreDown { hangs: coin }, short),
        11 => (Fault::StoreCut { replica }, short),
        12 => (Fault::StoreSlow, short),
        13 | 14 => (Fault::StoreAmbiguous, long),
        15 => (Fault::AgentCut { replica, agent }, long),
        16 => (Fault::AgentDown { agent }, long),
        17 => (Fault::AgentRestarts { agent }, Duration::ZERO),
        18 => (Fault::HooksLost { agent }, long),
        19 => (Fault::HooksRepeat { agent }, long),
        20 => (Fault::HooksLate { agent }, long),
        21 => (Fault::ApplyFails { agent }, long),
        22 => (Fault::ApplySlow { agent }, long),
        23 => (Fault::Terminate { replica }, short),
        24 | 25 => (Fault::Kill { replica }, short),
        26 | 27 => (Fault::Pause { replica }, short),
        _ => (Fault::Clock { replica, hours: if coin { 1 } else { -1 } }, short),
    }
}
