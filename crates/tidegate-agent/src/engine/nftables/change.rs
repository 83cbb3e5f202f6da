//! A script that changes the kernel's table to what another script says, by what differs only.
//!
//! It is the other script itself with each map's contents replaced by their differences: rules are replaced in the same
//! transaction. It deletes something of each map that it changes, and creates nothing that should be there: a table that
//! is not as remembered makes nft refuse the whole of it, and the whole script is loaded instead.

use std::collections::{BTreeMap, HashMap};
use std::fmt::Write;
use std::net::SocketAddr;
use std::sync::Arc;

use super::script::{Elements, Line, Pool, Script};

/// What the kernel has, as far as we know.
#[derive(Clone, Debug)]
pub struct Known {
    /// The script that was loaded last.
    pub script: Arc<Script>,
    /// Its maps, in the order that the kernel has them.
    pub maps: BTreeMap<String, Elements>,
}

impl Known {
    /// After a script was loaded whole.
    pub fn loaded(script: Arc<Script>) -> Self {
        let maps = script.pools.iter().map(|(name, pool)| (name.clone(), pool.elements.clone())).collect();
        Self { script, maps }
    }
}

/// A change in place.
#[derive(Clone, Debug)]
pub struct Change {
    /// For nft.
    pub text: String,
    /// What is known once it was made.
    pub then: Known,
}

impl Change {
    /// From what is known to a script; `text` is the script's own.
    pub fn between(known: &Known, script: &Arc<Script>, text: &str, table: &str) -> Self {
        let mut out = String::new();
        let mut maps = BTreeMap::new();
        for (name, pool) in &script.pools {
            let elements = known.maps.get(name).map_or_else(|| pool.elements.clone(), |live| arranged(pool, live));
            maps.insert(name.clone(), elements);
        }
        for line in text.lines() {
            known.write(&mut out, line, table, &maps);
        }
        for name in known.script.pools.keys().filter(|name| !script.pools.contains_key(*name)) {
            _ = writeln!(out, "delete map inet {table} {name}");
        }
        for name in known.script.sets.iter().filter(|name| !script.sets.contains(*name)) {
            _ = writeln!(out, "delete set inet {table} {name}");
        }
        for name in known.script.chains.keys().filter(|name| !script.chains.contains_key(*name)) {
            _ = writeln!(out, "delete chain inet {table} {name}");
        }
        Self { text: out, then: Known { script: script.clone(), maps } }
    }
}

impl Known {
    fn write(&self, out: &mut String, line: &str, table: &str, then: &BTreeMap<String, Elements>) {
        match Line::of(line, table) {
            Line::Table | Line::Note(_) => {}
            Line::Chain(name) if self.script.chains.contains_key(name) => {}
            Line::Set(name) if self.script.sets.contains(name) => {}
            Line::Map(name) | Line::FlushMap(name) if self.maps.contains_key(name) => {}
            Line::Elements(name, _) if self.maps.contains_key(name) => {
                if let (Some(live), Some(then)) = (self.maps.get(name), then.get(name)) {
                    differences(out, &format!("inet {table} {name}"), live, then);
                }
            }
            _ => _ = writeln!(out, "{line}"),
        }
    }
}

/// Where each backend of a pool is to be: for a hash where the script says, else where it is already.
fn arranged(pool: &Pool, live: &Elements) -> Elements {
    if pool.hashed {
        return pool.elements.clone();
    }
    // How many slots each still lacks: as many as its weight.
    let mut missing: HashMap<SocketAddr, u32> = HashMap::new();
    for backend in pool.elements.values() {
        *missing.entry(*backend).or_default() += 1;
    }
    let mut takes = |backend: &SocketAddr| match missing.get_mut(backend) {
        Some(slots) if *slots > 0 => {
            *slots -= 1;
            true
        }
        _ => false,
    };
    let mut arranged = live.clone();
    arranged.retain(|key, backend| pool.elements.contains_key(key) && takes(backend));
    let free: Vec<u32> = pool.elements.keys().filter(|key| !arranged.contains_key(key)).copied().collect();
    let lacking: Vec<SocketAddr> = pool.elements.values().filter(|backend| takes(backend)).copied().collect();
    arranged.extend(free.into_iter().zip(lacking));
    arranged
}

fn differences(out: &mut String, map: &str, live: &Elements, then: &Elements) {
    let mut gone: Vec<u32> = live.iter().filter(|(k, b)| then.get(k) != Some(*b)).map(|(k, _)| *k).collect();
    let mut new: Vec<(u32, SocketAddr)> =
        then.iter().filter(|(k, b)| live.get(k) != Some(*b)).map(|(k, b)| (*k, *b)).collect();
    if gone.is_empty() && new.is_empty() {
        return;
    }
    if gone.is_empty() {
        // Only a deletion proves that the map is as remembered.
        let first = then.first_key_value().map(|(k, b)| (*k, *b)).filter(|(k, _)| live.contains_key(k));
        gone.extend(first.map(|(key, _)| key));
        new.extend(first);
    }
    if !gone.is_empty() {
        let keys: Vec<String> = gone.iter().map(u32::to_string).collect();
        _ = writeln!(out, "delete element {map} {{ {} }}", keys.join(", "));
    }
    if !new.is_empty() {
        let elements: Vec<String> = new.iter().map(|(k, b)| format!("{k} : {} . {}", b.ip(), b.port())).collect();
        _ = writeln!(out, "add element {map} {{ {} }}", elements.join(", "));
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use tidegate_core::hash::ContentHash;

    use super::*;
    use crate::file::{Seal, seal, unseal};

    fn text(pools: &[(&str, &[u8])]) -> String {
        let mut body = String::from("add table inet t\nadd chain inet t c\nflush table inet t\n");
        for (name, nodes) in pools {
            let elements: Vec<String> =
                nodes.iter().enumerate().map(|(k, n)| format!("{k} : 10.0.0.{n} . 80")).collect();
            _ = writeln!(
                body,
                "#: {name} tcp 192.0.2.1:80 numbered\nadd map inet t {name} {{ }}\nflush map inet t {name}"
            );
            _ = writeln!(body, "add element inet t {name} {{ {} }}", elements.join(", "));
            _ = writeln!(body, "add rule inet t c numgen inc mod {} map @{name}", nodes.len());
        }
        seal(&ContentHash::of_bytes(body.as_bytes()), &body)
    }

    fn script(text: &str) -> Arc<Script> {
        let Seal::Whole(generation) = unseal(text) else { panic!("{text}") };
        Arc::new(Script::of(generation, text, "t").unwrap())
    }

    fn change(from: &[(&str, &[u8])], to: &[(&str, &[u8])]) -> Change {
        let known = Known::loaded(script(&text(from)));
        let to = text(to);
        Change::between(&known, &script(&to), &to, "t")
    }

    fn about_elements(change: &Change) -> Vec<&str> {
        change.text.lines().filter(|line| line.contains(" element ")).collect()
    }

    #[test]
    fn a_backend_that_goes_leaves_its_place_to_the_last_one() {
        let change = change(&[("a", &[1, 2, 3, 4])], &[("a", &[1, 3, 4])]);
        assert_eq!(
            about_elements(&change),
            ["delete element inet t a { 1, 3 }", "add element inet t a { 1 : 10.0.0.4 . 80 }"]
        );
        assert!(
            change.text.contains("mod 3") && !change.text.contains("add map") && !change.text.contains("flush map")
        );
    }

    #[test]
    fn a_backend_that_comes_proves_the_map_by_a_deletion() {
        let change = change(&[("a", &[1, 2])], &[("a", &[1, 2, 9])]);
        let expected =
            ["delete element inet t a { 0 }", "add element inet t a { 2 : 10.0.0.9 . 80, 0 : 10.0.0.1 . 80 }"];
        assert_eq!(about_elements(&change), expected);
        assert!(!change.text.contains("add table inet t\n"), "a table that is gone must not be made by the way");
    }

    #[test]
    fn another_weight_moves_as_few_slots_as_it_must() {
        // Weights 1, 1, 2 become 3, 1, 2.
        let change = change(&[("a", &[3, 1, 2, 3])], &[("a", &[1, 3, 1, 2, 3, 1])]);
        assert_eq!(
            about_elements(&change),
            [
                "delete element inet t a { 0 }",
                "add element inet t a { 4 : 10.0.0.1 . 80, 5 : 10.0.0.1 . 80, 0 : 10.0.0.3 . 80 }"
            ]
        );
    }

    #[test]
    fn listeners_come_whole_and_go_whole() {
        let change = change(&[("a", &[1]), ("b", &[1])], &[("a", &[1]), ("c", &[2])]);
        assert_eq!(about_elements(&change), ["add element inet t c { 0 : 10.0.0.2 . 80 }"]);
        assert!(change.text.contains("add map inet t c") && change.text.contains("delete map inet t b"));
    }

    proptest! {
        #[test]
        fn any_change_ends_at_the_members_that_are_wanted(
            from in prop::collection::vec(1..40_u8, 1..30),
            steps in prop::collection::vec(prop::collection::vec(1..40_u8, 1..30), 1..5),
        ) {
            let mut known = Known::loaded(script(&text(&[("a", &from)])));
            for mut wanted in steps {
                let to = text(&[("a", &wanted)]);
                let script = script(&to);
                let change = Change::between(&known, &script, &to, "t");
                let mut kernel = known.maps["a"].clone();
                for line in about_elements(&change) {
                    let inner = line.split_once('{').unwrap().1.trim_end_matches('}');
                    for part in inner.split(',') {
                        let words: Vec<&str> = part.split_whitespace().collect();
                        let key: u32 = words[0].parse().unwrap();
                        if line.starts_with("delete") {
                            prop_assert!(kernel.remove(&key).is_some(), "{line}");
                        } else {
                            let backend = SocketAddr::new(words[2].parse().unwrap(), words[4].parse().unwrap());
                            prop_assert!(kernel.insert(key, backend).is_none(), "{line}");
                        }
                    }
                }
                prop_assert_eq!(&kernel, &change.then.maps["a"]);
                prop_assert!(kernel.keys().copied().eq(0..u32::try_from(wanted.len()).unwrap()));
                // Each as often as it is wanted: that is its weight.
                let mut members: Vec<SocketAddr> = kernel.values().copied().collect();
                members.sort();
                wanted.sort_unstable();
                let wanted: Vec<_> = wanted.iter().map(|n| SocketAddr::from(([10, 0, 0, *n], 80))).collect();
                prop_assert_eq!(members, wanted);
                known = change.then;
            }
        }
    }
}
