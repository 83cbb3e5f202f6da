//! Who decides, where there are several.

use std::time::Duration;

use tidegate_core::lease::LeasePolicy;

use super::{Validator, value_or};
use crate::config::kubernetes::ObjectName;
use crate::config::raw::RawLeaderElection;
use crate::config::text::written;
use crate::config::{ElectionConfig, Role, defaults};

impl Validator<'_> {
    /// The election that this role takes part in, if there is one.
    pub(super) fn election(&mut self, role: Role) -> Option<ElectionConfig> {
        let raw = self.raw.leader_election.as_ref().map(|at| &at.value);
        let policy = raw.map(|raw| self.lease_policy(raw)).unwrap_or_default();
        let asked = raw.and_then(|raw| raw.enabled.as_ref());
        let shared = self.raw.store.as_ref().is_some_and(|store| store.mongodb.is_some());
        let possible = shared && role == Role::Controller;
        if let Some(at) = asked.filter(|at| at.value.0 && !possible) {
            let (why, cure) = if role == Role::Run {
                let why = "`tidegate run` is the only controller of its load balancer: there is nobody to elect";
                (why, "remove it; or use `tidegate controller` with store.mongodb and `tidegate agent`")
            } else {
                let why = "replicas need one store between them, and an SQLite file is on one machine";
                (why, "use store.mongodb; or remove it, and run one controller for each cluster")
            };
            self.problems.error(&at.spot, why, cure);
        }
        let enabled = possible && asked.is_none_or(|at| at.value.0);
        let name = |ObjectName(name)| name;
        enabled.then(|| ElectionConfig {
            namespace: raw.and_then(|raw| raw.namespace.as_ref()).map(|at| name(at.value.0.clone())),
            lease: name(value_or(raw.and_then(|raw| raw.lease.as_ref()), ObjectName(defaults::LEASE.to_owned()))),
            policy,
        })
    }

    /// The same three conditions as in client-go, and whole seconds, as the Lease has no others.
    fn lease_policy(&mut self, raw: &RawLeaderElection) -> LeasePolicy {
        let default = LeasePolicy::default();
        let policy = LeasePolicy {
            lease_duration: value_or(raw.lease_duration.as_ref(), default.lease_duration),
            renew_deadline: value_or(raw.renew_deadline.as_ref(), default.renew_deadline),
            retry_period: value_or(raw.retry_period.as_ref(), default.retry_period),
        };
        let LeasePolicy { lease_duration, renew_deadline, retry_period } = policy;
        let lease = raw.lease_duration.as_ref().map(|at| &at.spot);
        let renew = raw.renew_deadline.as_ref().map(|at| &at.spot);
        let retry = raw.retry_period.as_ref().map(|at| &at.spot);
        if let Some(spot) = retry.filter(|_| retry_period < SHORTEST_PERIOD) {
            self.problems.error(spot, "is too short: every replica would keep the API server busy", "write 2s");
        }
        if let Some(spot) = lease.filter(|_| lease_duration.subsec_millis() != 0) {
            self.problems.error(spot, "a Lease lasts whole seconds", "write 15s");
        }
        // Whichever of the two is written in the file is where somebody will look.
        if let Some(spot) = lease.or(renew).filter(|_| lease_duration <= renew_deadline) {
            let (longer, shorter) = (written(lease_duration), written(renew_deadline));
            let message = format!("leaseDuration ({longer}) must be longer than renewDeadline ({shorter})");
            let cure = "the others must wait longer than a silent leader acts: write 15s and 10s";
            self.problems.error(spot, message, cure);
        }
        if let Some(spot) = renew.or(retry).filter(|_| renew_deadline * 5 <= retry_period * 6) {
            let (longer, shorter) = (written(renew_deadline), written(retry_period));
            let message = format!("renewDeadline ({longer}) must be more than 1.2 times retryPeriod ({shorter})");
            self.problems.error(spot, message, "leave time for a few tries: write 10s and 2s");
        }
        policy
    }
}

/// Ten looks in a second are enough for any failover.
const SHORTEST_PERIOD: Duration = Duration::from_millis(100);
