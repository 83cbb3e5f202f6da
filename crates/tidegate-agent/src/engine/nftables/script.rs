//! What an nft script of ours says: read from its text, because the live file is the whole truth.
//!
//! Templates write one command to a line. Lines that begin with `#:` tell what commands cannot: where a pool's listener is,
//! whether the order of its elements matters, and which draining backends keep their connections.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::net::{IpAddr, SocketAddr};

use ipnet::IpNet;
use tidegate_core::desired::Protocol;
use tidegate_core::hash::ContentHash;

use super::routes::{Route, matches};

/// Elements of a map: key and backend.
pub type Elements = BTreeMap<u32, SocketAddr>;

/// A script, read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Script {
    /// What its header says.
    pub generation: ContentHash,
    /// By the name of the map.
    pub pools: BTreeMap<String, Pool>,
    /// Source ranges by the name of their set.
    pub ranges: BTreeMap<String, Vec<IpNet>>,
    /// Every set, those that count included.
    pub sets: BTreeSet<String>,
    /// Every chain with the number of its rules.
    pub chains: BTreeMap<String, usize>,
    /// Hash of everything but the backends.
    pub structure: ContentHash,
}

/// The map of one listener.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pool {
    /// Of the listener.
    pub protocol: Protocol,
    /// Where the listener is.
    pub bind: SocketAddr,
    /// Whether each key has its own backend (a hash leads to it), or any order does (they take turns).
    pub hashed: bool,
    /// As the text says.
    pub elements: Elements,
    /// Draining backends.
    pub keeps: BTreeSet<SocketAddr>,
}

/// One line of a script, as far as it is about our table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Line<'a> {
    /// `add table`
    Table,
    /// `add chain`
    Chain(&'a str),
    /// `add map`
    Map(&'a str),
    /// `add set`
    Set(&'a str),
    /// `flush map`
    FlushMap(&'a str),
    /// `add element`: the name of the map or set, and what stands between its braces.
    Elements(&'a str, &'a str),
    /// `add rule`: the chain.
    Rule(&'a str),
    /// `#:`
    Note(&'a str),
    /// Anything else.
    Other,
}

impl<'a> Line<'a> {
    /// Reads a line; `table` is ours.
    pub fn of(line: &'a str, table: &str) -> Self {
        if let Some(note) = line.strip_prefix("#: ") {
            return Self::Note(note);
        }
        let mut words = line.split_whitespace();
        let mut next = || words.next().unwrap_or_default();
        let (verb, kind, family, of, name) = (next(), next(), next(), next(), next());
        if family != "inet" || of != table {
            return Self::Other;
        }
        match (verb, kind) {
            ("add", "table") => Self::Table,
            ("add", "chain") => Self::Chain(name),
            ("add", "map") => Self::Map(name),
            ("add", "set") => Self::Set(name),
            ("flush", "map") => Self::FlushMap(name),
            ("add", "rule") => Self::Rule(name),
            ("add", "element") => Self::Elements(name, between_braces(line)),
            _ => Self::Other,
        }
    }
}

fn between_braces(line: &str) -> &str {
    line.split_once('{').and_then(|(_, rest)| rest.rsplit_once('}')).map_or("", |(inner, _)| inner.trim())
}

impl Script {
    /// Reads a text whose seal is whole; nothing when it is not one of ours.
    pub fn of(generation: ContentHash, text: &str, table: &str) -> Option<Self> {
        let structure = structure(text, table, &generation);
        let mut script = Self {
            generation,
            structure,
            pools: BTreeMap::new(),
            ranges: BTreeMap::new(),
            sets: BTreeSet::new(),
            chains: BTreeMap::new(),
        };
        text.lines().try_for_each(|line| script.take(Line::of(line, table)))?;
        Some(script)
    }

    fn take(&mut self, line: Line<'_>) -> Option<()> {
        match line {
            Line::Note(note) => self.note(note)?,
            Line::Chain(name) => drop(self.chains.entry(name.to_owned()).or_default()),
            Line::Rule(chain) => *self.chains.entry(chain.to_owned()).or_default() += 1,
            Line::Set(name) => drop(self.sets.insert(name.to_owned())),
            Line::Elements(name, inner) => match self.pools.get_mut(name) {
                Some(pool) => pool.elements = elements(inner)?,
                None => drop(self.ranges.insert(name.to_owned(), ranges(inner)?)),
            },
            Line::Table | Line::Map(_) | Line::FlushMap(_) | Line::Other => {}
        }
        Some(())
    }

    /// `tcp4-http tcp 10.0.0.1:80 numbered`, `tcp4-http keeps 10.0.0.2:30080`
    fn note(&mut self, note: &str) -> Option<()> {
        let words: Vec<&str> = note.split_whitespace().collect();
        match words.as_slice() {
            [pool, "keeps", backend] => drop(self.pools.get_mut(*pool)?.keeps.insert(backend.parse().ok()?)),
            [pool, protocol, bind, order] => {
                let protocol = if *protocol == "udp" { Protocol::Udp } else { Protocol::Tcp };
                let (bind, hashed) = (bind.parse().ok()?, *order == "hashed");
                let pool_read = Pool { protocol, bind, hashed, elements: Elements::new(), keeps: BTreeSet::new() };
                self.pools.insert((*pool).to_owned(), pool_read);
            }
            _ => return None,
        }
        Some(())
    }

    /// How many elements all maps have.
    #[allow(clippy::len_without_is_empty, reason = "a script without elements is as good as any")]
    pub fn len(&self) -> usize {
        self.pools.values().map(|pool| pool.elements.len()).sum()
    }

    /// From each listener to each backend that takes or keeps connections.
    pub fn routes(&self) -> HashSet<Route> {
        let of = |pool: &Pool| {
            let (protocol, bind) = (pool.protocol, pool.bind);
            let backends: HashSet<SocketAddr> = pool.elements.values().chain(&pool.keeps).copied().collect();
            backends.into_iter().map(move |backend| Route { udp: protocol == Protocol::Udp, bind, backend })
        };
        self.pools.values().flat_map(of).collect()
    }

    /// Whether a connection that takes this route may go on.
    pub fn allows(&self, route: &Route) -> bool {
        self.pools.values().any(|pool| {
            (pool.protocol == Protocol::Udp) == route.udp
                && matches(pool.bind, route.bind)
                && (pool.keeps.contains(&route.backend) || pool.elements.values().any(|b| *b == route.backend))
        })
    }
}

/// `0 : 10.0.0.1 . 80, 1 : fd00::1 . 80`
fn elements(inner: &str) -> Option<Elements> {
    let element = |text: &str| {
        let (key, backend) = text.split_once(" : ")?;
        let (ip, port) = backend.split_once(" . ")?;
        Some((key.trim().parse().ok()?, SocketAddr::new(ip.trim().parse().ok()?, port.trim().parse().ok()?)))
    };
    inner.split(',').map(element).collect()
}

/// `10.0.0.0/8, 192.0.2.7/32`
fn ranges(inner: &str) -> Option<Vec<IpNet>> {
    let range = |text: &str| {
        let text = text.trim();
        text.parse().ok().or_else(|| text.parse::<IpAddr>().ok().map(IpNet::from))
    };
    inner.split(',').map(range).collect()
}

/// What a check by nft vouches for: the text without backends, and without what is counted from them.
fn structure(text: &str, table: &str, generation: &ContentHash) -> ContentHash {
    let mut kept = String::with_capacity(text.len().min(64 * 1024));
    let generation = generation.to_string();
    for line in text.lines().skip(3) {
        match Line::of(line, table) {
            Line::Note(_) => {}
            Line::Elements(name, _) => kept.extend([name, "\n"]),
            Line::Rule(_) => kept.extend([without_modulus(line).replace(&generation, "").as_str(), "\n"]),
            _ => kept.extend([line.replace(&generation, "").as_str(), "\n"]),
        }
    }
    ContentHash::of_bytes(kept.as_bytes())
}

/// `numgen inc mod 3 map` as `numgen inc mod  map`.
fn without_modulus(line: &str) -> String {
    let Some((before, after)) = line.split_once(" mod ") else { return line.to_owned() };
    format!("{before} mod {}", after.trim_start_matches(|c: char| c.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::file::{Seal, seal, unseal};

    const BODY: &str = "add table inet t\nadd chain inet t c\n#: tcp4-a tcp 0.0.0.0:80 hashed\n\
        #: tcp4-a keeps 10.0.0.9:81\nadd map inet t tcp4-a { }\nadd element inet t tcp4-a { 0 : 10.0.0.1 . 81, 1 : 10.0.0.2 . 81 }\n\
        add set inet t ranges4-a { }\nadd element inet t ranges4-a { 10.0.0.0/8, 192.0.2.7 }\n\
        add rule inet t c numgen inc mod 2 map @tcp4-a\nadd rule inet other c drop\n";

    fn read(body: &str) -> Option<Script> {
        let text = seal(&ContentHash::of_bytes(body.as_bytes()), body);
        let Seal::Whole(generation) = unseal(&text) else { panic!("{text}") };
        Script::of(generation, &text, "t")
    }

    #[test]
    fn a_script_is_read_with_its_notes() {
        let script = read(BODY).unwrap();
        let pool = &script.pools["tcp4-a"];
        assert!(pool.hashed && pool.elements.len() == 2 && pool.keeps.len() == 1);
        assert_eq!(script.ranges["ranges4-a"].len(), 2);
        assert_eq!((script.chains["c"], script.sets.len(), script.len()), (1, 1, 2));
    }

    #[test]
    fn a_route_is_allowed_to_members_and_to_those_that_drain() {
        let script = read(BODY).unwrap();
        let route = |udp, bind: &str, backend: &str| Route {
            udp,
            bind: bind.parse().unwrap(),
            backend: backend.parse().unwrap(),
        };
        assert!(script.allows(&route(false, "192.0.2.1:80", "10.0.0.1:81")));
        assert!(script.allows(&route(false, "192.0.2.1:80", "10.0.0.9:81")), "draining");
        for refused in [
            route(true, "192.0.2.1:80", "10.0.0.1:81"),
            route(false, "192.0.2.1:81", "10.0.0.1:81"),
            route(false, "[fd00::1]:80", "10.0.0.1:81"),
            route(false, "192.0.2.1:80", "10.0.0.3:81"),
        ] {
            assert!(!script.allows(&refused), "{refused:?}");
        }
    }

    #[test]
    fn the_structure_is_everything_but_the_backends() {
        let structure = |body: &str| read(body).unwrap().structure;
        let members =
            BODY.replace("0 : 10.0.0.1 . 81, ", "").replace("mod 2 ", "mod 1 ").replace("10.0.0.9", "10.0.0.8");
        assert_eq!(structure(BODY), structure(&members));
        assert_ne!(structure(BODY), structure(&BODY.replace("numgen inc", "numgen random")));
        assert_ne!(structure(BODY), structure(&format!("{BODY}add rule inet t c accept\n")));
    }

    proptest! {
        #[test]
        fn no_text_stops_the_reader(body in "\\PC{0,300}", cut in 0..BODY.len(), junk in "[ -~]{0,20}") {
            read(&body);
            read(&format!("{}{junk}{}", &BODY[..cut], &BODY[cut..]));
        }
    }
}
