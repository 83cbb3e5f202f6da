//! A listener's probe.

use std::num::NonZeroU16;
use std::time::Duration;

use tidegate_core::desired::{Protocol, ProxyProtocol};
use tidegate_core::probe::{Check, Pace, Probe};

use super::super::raw::{RawHttpProbe, RawListener, RawProbe};
use super::super::read::At;
use super::super::text::Text;
use super::super::validate::{Validator, value_or};

/// Sooner than this, and probing is most of what the nodes do.
const LEAST_INTERVAL: Duration = Duration::from_millis(50);
const TIMEOUTS: std::ops::RangeInclusive<Duration> = Duration::from_millis(10)..=Duration::from_secs(60);

/// The probe as it is written; none when nothing is.
pub fn read_probe(raw: &RawListener) -> Option<Probe> {
    let probe = raw.probe.as_ref()?;
    let protocol = value_or(raw.protocol.as_ref(), Protocol::Tcp);
    let (check, port) = if let Some(http) = &probe.http {
        (Some(Check::Http(path_of(http))), port_of(http.port.as_ref()))
    } else if let Some(https) = &probe.https {
        (Some(Check::Https(path_of(https))), port_of(https.port.as_ref()))
    } else if probe.none.is_some() {
        (None, None)
    } else if let Some(tcp) = &probe.tcp {
        (Some(Check::Tcp), port_of(tcp.port.as_ref()))
    } else {
        (Probe::of_protocol(protocol).check, None)
    };
    let default = Pace::default();
    let pace = Pace {
        interval: value_or(probe.interval.as_ref(), default.interval),
        timeout: value_or(probe.timeout.as_ref(), default.timeout),
        fall: probe.fall.as_ref().map_or(default.fall, |n| n.value.0.get()),
        rise: probe.rise.as_ref().map_or(default.rise, |n| n.value.0.get()),
    };
    Some(Probe { check, port, pace })
}

fn port_of(port: Option<&At<Text<NonZeroU16>>>) -> Option<NonZeroU16> {
    port.map(|port| port.value.0)
}

fn path_of(http: &RawHttpProbe) -> tidegate_core::probe::HttpPath {
    http.path.as_ref().map(|path| path.value.0.clone()).unwrap_or_default()
}

/// Reports what is wrong with it.
pub fn check_probe(validator: &mut Validator<'_>, raw: &RawListener) {
    let Some(probe) = &raw.probe else { return };
    let named = [
        ("tcp", probe.tcp.is_some()),
        ("http", probe.http.is_some()),
        ("https", probe.https.is_some()),
        ("none", probe.none.is_some()),
    ];
    let chosen: Vec<&str> = named.into_iter().filter_map(|(name, is_chosen)| is_chosen.then_some(name)).collect();
    if chosen.len() > 1 {
        let message = format!("{} are chosen; one question is asked", chosen.join(" and "));
        validator.problems.error(&probe.spot, message, "leave one of them");
    }
    check_port(validator, raw, probe);
    check_header(validator, raw, probe);
    check_pace(validator, probe);
}

/// A port of datagrams accepts no connection.
fn check_port(validator: &mut Validator<'_>, raw: &RawListener, probe: &At<RawProbe>) {
    if value_or(raw.protocol.as_ref(), Protocol::Tcp) != Protocol::Udp {
        return;
    }
    let without_port = [
        probe.tcp.as_ref().filter(|tcp| tcp.port.is_none()).map(|tcp| &tcp.spot),
        probe.http.as_ref().filter(|http| http.port.is_none()).map(|http| &http.spot),
        probe.https.as_ref().filter(|https| https.port.is_none()).map(|https| &https.spot),
    ];
    for spot in without_port.into_iter().flatten() {
        let cure = "add the port of something on the same node that speaks TCP: `http: { port: 10256, path: /healthz }` asks kube-proxy";
        validator.problems.error(spot, "a UDP port cannot be asked for a connection", cure);
    }
}

/// A port that expects the PROXY protocol answers no plain HTTP: every node would be taken for dead.
fn check_header(validator: &mut Validator<'_>, raw: &RawListener, probe: &At<RawProbe>) {
    if value_or(raw.proxy_protocol.as_ref(), ProxyProtocol::None) == ProxyProtocol::None {
        return;
    }
    for http in [&probe.http, &probe.https].into_iter().flatten().filter(|http| http.port.is_none()) {
        let message = "the target port expects the PROXY protocol, which a probe does not speak";
        validator.problems.error(
            &http.spot,
            message,
            "add the port of a health endpoint: `http: { port: 10254, path: /healthz }`",
        );
    }
}

fn check_pace(validator: &mut Validator<'_>, probe: &At<RawProbe>) {
    if let Some(interval) = probe.interval.as_ref().filter(|i| i.value.0 < LEAST_INTERVAL) {
        validator.problems.error(&interval.spot, "nodes would do little but answer", "write 50ms or longer");
    }
    if let Some(timeout) = probe.timeout.as_ref().filter(|t| !TIMEOUTS.contains(&t.value.0)) {
        validator.problems.error(&timeout.spot, "is out of range", "write a time from 10ms to 1m");
    }
}
