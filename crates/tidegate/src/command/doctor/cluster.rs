//! The API server: is it there, may we do what we do, and is its clock ours?

use std::time::Instant;

use jiff::Timestamp;
use tidegate_agent::preflight::Finding;
use tidegate_controller::access::{self, ApiServerSeen};
use tidegate_core::time::{elapsed, human};

use crate::config::ControllerConfig;
use crate::serve::kubernetes::Cluster;
use crate::serve::settings::namespace_of;

/// HTTP tells whole seconds; what is more than a way and that can be seen in times that people compare.
const SKEW_SECONDS: u64 = 5;

/// The server, our rights there, and its clock.
pub(super) async fn examine(config: &ControllerConfig) -> Vec<Finding> {
    let client = match Cluster::new(config.kubeconfig.clone()).client().await {
        Ok(client) => client,
        Err(error) => return vec![Finding::of_error("API server", &error)],
    };
    let started = Instant::now();
    let seen = match access::look(client.clone()).await {
        Ok(seen) => seen,
        Err(error) => return vec![Finding::of_error("API server", &error)],
    };
    let took = human(started.elapsed() / 2);
    let mut findings = vec![Finding::good("API server", format!("Kubernetes {}, answers in {took}", seen.version))];
    findings.push(rights(client, config).await);
    findings.extend(clock(&seen, Timestamp::now()));
    findings
}

async fn rights(client: kube::Client, config: &ControllerConfig) -> Finding {
    let namespace = config.election.as_ref().map(namespace_of);
    let needed = access::rights(namespace.as_deref(), &config.policy.demands);
    match access::missing(client, &needed).await {
        Err(error) => Finding::of_error("rights", &error),
        Ok(missing) if missing.is_empty() => Finding::good("rights", format!("all {} that are needed", needed.len())),
        Ok(missing) => {
            let names: Vec<String> = missing.iter().map(ToString::to_string).collect();
            let cure = "kubectl apply -f deploy/rbac.yaml for the user of this kubeconfig (in a pod: deploy/kubernetes/10-rbac.yaml; for follow: deploy/rbac-follow.yaml)";
            Finding::failure("rights", format!("missing: {}", names.join(", ")), cure)
        }
    }
}

/// Nothing is decided by comparing clocks; people compare what they have written.
fn clock(seen: &ApiServerSeen, now: Timestamp) -> Option<Finding> {
    let theirs = seen.clock?;
    let skew = elapsed(theirs, now).max(elapsed(now, theirs));
    Some(if skew.as_secs() <= SKEW_SECONDS {
        Finding::good("clock", "agrees with the API server's")
    } else {
        let way = if theirs > now { "behind" } else { "ahead of" };
        Finding::warning(
            "clock",
            format!("{} {way} the API server's", human(skew)),
            "run an NTP client on both machines",
        )
    })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tidegate_agent::preflight::Weight;
    use tidegate_core::time::{after, before};

    use super::*;

    #[test]
    fn a_clock_is_told_with_its_direction() {
        let now = Timestamp::from_second(1_800_000_000).unwrap();
        let said = |clock| clock_of(clock, now);
        assert_eq!(said(after(now, Duration::from_secs(4))).weight, Weight::Good);
        assert_eq!(said(after(now, Duration::from_secs(90))).what, "1m 30s behind the API server's");
        assert_eq!(said(before(now, Duration::from_secs(90))).what, "1m 30s ahead of the API server's");
    }

    fn clock_of(theirs: Timestamp, now: Timestamp) -> Finding {
        clock(&ApiServerSeen { version: String::new(), clock: Some(theirs) }, now).unwrap()
    }
}
