//! Whether the kernel has what a script says, to the last backend.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use ipnet::IpNet;

use super::listing::Listing;
use super::script::{Elements, Pool, Script};

/// How the kernel's table differs from a script, for people; nothing when it does not.
pub fn difference(script: &Script, listing: &Listing) -> Option<String> {
    listing
        .odd
        .first()
        .map(|odd| format!("{odd} is not tidegate's"))
        .or_else(|| script.pools.iter().find_map(|(name, pool)| pool_differs(name, pool, listing.maps.get(name))))
        .or_else(|| script.sets.iter().find_map(|name| set_differs(name, script, listing)))
        .or_else(|| script.chains.iter().find_map(|(name, rules)| chain_differs(name, *rules, listing)))
        .or_else(|| surplus(script, listing).into_iter().next().map(|what| format!("{what} is there")))
}

/// What the kernel's table has and a script does not: `map tcp4-old`.
pub fn surplus(script: &Script, listing: &Listing) -> Vec<String> {
    let chains = listing.chains.keys().filter(|name| !script.chains.contains_key(*name)).map(|n| format!("chain {n}"));
    let maps = listing.maps.keys().filter(|name| !script.pools.contains_key(*name)).map(|n| format!("map {n}"));
    let sets = listing.sets.keys().filter(|name| !script.sets.contains(*name)).map(|n| format!("set {n}"));
    chains.chain(maps).chain(sets).collect()
}

fn pool_differs(name: &str, pool: &Pool, live: Option<&Elements>) -> Option<String> {
    let Some(live) = live else { return Some(format!("map {name} is not there")) };
    if pool.hashed {
        let wrong = pool.elements.iter().find(|(key, backend)| live.get(key) != Some(*backend));
        if let Some((key, backend)) = wrong {
            return Some(format!("slot {key} of map {name} is not {backend}"));
        }
    }
    let (wanted, found) = (slots_of_each(&pool.elements), slots_of_each(live));
    for (backend, slots) in &wanted {
        match found.get(backend) {
            None => return Some(format!("backend {backend} is not in map {name}")),
            Some(found) if found != slots => {
                return Some(format!("backend {backend} is in map {name} {found} times instead of {slots}"));
            }
            Some(_) => {}
        }
    }
    if let Some(extra) = found.keys().find(|backend| !wanted.contains_key(backend)) {
        return Some(format!("backend {extra} is in map {name}"));
    }
    let keys_fit = live.len() == pool.elements.len() && live.keys().eq(pool.elements.keys());
    (!keys_fit).then(|| format!("map {name} has {} elements instead of {}", live.len(), pool.elements.len()))
}

/// How many each backend has: its weight.
fn slots_of_each(elements: &Elements) -> BTreeMap<SocketAddr, usize> {
    let mut slots = BTreeMap::new();
    for backend in elements.values() {
        *slots.entry(*backend).or_default() += 1;
    }
    slots
}

fn set_differs(name: &str, script: &Script, listing: &Listing) -> Option<String> {
    let Some(live) = listing.sets.get(name) else { return Some(format!("set {name} is not there")) };
    let wanted = script.ranges.get(name).map_or(&[][..], Vec::as_slice);
    let networks = |list: &[IpNet]| IpNet::aggregate(&list.to_vec());
    (networks(wanted) != networks(live)).then(|| format!("set {name} holds other networks"))
}

fn chain_differs(name: &str, rules: usize, listing: &Listing) -> Option<String> {
    match listing.chains.get(name) {
        None => Some(format!("chain {name} is not there")),
        Some(live) if live.len() != rules => Some(format!("chain {name} has {} rules instead of {rules}", live.len())),
        Some(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use tidegate_core::hash::ContentHash;

    use super::*;
    use crate::file::seal;

    fn script(order: &str) -> Script {
        let body = format!(
            "add chain inet t c\n#: a tcp 192.0.2.1:80 {order}\nadd element inet t a {{ 0 : 10.0.0.1 . 80, 1 : 10.0.0.2 . 80 }}\n\
             add set inet t r {{ }}\nadd element inet t r {{ 10.0.0.0/8 }}\nadd rule inet t c drop\n"
        );
        let generation = ContentHash::of_bytes(b"");
        Script::of(generation, &seal(&generation, &body), "t").unwrap()
    }

    fn kernel(script: &Script) -> Listing {
        let mut listing = Listing::default();
        listing.maps.insert("a".into(), script.pools["a"].elements.clone());
        // Two halves are the whole.
        listing.sets.insert("r".into(), vec!["10.0.0.0/9".parse().unwrap(), "10.128.0.0/9".parse().unwrap()]);
        listing.chains.insert("c".into(), vec![serde_json::Value::Null]);
        listing
    }

    #[test]
    fn the_order_counts_for_a_hash_only() {
        let swapped = Elements::from([(0, "10.0.0.2:80".parse().unwrap()), (1, "10.0.0.1:80".parse().unwrap())]);
        for (order, same) in [("numbered", true), ("hashed", false)] {
            let script = script(order);
            let mut listing = kernel(&script);
            assert_eq!(difference(&script, &listing), None);
            listing.maps.insert("a".into(), swapped.clone());
            assert_eq!(difference(&script, &listing).is_none(), same, "{order}");
        }
    }

    #[test]
    fn a_weight_that_somebody_changed_is_found() {
        let mut script = script("numbered");
        let elements = |nodes: &[u8]| -> Elements {
            (0..).zip(nodes).map(|(key, n)| (key, SocketAddr::from(([10, 0, 0, *n], 80)))).collect()
        };
        script.pools.get_mut("a").unwrap().elements = elements(&[1, 2, 1, 2, 1]);
        let mut listing = kernel(&script);
        listing.maps.insert("a".into(), elements(&[2, 1, 1, 1, 2]));
        assert_eq!(difference(&script, &listing), None, "in any order");
        listing.maps.insert("a".into(), elements(&[1, 2, 2, 2, 1]));
        let how = difference(&script, &listing).unwrap();
        assert_eq!(how, "backend 10.0.0.1:80 is in map a 2 times instead of 3");
    }

    #[test]
    fn whatever_somebody_changes_is_found() {
        let script = script("numbered");
        let changes: [fn(&mut Listing); 11] = [
            |l| l.maps.clear(),
            |l| _ = l.maps.get_mut("a").unwrap().remove(&1),
            |l| _ = l.maps.get_mut("a").unwrap().insert(2, "10.0.0.1:80".parse().unwrap()),
            |l| _ = l.maps.get_mut("a").unwrap().insert(1, "10.0.0.3:80".parse().unwrap()),
            |l| drop(l.maps.insert("b".into(), Elements::new())),
            |l| l.sets.clear(),
            |l| drop(l.sets.insert("r".into(), vec![])),
            |l| drop(l.chains.insert("c".into(), vec![])),
            |l| l.chains.clear(),
            |l| drop(l.chains.insert("d".into(), vec![])),
            |l| l.odd.push("limit x".into()),
        ];
        for (n, change) in changes.into_iter().enumerate() {
            let mut listing = kernel(&script);
            change(&mut listing);
            assert!(difference(&script, &listing).is_some(), "change {n}");
        }
    }
}
