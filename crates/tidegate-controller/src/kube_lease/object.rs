//! Between the API's Lease and ours.

use std::time::Duration;

use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta};
use tidegate_core::lease::LeaseRecord;

/// A label and a file system take names of this length.
const LONGEST_NAME: usize = 253;

pub(super) fn to_object(name: &str, record: &LeaseRecord) -> Lease {
    let seconds = |length: Duration| i32::try_from(length.as_secs().max(1)).unwrap_or(i32::MAX);
    let count = |transitions| i32::try_from(transitions).unwrap_or(i32::MAX);
    Lease {
        metadata: ObjectMeta { name: Some(name.to_owned()), ..ObjectMeta::default() },
        spec: Some(LeaseSpec {
            // As client-go does after a release: empty, not absent.
            holder_identity: Some(record.holder.clone().unwrap_or_default()),
            lease_duration_seconds: Some(seconds(record.duration)),
            acquire_time: record.acquired.map(MicroTime),
            renew_time: record.renewed.map(MicroTime),
            lease_transitions: Some(count(record.transitions)),
            ..LeaseSpec::default()
        }),
    }
}

pub(super) fn to_record(object: &Lease) -> LeaseRecord {
    let spec = object.spec.clone().unwrap_or_default();
    let positive = |number: i32| u32::try_from(number).unwrap_or_default();
    LeaseRecord {
        holder: spec.holder_identity.filter(|holder| !holder.is_empty()),
        duration: Duration::from_secs(spec.lease_duration_seconds.map_or(0, positive).into()),
        acquired: spec.acquire_time.map(|time| time.0),
        renewed: spec.renew_time.map(|time| time.0),
        transitions: spec.lease_transitions.map_or(0, positive),
    }
}

/// The name of the Lease of one replica: that of its pod or host, without the process, so that restarts leave no litter.
pub(super) fn replica_name(lease: &str, holder: &str) -> String {
    let pod = holder.rsplitn(3, '_').last().unwrap_or(holder);
    let safe = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' };
    let name: String = format!("{lease}-{pod}").chars().map(safe).take(LONGEST_NAME).collect();
    name.trim_matches('-').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_back_and_a_release_is_an_empty_holder() {
        let record = LeaseRecord {
            holder: Some("pod_1_ab".into()),
            duration: Duration::from_secs(15),
            acquired: Some("2026-11-24T12:00:00.5Z".parse().unwrap()),
            renewed: Some("2026-11-24T12:00:01Z".parse().unwrap()),
            transitions: 7,
        };
        assert_eq!(to_record(&to_object("x", &record)), record);
        let released = LeaseRecord { holder: None, ..record };
        let object = to_object("x", &released);
        assert_eq!(object.spec.as_ref().unwrap().holder_identity.as_deref(), Some(""));
        assert_eq!(to_record(&object), released);
    }

    #[test]
    fn a_lease_that_somebody_emptied_is_nobodys() {
        let record = to_record(&Lease::default());
        assert_eq!((record.holder, record.duration, record.transitions), (None, Duration::ZERO, 0));
    }

    #[test]
    fn a_replica_keeps_its_name_over_restarts() {
        assert_eq!(replica_name("tidegate", "tidegate-5d9c-x2x_17_a1b2c3"), "tidegate-tidegate-5d9c-x2x");
        assert_eq!(replica_name("tidegate", "Host.lan_17_a1"), "tidegate-host-lan");
        assert_eq!(replica_name("tidegate", "one"), "tidegate-one");
    }
}
