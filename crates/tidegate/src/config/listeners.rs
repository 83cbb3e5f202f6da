//! Listeners: each on its own, and all against each other.

use std::net::SocketAddr;

use ipnet::IpNet;
use tidegate_core::desired::{Balance, Listener, Protocol, ProxyProtocol};

use super::raw::RawListener;
use super::read::At;
use super::validate::{Validator, value_or};
use super::{Role, defaults};

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
        check_proxy_protocol(validator, listener);
    }
    list.value.iter().filter_map(|listener| read_listener(validator, listener)).collect()
}

fn read_listener(validator: &mut Validator<'_>, raw: &RawListener) -> Option<Listener> {
    Some(Listener {
        name: raw.name.as_ref()?.value.0.clone(),
        bind: raw.bind.as_ref()?.value.0,
        protocol: value_or(raw.protocol.as_ref(), Protocol::Tcp),
        target_port: raw.target_port.as_ref()?.value.0.get(),
        balance: value_or(raw.balance.as_ref(), Balance::RoundRobin),
        proxy_protocol: value_or(raw.proxy_protocol.as_ref(), ProxyProtocol::None),
        source_ranges: source_ranges(validator, raw),
        allow_empty: value_or(raw.allow_empty.as_ref(), false),
    })
}

fn source_ranges(validator: &mut Validator<'_>, raw: &RawListener) -> Vec<IpNet> {
    let mut ranges = Vec::new();
    for range in raw.source_ranges.iter().flat_map(|list| &list.value) {
        let network = range.value.0.trunc();
        if network != range.value.0 {
            let message = format!("{} has bits set beyond its length; {network} is used", range.value.0);
            validator.problems.warning(&range.spot, message, format!("write {network}"));
        }
        ranges.push(network);
    }
    ranges
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

fn check_proxy_protocol(validator: &mut Validator<'_>, listener: &RawListener) {
    let Some(proxy) = listener.proxy_protocol.as_ref().filter(|p| p.value.0 != ProxyProtocol::None) else { return };
    if value_or(listener.protocol.as_ref(), Protocol::Tcp) == Protocol::Udp {
        validator.problems.error(&proxy.spot, "datagrams carry no PROXY header", "remove it, or use protocol: tcp");
    } else if proxy.value.0 == ProxyProtocol::V2 {
        // The only engine of this version; engines.md, section nginx.
        let cure = "write v1: ingress-nginx, HAProxy, Traefik and Envoy read both";
        validator.problems.error(&proxy.spot, "nginx sends only version 1 of the PROXY protocol", cure);
    }
}
