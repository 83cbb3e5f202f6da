//! nft's and conntrack's words as failures with a class and a cure.

use tidegate_core::protocol::Failure;
use tidegate_core::step::Step;

use crate::engine::failure::{permanent, transient};

const RIGHTS: &str = "run tidegate as root, or grant it CAP_NET_ADMIN (systemd: AmbientCapabilities=CAP_NET_ADMIN)";

/// Signs of trouble that is not in the text of the script, with what a person can do; whether it may go away by itself.
const CIRCUMSTANCES: [(&str, &str, bool); 6] = [
    ("Operation not permitted", RIGHTS, false),
    ("you must be root", RIGHTS, false),
    (
        "Operation not supported",
        "use a kernel with nf_tables, nft_nat, nft_numgen, nft_hash and nf_conntrack (modprobe)",
        false,
    ),
    ("Cannot allocate memory", "free memory; tidegate tries again by itself", true),
    ("No buffer space available", "raise net.core.wmem_max; tidegate tries again by itself", true),
    ("Device or resource busy", "none needed: tidegate tries again by itself", true),
];

/// The failure that a program's output tells of.
pub fn from_output(step: Step, output: &str) -> Failure {
    let message = output.trim().to_owned();
    match CIRCUMSTANCES.iter().find(|(sign, ..)| message.contains(sign)) {
        Some((_, cure, true)) => transient(step, message, *cure),
        Some((_, cure, false)) => permanent(step, message, *cure),
        None => permanent(
            step,
            message,
            "look at the lines of the script that nft names (`tidegate render` shows it); correct the listeners or the template",
        ),
    }
}

/// Whether nft says that what it was asked about is not there.
pub fn is_absent(output: &str) -> bool {
    output.contains("No such file or directory")
}

#[cfg(test)]
mod tests {
    use tidegate_core::class::ErrorClass;

    use super::*;

    #[test]
    fn missing_rights_are_told_with_their_cure() {
        let nft = "netlink: Error: cache initialization failed: Operation not permitted";
        let failure = from_output(Step::Validate, nft);
        assert_eq!(failure.class, ErrorClass::Permanent);
        assert!(failure.cure.contains("CAP_NET_ADMIN"), "{failure:?}");
        let conntrack = "conntrack v1.4.7 (conntrack-tools): Operation failed: sorry, you must be root or get CAP_NET_ADMIN capability to do this";
        assert!(from_output(Step::Reload, conntrack).cure.contains("CAP_NET_ADMIN"));
        assert_eq!(
            from_output(Step::Reload, "Error: Could not process rule: Device or resource busy").class,
            ErrorClass::Transient
        );
    }
}
