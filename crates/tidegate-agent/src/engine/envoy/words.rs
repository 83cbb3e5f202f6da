//! Envoy's words as failures with a class and a cure.

use std::io::{Read, Seek, SeekFrom};
use std::path::Path;

use tidegate_core::protocol::Failure;
use tidegate_core::step::Step;

use super::admin::AdminError;
use crate::engine::failure::{permanent, transient};

/// Signs of trouble that is not in the text of the configuration, with what a person can do.
const CIRCUMSTANCES: [(&str, &str); 4] = [
    (
        "Address already in use",
        "another program has the port: find it with `ss -lntup`, end it or change the listener's bind; tidegate tries again by itself",
    ),
    (
        "Cannot assign requested address",
        "the address is not on this machine: add it, or set net.ipv4.ip_nonlocal_bind=1 on a standby; tidegate tries again by itself",
    ),
    ("No space left", "free disk space (df -h); tidegate tries again by itself"),
    ("Too many open files", "raise the limit of open files (LimitNOFILE=); tidegate tries again by itself"),
];
/// As much of a log as a person reads.
const SHOWN: u64 = 4_000;

/// The failure that Envoy's words tell of.
pub fn refused(step: Step, message: impl Into<String>) -> Failure {
    let message = message.into();
    match CIRCUMSTANCES.iter().find(|(sign, _)| message.contains(sign)) {
        Some((_, cure)) => transient(step, message, *cure),
        None if message.contains("Permission denied") => {
            permanent(step, message, "run tidegate as root, or grant Envoy CAP_NET_BIND_SERVICE")
        }
        None => permanent(
            step,
            message,
            "look at what Envoy names (`tidegate render` shows the configuration); correct the listeners or the template",
        ),
    }
}

/// The failure of a question.
pub fn unanswered(step: Step, error: &AdminError) -> Failure {
    let cure = "look at Envoy's log in agent.stateDir and at the load of the machine; tidegate tries again by itself";
    transient(step, error.to_string(), cure)
}

/// The failure of work on our own files.
pub fn unwritten(step: Step, error: &std::io::Error) -> Failure {
    let cure = "free space on the filesystem of agent.stateDir (df -h), check its owner and mode; tidegate tries again by itself";
    transient(step, error.to_string(), cure)
}

/// What was logged behind this length, warnings and worse; the end of it when it is long.
pub fn said_since(log: &Path, length: u64) -> String {
    let read = || {
        let mut file = std::fs::File::open(log)?;
        let end = file.metadata()?.len();
        let from = if end < length { 0 } else { length };
        file.seek(SeekFrom::Start(from.max(end.saturating_sub(SHOWN))))?;
        let mut bytes = Vec::new();
        file.take(SHOWN).read_to_end(&mut bytes)?;
        std::io::Result::Ok(String::from_utf8_lossy(&bytes).into_owned())
    };
    let text = read().unwrap_or_default();
    let telling = |line: &&str| !line.trim().is_empty() && !line.contains("global_downstream_max_connections");
    text.lines().filter(telling).map(without_place).collect::<Vec<_>>().join("\n")
}

/// `[time][thread][level][logger] [file:line] message` without what nobody needs.
fn without_place(line: &str) -> &str {
    let Some(rest) = line.strip_prefix('[') else { return line };
    rest.split_once(".cc:").and_then(|(_, rest)| rest.split_once("] ")).map_or(line, |(_, message)| message)
}

#[cfg(test)]
mod tests {
    use tidegate_core::class::ErrorClass;

    use super::*;

    #[test]
    fn circumstances_may_pass_and_mistakes_do_not() {
        let taken = refused(Step::Reload, "cannot bind '127.0.0.1:19199': Address already in use");
        assert_eq!(taken.class, ErrorClass::Transient);
        assert!(taken.cure.contains("ss -lntup"));
        assert_eq!(refused(Step::Reload, "Unexpected EDS cluster").class, ErrorClass::Permanent);
    }

    #[test]
    fn the_reason_is_found_behind_the_old_end_of_the_log() {
        let log = tempfile::NamedTempFile::new().unwrap();
        let old = "[2026-11-24 19:57:52.059][1][warning][config] [source/a.cc:1] old\n";
        let new = "[2026-11-24 19:57:52.059][23267][warning][upstream] [source/extensions/clusters/eds/eds.cc:218] eds: cluster 'a' config rejected: Unexpected EDS cluster (expecting a): zz\n";
        std::fs::write(log.path(), format!("{old}{new}")).unwrap();
        let said = said_since(log.path(), u64::try_from(old.len()).unwrap());
        assert_eq!(said, "eds: cluster 'a' config rejected: Unexpected EDS cluster (expecting a): zz");
        // A log that was cut meanwhile is all new.
        assert!(said_since(log.path(), 1_000_000).contains("old"));
        assert_eq!(said_since(Path::new("/nowhere"), 0), "");
    }
}
