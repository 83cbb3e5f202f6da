//! Whether Envoy serves exactly what is wanted.

use async_trait::async_trait;
use tidegate_core::protocol::Failure;
use tidegate_core::step::Step;

use super::admin::{Admin, AdminError, difference};
use super::answer::Stats;
use super::live::Live;
use super::update::{CDS, LDS, eds};
use super::wanted::Wanted;
use super::watched::Watched;
use super::{Paths, words};
use crate::engine::{Confirmation, failure};

/// From what is wanted to what is there, for people; nothing when there is no difference.
///
/// By versions and numbers of backends: the versions are those of files whose content is compared too.
pub fn shortfall(wanted: &Wanted, paths: &Paths, stats: &Stats) -> Option<String> {
    if !stats.is_live() {
        return Some("envoy is not live: it starts, or was told to drain".to_owned());
    }
    let stands = |subject: &str, file: Watched, body| {
        let version = file.version_of(body);
        if version.is_none() {
            return Some(format!("the file of {subject} is not as tidegate wrote it"));
        }
        (version.as_deref() != stats.version(subject)).then(|| format!("envoy serves another version of {subject}"))
    };
    let whole = [(LDS, paths.listeners(), &wanted.listeners), (CDS, paths.clusters(), &wanted.clusters)];
    let whole = whole.into_iter().find_map(|(subject, file, body)| stands(subject, Watched::at(file), body));
    let endpoints = || {
        wanted.endpoints.iter().find_map(|(name, body)| stands(&eds(name), Watched::at(paths.endpoints(name)), body))
    };
    whole.or_else(endpoints).or_else(|| miscounted(wanted, stats))
}

fn miscounted(wanted: &Wanted, stats: &Stats) -> Option<String> {
    let differs = |what: &str, wanted: usize, real: u64| {
        (u64::try_from(wanted) != Ok(real)).then(|| format!("envoy has {real} {what} instead of {wanted}"))
    };
    let listeners = stats.number("listener_manager", "total_listeners_active");
    let clusters = wanted.members.iter().find_map(|(name, members)| {
        let (subject, active) = (eds(name), members.iter().filter(|m| m.active).count());
        differs(&format!("backends of {name}"), members.len(), stats.number(&subject, "membership_total")).or_else(
            || differs(&format!("active backends of {name}"), active, stats.number(&subject, "membership_healthy")),
        )
    });
    differs("listeners", wanted.listener_names.len(), listeners).or(clusters)
}

/// Listener by listener and backend by backend, as Envoy dumps them.
pub async fn difference_in_full(wanted: &Wanted, admin: &Admin) -> Result<Option<String>, AdminError> {
    let listeners = admin.listeners().await?;
    let active = |name: &String| listeners.iter().any(|l| l.active && l.name == *name);
    if let Some(missing) = wanted.listener_names.iter().find(|name| !active(name)) {
        return Ok(Some(format!("listener {missing} is not there")));
    }
    let real = admin.members().await?;
    let nobody = std::collections::BTreeSet::new();
    let real_of = |name: &String| real.get(name).unwrap_or(&nobody);
    Ok(wanted.members.iter().find_map(|(name, members)| difference(name, members, real_of(name))))
}

/// What Envoy says after an update that it took.
pub struct Proof {
    /// What it must serve.
    pub live: Live,
    /// What it said last, if it was asked.
    pub said: Option<Stats>,
    /// Who is asked.
    pub admin: Admin,
    /// Its files.
    pub paths: Paths,
}

#[async_trait]
impl Confirmation for Proof {
    async fn confirm(self: Box<Self>) -> Result<(), Failure> {
        if self.said.is_some_and(|said| shortfall(&self.live.wanted, &self.paths, &said).is_none()) {
            return Ok(());
        }
        // Versions may be ahead of the numbers that follow from them.
        let stats = self.admin.stats().await.map_err(|e| words::unanswered(Step::Verify, &e))?;
        match shortfall(&self.live.wanted, &self.paths, &stats) {
            None => Ok(()),
            Some(how) => {
                Err(failure::transient(Step::Verify, how, "tidegate tries again by itself; look at Envoy's log"))
            }
        }
    }
}
