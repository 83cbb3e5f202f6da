//! Values that are one of a few words.

use schemars::{Schema, json_schema};
use tidegate_agent::{DriftPolicy, Masquerade};
use tidegate_core::desired::{Balance, Protocol, ProxyProtocol};
use tidegate_core::node::AddressType;
use tidegate_core::policy::{IpFamily, NotReady};
use tidegate_core::zones::Zones;

use super::suggest::nearest;
use super::text::{Written, Wrong};
use super::tree::Scalar;

/// The words of a choice, and what each means.
trait Choice: Copy + 'static {
    const WORDS: &'static [(&'static str, Self)];
}

impl Choice for Protocol {
    const WORDS: &'static [(&'static str, Self)] = &[("tcp", Self::Tcp), ("udp", Self::Udp)];
}

impl Choice for Balance {
    const WORDS: &'static [(&'static str, Self)] =
        &[("roundRobin", Self::RoundRobin), ("leastConnections", Self::LeastConnections), ("source", Self::Source)];
}

impl Choice for ProxyProtocol {
    const WORDS: &'static [(&'static str, Self)] = &[("none", Self::None), ("v1", Self::V1), ("v2", Self::V2)];
}

impl Choice for Zones {
    const WORDS: &'static [(&'static str, Self)] =
        &[("any", Self::Any), ("prefer", Self::Prefer), ("spread", Self::Spread)];
}

impl Choice for AddressType {
    const WORDS: &'static [(&'static str, Self)] =
        &[("InternalIP", Self::InternalIp), ("ExternalIP", Self::ExternalIp)];
}

impl Choice for IpFamily {
    const WORDS: &'static [(&'static str, Self)] = &[("ipv4", Self::Ipv4), ("ipv6", Self::Ipv6)];
}

impl Choice for NotReady {
    const WORDS: &'static [(&'static str, Self)] =
        &[("drain", Self::Drain), ("probe", Self::Probe), ("remove", Self::Remove)];
}

impl Choice for DriftPolicy {
    const WORDS: &'static [(&'static str, Self)] = &[("repair", Self::Repair), ("report", Self::Report)];
}

impl Choice for Masquerade {
    const WORDS: &'static [(&'static str, Self)] = &[("always", Self::Always), ("never", Self::Never)];
}

fn parse_choice<T: Choice>(scalar: &Scalar) -> Result<T, Wrong> {
    let word = scalar.text.as_str();
    if let Some((_, value)) = T::WORDS.iter().find(|(known, _)| *known == word) {
        return Ok(*value);
    }
    let words: Vec<&str> = T::WORDS.iter().map(|(known, _)| *known).collect();
    let cure = match nearest(word, words.iter().copied()) {
        Some(meant) => format!("did you mean {meant}?"),
        None => format!("write one of {}", words.join(", ")),
    };
    Err(Wrong::new(format!("{word:?} is none of {}", words.join(", ")), cure))
}

fn choice_schema<T: Choice>() -> Schema {
    let words: Vec<&str> = T::WORDS.iter().map(|(known, _)| *known).collect();
    json_schema!({ "type": "string", "enum": words })
}

macro_rules! written {
    ($($choice:ty),*) => {
        $(impl Written for $choice {
            fn parse(scalar: &Scalar) -> Result<Self, Wrong> {
                parse_choice(scalar)
            }

            fn schema() -> Schema {
                choice_schema::<Self>()
            }
        })*
    };
}
written!(Protocol, Balance, ProxyProtocol, Zones, AddressType, IpFamily, NotReady, DriftPolicy, Masquerade);
