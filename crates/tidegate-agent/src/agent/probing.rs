//! What the prober says, and whom that takes out here.

use std::collections::{BTreeSet, HashMap};
use std::future;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tidegate_core::desired::{Backend, DesiredState, Listener};
use tidegate_core::guard::Limits;
use tidegate_core::ids::ListenerName;
use tidegate_core::probe::{Asked, Judgement, Overlay, Probe, ProbeHold, Roll, Target, Verdict};
use tidegate_core::protocol::{BackendProbe, ProbeReport, Sickness};
use tidegate_core::time::elapsed;
use tokio::time::Instant;

use super::content::Content;
use crate::probe::{News, Prober, Report};
use crate::settings::ProbeSettings;

/// What is known of the backends, for the status.
#[derive(Clone, Debug, Default)]
pub struct Findings {
    reports: HashMap<Target, Report>,
    sick: Option<Sickness>,
    holds: Vec<ProbeHold>,
}

impl Findings {
    /// What asking one backend as a listener asks came to; nothing when it is not asked, or has not answered yet.
    pub fn of(&self, probe: &Probe, backend: &Backend, out: bool) -> Option<BackendProbe> {
        let report = self.reports.get(&probe.target(backend)?)?;
        let (since, trouble) = (report.since, report.trouble.clone());
        Some(BackendProbe { verdict: report.verdict, since, trouble, out })
    }

    /// What the prober says of itself.
    pub fn report(&self) -> ProbeReport {
        let targets = u64::try_from(self.reports.len()).unwrap_or(u64::MAX);
        ProbeReport { targets, sick: self.sick.clone(), holds: self.holds.clone() }
    }
}

/// The prober's side of the mailbox.
pub struct Probing {
    /// Absent: nobody is asked.
    prober: Option<Prober>,
    findings: Arc<Findings>,
    roll: Roll,
    overlay: Arc<Overlay>,
    origin: Instant,
    /// When the verdicts come to something else by time alone.
    wake_at: Option<Instant>,
    /// Who is asked.
    asked: Arc<BTreeSet<Target>>,
    /// Who of them was not asked before, and how long an apply waits for their first answers.
    newcomers: BTreeSet<Target>,
    patience: Option<Instant>,
}

impl Probing {
    /// Begins with the newest state, and with what an earlier process knew.
    pub fn start(settings: Option<ProbeSettings>, newest: Option<&Content>) -> Self {
        let prober = settings.map(|settings| Prober::start(settings.sources));
        let mut roll = Roll::default();
        let (mut overlay, mut asked) = (Arc::default(), Arc::default());
        if let (Some(prober), Some(content)) = (&prober, newest) {
            roll = Roll::with_out(&content.desired, &content.overlay, Duration::ZERO);
            overlay = content.overlay.clone();
            let out = |name: &ListenerName, b: &Backend| content.overlay.is_out(name, b.address);
            asked = Arc::new(targets(&content.desired, |_, _| true));
            prober.begin(asked.clone(), targets(&content.desired, out));
        }
        Self {
            prober,
            findings: Arc::default(),
            roll,
            overlay,
            origin: Instant::now(),
            wake_at: None,
            asked,
            newcomers: BTreeSet::new(),
            patience: None,
        }
    }

    /// Who is out.
    pub fn overlay(&self) -> Arc<Overlay> {
        self.overlay.clone()
    }

    /// Whether a backend answers as far as is known; one that a guard keeps in does not.
    pub fn is_up(&self, listener: &Listener, backend: &Backend) -> bool {
        let report = listener.probing().target(backend).and_then(|target| self.findings.reports.get(&target));
        let is_down = report.is_some_and(|report| report.verdict == Verdict::Down);
        !is_down && !self.overlay.is_out(&listener.name, backend.address)
    }

    /// For the status; nothing when nobody is asked.
    pub fn findings(&self) -> Option<Arc<Findings>> {
        self.prober.as_ref().map(|_| self.findings.clone())
    }

    /// Waits for news of the prober.
    pub async fn news(&mut self) -> News {
        match &mut self.prober {
            Some(prober) => prober.news().await,
            None => future::pending().await,
        }
    }

    /// Until when an apply waits for the first answers of new backends; nothing when it need not.
    pub fn waits_until(&self) -> Option<Instant> {
        self.patience.filter(|until| *until > Instant::now() && !self.newcomers.is_empty())
    }

    /// When to judge again without news.
    pub const fn wake_at(&self) -> Option<Instant> {
        self.wake_at
    }

    /// Another state is to be served: its backends are asked, and the new ones among them get a moment to answer.
    pub fn want(&mut self, desired: &DesiredState) {
        let Some(prober) = &self.prober else { return };
        let wanted = Arc::new(targets(desired, |_, _| true));
        // Of the first state all are needed, whatever they answer.
        let first = self.asked.is_empty();
        self.newcomers = wanted.iter().filter(|t| !first && !self.asked.contains(*t)).cloned().collect();
        // As long as the slowest good answer may take.
        let patience = self.newcomers.iter().map(|target| target.pace.timeout).max();
        self.patience = patience.map(|patience| Instant::now() + patience);
        if self.findings.reports.keys().any(|target| !wanted.contains(target)) {
            Arc::make_mut(&mut self.findings).reports.retain(|target, _| wanted.contains(target));
        }
        prober.want(wanted.clone());
        self.asked = wanted;
    }

    /// Takes in what the prober says.
    pub fn take(&mut self, news: News) {
        let findings = Arc::make_mut(&mut self.findings);
        match news {
            News::Sick(sick) => {
                if let Some(Sickness { reason, .. }) = &sick {
                    tracing::warn!(reason, "backends cannot be asked from this machine: what was known of them stays");
                } else {
                    tracing::info!("backends can be asked again");
                }
                findings.sick = sick;
            }
            News::Verdicts(changed) => {
                for (target, report) in changed {
                    self.newcomers.remove(&target);
                    findings.reports.insert(target, report);
                }
            }
        }
    }

    /// Judges the backends of a state; whether somebody else is out now.
    pub fn judge(&mut self, desired: &DesiredState) -> bool {
        if self.prober.is_none() {
            return false;
        }
        let reports = &self.findings.reports;
        let verdict = |target: &Target| reports.get(target).map_or(Verdict::Unknown, |report| report.verdict);
        let now = self.origin.elapsed();
        let asked = Asked { verdict: &verdict, is_sick: self.findings.sick.is_some() };
        let (limits, until) = limits(desired);
        let Judgement { overlay, holds, wake_after } = self.roll.judge(desired, &asked, &limits, now);
        let wake_after = [wake_after, until].into_iter().flatten().min();
        self.wake_at = wake_after.map(|wait| Instant::now() + wait);
        if holds != self.findings.holds {
            tell_holds(&self.findings.holds, &holds);
            Arc::make_mut(&mut self.findings).holds = holds;
        }
        let changed = overlay != *self.overlay;
        if changed {
            self.tell_changes(desired, &overlay);
            self.overlay = Arc::new(overlay);
        }
        changed
    }

    fn tell_changes(&self, desired: &DesiredState, next: &Overlay) {
        for listener in &desired.listeners {
            for backend in desired.pool(&listener.name) {
                let (name, node, address) = (&listener.name, &backend.node, backend.address);
                match (self.overlay.is_out(name, address), next.is_out(name, address)) {
                    (false, true) => {
                        let probe = self.findings.of(&listener.probing(), backend, true);
                        let trouble = probe.and_then(|p| p.trouble).unwrap_or_else(|| "no answer yet".to_owned());
                        tracing::warn!(listener = %name, %node, %address, trouble, "a backend gets no new connections");
                    }
                    (true, false) => {
                        tracing::info!(listener = %name, %node, %address, "a backend gets connections again");
                    }
                    _ => {}
                }
            }
        }
    }
}

/// The bounds under what operators let through, and how long these last.
fn limits(desired: &DesiredState) -> (Limits, Option<Duration>) {
    let now = Timestamp::now();
    let standing = desired.overrides.iter().filter(|(_, until)| **until > now);
    let overridden = standing.clone().map(|(guard, _)| *guard).collect();
    let until = standing.map(|(_, until)| elapsed(now, *until)).min();
    (Limits { overridden, ..Limits::default() }, until)
}

fn tell_holds(before: &[ProbeHold], now: &[ProbeHold]) {
    for ProbeHold { guard, listener, nodes, reason } in now.iter().filter(|hold| !before.contains(hold)) {
        let nodes: Vec<&str> = nodes.iter().map(tidegate_core::ids::NodeName::as_str).collect();
        tracing::warn!(%guard, %listener, ?nodes, reason, "backends do not answer and are served all the same");
    }
}

/// Whom to ask about the active backends that `which` accepts.
fn targets(desired: &DesiredState, which: impl Fn(&ListenerName, &Backend) -> bool) -> BTreeSet<Target> {
    let mut targets = BTreeSet::new();
    for listener in &desired.listeners {
        let probe = listener.probing();
        let asked = desired.pool(&listener.name).iter().filter(|b| b.is_active() && which(&listener.name, b));
        targets.extend(asked.filter_map(|backend| probe.target(backend)));
    }
    targets
}
