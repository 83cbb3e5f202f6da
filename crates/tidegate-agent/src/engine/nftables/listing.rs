//! nft's own account of our table (`nft -j list table`), read with suspicion: others can change it.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};

use ipnet::IpNet;
use serde_json::Value;

use super::script::Elements;

/// A table as the kernel has it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Listing {
    /// By the name of the map.
    pub maps: BTreeMap<String, Elements>,
    /// Networks by the name of the set; sets of other things have none.
    pub sets: BTreeMap<String, Vec<IpNet>>,
    /// The rules of each chain, without the kernel's own numbers.
    pub chains: BTreeMap<String, Vec<Value>>,
    /// What is no work of ours, for people.
    pub odd: Vec<String>,
}

/// Reads an answer; the error says what is wrong with it.
pub fn read(answer: &str, table: &str) -> Result<Listing, String> {
    let mut listing = Listing::default();
    for item in items(answer)? {
        let Some((kind, body)) = item.as_object().and_then(|o| o.iter().next()) else { continue };
        if text(body, "table") == Some(table) && text(body, "family") == Some("inet") {
            listing.take(kind, body);
        }
    }
    Ok(listing)
}

/// The comments of all rules: of the table that holds nothing but the generation.
pub fn comments(answer: &str) -> Result<Vec<String>, String> {
    let comment = |item: &Value| item.get("rule").and_then(|rule| text(rule, "comment")).map(str::to_owned);
    Ok(items(answer)?.iter().filter_map(comment).collect())
}

/// The names of the chains of a table, of an answer about every table.
pub fn chains_of(answer: &str, table: &str) -> Result<Vec<String>, String> {
    let of = |item: &Value| {
        let chain = item.get("chain")?;
        let ours = text(chain, "table") == Some(table) && text(chain, "family") == Some("inet");
        text(chain, "name").filter(|_| ours).map(str::to_owned)
    };
    Ok(items(answer)?.iter().filter_map(of).collect())
}

/// Whether a table is there, of an answer about every table.
pub fn has_table(answer: &str, table: &str) -> Result<bool, String> {
    let is = |item: &Value| {
        let found = item.get("table");
        found.is_some_and(|t| text(t, "name") == Some(table) && text(t, "family") == Some("inet"))
    };
    Ok(items(answer)?.iter().any(is))
}

fn items(answer: &str) -> Result<Vec<Value>, String> {
    // One value; warnings may follow it.
    let mut values = serde_json::Deserializer::from_str(answer).into_iter::<Value>();
    let value = values.next().ok_or("an empty answer")?.map_err(|e| format!("no JSON: {e}"))?;
    match value.get("nftables") {
        Some(Value::Array(items)) => Ok(items.clone()),
        _ => Err("JSON without a list `nftables`".to_owned()),
    }
}

impl Listing {
    fn take(&mut self, kind: &str, body: &Value) {
        let name = text(body, "name").unwrap_or_default().to_owned();
        match kind {
            "map" => {
                let elements = self.elements(&name, body);
                self.maps.insert(name, elements);
            }
            "set" => {
                let networks = array(body, "elem").iter().flat_map(networks).collect();
                self.sets.insert(name, networks);
            }
            "chain" => drop(self.chains.entry(name).or_default()),
            "rule" => {
                let chain = text(body, "chain").unwrap_or_default().to_owned();
                self.chains.entry(chain).or_default().push(body.get("expr").cloned().unwrap_or_default());
            }
            other => self.odd.push(format!("{other} {name}")),
        }
    }

    fn elements(&mut self, map: &str, body: &Value) -> Elements {
        let mut elements = Elements::new();
        for pair in array(body, "elem") {
            match element(pair) {
                Some((key, backend)) => drop(elements.insert(key, backend)),
                None => self.odd.push(format!("element {pair} of map {map}")),
            }
        }
        elements
    }
}

/// `[0, {"concat": ["10.0.0.1", 80]}]`
fn element(pair: &Value) -> Option<(u32, SocketAddr)> {
    let [key, value] = pair.as_array()?.as_slice() else { return None };
    let [ip, port] = value.get("concat")?.as_array()?.as_slice() else { return None };
    let (ip, port) = (ip.as_str()?.parse().ok()?, u16::try_from(port.as_u64()?).ok()?);
    Some((u32::try_from(key.as_u64()?).ok()?, SocketAddr::new(ip, port)))
}

/// An address, `{"prefix": {"addr": .., "len": ..}}` or `{"range": [from, to]}`; nothing for what is no network.
fn networks(element: &Value) -> Vec<IpNet> {
    if let Some(address) = element.as_str().and_then(|t| t.parse::<IpAddr>().ok()) {
        return vec![address.into()];
    }
    if let Some(prefix) = element.get("prefix") {
        let address = text(prefix, "addr").and_then(|t| t.parse::<IpAddr>().ok());
        let length = prefix.get("len").and_then(Value::as_u64).and_then(|n| u8::try_from(n).ok());
        let network = address.zip(length).and_then(|(address, length)| IpNet::new(address, length).ok());
        return network.into_iter().collect();
    }
    let ends = array(element, "range").iter().map(|end| end.as_str().and_then(|t| t.parse::<IpAddr>().ok()));
    match ends.collect::<Option<Vec<_>>>().as_deref() {
        Some([IpAddr::V4(from), IpAddr::V4(to)]) => ipnet::Ipv4Subnets::new(*from, *to, 0).map(IpNet::from).collect(),
        Some([IpAddr::V6(from), IpAddr::V6(to)]) => ipnet::Ipv6Subnets::new(*from, *to, 0).map(IpNet::from).collect(),
        _ => Vec::new(),
    }
}

fn text<'a>(value: &'a Value, key: &str) -> Option<&'a str> {
    value.get(key).and_then(Value::as_str)
}

fn array<'a>(value: &'a Value, key: &str) -> &'a [Value] {
    value.get(key).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}
