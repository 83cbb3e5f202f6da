//! Why the kernel does not tell.

use std::io;

use thiserror::Error;
use tidegate_core::class::ErrorClass;

use super::message::Family;

/// Connections that cannot be counted.
#[derive(Debug, Error)]
pub enum CountError {
    /// There is no way to ask.
    #[error(
        "opening a netlink socket for sock_diag: {source}; cure: let the agent use AF_NETLINK (systemd: RestrictAddressFamilies=)"
    )]
    Open {
        /// Why not.
        source: io::Error,
    },
    /// The question or the answer did not get through.
    #[error(
        "listing the {family} sockets of this machine: {source}; cure: none needed, they are counted again at the next question"
    )]
    List {
        /// Of which family.
        family: Family,
        /// Why not.
        source: io::Error,
    },
    /// The kernel says no.
    #[error(
        "the kernel does not list its {family} TCP sockets: {source}; cure: modprobe tcp_diag, or a kernel with CONFIG_INET_TCP_DIAG"
    )]
    Refused {
        /// Of which family.
        family: Family,
        /// Why not.
        source: io::Error,
    },
    /// An answer that no kernel known to us gives.
    #[error("the kernel's list of {family} sockets cannot be read: {detail}; cure: report the kernel's version")]
    Malformed {
        /// Of which family.
        family: Family,
        /// What is wrong with it.
        detail: String,
    },
    /// The program that counts for an engine does not.
    #[error("counting connections: {detail}; cure: {cure}")]
    Program {
        /// What it said.
        detail: String,
        /// What a person can do.
        cure: String,
    },
}

impl CountError {
    /// Whether to retry.
    pub const fn class(&self) -> ErrorClass {
        match self {
            Self::Open { .. } | Self::List { .. } | Self::Program { .. } => ErrorClass::Transient,
            Self::Refused { .. } | Self::Malformed { .. } => ErrorClass::Permanent,
        }
    }
}
