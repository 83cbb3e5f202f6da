//! Listeners: each on its own, and all against each other.

mod demand;
mod probe;

use std::net::SocketAddr;

use ipnet::IpNet;
use tidegate_core::carriage::Demand;
use tidegate_core::desired::{Balance, Limits, Listener, Protocol, ProxyProtocol};
use tidegate_core::engine::{EngineKind, Feature, unsupported};
use tidegate_core::zones::Zones;

use super::problem::Spot;
use super::raw::RawListener;
use super::read::At;
use super::validate::engine::kinds;
use super::validate::{Validator, value_or};
use super::{Role, defaults};
use demand::{check_follow, read_demand};
use probe::{check_probe, read_probe};

/// Reads all listeners that can be read, and reports whatever is wrong with any.
pub fn read_listeners(validator: &mut Validator<'_>, role: Role) -> Vec<Listener> {
    let example = "listeners: [{ name: http, bind: \"0.0.0.0:80\", targetPort: 80 }]";
    let list = validator.need(validator.raw.listeners.as_ref(), "listeners", role, example);
    let Some(list) = list else { return Vec::new() };
    if list.value.is_empty() && !validator.problems.mentions("listeners") {
        validator.problems.error(&list.spot, "is empty: nothing would be served", format!("write `{example}`"));
    }
    for (n, listener) in list.value.iter().enumerate() {
        let before = list.value.get(..n).unwrap_or_default();
        check_name(validator, listener, before);
        check_bind(validator, listener, before, role);
        check_source_ranges(validator, listener);
        check_limits(validator, listener);
        check_probe(validator, listener);
        check_follow(validator, listener);
        check_zones(validator, listener);
        check_supported(validator, listener);
    }
    list.value.iter().filter_map(|listener| read_listener(listener)).collect()
}

/// What listeners ask of the nodes that carry them; of those that can be read.
pub fn read_demands(validator: &Validator<'_>) -> Vec<Demand> {
    let listeners = validator.raw.listeners.iter().flat_map(|list| &list.value);
    listeners.filter_map(|listener| read_demand(listener)).collect()
}

fn read_listener(raw: &RawListener) -> Option<Listener> {
    let limits = Limits {
        idle_timeout: raw.idle_timeout.as_ref().map(|t| t.value.0),
        connect_timeout: raw.connect_timeout.as_ref().map(|t| t.value.0),
        max_connections: raw.max_connections.as_ref().map(|n| n.value.0),
    };
    Some(Listener {
        name: raw.name.as_ref()?.value.0.clone(),
        bind: raw.bind.as_ref()?.value.0,
        protocol: value_or(raw.protocol.as_ref(), Protocol::Tcp),
        target_port: raw.target_port.as_ref()?.value.0.get(),
        balance: value_or(raw.balance.as_ref(), Balance::RoundRobin),
        proxy_protocol: value_or(raw.proxy_protocol.as_ref(), ProxyProtocol::None),
        source_ranges: source_ranges(raw),
        allow_empty: value_or(raw.allow_empty.as_ref(), false),
        limits,
        probe: read_probe(raw),
        zones: value_or(raw.zones.as_ref(), Zones::Any),
    })
}

fn source_ranges(raw: &RawListener) -> Vec<IpNet> {
    raw.source_ranges.iter().flat_map(|list| &list.value).map(|range| range.value.0.trunc()).collect()
}

fn check_source_ranges(validator: &mut Validator<'_>, raw: &RawListener) {
    for range in raw.source_ranges.iter().flat_map(|list| &list.value) {
        let network = range.value.0.trunc();
        if network != range.value.0 {
            let message = format!("{} has bits set beyond its length; {network} is used", range.value.0);
            validator.problems.warning(&range.spot, message, format!("write {network}"));
        }
    }
}

fn check_name(validator: &mut Validator<'_>, listener: &RawListener, before: &[At<RawListener>]) {
    let Some(name) = &listener.name else { return };
    let taken = before.iter().filter_map(|other| other.name.as_ref()).find(|other| other.value == name.value);
    if let Some(other) = taken {
        let message = format!("name {} is taken (line {})", name.value.0, other.spot.place.line);
        validator.problems.error(&name.spot, message, "give each listener a name of its own");
    }
}

fn check_bind(validator: &mut Validator<'_>, listener: &RawListener, before: &[At<RawListener>], role: Role) {
    let Some(bind) = &listener.bind else { return };
    let address = bind.value.0;
    if address.port() == 0 {
        return validator.problems.error(&bind.spot, "port 0 cannot be served", "write a port from 1 to 65535");
    }
    let protocol = value_or(listener.protocol.as_ref(), Protocol::Tcp);
    let clash = before.iter().find_map(|other| {
        let taken = other.bind.as_ref()?;
        let same = value_or(other.protocol.as_ref(), Protocol::Tcp) == protocol;
        (same && overlaps(taken.value.0, address)).then_some((other, taken))
    });
    if let Some((other, taken)) = clash {
        let name = other.name.as_ref().map_or("another listener", |n| n.value.0.as_str());
        let message = format!("{address} overlaps {} of {name} (line {})", taken.value.0, taken.spot.place.line);
        validator.problems.error(&bind.spot, message, "use another port, or two different addresses of the machine");
    }
    let api = value_or(validator.raw.api.as_ref().and_then(|api| api.listen.as_ref()), defaults::API_LISTEN);
    if role == Role::Run && protocol == Protocol::Tcp && overlaps(api, address) {
        let message = format!("{address} overlaps {api}, where the API of this process listens");
        validator.problems.error(&bind.spot, message, "use another port here or in api.listen");
    }
}

/// Whether one machine cannot listen on both. IPv6 sockets are opened for IPv6 only.
fn overlaps(one: SocketAddr, other: SocketAddr) -> bool {
    let any = one.ip().is_unspecified() || other.ip().is_unspecified();
    one.port() == other.port() && one.is_ipv4() == other.is_ipv4() && (any || one.ip() == other.ip())
}

/// A machine that does not know where it stands prefers nothing. Where the controller is alone in its file, agents have
/// theirs.
fn check_zones(validator: &mut Validator<'_>, raw: &RawListener) {
    let Some(zones) = raw.zones.as_ref().filter(|zones| zones.value.0 == Zones::Prefer) else { return };
    let lacks = validator.raw.agent.as_ref().is_some_and(|agent| agent.zone.is_none());
    if lacks && !validator.problems.mentions("agent.zone") {
        let message = "the agent of this file has no zone, so it prefers none";
        validator.problems.warning(&zones.spot, message, "add agent.zone, or write zones: any");
    }
}

/// What the engine of this file cannot do; without one, what no engine can.
fn check_supported(validator: &mut Validator<'_>, raw: &At<RawListener>) {
    let Some(listener) = read_listener(raw) else { return };
    let engine = validator.raw.agent.as_ref().and_then(|agent| agent.engine.as_ref());
    let kinds = engine.map(|engine| kinds(engine)).unwrap_or_default();
    let refused = match kinds.as_slice() {
        [kind] => unsupported(*kind, &listener),
        _ => unsupported(EngineKind::Custom, &listener),
    };
    for refused in refused {
        let message = match kinds.as_slice() {
            [_] => refused.to_string(),
            _ => refused.why.to_owned(),
        };
        validator.problems.error(&spot_of(raw, refused.feature), message, refused.cure());
    }
}

/// A limit of nothing would end every connection at once.
fn check_limits(validator: &mut Validator<'_>, raw: &RawListener) {
    for limit in [&raw.idle_timeout, &raw.connect_timeout].into_iter().flatten() {
        if limit.value.0.is_zero() {
            validator.problems.error(&limit.spot, "no connection would live", "write a longer time, or remove it");
        }
    }
}

/// Where the listener asks for it.
fn spot_of(raw: &At<RawListener>, feature: Feature) -> Spot {
    let spots = [
        ("protocol", raw.protocol.as_ref().map(|at| &at.spot)),
        ("balance", raw.balance.as_ref().map(|at| &at.spot)),
        ("proxyProtocol", raw.proxy_protocol.as_ref().map(|at| &at.spot)),
        ("sourceRanges", raw.source_ranges.as_ref().map(|at| &at.spot)),
        ("idleTimeout", raw.idle_timeout.as_ref().map(|at| &at.spot)),
        ("connectTimeout", raw.connect_timeout.as_ref().map(|at| &at.spot)),
        ("maxConnections", raw.max_connections.as_ref().map(|at| &at.spot)),
    ];
    let found = spots.into_iter().find_map(|(key, spot)| spot.filter(|_| key == feature.key()));
    found.unwrap_or(&raw.spot).clone()
}
