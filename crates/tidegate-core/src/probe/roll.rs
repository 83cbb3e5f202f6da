//! Whom the verdicts may take out of a pool: guards G1 to G4, on the load balancer's own machine.
//!
//! A prober can be wrong about everything at once (its own network is gone), so it is believed only about a few. What it
//! is not believed about goes on being served, and is shown.

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{Overlay, Target, Verdict};
use crate::desired::{Backend, DesiredState, Listener};
use crate::guard::{Guard, Limits, Loss};
use crate::ids::{ListenerName, NodeName};

/// A backend that does not answer and is served all the same.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ProbeHold {
    /// Which guard.
    pub guard: Guard,
    /// The listener.
    pub listener: ListenerName,
    /// The nodes, by name.
    pub nodes: Vec<NodeName>,
    /// Why.
    pub reason: String,
}

/// What the verdicts come to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Judgement {
    /// Who is out.
    pub overlay: Overlay,
    /// Who should be, and is not.
    pub holds: Vec<ProbeHold>,
    /// When time alone makes another judgement necessary.
    pub wake_after: Option<Duration>,
}

/// What the prober knows.
#[derive(Clone, Copy)]
pub struct Asked<'a> {
    /// The verdict on each target.
    pub verdict: &'a dyn Fn(&Target) -> Verdict,
    /// Whether nobody can be asked at the moment, so that it makes no sense to wait for answers.
    pub is_sick: bool,
}

/// Who stands behind the listeners, and how: what judging again and again has to remember. Times are those of a monotonic
/// clock, since any moment.
#[derive(Clone, Debug, Default)]
pub struct Roll {
    /// Of the listeners whose backends are asked.
    places: BTreeMap<ListenerName, HashMap<IpAddr, Standing>>,
}

/// How one address stands behind one listener.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Standing {
    /// New here: served as soon as it has answered once.
    New,
    /// Served.
    In,
    /// Out.
    Out { since: Duration },
}

/// The active backends of one listener and what is known of them.
struct Bench<'a> {
    listener: &'a Listener,
    seats: Vec<Seat<'a>>,
}

struct Seat<'a> {
    backend: &'a Backend,
    verdict: Verdict,
    standing: Standing,
}

impl Roll {
    /// A roll on which these are out already: as an earlier process of this machine left them.
    pub fn with_out(desired: &DesiredState, overlay: &Overlay, now: Duration) -> Self {
        let mut roll = Self::default();
        for listener in desired.listeners.iter().filter(|l| l.probing().check.is_some()) {
            let standing = |backend: &Backend| {
                let out = overlay.is_out(&listener.name, backend.address);
                (backend.address, if out { Standing::Out { since: now } } else { Standing::In })
            };
            let active = desired.pool(&listener.name).iter().filter(|b| b.is_active());
            roll.places.insert(listener.name.clone(), active.map(standing).collect());
        }
        roll
    }

    /// Judges the backends of a desired state by what their targets answered.
    pub fn judge(&mut self, desired: &DesiredState, asked: &Asked<'_>, limits: &Limits, now: Duration) -> Judgement {
        let mut judgement = Judgement::default();
        let mut places = BTreeMap::new();
        // Who is not asked is believed.
        for listener in desired.listeners.iter().filter(|l| l.probing().check.is_some()) {
            let mut bench = self.bench(desired, listener, asked.verdict);
            bench.admit(asked.is_sick);
            bench.take_out(limits, now, &mut judgement);
            for seat in bench.seats.iter().filter(|seat| seat.standing != Standing::In) {
                judgement.overlay.take_out(listener.name.clone(), seat.backend.address);
            }
            let standings = bench.seats.iter().map(|seat| (seat.backend.address, seat.standing)).collect();
            places.insert(listener.name.clone(), standings);
        }
        self.places = places;
        judgement
    }

    fn bench<'a>(
        &self,
        desired: &'a DesiredState,
        listener: &'a Listener,
        verdict: &dyn Fn(&Target) -> Verdict,
    ) -> Bench<'a> {
        let probe = listener.probing();
        let known = self.places.get(&listener.name);
        let active = desired.pool(&listener.name).iter().filter(|b| b.is_active());
        let seat = |backend: &'a Backend| {
            let verdict = probe.target(backend).map_or(Verdict::Up, |target| verdict(&target));
            let standing = known.and_then(|known| known.get(&backend.address));
            Seat { backend, verdict, standing: standing.copied().unwrap_or(Standing::New) }
        };
        Bench { listener, seats: active.map(seat).collect() }
    }
}

impl Bench<'_> {
    /// Serves whoever has answered, and whoever is needed.
    fn admit(&mut self, sick: bool) {
        // With nobody else to serve, all that are new are needed: the first state of a listener, or another set of nodes.
        let needed = !self.seats.iter().any(|s| s.standing == Standing::In);
        for seat in &mut self.seats {
            match seat.standing {
                Standing::New if needed || sick || seat.verdict == Verdict::Up => seat.standing = Standing::In,
                Standing::Out { .. } if seat.verdict == Verdict::Up => seat.standing = Standing::In,
                _ => {}
            }
        }
    }

    /// Takes out whoever has fallen, as far as the guards let it happen.
    fn take_out(&mut self, limits: &Limits, now: Duration, judgement: &mut Judgement) {
        let established = self.seats.iter().filter(|s| s.standing != Standing::New).count();
        let outs = self.seats.iter().filter_map(|s| match s.standing {
            Standing::Out { since } => Some(since),
            _ => None,
        });
        let outs: Vec<Duration> = outs.collect();
        let fallen = |s: &Seat<'_>| s.standing == Standing::In && s.verdict == Verdict::Down;
        let falling = self.seats.iter().filter(|s| fallen(s)).count();
        if falling == 0 {
            return;
        }
        let recent = outs.iter().filter(|since| now.saturating_sub(**since) < limits.window).count();
        // An agent doubts nothing: it has one look, its own.
        let ruling = limits.judge(Loss { base: established, out: outs.len(), recent, falling }, false);
        if let Some((Guard::Velocity, _)) = ruling.held {
            // The oldest of the recent ones leaves the window first.
            let left = outs.iter().map(|since| (*since + limits.window).saturating_sub(now));
            let next = left.filter(|left| !left.is_zero()).min();
            judgement.wake_after = judgement.wake_after.into_iter().chain(next).min();
        }
        let mut held = Vec::new();
        for (n, seat) in self.seats.iter_mut().filter(|s| fallen(s)).enumerate() {
            if n < ruling.may_go {
                seat.standing = Standing::Out { since: now };
            } else {
                held.push(seat.backend.node.clone());
            }
        }
        if let Some((guard, reason)) = ruling.held {
            let listener = self.listener.name.clone();
            judgement.holds.push(ProbeHold { guard, listener, nodes: held, reason });
        }
    }
}
