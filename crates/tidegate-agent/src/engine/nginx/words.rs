//! nginx's words as failures with a class and a cure.

use tidegate_core::protocol::Failure;
use tidegate_core::step::Step;

use crate::engine::failure::{permanent, transient};

/// Signs of trouble that is not in the text of the configuration, with what a person can do.
const CIRCUMSTANCES: [(&str, &str); 6] = [
    (
        "(98: ",
        "another program has the port: find it with `ss -lntup`, end it or change the listener's bind; tidegate tries again by itself",
    ),
    (
        "(99: ",
        "the address is not on this machine: add it, or set net.ipv4.ip_nonlocal_bind=1 on a standby; tidegate tries again by itself",
    ),
    ("(28: ", "free disk space (df -h); tidegate tries again by itself"),
    ("(24: ", "raise the limit of open files (LimitNOFILE=); tidegate tries again by itself"),
    ("(12: ", "free memory; tidegate tries again by itself"),
    ("(13: ", "nginx lacks a permission: run tidegate as root, or grant CAP_NET_BIND_SERVICE"),
];

/// The failure that nginx's output tells of.
pub fn from_output(step: Step, output: &str) -> Failure {
    let message = output.trim().to_owned();
    match CIRCUMSTANCES.iter().find(|(sign, _)| message.contains(sign)) {
        Some(("(13: ", cure)) => permanent(step, message, *cure),
        Some((_, cure)) => transient(step, message, *cure),
        None => permanent(
            step,
            message,
            "look at the lines of the configuration that nginx names (`tidegate render` shows it); correct the listeners or the template",
        ),
    }
}
