//! How backends are asked whether they answer, as it is written.

use std::net::IpAddr;
use std::num::NonZeroU16;
use std::time::Duration;

use tidegate_core::probe::{HttpPath, Pace};

use crate::config::read::{At, Nothing, section};
use crate::config::text::{Count, Text, written};

section! {
    /// How the nodes behind a listener are asked whether they answer: at most one of `tcp`, `http`, `https` and `none`; when
    /// omitted, a TCP listener's target port is asked to accept a connection, and a UDP listener's nodes are not asked.
    /// Each load balancer asks for itself and takes out whoever does not answer, within a second of a crash.
    pub struct RawProbe;
    required {}
    optional {
        /// The port accepts a connection.
        tcp: RawTcpProbe,
        /// `GET` of a path is answered with a status from 200 to 399.
        http: RawHttpProbe,
        /// The same over TLS; whose certificate it is does not matter.
        https: RawHttpProbe,
        /// Nobody is asked: Kubernetes alone decides.
        none: Nothing,
        /// From one question to the next; at least 50ms. After a failure the next one comes in half the time.
        #[schemars(extend("default" = written(Pace::default().interval)))]
        interval: Text<Duration>,
        /// How long an answer may take; from 10ms to 1m.
        #[schemars(extend("default" = written(Pace::default().timeout)))]
        timeout: Text<Duration>,
        /// Failures in a row that take a node out.
        #[schemars(extend("default" = Pace::default().fall))]
        fall: Text<Count>,
        /// Answers in a row that bring it back.
        #[schemars(extend("default" = Pace::default().rise))]
        rise: Text<Count>,
    }
    later {}
}

section! {
    /// A port that accepts connections.
    pub struct RawTcpProbe;
    required {}
    optional {
        /// When omitted: the listener's target port.
        port: Text<NonZeroU16>,
    }
    later {}
}

section! {
    /// An HTTP server that answers. Every node's kube-proxy does at port 10256, path /healthz, unless its node is leaving.
    pub struct RawHttpProbe;
    required {}
    optional {
        /// When omitted: the listener's target port.
        #[schemars(extend("examples" = [10254, 10256]))]
        port: Text<NonZeroU16>,
        /// What is asked for.
        #[schemars(extend("default" = "/", "examples" = ["/healthz"]))]
        path: Text<HttpPath>,
    }
    later {}
}

section! {
    /// How this agent asks the nodes; what it asks is said by each listener's `probe`.
    pub struct RawProbes;
    required {}
    optional {
        /// Whether it asks at all. Without it, a crash is seen when Kubernetes does: after 50 s.
        #[schemars(extend("default" = true))]
        enabled: Text<bool>,
        /// Addresses of this machine to ask from, at most one of each family. When omitted: whichever the kernel chooses.
        #[schemars(extend("examples" = [["10.0.0.5"]]))]
        sources: Vec<At<Text<IpAddr>>>,
    }
    later {}
}
